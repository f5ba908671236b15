package authz_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
)

var (
	acme  = event.MustID("0a000000000000000000000000000001")
	globe = event.MustID("0a000000000000000000000000000002")
	shop  = event.MustID("0b000000000000000000000000000001")
	none  event.ID
)

// holding is the authority of a user behind facts about it.
func holding(payloads ...any) authz.Authority {
	a := authz.For(event.Actor{Kind: "user", ID: shop})
	for _, p := range payloads {
		r := &event.Record{}
		if t, ok := p.(string); ok { // a fact of package user
			r.Type, r.Stream = t, event.Stream{Kind: "user", ID: shop}
		}
		a = authz.Evolve(a, event.Fact{Record: r, Payload: p})
	}
	return a
}

func granted(right authz.EventRight, types string, org event.ID) authz.PermissionGranted {
	return authz.PermissionGranted{Permission: event.NewID(), User: shop, Organization: org, Right: string(right), Types: types}
}

func member(role authz.Role, org event.ID) authz.MemberAdded {
	return authz.MemberAdded{Member: event.NewID(), User: shop, Organization: org, Role: string(role)}
}

// What is not permitted is denied (S05, S13, S14): publishing by permission
// only, reading and unsealing by a role too.
func TestPermissions(t *testing.T) {
	g := granted(authz.Publish, "order-created", acme)
	publish, read, unseal := authz.Authority.MayPublish, authz.Authority.MayReadEvents, authz.Authority.MayUnseal
	type is struct {
		name string
		held []any
		may  func(authz.Authority, string, event.ID) bool
		typ  string
		org  event.ID
		want bool
	}
	for _, c := range []is{
		{"nothing", nil, publish, "order-created", acme, false},
		{"its type there", []any{g}, publish, "order-created", acme, true},
		{"another type", []any{g}, publish, "order-paid", acme, false},
		{"a longer type", []any{g}, publish, "order-created-twice", acme, false},
		{"another organization", []any{g}, publish, "order-created", globe, false},
		{"no organization", []any{g}, publish, "order-created", none, false},
		{"publishing does not read", []any{g}, read, "order-created", acme, false},
		{"reading does not publish", []any{granted(authz.Read, "*", none)}, publish, "order-created", acme, false},
		{"reading does not unseal", []any{granted(authz.Read, "*", none)}, unseal, "order-created", acme, false},
		{"unsealing does not read", []any{granted(authz.Unseal, "*", none)}, read, "order-created", acme, false},
		{"everywhere", []any{granted(authz.Publish, "order-created", none)}, publish, "order-created", globe, true},
		{"everywhere, of none", []any{granted(authz.Publish, "order-created", none)}, publish, "order-created", none, true},
		{"a pattern", []any{granted(authz.Read, "order-*", acme)}, read, "order-paid", acme, true},
		{"a pattern ends behind a word", []any{granted(authz.Read, "order-*", acme)}, read, "orders", acme, false},
		{"a dotted pattern", []any{granted(authz.Read, "order.*", acme)}, read, "order.paid", acme, true},
		{"every type", []any{granted(authz.Unseal, "*", acme)}, unseal, "user.registered", acme, true},
		{"withdrawn", []any{g, authz.PermissionWithdrawn(g)}, publish, "order-created", acme, false},
		{"one of two withdrawn", []any{g, granted(authz.Publish, "*", acme), authz.PermissionWithdrawn(g)}, publish, "order-created", acme, true},
		{"locked", []any{g, "user.locked"}, publish, "order-created", acme, false},
		{"unlocked", []any{g, "user.locked", "user.unlocked"}, publish, "order-created", acme, true},
		{"deactivated", []any{g, "user.deactivated"}, publish, "order-created", acme, false},
		{"erased", []any{g, "user.erased"}, publish, "order-created", acme, false},
		{"its organization deactivated", []any{g, authz.OrganizationDeactivated{acme}}, publish, "order-created", acme, false},
		{"its organization reactivated", []any{g, authz.OrganizationDeactivated{acme}, authz.OrganizationReactivated{acme}}, publish, "order-created", acme, true},
		{"its organization removed", []any{g, authz.OrganizationRemoved{acme}}, publish, "order-created", acme, false},
		{"the owner", []any{member(authz.Owner, none)}, publish, "order-created", acme, false},
		{"the owner reads", []any{member(authz.Owner, none)}, read, "order-created", acme, true},
		{"an auditor unseals", []any{member(authz.Auditor, acme)}, unseal, "order-created", acme, true},
		{"an auditor elsewhere", []any{member(authz.Auditor, globe)}, read, "order-created", acme, false},
		{"a viewer", []any{member(authz.Viewer, none)}, read, "order-created", acme, false},
	} {
		if got := c.may(holding(c.held...), c.typ, c.org); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	app := authz.For(event.Actor{Kind: "application", ID: shop})
	if app = authz.Evolve(app, event.Fact{Record: &event.Record{}, Payload: g}); app.MayPublish("order-created", acme) {
		t.Error("an actor that is no user has a user's permission")
	}
	if !authz.For(event.System).MayPublish("order-created", acme) {
		t.Error("Muniment itself may not publish")
	}
}

// A refusal says what was lacking, and repeats nothing that is no type.
func TestNeedPublish(t *testing.T) {
	a := holding(granted(authz.Publish, "order-created", acme))
	if err := a.NeedPublish("order-created", acme); err != nil {
		t.Error(err)
	}
	for _, typ := range []string{"order-paid", "ada@example.org", strings.Repeat("a", 200)} {
		err := a.NeedPublish(typ, acme)
		if !fault.Is(err, fault.Denied) || strings.Contains(err.Error(), typ) != (typ == "order-paid") {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// Nobody grants what they do not have, nor acts as whoever has more.
func TestHolds(t *testing.T) {
	p := authz.Permission{Right: authz.Read, Types: "order-*", Organization: acme}
	publish := authz.Permission{Right: authz.Publish, Types: "order-paid", Organization: acme}
	for name, c := range map[string]struct {
		held []any
		p    authz.Permission
		want bool
	}{
		"nothing":                   {nil, p, false},
		"the same":                  {[]any{granted(authz.Read, "order-*", acme)}, p, true},
		"more types":                {[]any{granted(authz.Read, "*", acme)}, p, true},
		"more organizations":        {[]any{granted(authz.Read, "order-*", none)}, p, true},
		"one of the types":          {[]any{granted(authz.Read, "order-paid", acme)}, p, false},
		"another right":             {[]any{granted(authz.Unseal, "*", none)}, p, false},
		"an auditor":                {[]any{member(authz.Auditor, acme)}, p, true},
		"an auditor elsewhere":      {[]any{member(authz.Auditor, globe)}, p, false},
		"an auditor of publishing":  {[]any{member(authz.Auditor, none)}, publish, false},
		"an admin of publishing":    {[]any{member(authz.Admin, none)}, publish, false},
		"an owner of publishing":    {[]any{member(authz.Owner, acme)}, publish, true},
		"an owner of all elsewhere": {[]any{member(authz.Owner, acme)}, authz.Permission{Right: authz.Publish, Types: "*"}, false},
		"no right that there is":    {[]any{member(authz.Owner, none)}, authz.Permission{Right: "erase", Types: "*"}, false},
	} {
		if got := holding(c.held...).Holds(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Patterns are few, and each spelling of one has one sense.
func TestEventTypes(t *testing.T) {
	for s, want := range map[string]bool{
		"order-created": true, "OrderCreated": true, "UserUpdated_v2": true, "order.paid": true, "*": true, "order-*": true, "order.*": true,
		"": false, "order*": false, "*-created": false, "order-*-x": false, "**": false, "order_*": false, "-*": false, ".*": false,
		"1order": false, "order created": false, "örder": false, strings.Repeat("a", 65): false,
	} {
		if got := authz.EventTypes(s).Valid(); got != want {
			t.Errorf("%q: valid %v, want %v", s, got, want)
		}
	}
}

// Within, Meets and Has agree: what is within another has no type that the
// other has not, and those that meet may share one.
func TestEventTypesAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return string("ab"[r.IntN(2)]) + strings.Repeat("a", r.IntN(2)) }
	name := func() string {
		s := word()
		for range r.IntN(3) {
			s += string(".-"[r.IntN(2)]) + word()
		}
		return s
	}
	types := func() authz.EventTypes {
		s := name()
		if i := strings.LastIndexAny(s, ".-"); i > 0 && r.IntN(2) == 0 {
			return authz.EventTypes(s[:i+1] + "*")
		}
		if r.IntN(8) == 0 {
			s = "*"
		}
		return authz.EventTypes(s)
	}
	for range 20_000 {
		a, b, n := types(), types(), name()
		if !a.Valid() || !b.Valid() {
			t.Fatalf("%q, %q: not valid", a, b)
		}
		if a.Within(b) && a.Has(n) && !b.Has(n) {
			t.Fatalf("%q is within %q and has %q", a, b, n)
		}
		if a.Has(n) && b.Has(n) && !a.Meets(b) {
			t.Fatalf("%q and %q have %q and do not meet", a, b, n)
		}
		if authz.EventTypes(n).Within(a) != a.Has(n) {
			t.Fatalf("%q within %q", n, a)
		}
	}
}
