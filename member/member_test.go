package member_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/user"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), user.Events())

	acme = event.MustID("0a000000000000000000000000000001")
	ada  = event.MustID("0b000000000000000000000000000001")
	bob  = event.MustID("0b000000000000000000000000000002")

	asAda = event.Actor{Kind: "user", ID: ada}
	asBob = event.Actor{Kind: "user", ID: bob}
)

func registered(id event.ID) event.New {
	return event.New{Stream: user.Stream(id), Payload: user.Registered{User: id, Organization: acme, Email: event.Seal(id.String() + "@example.org"), GivenName: event.Seal("A")}}
}

// robot is a machine user with the id of bob.
var robot = event.New{Stream: user.Stream(bob), Payload: user.MachineCreated{User: bob, Organization: acme, Name: "Backup"}}

// added is a membership whose id is the user's.
func added(u, organization event.ID, role authz.Role) event.New {
	return event.New{Stream: member.Stream(u), Payload: authz.MemberAdded{Member: u, User: u, Organization: organization, Role: string(role)}}
}

// Members are managed by owners, each in what they own.
func TestAdding(t *testing.T) {
	c := member.Add{Member: bob, User: bob, Organization: acme, Role: authz.Admin}
	there := []event.New{{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}, registered(bob)}
	with := func(more ...event.New) []event.New { return append(there[:2:2], more...) }
	decidetest.Run(t, registry, member.Adding,
		decidetest.Case[member.Add]{Name: "once", Given: there, When: c, Then: []any{added(bob, acme, authz.Admin).Payload}},
		decidetest.Case[member.Add]{Name: "again", Given: with(added(bob, acme, authz.Admin)), When: c, Err: member.ErrIs},
		decidetest.Case[member.Add]{Name: "by the organization's owner", As: asAda, Given: with(added(ada, acme, authz.Owner)), When: c, Then: []any{added(bob, acme, authz.Admin).Payload}},
		decidetest.Case[member.Add]{Name: "not by an administrator", As: asAda, Given: with(added(ada, acme, authz.Admin)), When: c, Kind: fault.Denied},
		decidetest.Case[member.Add]{Name: "not in the instance by an organization's owner", As: asAda, Given: with(added(ada, acme, authz.Owner)),
			When: member.Add{Member: bob, User: bob, Role: authz.Viewer}, Kind: fault.Denied},
		decidetest.Case[member.Add]{Name: "not oneself in the instance", As: asBob, Given: with(added(bob, acme, authz.Owner)),
			When: member.Add{Member: bob, User: bob, Role: authz.Owner}, Kind: fault.Denied},
		decidetest.Case[member.Add]{Name: "a machine user", Given: append(there[:1:1], robot), When: c, Then: []any{added(bob, acme, authz.Admin).Payload}},
		decidetest.Case[member.Add]{Name: "a machine user that would own the instance", Given: append(there[:1:1], robot), When: member.Add{Member: bob, User: bob, Role: authz.Owner}, Err: member.ErrMachineOwner},
		decidetest.Case[member.Add]{Name: "no user", Given: there[:1], When: c, Err: member.ErrNoUser},
		decidetest.Case[member.Add]{Name: "no organization", Given: there[1:], When: c, Err: member.ErrNoOrg},
		decidetest.Case[member.Add]{Name: "no such role", Given: there, When: member.Add{Member: bob, User: bob, Organization: acme, Role: "king"}, Err: member.ErrRole},
	)
}

// An instance keeps an owner who can sign in: whoever removes owners stays one.
func TestRemoving(t *testing.T) {
	c := member.Remove{User: bob, Role: authz.Owner}
	ofBob := []any{authz.MemberRemoved{Member: bob, User: bob, Role: string(authz.Owner)}}
	owners := []event.New{registered(ada), registered(bob), added(ada, event.ID{}, authz.Owner), added(bob, event.ID{}, authz.Owner)}
	erased := event.New{Stream: user.Stream(ada), Payload: user.Erased{User: ada, Organization: acme}}
	decidetest.Run(t, registry, member.Removing,
		decidetest.Case[member.Remove]{Name: "once", As: asAda, Given: owners, When: c, Then: ofBob},
		decidetest.Case[member.Remove]{Name: "is none", As: asAda, Given: owners[:3], When: c, Err: member.ErrIsNot},
		decidetest.Case[member.Remove]{Name: "the last one", Given: []event.New{registered(bob), added(bob, event.ID{}, authz.Owner)}, When: c, Err: member.ErrLastOwner},
		decidetest.Case[member.Remove]{Name: "not one's own", As: asBob, Given: owners, When: c, Kind: fault.Denied},
		decidetest.Case[member.Remove]{Name: "not one's own, when the other was erased", As: asBob, Given: append(owners[:4:4], erased), When: c, Kind: fault.Denied},
		decidetest.Case[member.Remove]{Name: "not by whoever is no owner any more", As: asAda, Given: append(owners[:4:4],
			event.New{Stream: member.Stream(ada), Payload: authz.MemberRemoved{Member: ada, User: ada, Role: string(authz.Owner)}}), When: c, Kind: fault.Denied},
		decidetest.Case[member.Remove]{Name: "one's own of an organization", As: asBob, Given: []event.New{registered(bob), added(bob, acme, authz.Owner)},
			When: member.Remove{User: bob, Organization: acme, Role: authz.Owner},
			Then: []any{authz.MemberRemoved{Member: bob, User: bob, Organization: acme, Role: string(authz.Owner)}}},
	)
}

// A role is changed in one step, where it could be in two.
func TestChangingRole(t *testing.T) {
	c := member.ChangeRole{Member: ada, User: bob, From: authz.Owner, To: authz.Viewer}
	owners := []event.New{registered(ada), registered(bob), added(ada, event.ID{}, authz.Owner), added(bob, event.ID{}, authz.Owner)}
	then := []any{authz.MemberRemoved{Member: bob, User: bob, Role: "owner"}, authz.MemberAdded{Member: ada, User: bob, Role: "viewer"}}
	same := c
	same.To = authz.Owner
	king := c
	king.To = "king"
	type is = decidetest.Case[member.ChangeRole]
	decidetest.Run(t, registry, member.ChangingRole,
		is{Name: "once", As: asAda, Given: owners, When: c, Then: then},
		is{Name: "is none", As: asAda, Given: owners[:3], When: c, Err: member.ErrIsNot},
		is{Name: "the last owner", Given: []event.New{registered(bob), added(bob, event.ID{}, authz.Owner)}, When: c, Err: member.ErrLastOwner},
		is{Name: "one's own", As: asBob, Given: owners, When: c, Kind: fault.Denied},
		is{Name: "to the same", As: asAda, Given: owners, When: same, Err: member.ErrSame},
		is{Name: "to none that there is", As: asAda, Given: owners, When: king, Err: member.ErrRole},
		is{Name: "to one held already", As: asAda, Given: append(owners[:4:4], added(bob, event.ID{}, authz.Viewer)), When: c, Err: member.ErrIs},
		is{Name: "by an admin", As: asAda, Given: []event.New{registered(bob), added(ada, event.ID{}, authz.Admin), added(bob, acme, authz.Viewer)},
			When: member.ChangeRole{Member: ada, User: bob, Organization: acme, From: authz.Viewer, To: authz.Auditor}, Kind: fault.Denied},
	)
}

func locked(id event.ID) event.New {
	return event.New{Stream: user.Stream(id), Payload: user.Locked{User: id, Organization: acme}}
}
