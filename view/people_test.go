package view_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/view"
)

// The events of the tests: people of organizations.
type (
	added struct {
		User  event.ID             `event:"user,public,subject,tag"`
		Org   event.ID             `event:"org,public,tag"`
		Email event.Sealed[string] `event:"email"`
		Name  event.Sealed[string] `event:"name"`
	}
	changed struct {
		User    event.ID             `event:"user,public,subject,tag"`
		Email   event.Sealed[string] `event:"email"`
		Name    event.Sealed[string] `event:"name"`
		Logins  int64                `event:"logins,public"`
		Roles   []string             `event:"roles,public"`
		Manager event.ID             `event:"manager,public"`
		Note    event.Sealed[string] `event:"note,of=manager"`
	}
	removed struct {
		User event.ID `event:"user,public,subject,tag"`
	}
	closed struct {
		Org event.ID `event:"org,public,tag"`
	}
	noise struct {
		User event.ID `event:"user,public,subject,tag"`
	}
	broken struct {
		User event.ID `event:"user,public,subject,tag"`
		How  string   `event:"how,public"`
	}
)

func events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[added]("person.added", 1, ""),
		event.Describe[changed]("person.changed", 1, ""),
		event.Describe[removed]("person.removed", 1, ""),
		event.Describe[closed]("org.closed", 1, ""),
		event.Describe[noise]("person.noticed", 1, ""),
		event.Describe[broken]("person.broken", 1, ""),
	}
}

func of(id event.ID, payload any) event.New {
	return event.New{Stream: event.Stream{Kind: "person", ID: id}, Payload: payload}
}

// people is a view with everything: personal columns of two subjects, a unique
// one, search, composite keys, and changes of many rows at once.
func people() view.View {
	return view.View{
		Name: "people", Revision: 1,
		Types: []string{"person.added", "person.changed", "person.removed", "org.closed", "person.broken"},
		Tables: []view.Table{{
			Name: "people",
			Columns: []view.Column{
				{Name: "user", Kind: event.IDRef},
				{Name: "org", Kind: event.IDRef},
				{Name: "email", Kind: event.Text, Personal: "user"},
				{Name: "name", Kind: event.Text, Personal: "user"},
				{Name: "logins", Kind: event.Int},
				{Name: "roles", Kind: event.Texts},
				{Name: "manager", Kind: event.IDRef},
				{Name: "note", Kind: event.Text, Personal: "manager"},
				{Name: "at", Kind: event.Time},
			},
			Key: []string{"user"}, Unique: [][]string{{"email"}}, Prefix: []string{"name"},
			Indexes: [][]string{{"name"}, {"org", "name"}, {"org", "logins"}},
		}, {
			Name:    "seats",
			Columns: []view.Column{{Name: "org", Kind: event.IDRef}, {Name: "user", Kind: event.IDRef}, {Name: "n", Kind: event.Int}},
			Key:     []string{"org", "user"}, Indexes: [][]string{{"user"}},
		}},
		Apply: applyPeople,
	}
}

func applyPeople(f event.Fact) []view.Change {
	switch e := f.Payload.(type) {
	case added:
		return []view.Change{
			view.Put("people", view.Values{"user": e.User}, view.Values{"org": e.Org, "email": e.Email, "name": e.Name, "at": f.Time}),
			view.Put("seats", view.Values{"org": e.Org, "user": e.User}, view.Values{"n": 1}),
		}
	case changed:
		set := view.Values{"email": e.Email, "name": e.Name, "at": f.Time}
		if e.Logins != 0 {
			set["logins"] = e.Logins
		}
		if e.Roles != nil {
			set["roles"] = e.Roles
		}
		if !e.Manager.IsZero() {
			set["manager"], set["note"] = e.Manager, e.Note
		}
		return []view.Change{view.Put("people", view.Values{"user": e.User}, set)}
	case removed:
		return []view.Change{
			view.Remove("people", view.Values{"user": e.User}),
			{Table: "seats", Where: view.Values{"user": e.User}, Delete: true},
		}
	case closed:
		return []view.Change{
			{Table: "people", Where: view.Values{"org": e.Org}, Set: view.Values{"org": nil}},
			{Table: "seats", Where: view.Values{"org": e.Org}, Delete: true},
		}
	case broken:
		return breakApply(e)
	}
	return nil
}

// breakApply does what an Apply must not.
func breakApply(e broken) []view.Change {
	key := view.Values{"user": e.User}
	switch e.How {
	case "panic":
		panic("oh no")
	case "table":
		return []view.Change{view.Put("nothing", key, nil)}
	case "column":
		return []view.Change{view.Put("people", key, view.Values{"nothing": 1})}
	case "kind":
		return []view.Change{view.Put("people", key, view.Values{"logins": "many"})}
	case "clear":
		return []view.Change{view.Put("people", key, view.Values{"name": "in clear"})}
	case "sealed":
		return []view.Change{view.Put("people", key, view.Values{"logins": event.Seal(int64(1))})}
	case "locked":
		return []view.Change{view.Put("people", key, view.Values{"name": event.Sealed[string]{State: event.Locked}})}
	case "nobody":
		return []view.Change{view.Put("people", key, view.Values{"note": event.Seal("x")})}
	case "key":
		return []view.Change{view.Put("seats", key, nil)}
	case "where":
		return []view.Change{{Table: "people", Where: view.Values{"name": "x"}, Delete: true}}
	case "taken":
		return []view.Change{view.Put("people", view.Values{"user": event.NewID()}, view.Values{"email": event.Seal("a@x")})}
	}
	return nil
}

// A model is the plainest statement of what the people table holds: all rows,
// copied at each position.
type model struct {
	states []map[event.ID]person // by position
	seats  []map[string]bool
	erased map[event.ID]bool
}

