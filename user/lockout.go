package user

import (
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// LockoutBegun says that too many wrong passwords were given for an account,
// and that until then none is accepted, not even the right one. It ends by
// itself, and ends no session. It does not say that the person did it.
//
// Known says from where: from addresses from which the person has signed in, or
// from all others. Each of the two is locked out by its own attempts only, so
// that strangers do not keep a person out who comes from where they usually do.
type LockoutBegun struct {
	User         event.ID      `event:"user,public,tag=user"`
	Organization event.ID      `event:"organization,public,tag=org"`
	Known        bool          `event:"known_address,public"`
	Until        event.Instant `event:"until,public"`
}

// LockoutEnded says that somebody ended a lockout before its time.
type LockoutEnded struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// lockouts are until when an account is locked out for attempts from unknown
// and from known addresses.
type lockouts struct{ unknown, known event.Instant }

// LockedOut reports whether no password of the user is accepted at a time, from
// an address that is known to be theirs or from another.
func (s State) LockedOut(known bool, now event.Instant) bool {
	if known {
		return now < s.lockouts.known
	}
	return now < s.lockouts.unknown
}

// ErrNotLockedOut refuses to end what is over.
var ErrNotLockedOut = fault.New(fault.Refused, "the user is not locked out; nothing is to be ended")

// EndLockout ends a lockout before its time.
type EndLockout struct {
	User event.ID
	Now  event.Instant
}

// EndingLockout decides EndLockout.
var EndingLockout = decide.Decider[State, EndLockout]{
	Name:   "end a lockout",
	Start:  func(c EndLockout) State { return Start(c.User) },
	Query:  func(c EndLockout) []decide.Facts { return managed(c.User) },
	Evolve: Evolve,
	Allow:  excludes(func(c EndLockout) event.ID { return c.User }),
	Decide: func(s State, c EndLockout) ([]event.New, error) {
		if err := s.Exists(); err != nil {
			return nil, err
		}
		if !s.LockedOut(true, c.Now) && !s.LockedOut(false, c.Now) {
			return nil, ErrNotLockedOut
		}
		return one(s.User, LockoutEnded{s.User, s.Organization}), nil
	},
}

// LockoutTypes are the events of a user's stream after which wrong passwords
// are counted anew.
func LockoutTypes() []string {
	return []string{"user.registered", "user.erased", "user.lockout.begun", "user.lockout.ended", "user.password.set"}
}

// withFormer notes a password that was set; the last of many are kept.
func (s State) withFormer(hash event.Sealed[string]) State {
	v, ok := hash.Get()
	if !ok {
		return s
	}
	s.formers = append(slices.Clone(s.formers), v)
	if n := len(s.formers); n > maxFormers {
		s.formers = s.formers[n-maxFormers:]
	}
	return s
}

// Recent are the hashes of the last so many passwords, the present one last.
func (s State) Recent(n int64) []string {
	return s.formers[max(0, len(s.formers)-int(n)):]
}
