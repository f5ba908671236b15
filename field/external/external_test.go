package external_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
)

var (
	registry = event.NewRegistry(authz.Events(), external.Events())

	id       = event.MustID("0a000000000000000000000000000001")
	acme     = event.MustID("0c000000000000000000000000000001")
	ada      = event.MustID("0e000000000000000000000000000001")
	lost     = event.MustID("0e000000000000000000000000000002")
	olga     = event.MustID("0b000000000000000000000000000001")
	adam     = event.MustID("0b000000000000000000000000000002")
	audra    = event.MustID("0b000000000000000000000000000003")
	robot    = event.MustID("0b000000000000000000000000000004")
	owner    = event.Actor{Kind: "user", ID: olga}
	admin    = event.Actor{Kind: "user", ID: adam} // of acme
	auditor  = event.Actor{Kind: "user", ID: audra}
	machine  = event.Actor{Kind: "user", ID: robot}
	types    = []string{"create-individual", "update-individual"}
	settings = external.Settings{Name: "Registry", URL: "https://example.com/events", Interval: 300, Batch: 100, Attempts: 20}
	token    = external.Credential{Kind: external.Bearer, Secret: event.Seal("s3cr3t")}
	directed = external.Directed{Adapter: id, Owner: adam, Types: types}

	members = []event.New{
		member(olga, event.ID{}, "owner"), member(adam, acme, "admin"), member(audra, event.ID{}, "auditor"),
		{Stream: event.Stream{Kind: "permission", ID: robot}, Payload: authz.PermissionGranted{Permission: robot, User: robot, Organization: acme, Right: "read", Types: "*"}},
	}
)

func member(user, organization event.ID, role string) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: user}, Payload: authz.MemberAdded{Member: user, User: user, Organization: organization, Role: role}}
}

// created is how an adapter of acme begins.
func created(d external.Direction) []any {
	return []any{
		external.Created{Adapter: id, Organization: acme, Owner: adam, Name: "Registry", Direction: string(d), URL: event.Seal(settings.URL), EntityTypes: []string{"group", "individual"}, Interval: 300, Batch: 100, Attempts: 20},
		external.CredentialSet{Adapter: id, Organization: acme, Kind: external.Bearer, Secret: event.Seal("s3cr3t")},
	}
}

func given(payloads ...any) []event.New {
	out := members[:len(members):len(members)]
	for _, p := range payloads {
		out = append(out, event.New{Stream: external.Stream(id), Payload: p})
	}
	return out
}

func with(base []any, more ...any) []any { return append(base[:len(base):len(base)], more...) }

func create(change func(*external.Create)) external.Create {
	c := external.Create{Adapter: id, Organization: acme, Owner: adam, Direction: external.Both, EntityTypes: []string{"individual", "group", "individual"}, Types: types, Settings: settings, Credential: token}
	if change != nil {
		change(&c)
	}
	return c
}

