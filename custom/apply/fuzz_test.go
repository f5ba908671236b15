package apply

import (
	"context"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

var small = Limits{Cost: 10_000, Memory: 2_000, Fuel: 100_000, Pages: 4, Module: 10_000}

// FuzzCompile: no JSON in place of a declaration does more than be refused; and
// what compiles applies, or says why not.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`{"merge":true}`, `[{"if":"event.a > 1","set":{"a":{"cel":"event.a + 1"}}},{"add":{"l":"/l"}}]`,
		`{"increment":{"a":"/a"}}`, `{"rename":{"a":"b"},"cel":{"c":"event.a"},"unset":["l"],"set":{"d":null}}`, `{"set":{"x":"/a~1b/0"}}`,
	} {
		f.Add([]byte(seed))
	}
	ev := map[string]any{"a": int64(2), "l": []any{"x", map[string]any{"y": nil}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := event.ParseJSON(raw)
		if err != nil {
			return
		}
		if p, err := Compile(v, Env{Limits: small}); err == nil {
			out, err := p.Apply(context.Background(), Input{State: map[string]any{"a": "s"}, Event: ev, Meta: meta})
			refusedOrGood(t, out.State, err)
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		if u, err := CompileUpcast(v, Env{Limits: small}); err == nil {
			fields, err := u.Up(context.Background(), ev)
			refusedOrGood(t, fields, err)
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
	})
}

func refusedOrGood(t *testing.T, fields map[string]any, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) != fault.Refused && fault.KindOf(err) != fault.Exhausted {
		t.Fatal(err)
	}
	for name, v := range fields {
		if back, err := event.ParseJSON(event.FormatJSON(v)); err != nil || !equal(back, v) {
			t.Fatalf("%s: %v: %v", name, v, err)
		}
	}
}

// FuzzExpression: no text in place of an expression does more than be refused,
// and each gives the same twice.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`event.n + 1`, `event.list.map(i, i.price * 2)`, `{"a": [event.?x.orValue(1)]}`, `event.m.map(k, event.m[k])`,
		`event.text.matches("^G.*$") ? event.half : double(event.n)`, `cel.bind(x, event.list, x + x)`, `string(timestamp(meta.time))`,
	} {
		f.Add(seed)
	}
	ev := `{"n":3,"half":0.5,"text":"Grüße","list":[{"price":3},{"price":5}],"m":{"b":1,"a":2,"c":[1,2]}}`
	f.Fuzz(func(t *testing.T, text string) {
		got, err := evaluate(t, text, `{"n":1}`, ev, small)
		again, errAgain := evaluate(t, text, `{"n":1}`, ev, small)
		if !equal(got, again) || fault.KindOf(err) != fault.KindOf(errAgain) {
			t.Fatalf("%v %v, and again %v %v", got, err, again, errAgain)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			refusedOrGood(t, nil, err)
		}
		refusedOrGood(t, map[string]any{"x": got}, nil)
	})
}

// FuzzModule: no bytes in place of a module do more than be refused.
func FuzzModule(f *testing.F) {
	f.Add(answers(`{"state":{"a":1}}`).bytes())
	f.Add(keepsState().bytes())
	f.Add(echo().bytes())
	f.Add(wat{table: true, apply: join(op(opI32Const, 0), []byte{opCallIndirect, 2, 0}, at(0, 0)), more: []byte{opLoop, emptyBlock, opBr, 0, opEnd}}.bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Compile(map[string]any{"wasm": "m"}, Env{Modules: map[string][]byte{"m": raw}, Limits: small})
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		out, err := p.Apply(context.Background(), Input{State: map[string]any{"a": "s"}, Event: map[string]any{"a": int64(1)}, Meta: meta})
		refusedOrGood(t, out.State, err)
	})
}
