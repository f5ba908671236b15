package project_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/project"
)

// A removed project comes back, unless its organization is removed, too.
func TestRestoring(t *testing.T) {
	back := about(project.Restored{Project: desk, Organization: acme})
	acmeRemoved := event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRemoved{Organization: acme}}
	acmeBack := event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRestored{Organization: acme}}
	otherRemoved := event.New{Stream: org.Stream(other), Payload: authz.OrganizationRemoved{Organization: other}}
	c := project.Restore{Project: desk}
	type is = decidetest.Case[project.Restore]
	decidetest.Run(t, registry, project.Restoring,
		is{Name: "absent", When: c, Err: project.ErrNotFound},
		is{Name: "there", Given: given(acmeAdded, added), When: c, Err: project.ErrIsThere},
		is{Name: "once", Given: given(acmeAdded, added, removed), When: c, Then: []any{back.Payload}},
		is{Name: "again", Given: given(acmeAdded, added, removed, back), When: c, Err: project.ErrIsThere},
		is{Name: "removed again", Given: given(acmeAdded, added, removed, back, removed), When: c, Then: []any{back.Payload}},
		is{Name: "organization removed", Given: given(acmeAdded, added, removed, acmeRemoved), When: c, Err: org.ErrRemoved},
		is{Name: "organization restored", Given: given(acmeAdded, added, removed, acmeRemoved, acmeBack), When: c, Then: []any{back.Payload}},
		is{Name: "another organization removed", Given: given(acmeAdded, added, removed, otherRemoved), When: c, Then: []any{back.Payload}},
		is{Name: "organization out of use", Given: given(acmeAdded, added, removed, acmeInactive), When: c, Then: []any{back.Payload}},
		is{Name: "by the organization's admin", As: asEve, Given: given(added, removed, eveIs(authz.Admin, acme)), When: c, Then: []any{back.Payload}},
		is{Name: "by a viewer", As: asEve, Given: given(added, removed, eveIs(authz.Viewer, acme)), When: c, Kind: fault.Denied},
		is{Name: "by another's owner", As: asEve, Given: given(added, removed, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
	)
	decidetest.Run(t, registry, project.Renaming, decidetest.Case[project.Rename]{Name: "restored", Given: given(added, removed, back),
		When: project.Rename{Project: desk, Name: "Counter"}, Then: []any{project.Renamed{Project: desk, Organization: acme, Name: "Counter"}}})
}
