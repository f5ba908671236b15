package hook_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
)

var (
	registry = event.NewRegistry(authz.Events(), hook.Events())

	id       = event.MustID("0a000000000000000000000000000001")
	other    = event.MustID("0a000000000000000000000000000002")
	acme     = event.MustID("0c000000000000000000000000000001")
	olga     = event.MustID("0b000000000000000000000000000001")
	adam     = event.MustID("0b000000000000000000000000000002")
	audra    = event.MustID("0b000000000000000000000000000003")
	robot    = event.MustID("0b000000000000000000000000000004")
	owner    = event.Actor{Kind: "user", ID: olga}
	admin    = event.Actor{Kind: "user", ID: adam} // of acme
	auditor  = event.Actor{Kind: "user", ID: audra}
	machine  = event.Actor{Kind: "user", ID: robot}
	secret   = hook.NewSecret{ID: event.MustID("0d000000000000000000000000000001"), Key: [32]byte{1, 2, 3}}
	another  = hook.NewSecret{ID: event.MustID("0d000000000000000000000000000002"), Key: [32]byte{4}}
	settings = hook.Settings{Name: "Billing", URL: "https://example.com/hooks", Filter: hook.Filter{Types: []string{"order.*"}}, Concurrency: 8, Attempts: 20}

	members = []event.New{
		member(olga, event.ID{}, "owner"), member(adam, acme, "admin"), member(audra, event.ID{}, "auditor"),
		{Stream: event.Stream{Kind: "permission", ID: robot}, Payload: authz.PermissionGranted{Permission: robot, User: robot, Organization: acme, Right: "read", Types: "order.*"}},
	}
)

func member(user, organization event.ID, role string) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: user}, Payload: authz.MemberAdded{Member: user, User: user, Organization: organization, Role: role}}
}

// created is how a webhook of acme begins, and pulled one of those who pull.
func created(by event.ID) []any {
	return []any{
		hook.Created{Subscription: id, Organization: acme, Owner: by, Name: "Billing", Delivery: "webhook", URL: event.Seal("https://example.com/hooks"), Types: []string{"order.*"}, Concurrency: 8, Attempts: 20},
		hook.SecretAdded{Subscription: id, Organization: acme, Secret: secret.ID, Key: event.Seal(secret.Key[:])},
	}
}

var pulled = []any{hook.Created{Subscription: id, Organization: acme, Owner: olga, Name: "Billing", Delivery: "pull", Types: []string{"order.*"}, Concurrency: 8, Attempts: 20}}

func given(payloads ...any) []event.New {
	out := members[:len(members):len(members)]
	for _, p := range payloads {
		out = append(out, event.New{Stream: hook.Stream(id), Payload: p})
	}
	return out
}

func with(base []any, more ...any) []any { return append(base[:len(base):len(base)], more...) }

func create(change func(*hook.Create)) hook.Create {
	c := hook.Create{Subscription: id, Organization: acme, Owner: adam, Delivery: hook.Webhook, Settings: settings, Secret: secret}
	if change != nil {
		change(&c)
	}
	return c
}

// Who manages a scope and may read what is selected subscribes to it; nobody has
// delivered to them what they may not read.
func TestCreating(t *testing.T) {
	type is = decidetest.Case[hook.Create]
	pull := create(func(c *hook.Create) {
		c.Owner, c.Delivery, c.Settings.URL, c.Secret = olga, hook.Pull, "", hook.NewSecret{}
	})
	field := func(name string, change func(*hook.Create)) is {
		return is{Name: name, As: admin, Given: given(), When: create(change), Kind: fault.Invalid}
	}
	decidetest.Run(t, registry, hook.Creating,
		is{Name: "a webhook, by an admin of the organization", As: admin, Given: given(), When: create(nil), Then: created(adam), Repeat: true},
		is{Name: "to be pulled, by an owner of the instance", As: owner, Given: given(), When: pull, Then: pulled, Repeat: true},
		is{Name: "of the whole instance, by an admin of an organization", As: admin, Given: given(), When: create(func(c *hook.Create) { c.Organization = event.ID{} }), Kind: fault.Denied},
		is{Name: "by an auditor, who manages nothing", As: auditor, Given: given(), When: create(nil), Kind: fault.Denied},
		is{Name: "by a machine that may read", As: machine, Given: given(), When: create(nil), Kind: fault.Denied},
		field("neither webhook nor pull", func(c *hook.Create) { c.Delivery = "mail" }),
		field("without a name", func(c *hook.Create) { c.Settings.Name = "" }),
		field("without an address", func(c *hook.Create) { c.Settings.URL = "" }),
		field("an address where none is", func(c *hook.Create) { c.Delivery = hook.Pull }),
		field("nobody at a time", func(c *hook.Create) { c.Settings.Concurrency = 0 }),
		field("too many at a time", func(c *hook.Create) { c.Settings.Concurrency = hook.MostCalls + 1 }),
		field("no attempt", func(c *hook.Create) { c.Settings.Attempts = 0 }),
		field("attempts without end", func(c *hook.Create) { c.Settings.Attempts = hook.MostAttempts + 1 }),
	)
}

