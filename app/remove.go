package app

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/project"
)

// Remove ends an application, until somebody restores it.
type Remove struct{ Application event.ID }

// Removing decides Remove.
var Removing = change("remove an application", func(c Remove) event.ID { return c.Application },
	func(s State, _ Remove) (any, error) {
		return Removed{s.Application, s.Project, s.Organization}, nil
	})

// Restore brings a removed application back.
type Restore struct{ Application event.ID }

// Restoring decides Restore. Which project it belongs to stands in its own
// facts, so that the query names the removals of all.
var Restoring = decide.Decider[State, Restore]{
	Name: "restore an application",
	Query: func(c Restore) []decide.Facts {
		return append(Facts(c.Application), decide.Facts{Types: []string{"project.removed", "project.restored"}})
	},
	Evolve: evolveRestoring,
	Allow: func(a authz.Authority, s State, _ Restore) error {
		if err := a.Need(authz.ManageProjects, authz.Of(s.Organization)); err != nil {
			return err
		}
		return mayOpenAPI(a, false, s.APIAccess)
	},
	Decide: func(s State, _ Restore) ([]event.New, error) {
		switch {
		case s.Exists:
			return nil, ErrIsThere
		case !s.Removed:
			return nil, ErrNotFound
		case slices.Contains(s.gone, s.Project):
			return nil, project.ErrRemoved
		}
		return one(s.Application, Restored{s.Application, s.Project, s.Organization}), nil
	},
}

// evolveRestoring is Evolve, and which projects are removed.
func evolveRestoring(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case project.Removed:
		s.gone = append(slices.Clone(s.gone), p.Project)
		return s
	case project.Restored:
		s.gone = slices.DeleteFunc(slices.Clone(s.gone), func(id event.ID) bool { return id == p.Project })
		return s
	}
	return Evolve(s, f)
}
