package grant

import (
	"muniment.dev/event"
	"muniment.dev/project"
	"muniment.dev/user"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of grants, by user and project, and of the roles in them. A grant
// whose roles were all withdrawn or ended stays, without roles.
const (
	Table = "grants"
	Roles = "grant_roles"
)

// View declares both tables. Grants end with their user; and with their project,
// with which they come back.
func View() view.View {
	return view.View{
		Name: "grants", Revision: 3, Types: append(entity.Types(Events()), "project.removed", "project.restored", "project.role.removed", "user.erased"), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"user", "project"},
			Columns: entity.Columns(
				view.Column{Name: "user", Kind: event.IDRef},
				view.Column{Name: "project", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "deactivated", Kind: event.Bool},
				view.Column{Name: "project_removed", Kind: event.Bool},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}, {"project", entity.Order}},
		}, {
			Name: Roles,
			Key:  []string{"user", "project", "role"},
			Columns: []view.Column{
				{Name: "user", Kind: event.IDRef},
				{Name: "project", Kind: event.IDRef},
				{Name: "role", Kind: event.Text},
				{Name: "deactivated", Kind: event.Bool}, // as its grant
				{Name: "project_removed", Kind: event.Bool},
			},
			Indexes: [][]string{{"project", "role"}},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	var changes []view.Change
	switch p := f.Payload.(type) {
	case RolesGranted:
		set := entity.Changed(f, view.Values{"organization": p.Organization})
		if f.Version == 1 {
			set = entity.Created(f, view.Values{"organization": p.Organization, "deactivated": false, "project_removed": false})
		}
		changes = append(changes, view.Put(Table, view.Values{"user": p.User, "project": p.Project}, set))
		for _, r := range p.Roles {
			changes = append(changes, view.Put(Roles, view.Values{"user": p.User, "project": p.Project, "role": r}, view.Values{"deactivated": false, "project_removed": false}))
		}
	case RolesWithdrawn:
		// The grant may have ended with its user or project.
		changes = append(changes, view.Change{Table: Table, Where: view.Values{"user": p.User, "project": p.Project}, Set: entity.Changed(f, nil)})
		for _, r := range p.Roles {
			changes = append(changes, view.Remove(Roles, view.Values{"user": p.User, "project": p.Project, "role": r}))
		}
	case Deactivated:
		changes = turned(f, p.User, p.Project, true)
	case Reactivated:
		changes = turned(f, p.User, p.Project, false)
	case project.RoleRemoved:
		changes = append(changes, view.Change{Table: Roles, Where: view.Values{"project": p.Project, "role": p.Key}, Delete: true})
	case project.Removed:
		changes = withProject(p.Project, true)
	case project.Restored:
		changes = withProject(p.Project, false)
	case user.Erased:
		changes = []view.Change{{Table: Table, Where: view.Values{"user": p.User}, Delete: true}, {Table: Roles, Where: view.Values{"user": p.User}, Delete: true}}
	}
	return changes
}

// turned takes a grant out of use, or into it.
func turned(f event.Fact, u, p event.ID, off bool) []view.Change {
	where := view.Values{"user": u, "project": p}
	return []view.Change{
		{Table: Table, Where: where, Set: entity.Changed(f, view.Values{"deactivated": off})},
		{Table: Roles, Where: where, Set: view.Values{"deactivated": off}},
	}
}

// withProject marks all grants of a project that was removed, or restored.
func withProject(p event.ID, removed bool) []view.Change {
	where, set := view.Values{"project": p}, view.Values{"project_removed": removed}
	return []view.Change{{Table: Table, Where: where, Set: set}, {Table: Roles, Where: where, Set: set}}
}
