package session

import (
	"encoding/hex"
	"slices"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/project"
	"muniment.dev/user"
)

// Refusals.
var (
	ErrCodeSpent          = fault.New(fault.Refused, "the code was redeemed before")
	ErrAuthorizationEnded = fault.New(fault.Refused, "the authorization or its session has ended")
	ErrNoCode             = fault.New(fault.NotFound, "there is no such code")
)

// OfflineAccess is the scope with which an authorization outlives the session
// in which it was given (OpenID Connect Core §11).
const OfflineAccess = "offline_access"

// Authorization is what is known of one authorization, its session and its
// application.
type Authorization struct {
	CodeIssued
	Spent   bool // its code
	Ended   bool
	Refresh RefreshTokenIssued // the last one; number 0 if there is none

	Session State
	app     app.State
	project project.State
	// cut: what ends a person's sessions for good happened since, or theirs
	// was ended by somebody other than by signing out, or consent withdrawn.
	cut     bool
	consent Consent
	revoked []TokenRevoked // access tokens that have not expired yet
}

// EvolveAuthorization folds one fact.
func EvolveAuthorization(s Authorization, f event.Fact) Authorization {
	switch p := f.Payload.(type) {
	case CodeIssued:
		s.CodeIssued, s.cut = p, false
	case CodeRedeemed:
		s.Spent = true
	case TokenIssued:
		s.revoked = unexpired(s.revoked, p.Issued)
	case TokenRevoked:
		s.revoked = append(slices.Clip(s.revoked), p)
	case RefreshTokenIssued:
		s.Refresh = p
	case AuthorizationEnded:
		s.Ended = true
	case ConsentGiven:
		s.consent = EvolveConsent(s.consent, f)
	case ConsentWithdrawn:
		s.consent, s.cut = EvolveConsent(s.consent, f), true
	case Ended:
		s.cut = s.cut || p.Reason != SignedOut
		s.Session = Evolve(s.Session, f)
	case app.Removed: // restored, it begins anew with everybody
		s.cut = true
		s.app = app.Evolve(s.app, f)
	case project.Removed:
		s.cut = true
		s.project = project.Evolve(s.project, f)
	case user.Locked, user.Deactivated, user.Erased, user.PasswordSet:
		s.cut = true
		s.Session = Evolve(s.Session, f)
	default:
		s.Session = Evolve(s.Session, f)
		s.app = app.Evolve(s.app, f)
		s.project = project.Evolve(s.project, f)
	}
	return s
}

// unexpired leaves out the tokens that have expired at a time.
func unexpired(revoked []TokenRevoked, now event.Instant) []TokenRevoked {
	if !slices.ContainsFunc(revoked, func(t TokenRevoked) bool { return t.Expires <= now }) {
		return revoked
	}
	return slices.DeleteFunc(slices.Clone(revoked), func(t TokenRevoked) bool { return t.Expires <= now })
}

// Subject names what an authorization rests on; all of it stands in its code
// and its tokens.
type Subject struct {
	Authorization, Session, User, Organization, Application, Project event.ID
}

// AuthorizationFacts are the facts of one authorization.
func AuthorizationFacts(c Subject) []decide.Facts {
	return append(Facts(c.Session, c.User, c.Organization),
		decide.Facts{Stream: AuthorizationStream(c.Authorization)},
		ConsentFacts(c.User, c.Application),
		app.Standing(c.Application),
		decide.Facts{Types: project.Types, Stream: project.Stream(c.Project)},
	)
}

// StartAuthorization is an authorization of which nothing is known yet.
func StartAuthorization(c Subject) Authorization { return Authorization{Session: Start(c.User)} }

// Offline reports whether the authorization outlives its session.
func (s Authorization) Offline() bool { return slices.Contains(s.Scopes, OfflineAccess) }

