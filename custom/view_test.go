package custom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`

// fields are those that events of the random types may have.
var fields = map[string]string{
	"n": `{"type": "integer", "x-public": true}`, "label": `{"type": "string", "x-public": true}`,
	"name": `{"type": "string"}`, "code": `{"type": "string"}`, "list": `{"type": "array", "items": {"type": "string"}}`,
	"person": `{"type": "string", "format": "uuid", "x-public": true}`, "guardian": `{"type": "string", "format": "uuid", "x-public": true}`,
	"secret": `{"type": "string", "x-subject": "/person"}`, "ward": `{"type": "string", "x-subject": "/guardian"}`,
	"links": `{"type": "array", "maxItems": 9, "items": {"type": "string", "format": "uuid"}, "x-public": true, "x-ref": "thing"}`,
}

// kinds are event types: their fields and appliers.
var kinds = map[string][2]string{
	"made":       {"n label name code person secret guardian ward links list", `{"merge": true}`},
	"relabelled": {"name code person secret label", `{"merge": true}`},
	"pointed":    {"person", `{"set": {"person": "/person"}}`},
	"copied":     {"person guardian", `[{"merge": true}, {"set": {"alias": {"cel": "state.?secret.orValue('nothing') + '!'"}}}]`},
	"guessed":    {"person secret", `[{"if": "has(event.secret) && event.secret == 'b'", "set": {"alias": {"value": "yes"}}}, {"merge": ["person"]}]`},
	"wrote":      {"person secret", `{"set": {"secret": "/secret"}}`},
	"counted":    {"n", `{"increment": {"n": "/n"}}`},
	"constant":   {"label", `{"set": {"name": {"value": "Constance"}, "label": "/label"}}`},
	"unnamed":    {"", `{"unset": ["name", "secret"]}`},
	"joined":     {"links list", `[{"add": {"links": "/links"}}, {"add": {"list": "/list"}}]`},
	"left":       {"links list", `[{"remove": {"links": "/links"}}, {"remove": {"list": "/list"}}]`},
	"divided":    {"n", `{"set": {"n": {"cel": "10 / event.n"}}}`},
	"reset":      {"name", `[{"set": {"name": {"cel": "state.?name.orValue('') + event.?name.orValue('?')"}}}]`},
	"ended":      {"label", `{"delete": true}`},
	"doubted":    {"n", `{"if": "has(event.n) && event.n == 2", "delete": true}`},
}

func document(kind string, variant int) string {
	names := strings.Fields(kinds[kind][0])
	properties := make([]string, len(names))
	for i, n := range names {
		properties[i] = fmt.Sprintf("%q: %s", n, fields[n])
	}
	apply := kinds[kind][1]
	if variant > 0 && kind == "counted" {
		apply = `{"decrement": {"n": "/n"}}`
	}
	if variant > 0 && kind == "constant" {
		apply = `{"set": {"name": {"value": "Prudence"}}}`
	}
	return fmt.Sprintf(`{%s, "x-event": "thing-%s", "x-entity": "thing", "title": "A thing", "type": "object", "x-creates": %v, "additionalProperties": false, "properties": {%s}, "x-apply": %s}`,
		dialect, kind, kind == "made" || kind == "relabelled" || kind == "ended", strings.Join(properties, ", "), apply)
}

// documents are random definitions of a type of entity.
func documents(r *rand.Rand, variant int) custom.Documents {
	search := func(of ...string) string {
		if s := of[r.IntN(len(of))]; s != "" {
			return `, "x-search": "` + s + `"`
		}
		return ""
	}
	unique := []string{"", `, "x-unique": "instance"`, `, "x-unique": "organization"`}[r.IntN(3)]
	alike := []string{"", `"x-duplicates": [["name", "code"], ["label"]], `, `"x-duplicates": [["secret", "alias", "n"], ["ward"], ["name", "label"]], `}[r.IntN(3)]
	docs := custom.Documents{Files: map[string]string{"thing.json": fmt.Sprintf(`{%s, %s"x-entity-type": "thing", "title": "Thing", "type": "object", "properties": {
		"n": {"type": "integer", "x-public": true%s}, "label": {"type": "string", "x-public": true%s},
		"name": {"type": "string"%s}, "code": {"type": "string"%s}, "list": {"type": "array", "items": {"type": "string"}},
		"person": {"type": "string", "format": "uuid", "x-public": true}, "guardian": {"type": "string", "format": "uuid", "x-public": true, "x-ref": "thing"},
		"secret": {"type": "string", "x-subject": "/person"%s}, "alias": {"type": "string", "x-subject": "/person"%s}, "ward": {"type": "string", "x-subject": "/guardian"%s},
		"links": {"type": "array", "items": {"type": "string", "format": "uuid"}, "x-public": true, "x-ref": "thing"%s}}}`, dialect, alike,
		search("", "exact"), search("", "exact", "prefix"), search("", "exact", "prefix"), unique, search("", "exact"), search("", "exact"), search("", "prefix"), search("", "exact"))}}
	for kind := range kinds {
		docs.Files[kind+".json"] = document(kind, variant)
	}
	return docs
}

func fixed(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 20)) }

// source gives definitions by epoch.
type source map[event.Position]*custom.Definitions

func (s source) Defined(epoch event.Position, _ string, _ uint32) *custom.Definitions {
	return s[epoch]
}

// walk is a random history.
type walk struct {
	*rand.Rand
	t      *testing.T
	l      *viewtest.Log
	defs   *custom.Definitions
	ids    []event.ID // of entities, and of people
	erased map[event.ID]bool
	begun  map[event.ID]bool
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *walk) value(field string) any {
	switch field {
	case "n":
		return int64(w.IntN(4))
	case "person", "guardian":
		return schema.UUIDOf(pick(w.Rand, w.ids...))
	case "links":
		return []any{schema.UUIDOf(pick(w.Rand, w.ids...)), schema.UUIDOf(pick(w.Rand, w.ids...))}
	case "list":
		return []any{pick(w.Rand, "a", "b"), pick(w.Rand, "c", "d")}
	}
	return pick(w.Rand, "a", "b", "c", "Ada Lovelace")
}

// event makes a random event of an entity; false if nothing can be said.
func (w *walk) event(id event.ID) (event.New, bool) {
	kind := pick(w.Rand, slices.Sorted(func(yield func(string) bool) {
		for k := range kinds {
			if !yield(k) {
				return
			}
		}
	})...)
	if !w.begun[id] {
		kind = pick(w.Rand, "made", "relabelled")
	}
	def := w.defs.Set.Events["thing-"+kind].Latest()
	data := map[string]any{}
	for i := range def.Fields {
		if f := &def.Fields[i]; w.IntN(3) > 0 {
			data[f.Name] = w.value(f.Name)
		}
	}
	for field, of := range map[string]string{"secret": "person", "ward": "guardian"} {
		if _, has := data[field]; has && data[of] == nil {
			delete(data, field)
		}
	}
	for name := range data { // what is sealed under who was erased cannot be recorded
		f := def.Field(name)
		of := id
		if f.Subject != "" {
			of = event.MustID(strings.ReplaceAll(data[f.Subject].(string), "-", ""))
		}
		if !f.Public && w.erased[of] {
			delete(data, name)
		}
	}
	if err := def.Validate(data); err != nil {
		return event.New{}, false
	}
	p, err := def.Payload(id, event.ID{}, data)
	if err != nil {
		w.t.Fatal(err)
	}
	w.begun[id] = true
	return event.New{Stream: event.Stream{Kind: "thing", ID: id}, Payload: p}, true
}

func (w *walk) step() {
	id := pick(w.Rand, w.ids...)
	switch {
	case w.IntN(25) == 0 && !w.erased[id]:
		w.erased[id] = true
		if w.begun[id] && w.IntN(2) == 0 {
			w.l.Append(event.New{Stream: event.Stream{Kind: "thing", ID: id}, Payload: custom.EntityErased{Entity: id}})
		}
		w.l.Erase(event.SubjectID{ID: id})
	default:
		var batch []event.New
		for range 1 + w.IntN(4) {
			if e, ok := w.event(pick(w.Rand, id, pick(w.Rand, w.ids...))); ok {
				batch = append(batch, e)
			}
		}
		if len(batch) > 0 {
			w.l.Append(batch...)
		}
	}
}

// folded are the entities as of each position, by a plain fold of the log.
func (w *walk) folded(d *custom.Definitions) []map[event.ID]*custom.Entity {
	states := []map[event.ID]*custom.Entity{{}}
	for r, err := range w.l.Read(context.Background(), event.Everything(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		now := make(map[event.ID]*custom.Entity, len(states))
		for id, e := range states[len(states)-1] {
			now[id] = e
		}
		if r.Stream.Kind == "thing" {
			f, err := w.l.Decode(context.Background(), r)
			if err != nil {
				w.t.Fatal(err)
			}
			if now[r.Stream.ID], err = d.Fold(now[r.Stream.ID], f); err != nil {
				w.t.Fatal(err)
			}
		}
		states = append(states, now)
	}
	return states
}

// compare compares rows at random positions with the fold. That somebody was
// erased of whom an entity holds nothing is known to rows only.
func (w *walk) compare(set *view.Set, d *custom.Definitions) {
	w.t.Helper()
	states := w.folded(d)
	for range 40 {
		at := 1 + w.IntN(len(states)-1)
		for id, want := range states[at] {
			row, ok, err := set.Get(context.Background(), custom.Table, view.Values{"id": id, "type": "thing"}, view.Read{At: event.Position(at)})
			if err != nil || !ok {
				w.t.Fatalf("%v at %d: %v, %v", id, at, ok, err)
			}
			got := custom.Read(row)
			for _, g := range got.Gone {
				if !w.erased[g] {
					w.t.Errorf("%v at %d: %v was not erased", id, at, g)
				}
			}
			if !d.Same(want, got) {
				w.t.Fatalf("%v at %d:\n got %s\nwant %s", id, at, show(got), show(want))
			}
		}
	}
}

func show(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// Requirements E05, E10, E13: rows are what a fold of the log in memory gives,
// at every position; made again from the log, whatever was erased meanwhile,
// they are the same; and so they are by other definitions.
func TestViewIsTheFold(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := fixed(seed)
			w := &walk{Rand: r, t: t, l: viewtest.New(t, custom.Events()), erased: map[event.ID]bool{}, begun: map[event.ID]bool{}}
			for range 5 {
				w.ids = append(w.ids, event.NewID())
			}
			defs := source{}
			for epoch := range event.Position(2) {
				docs := documents(r, int(epoch))
				docs.At, docs.Epoch = epoch, epoch
				d, err := custom.Define(docs, custom.Go{})
				if err != nil {
					t.Fatal(err)
				}
				defs[epoch] = d
			}
			w.defs = defs[0]
			for _, e := range w.defs.Set.Events {
				if err := w.l.Register(e.Latest().Descriptor); err != nil {
					t.Fatal(err)
				}
			}
			builtIn := func(typ string) bool { return !strings.HasPrefix(typ, "thing-") }
			set, err := view.Open(t.Context(), view.File(""), w.l, w.l.Decode, []view.View{custom.View(0, defs, builtIn)}, view.Options{Verify: seed%3 > 0, Batch: 1 + r.IntN(30)})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			for n := range 60 {
				w.step()
				if n%20 == 19 {
					w.compare(set, defs[0])
				}
			}
			viewtest.Check(t, set)
			if err := set.Replace(t.Context(), custom.View(1, defs, builtIn)); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				w.step()
			}
			w.compare(set, defs[1])
			viewtest.Check(t, set)
		})
	}
}