// Who manages a scope sets adapters up in it, and pushes only what they may read
// themselves.
func TestCreating(t *testing.T) {
	type is = decidetest.Case[external.Create]
	field := func(name string, change func(*external.Create)) is {
		return is{Name: name, As: admin, Given: given(), When: create(change), Kind: fault.Invalid}
	}
	setting := func(name string, change func(*external.Settings)) is {
		return field(name, func(c *external.Create) { change(&c.Settings) })
	}
	secret := func(kind, text string) is {
		return field(kind+" "+text, func(c *external.Create) {
			c.Credential = external.Credential{Kind: kind, Secret: event.Seal(text)}
		})
	}
	decidetest.Run(t, registry, external.Creating,
		is{Name: "by an admin of the organization", As: admin, Given: given(), When: create(nil), Then: created(external.Both), Repeat: true},
		is{Name: "of the whole instance, by an admin of an organization", As: admin, Given: given(), When: create(func(c *external.Create) { c.Organization = event.ID{} }), Kind: fault.Denied},
		is{Name: "by an auditor, who manages nothing", As: auditor, Given: given(), When: create(nil), Kind: fault.Denied},
		is{Name: "by a machine that may read", As: machine, Given: given(), When: create(nil), Kind: fault.Denied},
		field("no direction", func(c *external.Create) { c.Direction = "sideways" }),
		field("for nothing", func(c *external.Create) { c.EntityTypes = nil }),
		field("for too much", func(c *external.Create) { c.EntityTypes = make([]string, external.MostTypes+1) }),
		setting("without a name", func(s *external.Settings) { s.Name = "" }),
		setting("without pause", func(s *external.Settings) { s.Interval = external.LeastInterval - 1 }),
		setting("hardly ever", func(s *external.Settings) { s.Interval = external.MostInterval + 1 }),
		setting("nothing at a time", func(s *external.Settings) { s.Batch = 0 }),
		setting("too much at a time", func(s *external.Settings) { s.Batch = external.MostBatch + 1 }),
		setting("no attempt", func(s *external.Settings) { s.Attempts = 0 }),
		setting("without an address", func(s *external.Settings) { s.URL = "" }),
		setting("in clear", func(s *external.Settings) { s.URL = "http://example.com/" }),
		setting("with a password", func(s *external.Settings) { s.URL = "https://a:b@example.com/" }),
		secret("magic", "x"), secret(external.Bearer, ""), secret(external.Bearer, "a b"), secret(external.Bearer, strings.Repeat("a", 4001)),
		secret(external.Basic, "nobody"), secret(external.Basic, ":x"), secret(external.Basic, "a:b\nc"),
	)
}

// may folds what the machine may do, and says whether it may have events pushed.
func may(types []string, organization event.ID, unsealed bool) bool {
	a := authz.For(machine)
	for _, n := range members[3:] {
		a = authz.Evolve(a, event.Fact{Record: &event.Record{Stream: n.Stream, Type: "permission.granted"}, Payload: n.Payload})
	}
	return external.MayPush(a, organization, types, unsealed) == nil
}

// Who may read types of events has them pushed; not others, not elsewhere, and
// not opened.
func TestMayPush(t *testing.T) {
	if !may(types, acme, false) {
		t.Error("what is permitted is denied")
	}
	for name, allowed := range map[string]bool{"opened": may(types, acme, true), "elsewhere": may(types, ada, false), "the instance": may(types, event.ID{}, false)} {
		if allowed {
			t.Errorf("%s: allowed", name)
		}
	}
}

// An instance has a bounded number of adapters; those that were removed do not
// count.
func TestMost(t *testing.T) {
	many, ofOne := given(), given()
	for i := range external.MostOfOne {
		s := event.ID{2, byte(i)}
		ofOne = append(ofOne, event.New{Stream: external.Stream(s), Payload: external.Created{Adapter: s, Organization: acme, Name: "x", Direction: "push"}})
	}
	for i := range external.Most {
		s := event.ID{1, byte(i >> 8), byte(i)}
		many = append(many, event.New{Stream: external.Stream(s), Payload: external.Created{Adapter: s, Name: "x", Direction: "push"}})
	}
	last := many[len(many)-1].Stream
	gone := append(many[:len(many):len(many)], event.New{Stream: last, Payload: external.Removed{Adapter: last.ID}})
	type is = decidetest.Case[external.Create]
	decidetest.Run(t, registry, external.Creating,
		is{Name: "too many", As: admin, Given: many, When: create(nil), Err: external.ErrMany},
		is{Name: "too many of one organization", As: admin, Given: ofOne, When: create(nil), Err: external.ErrManyOfOne},
		is{Name: "one was removed", As: admin, Given: gone, When: create(nil), Then: created(external.Both), Repeat: true},
	)
}