// Live returns nil if tokens of the authorization are good at a time, else
// ErrAuthorizationEnded.
func (s Authorization) Live(now event.Instant) error {
	err := s.reachable()
	if !s.Offline() && err == nil {
		err = s.Session.Live(now)
	}
	if s.Authorization.IsZero() || s.Ended || s.cut || err != nil || s.Session.user.Status != user.Active || s.Session.org.Usable() != nil {
		return ErrAuthorizationEnded
	}
	return nil
}

// TokenLive is Live for one access token.
func (s Authorization) TokenLive(token event.ID, now event.Instant) error {
	if slices.ContainsFunc(s.revoked, func(t TokenRevoked) bool { return t.Token == token }) {
		return ErrAuthorizationEnded
	}
	return s.Live(now)
}

// usable checks session, person, application and project.
func (s Authorization) usable(now event.Instant) error {
	if err := s.Session.Live(now); err != nil {
		return err
	}
	return s.reachable()
}

// reachable checks application and project.
func (s Authorization) reachable() error {
	if s.app.Usable() != nil || s.project.Usable() != nil {
		return app.ErrNotFound
	}
	return nil
}

// IssueCode lets an application in.
type IssueCode struct {
	Subject
	CodeHash    [32]byte
	RedirectURI string
	Challenge   string
	Nonce       string
	Scopes      []string
	Resources   []string
	AuthTime    event.Instant
	AMR         []string
	ACR         string
	Consented   bool // the person was asked and agreed
	Needs       bool // without having agreed, now or before, the application gets nothing
	Now         event.Instant
	Expires     event.Instant
}

// IssuingCode decides IssueCode. The person gives it, in their session.
var IssuingCode = decide.Decider[Authorization, IssueCode]{
	Name:   "let an application in",
	Start:  func(c IssueCode) Authorization { return StartAuthorization(c.Subject) },
	Query:  func(c IssueCode) []decide.Facts { return AuthorizationFacts(c.Subject) },
	Evolve: EvolveAuthorization,
	Allow: func(a authz.Authority, _ Authorization, c IssueCode) error {
		if !a.Is(c.User) {
			return authz.Denied("be the person who is signed in")
		}
		return nil
	},
	Decide: func(s Authorization, c IssueCode) ([]event.New, error) {
		if err := s.usable(c.Now); err != nil {
			return nil, err
		}
		given, err := s.agreed(c)
		if err != nil {
			return nil, err
		}
		return append(given, s.event(c.Subject.Authorization, CodeIssued{
			Authorization: c.Subject.Authorization, Session: c.Subject.Session, User: c.User, Organization: c.Organization, Application: c.Application,
			Code: event.Seal(hex.EncodeToString(c.CodeHash[:])), RedirectURI: c.RedirectURI, Challenge: event.Seal(c.Challenge),
			Nonce: event.Seal(c.Nonce), Scopes: c.Scopes, Resources: c.Resources, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR, Consented: c.Consented, Expires: c.Expires,
		})...), nil
	},
}

// agreed says that the person agreed to what they had not agreed to before.
func (s Authorization) agreed(c IssueCode) ([]event.New, error) {
	switch {
	case s.consent.Covers(c.Scopes):
		return nil, nil
	case c.Consented:
		return []event.New{{Stream: ConsentStream(c.User), Payload: ConsentGiven{c.User, c.Organization, c.Application, s.consent.with(c.Scopes)}}}, nil
	case c.Needs:
		return nil, ErrConsentNeeded
	}
	return nil, nil
}

func (s Authorization) event(id event.ID, payloads ...any) []event.New {
	out := make([]event.New, len(payloads))
	for i, p := range payloads {
		out[i] = event.New{Stream: AuthorizationStream(id), Payload: p}
	}
	return out
}

// Access is an access token that is to be issued.
type Access struct {
	Token    event.ID  // jti
	Digest   *[32]byte // SHA-256 of an opaque one; nil: a JWT
	Scopes   []string
	Audience []string
	Expires  event.Instant
}

