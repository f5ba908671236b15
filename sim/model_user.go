package sim

import (
	"muniment.dev/event"
	"muniment.dev/session"
	"muniment.dev/user"
)

// evolveUser takes in a record of a person's account.
func (m *model) evolveUser(f event.Fact) error {
	switch p := f.Payload.(type) {
	case user.Registered:
		return m.register(f, p)
	case user.EmailChanged:
		return m.readdress(f, m.people[p.User], p.Email)
	case user.ProfileChanged:
		return m.exists(p.User)
	case user.PasswordSet:
		if err := m.exists(p.User); err != nil {
			return err
		}
		m.people[p.User].hash.set(f.Position, p.Hash.Value)
		m.people[p.User].forgive()
		m.endAll(f, p.User)
	case user.SetupLinkCreated:
		return m.exists(p.User)
	case user.Locked:
		return m.move(f, p.User, user.IsLocked, user.Active)
	case user.Unlocked:
		return m.move(f, p.User, user.Active, user.IsLocked)
	case user.Deactivated:
		return m.move(f, p.User, user.IsDeactivated, user.Active, user.IsLocked)
	case user.Reactivated:
		return m.move(f, p.User, user.Active, user.IsDeactivated)
	case user.Erased:
		return m.erase(f, m.people[p.User])
	case user.ErasureCompleted:
		u := m.people[p.User]
		if u == nil || u.status.now() != user.IsErased || u.done != 0 {
			return wrong("no erasure is pending")
		}
		u.done = f.Position
	}
	return nil
}

func (m *model) exists(id event.ID) error {
	if u := m.people[id]; u == nil || u.status.now() == user.IsErased {
		return wrong("there is no such user")
	}
	return nil
}

func (m *model) register(f event.Fact, p user.Registered) error {
	switch {
	case m.people[p.User] != nil:
		return wrong("the user exists already")
	case !m.orgs[p.Organization].usable(f.Position):
		return wrong("the organization is not active")
	}
	u := &person{id: p.User, org: p.Organization}
	m.people[p.User] = u
	u.forgive()
	u.status.set(f.Position, user.Active)
	return m.readdress(f, u, p.Email)
}

// readdress gives a person an address, which nobody else may have.
func (m *model) readdress(f event.Fact, u *person, email event.Sealed[string]) error {
	if u == nil || u.status.now() == user.IsErased {
		return wrong("there is no such user")
	}
	address, ok := email.Get()
	if !ok {
		return wrong("the address cannot be read at the moment at which it is recorded")
	}
	address = normal(address)
	if who := line(m.owner, address).now(); !who.IsZero() && who != u.id {
		return wrong("%s has this address already", short(who))
	}
	if old := u.email.now(); old != "" && old != address {
		m.owner[old].set(f.Position, event.ID{})
	}
	m.owner[address].set(f.Position, u.id)
	u.email.set(f.Position, address)
	return nil
}

// move takes a person from one of some statuses to another.
func (m *model) move(f event.Fact, id event.ID, to user.Status, from ...user.Status) error {
	u := m.people[id]
	if u == nil {
		return wrong("there is no such user")
	}
	was := u.status.now()
	ok := false
	for _, s := range from {
		ok = ok || s == was
	}
	if !ok {
		return wrong("the user is %s", was)
	}
	switch {
	case to == user.IsLocked:
		u.locked = true
	case to == user.Active && was == user.IsLocked:
		u.locked = false
	case to == user.Active && u.locked:
		to = user.IsLocked
	}
	u.status.set(f.Position, to)
	if to != user.Active {
		m.endAll(f, id)
	}
	return nil
}

func (m *model) erase(f event.Fact, u *person) error {
	if u == nil || u.status.now() == user.IsErased {
		return wrong("there is no such user")
	}
	u.status.set(f.Position, user.IsErased)
	m.owner[u.email.now()].set(f.Position, event.ID{})
	u.email.set(f.Position, "")
	m.endAll(f, u.id)
	return nil
}

// endAll ends a person's sessions and authorizations.
func (m *model) endAll(f event.Fact, id event.ID) {
	m.cut(f, func(c *code) bool { return c.User == id })
	for _, s := range m.sessions {
		if s.User == id && !s.over.now() {
			s.over.set(f.Position, true)
		}
	}
}

// standing reports whether a person may be signed in behind a record.
func (m *model) standing(id event.ID, p event.Position) bool {
	u := m.people[id]
	return u != nil && u.status.at(p) == user.Active && m.orgs[u.org].usable(p)
}

// live reports whether a session is good behind a record, at a time.
func (m *model) live(id event.ID, p event.Position, now event.Instant) bool {
	s := m.sessions[id]
	return s != nil && s.begunAt(p) && !s.over.at(p) && now < s.expires.at(p) && m.standing(s.User, p)
}

// evolveSession takes in a record of a session; ok is false for any other.
func (m *model) evolveSession(f event.Fact) (err error, ok bool) {
	switch p := f.Payload.(type) {
	case session.Begun:
		return m.begin(f, p), true
	case session.Renewed:
		if !m.good(p.Session, f.Position) {
			return wrong("the session is over"), true
		}
		m.sessions[p.Session].expires.set(f.Position, p.Expires)
		return nil, true
	case session.Ended:
		if s := m.sessions[p.Session]; s == nil || s.over.now() {
			return wrong("the session is over already"), true
		}
		m.sessions[p.Session].over.set(f.Position, true)
		if p.Reason != session.SignedOut {
			m.cut(f, func(c *code) bool { return c.Session == p.Session })
		}
		return nil, true
	}
	return nil, false
}

// good is live without the time, which only the command knows.
func (m *model) good(id event.ID, p event.Position) bool {
	s := m.sessions[id]
	return s != nil && !s.over.at(p) && m.standing(s.User, p)
}

func (m *model) begin(f event.Fact, p session.Begun) error {
	switch {
	case m.sessions[p.Session] != nil:
		return wrong("the session exists already")
	case !m.standing(p.User, f.Position):
		return wrong("the person may not sign in")
	}
	s := &sitting{Begun: p}
	s.expires.set(f.Position, p.Expires)
	s.over.set(f.Position, false)
	m.sessions[p.Session] = s
	return nil
}

// begunAt reports whether the session had begun behind a record.
func (s *sitting) begunAt(p event.Position) bool { return s.over.steps[0].from <= p }
