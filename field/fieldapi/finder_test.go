package fieldapi_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/field/fieldapi"
	"muniment.dev/react"
	"muniment.dev/view"
)

// people are two kinds of rules, and everything that can happen to whom they
// compare.
var people = map[string]string{
	"person.json":  `{"x-entity-type": "person", "x-duplicates": [["name", "born"], ["phone"], ["village", "name"]], "type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "integer"}, "phone": {"type": "string"}, "settled": {"type": "string", "x-public": true}, "village": {"type": "string", "x-public": true}}}`,
	"met.json":     `{"x-event": "person-met", "x-entity": "person", "x-creates": true, "type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "integer"}, "phone": {"type": "string"}, "village": {"type": "string", "x-public": true}}}`,
	"left.json":    `{"x-event": "person-left", "x-entity": "person", "x-creates": false, "x-apply": {"delete": true}, "type": "object", "properties": {}}`,
	"settled.json": `{"x-event": "resolve-duplicate", "x-entity": "person", "x-creates": false, "x-apply": {"set": {"settled": "/other"}}, "type": "object", "properties": {"other": {"type": "string", "format": "uuid", "x-public": true}, "same": {"type": "boolean", "x-public": true}}, "required": ["other", "same"]}`,
}

type couple [2]event.ID

func coupleOf(a, b event.ID) couple {
	if slices.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return couple{a, b}
}

// crowd is a world in which pairs are looked for.
type crowd struct {
	*world
	views *view.Set
	ids   []event.ID
	gone  map[event.ID]bool // deleted or erased, by what was expected
}

func (c *crowd) openViews() {
	c.t.Helper()
	var err error
	c.views, err = view.Open(context.Background(), view.File(""), c.log, c.engine.Runner.Sealer.Decode, []view.View{custom.View(0, c.engine.Catalog, c.engine.Runner.Sealer.Registry.BuiltIn), field.View()}, view.Options{})
	must(c.t, err)
}

// happen lets something happen to somebody.
func (c *crowd) happen() {
	c.t.Helper()
	id := c.ids[c.rnd.IntN(len(c.ids))]
	e := publish.Event{ID: event.NewID(), Type: "person-met", Entity: id, Data: map[string]any{}}
	switch c.rnd.IntN(20) {
	case 0:
		e.Type = "person-left"
	case 1:
		e.Type, e.Data = "resolve-duplicate", map[string]any{"other": text16(c.ids[c.rnd.IntN(len(c.ids))]), "same": c.rnd.IntN(2) == 0}
	case 2:
		_, err := publish.Erase(context.Background(), c.engine.Runner, system, event.Stream{Kind: "person", ID: id}, event.ID{})
		if err != nil && !fault.Is(err, fault.Erased) {
			c.t.Fatal(err)
		}
		return
	default:
		for name, values := range map[string][]any{"name": {"Ada", "ADA ", "Grace"}, "born": {int64(1), int64(2)}, "phone": {"1", "+1", "2", "3", "4"}, "village": {"Ockham", "ockham", "London"}} {
			if c.rnd.IntN(2) == 0 {
				e.Data[name] = values[c.rnd.IntN(len(values))]
			}
		}
	}
	_, err := c.engine.Publisher.Publish(context.Background(), system, []publish.Event{e}, event.Condition{})
	if refused := fault.KindOf(err); err != nil && refused != fault.Refused && refused != fault.Erased {
		c.t.Fatal(err)
	}
}