// Redeem exchanges a code for tokens.
type Redeem struct {
	Subject
	Access  Access
	Refresh *Refreshing // nil: no refresh token
	Now     event.Instant
}

// Redeeming decides Redeem: of any number at once, exactly one. The
// application gives it, having shown the code and proved itself.
var Redeeming = decide.Decider[Authorization, Redeem]{
	Name:   "redeem a code",
	Start:  func(c Redeem) Authorization { return StartAuthorization(c.Subject) },
	Query:  func(c Redeem) []decide.Facts { return AuthorizationFacts(c.Subject) },
	Evolve: EvolveAuthorization,
	Allow:  func(authz.Authority, Authorization, Redeem) error { return nil },
	Decide: func(s Authorization, c Redeem) ([]event.New, error) {
		switch {
		case s.Authorization.IsZero():
			return nil, ErrNoCode
		case s.Spent:
			return nil, ErrCodeSpent
		case c.Now >= s.CodeIssued.Expires || s.usable(c.Now) != nil:
			return nil, ErrAuthorizationEnded
		}
		if err := s.Live(c.Now); err != nil {
			return nil, err
		}
		i := s.CodeIssued
		return s.event(i.Authorization, append([]any{CodeRedeemed{i.Authorization, i.Session, i.User, i.Organization, i.Application}},
			s.tokens(c.Access, c.Refresh, c.Now)...)...), nil
	},
}

// tokens says that tokens are issued.
func (s Authorization) tokens(a Access, next *Refreshing, now event.Instant) []any {
	i := s.CodeIssued
	t := TokenIssued{Authorization: i.Authorization, Token: a.Token, Session: i.Session, User: i.User, Organization: i.Organization,
		Application: i.Application, Scopes: a.Scopes, Audience: a.Audience, Issued: now, Expires: a.Expires}
	if a.Digest != nil {
		t.Opaque = event.Seal(hex.EncodeToString(a.Digest[:]))
	}
	if next == nil {
		return []any{t}
	}
	return []any{t, RefreshTokenIssued{Authorization: i.Authorization, Number: s.Refresh.Number + 1, Token: a.Token, Session: i.Session, User: i.User,
		Organization: i.Organization, Application: i.Application, Refresh: event.Seal(hex.EncodeToString(next.Digest[:])), Expires: next.Expires}}
}

// EndAuthorization ends an authorization and its tokens.
type EndAuthorization struct {
	Authorization event.ID
	Reason        string
}

// EndingAuthorization decides EndAuthorization; ending twice does nothing. It
// rests on nothing that happens often: whatever is issued at the same moment
// cannot keep it from happening.
var EndingAuthorization = decide.Decider[Authorization, EndAuthorization]{
	Name: "end an authorization",
	Query: func(c EndAuthorization) []decide.Facts {
		return []decide.Facts{{Types: []string{"authorization.code.issued", "authorization.ended"}, Stream: AuthorizationStream(c.Authorization)}}
	},
	Evolve: EvolveAuthorization,
	Allow: func(a authz.Authority, s Authorization, _ EndAuthorization) error {
		if a.IsSystem() || a.Is(s.User) || a.Actor == (event.Actor{Kind: "application", ID: s.Application}) {
			return nil
		}
		return a.Need(authz.ManageUsers, authz.Of(s.Organization))
	},
	Decide: func(s Authorization, c EndAuthorization) ([]event.New, error) {
		if s.Ended {
			return nil, nil
		}
		if s.Authorization.IsZero() {
			return nil, ErrNoCode
		}
		i := s.CodeIssued
		return s.event(i.Authorization, AuthorizationEnded{i.Authorization, i.Session, i.User, i.Organization, i.Application, c.Reason}), nil
	},
}

// ByCode are the facts that find an authorization by the SHA-256 of its code.
func ByCode(hash [32]byte) []decide.Facts {
	return []decide.Facts{{Types: []string{"authorization.code.issued"}, Blind: &decide.Blind{Name: "code", Value: hex.EncodeToString(hash[:])}}}
}
