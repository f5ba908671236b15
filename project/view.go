package project

import (
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of all projects, by id, and of their roles, by project and key.
const (
	Table = "projects"
	Roles = "project_roles"
)

// View declares both tables.
func View() view.View {
	return view.View{
		Name: "projects", Revision: 3, Types: entity.Types(Events()), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "deactivated", Kind: event.Bool},
				view.Column{Name: "removed", Kind: event.Bool},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}},
			Prefix:  []string{"name"},
		}, {
			Name: Roles,
			Key:  []string{"project", "role"},
			Columns: []view.Column{
				{Name: "project", Kind: event.IDRef},
				{Name: "role", Kind: event.Text},
				{Name: "name", Kind: event.Text},
			},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	key := view.Values{"id": f.Stream.ID}
	own := view.Put(Table, key, entity.Changed(f, nil))
	switch p := f.Payload.(type) {
	case Added:
		return []view.Change{view.Put(Table, key, entity.Created(f, view.Values{"organization": p.Organization, "name": p.Name, "deactivated": false, "removed": false}))}
	case Renamed:
		return []view.Change{view.Put(Table, key, entity.Changed(f, view.Values{"name": p.Name}))}
	case Deactivated:
		return []view.Change{view.Put(Table, key, entity.Changed(f, view.Values{"deactivated": true}))}
	case Reactivated:
		return []view.Change{view.Put(Table, key, entity.Changed(f, view.Values{"deactivated": false}))}
	case RoleRenamed:
		return []view.Change{own, view.Put(Roles, view.Values{"project": p.Project, "role": p.Key}, view.Values{"name": p.Name})}
	case Removed:
		return []view.Change{view.Put(Table, key, entity.Changed(f, view.Values{"removed": true}))}
	case Restored:
		return []view.Change{view.Put(Table, key, entity.Changed(f, view.Values{"removed": false}))}
	case RoleAdded:
		return []view.Change{own, view.Put(Roles, view.Values{"project": p.Project, "role": p.Key}, view.Values{"name": p.Name})}
	case RoleRemoved:
		return []view.Change{own, view.Remove(Roles, view.Values{"project": p.Project, "role": p.Key})}
	}
	return nil
}
