package field

import (
	"strings"

	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables: of events that were kept, and of possible duplicates.
const (
	TableKept       = "field_kept"
	TableDuplicates = "field_duplicates"
)

// What became of an event that was kept.
const (
	Pending   = "pending"   // a person is to decide
	Final     = "kept"      // it stays as it is
	Applied   = "applied"   // a person had it applied
	Dismissed = "dismissed" // a person had it left
)

// What became of a possible duplicate.
const (
	Open      = "open"
	Same      = "same"
	Different = "different"
	Closed    = "closed" // one of the two is gone
)

// View declares the tables.
func View() view.View {
	return view.View{
		Name: "field", Revision: 2,
		Types: entity.Types(Events()),
		Apply: apply,
		Tables: []view.Table{{
			Name: TableKept,
			Key:  []string{"id"},
			Columns: []view.Column{
				{Name: "id", Kind: event.IDRef}, {Name: "entity", Kind: event.IDRef}, {Name: "kind", Kind: event.Text}, {Name: "organization", Kind: event.IDRef},
				{Name: "type", Kind: event.Text}, {Name: "reason", Kind: event.Text}, {Name: "state", Kind: event.Text},
				{Name: entity.Order, Kind: event.Int}, {Name: "created", Kind: event.Time},
			},
			Indexes: [][]string{{entity.Order}, {"state", entity.Order}, {"entity"}},
		}, {
			Name: TableDuplicates,
			Key:  []string{"id"},
			Columns: []view.Column{
				{Name: "id", Kind: event.IDRef}, {Name: "entity", Kind: event.IDRef}, {Name: "other", Kind: event.IDRef}, {Name: "kind", Kind: event.Text},
				{Name: "organization", Kind: event.IDRef}, {Name: "fields", Kind: event.Text}, {Name: "state", Kind: event.Text}, {Name: "kept", Kind: event.IDRef},
				{Name: entity.Order, Kind: event.Int}, {Name: "created", Kind: event.Time},
			},
			Indexes: [][]string{{entity.Order}, {"state", entity.Order}, {"entity"}, {"other"}},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	key := view.Values{"id": f.Stream.ID}
	switch p := f.Payload.(type) {
	case EventKept:
		state := Final
		if p.Reason == ReasonAsk {
			state = Pending
		}
		return []view.Change{view.Put(TableKept, key, owned(p.Organization, view.Values{"entity": p.Entity, "kind": p.Kind, "type": p.Type, "reason": p.Reason, "state": state,
			entity.Order: f.Position, "created": f.Time}))}
	case ConflictDecided:
		state := Dismissed
		if p.Applied {
			state = Applied
		}
		return []view.Change{view.Put(TableKept, key, view.Values{"state": state})}
	case DuplicateFound:
		return []view.Change{view.Put(TableDuplicates, key, owned(p.Organization, view.Values{"entity": p.Entity, "other": p.Other, "kind": p.Kind, "fields": strings.Join(p.Fields, " "), "state": Open,
			entity.Order: f.Position, "created": f.Time}))}
	case DuplicateResolved: // perhaps of two that were never flagged
		set := view.Values{"entity": p.Entity, "other": p.Other, "kind": p.Kind, "state": Different, "kept": nil}
		if p.Same {
			set["state"] = Same
		}
		if !p.Kept.IsZero() {
			set["kept"] = p.Kept
		}
		return []view.Change{view.Put(TableDuplicates, key, owned(p.Organization, set))}
	case DuplicateClosed:
		return []view.Change{view.Put(TableDuplicates, key, view.Values{"state": Closed})}
	}
	return nil
}

// owned adds the organization, if there is one.
func owned(organization event.ID, set view.Values) view.Values {
	if !organization.IsZero() {
		set["organization"] = organization
	}
	return set
}
