package custom_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/event/eventtest"
	"muniment.dev/fault"
	"muniment.dev/org"
)

var (
	acme   = event.MustID("0a000000000000000000000000000001")
	other  = event.MustID("0a000000000000000000000000000002")
	ada    = event.MustID("0b000000000000000000000000000001")
	bob    = event.MustID("0b000000000000000000000000000002")
	log    = event.MustID("0c000000000000000000000000000001")
	thing  = event.Stream{Kind: "thing", ID: event.MustID("0d000000000000000000000000000001")}
	second = event.Stream{Kind: "thing", ID: event.MustID("0d000000000000000000000000000002")}

	asAda = event.Actor{Kind: "user", ID: ada}
	asBob = event.Actor{Kind: "user", ID: bob}
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, custom.Events()) }

func member(user, organization event.ID, role string) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: user}, Payload: authz.MemberAdded{Member: user, User: user, Organization: organization, Role: role}}
}

func defined(payload any) event.New {
	return event.New{Stream: event.Stream{Kind: "schema", ID: log}, Payload: payload}
}

// Definitions are changed by who manages the instance, against what they were
// planned against; what stays as it is leaves no event.
func TestApplying(t *testing.T) {
	reg := event.NewRegistry(authz.Events(), org.Events(), custom.Events())
	owner, admin := member(ada, event.ID{}, "owner"), member(bob, acme, "owner")
	sum := sha256.Sum256([]byte("code"))
	applied := custom.SchemaApplied{Added: []string{"thing"}}
	text, more := custom.DocumentPut{File: "a.json", Text: "{}"}, custom.DocumentPut{File: "b.json", Text: "{}"}
	module := custom.ModulePut{Name: "m", Module: thing.ID, SHA256: sum[:], Code: event.Seal([]byte("code"))}
	given := []event.New{owner, defined(text), defined(module), defined(applied)}
	first := custom.Apply{Schema: log, Put: map[string]string{"b.json": "{}", "a.json": "{}"}, Applied: applied}
	with := func(f func(*custom.Apply)) custom.Apply {
		c := custom.Apply{Schema: log, From: 4, Applied: applied}
		f(&c)
		return c
	}
	type is = decidetest.Case[custom.Apply]
	decidetest.Run(t, reg, custom.Applying,
		is{Name: "the first", As: asAda, Given: []event.New{owner}, When: first, Then: []any{text, more, applied}},
		is{Name: "nobody", As: asBob, Given: []event.New{owner}, When: first, Kind: fault.Denied},
		is{Name: "an owner of an organization", As: asBob, Given: []event.New{admin}, When: first, Kind: fault.Denied},
		is{Name: "planned against what is not any more", As: asAda, Given: given, When: first, Err: custom.ErrMoved},
		is{Name: "nothing else", As: asAda, Given: given, When: with(func(c *custom.Apply) {
			c.Put, c.Modules = map[string]string{"a.json": "{}"}, map[string]custom.NewModule{"m": {Subject: bob, Code: []byte("code")}}
			c.Remove, c.Drop = []string{"z.json"}, []string{"z"}
		})},
		is{Name: "another text", As: asAda, Given: given, When: with(func(c *custom.Apply) { c.Put = map[string]string{"a.json": "[]"} }),
			Then: []any{custom.DocumentPut{File: "a.json", Text: "[]"}, applied}},
		is{Name: "without a document", As: asAda, Given: given, When: with(func(c *custom.Apply) { c.Remove = []string{"a.json"} }),
			Then: []any{custom.DocumentRemoved{File: "a.json"}, applied}},
		is{Name: "another module", As: asAda, Given: given, When: with(func(c *custom.Apply) {
			c.Modules = map[string]custom.NewModule{"m": {Subject: bob, Code: []byte("cod")}}
		}), Then: []any{func() any {
			sum := sha256.Sum256([]byte("cod"))
			return custom.ModulePut{Name: "m", Module: bob, SHA256: sum[:], Code: event.Seal([]byte("cod"))}
		}(), applied}},
		is{Name: "without a module", As: asAda, Given: given, When: with(func(c *custom.Apply) { c.Drop = []string{"m"} }), Then: []any{custom.ModuleRemoved{Name: "m"}, applied}},
	)
}

