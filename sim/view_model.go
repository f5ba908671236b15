package sim

import (
	"fmt"
	"slices"

	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/project"
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
	for _, diff := range []string{m.rolesDiffer(t), m.placesDiffer(t), m.consentsDiffer(t)} {
		if diff != "" {
			return diff
		}
	}
	return ""
}

// placesDiffer compares organizations, projects and applications.
func (m *model) placesDiffer(t *tables) string {
	for id, o := range m.orgs {
		if row := t.rows[org.Table][keyOf(view.Values{"id": id})]; row == nil || row["removed"] != o.gone.now() || row["deactivated"] != o.off.now() {
			return fmt.Sprintf("organization %s: the row is %v", short(id), row)
		}
	}
	for id, p := range m.projects {
		if row := t.rows[project.Table][keyOf(view.Values{"id": id})]; row == nil || row["removed"] != p.gone.now() {
			return fmt.Sprintf("project %s: the row is %v", short(id), row)
		}
	}
	for id, a := range m.apps {
		if row := t.rows[app.Table][keyOf(view.Values{"id": id})]; row == nil || row["removed"] != a.gone.now() || row["project_removed"] != m.projects[a.in].gone.now() {
			return fmt.Sprintf("application %s: the row is %v", short(id), row)
		}
	}
	return ""
}

// consentsDiffer compares what applications hold of people.
func (m *model) consentsDiffer(t *tables) string {
	n := 0
	for k, c := range m.consents {
		if !c.used || m.people[k[0]].status.now() == user.IsErased {
			continue
		}
		n++
		row := t.rows[session.UserApplications][keyOf(view.Values{"user": k[0], "application": k[1]})]
		scopes, _ := row["consented"].([]string)
		if row == nil || !slices.Equal(scopes, c.scopes) {
			return fmt.Sprintf("user %s has agreed to %v for %s, and the row is %v", short(k[0]), c.scopes, short(k[1]), row)
		}
	}
	if rows := len(t.rows[session.UserApplications]); rows != n {
		return fmt.Sprintf("applications hold something of people in %d rows, not %d", rows, n)
	}
	return ""
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
			if row == nil || row["deactivated"] != m.unused[k] || row["project_removed"] != m.projects[k[1]].gone.now() {
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
