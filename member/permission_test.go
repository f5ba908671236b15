package member_test

import (
	"fmt"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/org"
)

var permission = event.MustID("0e000000000000000000000000000001")

// may is that a user was permitted something.
func may(u event.ID, right authz.EventRight, types string, organization event.ID) event.New {
	return event.New{Stream: member.PermissionStream(permission),
		Payload: authz.PermissionGranted{Permission: permission, User: u, Organization: organization, Right: string(right), Types: types}}
}

// mayNot is the end of that.
func mayNot(g event.New) event.New {
	g.Payload = authz.PermissionWithdrawn(g.Payload.(authz.PermissionGranted))
	return g
}

// Permissions are granted by those who own the scope, and nobody grants what
// they do not have (S05, S06).
func TestGranting(t *testing.T) {
	p := authz.Permission{Right: authz.Publish, Types: "order-created", Organization: acme}
	c := member.Grant{ID: permission, User: bob, Permission: p}
	whole := c
	whole.Organization = event.ID{}
	with := func(right authz.EventRight, types authz.EventTypes) member.Grant {
		d := c
		d.Right, d.Types = right, types
		return d
	}
	acmeAdded := event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	there := []event.New{acmeAdded, robot}
	given := func(more ...event.New) []event.New { return append(there[:2:2], more...) }
	granted := may(bob, authz.Publish, "order-created", acme)
	then := []any{granted.Payload}
	var many, elsewhere []event.New
	for n := range 200 {
		g := may(bob, authz.Read, fmt.Sprintf("type-%d", n), acme)
		many = append(many, g)
		elsewhere = append(elsewhere, may(bob, authz.Read, fmt.Sprintf("type-%d", n), event.ID{0xe}))
	}
	type is = decidetest.Case[member.Grant]
	decidetest.Run(t, registry, member.Granting,
		is{Name: "once", Given: there, When: c, Then: then},
		is{Name: "a person", Given: []event.New{acmeAdded, registered(bob)}, When: c, Then: then},
		is{Name: "in the instance", Given: there[1:], When: whole, Then: []any{may(bob, authz.Publish, "order-created", event.ID{}).Payload}},
		is{Name: "again", Given: given(granted), When: c, Err: member.ErrPermitted},
		is{Name: "after it was withdrawn", Given: given(granted, mayNot(granted)), When: c, Then: then},
		is{Name: "beside a wider one", Given: given(may(bob, authz.Publish, "*", acme)), When: c, Then: then},
		is{Name: "another right", Given: given(may(bob, authz.Read, "order-created", acme)), When: c, Then: then},
		is{Name: "elsewhere already", Given: given(may(bob, authz.Publish, "order-created", event.ID{})), When: c, Then: then},
		is{Name: "no user", Given: there[:1], When: c, Err: member.ErrNoUser},
		is{Name: "no organization", Given: there[1:], When: c, Err: member.ErrNoOrg},
		is{Name: "no right", Given: there, When: with("erase", "*"), Err: authz.ErrEventRight},
		is{Name: "no types", Given: there, When: with(authz.Read, "order*"), Err: authz.ErrEventTypes},
		is{Name: "too many", Given: given(many...), When: c, Err: member.ErrTooMany},
		is{Name: "too many of another organization", Given: given(elsewhere...), When: c, Then: then},
		is{Name: "by the organization's owner", As: asAda, Given: given(added(ada, acme, authz.Owner)), When: c, Then: then},
		is{Name: "by an owner, to themself", As: asAda, Given: []event.New{acmeAdded, registered(ada), added(ada, acme, authz.Owner)},
			When: member.Grant{ID: permission, User: ada, Permission: p}, Then: []any{may(ada, authz.Publish, "order-created", acme).Payload}},
		is{Name: "not by an administrator", As: asAda, Given: given(added(ada, event.ID{}, authz.Admin)), When: c, Kind: fault.Denied},
		is{Name: "not by whoever has it, and manages no members", As: asAda, Given: given(may(ada, authz.Publish, "*", acme)), When: c, Kind: fault.Denied},
		is{Name: "not in the instance by an organization's owner", As: asAda, Given: given(added(ada, acme, authz.Owner)), When: whole, Kind: fault.Denied},
		is{Name: "not by an owner who was locked", As: asAda, Given: given(registered(ada), added(ada, acme, authz.Owner), locked(ada)), When: c, Kind: fault.Denied},
		is{Name: "not by the owner of a deactivated organization", As: asAda,
			Given: given(added(ada, acme, authz.Owner), event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}), When: c, Kind: fault.Denied},
		is{Name: "not to oneself", As: asBob, Given: there, When: c, Kind: fault.Denied},
	)
}

// A permission is withdrawn as it was granted, by those who could grant it.
func TestWithdrawing(t *testing.T) {
	c := member.Withdraw{User: bob, Permission: authz.Permission{Right: authz.Read, Types: "order-*", Organization: acme}}
	granted := may(bob, authz.Read, "order-*", acme)
	then := []any{mayNot(granted).Payload}
	type is = decidetest.Case[member.Withdraw]
	other, none := c, c
	other.Types, none.Types = "order-created", "order*"
	decidetest.Run(t, registry, member.Withdrawing,
		is{Name: "once", Given: []event.New{robot, granted}, When: c, Then: then},
		is{Name: "again", Given: []event.New{robot, granted, mayNot(granted)}, When: c, Err: member.ErrNotPermitted},
		is{Name: "never held", Given: []event.New{robot}, When: c, Err: member.ErrNotPermitted},
		is{Name: "one of its types", Given: []event.New{robot, granted}, When: other, Err: member.ErrNotPermitted},
		is{Name: "no types", Given: []event.New{robot, granted}, When: none, Err: authz.ErrEventTypes},
		is{Name: "another's", Given: []event.New{robot, may(ada, authz.Read, "order-*", acme)}, When: c, Err: member.ErrNotPermitted},
		is{Name: "by the organization's owner", As: asAda, Given: []event.New{robot, granted, added(ada, acme, authz.Owner)}, When: c, Then: then},
		is{Name: "not by an administrator", As: asAda, Given: []event.New{robot, granted, added(ada, acme, authz.Admin)}, When: c, Kind: fault.Denied},
		is{Name: "not by whoever holds it", As: asBob, Given: []event.New{robot, granted}, When: c, Kind: fault.Denied},
	)
}
