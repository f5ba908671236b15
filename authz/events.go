package authz

import (
	"slices"

	"muniment.dev/event"
)

// MemberAdded says that a user administers a scope with a role from now on. It
// is not a role in a project; that is a grant.
type MemberAdded struct {
	Member       event.ID `event:"member,public"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"` // zero: the instance
	Role         string   `event:"role,public"`
}

// MemberRemoved says that a user does not administer the scope any more.
type MemberRemoved struct {
	Member       event.ID `event:"member,public"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Role         string   `event:"role,public"`
}

// PermissionGranted says that a user may do something with events of some types
// from now on, be it a person or an application's account. It is not a role, and
// says nothing of what those types are.
type PermissionGranted struct {
	Permission   event.ID `event:"permission,public"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"` // zero: events of all and of none
	Right        string   `event:"right,public"`                // publish, read or unseal
	Types        string   `event:"types,public"`                // a name, or a pattern
}

// PermissionWithdrawn says that a permission gives nothing any more. What was
// done by it stays.
type PermissionWithdrawn struct {
	Permission   event.ID `event:"permission,public"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Right        string   `event:"right,public"`
	Types        string   `event:"types,public"`
}

// OrganizationDeactivated says that an organization's people cannot sign in,
// its applications let nobody in, and its members administer nothing until it
// is reactivated. Nothing is deleted.
type OrganizationDeactivated struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

// OrganizationReactivated ends a deactivation.
type OrganizationReactivated struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

// OrganizationRemoved says that an organization is no more: what a deactivation
// does, and it is no longer listed. Nothing is deleted: its people, projects and
// members are as they were, out of use with it.
type OrganizationRemoved struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

// OrganizationRestored brings a removed organization back, in use or
// deactivated as it was.
type OrganizationRestored struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

// Refused says that somebody tried what they had no authority for. Nothing
// changed.
type Refused struct {
	Command string   `event:"command,public"`
	Right   string   `event:"right,public"`
	User    event.ID `event:"user,public,tag=user"` // who tried; zero if not signed in
	// Organization is the one to which belongs what was tried; zero if that is not
	// known, or the instance.
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the types that this package owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[MemberAdded]("member.added", 1, "{actor} made {user} {role} of {organization}"),
		event.Describe[MemberRemoved]("member.removed", 1, "{actor} removed {user} as {role} of {organization}"),
		event.Describe[PermissionGranted]("permission.granted", 1, "{actor} permitted {user} to {right} {types} events of {organization}"),
		event.Describe[PermissionWithdrawn]("permission.withdrawn", 1, "{actor} withdrew from {user} the permission to {right} {types} events of {organization}"),
		event.Describe[OrganizationDeactivated]("organization.deactivated", 1, "{actor} deactivated the organization {organization}"),
		event.Describe[OrganizationReactivated]("organization.reactivated", 1, "{actor} reactivated the organization {organization}"),
		event.Describe[OrganizationRemoved]("organization.removed", 1, "{actor} removed the organization {organization}"),
		event.Describe[OrganizationRestored]("organization.restored", 1, "{actor} restored the organization {organization}"),
		event.Describe[Refused]("access.refused", 1, "{actor} was refused to {command}: {right}"),
	}
}

// Types of package user: blocking are those after which a user may do nothing,
// freeing those after which they may again, and made those by which a program
// came to have an account.
var (
	blocking = []string{"user.locked", "user.deactivated", "user.erased"}
	freeing  = []string{"user.unlocked", "user.reactivated"}
	made     = []string{"user.machine.created"}
)

// HeldTypes are the types of the facts, tagged with a user, of what they may
// administer and do with events.
func HeldTypes() []string {
	return []string{"member.added", "member.removed", "permission.granted", "permission.withdrawn"}
}

// Query selects the facts that an actor's authority rests on.
func Query(a event.Actor) event.Query {
	if a.Kind != "user" {
		return nil
	}
	return event.Query{
		{Types: HeldTypes(), All: []event.Term{event.TagTerm(event.NewTag("user", a.ID.String()))}},
		{Types: slices.Concat(blocking, freeing, made), All: []event.Term{event.StreamTerm(event.Stream{Kind: "user", ID: a.ID})}},
		{Types: []string{"organization.deactivated", "organization.reactivated", "organization.removed", "organization.restored"}},
	}
}

// Evolve folds one fact of Query into an authority.
func Evolve(a Authority, f event.Fact) Authority {
	switch p := f.Payload.(type) {
	case MemberAdded:
		a.members = append(slices.Clone(a.members), membership{p.Member, Scope{p.Organization}, Role(p.Role)})
	case MemberRemoved:
		a.members = slices.DeleteFunc(slices.Clone(a.members), func(m membership) bool { return m.id == p.Member })
	case PermissionGranted:
		a.permissions = append(slices.Clone(a.permissions), held{p.Permission, p.Gives()})
	case PermissionWithdrawn:
		a.permissions = slices.DeleteFunc(slices.Clone(a.permissions), func(h held) bool { return h.id == p.Permission })
	case OrganizationDeactivated:
		a.inactive = append(slices.Clone(a.inactive), p.Organization)
	case OrganizationRemoved:
		a.removed = append(slices.Clone(a.removed), p.Organization)
	case OrganizationRestored:
		a.removed = slices.DeleteFunc(slices.Clone(a.removed), func(o event.ID) bool { return o == p.Organization })
	case OrganizationReactivated:
		a.inactive = slices.DeleteFunc(slices.Clone(a.inactive), func(o event.ID) bool { return o == p.Organization })
	}
	if f.Stream.Kind != "user" || f.Stream.ID != a.Actor.ID {
		return a
	}
	switch {
	case f.Type == "user.unlocked":
		a.locked = false
	case f.Type == "user.reactivated":
		a.deactivated = false
	case f.Type == "user.locked":
		a.locked = true
	case slices.Contains(made, f.Type):
		a.machine = true
	case slices.Contains(blocking, f.Type):
		a.deactivated = true
	}
	return a
}
