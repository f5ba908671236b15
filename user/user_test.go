package user_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/user"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), policy.Events(), user.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	other = event.MustID("0a000000000000000000000000000002")
	ada   = event.MustID("0b000000000000000000000000000001")
	bob   = event.MustID("0b000000000000000000000000000002")
	eve   = event.MustID("0b000000000000000000000000000003")

	acmeAdded     = event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	acmeInactive  = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
	adaRegistered = registered(ada, "ada@example.org", "Ada")
	bobRegistered = registered(bob, "bob@example.org", "Bob")
	eveIsAdmin    = event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: acme, Role: "admin"}}
	eveIsAdminElsewhere = event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: other, Role: "owner"}}
	adaErased = event.New{Stream: user.Stream(ada), Payload: user.Erased{User: ada, Organization: acme, Email: event.Seal("ada@example.org")}}
	adaLocked = event.New{Stream: user.Stream(ada), Payload: user.Locked{User: ada, Organization: acme}}
	adaOut    = event.New{Stream: user.Stream(ada), Payload: user.Deactivated{User: ada, Organization: acme}}
	adaIn     = event.New{Stream: user.Stream(ada), Payload: user.Reactivated{User: ada, Organization: acme}}

	asEve = event.Actor{Kind: "user", ID: eve}
	asAda = event.Actor{Kind: "user", ID: ada}
)

func registered(id event.ID, email, name string) event.New {
	return event.New{Stream: user.Stream(id), Payload: user.Registered{User: id, Organization: acme, Email: event.Seal(email),
		GivenName: event.Seal(name), FamilyName: event.Seal("Smith"), DisplayName: event.Seal(name + " Smith")}}
}

// chosen is a password that nothing speaks against.
func chosen(hash string) user.Chosen { return user.Chosen{Hash: hash, Plain: "four words of one"} }

// A02, E14: registering is a command, being registered an event; an address
// belongs to one person at a time, whatever its case (I-D uniqueness).
func TestRegistering(t *testing.T) {
	c := user.Register{User: ada, Organization: acme, Email: "ada@example.org", Names: user.Names{Given: "Ada", Family: "Smith"}}
	upper, bad, nameless := c, c, c
	upper.Email, bad.Email, nameless.Names.Given = "ADA@Example.ORG", "not an address", ""
	withHash := c
	withHash.Chosen = chosen("$argon2id$…")
	decidetest.Run(t, registry, user.Registering,
		decidetest.Case[user.Register]{Name: "once", Given: []event.New{acmeAdded}, When: c, Then: []any{adaRegistered.Payload}},
		decidetest.Case[user.Register]{Name: "with a password", Given: []event.New{acmeAdded}, When: withHash,
			Then: []any{adaRegistered.Payload, user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("$argon2id$…")}}},
		decidetest.Case[user.Register]{Name: "by the organization's administrator", As: asEve, Given: []event.New{acmeAdded, eveIsAdmin}, When: c, Then: []any{adaRegistered.Payload}},
		decidetest.Case[user.Register]{Name: "not by another's", As: asEve, Given: []event.New{acmeAdded, eveIsAdminElsewhere}, When: c, Kind: fault.Denied},
		decidetest.Case[user.Register]{Name: "not by anybody", As: asEve, Given: []event.New{acmeAdded}, When: c, Kind: fault.Denied},
		decidetest.Case[user.Register]{Name: "no organization", When: c, Err: org.ErrNotFound},
		decidetest.Case[user.Register]{Name: "inactive organization", Given: []event.New{acmeAdded, acmeInactive}, When: c, Err: org.ErrInactive},
		decidetest.Case[user.Register]{Name: "address taken", Given: []event.New{acmeAdded, registered(bob, "ada@example.org", "Bob")}, When: upper, Err: user.ErrEmailTaken},
		decidetest.Case[user.Register]{Name: "address freed by a change", Given: []event.New{acmeAdded, registered(bob, "ada@example.org", "Bob"),
			{Stream: user.Stream(bob), Payload: user.EmailChanged{User: bob, Organization: acme, Email: event.Seal("b@example.org"), Former: event.Seal("ada@example.org")}}},
			When: c, Then: []any{adaRegistered.Payload}},
		decidetest.Case[user.Register]{Name: "address freed by an erasure", Given: []event.New{acmeAdded, registered(bob, "ada@example.org", "Bob"),
			{Stream: user.Stream(bob), Payload: user.Erased{User: bob, Organization: acme, Email: event.Seal("ada@example.org")}}},
			When: c, Then: []any{adaRegistered.Payload}},
		decidetest.Case[user.Register]{Name: "not an address", Given: []event.New{acmeAdded}, When: bad, Kind: fault.Invalid},
		decidetest.Case[user.Register]{Name: "no name", Given: []event.New{acmeAdded}, When: nameless, Kind: fault.Invalid},
	)
}

