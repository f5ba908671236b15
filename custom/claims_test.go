package custom_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// What was taken before a field became unique does not count; what is claimed
// since keeps others out.
func TestPublishingSince(t *testing.T) {
	r := newClaiming(t)
	claim := custom.Claim{Entity: second.ID, Field: "code", Name: r.name, FormerName: r.name + ".former", Value: "\x00x", Since: 3, ClaimedValue: custom.ClaimedValue("thing", "code", "\x00x")}
	claim.Taken, claim.Former = decidetest.BlindTerm(claim.Name, claim.Value, true), decidetest.BlindTerm(claim.FormerName, claim.Value, true)
	claim.Claimed = decidetest.BlindTerm(custom.ClaimedName, claim.ClaimedValue, true)
	mine := claim
	mine.Entity, claim.Holders = thing.ID, []event.Stream{thing}
	taking := r.made(second, "\x00x")
	command := func(cl custom.Claim) custom.Publish {
		return custom.Publish{Defined: 3, Events: []custom.Ready{taking}, Claims: []custom.Claim{cl}}
	}
	given := func(more ...event.New) []event.New {
		return append([]event.New{r.may, r.made(thing, "\x00x").New, defined(custom.SchemaApplied{Claims: []string{"thing/code"}})}, more...)
	}
	then := []any{taking.Payload}
	type is = decidetest.Case[custom.Publish]
	decidetest.Run(t, r.reg, custom.Publishing,
		is{Name: "taken before", As: asAda, Given: given(), When: command(claim), Then: then, Repeat: true},
		is{Name: "claimed since", As: asAda, Given: given(r.claimed(thing, "\x00X")), When: command(claim), Err: custom.ErrTaken},
		is{Name: "claimed by itself", As: asAda, Given: given(r.claimed(thing, "\x00X")), When: command(mine), Then: then, Repeat: true},
		is{Name: "claimed and released", As: asAda, Given: given(r.claimed(thing, "\x00x"), r.released(thing, "\x00x").New), When: command(claim), Then: then, Repeat: true},
		is{Name: "claimed in another field", As: asAda, Given: given(event.New{Stream: event.Stream{Kind: "claim", ID: thing.ID},
			Payload: custom.ValueClaimed{Entity: thing.ID, Type: "thing", Field: "Code", Value: event.Seal(custom.ClaimedValue("thing", "Code", "\x00x"))}}), When: command(claim), Then: then, Repeat: true},
	)
}

