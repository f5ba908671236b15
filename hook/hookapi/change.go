package hookapi

import (
	"context"
	"slices"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit/auditapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/hook/webhook"
)

// Defaults of what a request leaves open.
const (
	defaultCalls, defaultOut         = 8, 100
	defaultAttempts, defaultPullings = 20, 5
)

// deliveries are the ways of delivery by their name in the log.
var deliveries = map[hook.Delivery]munimentv1.SubscriptionDelivery{
	hook.Webhook: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK,
	hook.Pull:    munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL,
}

// CreateSubscription subscribes to events.
func (s *Service) CreateSubscription(ctx context.Context, req *munimentv1.CreateSubscriptionRequest) (*munimentv1.CreateSubscriptionResponse, error) {
	c := hook.Create{Subscription: event.NewID(), Settings: hook.Settings{Name: req.GetName(), URL: req.GetEndpointUrl(), Concurrency: int64(req.GetMaxInFlight()),
		Attempts: int64(req.GetMaxAttempts()), Unsealed: req.GetUnsealed(), Verify: req.GetVerify()}}
	var err error
	if c.Owner, err = owner(ctx); err != nil {
		return nil, err
	}
	if c.Organization, err = adapter.Scope("scope", req.GetScope()); err != nil {
		return nil, err
	}
	if c.Settings.Filter, err = filter(req.GetFilter(), c.Organization); err != nil {
		return nil, err
	}
	for d, m := range deliveries {
		if m == req.GetDelivery() {
			c.Delivery = d
		}
	}
	c.After = s.core.Runner.Log.Mark().Size
	if req.AfterPosition != nil {
		if c.After, err = s.place(ctx, req.GetLogId(), req.GetAfterPosition()); err != nil {
			return nil, err
		}
	}
	defaults(&c)
	if c.Delivery == hook.Webhook {
		c.Secret = newSecret()
	}
	res, err := adapter.Run(ctx, s.core, hook.Creating, req, c)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateSubscriptionResponse{Change: adapter.Change(res), SubscriptionId: res.Stream.ID.String()}
	if c.Delivery != hook.Webhook {
		return out, nil
	}
	out.SecretId, out.SigningSecret, err = s.shown(ctx, res, c.Secret)
	return out, err
}

// defaults fills in what a request left open.
func defaults(c *hook.Create) {
	calls, attempts := int64(defaultOut), int64(defaultPullings)
	if c.Delivery == hook.Webhook {
		calls, attempts = defaultCalls, defaultAttempts
	}
	if c.Settings.Concurrency == 0 {
		c.Settings.Concurrency = calls
	}
	if c.Settings.Attempts == 0 {
		c.Settings.Attempts = attempts
	}
}

// place reads a position to go on behind.
func (s *Service) place(ctx context.Context, log string, p uint64) (event.Position, error) {
	if err := adapter.Held(s.core.Runner.Log, "log_id", log, event.Position(p)); err != nil {
		return 0, err
	}
	return adapter.Point(ctx, s.core.Runner.Log, "after_position", event.Position(p), "", nil)
}

// filter reads which events are wanted, by the rules of the API of events.
func filter(m *munimentv1.SubscribedEvents, organization event.ID) (hook.Filter, error) {
	f := hook.Filter{Types: m.GetTypes(), Streams: m.GetStreams(), Actors: m.GetActors(), Tags: m.GetTags()}
	read, err := auditapi.FilterOf(&munimentv1.EventFilter{Types: f.Types, Streams: f.Streams, Actors: f.Actors, Tags: f.Tags, OrganizationIds: m.GetOrganizationIds(), UserIds: m.GetUserIds()})
	if err != nil {
		return f, err
	}
	f.Within, f.Users = read.Organizations, read.Users
	if !organization.IsZero() && slices.ContainsFunc(f.Within, func(o event.ID) bool { return o != organization }) {
		return f, fault.Field("filter.organization_ids", "a subscription of an organization gets the events of that one only; leave this out")
	}
	return f, nil
}