// An instance has a bounded number of subscriptions, of which one organization
// cannot take all; those that were removed do not count.
func TestMost(t *testing.T) {
	many, ofOne := given(), given()
	for i := range hook.MostOfOne {
		s := event.ID{2, byte(i)}
		ofOne = append(ofOne, event.New{Stream: hook.Stream(s), Payload: hook.Created{Subscription: s, Organization: acme, Name: "x", Delivery: "pull"}})
	}
	for i := range hook.Most {
		s := event.ID{1, byte(i >> 8), byte(i)}
		many = append(many, event.New{Stream: hook.Stream(s), Payload: hook.Created{Subscription: s, Name: "x", Delivery: "pull"}})
	}
	last := many[len(many)-1].Stream
	gone := append(many[:len(many):len(many)], event.New{Stream: last, Payload: hook.Removed{Subscription: last.ID}})
	type is = decidetest.Case[hook.Create]
	decidetest.Run(t, registry, hook.Creating,
		is{Name: "too many", As: admin, Given: many, When: create(nil), Err: hook.ErrMany},
		is{Name: "too many of one organization", As: admin, Given: ofOne, When: create(nil), Err: hook.ErrManyOfOne},
		is{Name: "one was removed", As: admin, Given: gone, When: create(nil), Then: created(adam), Repeat: true},
	)
}