// Older values are claimed by Muniment itself, once, each that is still held and
// that nobody else took since.
func TestClaiming(t *testing.T) {
	r := newClaiming(t)
	begun := defined(custom.SchemaApplied{Claims: []string{"thing/code"}})
	given := func(more ...event.New) []event.New {
		return append([]event.New{r.may, begun}, more...)
	}
	cmd := custom.ClaimValues{Schema: log, Defined: 2, Type: "thing", Field: "code", Since: 2, Through: 2, At: 2, Indexed: 2, Of: 2, Complete: true, Values: []custom.Value{r.value(thing, "\x00x"), r.value(second, "\x00y")}}
	with := func(f func(*custom.ClaimValues)) custom.ClaimValues { c := cmd; f(&c); return c }
	done := func(held ...event.ID) custom.ValuesIndexed {
		return custom.ValuesIndexed{Entity: "thing", Field: "code", Since: 2, Through: 2, Indexed: 2, Of: 2, Complete: true, Held: held}
	}
	x, y := r.claimed(thing, "\x00x").Payload, r.claimed(second, "\x00y").Payload
	erased := event.New{Stream: thing, Payload: custom.EntityErased{Entity: thing.ID}}
	type is = decidetest.Case[custom.ClaimValues]
	decidetest.Run(t, r.reg, custom.Claiming,
		is{Name: "once", Given: given(), When: cmd, Then: []any{x, y, done()}},
		is{Name: "by anybody", As: asAda, Given: given(member(ada, event.ID{}, "owner")), When: cmd, Kind: fault.Denied},
		is{Name: "done already", Given: given(defined(done())), When: cmd},
		is{Name: "not so far yet", Given: given(), When: with(func(c *custom.ClaimValues) { c.From = 1 })},
		is{Name: "goes on", Given: given(defined(custom.ValuesIndexed{Entity: "thing", Field: "code", Since: 2, Through: 1, Indexed: 1, Of: 2})), When: with(func(c *custom.ClaimValues) { c.From = 1 }), Then: []any{x, y, done()}},
		is{Name: "other definitions since", Given: given(defined(custom.SchemaApplied{})), When: cmd, Err: custom.ErrMoved},
		is{Name: "unique anew since", Given: given(begun), When: cmd, Err: custom.ErrMoved},
		is{Name: "not unique", Given: []event.New{r.may}, When: cmd, Err: custom.ErrMoved},
		is{Name: "taken by itself", Given: given(r.made(thing, "\x00x").New), When: cmd, Then: []any{y, done()}},
		is{Name: "released since", Given: given(r.released(thing, "\x00X").New), When: cmd, Then: []any{y, done()}},
		is{Name: "released before it was read", Given: given(r.released(thing, "\x00x").New), When: with(func(c *custom.ClaimValues) { c.At = 3 }), Then: []any{x, y, done()}},
		is{Name: "erased since", Given: given(erased), When: cmd, Then: []any{y, done()}},
		is{Name: "held by another", Given: given(r.made(second, "\x00x").New), When: cmd, Then: []any{y, done(thing.ID)}},
		is{Name: "held by another before", Given: append([]event.New{r.made(second, "\x00x").New}, begun, r.may), When: cmd, Then: []any{x, y, done()}},
		is{Name: "the same twice", Given: given(), When: with(func(c *custom.ClaimValues) {
			c.Values = []custom.Value{r.value(thing, "\x00x"), r.value(second, "\x00X")}
		}), Then: []any{x, done(second.ID)}},
	)
}

// claiming makes events of things with a unique code.
type claiming struct {
	t    *testing.T
	reg  *event.Registry
	d    *custom.Definitions
	may  event.New
	name string
}

func newClaiming(t *testing.T) *claiming {
	r := &claiming{t: t, reg: event.NewRegistry(authz.Events(), org.Events(), custom.Events()), d: things(t), name: schema.BlindName("thing", "code")}
	for _, e := range r.d.Set.Events {
		if err := r.reg.Put(event.LogID{}, e.Latest().Descriptor); err != nil {
			t.Fatal(err)
		}
	}
	r.may = event.New{Stream: event.Stream{Kind: "permission", ID: log}, Payload: authz.PermissionGranted{Permission: log, User: ada, Right: string(authz.Publish), Types: "thing-*"}}
	return r
}

