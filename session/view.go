package session

import (
	"muniment.dev/event"
	"muniment.dev/user"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of sessions, by id, of the applications that got tokens in them, and
// of those that got tokens of a person since that last ended what they hold. Where a sign-in came from is not in them: it is in the context of the
// record at the session's first position.
const (
	Table            = "sessions"
	Applications     = "session_applications"
	UserApplications = "user_applications"
)

// View declares the tables.
func View() view.View {
	return view.View{
		Name: "sessions", Revision: 3, Apply: apply,
		Types: []string{"session.begun", "session.renewed", "session.used", "session.ended", "authorization.token.issued", "consent.given", "consent.withdrawn",
			"user.locked", "user.deactivated", "user.erased", "user.password.set"},
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "user", Kind: event.IDRef},
				view.Column{Name: "auth_time", Kind: event.Time},
				view.Column{Name: "expires", Kind: event.Time},
				view.Column{Name: "used", Kind: event.Time},
				view.Column{Name: "amr", Kind: event.Texts},
				view.Column{Name: "over", Kind: event.Bool},
				view.Column{Name: "ended", Kind: event.Time},
			),
			Indexes: [][]string{{"user", entity.Order}},
		}, {
			Name: Applications,
			Key:  []string{"session", "application"},
			Columns: []view.Column{
				{Name: "session", Kind: event.IDRef},
				{Name: "application", Kind: event.IDRef},
			},
		}, {
			Name: UserApplications,
			Key:  []string{"user", "application"},
			Columns: []view.Column{
				{Name: "user", Kind: event.IDRef},
				{Name: "application", Kind: event.IDRef},
				{Name: "consented", Kind: event.Texts}, // scopes
				{Name: "agreed", Kind: event.Time},
				{Name: "scopes", Kind: event.Texts}, // of its last token
				{Name: "used", Kind: event.Time},
			},
		}},
	}
}

// apply is the rows' part of Evolve: the same events end a session.
func apply(f event.Fact) []view.Change {
	switch p := f.Payload.(type) {
	case Begun:
		return put(p.Session, entity.Created(f, view.Values{"user": p.User, "auth_time": p.AuthTime, "expires": p.Expires, "used": p.AuthTime, "amr": p.AMR, "over": false}))
	case Renewed:
		return put(p.Session, entity.Changed(f, view.Values{"auth_time": p.AuthTime, "expires": p.Expires, "used": p.AuthTime}))
	case Used:
		return put(p.Session, entity.Changed(f, view.Values{"used": p.Time}))
	case Ended:
		return put(p.Session, entity.Changed(f, view.Values{"over": true, "ended": f.Time}))
	case TokenIssued:
		return []view.Change{view.Put(Applications, view.Values{"session": p.Session, "application": p.Application}, nil),
			view.Put(UserApplications, view.Values{"user": p.User, "application": p.Application}, view.Values{"scopes": p.Scopes, "used": f.Time})}
	case ConsentGiven:
		return []view.Change{view.Put(UserApplications, view.Values{"user": p.User, "application": p.Application}, view.Values{"consented": p.Scopes, "agreed": f.Time})}
	case ConsentWithdrawn:
		return []view.Change{view.Remove(UserApplications, view.Values{"user": p.User, "application": p.Application})}
	case user.Locked:
		return endAll(f, p.User)
	case user.Deactivated:
		return endAll(f, p.User)
	case user.Erased:
		return append(endAll(f, p.User), view.Change{Table: UserApplications, Where: view.Values{"user": p.User}, Delete: true})
	case user.PasswordSet:
		return endAll(f, p.User)
	}
	return nil
}

func put(id event.ID, set view.Values) []view.Change {
	return []view.Change{view.Put(Table, view.Values{"id": id}, set)}
}

// endAll ends the sessions of a user that are not over yet.
func endAll(f event.Fact, u event.ID) []view.Change {
	return []view.Change{{Table: Table, Where: view.Values{"user": u, "over": false},
		Set: view.Values{"over": true, "ended": f.Time, "changed": f.Time, "position": f.Position}}}
}