// A locked user cannot be locked again; people cannot do it to themselves.
func TestLocking(t *testing.T) {
	c := user.Lock{User: ada}
	locked := []any{adaLocked.Payload}
	decidetest.Run(t, registry, user.Locking,
		decidetest.Case[user.Lock]{Name: "absent", When: c, Err: user.ErrNotFound},
		decidetest.Case[user.Lock]{Name: "once", Given: []event.New{adaRegistered}, When: c, Then: locked},
		decidetest.Case[user.Lock]{Name: "again", Given: []event.New{adaRegistered, adaLocked}, When: c, Err: user.ErrLocked},
		decidetest.Case[user.Lock]{Name: "deactivated", Given: []event.New{adaRegistered, adaOut}, When: c, Err: user.ErrDeactivated},
		decidetest.Case[user.Lock]{Name: "back in use", Given: []event.New{adaRegistered, adaOut, adaIn}, When: c, Then: locked},
		decidetest.Case[user.Lock]{Name: "still locked after being out of use", Given: []event.New{adaRegistered, adaLocked, adaOut, adaIn}, When: c, Err: user.ErrLocked},
		decidetest.Case[user.Lock]{Name: "erased", Given: []event.New{adaRegistered, adaErased}, When: c, Err: user.ErrErased},
		decidetest.Case[user.Lock]{Name: "oneself", As: asAda, Given: []event.New{adaRegistered}, When: c, Kind: fault.Denied},
		decidetest.Case[user.Lock]{Name: "by a locked administrator", As: asEve, Given: []event.New{adaRegistered, eveIsAdmin,
			{Stream: user.Stream(eve), Payload: user.Locked{User: eve, Organization: acme}}}, When: c, Kind: fault.Denied},
	)
	decidetest.Run(t, registry, user.Unlocking,
		decidetest.Case[user.Unlock]{Name: "not locked", Given: []event.New{adaRegistered}, When: user.Unlock(c), Err: user.ErrNotLocked},
		decidetest.Case[user.Unlock]{Name: "once", Given: []event.New{adaRegistered, adaLocked}, When: user.Unlock(c), Then: []any{user.Unlocked{User: ada, Organization: acme}}},
	)
	decidetest.Run(t, registry, user.Deactivating,
		decidetest.Case[user.Deactivate]{Name: "once", Given: []event.New{adaRegistered, adaLocked}, When: user.Deactivate(c), Then: []any{adaOut.Payload}},
		decidetest.Case[user.Deactivate]{Name: "again", Given: []event.New{adaRegistered, adaOut}, When: user.Deactivate(c), Err: user.ErrDeactivated},
	)
	decidetest.Run(t, registry, user.Reactivating,
		decidetest.Case[user.Reactivate]{Name: "in use", Given: []event.New{adaRegistered}, When: user.Reactivate(c), Err: user.ErrNotDeactivated},
		decidetest.Case[user.Reactivate]{Name: "once", Given: []event.New{adaRegistered, adaOut}, When: user.Reactivate(c), Then: []any{adaIn.Payload}},
	)
}

// Changes say what changed and nothing else.
func TestChanging(t *testing.T) {
	grace, empty := "Grace", ""
	decidetest.Run(t, registry, user.ChangingProfile,
		decidetest.Case[user.ChangeProfile]{Name: "one's own", As: asAda, Given: []event.New{adaRegistered}, When: user.ChangeProfile{User: ada, Display: &grace},
			Then: []any{user.ProfileChanged{User: ada, Organization: acme, DisplayName: event.Seal("Grace")}}},
		decidetest.Case[user.ChangeProfile]{Name: "another's", As: asAda, Given: []event.New{adaRegistered, bobRegistered}, When: user.ChangeProfile{User: bob, Given: &grace}, Kind: fault.Denied},
		decidetest.Case[user.ChangeProfile]{Name: "nothing", Given: []event.New{adaRegistered}, When: user.ChangeProfile{User: ada}},
		decidetest.Case[user.ChangeProfile]{Name: "to nothing", Given: []event.New{adaRegistered}, When: user.ChangeProfile{User: ada, Given: &empty}, Kind: fault.Invalid},
	)
	decidetest.Run(t, registry, user.ChangingEmail,
		decidetest.Case[user.ChangeEmail]{Name: "once", Given: []event.New{adaRegistered}, When: user.ChangeEmail{User: ada, Email: "a@example.org"},
			Then: []any{user.EmailChanged{User: ada, Organization: acme, Email: event.Seal("a@example.org"), Former: event.Seal("ada@example.org")}}},
		decidetest.Case[user.ChangeEmail]{Name: "taken", Given: []event.New{adaRegistered, bobRegistered}, When: user.ChangeEmail{User: ada, Email: "Bob@example.org"}, Err: user.ErrEmailTaken},
		decidetest.Case[user.ChangeEmail]{Name: "own in another case", Given: []event.New{adaRegistered}, When: user.ChangeEmail{User: ada, Email: "Ada@example.org"},
			Then: []any{user.EmailChanged{User: ada, Organization: acme, Email: event.Seal("Ada@example.org"), Former: event.Seal("ada@example.org")}}},
	)
}