func text16(id event.ID) string {
	s := id.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// find runs a finder for a moment, or until it has settled everything.
func (c *crowd) find(all bool) {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	f := &fieldapi.Finder{Engine: c.engine, Views: c.views, Logger: slog.New(slog.DiscardHandler)}
	go func() {
		f.Run(ctx)
		close(done)
	}()
	if all {
		last := c.last()
		until(c.t, "the finder", func() bool {
			cursor, _, err := react.Book{Log: c.log, Name: "field/duplicates"}.Load(ctx)
			return err == nil && cursor.Settled() >= last
		})
	} else {
		time.Sleep(time.Duration(c.rnd.IntN(20)) * time.Millisecond)
	}
	stop()
	<-done
}

// last is where something happened to somebody last.
func (c *crowd) last() (last event.Position) {
	for r, err := range c.log.Read(context.Background(), event.Everything(), 0) {
		must(c.t, err)
		if r.Stream.Kind == "person" {
			last = r.Position
		}
	}
	return last
}

// expected are the pairs that were alike when something happened to one of them,
// and what was said of pairs last.
func (c *crowd) expected() (alike map[couple]bool, said map[couple]bool) {
	c.t.Helper()
	defs, err := c.engine.Catalog.Current(context.Background())
	must(c.t, err)
	alike, said = map[couple]bool{}, map[couple]bool{} // alike: true unless one was deleted since
	now := map[event.ID]*custom.Entity{}
	for r, err := range c.log.Read(context.Background(), event.Everything(), 0) {
		must(c.t, err)
		if r.Stream.Kind != "person" {
			continue
		}
		f, err := c.engine.Runner.Sealer.Decode(context.Background(), r)
		must(c.t, err)
		id := r.Stream.ID
		now[id], err = defs.Fold(now[id], f)
		must(c.t, err)
		if p, ok := f.Payload.(event.Custom); ok && r.Type == "resolve-duplicate" {
			if other := p.Fields["other"].(event.ID); other != id {
				said[coupleOf(id, other)] = p.Fields["same"].(bool)
			}
		}
		if r.Type == "person-left" {
			for p := range alike {
				alike[p] = alike[p] && p[0] != id && p[1] != id
			}
		}
		if r.Type != "person-met" {
			continue
		}
		for other, e := range now {
			if other != id && like(now[id], e) {
				alike[coupleOf(id, other)] = true
			}
		}
	}
	for id, e := range now {
		c.gone[id] = e.Deleted || e.Erased
	}
	return alike, said
}

func like(a, b *custom.Entity) bool {
	for _, rule := range [][]string{{"name", "born"}, {"phone"}, {"village", "name"}} {
		all := true
		for _, name := range rule {
			x, y := custom.AlikeForm(a.Fields[name]), custom.AlikeForm(b.Fields[name])
			all = all && x != "" && x == y
		}
		if all {
			return true
		}
	}
	return false
}

// Issue 5, point 8: however often what looks for duplicates is killed, in
// whatever order things happen, every pair that was alike is flagged exactly
// once, none else is, what was said of a pair last counts, and no pair of which
// one is gone is open.
func TestFinderFindsAll(t *testing.T) {
	keys := openKeys(t)
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 26))
		c := &crowd{world: newWorld(t, keys, rnd, people), gone: map[event.ID]bool{}}
		for range 5 {
			c.ids = append(c.ids, event.NewID())
		}
		c.openViews()
		for range 40 {
			if c.happen(); rnd.IntN(8) == 0 {
				c.find(false)
			}
		}
		c.find(true)
		c.check(seed)
		must(t, c.views.Close())
	}
}

func (c *crowd) check(seed uint64) {
	c.t.Helper()
	alike, said := c.expected()
	flagged, state := map[couple]int{}, map[couple]string{}
	for r, err := range c.log.Read(context.Background(), event.Everything(), 0) {
		must(c.t, err)
		f, err := c.engine.Runner.Sealer.Decode(context.Background(), r)
		must(c.t, err)
		switch p := f.Payload.(type) {
		case field.DuplicateFound:
			flagged[coupleOf(p.Entity, p.Other)]++
			state[coupleOf(p.Entity, p.Other)] = field.Open
		case field.DuplicateResolved:
			state[coupleOf(p.Entity, p.Other)] = map[bool]string{true: field.Same, false: field.Different}[p.Same]
		case field.DuplicateClosed:
			state[coupleOf(p.Entity, p.Other)] = field.Closed
		}
	}
	for p, n := range flagged {
		if n != 1 {
			c.t.Errorf("seed %d: %v was flagged %d times", seed, p, n)
		}
	}
	for p, still := range alike { // of who is gone what was sealed cannot be told any more
		_, resolved := said[p]
		if still && !c.gone[p[0]] && !c.gone[p[1]] && flagged[p] == 0 && !resolved {
			c.t.Errorf("seed %d: %v was not flagged", seed, p)
		}
	}
	for p, s := range state {
		same, resolved := said[p]
		_, once := alike[p]
		switch {
		case resolved && s != map[bool]string{true: field.Same, false: field.Different}[same]:
			c.t.Errorf("seed %d: %v is %s, and %v was said", seed, p, s, same)
		case !resolved && s == field.Open && (c.gone[p[0]] || c.gone[p[1]]):
			c.t.Errorf("seed %d: one of %v is gone, and it is open", seed, p)
		case !resolved && !once && !c.gone[p[0]] && !c.gone[p[1]]:
			c.t.Errorf("seed %d: %v is %s, and was never alike", seed, p, s)
		}
	}
	if len(state) == 0 {
		c.t.Errorf("seed %d: nothing was found", seed)
	}
}
