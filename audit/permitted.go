package audit

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/event"
)

// narrow leaves of a query what may be seen, and perhaps more: it is as it was
// if all may be, or if saying what may would make too many items.
func (s Sight) narrow(q event.Query, reg *event.Registry, log event.LogID) event.Query {
	if out, ok := s.Narrow(q, reg, log); ok {
		return out
	}
	return q
}

// Narrow leaves of a query what may be seen and no more; false if that would
// make too many items.
func (s Sight) Narrow(q event.Query, reg *event.Registry, log event.LogID) (event.Query, bool) {
	groups := s.groups()
	if s.All || groups[event.ID{}].every {
		return q, true
	}
	out := cross(q, s.terms())
	for organization, g := range groups {
		for _, it := range q {
			it, ok := g.of(it, reg, log)
			if !ok {
				continue
			}
			if !organization.IsZero() {
				it = with(it, orgTerm(organization))
			}
			out = append(out, it)
		}
	}
	return out, len(out) <= maxItems
}

// group is the types that may be read in one organization, or everywhere.
type group struct {
	every bool
	types []string // names and patterns
}

// groups are the permissions by their organization.
func (s Sight) groups() map[event.ID]group {
	out := map[event.ID]group{}
	for _, p := range s.Permissions {
		g := out[p.Organization]
		g.every = g.every || p.Types == "*"
		g.types = append(g.types, string(p.Types))
		out[p.Organization] = g
	}
	return out
}

// of is the item with no types but those of the group; false if there are none.
func (g group) of(it event.Item, reg *event.Registry, log event.LogID) (event.Item, bool) {
	switch {
	case g.every:
		return it, true
	case len(it.Types) == 0:
		it.Types = types(g.types, reg, log)
	default:
		it.Types = slices.DeleteFunc(slices.Clone(it.Types), func(name string) bool {
			return !slices.ContainsFunc(g.types, func(t string) bool { return authz.EventTypes(t).Has(name) })
		})
	}
	return it, len(it.Types) > 0
}

// Allows returns nil unless a filter names a type that may not be read, or not
// in any of the organizations that it names: a program that reads the wrong
// types is told so, rather than that nothing happened. Without a type, what may
// be seen is what there is. So it is for people without permissions, who see
// what is about themselves, and for whoever asks only for that.
func (s Sight) Allows(f Filter) error {
	if s.operator || !s.who.Restricted() || s.aboutSelf(f) {
		return nil
	}
	for _, t := range f.Types {
		if !s.readsSome(authz.EventTypes(t), f.Organizations) {
			where := event.ID{}
			if len(f.Organizations) == 1 {
				where = f.Organizations[0]
			}
			return authz.DeniedIn(where, "read "+t+" events")
		}
	}
	return nil
}

func (s Sight) aboutSelf(f Filter) bool {
	self := event.Actor{Kind: "user", ID: s.Self}
	return !s.Self.IsZero() && (slices.Equal(f.Users, []event.ID{s.Self}) || slices.Equal(f.Actors, []event.Actor{self}))
}

// readsSome reports whether some of these types may be read, in one of the
// organizations if any is named.
func (s Sight) readsSome(t authz.EventTypes, organizations []event.ID) bool {
	in := func(o event.ID) bool {
		return o.IsZero() || len(organizations) == 0 || slices.Contains(organizations, o)
	}
	return s.All || slices.ContainsFunc(s.Organizations, in) ||
		slices.ContainsFunc(s.Permissions, func(p authz.Permission) bool { return p.Types.Meets(t) && in(p.Organization) })
}

// Describes reports whether somebody may know what a type is: the built-in ones
// are no secret, customers' are for members and for those who have to do with
// such events.
func (s Sight) Describes(d *event.Descriptor) bool {
	return !d.IsCustom() || s.operator || s.who.Member() || slices.ContainsFunc(authz.EventRights(), func(r authz.EventRight) bool {
		return slices.ContainsFunc(s.who.Permissions(r), func(p authz.Permission) bool { return p.Types.Has(d.Type) })
	})
}
