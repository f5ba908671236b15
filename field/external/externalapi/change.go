package externalapi

import (
	"context"
	"crypto/rand"
	"strings"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
	"muniment.dev/hook/webhook"
)

// Defaults of what a request leaves open.
const (
	defaultInterval = 300
	defaultBatch    = 100
	defaultAttempts = 20
)

// directions are the directions by their name in the log.
var directions = map[external.Direction]munimentv1.AdapterDirection{
	external.Push: munimentv1.AdapterDirection_ADAPTER_DIRECTION_PUSH,
	external.Pull: munimentv1.AdapterDirection_ADAPTER_DIRECTION_PULL,
	external.Both: munimentv1.AdapterDirection_ADAPTER_DIRECTION_BOTH,
}

// CreateAdapter sets an adapter up.
func (s *Service) CreateAdapter(ctx context.Context, req *munimentv1.CreateAdapterRequest) (*munimentv1.CreateAdapterResponse, error) {
	c := external.Create{Adapter: event.NewID(), EntityTypes: req.GetEntityTypes(), Settings: external.Settings{Name: req.GetName(), URL: req.GetEndpointUrl(),
		Interval: or(req.GetIntervalSeconds(), defaultInterval), Batch: or(req.GetBatchSize(), defaultBatch), Attempts: or(req.GetMaxAttempts(), defaultAttempts), Unsealed: req.GetUnsealed()}}
	for d, m := range directions {
		if m == req.GetDirection() {
			c.Direction = d
		}
	}
	if req.AfterPosition != nil {
		if c.After = event.Position(req.GetAfterPosition()); c.After > s.core.Runner.Log.Mark().Size {
			return nil, fault.Field("after_position", "the log is not as long")
		}
	}
	var err error
	if c.Owner, err = s.owner(ctx); err != nil {
		return nil, err
	}
	if c.Organization, err = adapter.Scope("scope", req.GetScope()); err != nil {
		return nil, err
	}
	if c.Types, err = s.types(ctx, c.EntityTypes); err != nil {
		return nil, err
	}
	var made string
	if c.Credential, made, err = credential(req); err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, external.Creating, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.CreateAdapterResponse{Change: adapter.Change(res), AdapterId: res.Stream.ID.String(), SigningSecret: shown(res, made)}, nil
}

func or(n int32, none int64) int64 {
	if n == 0 {
		return none
	}
	return int64(n)
}

// shown is what is answered of a secret that was just made. That of a repeated
// attempt is recorded nowhere.
func shown(res decide.Result, made string) string {
	if res.Replayed {
		return ""
	}
	return made
}

// owner is the id of the caller, as the owner of what they direct.
func (s *Service) owner(ctx context.Context) (event.ID, error) {
	c, err := call.CallerOf(ctx)
	return c.ID, err
}

// proof is what requests say of a credential.
type proof interface {
	GetCredential() munimentv1.AdapterCredentialKind
	GetBearerToken() string
	GetUsername() string
	GetPassword() string
}

// credential reads what an adapter is to prove itself by; made is a secret that
// was made for it.
func credential(p proof) (c external.Credential, made string, err error) {
	token, pair := p.GetBearerToken() != "", p.GetUsername() != "" || p.GetPassword() != ""
	switch p.GetCredential() {
	case munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_UNSPECIFIED, munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE:
		if token || pair {
			return c, "", fault.Field("credential", "say whether the external system wants a bearer token or a name and password")
		}
		key := make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand)
		made = webhook.Secret(key)
		return external.Credential{Kind: external.Signature, Secret: event.Seal(made)}, made, nil
	case munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER:
		if pair {
			return c, "", fault.Field("username", "is not for a bearer token")
		}
		return external.Credential{Kind: external.Bearer, Secret: event.Seal(p.GetBearerToken())}, "", nil
	case munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BASIC:
		if token {
			return c, "", fault.Field("bearer_token", "is not for a name and password")
		}
		return external.Credential{Kind: external.Basic, Secret: event.Seal(p.GetUsername() + ":" + p.GetPassword())}, "", nil
	}
	return c, "", fault.Field("credential", "there is no such kind")
}

// prove puts what an adapter proves itself by.
func prove(t *exchange.Target, kind, secret string) error {
	var ok bool
	switch kind {
	case external.Signature:
		t.Key, ok = webhook.Key(secret)
	case external.Bearer:
		t.Bearer, ok = secret, secret != ""
	case external.Basic:
		t.Name, t.Password, ok = strings.Cut(secret, ":")
	}
	if !ok {
		return fault.New(fault.Unavailable, "what an adapter proves itself by cannot be used")
	}
	return nil
}

