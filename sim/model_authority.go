package sim

import (
	"slices"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/instance"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
)

// need is what an actor must be or have.
type need struct {
	right  authz.Right
	org    event.ID // zero: in the whole instance
	self   event.ID // or be this user
	client event.ID // or be this application
	other  event.ID // and not be this user
	over   event.ID // and have every right that this user has
	home   event.ID // of which only those here and in the instance count, if it is set
	shuts  event.ID // and every right in the instance that those have who are at home here, and not be one of them
}

// needs says what a record's actor must have had; ok is false if the command
// rests on something else, such as a password.
func needs(f event.Fact) (n need, ok bool) {
	switch p := f.Payload.(type) {
	case user.Registered:
		n = need{right: authz.ManageUsers, org: p.Organization}
	case user.EmailChanged:
		n = need{right: authz.ManageUsers, org: p.Organization, over: p.User}
	case user.ProfileChanged:
		n = need{right: authz.ManageUsers, org: p.Organization, self: p.User, over: p.User}
	case user.PasswordSet:
		n = need{right: authz.ManageUsers, org: p.Organization, self: p.User, over: p.User}
	case user.Locked:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case user.Unlocked:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case user.Deactivated:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case user.Reactivated:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case user.Erased:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case authz.MemberAdded:
		n = need{right: authz.ManageMembers, org: p.Organization}
	case authz.MemberRemoved:
		n = removes(p.User, p.Organization, authz.Role(p.Role))
	case authz.OrganizationDeactivated:
		n = need{right: authz.ManageInstance, shuts: p.Organization}
	case authz.OrganizationRemoved:
		n = need{right: authz.ManageInstance, shuts: p.Organization}
	case authz.OrganizationReactivated, authz.OrganizationRestored, instance.KeyScheduleChanged,
		instance.SigningKeyCreated, instance.SigningKeyActivated, instance.SigningKeyRetired, instance.SigningKeyRemoved:
		n = need{right: authz.ManageInstance}
	case project.Removed:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case project.Restored:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case app.Removed:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case app.Restored:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case user.LockoutEnded:
		n = need{right: authz.ManageUsers, org: p.Organization, other: p.User, over: p.User, home: p.Organization}
	case project.RoleAdded:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case project.RoleRemoved:
		n = need{right: authz.ManageProjects, org: p.Organization}
	case grant.RolesGranted:
		n = need{right: authz.ManageGrants, org: p.Organization}
	case grant.RolesWithdrawn:
		n = need{right: authz.ManageGrants, org: p.Organization}
	case grant.Deactivated:
		n = need{right: authz.ManageGrants, org: p.Organization}
	case grant.Reactivated:
		n = need{right: authz.ManageGrants, org: p.Organization}
	case session.Ended:
		n = need{right: authz.ManageUsers, org: p.Organization, self: p.User, over: p.User, home: p.Organization}
	case session.CodeIssued:
		n = need{self: p.User}
	case session.ConsentGiven:
		n = need{self: p.User}
	case session.ConsentWithdrawn:
		n = need{right: authz.ManageUsers, org: p.Organization, self: p.User, over: p.User, home: p.Organization}
	case session.AuthorizationEnded:
		n = need{right: authz.ManageUsers, org: p.Organization, self: p.User, client: p.Application}
	default:
		return n, false
	}
	return n, true
}

// removes is what it needs to end a membership: nobody lets go of the instance
// themselves.
func removes(u, org event.ID, role authz.Role) need {
	n := need{right: authz.ManageMembers, org: org}
	if org.IsZero() && role == authz.Owner {
		n.other = u
	}
	return n
}

// authorized holds a record against what its actor was allowed just before it.
func (m *model) authorized(f event.Fact) error {
	n, ok := needs(f)
	if ok && !m.may(f.Actor, n, f.Position-1) {
		return wrong("the actor may not do this any more, or never could")
	}
	return nil
}

// may reports whether an actor fulfils a need behind the record at p.
func (m *model) may(a event.Actor, n need, p event.Position) bool {
	if a == event.System {
		return n.right != ""
	}
	if a.Kind == "application" {
		return !n.client.IsZero() && a.ID == n.client
	}
	u := m.people[a.ID]
	if a.Kind != "user" || u == nil || u.status.at(p) != user.Active || a.ID == n.other {
		return false
	}
	if a.ID == n.self {
		return true
	}
	if !m.has(a.ID, n.right, n.org, p) {
		return false
	}
	held := slices.DeleteFunc(slices.Clone(m.members[n.over].at(p)), func(x membership) bool {
		return !n.home.IsZero() && !x.org.IsZero() && x.org != n.home
	})
	return m.covers(a.ID, held, p) && m.mayShut(a.ID, n.shuts, p)
}

// covers reports whether a user has every right that memberships give.
func (m *model) covers(id event.ID, list []membership, p event.Position) bool {
	for _, x := range list {
		for _, r := range gives[x.role] {
			if !m.has(id, r, x.org, p) {
				return false
			}
		}
	}
	return true
}

// mayShut reports whether a user may lock out everybody of an organization.
func (m *model) mayShut(id, org event.ID, p event.Position) bool {
	if org.IsZero() {
		return true
	}
	for other, u := range m.people {
		if u.org != org || u.status.at(p) == "" {
			continue
		}
		inInstance := slices.DeleteFunc(slices.Clone(m.members[other].at(p)), func(x membership) bool { return !x.org.IsZero() })
		if other == id || !m.covers(id, inInstance, p) {
			return false
		}
	}
	return true
}

// gives is what each role gives the right to.
var gives = map[authz.Role][]authz.Right{
	authz.Viewer:  {authz.ReadObjects},
	authz.Auditor: {authz.ReadObjects, authz.ReadEvents, authz.ReadSealed},
	authz.Admin:   {authz.ReadObjects, authz.ReadEvents, authz.ReadSealed, authz.ManageInstance, authz.ManageUsers, authz.ManageProjects, authz.ManageGrants},
	authz.Owner:   {authz.ReadObjects, authz.ReadEvents, authz.ReadSealed, authz.ManageInstance, authz.ManageUsers, authz.ManageProjects, authz.ManageGrants, authz.ManageMembers},
}

// has reports whether a membership of a user gives a right in an organization,
// or in the instance if it is zero.
func (m *model) has(id event.ID, r authz.Right, o event.ID, p event.Position) bool {
	return slices.ContainsFunc(m.members[id].at(p), func(x membership) bool {
		return (x.org.IsZero() || x.org == o && m.orgs[o].usable(p)) && slices.Contains(gives[x.role], r)
	})
}
