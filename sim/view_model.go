package sim

import (
	"fmt"

	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/member"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/view"
)

// differs says in what the tables, which stand at the end of the log, are not
// what the model says; "" if in nothing.
func (m *model) differs(t *tables) string {
	users := t.rows[user.Table]
	if len(users) != len(m.people) {
		return fmt.Sprintf("there are %d users, not %d", len(users), len(m.people))
	}
	for id, u := range m.people {
		row := users[keyOf(view.Values{"id": id})]
		status := u.status.now()
		email, _ := row["email"].(event.Sealed[string])
		switch {
		case row == nil, row["erased"] != (status == user.IsErased),
			status != user.IsErased && (row["deactivated"] != (status == user.IsDeactivated) || row["locked"] != u.locked):
			return fmt.Sprintf("user %s is %s, not %v", short(id), status, row)
		case status == user.IsErased && email.State != event.Erased:
			return fmt.Sprintf("the address of %s, who was erased, is %s", short(id), email.State)
		case status != user.IsErased && normal(email.Value) != u.email.now():
			return fmt.Sprintf("user %s has another address", short(id))
		}
	}
	for id, s := range m.sessions {
		if row := t.rows[session.Table][keyOf(view.Values{"id": id})]; row == nil || row["over"] != s.over.now() {
			return fmt.Sprintf("session %s: over is %v, not %v", short(id), row["over"], s.over.now())
		}
	}
	return m.rolesDiffer(t)
}

// rolesDiffer compares members and grants.
func (m *model) rolesDiffer(t *tables) string {
	members, granted := 0, 0
	for id, list := range m.members {
		for _, x := range list.now() {
			if m.people[id].status.now() == user.IsErased {
				continue
			}
			members++
			if row := t.rows[member.Table][keyOf(view.Values{"id": x.id})]; row == nil || row["user"] != id || row["role"] != string(x.role) {
				return fmt.Sprintf("user %s is %s, but the row is %v", short(id), x.role, row)
			}
		}
	}
	for k, held := range m.held {
		if m.people[k[0]].status.now() == user.IsErased {
			continue
		}
		for _, role := range held.now() {
			granted++
			row := t.rows[grant.Roles][keyOf(view.Values{"user": k[0], "project": k[1], "role": role})]
			if row == nil || row["deactivated"] != m.unused[k] {
				return fmt.Sprintf("user %s has the role %s, and the row of it is %v", short(k[0]), role, row)
			}
		}
	}
	if n := len(t.rows[member.Table]); n != members {
		return fmt.Sprintf("there are %d members, not %d", n, members)
	}
	if n := len(t.rows[grant.Roles]); n != granted {
		return fmt.Sprintf("there are %d granted roles, not %d", n, granted)
	}
	return ""
}
