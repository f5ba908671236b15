package authz

import (
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// EventRight is what a permission lets a user do with events.
type EventRight string

// The rights that permissions give. Unsealing opens the sealed fields of events
// that one may read; by itself it shows no event.
const (
	Publish EventRight = "publish"
	Read    EventRight = "read"
	Unseal  EventRight = "unseal"
)

// EventRights lists the rights that there are.
func EventRights() []EventRight { return []EventRight{Publish, Read, Unseal} }

// EventTypes selects types of event by their names: "order-created" is that
// one, "order-*" and "order.*" are all that begin with "order-" or "order.", "*"
// is every one. A pattern ends behind a whole word, so that nobody who is
// trusted with order-* is with orders-of-the-court too.
type EventTypes string

// Valid reports whether it is a name or one of the patterns.
func (t EventTypes) Valid() bool {
	name, dashed := strings.CutSuffix(string(t), "-*")
	if !dashed {
		name = strings.TrimSuffix(name, ".*")
	}
	return t == "*" || event.IsTypeName(name)
}

// Has reports whether a type is among these.
func (t EventTypes) Has(name string) bool {
	prefix, pattern := strings.CutSuffix(string(t), "*")
	return name != "" && (string(t) == name || pattern && strings.HasPrefix(name, prefix))
}

// Within reports whether other has all of these types.
func (t EventTypes) Within(other EventTypes) bool {
	prefix, pattern := strings.CutSuffix(string(other), "*")
	return t != "" && (t == other || pattern && strings.HasPrefix(string(t), prefix))
}

// Containing lists the name of a type and all the patterns that have it.
func (t EventTypes) Containing() []EventTypes {
	out := []EventTypes{t, "*"}
	for i, c := range []byte(t) {
		if c == '.' || c == '-' {
			out = append(out, t[:i+1]+"*")
		}
	}
	return out
}

// Meets reports whether some type may be among these and among the others.
func (t EventTypes) Meets(other EventTypes) bool { return t.Within(other) || other.Within(t) }

// Permission is what one permission gives: a right over the events of some
// types that belong to an organization, or to any and to none if it is zero.
type Permission struct {
	Right        EventRight
	Types        EventTypes
	Organization event.ID
}

// Gives is what the permission gives.
func (p PermissionGranted) Gives() Permission {
	return Permission{EventRight(p.Right), EventTypes(p.Types), p.Organization}
}

// gives reports whether the permission gives a right over a type of an
// organization's events.
func (p Permission) gives(right EventRight, eventType string, organization event.ID) bool {
	return p.Right == right && p.Types.Has(eventType) && (p.Organization.IsZero() || p.Organization == organization)
}

type held struct {
	id event.ID
	Permission
}

// has reports whether one of the permissions that the actor holds fits. Those
// in an organization that is not in use give nothing, as its members
// administer nothing.
func (a Authority) has(fits func(Permission) bool) bool {
	return a.Actor.Kind == "user" && !a.Blocked() && slices.ContainsFunc(a.permissions, func(h held) bool {
		return a.inUse(h.Organization) && fits(h.Permission)
	})
}

// permitted reports whether a permission gives a right over a type of an
// organization's events, or of events of none if it is zero.
func (a Authority) permitted(right EventRight, eventType string, organization event.ID) bool {
	return a.has(func(p Permission) bool { return p.gives(right, eventType, organization) })
}

// Permissions lists the permissions in use that give a right.
func (a Authority) Permissions(right EventRight) (out []Permission) {
	a.has(func(p Permission) bool {
		if p.Right == right {
			out = append(out, p)
		}
		return false
	})
	return out
}

// Restricted reports whether the actor is to say what it reads: a program, or
// somebody who holds a permission. People without any only ever ask for their
// own.
func (a Authority) Restricted() bool {
	return a.Actor.Kind == "user" && (a.machine || len(a.permissions) > 0)
}

// MayPublish reports whether the actor may publish events of a type that belong
// to an organization, or to none if it is zero. No role publishes: what an
// application records is for the application to say. Which types can be
// published at all is not asked here.
func (a Authority) MayPublish(eventType string, organization event.ID) bool {
	return a.Actor == event.System || a.permitted(Publish, eventType, organization)
}

// MayReadEvents reports whether the actor may read the events of a type that
// belong to an organization, or to none if it is zero; by a role or by a
// permission.
func (a Authority) MayReadEvents(eventType string, organization event.ID) bool {
	return a.May(ReadEvents, Of(organization)) || a.permitted(Read, eventType, organization)
}

// MayUnseal reports whether the actor may see the sealed fields of those events
// of a type that it may read.
func (a Authority) MayUnseal(eventType string, organization event.ID) bool {
	return a.May(ReadSealed, Of(organization)) || a.permitted(Unseal, eventType, organization)
}

// NeedPublish returns nil if the actor may publish events of a type that belong
// to an organization, else a Denied fault that says so.
func (a Authority) NeedPublish(eventType string, organization event.ID) error {
	if a.MayPublish(eventType, organization) {
		return nil
	}
	return DeniedIn(organization, "publish "+about(eventType, organization))
}

// NeedReadEvents is NeedPublish for reading.
func (a Authority) NeedReadEvents(eventType string, organization event.ID) error {
	if a.MayReadEvents(eventType, organization) {
		return nil
	}
	return DeniedIn(organization, "read "+about(eventType, organization))
}

// about says which events are meant; with what was asked for only if it can be
// a type, because a refusal is recorded in clear.
func about(eventType string, organization event.ID) string {
	s := "events of this type"
	if EventTypes(eventType).Valid() {
		s = eventType + " events"
	}
	if organization.IsZero() {
		return s
	}
	return s + " of organization " + organization.String()
}

// Holds reports whether the actor has all that a permission gives, by a role or
// by a permission of its own. Publishing comes with no role; who manages the
// members of a scope could take it there, and so has it.
func (a Authority) Holds(p Permission) bool {
	byRole := map[EventRight]Right{Publish: ManageMembers, Read: ReadEvents, Unseal: ReadSealed}[p.Right]
	return a.May(byRole, Of(p.Organization)) || a.has(func(own Permission) bool {
		return own.Right == p.Right && p.Types.Within(own.Types) && (own.Organization.IsZero() || own.Organization == p.Organization)
	})
}

// NeedHold returns nil if the actor has all that a permission gives. Who has
// not may neither grant it nor act as whoever holds it.
func (a Authority) NeedHold(p Permission) error {
	if a.Holds(p) {
		return nil
	}
	return DeniedIn(p.Organization, string(p.Right)+" events as this permission does")
}

// Refusals of permissions.
var (
	ErrEventRight = fault.Field("right", "must be publish, read or unseal")
	ErrEventTypes = fault.Field("event_types", "must be an event type such as order-created, order-* or order.* for all that begin so, or * for all")
)

// Check reports what is wrong with a permission, or nil.
func (p Permission) Check() error {
	switch {
	case !slices.Contains(EventRights(), p.Right):
		return ErrEventRight
	case !p.Types.Valid():
		return ErrEventTypes
	}
	return nil
}
