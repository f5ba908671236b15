// Package policyapi is the face of policies in the API: it translates requests
// into commands and rows into answers, and decides nothing.
package policyapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/user"
	"muniment.dev/view"
)

// Service implements munimentv1connect.PolicyServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

// change runs the change of a policy. A policy that is left out is no policy:
// all zeros would be one that somebody meant.
func change[V any](ctx context.Context, s *Service, d decide.Decider[policy.State, policy.Change[V]], req interface {
	proto.Message
	GetScope() *munimentv1.Scope
	GetAcknowledge() []string
}, given bool, p V) (*munimentv1.Change, error) {
	o, err := adapter.Scope("scope", req.GetScope())
	if err != nil {
		return nil, err
	}
	if !given {
		return nil, fault.Field("policy", "is missing; a change says the whole policy")
	}
	res, err := adapter.Run(ctx, s.core, d, req, policy.Change[V]{Organization: o, Policy: p, Acknowledge: req.GetAcknowledge()})
	if err != nil {
		return nil, err
	}
	return adapter.Change(res), nil
}

// ChangePasswordPolicy sets what passwords must be like.
func (s *Service) ChangePasswordPolicy(ctx context.Context, req *munimentv1.ChangePasswordPolicyRequest) (*munimentv1.ChangePasswordPolicyResponse, error) {
	p := req.GetPolicy()
	ch, err := change(ctx, s, policy.ChangingPassword, req, p != nil, policy.Password{MinLength: p.GetMinLength(), Upper: p.GetNeedsUpperCase(), Lower: p.GetNeedsLowerCase(),
		Digit: p.GetNeedsDigit(), Symbol: p.GetNeedsSymbol(), History: p.GetHistory(), MaxAge: p.GetMaxAgeDays(), Personal: p.GetAllowsPersonal()})
	return &munimentv1.ChangePasswordPolicyResponse{Change: ch}, err
}

// ChangeLockoutPolicy sets when accounts are locked out.
func (s *Service) ChangeLockoutPolicy(ctx context.Context, req *munimentv1.ChangeLockoutPolicyRequest) (*munimentv1.ChangeLockoutPolicyResponse, error) {
	p := req.GetPolicy()
	ch, err := change(ctx, s, policy.ChangingLockout, req, p != nil, policy.Lockout{Attempts: p.GetAttempts(), Window: p.GetWindowSeconds(), Duration: p.GetDurationSeconds()})
	return &munimentv1.ChangeLockoutPolicyResponse{Change: ch}, err
}

// ChangeSessionPolicy sets how long people stay signed in.
func (s *Service) ChangeSessionPolicy(ctx context.Context, req *munimentv1.ChangeSessionPolicyRequest) (*munimentv1.ChangeSessionPolicyResponse, error) {
	p := req.GetPolicy()
	ch, err := change(ctx, s, policy.ChangingSession, req, p != nil, policy.Session{Lifetime: p.GetLifetimeSeconds(), Idle: p.GetIdleSeconds(), Password: p.GetPasswordSeconds()})
	return &munimentv1.ChangeSessionPolicyResponse{Change: ch}, err
}

// ChangeTokenPolicy sets how long tokens last.
func (s *Service) ChangeTokenPolicy(ctx context.Context, req *munimentv1.ChangeTokenPolicyRequest) (*munimentv1.ChangeTokenPolicyResponse, error) {
	p := req.GetPolicy()
	ch, err := change(ctx, s, policy.ChangingToken, req, p != nil, policy.Token{Access: p.GetAccessSeconds(), ID: p.GetIdSeconds(),
		RefreshIdle: p.GetRefreshIdleSeconds(), RefreshLifetime: p.GetRefreshLifetimeSeconds()})
	return &munimentv1.ChangeTokenPolicyResponse{Change: ch}, err
}

var kinds = map[munimentv1.PolicyKind]policy.Kind{
	munimentv1.PolicyKind_POLICY_KIND_PASSWORD: policy.OfPasswords,
	munimentv1.PolicyKind_POLICY_KIND_LOCKOUT:  policy.OfLockout,
	munimentv1.PolicyKind_POLICY_KIND_SESSION:  policy.OfSessions,
	munimentv1.PolicyKind_POLICY_KIND_TOKEN:    policy.OfTokens,
}