func (r *claiming) hidden(s event.Stream, typ, field, value string) custom.Ready {
	p, err := r.d.Set.Events[typ].Latest().Payload(s.ID, event.ID{}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	p.Fields[field] = value
	return custom.Ready{Type: typ, New: event.New{Stream: s, Payload: p}}
}

func (r *claiming) made(s event.Stream, value string) custom.Ready {
	return r.hidden(s, "thing-made", schema.Taken("code"), value)
}

func (r *claiming) released(s event.Stream, value string) custom.Ready {
	return r.hidden(s, "thing-ended", schema.Former("code"), value)
}

func (r *claiming) claimed(s event.Stream, value string) event.New {
	return event.New{Stream: event.Stream{Kind: "claim", ID: s.ID}, Payload: custom.ValueClaimed{Entity: s.ID, Type: "thing", Field: "code", Value: event.Seal(custom.ClaimedValue("thing", "code", value))}}
}

func (r *claiming) value(s event.Stream, value string) custom.Value {
	return custom.Value{Entity: s.ID, Value: value, Taken: decidetest.BlindTerm(r.name, value, true), Former: decidetest.BlindTerm(r.name+".former", value, true),
		Claimed: decidetest.BlindTerm(custom.ClaimedName, custom.ClaimedValue("thing", "code", value), true)}
}

// A unique value that is not known before its event is recorded is refused where
// it is declared, however it is reached; modules and functions are not told.
func TestUniqueValuesAreForeseen(t *testing.T) {
	var told apply.Meta
	impl := custom.Go{Appliers: map[string]func(apply.Input) (apply.Output, error){"f": func(in apply.Input) (apply.Output, error) {
		told = in.Meta
		return apply.Output{State: in.Event}, nil
	}}}
	define := func(unique, applier string) (*custom.Definitions, error) {
		return custom.Define(custom.Documents{Files: map[string]string{
			"thing.json": `{` + dialect + `, "x-entity-type": "thing", "title": "Thing", "type": "object", "properties": {
				"code": {"type": "string", "x-public": true` + unique + `}, "label": {"type": "string", "x-public": true}, "n": {"type": "integer", "x-public": true}}}`,
			"made.json": `{` + dialect + `, "x-event": "thing-made", "x-entity": "thing", "title": "A thing", "type": "object", "additionalProperties": false, "x-creates": true,
				"properties": {"code": {"type": "string", "x-public": true}, "label": {"type": "string", "x-public": true}}, "x-apply": ` + applier + `}`,
			"said.json": `{` + dialect + `, "x-event": "thing-said", "x-entity": "thing", "title": "A thing", "type": "object", "additionalProperties": false,
				"properties": {"code": {"type": "string", "x-public": true}}, "x-apply": {"set": {"code": {"cel": "has(state.label) ? state.label : 'none'"}}}}`}}, impl)
	}
	const unique = `, "x-unique": "instance"`
	for applier, want := range map[string]string{
		`{"set": {"code": {"meta": "time"}}}`:                                             "code of thing is unique, and rests on",
		`{"set": {"code": {"cel": "string(meta.position)"}}}`:                             "code of thing is unique, and rests on",
		`{"set": {"code": {"cel": "string(meta['position'])"}}}`:                          "code of thing is unique, and rests on",
		`{"if": "size(meta) > 3", "set": {"code": "/code"}}`:                              "code of thing is unique, and rests on",
		`{"if": "meta.time > 'x'", "merge": true}`:                                        "code of thing is unique, and rests on",
		`{"set": {"label": {"meta": "time"}}}`:                                            "code of thing is unique, and rests on", // by thing-said
		`[{"if": "meta.position > 3", "delete": true}, {"set": {"n": {"value": 1}}}]`:     "whether it is deleted",
		`{"set": {"code": {"cel": "meta.actor + string(meta.version) + meta.occurred"}}}`: "",
		`{"set": {"n": {"meta": "position"}, "code": "/code"}}`:                           "",
		`{"go": "f"}`: "",
	} {
		_, err := define(unique, applier)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", applier, err, want)
		}
		if _, err := define("", applier); err != nil {
			t.Errorf("%s, not unique: %v", applier, err)
		}
	}
	for name, u := range map[string]string{"not unique": "", "unique": unique} {
		d, err := define(u, `{"go": "f"}`)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := d.Set.Events["thing-made"].Latest().Payload(thing.ID, event.ID{}, map[string]any{"code": "x"})
		if _, err := d.Fold(nil, event.Fact{Payload: p, Record: &event.Record{Stream: thing, Type: p.Type, Revision: 1, Version: 1, Position: 9, Time: event.Instant(5).Time()}}); err != nil {
			t.Fatal(err)
		}
		if (told.Position == 0) != (u != "") || (told.Time == 0) != (u != "") || told.Version != 1 {
			t.Errorf("%s: a function is told %+v", name, told)
		}
	}
}
