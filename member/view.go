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

// PermissionTable is the table of permissions that hold, by their id. The zero
// organization means the whole instance.
const PermissionTable = "permissions"

// PermissionView declares the table of permissions. They end with their user.
func PermissionView() view.View {
	return view.View{
		Name: "permissions", Revision: 1, Types: []string{"permission.granted", "permission.withdrawn", "user.erased"}, Apply: applyPermissions,
		Tables: []view.Table{{
			Name: PermissionTable,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "user", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "event_right", Kind: event.Text},
				view.Column{Name: "event_types", Kind: event.Text},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}, {"user", entity.Order}, {"event_types", entity.Order}},
		}},
	}
}

func applyPermissions(f event.Fact) []view.Change {
	switch p := f.Payload.(type) {
	case authz.PermissionGranted:
		return []view.Change{view.Put(PermissionTable, view.Values{"id": p.Permission},
			entity.Created(f, view.Values{"user": p.User, "organization": p.Organization, "event_right": p.Right, "event_types": p.Types}))}
	case authz.PermissionWithdrawn:
		return []view.Change{view.Remove(PermissionTable, view.Values{"id": p.Permission})}
	}
	return []view.Change{{Table: PermissionTable, Where: view.Values{"user": f.Stream.ID}, Delete: true}} // user.erased
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
