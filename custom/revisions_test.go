package custom_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// told are the revisions of an event type: its fields, upcaster and applier.
func told(variant int) map[string]string {
	mark := []string{"2", "3"}[variant]
	out := map[string]string{}
	for n, r := range [][2]string{
		{"name label n person secret", `"x-apply": {"merge": true}`},
		{"code label n person alias", `"x-upcast": {"rename": {"name": "code", "secret": "alias"}, "cel": {"label": "event.?label.orValue('none') + '` + mark + `'"}}, "x-apply": {"merge": true}`},
		{"code label person alias name list", `"x-upcast": {"unset": ["n"], "set": {"list": ["set"]}, "cel": {"name": "event.?code.orValue('?') + event.?label.orValue('')", "alias": "event.?alias.orValue('nobody') + ` + "`'`" + `"}},
			"x-apply": [{"merge": true}, {"if": "has(event.label) && event.label.endsWith('` + mark + `')", "increment": {"n": {"value": 1}}}]`},
	} {
		var properties, example []string
		for _, f := range strings.Fields(r[0]) {
			text := fields[f]
			if f == "alias" {
				text = fields["secret"]
			}
			properties = append(properties, fmt.Sprintf("%q: %s", f, text))
		}
		example = append(example, `{"label": "a"}`)
		out[fmt.Sprintf("told%d.json", n+1)] = strings.ReplaceAll(fmt.Sprintf(`{%s, "x-event": "thing-told", "x-revision": %d, "x-entity": "thing", "title": "A thing was told", "type": "object", "x-creates": true, "additionalProperties": false,
			"examples": [%s], "properties": {%s}, %s}`, dialect, n+1, strings.Join(example, ","), strings.Join(properties, ", "), r[1]), "`'`", `'#'`)
	}
	return out
}

// tell makes an event of a random revision.
func (w *walk) tell(id event.ID) (event.New, bool) {
	def := w.defs.Set.Definition("thing-told", 1+uint32(w.IntN(3)))
	data := map[string]any{}
	for i := range def.Fields {
		if f := &def.Fields[i]; w.IntN(3) > 0 {
			data[f.Name] = w.value(f.Name)
		}
	}
	for name := range maps.Clone(data) {
		f, of := def.Field(name), id
		if f.Subject != "" {
			if data[f.Subject] == nil {
				delete(data, name)
				continue
			}
			of = event.MustID(strings.ReplaceAll(data[f.Subject].(string), "-", ""))
		}
		if !f.Public && w.erased[of] {
			delete(data, name)
		}
	}
	if err := def.Validate(data); err != nil {
		w.t.Fatal(err)
	}
	p, err := def.Payload(id, event.ID{}, data)
	if err != nil {
		w.t.Fatal(err)
	}
	w.begun[id] = true
	return event.New{Stream: event.Stream{Kind: "thing", ID: id}, Payload: p}, true
}

// Requirements E10 to E13: events of every revision, brought up by upcasters,
// give rows that are what a plain fold gives, at every position: whatever is
// erased, wherever a server stops, if the file is lost, and when the upcasters
// and appliers become others.
func TestRevisionsAreTheFold(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := fixed(seed + 100)
			w := &walk{Rand: r, t: t, l: viewtest.New(t, custom.Events()), erased: map[event.ID]bool{}, begun: map[event.ID]bool{}}
			for range 5 {
				w.ids = append(w.ids, event.NewID())
			}
			defs := source{}
			for epoch := range event.Position(2) {
				docs := documents(r, int(epoch))
				docs.At, docs.Epoch = epoch, epoch
				maps.Copy(docs.Files, told(int(epoch)))
				d, err := custom.Define(docs, custom.Go{})
				if err != nil {
					t.Fatal(err)
				}
				defs[epoch] = d
			}
			w.defs = defs[0]
			for _, e := range w.defs.Set.Events {
				for _, def := range e.Revisions {
					if err := w.l.Register(def.Descriptor); err != nil {
						t.Fatal(err)
					}
				}
			}
			epoch, path := event.Position(0), filepath.Join(t.TempDir(), "views.db")
			open := func() *view.Set {
				set, err := view.Open(t.Context(), view.File(path), w.l, w.l.Decode, []view.View{custom.View(epoch, defs, func(typ string) bool { return !strings.HasPrefix(typ, "thing-") })},
					view.Options{Verify: r.IntN(3) > 0, Batch: 1 + r.IntN(30)})
				if err != nil {
					t.Fatal(err)
				}
				return set
			}
			set := open()
			defer func() { set.Close() }()
			stop := func(lose bool) {
				if err := set.Close(); err != nil {
					t.Fatal(err)
				}
				if lose {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
				set = open()
			}
			for n := range 80 {
				if id := pick(r, w.ids...); r.IntN(2) == 0 {
					if e, ok := w.tell(id); ok {
						w.l.Append(e)
					}
				} else {
					w.step()
				}
				switch r.IntN(16) {
				case 0:
					stop(false)
				case 1:
					stop(true)
				case 2:
					w.compare(set, defs[epoch])
				}
				if n == 50 {
					if err := set.Replace(t.Context(), custom.View(1, defs, func(typ string) bool { return !strings.HasPrefix(typ, "thing-") })); err != nil {
						t.Fatal(err)
					}
					epoch = 1
				}
			}
			w.compare(set, defs[epoch])
			viewtest.Check(t, set)
			w.upcasts(defs[epoch])
		})
	}
}

// upcasts looks at what upcasters make of the stored events: the same each time,
// one that the newest revision takes, and of what was erased nothing, whatever is
// left being as it was before.
func (w *walk) upcasts(d *custom.Definitions) {
	w.t.Helper()
	for r, err := range w.l.Read(context.Background(), event.Everything(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		f, err := w.l.Decode(context.Background(), r)
		if err != nil {
			w.t.Fatal(err)
		}
		c, ok := f.Payload.(event.Custom)
		if !ok || c.Type != "thing-told" {
			continue
		}
		first, def, err := d.Up(context.Background(), c)
		if err != nil {
			w.t.Fatal(err)
		}
		again, _, _ := d.Up(context.Background(), c)
		if !reflect.DeepEqual(first, again) || def.Revision != 3 {
			w.t.Errorf("%v, and then %v", first, again)
		}
		for name, v := range first {
			if def.Field(name) == nil || v == nil {
				w.t.Errorf("%s is no field of the newest revision: %v", name, first)
			}
		}
		if err := def.Validate(first); err != nil {
			w.t.Errorf("%v: %v", first, err)
		}
	}
}
