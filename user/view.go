package user

import (
	"muniment.dev/credential"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of all users, by id. A user's status follows from three
// of its columns: a lock stays under a deactivation.
const Table = "users"

// Credentials is the table of secrets and keys of machine users. What a secret
// is, is not in it.
const Credentials = "user_credentials"

// View declares both tables. Everything personal belongs to the user.
func View() view.View {
	personal := func(name string) view.Column {
		return view.Column{Name: name, Kind: event.Text, Personal: "id"}
	}
	return view.View{
		Name: "users", Revision: 3, Types: entity.Types(Events()), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				personal("email"), personal("given_name"), personal("family_name"), personal("display_name"),
				view.Column{Name: "machine", Kind: event.Bool},
				view.Column{Name: "name", Kind: event.Text}, // of a machine user; so is the next
				view.Column{Name: "description", Kind: event.Text},
				view.Column{Name: "password_set", Kind: event.Bool},
				view.Column{Name: "locked", Kind: event.Bool},
				view.Column{Name: "deactivated", Kind: event.Bool},
				view.Column{Name: "erased", Kind: event.Bool},
				view.Column{Name: "locked_out_until", Kind: event.Time},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}},
			Prefix:  []string{"email", "given_name", "family_name", "display_name", "name"},
		}, {
			Name:    Credentials,
			Key:     []string{"user", "id"},
			Columns: entity.Columns(credential.Columns(view.Column{Name: "user", Kind: event.IDRef})...),
			Indexes: [][]string{{"user", entity.Order}, {"expires"}},
		}},
	}
}

// apply is the rows' part of Evolve.
func apply(f event.Fact) []view.Change {
	set := view.Values{}
	switch p := f.Payload.(type) {
	case Registered:
		set = entity.Created(f, view.Values{"organization": p.Organization, "email": p.Email, "given_name": p.GivenName, "family_name": p.FamilyName,
			"display_name": p.DisplayName, "machine": false, "password_set": false, "locked": false, "deactivated": false, "erased": false})
	case ProfileChanged:
		set = view.Values{"given_name": p.GivenName, "family_name": p.FamilyName, "display_name": p.DisplayName}
	case EmailChanged:
		set["email"] = p.Email
	case PasswordSet:
		set["password_set"], set["locked_out_until"] = true, event.Instant(0)
	case Locked:
		set["locked"] = true
	case Unlocked:
		set["locked"] = false
	case Deactivated:
		set["deactivated"] = true
	case Reactivated:
		set["deactivated"] = false
	case LockoutBegun:
		set["locked_out_until"] = p.Until // the later of two, as they come
	case LockoutEnded:
		set["locked_out_until"] = event.Instant(0)
	case Erased:
		set["erased"] = true
	case MachineCreated:
		set = entity.Created(f, view.Values{"organization": p.Organization, "name": p.Name, "description": p.Description,
			"machine": true, "password_set": false, "locked": false, "deactivated": false, "erased": false})
	case MachineChanged:
		set["name"], set["description"] = p.Name, p.Description
	}
	return append(applyCredentials(f), view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Changed(f, set)))
}

func applyCredentials(f event.Fact) []view.Change {
	key := func(id event.ID) view.Values { return view.Values{"user": f.Stream.ID, "id": id} }
	put := func(id event.ID, k credential.Key) []view.Change {
		return []view.Change{view.Put(Credentials, key(id), entity.Created(f, credential.Row(view.Values{}, k)))}
	}
	switch p := f.Payload.(type) {
	case SecretAdded:
		return put(p.Secret, credential.Key{Name: p.Name, Expires: p.Expires})
	case KeyAdded:
		return put(p.Key, credential.Key{Name: p.Name, Expires: p.Expires, KeyID: p.KeyID, Algorithm: p.Algorithm, JWK: p.JWK})
	case SecretRemoved:
		return []view.Change{view.Remove(Credentials, key(p.Secret))}
	case KeyRemoved:
		return []view.Change{view.Remove(Credentials, key(p.Key))}
	case Erased:
		return []view.Change{{Table: Credentials, Where: view.Values{"user": p.User}, Delete: true}}
	}
	return nil
}

// StatusOf is the status of a row of Table.
func StatusOf(r view.Row) Status {
	switch {
	case r.Bool("erased"):
		return IsErased
	case r.Bool("deactivated"):
		return IsDeactivated
	case r.Bool("locked"):
		return IsLocked
	}
	return Active
}

// WithStatus are the conditions on rows of Table that hold for one status.
func WithStatus(s Status) []view.Cond {
	switch s {
	case IsErased:
		return []view.Cond{view.Eq("erased", true)}
	case IsDeactivated:
		return []view.Cond{view.Eq("erased", false), view.Eq("deactivated", true)}
	}
	return []view.Cond{view.Eq("erased", false), view.Eq("deactivated", false), view.Eq("locked", s == IsLocked)}
}
