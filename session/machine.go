package session

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/user"
)

// MachineTokenIssued says that a machine user got an access token of its own
// (RFC 6749 §4.4). There is no session and no refresh token: it gets another
// with its secret or key.
type MachineTokenIssued struct {
	Token        event.ID      `event:"token,public"` // its jti
	User         event.ID      `event:"user,public,tag=user"`
	Organization event.ID      `event:"organization,public,tag=org"`
	Credential   event.ID      `event:"credential,public"` // the secret or key by which it proved itself
	Scopes       []string      `event:"scopes,public"`
	Audience     []string      `event:"audience,public"`
	Issued       event.Instant `event:"issued,public"`
	Expires      event.Instant `event:"expires,public"`
}

// MachineTokenRevoked says that an access token of a machine user is good no
// more where the server is asked.
type MachineTokenRevoked struct {
	Token        event.ID `event:"token,public"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

func machineEvents() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[MachineTokenIssued]("user.token.issued", 1, "{user} got a token of its own"),
		event.Describe[MachineTokenRevoked]("user.token.revoked", 1, "a token of {user} was revoked"),
	}
}

// TokenStream is the stream of an access token of a machine user.
func TokenStream(token event.ID) event.Stream { return event.Stream{Kind: "token", ID: token} }

// MachineToken is what is known of an access token of a machine user, and of
// whom it rests on.
type MachineToken struct {
	MachineTokenIssued
	Revoked bool

	user user.State
	org  org.State
}

// EvolveMachineToken folds one fact.
func EvolveMachineToken(s MachineToken, f event.Fact) MachineToken {
	switch p := f.Payload.(type) {
	case MachineTokenIssued:
		s.MachineTokenIssued = p
	case MachineTokenRevoked:
		s.Revoked = true
	default:
		s.user = user.Evolve(s.user, f)
		s.org = org.Evolve(s.org, f)
	}
	return s
}

// MachineTokenFacts are the facts of one access token of a machine user of an
// organization.
func MachineTokenFacts(token, u, organization event.ID) []decide.Facts {
	return append(standing(u, organization), decide.Facts{Stream: TokenStream(token)})
}

// StartMachineToken is a token of which nothing is known but whose it is said
// to be.
func StartMachineToken(u event.ID) MachineToken { return MachineToken{user: user.Start(u)} }

// ErrMachine refuses a token to a machine user that is out of use, or whose
// secret or key is.
var ErrMachine = fault.New(fault.Unauthenticated, "the machine user, or its secret or key, is out of use")

// usable returns nil if the machine user may have tokens with a secret or key.
func (s MachineToken) usable(credential event.ID, now event.Instant) error {
	if !s.user.Machine || s.user.Status != user.Active || s.org.Usable() != nil || !s.user.Credentials.Live(credential, now) {
		return ErrMachine
	}
	return nil
}

// Live returns nil if the token is good at a time. It ends with the secret or
// key that it was got with, if that is removed: who learned a secret must not
// stay for a while when it goes.
func (s MachineToken) Live(now event.Instant) error {
	if s.Token.IsZero() || s.Revoked || s.User != s.user.User || now >= s.Expires {
		return ErrMachine
	}
	return s.usable(s.Credential, now)
}

// IssueMachineToken gives a machine user a token.
type IssueMachineToken struct {
	User, Organization event.ID
	Credential         event.ID
	Access             Access
	Now                event.Instant
}

// IssuingMachineToken decides IssueMachineToken. The machine user gives it,
// having proved itself by the secret or key.
var IssuingMachineToken = decide.Decider[MachineToken, IssueMachineToken]{
	Name:  "get a token",
	Start: func(c IssueMachineToken) MachineToken { return StartMachineToken(c.User) },
	Query: func(c IssueMachineToken) []decide.Facts {
		return MachineTokenFacts(c.Access.Token, c.User, c.Organization)
	},
	Evolve: EvolveMachineToken,
	Allow: func(a authz.Authority, _ MachineToken, c IssueMachineToken) error {
		if !a.Is(c.User) {
			return authz.Denied("be the machine user whose token it is")
		}
		return nil
	},
	Decide: func(s MachineToken, c IssueMachineToken) ([]event.New, error) {
		if !s.Token.IsZero() {
			return nil, nil
		}
		if s.user.Organization != c.Organization {
			return nil, ErrMachine
		}
		if err := s.usable(c.Credential, c.Now); err != nil {
			return nil, err
		}
		return []event.New{{Stream: TokenStream(c.Access.Token), Payload: MachineTokenIssued{Token: c.Access.Token, User: c.User, Organization: c.Organization,
			Credential: c.Credential, Scopes: slices.Clone(c.Access.Scopes), Audience: c.Access.Audience, Issued: c.Now, Expires: c.Access.Expires}}}, nil
	},
}

// RevokeMachineToken ends a token of a machine user.
type RevokeMachineToken struct{ Token event.ID }

// RevokingMachineToken decides RevokeMachineToken; once is enough.
var RevokingMachineToken = decide.Decider[MachineToken, RevokeMachineToken]{
	Name: "revoke a token of a machine user",
	Query: func(c RevokeMachineToken) []decide.Facts {
		return []decide.Facts{{Stream: TokenStream(c.Token)}}
	},
	Evolve: EvolveMachineToken,
	Allow: func(a authz.Authority, s MachineToken, _ RevokeMachineToken) error {
		if a.Is(s.User) {
			return nil
		}
		return a.Need(authz.ManageUsers, authz.Of(s.Organization))
	},
	Decide: func(s MachineToken, c RevokeMachineToken) ([]event.New, error) {
		switch {
		case s.Token.IsZero():
			return nil, ErrNoToken
		case s.Revoked:
			return nil, nil
		}
		return []event.New{{Stream: TokenStream(c.Token), Payload: MachineTokenRevoked{s.Token, s.User, s.Organization}}}, nil
	},
}
