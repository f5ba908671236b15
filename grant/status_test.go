package grant_test

import (
	"slices"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/grant"
	"muniment.dev/project"
	"muniment.dev/user"
)

var (
	off = event.New{Stream: grant.Stream(id), Payload: grant.Deactivated{Grant: id, User: ada, Project: desk, Organization: acme}}
	on  = event.New{Stream: grant.Stream(id), Payload: grant.Reactivated{Grant: id, User: ada, Project: desk, Organization: acme}}
)

// Roles in a project go out of use together, and into it again. Where none is
// held, there is nothing to do so to.
func TestStatus(t *testing.T) {
	type deactivate = decidetest.Case[grant.Deactivate]
	d := grant.Deactivate{User: ada, Project: desk}
	decidetest.Run(t, registry, grant.Deactivating,
		deactivate{Name: "never held", Given: given(), When: d, Err: grant.ErrNone},
		deactivate{Name: "once", Given: given(granted(ada, "editor")), When: d, Then: []any{off.Payload}},
		deactivate{Name: "again", Given: given(granted(ada, "editor"), off), When: d, Err: grant.ErrDeactivated},
		deactivate{Name: "after it came back", Given: given(granted(ada, "editor"), off, on), When: d, Then: []any{off.Payload}},
		deactivate{Name: "all withdrawn", Given: given(granted(ada, "editor"), withdrawn("editor")), When: d, Err: grant.ErrNone},
		deactivate{Name: "ended with the role", Given: given(granted(ada, "editor"), noRole("editor")), When: d, Err: grant.ErrNone},
		deactivate{Name: "held by somebody else", Given: given(granted(bob, "editor")), When: d, Err: grant.ErrNone},
		deactivate{Name: "no user", Given: []event.New{deskAdded}, When: d, Err: user.ErrNotFound},
		deactivate{Name: "an erased user", Given: given(granted(ada, "editor"), adaErased), When: d, Err: user.ErrErased},
		deactivate{Name: "no project", Given: []event.New{adaRegistered}, When: d, Err: project.ErrNotFound},
		deactivate{Name: "a project that ended", Given: given(granted(ada, "editor"), deskRemoved), When: d, Err: project.ErrNotFound},
		deactivate{Name: "by an admin", As: asEve, Given: given(granted(ada, "editor"), eveIs(authz.Admin, acme)), When: d, Then: []any{off.Payload}},
		deactivate{Name: "by a viewer", As: asEve, Given: given(granted(ada, "editor"), eveIs(authz.Viewer, acme)), When: d, Kind: fault.Denied},
	)
	type reactivate = decidetest.Case[grant.Reactivate]
	r := grant.Reactivate{User: ada, Project: desk}
	decidetest.Run(t, registry, grant.Reactivating,
		reactivate{Name: "never held", Given: given(), When: r, Err: grant.ErrNone},
		reactivate{Name: "in use", Given: given(granted(ada, "editor")), When: r, Err: grant.ErrActive},
		reactivate{Name: "once", Given: given(granted(ada, "editor"), off), When: r, Then: []any{on.Payload}},
		reactivate{Name: "again", Given: given(granted(ada, "editor"), off, on), When: r, Err: grant.ErrActive},
		reactivate{Name: "all withdrawn", Given: given(granted(ada, "editor"), off, withdrawn("editor")), When: r, Err: grant.ErrNone},
		reactivate{Name: "an erased user", Given: given(granted(ada, "editor"), off, adaErased), When: r, Err: user.ErrErased},
		reactivate{Name: "by another's owner", As: asEve, Given: given(granted(ada, "editor"), off, eveIs(authz.Owner, other)), When: r, Kind: fault.Denied},
	)
}

// To roles that are out of use, none is added, as it would not count: unless
// none of them is left. Withdrawing goes on.
func TestOutOfUse(t *testing.T) {
	c := func(roles ...string) grant.Grant {
		return grant.Grant{Grant: fresh, User: ada, Project: desk, Roles: roles}
	}
	type is = decidetest.Case[grant.Grant]
	decidetest.Run(t, registry, grant.Granting,
		is{Name: "one more", Given: given(granted(ada, "editor"), off), When: c("reader"), Err: grant.ErrDeactivated},
		is{Name: "one that is held", Given: given(granted(ada, "editor"), off), When: c("editor"), Err: grant.ErrDeactivated},
		is{Name: "none left", Given: given(granted(ada, "editor"), off, withdrawn("editor")), When: c("reader"), Then: []any{on.Payload, granted(ada, "reader").Payload}},
		is{Name: "ended with the role", Given: given(granted(ada, "editor"), off, noRole("editor")), When: c("reader"), Then: []any{on.Payload, granted(ada, "reader").Payload}},
	)
	decidetest.Run(t, registry, grant.Withdrawing, decidetest.Case[grant.Withdraw]{Name: "out of use", Given: given(granted(ada, "editor", "reader"), off),
		When: grant.Withdraw{User: ada, Project: desk, Roles: []string{"reader"}}, Then: []any{withdrawn("reader").Payload}})
}

// Which roles count follows from the grant's state and its project's.
func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		facts []event.New
		want  []string
	}{
		"granted":          {[]event.New{granted(ada, "editor", "reader")}, []string{"editor", "reader"}},
		"deactivated":      {[]event.New{granted(ada, "editor"), off}, nil},
		"reactivated":      {[]event.New{granted(ada, "editor"), off, on}, []string{"editor"}},
		"role ended":       {[]event.New{granted(ada, "editor", "reader"), noRole("editor")}, []string{"reader"}},
		"project ended":    {[]event.New{granted(ada, "editor"), deskRemoved}, nil},
		"project restored": {[]event.New{granted(ada, "editor"), deskRemoved, deskRestored}, []string{"editor"}},
		"both":             {[]event.New{granted(ada, "editor"), off, deskRemoved, deskRestored}, nil},
		"in none":          {[]event.New{noRole("editor"), deskRemoved, deskRestored}, nil},
	} {
		h := grant.Held{}
		for _, e := range c.facts {
			h = grant.EvolveHeld(h, event.Fact{Payload: e.Payload})
		}
		if got := h.Roles(desk); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