// ChangeSubscription changes what is given.
func (s *Service) ChangeSubscription(ctx context.Context, req *munimentv1.ChangeSubscriptionRequest) (*munimentv1.ChangeSubscriptionResponse, error) {
	id, err := adapter.ID(idField, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	by, err := owner(ctx)
	if err != nil {
		return nil, err
	}
	st, err := s.state(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) { // the decider says that, to those who may know
		return nil, err
	}
	c := hook.Change{Subscription: id, Owner: by, Settings: st.Settings}
	if err := changed(&c.Settings, req, st.Organization); err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, hook.Changing, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeSubscriptionResponse{Change: adapter.Change(res)}, nil
}

// changed applies what a request gives to settings.
func changed(s *hook.Settings, req *munimentv1.ChangeSubscriptionRequest, organization event.ID) (err error) {
	if req.Name != nil {
		s.Name = req.GetName()
	}
	if req.EndpointUrl != nil {
		s.URL = req.GetEndpointUrl()
	}
	if req.MaxInFlight != nil {
		s.Concurrency = int64(req.GetMaxInFlight())
	}
	if req.MaxAttempts != nil {
		s.Attempts = int64(req.GetMaxAttempts())
	}
	if req.Unsealed != nil {
		s.Unsealed = req.GetUnsealed()
	}
	if req.Verify != nil {
		s.Verify = req.GetVerify()
	}
	if req.GetFilter() != nil {
		s.Filter, err = filter(req.GetFilter(), organization)
	}
	return err
}

// PauseSubscription ends delivery for a while.
func (s *Service) PauseSubscription(ctx context.Context, req *munimentv1.PauseSubscriptionRequest) (*munimentv1.PauseSubscriptionResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, hook.Pausing, req, idField, req.GetSubscriptionId(), func(id event.ID) hook.Pause { return hook.Pause{Subscription: id} })
	return &munimentv1.PauseSubscriptionResponse{Change: ch}, err
}

// ResumeSubscription ends a pause or a stop.
func (s *Service) ResumeSubscription(ctx context.Context, req *munimentv1.ResumeSubscriptionRequest) (*munimentv1.ResumeSubscriptionResponse, error) {
	by, err := owner(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, hook.Resuming, req, idField, req.GetSubscriptionId(), func(id event.ID) hook.Resume { return hook.Resume{Subscription: id, Owner: by} })
	return &munimentv1.ResumeSubscriptionResponse{Change: ch}, err
}

// RewindSubscription goes on behind another position.
func (s *Service) RewindSubscription(ctx context.Context, req *munimentv1.RewindSubscriptionRequest) (*munimentv1.RewindSubscriptionResponse, error) {
	after, err := s.place(ctx, req.GetLogId(), req.GetAfterPosition())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, hook.Rewinding, req, idField, req.GetSubscriptionId(), func(id event.ID) hook.Rewind { return hook.Rewind{Subscription: id, After: after} })
	return &munimentv1.RewindSubscriptionResponse{Change: ch}, err
}

// RemoveSubscription ends a subscription for good.
func (s *Service) RemoveSubscription(ctx context.Context, req *munimentv1.RemoveSubscriptionRequest) (*munimentv1.RemoveSubscriptionResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, hook.Removing, req, idField, req.GetSubscriptionId(), func(id event.ID) hook.Remove { return hook.Remove{Subscription: id} })
	return &munimentv1.RemoveSubscriptionResponse{Change: ch}, err
}

// CreateSigningSecret has deliveries signed with one more secret.
func (s *Service) CreateSigningSecret(ctx context.Context, req *munimentv1.CreateSigningSecretRequest) (*munimentv1.CreateSigningSecretResponse, error) {
	id, err := adapter.ID(idField, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	n := newSecret()
	res, err := adapter.Run(ctx, s.core, hook.AddingSecret, req, hook.AddSecret{Subscription: id, Secret: n})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateSigningSecretResponse{Change: adapter.Change(res)}
	out.SecretId, out.SigningSecret, err = s.shown(ctx, res, n)
	return out, err
}

// shown is what is answered of a new secret. That of a repeated attempt is
// recorded nowhere: only the id of the first is known then.
func (s *Service) shown(ctx context.Context, res decide.Result, n hook.NewSecret) (id, secret string, err error) {
	if !res.Replayed {
		return n.ID.String(), webhook.Secret(n.Key[:]), nil
	}
	id, err = s.addedSecret(ctx, res.Last)
	return id, "", err
}

// addedSecret is the id of the secret that a record added.
func (s *Service) addedSecret(ctx context.Context, p event.Position) (string, error) {
	r, err := s.core.Runner.Log.Record(ctx, p)
	if err != nil {
		return "", err
	}
	f, err := s.core.Runner.Sealer.Decode(ctx, r)
	if err != nil {
		return "", err
	}
	added, _ := f.Payload.(hook.SecretAdded)
	return added.Secret.String(), nil
}

// RemoveSigningSecret ends that deliveries are signed with a secret.
func (s *Service) RemoveSigningSecret(ctx context.Context, req *munimentv1.RemoveSigningSecretRequest) (*munimentv1.RemoveSigningSecretResponse, error) {
	secret, err := adapter.ID("secret_id", req.GetSecretId())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, hook.RemovingSecret, req, idField, req.GetSubscriptionId(), func(id event.ID) hook.RemoveSecret {
		return hook.RemoveSecret{Subscription: id, Secret: secret}
	})
	return &munimentv1.RemoveSigningSecretResponse{Change: ch}, err
}
