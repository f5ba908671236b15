package session

import (
	"encoding/hex"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/project"
)

// Refusals.
var (
	ErrCodeSpent          = fault.New(fault.Refused, "the code was redeemed before")
	ErrAuthorizationEnded = fault.New(fault.Refused, "the authorization or its session has ended")
	ErrNoCode             = fault.New(fault.NotFound, "there is no such code")
)

// Authorization is what is known of one authorization, its session and its
// application.
type Authorization struct {
	CodeIssued
	Spent bool
	Ended bool

	Session State
	app     app.State
	project project.State
}

// EvolveAuthorization folds one fact.
func EvolveAuthorization(s Authorization, f event.Fact) Authorization {
	switch p := f.Payload.(type) {
	case CodeIssued:
		s.CodeIssued = p
	case CodeRedeemed:
		s.Spent = true
	case AuthorizationEnded:
		s.Ended = true
	default:
		s.Session = Evolve(s.Session, f)
		s.app = app.Evolve(s.app, f)
		s.project = project.Evolve(s.project, f)
	}
	return s
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
		decide.Facts{Types: []string{"application.added", "application.native.added", "application.removed"}, Stream: app.Stream(c.Application)},
		decide.Facts{Types: []string{"project.added", "project.removed"}, Stream: project.Stream(c.Project)},
	)
}

// StartAuthorization is an authorization of which nothing is known yet.
func StartAuthorization(c Subject) Authorization { return Authorization{Session: Start(c.User)} }

// Live returns nil if tokens of the authorization are good at a time, else
// ErrAuthorizationEnded.
func (s Authorization) Live(now event.Instant) error {
	if s.Authorization.IsZero() || s.Ended || s.usable(now) != nil {
		return ErrAuthorizationEnded
	}
	return nil
}

// usable checks session, person, application and project.
func (s Authorization) usable(now event.Instant) error {
	if err := s.Session.Live(now); err != nil {
		return err
	}
	if !s.app.Exists || !s.project.Exists {
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
	AuthTime    event.Instant
	AMR         []string
	ACR         string
	Consented   bool
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
		return s.event(c.Subject.Authorization, CodeIssued{
			Authorization: c.Subject.Authorization, Session: c.Subject.Session, User: c.User, Organization: c.Organization, Application: c.Application,
			Code: event.Seal(hex.EncodeToString(c.CodeHash[:])), RedirectURI: c.RedirectURI, Challenge: event.Seal(c.Challenge),
			Nonce: event.Seal(c.Nonce), Scopes: c.Scopes, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR, Consented: c.Consented, Expires: c.Expires,
		}), nil
	},
}

func (s Authorization) event(id event.ID, payloads ...any) []event.New {
	out := make([]event.New, len(payloads))
	for i, p := range payloads {
		out[i] = event.New{Stream: AuthorizationStream(id), Payload: p}
	}
	return out
}

// Redeem exchanges a code for tokens.
type Redeem struct {
	Subject
	Token   event.ID // jti of the access token
	Now     event.Instant
	Expires event.Instant // of the access token
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
		case c.Now >= s.CodeIssued.Expires:
			return nil, ErrAuthorizationEnded
		}
		if err := s.Live(c.Now); err != nil {
			return nil, err
		}
		i := s.CodeIssued
		return s.event(i.Authorization,
			CodeRedeemed{i.Authorization, i.Session, i.User, i.Organization, i.Application},
			TokenIssued{i.Authorization, c.Token, i.Session, i.User, i.Organization, i.Application, c.Expires}), nil
	},
}

// EndAuthorization ends an authorization and its tokens.
type EndAuthorization struct {
	Authorization event.ID
	Reason        string
}

// EndingAuthorization decides EndAuthorization; ending twice does nothing.
var EndingAuthorization = decide.Decider[Authorization, EndAuthorization]{
	Name: "end an authorization",
	Query: func(c EndAuthorization) []decide.Facts {
		return []decide.Facts{{Stream: AuthorizationStream(c.Authorization)}}
	},
	Evolve: EvolveAuthorization,
	Allow: func(a authz.Authority, s Authorization, _ EndAuthorization) error {
		if a.IsSystem() || a.Is(s.User) {
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
