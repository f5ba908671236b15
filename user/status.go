package user

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// Lock keeps a user from signing in and ends their sessions.
type Lock struct{ User event.ID }

// Unlock ends a lock.
type Unlock struct{ User event.ID }

// Deactivate takes an account out of use.
type Deactivate struct{ User event.ID }

// Reactivate takes it into use again.
type Reactivate struct{ User event.ID }

// Locking decides Lock.
var Locking = status("lock a user", func(c Lock) event.ID { return c.User }, func(s State) (any, error) {
	switch s.Status {
	case IsLocked:
		return nil, ErrLocked
	case IsDeactivated:
		return nil, ErrDeactivated
	}
	return Locked{s.User, s.Organization}, nil
})

// Unlocking decides Unlock.
var Unlocking = status("unlock a user", func(c Unlock) event.ID { return c.User }, func(s State) (any, error) {
	if s.Status != IsLocked {
		return nil, ErrNotLocked
	}
	return Unlocked{s.User, s.Organization}, nil
})

// Deactivating decides Deactivate.
var Deactivating = status("deactivate a user", func(c Deactivate) event.ID { return c.User }, func(s State) (any, error) {
	if s.Status == IsDeactivated {
		return nil, ErrDeactivated
	}
	return Deactivated{s.User, s.Organization}, nil
})

// Reactivating decides Reactivate.
var Reactivating = status("reactivate a user", func(c Reactivate) event.ID { return c.User }, func(s State) (any, error) {
	if s.Status != IsDeactivated {
		return nil, ErrNotDeactivated
	}
	return Reactivated{s.User, s.Organization}, nil
})

// status makes the decider of a command that moves an existing user from one
// status to another. Nobody does it to themselves: that would lock out.
func status[C any](name string, id func(C) event.ID, next func(State) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name:   name,
		Start:  func(c C) State { return Start(id(c)) },
		Query:  func(c C) []decide.Facts { return managed(id(c)) },
		Evolve: Evolve,
		Allow:  excludes(id),
		Decide: func(s State, c C) ([]event.New, error) {
			if err := s.Exists(); err != nil {
				return nil, err
			}
			e, err := next(s)
			if err != nil {
				return nil, err
			}
			return one(s.User, e), nil
		},
	}
}

// excludes lets those give a command about a user who may keep that user out,
// but not the user.
func excludes[C any](id func(C) event.ID) func(authz.Authority, State, C) error {
	return func(a authz.Authority, s State, c C) error {
		if a.Is(id(c)) {
			return authz.DeniedIn(s.Organization, "have somebody else do this to your own account")
		}
		return s.Excludable(a)
	}
}
