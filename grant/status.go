package grant

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/project"
	"muniment.dev/user"
)

// Deactivate takes all roles of a user in a project out of use.
type Deactivate struct{ User, Project event.ID }

// Deactivating decides Deactivate.
var Deactivating = change("deactivate roles", func(c Deactivate) (u, p event.ID) { return c.User, c.Project }, func(s State, c Deactivate) (any, error) {
	if s.Inactive {
		return nil, ErrDeactivated
	}
	return Deactivated{s.Grant, c.User, c.Project, s.project.Organization}, nil
})

// Reactivate takes them into use again.
type Reactivate struct{ User, Project event.ID }

// Reactivating decides Reactivate.
var Reactivating = change("reactivate roles", func(c Reactivate) (u, p event.ID) { return c.User, c.Project }, func(s State, c Reactivate) (any, error) {
	if !s.Inactive {
		return nil, ErrActive
	}
	return Reactivated{s.Grant, c.User, c.Project, s.project.Organization}, nil
})

// change makes the decider of a command that changes a grant as a whole. One
// without roles is none.
func change[C any](name string, of func(C) (u, p event.ID), next func(State, C) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name: name,
		Start: func(c C) State {
			u, _ := of(c)
			return State{user: user.Start(u)}
		},
		Query:  func(c C) []decide.Facts { return facts(of(c)) },
		Evolve: Evolve,
		Allow:  func(a authz.Authority, s State, _ C) error { return s.manager(a) },
		Decide: func(s State, c C) ([]event.New, error) {
			switch {
			case s.user.Exists() != nil:
				return nil, s.user.Exists()
			case !s.project.Exists:
				return nil, project.ErrNotFound
			case len(s.Roles) == 0:
				return nil, ErrNone
			}
			e, err := next(s, c)
			if err != nil {
				return nil, err
			}
			return one(s.Grant, e), nil
		},
	}
}