// ResetPolicy takes a policy back.
func (s *Service) ResetPolicy(ctx context.Context, req *munimentv1.ResetPolicyRequest) (*munimentv1.ResetPolicyResponse, error) {
	o, err := adapter.Scope("scope", req.GetScope())
	if err != nil {
		return nil, err
	}
	kind, ok := kinds[req.GetKind()]
	if !ok {
		return nil, fault.Field("kind", "must be password, lockout, session or token")
	}
	res, err := adapter.Run(ctx, s.core, policy.Resetting, req, policy.Reset{Organization: o, Kind: kind})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ResetPolicyResponse{Change: adapter.Change(res)}, nil
}

// GetPolicies answers what holds somewhere, and who says so.
func (s *Service) GetPolicies(ctx context.Context, req *munimentv1.GetPoliciesRequest) (*munimentv1.GetPoliciesResponse, error) {
	var o event.ID // of the instance, if nothing is said
	if req.GetScope() != nil {
		var err error
		if o, err = adapter.Scope("scope", req.GetScope()); err != nil {
			return nil, err
		}
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	if err := visible(ctx, r, o); err != nil {
		return nil, err
	}
	st, err := policy.Read(func(table string, key view.Values) (view.Row, bool, error) { return r.Get(ctx, table, key) }, o)
	if err != nil {
		return nil, err
	}
	return answer(st), nil
}

// visible returns nil if the caller may know the policies of an organization:
// whoever sees it or is at home in it, and those of the instance everybody.
func visible(ctx context.Context, r *adapter.Reading, organization event.ID) error {
	if organization.IsZero() {
		return nil
	}
	_, exists, err := r.Get(ctx, org.Table, view.Values{"id": organization})
	if err != nil {
		return err
	}
	if exists && r.Sees(organization, event.ID{}) {
		return nil
	}
	if r.Who.Is(r.Who.Actor.ID) {
		row, ok, err := r.Get(ctx, user.Table, view.Values{"id": r.Who.Actor.ID})
		if err != nil {
			return err
		}
		if ok && row.ID("organization") == organization {
			return nil
		}
	}
	return org.ErrNotFound
}

var sources = map[policy.Source]munimentv1.PolicySource{
	policy.BuiltIn:      munimentv1.PolicySource_POLICY_SOURCE_BUILT_IN,
	policy.FromInstance: munimentv1.PolicySource_POLICY_SOURCE_INSTANCE,
	policy.FromOwn:      munimentv1.PolicySource_POLICY_SOURCE_ORGANIZATION,
}

func answer(st policy.State) *munimentv1.GetPoliciesResponse {
	p, ofPassword := st.Password()
	l, ofLockout := st.Lockout()
	s, ofSession := st.Session()
	t, ofToken := st.Token()
	return &munimentv1.GetPoliciesResponse{
		PasswordPolicy: &munimentv1.PasswordPolicy{MinLength: p.MinLength, NeedsUpperCase: p.Upper, NeedsLowerCase: p.Lower, NeedsDigit: p.Digit,
			NeedsSymbol: p.Symbol, History: p.History, MaxAgeDays: p.MaxAge, AllowsPersonal: p.Personal},
		LockoutPolicy:  &munimentv1.LockoutPolicy{Attempts: l.Attempts, WindowSeconds: l.Window, DurationSeconds: l.Duration},
		SessionPolicy:  &munimentv1.SessionPolicy{LifetimeSeconds: s.Lifetime, IdleSeconds: s.Idle, PasswordSeconds: s.Password},
		TokenPolicy:    &munimentv1.TokenPolicy{AccessSeconds: t.Access, IdSeconds: t.ID, RefreshIdleSeconds: t.RefreshIdle, RefreshLifetimeSeconds: t.RefreshLifetime},
		PasswordSource: sources[ofPassword], LockoutSource: sources[ofLockout], SessionSource: sources[ofSession], TokenSource: sources[ofToken],
	}
}
