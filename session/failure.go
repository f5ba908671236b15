package session

import (
	"slices"
	"time"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/policy"
	"muniment.dev/user"
)

// Reason is why a sign-in failed. The list only grows.
type Reason string

// The reasons. WrongPassword alone counts towards a lockout.
const (
	UnknownAccount  Reason = "unknown account"
	WrongPassword   Reason = "wrong password"
	LockedOut       Reason = "account locked out after wrong passwords"
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
	Organization event.ID // the user's
	Known        bool     // from an address from which the user signed in before
	Now          event.Instant
}

// failures are the wrong passwords of one user that count, oldest first.
type failures struct {
	unknown, known []event.Instant
	user           user.State
	policies       policy.State
}

func (s failures) evolve(f event.Fact) failures {
	switch p := f.Payload.(type) {
	case SignInFailed:
		if p.Reason == string(WrongPassword) {
			s = s.with(p.Known, append(slices.Clone(s.of(p.Known)), event.Instant(f.Time.UnixMicro())))
		}
		return s
	case PasswordChecked:
		return s.with(p.Known, nil)
	case user.LockoutBegun:
		s = s.with(p.Known, nil)
	case user.LockoutEnded, user.PasswordSet:
		s = s.with(false, nil).with(true, nil)
	}
	s.user, s.policies = user.Evolve(s.user, f), policy.Evolve(s.policies, f)
	return s
}

func (s failures) of(known bool) []event.Instant {
	if known {
		return s.known
	}
	return s.unknown
}

func (s failures) with(known bool, at []event.Instant) failures {
	at = at[max(0, len(at)-policy.MaxAttempts):]
	if known {
		s.known = at
	} else {
		s.unknown = at
	}
	return s
}

// within counts the wrong passwords that are not older than a window.
func (s failures) within(known bool, now event.Instant, window time.Duration) (n int64) {
	for _, at := range s.of(known) {
		if now-at < event.Instant(window.Microseconds()) {
			n++
		}
	}
	return n
}

// Failing decides Fail: with the last wrong password that the policy allows,
// the account is locked out in the same append. That all of them are among its
// facts makes those count that come at once.
var Failing = decide.Decider[failures, Fail]{
	Name:  "record a failed sign-in",
	Start: func(c Fail) failures { return failures{user: user.Start(c.User)} },
	Query: func(c Fail) []decide.Facts {
		if c.User.IsZero() || c.Reason != WrongPassword {
			return nil
		}
		return append(policy.Facts(c.Organization, policy.OfLockout),
			decide.Facts{Types: []string{"signin.failed", "user.password.checked"}, Tags: []event.Tag{event.NewTag("user", c.User.String())}},
			decide.Facts{Types: user.LockoutTypes(), Stream: user.Stream(c.User)})
	},
	Evolve: failures.evolve,
	Allow:  func(authz.Authority, failures, Fail) error { return nil },
	Decide: func(s failures, c Fail) ([]event.New, error) {
		if c.Reason == WrongPassword && s.user.LockedOut(c.Known, c.Now) {
			c.Reason = LockedOut
		}
		events := []event.New{{Stream: event.Stream{Kind: "signin", ID: c.Attempt},
			Payload: SignInFailed{c.Visitor, event.Seal(c.Login), string(c.Reason), c.User, c.Organization, c.Known}}}
		p, _ := s.policies.Lockout()
		if c.Reason != WrongPassword || p.Attempts == 0 || s.user.Exists() != nil || s.within(c.Known, c.Now, p.WindowOf())+1 < p.Attempts {
			return events, nil
		}
		return append(events, event.New{Stream: user.Stream(c.User), Payload: user.LockoutBegun{User: c.User, Organization: c.Organization, Known: c.Known, Until: p.Until(c.Now)}}), nil
	},
}