// Whoever changes an adapter is its owner then.
func TestChanging(t *testing.T) {
	type is = decidetest.Case[external.Change]
	other := settings
	other.Interval = 60
	mine := external.Directed{Adapter: id, Owner: olga, Types: types}
	path, host, port := settings, settings, settings
	path.URL, host.URL, port.URL = "https://Example.com:443/other", "https://example.org/events", "https://example.com:8443/events"
	signed := external.CredentialSet{Adapter: id, Organization: acme, Kind: external.Signature, Secret: event.Seal("whsec_AAAA")}
	at := func(url string) []any {
		return []any{external.Changed{Adapter: id, Organization: acme, Owner: olga, Name: "Registry", URL: event.Seal(url), Interval: 300, Batch: 100, Attempts: 20}}
	}
	decidetest.Run(t, registry, external.Changing,
		is{Name: "the interval", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: other},
			Then: []any{external.Changed{Adapter: id, Organization: acme, Owner: olga, Name: "Registry", URL: event.Seal(settings.URL), Interval: 60, Batch: 100, Attempts: 20}}},
		is{Name: "the path of the address", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: path}, Then: at(path.URL)},
		is{Name: "a token to another host", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: host}, Err: external.ErrOtherHost},
		is{Name: "a token to another port", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: port}, Err: external.ErrOtherHost},
		is{Name: "a signature to another host", As: owner, Given: given(with(created(external.Both), signed)...), When: external.Change{Directed: mine, Settings: host}, Then: at(host.URL)},
		is{Name: "nothing", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: settings}},
		is{Name: "to what cannot be", As: owner, Given: given(created(external.Both)...), When: external.Change{Directed: mine}, Kind: fault.Invalid},
		is{Name: "by an auditor", As: auditor, Given: given(created(external.Both)...), When: external.Change{Directed: mine, Settings: other}, Kind: fault.Denied},
		is{Name: "absent", As: owner, Given: given(), When: external.Change{Directed: mine, Settings: other}, Err: external.ErrNotFound},
	)
	type set = decidetest.Case[external.SetCredential]
	decidetest.Run(t, registry, external.SettingCredential,
		set{Name: "another", As: admin, Given: given(created(external.Both)...), When: external.SetCredential{Adapter: id, Credential: token}, Then: created(external.Both)[1:], Repeat: true},
		set{Name: "none", As: admin, Given: given(created(external.Both)...), When: external.SetCredential{Adapter: id}, Kind: fault.Invalid},
		set{Name: "by an auditor", As: auditor, Given: given(created(external.Both)...), When: external.SetCredential{Adapter: id, Credential: token}, Kind: fault.Denied},
		set{Name: "absent", As: owner, Given: given(), When: external.SetCredential{Adapter: id, Credential: token}, Err: external.ErrNotFound},
	)
}

// The lives of an adapter: what may be done in which state, by whom.
func TestStates(t *testing.T) {
	both := created(external.Both)
	paused, stopped := external.Paused{Adapter: id, Organization: acme}, external.Stopped{Adapter: id, Organization: acme, Reason: "why"}
	removed := external.Removed{Adapter: id, Organization: acme}
	states := map[string][]any{"absent": nil, "active": both, "paused": with(both, paused), "stopped": with(both, stopped), "removed": with(both, removed)}
	all := func(more map[string]error) map[string]error {
		more["absent"], more["removed"] = external.ErrNotFound, external.ErrNotFound
		return more
	}
	on := external.On{Adapter: id}
	inStates(t, states, external.Pausing, on, []any{paused}, all(map[string]error{"paused": external.ErrPaused, "stopped": external.ErrStopped}), false)
	inStates(t, states, external.Resuming, directed, []any{external.Resumed{Adapter: id, Organization: acme, Owner: adam}}, all(map[string]error{"active": external.ErrActive}), false)
	inStates(t, states, external.Requesting, on, []any{external.RunRequested{Adapter: id, Organization: acme}}, all(map[string]error{"paused": external.ErrIdle, "stopped": external.ErrIdle}), true)
	inStates(t, states, external.Removing, on, []any{removed}, all(map[string]error{}), false)
	inStates(t, states, external.Rewinding, external.Rewind{Directed: directed, Push: true, After: 7, Pull: true},
		[]any{external.PushRewound{Adapter: id, Organization: acme, After: 7}, external.PullRewound{Adapter: id, Organization: acme}}, all(map[string]error{}), true)

	type is = decidetest.Case[external.Stop]
	stop := external.Stop{Adapter: id, Reason: "why"}
	decidetest.Run(t, registry, external.Stopping,
		is{Name: "active", Given: given(both...), When: stop, Then: []any{stopped}},
		is{Name: "paused", Given: given(states["paused"]...), When: stop},
		is{Name: "removed", Given: given(states["removed"]...), When: stop, Err: external.ErrNotFound},
		is{Name: "by an owner", As: owner, Given: given(both...), When: stop, Kind: fault.Denied},
	)
	type re = decidetest.Case[external.Rewind]
	decidetest.Run(t, registry, external.Rewinding,
		re{Name: "nothing", As: admin, Given: given(both...), When: external.Rewind{Directed: directed}, Kind: fault.Invalid},
		re{Name: "what pushes nothing", As: admin, Given: given(created(external.Pull)...), When: external.Rewind{Directed: directed, Push: true}, Err: external.ErrNoPush},
		re{Name: "what pulls nothing", As: admin, Given: given(created(external.Push)...), When: external.Rewind{Directed: directed, Pull: true}, Err: external.ErrNoPull},
	)
}