// An address is https, or plain on this machine, and holds no credential.
func TestCheckURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://example.com/hooks?key=1": true, "https://[2001:db8::1]:8443/": true, "http://127.0.0.1:8080/": true, "http://localhost/x": true, "http://[::1]/": true,
		"http://example.com/": false, "https://user:pass@example.com/": false, "https://example.com/#x": false, "ftp://example.com": false, "example.com": false,
		"https://": false, "https://:443/": false, "https://example.com/a b": false, "javascript:alert(1)": false, "https://example.com/" + strings.Repeat("a", 2000): false,
		"http://localhost.example.com/": false, "http://127.0.0.1.example.com/": false,
	} {
		if err := hook.CheckURL(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whoever changes a subscription must be able to read what it selects, before
// and after, and is its owner then.
func TestChanging(t *testing.T) {
	type is = decidetest.Case[hook.Change]
	changed := settings
	changed.Filter.Types, changed.Attempts = []string{"order.*", "user.*"}, 3
	then := hook.Changed{Subscription: id, Organization: acme, Owner: adam, Name: "Billing", URL: event.Seal(settings.URL), Types: changed.Filter.Types, Concurrency: 8, Attempts: 3}
	plain := changed
	plain.URL = "http://example.com"
	decidetest.Run(t, registry, hook.Changing,
		is{Name: "another's", As: admin, Given: given(created(olga)...), When: hook.Change{Subscription: id, Owner: adam, Settings: changed}, Then: []any{then}},
		is{Name: "nothing new", As: admin, Given: given(created(olga)...), When: hook.Change{Subscription: id, Owner: adam, Settings: settings}},
		is{Name: "to plain http", As: admin, Given: given(created(olga)...), When: hook.Change{Subscription: id, Owner: adam, Settings: plain}, Kind: fault.Invalid},
		is{Name: "by an auditor", As: auditor, Given: given(created(olga)...), When: hook.Change{Subscription: id, Owner: audra, Settings: changed}, Kind: fault.Denied},
		is{Name: "absent", As: owner, Given: given(), When: hook.Change{Subscription: id, Owner: olga, Settings: changed}, Err: hook.ErrNotFound},
	)
}

// What is delivered opened is directed only by those who may open it.
func TestUnsealed(t *testing.T) {
	unsealed := settings
	unsealed.Unsealed = true
	half := append(given(), event.New{Stream: event.Stream{Kind: "member", ID: other}, Payload: authz.MemberAdded{Member: other, User: robot, Organization: event.ID{}, Role: "viewer"}})
	a := decidetest.Case[hook.Create]{Name: "an admin", As: admin, Given: given(), When: create(func(c *hook.Create) { c.Settings = unsealed }), Repeat: true,
		Then: []any{hook.Created{Subscription: id, Organization: acme, Owner: adam, Name: "Billing", Delivery: "webhook", URL: event.Seal(settings.URL), Types: []string{"order.*"}, Concurrency: 8, Attempts: 20, Unsealed: true}, created(adam)[1]}}
	b := decidetest.Case[hook.Create]{Name: "who may not read", As: machine, Given: half, When: create(func(c *hook.Create) { c.Settings = unsealed }), Kind: fault.Denied}
	decidetest.Run(t, registry, hook.Creating, a, b)
}

// reads folds what the machine may do, and says whether it may read what
// settings select.
func reads(t *testing.T, s hook.Settings, organization event.ID) bool {
	t.Helper()
	a := authz.For(machine)
	for _, n := range members[3:] {
		a = authz.Evolve(a, event.Fact{Record: &event.Record{Stream: n.Stream, Type: "permission.granted"}, Payload: n.Payload})
	}
	return s.MayRead(a, organization) == nil
}

// A permission over types of event is enough to read what selects only those,
// there only, and not opened.
func TestMayRead(t *testing.T) {
	wider, whole, opened := settings, settings, settings
	wider.Filter.Types, whole.Filter.Types, opened.Unsealed = []string{"order.paid", "user.locked"}, nil, true
	if !reads(t, settings, acme) {
		t.Error("what is permitted is denied")
	}
	for name, may := range map[string]bool{"more types": reads(t, wider, acme), "every type": reads(t, whole, acme), "opened": reads(t, opened, acme), "elsewhere": reads(t, settings, other), "the instance": reads(t, settings, event.ID{})} {
		if may {
			t.Errorf("%s: allowed", name)
		}
	}
}

// Secrets overlap while one replaces the other; one remains.
func TestSecrets(t *testing.T) {
	added := hook.SecretAdded{Subscription: id, Organization: acme, Secret: another.ID, Key: event.Seal(another.Key[:])}
	third := hook.SecretAdded{Subscription: id, Organization: acme, Secret: event.ID{7}, Key: event.Seal([]byte{7})}
	type add = decidetest.Case[hook.AddSecret]
	decidetest.Run(t, registry, hook.AddingSecret,
		add{Name: "a second", As: admin, Given: given(created(olga)...), When: hook.AddSecret{Subscription: id, Secret: another}, Then: []any{added}},
		add{Name: "too many", As: admin, Given: given(with(created(olga), added, third)...), When: hook.AddSecret{Subscription: id, Secret: hook.NewSecret{ID: event.ID{9}}}, Err: hook.ErrSecrets},
		add{Name: "of what is pulled", As: admin, Given: given(pulled...), When: hook.AddSecret{Subscription: id, Secret: another}, Err: hook.ErrNoSecrets},
		add{Name: "by an auditor", As: auditor, Given: given(created(olga)...), When: hook.AddSecret{Subscription: id, Secret: another}, Kind: fault.Denied},
		add{Name: "absent", As: owner, Given: given(), When: hook.AddSecret{Subscription: id, Secret: another}, Err: hook.ErrNotFound},
	)
	type remove = decidetest.Case[hook.RemoveSecret]
	removed := hook.SecretRemoved{Subscription: id, Organization: acme, Secret: secret.ID}
	decidetest.Run(t, registry, hook.RemovingSecret,
		remove{Name: "the old one", As: admin, Given: given(with(created(olga), added)...), When: hook.RemoveSecret{Subscription: id, Secret: secret.ID}, Then: []any{removed}},
		remove{Name: "the last", As: admin, Given: given(created(olga)...), When: hook.RemoveSecret{Subscription: id, Secret: secret.ID}, Err: hook.ErrLastSecret},
		remove{Name: "one that is none", As: admin, Given: given(created(olga)...), When: hook.RemoveSecret{Subscription: id, Secret: another.ID}, Err: hook.ErrNoSecret},
		remove{Name: "by an auditor", As: auditor, Given: given(with(created(olga), added)...), When: hook.RemoveSecret{Subscription: id, Secret: secret.ID}, Kind: fault.Denied},
		remove{Name: "absent", As: owner, Given: given(), When: hook.RemoveSecret{Subscription: id, Secret: secret.ID}, Err: hook.ErrNotFound},
	)
}

// The lives of a subscription: what may be done in which state, by whom.
func TestStates(t *testing.T) {
	paused, stopped, removed := hook.Paused{Subscription: id, Organization: acme}, hook.Stopped{Subscription: id, Organization: acme, Reason: "why"}, hook.Removed{Subscription: id, Organization: acme}
	states := map[string][]any{"absent": nil, "active": created(olga), "paused": with(created(olga), paused), "stopped": with(created(olga), stopped), "removed": with(created(olga), removed)}
	all := map[string]error{"absent": hook.ErrNotFound, "removed": hook.ErrNotFound}
	also := func(more map[string]error) map[string]error {
		for k, v := range all {
			more[k] = v
		}
		return more
	}
	inStates(t, states, hook.Pausing, hook.Pause{Subscription: id}, []any{paused}, also(map[string]error{"paused": hook.ErrPaused, "stopped": hook.ErrStopped}), false)
	inStates(t, states, hook.Resuming, hook.Resume{Subscription: id, Owner: adam}, []any{hook.Resumed{Subscription: id, Organization: acme, Owner: adam}}, also(map[string]error{"active": hook.ErrActive}), false)
	inStates(t, states, hook.Rewinding, hook.Rewind{Subscription: id, After: 7}, []any{hook.Rewound{Subscription: id, Organization: acme, After: 7}}, all, true)
	inStates(t, states, hook.Removing, hook.Remove{Subscription: id}, []any{removed}, all, false)
	two := hook.Settle{Subscription: id, Positions: []event.Position{3, 4}}
	inStates(t, states, hook.Redriving, two, []any{hook.Redriven{Subscription: id, Organization: acme, Position: 3}, hook.Redriven{Subscription: id, Organization: acme, Position: 4}}, all, true)
	inStates(t, states, hook.Discarding, two, []any{hook.Discarded{Subscription: id, Organization: acme, Position: 3}, hook.Discarded{Subscription: id, Organization: acme, Position: 4}}, all, true)

	type is = decidetest.Case[hook.Stop]
	stop := hook.Stop{Subscription: id, Reason: "why"}
	decidetest.Run(t, registry, hook.Stopping,
		is{Name: "active", Given: given(states["active"]...), When: stop, Then: []any{stopped}},
		is{Name: "paused", Given: given(states["paused"]...), When: stop},
		is{Name: "removed", Given: given(states["removed"]...), When: stop, Err: hook.ErrNotFound},
		is{Name: "by an owner", As: owner, Given: given(states["active"]...), When: stop, Kind: fault.Denied},
	)
	decidetest.Run(t, registry, hook.Redriving,
		decidetest.Case[hook.Settle]{Name: "none", As: owner, Given: given(states["active"]...), When: hook.Settle{Subscription: id}, Kind: fault.Invalid})
}

func inStates[C any](t *testing.T, states map[string][]any, d decide.Decider[hook.State, C], c C, then []any, refused map[string]error, repeat bool) {
	t.Helper()
	cases := []decidetest.Case[C]{{Name: d.Name + ", by an auditor", As: auditor, Given: given(states["active"]...), When: c, Kind: fault.Denied}}
	for name, life := range states {
		is := decidetest.Case[C]{Name: d.Name + ", " + name, As: admin, Given: given(life...), When: c, Err: refused[name], Repeat: repeat}
		if name == "absent" {
			is.As = owner
		}
		if is.Err == nil {
			is.Then = then
		}
		cases = append(cases, is)
	}
	decidetest.Run(t, registry, d, cases...)
}
