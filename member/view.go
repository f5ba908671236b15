package member

import (
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of memberships that hold, by their id. The zero
// organization means the whole instance.
const Table = "members"

// View declares the table of members. Memberships end with their user.
func View() view.View {
	return view.View{
		Name: "members", Revision: 1, Types: []string{"member.added", "member.removed", "user.erased"}, Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "user", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "role", Kind: event.Text},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}, {"user", entity.Order}},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	switch p := f.Payload.(type) {
	case authz.MemberAdded:
		return []view.Change{view.Put(Table, view.Values{"id": p.Member},
			entity.Created(f, view.Values{"user": p.User, "organization": p.Organization, "role": p.Role}))}
	case authz.MemberRemoved:
		return []view.Change{view.Remove(Table, view.Values{"id": p.Member})}
	}
	// user.erased, whose payload is of a slice to the right: the stream says whose.
	return []view.Change{{Table: Table, Where: view.Values{"user": f.Stream.ID}, Delete: true}}
}