// A set-up link works once, until it expires or a newer one replaces it.
func TestSetupLink(t *testing.T) {
	digest, newer := [32]byte{1}, [32]byte{2}
	created := event.New{Stream: user.Stream(ada), Payload: user.SetupLinkCreated{User: ada, Organization: acme, Digest: event.Seal(digest[:]), Expires: 100}}
	replaced := event.New{Stream: user.Stream(ada), Payload: user.SetupLinkCreated{User: ada, Organization: acme, Digest: event.Seal(newer[:]), Expires: 100}}
	use := user.UseSetupLink{User: ada, Organization: acme, Digest: digest, Chosen: chosen("h"), Now: 99}
	late := use
	late.Now = 100
	visitor := event.Actor{Kind: "visitor", ID: bob}
	decidetest.Run(t, registry, user.UsingSetupLink,
		decidetest.Case[user.UseSetupLink]{Name: "once", As: visitor, Given: []event.New{adaRegistered, created}, When: use,
			Then: []any{user.SetupLinkUsed{User: ada, Organization: acme}, user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("h")}}},
		decidetest.Case[user.UseSetupLink]{Name: "late", Given: []event.New{adaRegistered, created}, When: late, Err: user.ErrLink},
		decidetest.Case[user.UseSetupLink]{Name: "replaced", Given: []event.New{adaRegistered, created, replaced}, When: use, Err: user.ErrLink},
		decidetest.Case[user.UseSetupLink]{Name: "none", Given: []event.New{adaRegistered}, When: use, Err: user.ErrLink},
		decidetest.Case[user.UseSetupLink]{Name: "erased", Given: []event.New{adaRegistered, created, adaErased}, When: use, Err: user.ErrLink},
	)
}

// S08: erasing ends the account and the key in one append, and frees the address.
func TestErasing(t *testing.T) {
	key := event.KeyID{ID: event.MustID("0c000000000000000000000000000001")}
	c := user.Erase{User: ada, Keys: []event.KeyID{key}}
	decidetest.Run(t, registry, user.Erasing,
		decidetest.Case[user.Erase]{Name: "once", Given: []event.New{adaRegistered}, When: c,
			Then: []any{adaErased.Payload, event.SubjectErased{Subject: event.SubjectID{ID: ada}, Keys: c.Keys}}},
		decidetest.Case[user.Erase]{Name: "again", Given: []event.New{adaRegistered, adaErased}, When: c, Err: user.ErrErased},
		decidetest.Case[user.Erase]{Name: "oneself", As: asAda, Given: []event.New{adaRegistered}, When: c, Kind: fault.Denied},
	)
	decidetest.Run(t, registry, user.CompletingErasure,
		decidetest.Case[user.CompleteErasure]{Name: "pending", Given: []event.New{adaRegistered, adaErased}, When: user.CompleteErasure{User: ada},
			Then: []any{user.ErasureCompleted{User: ada, Organization: acme}}},
		decidetest.Case[user.CompleteErasure]{Name: "not erased", Given: []event.New{adaRegistered}, When: user.CompleteErasure{User: ada}},
	)
}

