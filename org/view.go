package org

import (
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of all organizations, by id.
const Table = "organizations"

// View declares the table of organizations.
func View() view.View {
	return view.View{
		Name: "organizations", Revision: 1,
		Types: []string{"organization.added", "organization.renamed", "organization.deactivated", "organization.reactivated"},
		Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "deactivated", Kind: event.Bool},
			),
			Indexes: [][]string{{entity.Order}},
			Prefix:  []string{"name"},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	set := view.Values{}
	switch p := f.Payload.(type) {
	case Added:
		set = entity.Created(f, view.Values{"name": p.Name, "deactivated": false})
	case Renamed:
		set["name"] = p.Name
	case authz.OrganizationDeactivated:
		set["deactivated"] = true
	case authz.OrganizationReactivated:
		set["deactivated"] = false
	}
	return []view.Change{view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Changed(f, set))}
}
