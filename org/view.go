package org

import (
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of all organizations, by id, and of the domains that they claim.
const (
	Table       = "organizations"
	DomainTable = "organization_domains"
)

// View declares both tables.
func View() view.View {
	return view.View{
		Name: "organizations", Revision: 2,
		Types: []string{"organization.added", "organization.renamed", "organization.deactivated", "organization.reactivated", "organization.removed", "organization.restored",
			"organization.domain.added", "organization.domain.verified", "organization.domain.removed", "organization.primary-domain.changed"},
		Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "deactivated", Kind: event.Bool},
				view.Column{Name: "removed", Kind: event.Bool},
				view.Column{Name: "primary_domain", Kind: event.Text},
			),
			Indexes: [][]string{{entity.Order}},
			Prefix:  []string{"name"},
		}, {
			Name: DomainTable,
			Key:  []string{"organization", "domain"},
			Columns: []view.Column{
				{Name: "organization", Kind: event.IDRef},
				{Name: "domain", Kind: event.Text},
				{Name: "token", Kind: event.Text},
				{Name: "verified", Kind: event.Bool},
			},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	set := view.Values{}
	var more []view.Change
	switch p := f.Payload.(type) {
	case DomainAdded:
		more = []view.Change{view.Put(DomainTable, view.Values{"organization": p.Organization, "domain": p.Domain}, view.Values{"token": p.Token, "verified": false})}
	case DomainVerified:
		more = []view.Change{view.Put(DomainTable, view.Values{"organization": p.Organization, "domain": p.Domain}, view.Values{"verified": true})}
	case DomainRemoved:
		more = []view.Change{view.Remove(DomainTable, view.Values{"organization": p.Organization, "domain": p.Domain}),
			{Table: Table, Where: view.Values{"id": p.Organization, "primary_domain": p.Domain}, Set: view.Values{"primary_domain": ""}}}
	case PrimaryDomainChanged:
		set["primary_domain"] = p.Domain
	case Added:
		set = entity.Created(f, view.Values{"name": p.Name, "deactivated": false, "removed": false})
	case Renamed:
		set["name"] = p.Name
	case authz.OrganizationDeactivated:
		set["deactivated"] = true
	case authz.OrganizationReactivated:
		set["deactivated"] = false
	case authz.OrganizationRemoved:
		set["removed"] = true
	case authz.OrganizationRestored:
		set["removed"] = false
	}
	return append([]view.Change{view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Changed(f, set))}, more...)
}
