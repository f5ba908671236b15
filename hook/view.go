package hook

import (
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of all subscriptions, by id, and of their secrets. What a secret
// is, is in neither.
const (
	Table   = "subscriptions"
	Secrets = "subscription_secrets"
)

// View declares both tables. The address of a webhook may be a secret and is in
// neither: whoever may know it reads it from the log.
func View() view.View {
	return view.View{
		Name: "subscriptions", Revision: 1, Types: types(), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "owner", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "delivery", Kind: event.Text},
				view.Column{Name: "status", Kind: event.Text},
				view.Column{Name: "reason", Kind: event.Text},
				view.Column{Name: "types", Kind: event.Texts},
				view.Column{Name: "streams", Kind: event.Texts},
				view.Column{Name: "actors", Kind: event.Texts},
				view.Column{Name: "tags", Kind: event.Texts},
				view.Column{Name: "within", Kind: event.IDs},
				view.Column{Name: "users", Kind: event.IDs},
				view.Column{Name: "concurrency", Kind: event.Int},
				view.Column{Name: "attempts", Kind: event.Int},
				view.Column{Name: "unsealed", Kind: event.Bool},
				view.Column{Name: "verify", Kind: event.Bool},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}},
			Prefix:  []string{"name"},
		}, {
			Name: Secrets,
			Key:  []string{"subscription", "id"},
			Columns: []view.Column{
				{Name: "subscription", Kind: event.IDRef},
				{Name: "id", Kind: event.IDRef},
				{Name: "organization", Kind: event.IDRef},
				{Name: "created", Kind: event.Time},
				{Name: entity.Order, Kind: event.Int},
			},
			Indexes: [][]string{{"subscription", entity.Order}},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	id := f.Stream.ID
	set := view.Values{}
	switch p := f.Payload.(type) {
	case Created:
		set = entity.Created(f, view.Values{"organization": p.Organization, "owner": p.Owner, "name": p.Name, "delivery": p.Delivery, "status": string(Active),
			"types": p.Types, "streams": p.Streams, "actors": p.Actors, "tags": p.Tags, "within": p.Within, "users": p.Users,
			"concurrency": p.Concurrency, "attempts": p.Attempts, "unsealed": p.Unsealed, "verify": p.Verify})
	case Changed:
		set = view.Values{"owner": p.Owner, "name": p.Name, "types": p.Types, "streams": p.Streams, "actors": p.Actors, "tags": p.Tags, "within": p.Within, "users": p.Users,
			"concurrency": p.Concurrency, "attempts": p.Attempts, "unsealed": p.Unsealed, "verify": p.Verify}
	case SecretAdded:
		return []view.Change{row(f, nil), view.Put(Secrets, view.Values{"subscription": id, "id": p.Secret}, view.Values{"organization": p.Organization, "created": f.Time, entity.Order: f.Position})}
	case SecretRemoved:
		return []view.Change{row(f, nil), view.Remove(Secrets, view.Values{"subscription": id, "id": p.Secret})}
	case Paused:
		set["status"] = string(IsPaused)
	case Stopped:
		set["status"], set["reason"] = string(IsStopped), p.Reason
	case Resumed:
		set["status"], set["reason"], set["owner"] = string(Active), nil, p.Owner
	case Removed:
		return []view.Change{view.Remove(Table, view.Values{"id": id}), {Table: Secrets, Where: view.Values{"subscription": id}, Delete: true}}
	}
	return []view.Change{row(f, set)}
}

// row changes the row of a subscription.
func row(f event.Fact, set view.Values) view.Change {
	return view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Changed(f, set))
}
