package sim

import (
	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/org"
	"muniment.dev/project"
)

// thing is an organization, a project or an application.
type thing struct {
	in        event.ID // the thing that it is part of
	since     event.Position
	off, gone timeline[bool] // deactivated; removed
}

// there reports whether it exists behind a record and is not removed.
func (t *thing) there(p event.Position) bool { return t != nil && t.since <= p && !t.gone.at(p) }

// usable reports whether it is there and not deactivated.
func (t *thing) usable(p event.Position) bool { return t.there(p) && !t.off.at(p) }

// evolvePlace takes in a record of an organization, a project or an
// application; ok is false for any other.
func (m *model) evolvePlace(f event.Fact) (err error, ok bool) {
	switch p := f.Payload.(type) {
	case org.Added:
		m.orgs[p.Organization] = &thing{since: f.Position}
	case authz.OrganizationDeactivated:
		return m.turn(f, p.Organization, false), true
	case authz.OrganizationReactivated:
		return m.turn(f, p.Organization, true), true
	case authz.OrganizationRemoved:
		return remove(m.orgs[p.Organization], f), true
	case authz.OrganizationRestored:
		return restore(m.orgs[p.Organization], nil, f), true
	case project.Added:
		m.projects[p.Project] = &thing{in: p.Organization, since: f.Position}
	case project.Removed:
		m.cut(f, func(c *code) bool { return m.apps[c.Application].in == p.Project })
		return remove(m.projects[p.Project], f), true
	case project.Restored:
		return restore(m.projects[p.Project], m.orgs, f), true
	case project.RoleAdded:
		return m.offer(f, p.Project, p.Key, true), true
	case project.RoleRemoved:
		return m.offer(f, p.Project, p.Key, false), true
	case app.Added:
		m.apps[p.Application] = &thing{in: p.Project, since: f.Position}
	case app.Removed:
		m.cut(f, func(c *code) bool { return c.Application == p.Application })
		return remove(m.apps[p.Application], f), true
	case app.Restored:
		return restore(m.apps[p.Application], m.projects, f), true
	default:
		return nil, false
	}
	return nil, true
}

// turn switches an organization off or on.
func (m *model) turn(f event.Fact, id event.ID, on bool) error {
	o := m.orgs[id]
	if !o.there(f.Position) || o.off.now() != on {
		return wrong("the organization is not there, or that it is deactivated is not %v", on)
	}
	o.off.set(f.Position, !on)
	return nil
}

func remove(t *thing, f event.Fact) error {
	if !t.there(f.Position) {
		return wrong("it is not there")
	}
	t.gone.set(f.Position, true)
	return nil
}

// restore brings back what was removed, unless what it is part of is removed.
func restore(t *thing, parents map[event.ID]*thing, f event.Fact) error {
	if t == nil || !t.gone.now() {
		return wrong("it was not removed")
	}
	if parents != nil && !parents[t.in].there(f.Position) {
		return wrong("what it is part of is not there")
	}
	t.gone.set(f.Position, false)
	return nil
}