// Whoever administers something is managed only by those who administer at
// least the same: the admin of one organization must not become the owner of
// the instance by setting a password.
func TestTakeover(t *testing.T) {
	adaIs := func(role authz.Role, organization event.ID) event.New {
		return event.New{Stream: event.Stream{Kind: "member", ID: ada}, Payload: authz.MemberAdded{Member: ada, User: ada, Organization: organization, Role: string(role)}}
	}
	adaIsNot := event.New{Stream: event.Stream{Kind: "member", ID: ada}, Payload: authz.MemberRemoved{Member: ada, User: ada, Organization: acme, Role: "owner"}}
	whole := event.ID{}
	permitted := func(right authz.EventRight, organization event.ID) authz.PermissionGranted {
		return authz.PermissionGranted{Permission: ada, User: ada, Organization: organization, Right: string(right), Types: "order-*"}
	}
	adaMay := func(right authz.EventRight, organization event.ID) event.New {
		return event.New{Stream: event.Stream{Kind: "permission", ID: ada}, Payload: permitted(right, organization)}
	}
	adaMayNot := event.New{Stream: event.Stream{Kind: "permission", ID: ada}, Payload: authz.PermissionWithdrawn(permitted(authz.Publish, acme))}
	set := []any{user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("h")}}
	for _, c := range []struct {
		name  string
		given []event.New
		may   bool
		out   bool // keep them out, though not take their account over
	}{
		{"nobody", []event.New{adaRegistered, eveIsAdmin}, true, true},
		{"a viewer there", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Viewer, acme)}, true, true},
		{"an admin there", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Admin, acme)}, true, true},
		{"an owner there", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Owner, acme)}, false, false},
		{"an owner no more", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Owner, acme), adaIsNot}, true, true},
		{"a viewer elsewhere", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Viewer, other)}, false, true},
		{"a viewer of the instance", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Viewer, whole)}, false, false},
		{"the owner of the instance", []event.New{adaRegistered, eveIsAdmin, adaIs(authz.Owner, whole)}, false, false},
		{"who may read events there", []event.New{adaRegistered, eveIsAdmin, adaMay(authz.Read, acme)}, true, true},
		{"who may read events elsewhere", []event.New{adaRegistered, eveIsAdmin, adaMay(authz.Unseal, other)}, false, true},
		{"who may publish events", []event.New{adaRegistered, eveIsAdmin, adaMay(authz.Publish, acme)}, false, true},
		{"who may publish no more", []event.New{adaRegistered, eveIsAdmin, adaMay(authz.Publish, acme), adaMayNot}, true, true},
	} {
		password := decidetest.Case[user.SetPassword]{Name: c.name, As: asEve, Given: c.given, When: user.SetPassword{User: ada, Organization: acme, Chosen: chosen("h")}, Repeat: true, Then: set}
		link := decidetest.Case[user.CreateSetupLink]{Name: c.name, As: asEve, Given: c.given, When: user.CreateSetupLink{User: ada, Expires: 9}, Repeat: true,
			Then: []any{user.SetupLinkCreated{User: ada, Organization: acme, Digest: event.Seal(make([]byte, 32)), Expires: 9}}}
		email := decidetest.Case[user.ChangeEmail]{Name: c.name, As: asEve, Given: c.given, When: user.ChangeEmail{User: ada, Email: "a@example.org"},
			Then: []any{user.EmailChanged{User: ada, Organization: acme, Email: event.Seal("a@example.org"), Former: event.Seal("ada@example.org")}}}
		lock := decidetest.Case[user.Lock]{Name: c.name, As: asEve, Given: c.given, When: user.Lock{User: ada}, Then: []any{adaLocked.Payload}}
		erase := decidetest.Case[user.Erase]{Name: c.name, As: asEve, Given: c.given, When: user.Erase{User: ada},
			Then: []any{adaErased.Payload, event.SubjectErased{Subject: event.SubjectID{ID: ada}}}}
		if !c.may {
			password.Kind, link.Kind, email.Kind = fault.Denied, fault.Denied, fault.Denied
		}
		if !c.out {
			lock.Kind, erase.Kind = fault.Denied, fault.Denied
		}
		decidetest.Run(t, registry, user.SettingPassword, password)
		decidetest.Run(t, registry, user.CreatingSetupLink, link)
		decidetest.Run(t, registry, user.ChangingEmail, email)
		decidetest.Run(t, registry, user.Locking, lock)
		decidetest.Run(t, registry, user.Erasing, erase)
	}
}

// A person changes their own password by the one they have.
func TestOwnPassword(t *testing.T) {
	has := event.New{Stream: user.Stream(ada), Payload: user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("old")}}
	c := user.SetPassword{User: ada, Organization: acme, Chosen: chosen("new"), Was: "old"}
	stale, admin := c, c
	stale.Was, admin.Was = "older", ""
	then := []any{user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("new")}}
	type is = decidetest.Case[user.SetPassword]
	decidetest.Run(t, registry, user.SettingPassword,
		is{Name: "once", As: asAda, Given: []event.New{adaRegistered, has}, When: c, Then: then},
		is{Name: "changed meanwhile", As: asAda, Given: []event.New{adaRegistered, has}, When: stale, Kind: fault.Conflict},
		is{Name: "without the old one", As: asAda, Given: []event.New{adaRegistered, has}, When: admin, Kind: fault.Denied},
		is{Name: "somebody else's, by the old one", As: asEve, Given: []event.New{adaRegistered, has}, When: c, Kind: fault.Denied},
		is{Name: "locked", As: asAda, Given: []event.New{adaRegistered, has, adaLocked}, When: c, Kind: fault.Denied},
	)
}
