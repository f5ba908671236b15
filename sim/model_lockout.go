package sim

import (
	"muniment.dev/event"
	"muniment.dev/policy"
	"muniment.dev/session"
	"muniment.dev/user"
)

// lockout is the policy of the simulation's instance.
var lockout = policy.Lockout{Attempts: 3, Window: 900, Duration: 120}

// evolveLockout takes in a record of a sign-in that failed or of a lockout; ok
// is false for any other.
func (m *model) evolveLockout(f event.Fact) (err error, ok bool) {
	switch p := f.Payload.(type) {
	case session.SignInFailed:
		return m.fail(f, p), true
	case session.PasswordChecked:
		m.people[p.User].guesses[p.Known] = nil
	case user.LockoutBegun:
		return m.shutOut(p), true
	case user.LockoutEnded:
		u := m.people[p.User]
		if u == nil || len(u.shut) == 0 {
			return wrong("the person was not locked out"), true
		}
		u.forgive()
	default:
		return nil, false
	}
	return nil, true
}

// forgive begins anew with all that was wrong.
func (u *person) forgive() {
	u.guesses, u.shut = map[bool][]event.Instant{}, map[bool]event.Instant{}
}

// fail counts a wrong password. One that is given during a lockout does not
// count, and says so.
func (m *model) fail(f event.Fact, p session.SignInFailed) error {
	m.full = false
	u, now := m.people[p.User], m.tried[f.Stream.ID]
	switch {
	case u == nil || u.status.now() == user.IsErased:
	case p.Reason == string(session.LockedOut):
		if now >= u.shut[p.Known] {
			return wrong("the person is not locked out")
		}
	case p.Reason == string(session.WrongPassword):
		if now < u.shut[p.Known] {
			return wrong("a wrong password counts during a lockout")
		}
		n := int64(1)
		for _, at := range u.guesses[p.Known] {
			if now-at < event.Instant(lockout.Window)*seconds {
				n++
			}
		}
		u.guesses[p.Known] = append(u.guesses[p.Known], event.Instant(f.Time.UnixMicro()))
		m.full = n >= lockout.Attempts
	}
	return nil
}

// shutOut locks a person out: with the last wrong password that is allowed, and
// at no other time.
func (m *model) shutOut(p user.LockoutBegun) error {
	if !m.full {
		return wrong("%d wrong passwords are too few", len(m.people[p.User].guesses[p.Known]))
	}
	u := m.people[p.User]
	u.guesses[p.Known], u.shut[p.Known] = nil, p.Until
	return nil
}

// lockedOut: the last wrong password that is allowed locks the person out at
// once.
func (m *model) lockedOut(facts []event.Fact) error {
	if with(facts, func(session.SignInFailed) bool { return true }) && with(facts, func(user.LockoutBegun) bool { return true }) != m.full {
		return wrong("that the person has to be locked out is %v", m.full)
	}
	return nil
}

// passwordAccepted: no password is accepted during a lockout, not even the
// right one.
func (m *model) passwordAccepted(f event.Fact, facts []event.Fact) error {
	p, ok := f.Payload.(session.PasswordChecked)
	if !ok {
		return nil
	}
	shut := m.people[p.User].shut[p.Known]
	if with(facts, func(s session.Begun) bool { return s.AuthTime < shut }) || with(facts, func(s session.Renewed) bool { return s.AuthTime < shut }) {
		return wrong("the person is locked out")
	}
	return nil
}
