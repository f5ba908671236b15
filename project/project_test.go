package project_test

import (
	"strings"
	"testing"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/project"
)

var (
	registry = event.NewRegistry(authz.Events(), instance.Events(), org.Events(), project.Events(), app.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	other = event.MustID("0a000000000000000000000000000002")
	desk  = event.MustID("0d000000000000000000000000000001")
	eve   = event.MustID("0b000000000000000000000000000003")
	asEve = event.Actor{Kind: "user", ID: eve}

	acmeAdded    = event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	acmeInactive = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
	added        = about(project.Added{Project: desk, Organization: acme, Name: "Desk"})
	removed      = about(project.Removed{Project: desk, Organization: acme})
	editor       = about(project.RoleAdded{Project: desk, Organization: acme, Key: "editor", Name: "Editor"})
	noEditor     = about(project.RoleRemoved{Project: desk, Organization: acme, Key: "editor"})
)

func about(payload any) event.New { return event.New{Stream: project.Stream(desk), Payload: payload} }

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func given(events ...event.New) []event.New { return events }

// A project belongs to an organization that is in use.
func TestAdding(t *testing.T) {
	c := project.Add{Project: desk, Organization: acme, Name: "Desk"}
	type is = decidetest.Case[project.Add]
	decidetest.Run(t, registry, project.Adding,
		is{Name: "once", Given: given(acmeAdded), When: c, Then: []any{added.Payload}},
		is{Name: "again", Given: given(acmeAdded, added), When: c, Kind: fault.Exists},
		is{Name: "no organization", When: c, Err: org.ErrNotFound},
		is{Name: "organization out of use", Given: given(acmeAdded, acmeInactive), When: c, Err: org.ErrInactive},
		is{Name: "without a name", Given: given(acmeAdded), When: project.Add{Project: desk, Organization: acme}, Err: org.ErrName},
		is{Name: "by the organization's admin", As: asEve, Given: given(acmeAdded, eveIs(authz.Admin, acme)), When: c, Then: []any{added.Payload}},
		is{Name: "by its auditor", As: asEve, Given: given(acmeAdded, eveIs(authz.Auditor, acme)), When: c, Kind: fault.Denied},
		is{Name: "by another's owner", As: asEve, Given: given(acmeAdded, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
	)
}

// A project that ended stays so.
func TestChanging(t *testing.T) {
	to := project.Rename{Project: desk, Name: "Desk 2"}
	type rename = decidetest.Case[project.Rename]
	decidetest.Run(t, registry, project.Renaming,
		rename{Name: "absent", When: to, Err: project.ErrNotFound},
		rename{Name: "once", Given: given(added), When: to, Then: []any{project.Renamed{Project: desk, Organization: acme, Name: "Desk 2"}}},
		rename{Name: "to the same", Given: given(added), When: project.Rename{Project: desk, Name: "Desk"}},
		rename{Name: "to nothing", Given: given(added), When: project.Rename{Project: desk}, Err: org.ErrName},
		rename{Name: "ended", Given: given(added, removed), When: to, Err: project.ErrRemoved},
		rename{Name: "by another's owner", As: asEve, Given: given(added, eveIs(authz.Owner, other)), When: to, Kind: fault.Denied},
	)
	end := project.Remove{Project: desk}
	type remove = decidetest.Case[project.Remove]
	decidetest.Run(t, registry, project.Removing,
		remove{Name: "absent", When: end, Err: project.ErrNotFound},
		remove{Name: "once", Given: given(added), When: end, Then: []any{removed.Payload}},
		remove{Name: "again", Given: given(added, removed), When: end, Err: project.ErrRemoved},
		remove{Name: "by a viewer", As: asEve, Given: given(added, eveIs(authz.Viewer, acme)), When: end, Kind: fault.Denied},
	)
}

// A role has a key, which stands in tokens, and is there once.
func TestRoles(t *testing.T) {
	c := project.AddRole{Project: desk, Key: "editor", Name: "Editor"}
	keyed := func(k string) project.AddRole { return project.AddRole{Project: desk, Key: k, Name: "n"} }
	type add = decidetest.Case[project.AddRole]
	decidetest.Run(t, registry, project.AddingRole,
		add{Name: "absent", When: c, Err: project.ErrNotFound},
		add{Name: "once", Given: given(added), When: c, Then: []any{editor.Payload}},
		add{Name: "again", Given: given(added, editor), When: c, Err: project.ErrRoleExists},
		add{Name: "after it ended", Given: given(added, editor, noEditor), When: c, Then: []any{editor.Payload}},
		add{Name: "in another case", Given: given(added, editor), When: keyed("EDITOR"), Then: []any{project.RoleAdded{Project: desk, Organization: acme, Key: "EDITOR", Name: "n"}}},
		add{Name: "no key", Given: given(added), When: keyed(""), Kind: fault.Invalid},
		add{Name: "a long key", Given: given(added), When: keyed(strings.Repeat("k", 101)), Kind: fault.Invalid},
		add{Name: "a key with a space", Given: given(added), When: keyed("a b"), Kind: fault.Invalid},
		add{Name: "a key with an umlaut", Given: given(added), When: keyed("ä"), Kind: fault.Invalid},
		add{Name: "no name", Given: given(added), When: project.AddRole{Project: desk, Key: "k"}, Err: org.ErrName},
		add{Name: "of a project that ended", Given: given(added, removed), When: c, Err: project.ErrRemoved},
		add{Name: "by somebody", As: asEve, Given: given(added), When: c, Kind: fault.Denied},
	)
	end := project.RemoveRole{Project: desk, Key: "editor"}
	type remove = decidetest.Case[project.RemoveRole]
	decidetest.Run(t, registry, project.RemovingRole,
		remove{Name: "no project", When: end, Err: project.ErrNotFound},
		remove{Name: "absent", Given: given(added), When: end, Err: project.ErrNoRole},
		remove{Name: "once", Given: given(added, editor), When: end, Then: []any{noEditor.Payload}},
		remove{Name: "again", Given: given(added, editor, noEditor), When: end, Err: project.ErrNoRole},
		remove{Name: "by somebody", As: asEve, Given: given(added, editor), When: end, Kind: fault.Denied},
	)
}

// The command line's project stays: without it nobody could sign in to the API.
func TestCommandLine(t *testing.T) {
	cli := event.MustID("0e000000000000000000000000000001")
	created := event.New{Stream: instance.Stream(other), Payload: instance.Created{Instance: other, CLI: cli}}
	inDesk := func(id event.ID) event.New {
		return event.New{Stream: app.Stream(id), Payload: app.Added{Application: id, Project: desk, Organization: acme, Type: "native", Name: "CLI", Redirects: []string{"http://127.0.0.1/cb"}}}
	}
	owner := eveIs(authz.Owner, event.ID{})
	end := project.Remove{Project: desk}
	type remove = decidetest.Case[project.Remove]
	decidetest.Run(t, registry, project.Removing,
		remove{Name: "the command line's", As: asEve, Given: given(created, added, inDesk(cli), owner), When: end, Err: project.ErrOfInstance},
		remove{Name: "another with a native application", As: asEve, Given: given(created, added, inDesk(eve), owner), When: end, Then: []any{removed.Payload}},
	)
}