// What did not come over is tried anew or given up, by those who direct the
// adapter; what waits for it is offered again.
func TestSettling(t *testing.T) {
	refusal := external.EventRefused{Adapter: id, Organization: acme, Event: lost, Entity: ada, Reason: external.Invalid, Field: "name"}
	some := with(created(external.Both), refusal)
	again := external.PullRewound{Adapter: id, Organization: acme}
	type is = decidetest.Case[external.Settle]
	two := external.Settle{Directed: directed, Positions: []event.Position{3}, Events: []event.ID{lost}}
	pushed := external.Settle{Directed: directed, Positions: []event.Position{3}}
	decidetest.Run(t, registry, external.Redriving,
		is{Name: "both ways", As: admin, Given: given(some...), When: two, Then: []any{external.Redriven{Adapter: id, Organization: acme, Position: 3}, again}},
		is{Name: "what was pushed", As: admin, Given: given(some...), When: pushed, Then: []any{external.Redriven{Adapter: id, Organization: acme, Position: 3}}, Repeat: true},
		is{Name: "none", As: admin, Given: given(some...), When: external.Settle{Directed: directed}, Kind: fault.Invalid},
		is{Name: "one that was not refused", As: admin, Given: given(created(external.Both)...), When: two, Err: external.ErrRefused},
		is{Name: "by an auditor", As: auditor, Given: given(some...), When: two, Kind: fault.Denied},
		is{Name: "absent", As: owner, Given: given(), When: pushed, Err: external.ErrNotFound},
	)
	decidetest.Run(t, registry, external.Discarding,
		is{Name: "both ways", As: admin, Given: given(some...), When: two,
			Then: []any{external.Discarded{Adapter: id, Organization: acme, Position: 3}, external.EventDiscarded{Adapter: id, Organization: acme, Event: lost}, again}},
		is{Name: "by an auditor", As: auditor, Given: given(some...), When: two, Kind: fault.Denied},
		is{Name: "absent", As: owner, Given: given(), When: pushed, Err: external.ErrNotFound},
	)
	type refuse = decidetest.Case[external.Refuse]
	c := external.Refuse{Adapter: id, Refusal: external.Refusal{Event: lost, Entity: ada, Reason: external.Invalid, Field: "name"}}
	decidetest.Run(t, registry, external.Refusing,
		refuse{Name: "once", Given: given(created(external.Pull)...), When: c, Then: []any{refusal}},
		refuse{Name: "after everything was pulled again", Given: given(with(some, again)...), When: c, Then: []any{refusal}},
		refuse{Name: "given up", Given: given(with(some, external.EventDiscarded{Adapter: id, Event: lost}, again)...), When: c},
		refuse{Name: "by an owner", As: owner, Given: given(created(external.Pull)...), When: c, Kind: fault.Denied},
		refuse{Name: "absent", Given: given(), When: c, Err: external.ErrNotFound},
	)
}

// Events of an entity wait for one that was refused, and nothing else does.
func TestHolds(t *testing.T) {
	s := external.State{Refused: map[event.ID]external.Refusal{lost: {Event: lost, Entity: ada}, id: {Event: id}}}
	if !s.Holds(ada) || s.Holds(acme) || s.Holds(event.ID{}) {
		t.Error("it holds up what it should not, or not what it should")
	}
}

func inStates[C any](t *testing.T, states map[string][]any, d decide.Decider[external.State, C], c C, then []any, refused map[string]error, repeat bool) {
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
