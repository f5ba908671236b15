package instance_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
)

var (
	home        = event.MustID("0a000000000000000000000000000001")
	homeAdded   = event.New{Stream: org.Stream(home), Payload: org.Added{Organization: home, Name: "Home"}}
	eveReads    = event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Role: "viewer"}}
	orgRemoved  = event.New{Stream: event.Stream{Kind: "organization", ID: home}, Payload: authz.OrganizationRemoved{Organization: home}}
	orgRestored = event.New{Stream: event.Stream{Kind: "organization", ID: home}, Payload: authz.OrganizationRestored{Organization: home}}
)

func set(payload any) event.New { return event.New{Stream: instance.Stream(id), Payload: payload} }

// Whoever administers the instance changes its settings.
func TestRenaming(t *testing.T) {
	c := instance.Rename{Instance: id, Name: "New"}
	then := []any{instance.Renamed{Instance: id, Name: "New"}}
	type is = decidetest.Case[instance.Rename]
	decidetest.Run(t, registry, instance.Renaming,
		is{Name: "once", Given: []event.New{created}, When: c, Then: then},
		is{Name: "as it is", Given: []event.New{created, set(then[0])}, When: c},
		is{Name: "to nothing", Given: []event.New{created}, When: instance.Rename{Instance: id}, Kind: fault.Invalid},
		is{Name: "too long", Given: []event.New{created}, When: instance.Rename{Instance: id, Name: strings.Repeat("x", 201)}, Kind: fault.Invalid},
		is{Name: "by an owner", As: asEve, Given: []event.New{created, eveOwns}, When: c, Then: then},
		is{Name: "by a viewer", As: asEve, Given: []event.New{created, eveReads}, When: c, Kind: fault.Denied},
	)
}

// The links of the sign-in page are https or mailto, never something that runs.
func TestChangingLinks(t *testing.T) {
	links := instance.Links{Privacy: "https://example.org/privacy", Terms: "", Support: "mailto:help@example.org"}
	c := instance.ChangeLinks{Instance: id, Links: links}
	then := []any{instance.LinksChanged{Instance: id, Privacy: links.Privacy, Support: links.Support}}
	type is = decidetest.Case[instance.ChangeLinks]
	decidetest.Run(t, registry, instance.ChangingLinks,
		is{Name: "once", Given: []event.New{created}, When: c, Then: then},
		is{Name: "as they are", Given: []event.New{created, set(then[0])}, When: c},
		is{Name: "none any more", Given: []event.New{created, set(then[0])}, When: instance.ChangeLinks{Instance: id}, Then: []any{instance.LinksChanged{Instance: id}}},
		is{Name: "by a viewer", As: asEve, Given: []event.New{created, eveReads}, When: c, Kind: fault.Denied},
	)
	for _, bad := range []string{"javascript:alert(1)", "http://example.org/", "//example.org", "example.org", "https://", "https://a:b@example.org/", "mailto:", "data:text/html,x", "https://e.org/" + strings.Repeat("x", 500)} {
		_, err := instance.ChangingLinks.Decide(instance.Settings{}, instance.ChangeLinks{Instance: id, Links: instance.Links{Terms: bad}})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// New people belong to an organization that there is.
func TestChangingDefaultOrganization(t *testing.T) {
	c := instance.ChangeDefaultOrganization{Instance: id, Organization: home}
	then := []any{instance.DefaultOrganizationChanged{Instance: id, Organization: home}}
	type is = decidetest.Case[instance.ChangeDefaultOrganization]
	decidetest.Run(t, registry, instance.ChangingDefaultOrganization,
		is{Name: "absent", Given: []event.New{created}, When: c, Err: instance.ErrNoOrganization},
		is{Name: "none, where there is none", Given: []event.New{created}, When: instance.ChangeDefaultOrganization{Instance: id}},
		is{Name: "once", Given: []event.New{created, homeAdded}, When: c, Then: then},
		is{Name: "removed", Given: []event.New{created, homeAdded, orgRemoved}, When: c, Err: instance.ErrOrganizationRemoved},
		is{Name: "restored", Given: []event.New{created, homeAdded, orgRemoved, orgRestored}, When: c, Then: then},
		is{Name: "none any more", Given: []event.New{created, homeAdded, set(then[0])}, When: instance.ChangeDefaultOrganization{Instance: id}, Then: []any{instance.DefaultOrganizationChanged{Instance: id}}},
		is{Name: "by a viewer", As: asEve, Given: []event.New{created, homeAdded, eveReads}, When: c, Kind: fault.Denied},
	)
}
