package project

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/org"
)

// Remove ends a project, until somebody restores it.
type Remove struct{ Project event.ID }

// Removing decides Remove.
var Removing = change("remove a project", func(c Remove) event.ID { return c.Project }, func(s State, c Remove) (any, error) {
	return Removed{c.Project, s.Organization}, nil
})

// Restore brings a removed project back.
type Restore struct{ Project event.ID }

// Restoring decides Restore. Which organization it belongs to stands in its own
// facts, so that the query names the removals of all.
var Restoring = decide.Decider[State, Restore]{
	Name: "restore a project",
	Query: func(c Restore) []decide.Facts {
		return append(Facts(c.Project), decide.Facts{Types: []string{"organization.removed", "organization.restored"}})
	},
	Evolve: evolveRestoring,
	Allow:  manager[Restore],
	Decide: func(s State, c Restore) ([]event.New, error) {
		switch {
		case s.Exists:
			return nil, ErrIsThere
		case !s.Removed:
			return nil, ErrNotFound
		case slices.Contains(s.gone, s.Organization):
			return nil, org.ErrRemoved
		}
		return one(c.Project, Restored{c.Project, s.Organization}), nil
	},
}

// evolveRestoring is Evolve, and which organizations are removed.
func evolveRestoring(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case authz.OrganizationRemoved:
		s.gone = append(slices.Clone(s.gone), p.Organization)
		return s
	case authz.OrganizationRestored:
		s.gone = slices.DeleteFunc(slices.Clone(s.gone), func(id event.ID) bool { return id == p.Organization })
		return s
	}
	return Evolve(s, f)
}
