package session

import (
	"crypto/subtle"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/user"
)

// Refusals.
var (
	ErrNoSession    = fault.New(fault.Unauthenticated, "the session has ended; sign in again")
	ErrNotSelf      = fault.New(fault.NotFound, "there is no such session")
	ErrPassword     = fault.New(fault.Unauthenticated, "the e-mail address or the password is not right")
	ErrMayNotSignIn = fault.New(fault.Refused, "this account cannot be used at the moment; ask your administrator")
	ErrEnded        = fault.New(fault.Refused, "the session has ended already")
	ErrPasswordAge  = fault.New(fault.Refused, "the password is older than this organization allows; choose another one")
)

// State is what is known of one session and of its person's standing.
type State struct {
	Begun
	Over bool          // ended, or its person was locked, deactivated, erased or got another password since
	Used event.Instant // when it was used last, as far as that was recorded

	user     user.State
	org      org.State
	policies policy.State
}

// Evolve folds one fact of a session's stream, its user's and organization's.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Begun:
		s.Begun, s.Over, s.Used = p, false, p.AuthTime
	case Renewed:
		s.Digest, s.AuthTime, s.Expires, s.Used = p.Digest, p.AuthTime, p.Expires, p.AuthTime
	case Used:
		s.Used = p.Time
	case Ended:
		s.Over = true
	case user.Locked, user.Deactivated, user.Erased, user.PasswordSet:
		s.Over = true
		s.user = user.Evolve(s.user, f)
	default:
		s.user = user.Evolve(s.user, f)
		s.org = org.Evolve(s.org, f)
		s.policies = policy.Evolve(s.policies, f)
	}
	return s
}

// Facts are the facts of one session of a user of an organization.
func Facts(session, u, organization event.ID) []decide.Facts {
	facts := append(standing(u, organization), decide.Facts{Stream: Stream(session)})
	return append(facts, policy.Facts(organization, policy.OfSessions)...)
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
	if s.Session.IsZero() || s.Over || now >= s.Ends() || s.user.Status != user.Active || s.org.Usable() != nil {
		return ErrNoSession
	}
	return nil
}

// Ends is when the session ends unless it is used or the password given: as it
// was said when it began, or sooner if the policy has become stricter.
func (s State) Ends() event.Instant {
	p, _ := s.policies.Session()
	return p.Ends(s.Expires, s.AuthTime, s.Used)
}

// AsksPassword reports whether the password is to be given again before the
// session opens anything.
func (s State) AsksPassword(now event.Instant) bool {
	p, _ := s.policies.Session()
	return p.AsksPassword(s.AuthTime, now)
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
	Now          event.Instant
	Known        bool // from an address from which the person signed in before
}

// Beginning decides Begin.
var Beginning = decide.Decider[State, Begin]{
	Name:  "sign in",
	Start: func(c Begin) State { return Start(c.User) },
	Query: func(c Begin) []decide.Facts {
		return append(Facts(c.Session, c.User, c.Organization), policy.Facts(c.Organization, policy.OfPasswords)...)
	},
	Evolve: Evolve,
	Allow:  func(authz.Authority, State, Begin) error { return nil }, // the password is the authority
	Decide: func(s State, c Begin) ([]event.New, error) {
		hash, ok := s.user.Hash.Get()
		if !ok || hash != c.Hash || s.user.LockedOut(c.Known, c.Now) {
			return nil, ErrPassword
		}
		if s.user.Status != user.Active || s.org.Usable() != nil || s.user.Organization != c.Organization {
			return nil, ErrMayNotSignIn
		}
		if p, _ := s.policies.Password(); p.TooOld(s.user.HashSet, c.Now) {
			return nil, ErrPasswordAge
		}
		p, _ := s.policies.Session()
		expires := p.Expires(c.Now)
		checked := event.New{Stream: Stream(c.Session), Payload: PasswordChecked{c.User, c.Organization, c.Session, c.Known}}
		if s.User == c.User && s.Live(c.Now) == nil {
			return []event.New{checked, {Stream: Stream(c.Session), Payload: Renewed{c.Session, c.User, c.Organization, event.Seal(c.Digest[:]), c.Now, expires}}}, nil
		}
		if !s.Session.IsZero() {
			return nil, ErrNoSession
		}
		begun := Begun{Session: c.Session, User: c.User, Organization: c.Organization, Digest: event.Seal(c.Digest[:]),
			AuthTime: c.Now, AMR: c.AMR, ACR: c.ACR, Expires: expires}
		return []event.New{checked, {Stream: Stream(c.Session), Payload: begun}}, nil
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

// Use notes that a session was used.
type Use struct {
	Session      event.ID
	User         event.ID
	Organization event.ID
	Now          event.Instant
}

// Using decides Use. Of many uses few are recorded: what was used a moment ago
// needs no record to go on.
var Using = decide.Decider[State, Use]{
	Name:   "use a session",
	Start:  func(c Use) State { return Start(c.User) },
	Query:  func(c Use) []decide.Facts { return Facts(c.Session, c.User, c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, _ Use) error {
		if !a.Is(s.User) {
			return authz.Denied("be the person who is signed in")
		}
		return nil
	},
	Decide: func(s State, c Use) ([]event.New, error) {
		if err := s.Live(c.Now); err != nil {
			return nil, err
		}
		if !s.Notes(c.Now) {
			return nil, nil
		}
		return []event.New{{Stream: Stream(s.Session), Payload: Used{s.Session, s.User, s.Organization, c.Now}}}, nil
	},
}

// Notes reports whether a use at a time is worth a record.
func (s State) Notes(now event.Instant) bool {
	p, _ := s.policies.Session()
	return p.Note(s.Used, now)
}
