package app_test

import (
	"testing"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/project"
)

// A removed application comes back, unless its project is removed, too. If its
// tokens open the API, that is for the instance's administrators to decide.
func TestRestoring(t *testing.T) {
	back := event.New{Stream: app.Stream(web), Payload: app.Restored{Application: web, Project: desk, Organization: acme}}
	deskBack := event.New{Stream: project.Stream(desk), Payload: project.Restored{Project: desk, Organization: acme}}
	otherRemoved := event.New{Stream: project.Stream(other), Payload: project.Removed{Project: other, Organization: acme}}
	opens := event.New{Stream: app.Stream(web), Payload: app.SettingsChanged{Application: web, Project: desk, Organization: acme, APIAccess: true}}
	c := app.Restore{Application: web}
	type is = decidetest.Case[app.Restore]
	decidetest.Run(t, registry, app.Restoring,
		is{Name: "absent", When: c, Err: app.ErrNotFound},
		is{Name: "there", Given: given(deskAdded, webAdded), When: c, Err: app.ErrIsThere},
		is{Name: "once", Given: given(deskAdded, webAdded, webRemoved), When: c, Then: []any{back.Payload}},
		is{Name: "again", Given: given(deskAdded, webAdded, webRemoved, back), When: c, Err: app.ErrIsThere},
		is{Name: "project removed", Given: given(deskAdded, webAdded, webRemoved, deskRemoved), When: c, Err: project.ErrRemoved},
		is{Name: "project restored", Given: given(deskAdded, webAdded, webRemoved, deskRemoved, deskBack), When: c, Then: []any{back.Payload}},
		is{Name: "another project removed", Given: given(deskAdded, webAdded, webRemoved, otherRemoved), When: c, Then: []any{back.Payload}},
		is{Name: "by the organization's admin", As: asEve, Given: given(deskAdded, webAdded, webRemoved, eveIs(authz.Admin, acme)), When: c, Then: []any{back.Payload}},
		is{Name: "by another's owner", As: asEve, Given: given(deskAdded, webAdded, webRemoved, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
		is{Name: "that opens the API, by the organization's owner", As: asEve, Given: given(deskAdded, webAdded, opens, webRemoved, eveIs(authz.Owner, acme)), When: c, Kind: fault.Denied},
		is{Name: "that opens the API, by the instance's", As: asEve, Given: given(deskAdded, webAdded, opens, webRemoved, eveIs(authz.Owner, event.ID{})), When: c, Then: []any{back.Payload}},
	)
	decidetest.Run(t, registry, app.Deactivating, decidetest.Case[app.Deactivate]{Name: "restored", Given: given(deskAdded, webAdded, webRemoved, back),
		When: app.Deactivate{Application: web}, Then: []any{webOut.Payload}})
}
