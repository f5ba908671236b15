package session

import (
	"crypto/subtle"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/user"
)

// Refusals.
var (
	ErrNoSession    = fault.New(fault.Unauthenticated, "the session has ended; sign in again")
	ErrNotSelf      = fault.New(fault.NotFound, "there is no such session")
	ErrPassword     = fault.New(fault.Unauthenticated, "the e-mail address or the password is not right")
	ErrMayNotSignIn = fault.New(fault.Refused, "this account cannot be used at the moment; ask your administrator")
	ErrEnded        = fault.New(fault.Refused, "the session has ended already")
)

// State is what is known of one session and of its person's standing.
type State struct {
	Begun
	Over bool // ended, or its person was locked, deactivated, erased or got another password since

	user user.State
	org  org.State
}

// Evolve folds one fact of a session's stream, its user's and organization's.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Begun:
		s.Begun, s.Over = p, false
	case Renewed:
		s.Digest, s.AuthTime, s.Expires = p.Digest, p.AuthTime, p.Expires
	case Ended:
		s.Over = true
	case user.Locked, user.Deactivated, user.Erased, user.PasswordSet:
		s.Over = true
		s.user = user.Evolve(s.user, f)
	default:
		s.user = user.Evolve(s.user, f)
		s.org = org.Evolve(s.org, f)
	}
	return s
}

// Facts are the facts of one session of a user of an organization.
func Facts(session, u, organization event.ID) []decide.Facts {
	return append(standing(u, organization), decide.Facts{Stream: Stream(session)})
}

// standing are the facts that say whether a user may be signed in.
func standing(u, organization event.ID) []decide.Facts {
	return []decide.Facts{
		{Stream: user.Stream(u)},
		{Types: org.Types, Stream: org.Stream(organization)},
	}
}

// Start is a session of which nothing is known but whose it is said to be.
func Start(u event.ID) State { return State{user: user.Start(u)} }

// Live returns nil if the session is good at a time, else ErrNoSession.
func (s State) Live(now event.Instant) error {
	if s.Session.IsZero() || s.Over || now >= s.Expires || s.user.Status != user.Active || s.org.Usable() != nil {
		return ErrNoSession
	}
	return nil
}

// Proves reports whether a secret with this SHA-256 is the session's.
func (s State) Proves(digest [32]byte) bool {
	d, ok := s.Digest.Get()
	return subtle.ConstantTimeCompare(d, digest[:]) == 1 && ok
}

// Begin signs a person in after their password was checked.
type Begin struct {
	Session      event.ID // fresh, or that of a live session of the same person, to renew it
	User         event.ID
	Organization event.ID
	Hash         string // that the password was checked against; must still be the user's
	Digest       [32]byte
	AMR          []string
	ACR          string
	Now, Expires event.Instant
}

// Beginning decides Begin.
var Beginning = decide.Decider[State, Begin]{
	Name:   "sign in",
	Start:  func(c Begin) State { return Start(c.User) },
	Query:  func(c Begin) []decide.Facts { return Facts(c.Session, c.User, c.Organization) },
	Evolve: Evolve,
	Allow:  func(authz.Authority, State, Begin) error { return nil }, // the password is the authority
	Decide: func(s State, c Begin) ([]event.New, error) {
		hash, ok := s.user.Hash.Get()
		if !ok || hash != c.Hash {
			return nil, ErrPassword
		}
		if s.user.Status != user.Active || s.org.Usable() != nil || s.user.Organization != c.Organization {
			return nil, ErrMayNotSignIn
		}
		checked := event.New{Stream: Stream(c.Session), Payload: PasswordChecked{c.User, c.Organization, c.Session}}
		if s.User == c.User && s.Live(c.Now) == nil {
			return []event.New{checked, {Stream: Stream(c.Session), Payload: Renewed{c.Session, c.User, c.Organization, event.Seal(c.Digest[:]), c.Now, c.Expires}}}, nil
		}
		if !s.Session.IsZero() {
			return nil, ErrNoSession
		}
		begun := Begun{Session: c.Session, User: c.User, Organization: c.Organization, Digest: event.Seal(c.Digest[:]),
			AuthTime: c.Now, AMR: c.AMR, ACR: c.ACR, Expires: c.Expires}
		return []event.New{checked, {Stream: Stream(c.Session), Payload: begun}}, nil
	},
}

// Reason is why a sign-in failed. The list only grows.
type Reason string

// The reasons.
const (
	UnknownAccount  Reason = "unknown account"
	WrongPassword   Reason = "wrong password"
	AccountUnusable Reason = "account locked or out of use"
	Throttled       Reason = "too many attempts"
)

// Fail records a failed sign-in.
type Fail struct {
	Attempt      event.ID // fresh
	Visitor      event.ID // the user, or that day's visitors if there is none
	Login        string
	Reason       Reason
	User         event.ID // zero if unknown
	Organization event.ID
}

// Failing decides Fail.
var Failing = decide.Decider[struct{}, Fail]{
	Name:   "record a failed sign-in",
	Query:  func(Fail) []decide.Facts { return nil },
	Evolve: func(s struct{}, _ event.Fact) struct{} { return s },
	Allow:  func(authz.Authority, struct{}, Fail) error { return nil },
	Decide: func(_ struct{}, c Fail) ([]event.New, error) {
		return []event.New{{Stream: event.Stream{Kind: "signin", ID: c.Attempt},
			Payload: SignInFailed{c.Visitor, event.Seal(c.Login), string(c.Reason), c.User, c.Organization}}}, nil
	},
}

// SignedOut is why a session ended whose person signed out in its browser.
const SignedOut = "signed out"

// End ends a session: the person signs out, or an administrator ends it.
type End struct {
	Session      event.ID
	User         event.ID
	Organization event.ID
	SignedOut    bool // by holding the session's own cookie
	Own          bool // by the person whose session it is, from elsewhere
}

// Ending decides End. Who ends the session of another needs what keeping that
// person out needs.
var Ending = decide.Decider[State, End]{
	Name:  "end a session",
	Start: func(c End) State { return Start(c.User) },
	Query: func(c End) []decide.Facts {
		return append(Facts(c.Session, c.User, c.Organization), user.Roles(c.User))
	},
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c End) error {
		if a.Is(s.User) {
			return nil
		}
		return s.user.Excludable(a)
	},
	Decide: func(s State, c End) ([]event.New, error) {
		switch {
		case s.Session.IsZero():
			return nil, ErrNotSelf
		case s.Over && c.SignedOut:
			return nil, nil
		case s.Over:
			return nil, ErrEnded
		}
		reason := "ended by an administrator"
		switch {
		case c.SignedOut:
			reason = SignedOut
		case c.Own:
			reason = "ended by its person"
		}
		return []event.New{{Stream: Stream(s.Session), Payload: Ended{s.Session, s.User, s.Organization, reason}}}, nil
	},
}
