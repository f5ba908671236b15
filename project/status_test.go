package project_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/project"
)

// A project is taken out of use and into use again; a role is renamed.
func TestStatus(t *testing.T) {
	out := about(project.Deactivated{Project: desk, Organization: acme})
	in := about(project.Reactivated{Project: desk, Organization: acme})
	type deactivate = decidetest.Case[project.Deactivate]
	d := project.Deactivate{Project: desk}
	decidetest.Run(t, registry, project.Deactivating,
		deactivate{Name: "absent", When: d, Err: project.ErrNotFound},
		deactivate{Name: "once", Given: given(added), When: d, Then: []any{out.Payload}},
		deactivate{Name: "again", Given: given(added, out), When: d, Err: project.ErrInactive},
		deactivate{Name: "removed", Given: given(added, removed), When: d, Err: project.ErrRemoved},
		deactivate{Name: "by the organization's admin", As: asEve, Given: given(added, eveIs(authz.Admin, acme)), When: d, Then: []any{out.Payload}},
		deactivate{Name: "by another's owner", As: asEve, Given: given(added, eveIs(authz.Owner, other)), When: d, Kind: fault.Denied},
	)
	type reactivate = decidetest.Case[project.Reactivate]
	r := project.Reactivate{Project: desk}
	decidetest.Run(t, registry, project.Reactivating,
		reactivate{Name: "absent", When: r, Err: project.ErrNotFound},
		reactivate{Name: "in use", Given: given(added), When: r, Err: project.ErrActive},
		reactivate{Name: "once", Given: given(added, out), When: r, Then: []any{in.Payload}},
	)
	renamed := about(project.RoleRenamed{Project: desk, Organization: acme, Key: "editor", Name: "Writer"})
	n := project.RenameRole{Project: desk, Key: "editor", Name: "Writer"}
	type rename = decidetest.Case[project.RenameRole]
	decidetest.Run(t, registry, project.RenamingRole,
		rename{Name: "absent", Given: given(added), When: n, Err: project.ErrNoRole},
		rename{Name: "removed", Given: given(added, editor, noEditor), When: n, Err: project.ErrNoRole},
		rename{Name: "once", Given: given(added, editor), When: n, Then: []any{renamed.Payload}},
		rename{Name: "again", Given: given(added, editor, renamed), When: n},
		rename{Name: "to nothing", Given: given(added, editor), When: project.RenameRole{Project: desk, Key: "editor"}, Err: org.ErrName},
		rename{Name: "by a viewer", As: asEve, Given: given(added, editor, eveIs(authz.Viewer, acme)), When: n, Kind: fault.Denied},
	)
}
