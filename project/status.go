package project

import (
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/org"
)

// Deactivate takes a project out of use.
type Deactivate struct{ Project event.ID }

// Deactivating decides Deactivate.
var Deactivating = change("deactivate a project", func(c Deactivate) event.ID { return c.Project }, func(s State, c Deactivate) (any, error) {
	if s.Inactive {
		return nil, ErrInactive
	}
	return Deactivated{c.Project, s.Organization}, nil
})

// Reactivate takes it into use again.
type Reactivate struct{ Project event.ID }

// Reactivating decides Reactivate.
var Reactivating = change("reactivate a project", func(c Reactivate) event.ID { return c.Project }, func(s State, c Reactivate) (any, error) {
	if !s.Inactive {
		return nil, ErrActive
	}
	return Reactivated{c.Project, s.Organization}, nil
})

// RenameRole gives a role another name to show.
type RenameRole struct {
	Project   event.ID
	Key, Name string
}

// RenamingRole decides RenameRole.
var RenamingRole = change("rename a role", func(c RenameRole) event.ID { return c.Project }, func(s State, c RenameRole) (any, error) {
	if !slices.Contains(s.Roles, c.Key) {
		return nil, ErrNoRole
	}
	if err := org.CheckName(c.Name); err != nil || s.names[c.Key] == c.Name {
		return nil, err
	}
	return RoleRenamed{c.Project, s.Organization, c.Key, c.Name}, nil
})

// change makes the decider of a command that changes an existing project.
func change[C any](name string, id func(C) event.ID, next func(State, C) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name:   name,
		Query:  func(c C) []decide.Facts { return append(Facts(id(c)), ofInstance(id(c))...) },
		Evolve: Evolve,
		Allow:  manager[C],
		Decide: func(s State, c C) ([]event.New, error) {
			switch {
			case s.Removed:
				return nil, ErrRemoved
			case !s.Exists:
				return nil, ErrNotFound
			case s.OfInstance:
				return nil, ErrOfInstance
			}
			e, err := next(s, c)
			if e == nil || err != nil {
				return nil, err
			}
			return one(id(c), e), nil
		},
	}
}
