package org_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/user"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), user.Events(), project.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	other = event.MustID("0a000000000000000000000000000002")
	bob   = event.MustID("0b000000000000000000000000000002")
	eve   = event.MustID("0b000000000000000000000000000003")
	asEve = event.Actor{Kind: "user", ID: eve}

	added    = event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	inactive = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
	active   = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationReactivated{Organization: acme}}
)

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

// at is a person at home in an organization.
func at(id, organization event.ID) event.New {
	return event.New{Stream: user.Stream(id), Payload: user.Registered{User: id, Organization: organization, Email: event.Seal(id.String() + "@example.org"), GivenName: event.Seal("A")}}
}

func given(events ...event.New) []event.New { return events }

// Organizations are added by those who manage the instance.
func TestAdding(t *testing.T) {
	c := org.Add{Organization: acme, Name: "Acme"}
	named := func(n string) org.Add { return org.Add{Organization: acme, Name: n} }
	type is = decidetest.Case[org.Add]
	decidetest.Run(t, registry, org.Adding,
		is{Name: "once", When: c, Then: []any{added.Payload}},
		is{Name: "again", Given: given(added), When: c, Kind: fault.Exists},
		is{Name: "by an instance admin", As: asEve, Given: given(eveIs(authz.Admin, event.ID{})), When: c, Then: []any{added.Payload}},
		is{Name: "by an instance viewer", As: asEve, Given: given(eveIs(authz.Viewer, event.ID{})), When: c, Kind: fault.Denied},
		is{Name: "by an organization's owner", As: asEve, Given: given(eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
		is{Name: "without a name", When: named(""), Err: org.ErrName},
		is{Name: "with a long name", When: named(strings.Repeat("a", 201)), Err: org.ErrName},
		is{Name: "with a line break", When: named("a\nb"), Err: org.ErrName},
		is{Name: "with space around it", When: named(" a"), Err: org.ErrName},
		is{Name: "with half a character", When: named("a\xff"), Err: org.ErrName},
	)
}

// An organization's own administrators may rename it; only the instance's may
// take it out of use.
func TestChanging(t *testing.T) {
	to := org.Rename{Organization: acme, Name: "Acme 2"}
	renamed := org.Renamed{Organization: acme, Name: "Acme 2"}
	type rename = decidetest.Case[org.Rename]
	decidetest.Run(t, registry, org.Renaming,
		rename{Name: "absent", When: to, Err: org.ErrNotFound},
		rename{Name: "once", Given: given(added), When: to, Then: []any{renamed}},
		rename{Name: "to the same", Given: given(added), When: org.Rename{Organization: acme, Name: "Acme"}},
		rename{Name: "to nothing", Given: given(added), When: org.Rename{Organization: acme}, Err: org.ErrName},
		rename{Name: "by its admin", As: asEve, Given: given(added, eveIs(authz.Admin, acme)), When: to, Then: []any{renamed}},
		rename{Name: "by its admin while out of use", As: asEve, Given: given(added, eveIs(authz.Admin, acme), inactive), When: to, Kind: fault.Denied},
		rename{Name: "by another's owner", As: asEve, Given: given(added, eveIs(authz.Owner, other)), When: to, Kind: fault.Denied},
	)
	out, in := org.Deactivate{Organization: acme}, org.Reactivate{Organization: acme}
	type deactivate = decidetest.Case[org.Deactivate]
	decidetest.Run(t, registry, org.Deactivating,
		deactivate{Name: "absent", When: out, Err: org.ErrNotFound},
		deactivate{Name: "once", Given: given(added), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "again", Given: given(added, inactive), When: out, Err: org.ErrInactive},
		deactivate{Name: "after it was taken into use again", Given: given(added, inactive, active), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "by its owner", As: asEve, Given: given(added, eveIs(authz.Owner, acme)), When: out, Kind: fault.Denied},
	)
	// Whoever is at home there is locked out: not by themselves, and not by
	// whoever has less than they.
	bobIs := func(role authz.Role, organization event.ID) event.New {
		return event.New{Stream: event.Stream{Kind: "member", ID: bob}, Payload: authz.MemberAdded{Member: bob, User: bob, Organization: organization, Role: string(role)}}
	}
	bobIsNot := event.New{Stream: event.Stream{Kind: "member", ID: bob}, Payload: authz.MemberRemoved{Member: bob, User: bob, Role: "owner"}}
	admin, owner, whole := eveIs(authz.Admin, event.ID{}), eveIs(authz.Owner, event.ID{}), event.ID{}
	decidetest.Run(t, registry, org.Deactivating,
		deactivate{Name: "by an instance admin", As: asEve, Given: given(added, admin, at(bob, acme)), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "one's own", As: asEve, Given: given(added, owner, at(eve, acme)), When: out, Kind: fault.Denied},
		deactivate{Name: "with an instance owner in it", As: asEve, Given: given(added, admin, at(bob, acme), bobIs(authz.Owner, whole)), When: out, Kind: fault.Denied},
		deactivate{Name: "with an instance auditor in it", As: asEve, Given: given(added, admin, at(bob, acme), bobIs(authz.Auditor, whole)), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "with its own owner in it", As: asEve, Given: given(added, admin, at(bob, acme), bobIs(authz.Owner, acme)), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "with one in it who was an instance owner", As: asEve, Given: given(added, admin, at(bob, acme), bobIs(authz.Owner, whole), bobIsNot), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "with an instance owner elsewhere", As: asEve, Given: given(added, admin, at(bob, other), bobIs(authz.Owner, whole)), When: out, Then: []any{inactive.Payload}},
		deactivate{Name: "by another instance owner", As: asEve, Given: given(added, owner, at(eve, other), at(bob, acme), bobIs(authz.Owner, whole)), When: out, Then: []any{inactive.Payload}},
	)
	type reactivate = decidetest.Case[org.Reactivate]
	decidetest.Run(t, registry, org.Reactivating,
		reactivate{Name: "absent", When: in, Err: org.ErrNotFound},
		reactivate{Name: "in use", Given: given(added), When: in, Err: org.ErrActive},
		reactivate{Name: "once", Given: given(added, inactive), When: in, Then: []any{active.Payload}},
		reactivate{Name: "by its owner", As: asEve, Given: given(added, inactive, eveIs(authz.Owner, acme)), When: in, Kind: fault.Denied},
	)
}

func projectAdded(o event.ID) any {
	return project.Added{Project: bob, Organization: o, Name: "Desk"}
}
