package external

import (
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is that of all adapters, by id.
const Table = "adapters"

// View declares it. The address may be a secret and is not in it: whoever may
// know it reads it from the log.
func View() view.View {
	return view.View{
		Name: "adapters", Revision: 1, Types: types(), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "owner", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "direction", Kind: event.Text},
				view.Column{Name: "status", Kind: event.Text},
				view.Column{Name: "reason", Kind: event.Text},
				view.Column{Name: "entity_types", Kind: event.Texts},
				view.Column{Name: "interval", Kind: event.Int},
				view.Column{Name: "batch", Kind: event.Int},
				view.Column{Name: "attempts", Kind: event.Int},
				view.Column{Name: "unsealed", Kind: event.Bool},
				view.Column{Name: "credential", Kind: event.Text},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}},
			Prefix:  []string{"name"},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	key, set := view.Values{"id": f.Stream.ID}, view.Values{}
	switch p := f.Payload.(type) {
	case Created:
		set = entity.Created(f, view.Values{"organization": p.Organization, "owner": p.Owner, "name": p.Name, "direction": p.Direction, "status": string(Active),
			"entity_types": p.EntityTypes, "interval": p.Interval, "batch": p.Batch, "attempts": p.Attempts, "unsealed": p.Unsealed})
	case Changed:
		set = view.Values{"owner": p.Owner, "name": p.Name, "interval": p.Interval, "batch": p.Batch, "attempts": p.Attempts, "unsealed": p.Unsealed}
	case CredentialSet:
		set["credential"] = p.Kind
	case Paused:
		set["status"] = string(IsPaused)
	case Stopped:
		set["status"], set["reason"] = string(IsStopped), p.Reason
	case Resumed:
		set["status"], set["reason"], set["owner"] = string(Active), nil, p.Owner
	case Removed:
		return []view.Change{view.Remove(Table, key)}
	}
	return []view.Change{view.Put(Table, key, entity.Changed(f, set))}
}