type person struct {
	org, email, name, roles, manager, note string // "" is absent
	logins                                 int64
	managerID                              event.ID
}

func newModel() *model {
	return &model{states: []map[event.ID]person{{}}, seats: []map[string]bool{{}}, erased: map[event.ID]bool{}}
}

func (m *model) now() map[event.ID]person { return m.states[len(m.states)-1] }

func set(s *string, v event.Sealed[string]) {
	if x, ok := v.Get(); ok {
		*s = x
	}
}

func (m *model) apply(payload any) {
	rows, seats := maps.Clone(m.now()), maps.Clone(m.seats[len(m.seats)-1])
	switch e := payload.(type) {
	case added:
		p := rows[e.User]
		p.org = e.Org.String()
		set(&p.email, e.Email)
		set(&p.name, e.Name)
		rows[e.User] = p
		seats[e.Org.String()+e.User.String()] = true
	case changed:
		p := rows[e.User]
		set(&p.email, e.Email)
		set(&p.name, e.Name)
		if e.Logins != 0 {
			p.logins = e.Logins
		}
		if e.Roles != nil {
			p.roles = strings.Join(e.Roles, ",")
		}
		if !e.Manager.IsZero() {
			if p.managerID != e.Manager {
				p.note = ""
			}
			p.managerID, p.manager = e.Manager, e.Manager.String()
			set(&p.note, e.Note)
		}
		rows[e.User] = p
	case removed:
		delete(rows, e.User)
		maps.DeleteFunc(seats, func(k string, _ bool) bool { return strings.HasSuffix(k, e.User.String()) })
	case closed:
		for id, p := range rows {
			if p.org == e.Org.String() {
				p.org = ""
				rows[id] = p
			}
		}
		maps.DeleteFunc(seats, func(k string, _ bool) bool { return strings.HasPrefix(k, e.Org.String()) })
	case event.SubjectErased:
		m.erased[e.Subject.ID] = true
	}
	m.states, m.seats = append(m.states, rows), append(m.seats, seats)
}

// lines writes the rows of a position as show does.
func (m *model) lines(at event.Position) []string {
	var out []string
	for id, p := range m.states[at] {
		personal := func(whose event.ID, v string) string {
			switch {
			case v == "":
				return "absent"
			case m.erased[whose]:
				return "erased"
			}
			return "present " + v
		}
		out = append(out, fmt.Sprintf("%s org=%s email=%s name=%s logins=%d roles=%s manager=%s note=%s", id, p.org,
			personal(id, p.email), personal(id, p.name), p.logins, p.roles, p.manager, personal(p.managerID, p.note)))
	}
	slices.Sort(out)
	return out
}

func show(rows []view.Row) []string {
	var out []string
	for _, r := range rows {
		personal := func(column string) string {
			s := view.Personal[string](r, column)
			if s.State == event.Present {
				return "present " + s.Value
			}
			if s.Value != "" {
				panic("a value that is not present")
			}
			return s.State.String()
		}
		id := func(column string) string {
			if !r.Has(column) {
				return ""
			}
			return r.ID(column).String()
		}
		out = append(out, fmt.Sprintf("%s org=%s email=%s name=%s logins=%d roles=%s manager=%s note=%s", r.ID("user"), id("org"),
			personal("email"), personal("name"), r.Int("logins"), strings.Join(r.Texts("roles"), ","), id("manager"), personal("note")))
	}
	slices.Sort(out)
	return out
}

func showSeats(rows []view.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.ID("org").String()+r.ID("user").String())
	}
	slices.Sort(out)
	return out
}

// history makes n random events that the view can apply.
func history(r *rand.Rand, n int) []any {
	m := newModel()
	orgs, ids := make([]event.ID, 3), make([]event.ID, 12)
	for i := range orgs {
		orgs[i] = event.NewID()
	}
	for i := range ids {
		ids[i] = event.NewID()
	}
	names := []string{"Ada", "ÅSA", "Straße", "ﬁne", "bob", "Bo", "zoë"}
	sealed := func(v string) event.Sealed[string] {
		if r.IntN(3) == 0 {
			return event.Sealed[string]{}
		}
		return event.Seal(v)
	}
	email := func(id event.ID) event.Sealed[string] {
		v := fmt.Sprintf("%d@example", r.IntN(20))
		for other, p := range m.now() {
			if other != id && p.email == v && !m.erased[other] {
				return event.Sealed[string]{}
			}
		}
		return sealed(v)
	}
	var out []any
	for len(out) < n {
		id := ids[r.IntN(len(ids))]
		_, exists := m.now()[id]
		var e any = noise{User: id}
		switch k := r.IntN(20); {
		case m.erased[id] && k < 18:
			continue
		case !exists && k < 12:
			e = added{User: id, Org: orgs[r.IntN(len(orgs))], Email: email(id), Name: sealed(names[r.IntN(len(names))])}
		case k < 12:
			c := changed{User: id, Email: email(id), Name: sealed(names[r.IntN(len(names))]), Logins: int64(r.IntN(4))}
			if r.IntN(2) == 0 {
				c.Roles = []string{"reader", "writer"}[:r.IntN(2)+1]
			}
			if by := ids[r.IntN(len(ids))]; r.IntN(2) == 0 && !m.erased[by] {
				c.Manager, c.Note = by, sealed("a note")
			}
			e = c
		case k < 14 && exists:
			e = removed{User: id}
		case k == 14:
			e = closed{Org: orgs[r.IntN(len(orgs))]}
		case k == 15 && r.IntN(3) == 0:
			e = event.SubjectErased{Subject: event.SubjectID{ID: id}}
		}
		m.apply(e)
		out = append(out, e)
	}
	return out
}
