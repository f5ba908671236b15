package grant

import (
	"maps"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/project"
)

// Held is what roles a user has, by project.
type Held map[event.ID]Holding

// Holding is the roles that a user has in a project.
type Holding struct {
	Roles    []string // sorted
	Inactive bool
	Removed  bool // the project
}

// Roles are those that count in a project.
func (h Held) Roles(p event.ID) []string {
	if h[p].Inactive || h[p].Removed {
		return nil
	}
	return h[p].Roles
}

// HeldFacts are the facts of all of a user's roles; EvolveHeld folds them.
func HeldFacts(u event.ID) []decide.Facts {
	return []decide.Facts{
		{Types: types, Tags: []event.Tag{event.NewTag("user", u.String())}},
		{Types: []string{"project.removed", "project.restored", "project.role.removed"}},
	}
}

// EvolveHeld folds one fact of HeldFacts.
func EvolveHeld(h Held, f event.Fact) Held {
	switch p := f.Payload.(type) {
	case RolesGranted:
		return h.with(p.Project, func(g *Holding) { g.Roles = union(g.Roles, p.Roles) })
	case RolesWithdrawn:
		return h.with(p.Project, func(g *Holding) { g.Roles = minus(g.Roles, p.Roles) })
	case Deactivated:
		return h.with(p.Project, func(g *Holding) { g.Inactive = true })
	case Reactivated:
		return h.with(p.Project, func(g *Holding) { g.Inactive = false })
	case project.RoleRemoved:
		return h.where(p.Project, func(g *Holding) { g.Roles = minus(g.Roles, []string{p.Key}) })
	case project.Removed:
		return h.where(p.Project, func(g *Holding) { g.Removed = true })
	case project.Restored:
		return h.where(p.Project, func(g *Holding) { g.Removed = false })
	}
	return h
}

// where is with, if there is something in the project.
func (h Held) where(p event.ID, change func(*Holding)) Held {
	if _, ok := h[p]; !ok {
		return h
	}
	return h.with(p, change)
}

// with is a copy in which the roles in one project are others.
func (h Held) with(p event.ID, change func(*Holding)) Held {
	next := Held{}
	maps.Copy(next, h)
	g := next[p]
	change(&g)
	next[p] = g
	return next
}