// things are definitions with an end and a unique value.
func things(t *testing.T) *custom.Definitions {
	t.Helper()
	event := func(name, fields, more string) string {
		return `{` + dialect + `, "x-event": "thing-` + name + `", "x-entity": "thing", "title": "A thing", "type": "object", "additionalProperties": false, "properties": {` + fields + `}` + more + `}`
	}
	d, err := custom.Define(custom.Documents{Files: map[string]string{
		"thing.json": `{` + dialect + `, "x-entity-type": "thing", "title": "Thing", "type": "object", "properties": {"code": {"type": "string", "x-unique": "instance"}, "label": {"type": "string", "x-public": true}}}`,
		"made.json":  event("made", `"code": {"type": "string"}`, `, "x-creates": true`),
		"said.json":  event("said", `"label": {"type": "string", "x-public": true}`, ``),
		"ended.json": event("ended", ``, `, "x-apply": {"delete": true}`),
	}}, custom.Go{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Events are published by who may publish their type there, against the
// definitions as they are, to entities that are there, with values that are free.
func TestPublishing(t *testing.T) {
	d := things(t)
	reg := event.NewRegistry(authz.Events(), org.Events(), custom.Events())
	for _, e := range d.Set.Events {
		if err := reg.Put(event.LogID{}, e.Latest().Descriptor); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(s event.Stream, typ string, organization event.ID, data map[string]any, hidden map[string]string) custom.Ready {
		p, err := d.Set.Events[typ].Latest().Payload(s.ID, organization, data)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range hidden {
			p.Fields[name] = v
		}
		r := custom.Ready{Type: typ, Organization: organization, New: event.New{Stream: s, Payload: p}}
		r.Ends, r.Makes = d.Lifetime("thing")
		return r
	}
	taken, former := schema.Taken("code"), schema.Former("code")
	made := ready(thing, "thing-made", acme, map[string]any{"code": "x"}, map[string]string{taken: "\x00x"})
	said := ready(thing, "thing-said", acme, map[string]any{"label": "y"}, nil)
	ended := ready(thing, "thing-ended", acme, nil, map[string]string{former: "\x00x"})
	taking := ready(second, "thing-made", acme, map[string]any{"code": "X"}, map[string]string{taken: "\x00X"})
	claim := func(s event.Stream, n int, v string) custom.Claim {
		name, was := schema.BlindName("thing", "code"), schema.FormerName("thing", "code")
		holders := []event.Stream{second}
		if s == second {
			holders = []event.Stream{thing}
		}
		return custom.Claim{Entity: s.ID, Event: n, Field: "code", Name: name, Value: v, FormerName: was, Holders: holders,
			Taken: decidetest.BlindTerm(name, v, true), Former: decidetest.BlindTerm(was, v, true)}
	}
	may := event.New{Stream: event.Stream{Kind: "permission", ID: log}, Payload: authz.PermissionGranted{Permission: log, User: ada, Organization: acme, Right: string(authz.Publish), Types: "thing-*"}}
	not := event.New{Stream: may.Stream, Payload: authz.PermissionWithdrawn(may.Payload.(authz.PermissionGranted))}
	erased := event.New{Stream: thing, Payload: custom.EntityErased{Entity: thing.ID, Organization: acme}}
	given := func(more ...event.New) []event.New {
		return append([]event.New{may, defined(custom.SchemaApplied{Added: []string{"thing"}}), event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}}, more...)
	}
	command := func(events ...custom.Ready) custom.Publish { return custom.Publish{Defined: 2, Events: events} }
	claiming := func(c custom.Publish, claims ...custom.Claim) custom.Publish { c.Claims = claims; return c }
	unknown := claim(second, 0, "\x00X")
	unknown.Holders = nil
	shut := event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
	gone := event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRemoved{Organization: acme}}
	back := event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRestored{Organization: acme}}
	anywhere := event.New{Stream: may.Stream, Payload: authz.PermissionGranted{Permission: log, User: ada, Right: string(authz.Publish), Types: "thing-*"}}
	old := command(made)
	old.Defined = 1
	elsewhere := ready(thing, "thing-made", other, nil, nil)
	then := func(events ...custom.Ready) (out []any) {
		for _, r := range events {
			c := r.Payload
			out = append(out, c)
		}
		return out
	}
	type is = decidetest.Case[custom.Publish]
	decidetest.Run(t, reg, custom.Publishing,
		is{Name: "one", As: asAda, Given: given(), When: command(made), Then: then(made), Repeat: true},
		is{Name: "several, in order", As: asAda, Given: given(), When: command(made, said, said), Then: then(made, said, said), Repeat: true},
		is{Name: "nobody", As: asBob, Given: given(), When: command(made), Kind: fault.Denied},
		is{Name: "elsewhere", As: asAda, Given: given(), When: command(made, elsewhere), Kind: fault.Denied},
		is{Name: "no more", As: asAda, Given: given(not), When: command(made), Kind: fault.Denied},
		is{Name: "an owner without permission", As: asAda, Given: []event.New{member(ada, event.ID{}, "owner")}, When: command(made), Kind: fault.Denied},
		is{Name: "of an organization that is not there", As: asAda, Given: given(anywhere), When: command(made, elsewhere), Err: custom.ErrNoOrganization},
		is{Name: "of one that is deactivated", As: asAda, Given: given(anywhere, shut), When: command(made), Err: org.ErrInactive},
		is{Name: "of one that was removed", As: asAda, Given: given(anywhere, gone), When: command(made), Err: org.ErrRemoved},
		is{Name: "of one that came back", As: asAda, Given: given(gone, back), When: command(made), Then: then(made), Repeat: true},
		is{Name: "other definitions", As: asAda, Given: given(), When: old, Err: custom.ErrMoved},
		is{Name: "after its end", As: asAda, Given: given(made.New, ended.New), When: command(said), Err: custom.ErrGone},
		is{Name: "after its end in the batch", As: asAda, Given: given(made.New), When: command(ended, said), Err: custom.ErrGone},
		is{Name: "ended twice", As: asAda, Given: given(made.New, ended.New), When: command(ended), Err: custom.ErrGone},
		is{Name: "made anew", As: asAda, Given: given(made.New, ended.New), When: command(made), Then: then(made), Repeat: true},
		is{Name: "made anew in the batch", As: asAda, Given: given(made.New), When: command(ended, made, said), Then: then(ended, made, said), Repeat: true},
		is{Name: "a value that is free", As: asAda, Given: given(), When: claiming(command(made), claim(thing, 0, "\x00x")), Then: then(made), Repeat: true},
		is{Name: "taken", As: asAda, Given: given(made.New), When: claiming(command(taking), claim(second, 0, "\x00X")), Err: custom.ErrTaken},
		is{Name: "taken meanwhile", As: asAda, Given: given(made.New), When: claiming(command(taking), unknown), Err: custom.ErrMoved},
		is{Name: "its own", As: asAda, Given: given(made.New), When: claiming(command(made), claim(thing, 0, "\x00x")), Then: then(made), Repeat: true},
		is{Name: "taken in the batch", As: asAda, Given: given(), When: claiming(command(made, taking), claim(thing, 0, "\x00x"), claim(second, 1, "\x00x")), Err: custom.ErrTaken},
		is{Name: "released", As: asAda, Given: given(made.New, ended.New), When: claiming(command(taking), claim(second, 0, "\x00X")), Then: then(taking), Repeat: true},
		is{Name: "erased", As: asAda, Given: given(made.New, erased), When: claiming(command(taking), claim(second, 0, "\x00X")), Then: then(taking), Repeat: true},
		is{Name: "released and taken by another", As: asAda, Given: given(made.New, ended.New, taking.New), When: claiming(command(made), claim(thing, 0, "\x00x")), Err: custom.ErrTaken},
		is{Name: "another value", As: asAda, Given: given(made.New), When: claiming(command(taking), claim(second, 0, "\x00z")), Then: then(taking), Repeat: true},
	)
}

// An entity is erased by who manages the people of its organization and of
// whoever else's data is sealed with the same key, once.
func TestErasing(t *testing.T) {
	reg := event.NewRegistry(authz.Events(), org.Events(), custom.Events())
	admin := member(ada, acme, "admin")
	c := custom.Erase{Entity: thing, Organization: acme, Keys: []event.KeyID{{ID: log}}}
	erased := custom.EntityErased{Entity: thing.ID, Organization: acme}
	then := []any{erased, event.SubjectErased{Subject: event.SubjectID{ID: thing.ID}, Keys: c.Keys}}
	with := func(f func(*custom.Erase)) custom.Erase { d := c; f(&d); return d }
	type is = decidetest.Case[custom.Erase]
	decidetest.Run(t, reg, custom.Erasing,
		is{Name: "once", As: asAda, Given: []event.New{admin}, When: c, Then: then},
		is{Name: "by Muniment itself", When: c, Then: then},
		is{Name: "nobody", As: asBob, Given: []event.New{admin}, When: c, Kind: fault.Denied},
		is{Name: "twice", As: asAda, Given: []event.New{admin, {Stream: thing, Payload: erased}}, When: c, Err: custom.ErrErased},
		is{Name: "of another organization", As: asAda, Given: []event.New{admin}, When: with(func(c *custom.Erase) { c.Organization = other }), Kind: fault.Denied},
		is{Name: "of none", As: asAda, Given: []event.New{admin}, When: with(func(c *custom.Erase) { c.Organization = event.ID{} }), Kind: fault.Denied},
		is{Name: "with what is another organization's", As: asAda, Given: []event.New{admin}, When: with(func(c *custom.Erase) { c.Others = []event.ID{acme, other} }), Kind: fault.Denied},
		is{Name: "with what is its own's", As: asAda, Given: []event.New{admin}, When: with(func(c *custom.Erase) { c.Others = []event.ID{acme} }), Then: then},
		is{Name: "with a person", As: asAda, Given: []event.New{admin}, When: with(func(c *custom.Erase) { c.BuiltIn = true }), Err: custom.ErrShared},
	)
	done := custom.CompleteErasure{Entity: thing.ID}
	begun := event.New{Stream: thing, Payload: erased}
	completed := custom.EntityErasureCompleted{Entity: thing.ID, Organization: acme}
	type ends = decidetest.Case[custom.CompleteErasure]
	decidetest.Run(t, reg, custom.CompletingErasure,
		ends{Name: "once", Given: []event.New{begun}, When: done, Then: []any{completed}},
		ends{Name: "twice", Given: []event.New{begun, {Stream: event.Stream{Kind: "subject", ID: thing.ID}, Payload: completed}}, When: done},
		ends{Name: "what is no entity", When: done},
		ends{Name: "another", Given: []event.New{{Stream: second, Payload: custom.EntityErased{Entity: second.ID}}}, When: done},
		ends{Name: "by anybody", As: asAda, Given: []event.New{member(ada, event.ID{}, "owner"), begun}, When: done, Kind: fault.Denied},
	)
}

// What would outlive the person whom it is about, or tell of them in clear, is
// no definition.
func TestDefineRefuses(t *testing.T) {
	base := documents(fixed(1), 0).Files
	for name, c := range map[string]struct{ file, old, new, want string }{
		"a sealed field decides":       {"doubted.json", kinds["doubted"][1], `{"if": "has(state.name)", "delete": true}`, "decides whether thing is deleted"},
		"a field of another subject":   {"reset.json", kinds["reset"][1], `{"set": {"secret": "/name"}}`, "sealed under another subject"},
		"a state's of another subject": {"reset.json", kinds["reset"][1], `{"set": {"ward": {"cel": "state.secret"}}}`, "sealed under another subject"},
		"a unique value of a person's": {"thing.json", `"ward": {"type": "string", `, `"ward": {"type": "string", "x-unique": "instance", `, "would outlive the subject"},
		"public from sealed":           {"reset.json", kinds["reset"][1], `{"set": {"label": "/name"}}`, "public"},
		"a condition writes public":    {"reset.json", kinds["reset"][1], `{"if": "has(event.name)", "set": {"label": {"value": "x"}}}`, "public"},
	} {
		files := map[string]string{}
		for f, text := range base {
			files[f] = text
		}
		files[c.file] = strings.Replace(files[c.file], c.old, c.new, 1)
		if files[c.file] == base[c.file] {
			t.Fatalf("%s: nothing is other", name)
		}
		if _, err := custom.Define(custom.Documents{Files: files}, custom.Go{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