// directed is what is said in the name of the caller about an adapter. Which
// there is, the decider says, to those who may know.
func (s *Service) directed(ctx context.Context, text string) (d external.Directed, st external.State, err error) {
	if d.Adapter, err = adapter.ID(idField, text); err != nil {
		return d, st, err
	}
	if d.Owner, err = s.owner(ctx); err != nil {
		return d, st, err
	}
	if st, err = s.state(ctx, d.Adapter); fault.Is(err, fault.NotFound) {
		return d, st, nil
	}
	if err != nil {
		return d, st, err
	}
	if d.Types, err = s.types(ctx, st.EntityTypes); fault.Is(err, fault.Invalid) { // a type that is gone has no events
		err = nil
	}
	return d, st, err
}

// ChangeAdapter changes an adapter.
func (s *Service) ChangeAdapter(ctx context.Context, req *munimentv1.ChangeAdapterRequest) (*munimentv1.ChangeAdapterResponse, error) {
	d, st, err := s.directed(ctx, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	c := external.Change{Directed: d, Settings: st.Settings}
	changed(&c.Settings, req)
	res, err := adapter.Run(ctx, s.core, external.Changing, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeAdapterResponse{Change: adapter.Change(res)}, nil
}

// changed applies what a request gives to settings.
func changed(x *external.Settings, req *munimentv1.ChangeAdapterRequest) {
	if req.Name != nil {
		x.Name = req.GetName()
	}
	if req.EndpointUrl != nil {
		x.URL = req.GetEndpointUrl()
	}
	if req.IntervalSeconds != nil {
		x.Interval = int64(req.GetIntervalSeconds())
	}
	if req.BatchSize != nil {
		x.Batch = int64(req.GetBatchSize())
	}
	if req.MaxAttempts != nil {
		x.Attempts = int64(req.GetMaxAttempts())
	}
	if req.Unsealed != nil {
		x.Unsealed = req.GetUnsealed()
	}
}

// SetAdapterCredential replaces what an adapter proves itself by.
func (s *Service) SetAdapterCredential(ctx context.Context, req *munimentv1.SetAdapterCredentialRequest) (*munimentv1.SetAdapterCredentialResponse, error) {
	id, err := adapter.ID(idField, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	c, made, err := credential(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, external.SettingCredential, req, external.SetCredential{Adapter: id, Credential: c})
	if err != nil {
		return nil, err
	}
	return &munimentv1.SetAdapterCredentialResponse{Change: adapter.Change(res), SigningSecret: shown(res, made)}, nil
}

// on runs a command that needs no more than the adapter.
func (s *Service) on(ctx context.Context, d decide.Decider[external.State, external.On], req proto.Message, id string) (*munimentv1.Change, error) {
	return adapter.RunOn(ctx, s.core, d, req, idField, id, func(id event.ID) external.On { return external.On{Adapter: id} })
}

// PauseAdapter has an adapter do nothing for a while.
func (s *Service) PauseAdapter(ctx context.Context, req *munimentv1.PauseAdapterRequest) (*munimentv1.PauseAdapterResponse, error) {
	ch, err := s.on(ctx, external.Pausing, req, req.GetAdapterId())
	return &munimentv1.PauseAdapterResponse{Change: ch}, err
}

// ResumeAdapter ends a pause or a stop.
func (s *Service) ResumeAdapter(ctx context.Context, req *munimentv1.ResumeAdapterRequest) (*munimentv1.ResumeAdapterResponse, error) {
	d, _, err := s.directed(ctx, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, external.Resuming, req, d)
	if err != nil {
		return nil, err
	}
	return &munimentv1.ResumeAdapterResponse{Change: adapter.Change(res)}, nil
}

// RunAdapter has an adapter run at once.
func (s *Service) RunAdapter(ctx context.Context, req *munimentv1.RunAdapterRequest) (*munimentv1.RunAdapterResponse, error) {
	ch, err := s.on(ctx, external.Requesting, req, req.GetAdapterId())
	return &munimentv1.RunAdapterResponse{Change: ch}, err
}

// RewindAdapter has an adapter do again what it did.
func (s *Service) RewindAdapter(ctx context.Context, req *munimentv1.RewindAdapterRequest) (*munimentv1.RewindAdapterResponse, error) {
	d, _, err := s.directed(ctx, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, external.Rewinding, req, external.Rewind{Directed: d, Push: req.AfterPosition != nil, After: event.Position(req.GetAfterPosition()), Pull: req.GetPull()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.RewindAdapterResponse{Change: adapter.Change(res)}, nil
}

// RemoveAdapter ends an adapter for good.
func (s *Service) RemoveAdapter(ctx context.Context, req *munimentv1.RemoveAdapterRequest) (*munimentv1.RemoveAdapterResponse, error) {
	ch, err := s.on(ctx, external.Removing, req, req.GetAdapterId())
	return &munimentv1.RemoveAdapterResponse{Change: ch}, err
}
