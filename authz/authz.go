// Package authz says who may do what. It owns the events of membership (who
// administers what, with which role), of permissions (who may publish, read and
// unseal which events) and of organizations being active, their pure fold into
// an Authority, and the evaluator, so that every slice may depend on it. The
// commands that change what somebody is or holds are in package member.
//
// Whatever is not granted is denied. Package decide adds the actor's authority
// to the facts of every command, so a withdrawal that races with a command
// wins.
package authz

import (
	"errors"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Role is what a member is within a scope.
type Role string

// The roles of members.
const (
	Owner   Role = "owner"   // everything, including who the members are
	Admin   Role = "admin"   // everything but membership
	Viewer  Role = "viewer"  // sees objects
	Auditor Role = "auditor" // sees objects and events, sealed fields included
)

// Right is what a command or a query needs.
type Right string

// The rights.
const (
	ManageInstance Right = "manage instance settings and organizations"
	ManageMembers  Right = "manage members"
	ManageUsers    Right = "manage users"
	ManageProjects Right = "manage projects and applications"
	ManageGrants   Right = "manage role grants"
	ReadObjects    Right = "read objects"
	ReadEvents     Right = "read events"
	ReadSealed     Right = "read sealed fields of events"
	HostInstances  Right = "host other instances"
	// ManageSubscriptions is over where events are delivered; what is in them is
	// of ReadEvents and ReadSealed.
	ManageSubscriptions Right = "manage subscriptions"
)

var table = map[Role][]Right{
	Owner:   {ManageInstance, ManageMembers, ManageUsers, ManageProjects, ManageGrants, ReadObjects, ReadEvents, ReadSealed, ManageSubscriptions, HostInstances},
	Admin:   {ManageInstance, ManageUsers, ManageProjects, ManageGrants, ReadObjects, ReadEvents, ReadSealed, ManageSubscriptions},
	Viewer:  {ReadObjects},
	Auditor: {ReadObjects, ReadEvents, ReadSealed},
}

// Roles lists the roles that exist, most powerful first.
func Roles() []Role { return []Role{Owner, Admin, Auditor, Viewer} }

// Scope is what a member is a member of: the instance (all of it), or one
// organization.
type Scope struct {
	Organization event.ID // zero: the instance
}

// Instance is the scope of the whole instance.
var Instance = Scope{}

// Of is the scope of one organization.
func Of(organization event.ID) Scope { return Scope{organization} }

// Authority is what an actor may do, folded from the log. It is a value: the
// functions that change it return another.
type Authority struct {
	Actor       event.Actor
	locked      bool
	deactivated bool // or erased
	machine     bool // a program's account
	members     []membership
	permissions []held
	inactive    []event.ID // organizations
	removed     []event.ID // organizations
}

type membership struct {
	id    event.ID
	scope Scope
	role  Role
}

// For is the authority of an actor before any fact is known.
func For(a event.Actor) Authority { return Authority{Actor: a} }

// May reports whether the actor has a right within a scope. Muniment itself
// may do everything; a role in the instance holds in every organization.
func (a Authority) May(right Right, in Scope) bool {
	if a.Actor == event.System {
		return true
	}
	if a.Actor.Kind != "user" || a.Blocked() {
		return false
	}
	return slices.ContainsFunc(a.members, func(m membership) bool {
		return (m.scope == Instance || m.scope == in && a.inUse(in.Organization)) && slices.Contains(table[m.role], right)
	})
}

// inUse reports whether an organization is neither deactivated nor removed.
func (a Authority) inUse(organization event.ID) bool {
	return !slices.Contains(a.inactive, organization) && !slices.Contains(a.removed, organization)
}

// Blocked reports whether the user is locked, deactivated or erased.
func (a Authority) Blocked() bool { return a.locked || a.deactivated }

// Is reports whether the actor is this user, and not blocked.
func (a Authority) Is(user event.ID) bool {
	return a.Actor.Kind == "user" && a.Actor.ID == user && !a.Blocked()
}

// IsSystem reports whether Muniment itself acts.
func (a Authority) IsSystem() bool { return a.Actor == event.System }

// Need returns nil if the actor has the right within the scope, else a Denied
// fault that says which right is missing.
func (a Authority) Need(right Right, in Scope) error {
	if a.May(right, in) {
		return nil
	}
	return DeniedIn(in.Organization, string(right))
}

// Covers reports whether the actor has every right that a role gives within a
// scope. Who has not may not take over, lock out or erase whoever holds it.
func (a Authority) Covers(r Role, in Scope) bool {
	return !slices.ContainsFunc(table[r], func(right Right) bool { return !a.May(right, in) })
}

// Denied is the refusal of authority, naming what was lacking.
func Denied(what string) error {
	return fault.New(fault.Denied, "you may not do this; it needs the right to %s", what)
}

// DeniedIn is Denied of what belongs to an organization, if it does: there the
// refusal is recorded.
func DeniedIn(organization event.ID, what string) error {
	err := Denied(what)
	if f := (*fault.Error)(nil); !organization.IsZero() && errors.As(err, &f) {
		f.Err = within{organization}
	}
	return err
}

// within is where something was refused.
type within struct{ organization event.ID }

// Error says where, for operators.
func (w within) Error() string { return "in organization " + w.organization.String() }

// RefusedIn is the organization to which belongs what was refused; zero if it is
// not known, or the instance.
func RefusedIn(err error) event.ID {
	var w within
	errors.As(err, &w)
	return w.organization
}

// Organizations lists the organizations in which the actor has a right, and
// whether it has it in the whole instance.
func (a Authority) Organizations(right Right) (all bool, some []event.ID) {
	if a.May(right, Instance) {
		return true, nil
	}
	for _, m := range a.members {
		if a.May(right, m.scope) {
			some = append(some, m.scope.Organization)
		}
	}
	return false, some
}

// Member reports whether the actor has any role at all.
func (a Authority) Member() bool { return len(a.members) > 0 && !a.Blocked() }
