package grant_test

import (
	"strconv"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/grant"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/user"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), user.Events(), project.Events(), grant.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	other = event.MustID("0a000000000000000000000000000002")
	desk  = event.MustID("0d000000000000000000000000000001")
	ada   = event.MustID("0b000000000000000000000000000001")
	bob   = event.MustID("0b000000000000000000000000000002")
	eve   = event.MustID("0b000000000000000000000000000003")
	id    = event.MustID("0f000000000000000000000000000001")
	fresh = event.MustID("0f000000000000000000000000000002")
	asEve = event.Actor{Kind: "user", ID: eve}

	adaRegistered = event.New{Stream: user.Stream(ada), Payload: user.Registered{User: ada, Organization: acme, Email: event.Seal("ada@example.org")}}
	adaErased     = event.New{Stream: user.Stream(ada), Payload: user.Erased{User: ada, Organization: acme}}
	deskAdded     = event.New{Stream: project.Stream(desk), Payload: project.Added{Project: desk, Organization: acme, Name: "Desk"}}
	deskRemoved   = event.New{Stream: project.Stream(desk), Payload: project.Removed{Project: desk, Organization: acme}}
	deskRestored  = event.New{Stream: project.Stream(desk), Payload: project.Restored{Project: desk, Organization: acme}}
	before        = []event.New{adaRegistered, deskAdded, role("editor"), role("reader")}
)

func role(key string) event.New {
	return event.New{Stream: project.Stream(desk), Payload: project.RoleAdded{Project: desk, Organization: acme, Key: key, Name: key}}
}

func noRole(key string) event.New {
	return event.New{Stream: project.Stream(desk), Payload: project.RoleRemoved{Project: desk, Organization: acme, Key: key}}
}

func granted(who event.ID, roles ...string) event.New {
	return event.New{Stream: grant.Stream(id), Payload: grant.RolesGranted{Grant: id, User: who, Project: desk, Organization: acme, Roles: roles}}
}

func withdrawn(roles ...string) event.New {
	return event.New{Stream: grant.Stream(id), Payload: grant.RolesWithdrawn{Grant: id, User: ada, Project: desk, Organization: acme, Roles: roles}}
}

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func given(events ...event.New) []event.New {
	return append(append([]event.New(nil), before...), events...)
}

// Roles that the project has are granted, besides those held, by those who
// manage the project's organization.
func TestGranting(t *testing.T) {
	c := func(roles ...string) grant.Grant {
		return grant.Grant{Grant: id, User: ada, Project: desk, Roles: roles}
	}
	again := c("editor", "reader")
	again.Grant = fresh
	many := make([]string, 101)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	type is = decidetest.Case[grant.Grant]
	decidetest.Run(t, registry, grant.Granting,
		is{Name: "once", Given: given(), When: c("editor"), Then: []any{granted(ada, "editor").Payload}},
		is{Name: "two, sorted", Given: given(), When: c("reader", "editor", "reader"), Then: []any{granted(ada, "editor", "reader").Payload}},
		is{Name: "one more, in the same grant", Given: given(granted(ada, "editor")), When: again, Then: []any{granted(ada, "reader").Payload}},
		is{Name: "held already", Given: given(granted(ada, "editor")), When: c("editor"), Err: grant.ErrHas},
		is{Name: "held by somebody else", Given: given(granted(bob, "editor")), When: c("editor"), Then: []any{granted(ada, "editor").Payload}},
		is{Name: "withdrawn before", Given: given(granted(ada, "editor"), withdrawn("editor")), When: c("editor"), Then: []any{granted(ada, "editor").Payload}},
		is{Name: "a role that there is not", Given: given(), When: c("king"), Kind: fault.NotFound},
		is{Name: "a role that ended", Given: given(noRole("editor")), When: c("editor"), Kind: fault.NotFound},
		is{Name: "a role that ended and came again", Given: given(granted(ada, "editor"), noRole("editor"), role("editor")), When: c("editor"),
			Then: []any{granted(ada, "editor").Payload}},
		is{Name: "none", Given: given(), When: c(), Err: grant.ErrRoles},
		is{Name: "too many", Given: given(), When: c(many...), Err: grant.ErrRoles},
		is{Name: "no user", Given: []event.New{deskAdded, role("editor")}, When: c("editor"), Err: user.ErrNotFound},
		is{Name: "an erased user", Given: given(adaErased), When: c("editor"), Err: user.ErrErased},
		is{Name: "no project", Given: []event.New{adaRegistered}, When: c("editor"), Err: project.ErrNotFound},
		is{Name: "a project that ended", Given: given(deskRemoved), When: c("editor"), Err: project.ErrNotFound},
		is{Name: "a project that came back", Given: given(granted(ada, "reader"), deskRemoved, deskRestored), When: c("editor"), Then: []any{granted(ada, "editor").Payload}},
		is{Name: "by an admin", As: asEve, Given: given(eveIs(authz.Admin, acme)), When: c("editor"), Then: []any{granted(ada, "editor").Payload}},
		is{Name: "by another's owner", As: asEve, Given: given(eveIs(authz.Owner, other)), When: c("editor"), Kind: fault.Denied},
	)
}

// Roles that are held are withdrawn.
func TestWithdrawing(t *testing.T) {
	c := func(roles ...string) grant.Withdraw {
		return grant.Withdraw{User: ada, Project: desk, Roles: roles}
	}
	type is = decidetest.Case[grant.Withdraw]
	decidetest.Run(t, registry, grant.Withdrawing,
		is{Name: "once", Given: given(granted(ada, "editor")), When: c("editor"), Then: []any{withdrawn("editor").Payload}},
		is{Name: "one of two", Given: given(granted(ada, "editor", "reader")), When: c("reader", "king"), Then: []any{withdrawn("reader").Payload}},
		is{Name: "again", Given: given(granted(ada, "editor"), withdrawn("editor")), When: c("editor"), Err: grant.ErrHasNone},
		is{Name: "never held", Given: given(), When: c("editor"), Err: grant.ErrHasNone},
		is{Name: "held by somebody else", Given: given(granted(bob, "editor")), When: c("editor"), Err: grant.ErrHasNone},
		is{Name: "ended with the role", Given: given(granted(ada, "editor"), noRole("editor")), When: c("editor"), Err: grant.ErrHasNone},
		is{Name: "none", Given: given(granted(ada, "editor")), When: c(), Err: grant.ErrRoles},
		is{Name: "no user", Given: []event.New{deskAdded}, When: c("editor"), Err: user.ErrNotFound},
		is{Name: "no project", Given: []event.New{adaRegistered}, When: c("editor"), Err: project.ErrNotFound},
		is{Name: "by a viewer", As: asEve, Given: given(granted(ada, "editor"), eveIs(authz.Viewer, acme)), When: c("editor"), Kind: fault.Denied},
	)
}

// A machine user holds roles as a person does.
func TestGrantingToMachine(t *testing.T) {
	robot := event.MustID("0b000000000000000000000000000009")
	created := event.New{Stream: user.Stream(robot), Payload: user.MachineCreated{User: robot, Organization: acme, Name: "Backup"}}
	decidetest.Run(t, registry, grant.Granting, decidetest.Case[grant.Grant]{Name: "once", Given: given(created),
		When: grant.Grant{Grant: id, User: robot, Project: desk, Roles: []string{"reader"}}, Then: []any{granted(robot, "reader").Payload}})
}
