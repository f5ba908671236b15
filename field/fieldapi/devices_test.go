package fieldapi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/field"
	"muniment.dev/field/fieldapi"
)

func pack(t testing.TB) map[string]string {
	t.Helper()
	files, err := field.Pack()
	must(t, err)
	return files
}

// seeds are how many are run, and from which on.
func seeds(t *testing.T, usual int) (from, n uint64) {
	number := func(name string, otherwise int) uint64 {
		v, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return uint64(otherwise)
		}
		return uint64(v)
	}
	if one := number("MUNIMENT_FIELD_SEED", 0); one > 0 {
		return one, 1
	}
	return number("MUNIMENT_FIELD_FROM", 1), number("MUNIMENT_FIELD_SEEDS", usual)
}

// things are the entities that a run is about.
type things struct{ people, groups []event.ID }

// change is an event that a device may make of one of them.
func (th *things) change(rnd *rand.Rand, deletes bool) act {
	person, group := th.people[rnd.IntN(len(th.people))], th.groups[rnd.IntN(len(th.groups))]
	data := map[string]any{}
	for _, name := range []string{"name", "phone", "address"} {
		if rnd.IntN(2) == 0 {
			data[name] = fmt.Sprint(name, rnd.IntN(1000))
		}
	}
	if data["name"] == nil && rnd.IntN(4) == 0 {
		data["phone"] = nil
	}
	switch k := rnd.IntN(20); {
	case k < 8:
		return act{"update-individual", person, data}
	case k < 12:
		return act{"update-group", group, data}
	case k < 16:
		return act{"add-member", group, map[string]any{"member": schema.UUIDOf(person)}}
	case k < 19 || !deletes:
		return act{"remove-member", group, map[string]any{"member": schema.UUIDOf(person)}}
	}
	return act{"delete-individual", person, map[string]any{}}
}

// begin makes the entities.
func begin(w *world) *things {
	th := &things{}
	for i := range 6 {
		id, typ := event.NewID(), "create-individual"
		if i%3 == 2 {
			typ = "create-group"
			th.groups = append(th.groups, id)
		} else {
			th.people = append(th.people, id)
		}
		_, err := w.engine.Publisher.Publish(context.Background(), system, []publish.Event{{ID: event.NewID(), Type: typ, Entity: id, Data: map[string]any{"name": fmt.Sprint("N", i)}}}, event.Condition{})
		must(w.t, err)
	}
	return th
}

// Ten devices, offline for random spans, with clocks wrong by days, whose pushes
// are reordered, doubled and lost, and a server that is killed again and again:
// in the end all have the same, and every event that was ever made is in the log.
func TestDevicesConverge(t *testing.T) {
	keys := openKeys(t)
	from, n := seeds(t, 20)
	for seed := from; seed < from+n; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, keys, rnd, pack(t))
		th := begin(w)
		var devices []*device
		for range 10 {
			devices = append(devices, newDevice(rnd))
		}
		all := map[event.ID]bool{}
		w.lossy.rate = 0.1
		for range 150 {
			d := devices[rnd.IntN(len(devices))]
			switch k := rnd.IntN(20); {
			case k < 10:
				all[d.make(w, th.change(rnd, true)).ID] = true
			case k < 13:
				d.push(w, true)
			case k < 16:
				d.pull(w, 1+rnd.IntN(5))
			case k < 17:
				w.open()
			case k < 18:
				office(w, th, all)
			default:
				w.now.Add(rnd.Int64N(48 * 3600 * 1e6))
			}
		}
		w.lossy.rate = 0
		finish(t, w, devices)
		check(t, w, devices, all)
		if t.Failed() {
			t.Fatalf("seed %d: run it alone with MUNIMENT_FIELD_SEED=%d", seed, seed)
		}
		w.log.Close()
	}
}

// office publishes an event of somebody who is online.
func office(w *world, th *things, all map[event.ID]bool) {
	a := th.change(w.rnd, false)
	e := publish.Event{ID: event.NewID(), Type: a.typ, Entity: a.entity, Data: a.data}
	if _, err := w.engine.Publisher.Publish(context.Background(), system, []publish.Event{e}, event.Condition{}); err == nil {
		all[e.ID] = true
	}
}

// finish lets every device push and pull all that there is.
func finish(t *testing.T, w *world, devices []*device) {
	t.Helper()
	for range 1000 {
		left := 0
		for _, d := range devices {
			d.push(w, false)
			left += len(d.outbox)
		}
		if left == 0 {
			break
		}
	}
	for _, d := range devices {
		if len(d.outbox) > 0 {
			t.Fatalf("a device keeps %d events that are never taken", len(d.outbox))
		}
		d.pull(w, 1<<20)
	}
}

func check(t *testing.T, w *world, devices []*device, all map[event.ID]bool) {
	t.Helper()
	served := w.entities()
	w.open()
	for s, e := range w.entities() {
		if text(e.Fields) != text(served[s].Fields) {
			t.Errorf("%s: folded again %v, was %v", s, e.Fields, served[s].Fields)
		}
	}
	for id := range all {
		_, there, err := w.store.EventPosition(context.Background(), w.id, id)
		must(t, err)
		kept, err := w.engine.Kept(context.Background(), id)
		must(t, err)
		if there == kept.There {
			t.Errorf("event %s: recorded %v, kept %v", id, there, kept.There)
		}
	}
	for i, d := range devices {
		state := d.state()
		if len(state) != len(served) {
			t.Errorf("device %d has %d entities, the server %d", i, len(state), len(served))
		}
		for s, e := range served {
			if got := text(state[s]); got != text(e.Fields) {
				t.Errorf("device %d has of %s %s, the server %s", i, s, got, text(e.Fields))
			}
		}
	}
}

// Whatever events were made offline, and whatever each device knew: in whichever
// order they are pushed, in whichever batches, the entities come out the same.
func TestOrderDoesNotMatter(t *testing.T) {
	keys := openKeys(t)
	from, n := seeds(t, 15)
	for seed := from; seed < from+n; seed++ {
		want := ""
		for order := range 4 {
			rnd := rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t, keys, rnd, pack(t))
			got := inOrder(w, rnd, rand.New(rand.NewPCG(seed, uint64(order))))
			if order == 0 {
				want = got
			}
			if got != want {
				t.Fatalf("seed %d, order %d:\n%s\nwas in another order\n%s", seed, order, got, want)
			}
			w.log.Close()
		}
	}
}

// inOrder has devices make the same events, and push them in another order.
func inOrder(w *world, rnd, order *rand.Rand) string {
	th := begin(w)
	fixed := rand.New(rand.NewPCG(rnd.Uint64(), 3))
	devices := make([]*device, 5)
	for i := range devices {
		devices[i] = newDevice(fixed)
		devices[i].replica = event.ID{15: byte(i + 1)}.String()
		devices[i].pull(w, fixed.IntN(3)*100) // some know what was there, some nothing
	}
	var clock int64 = 1_700_000_000_000_000
	for i := range 40 {
		d := devices[fixed.IntN(len(devices))]
		e := d.make(w, th.change(fixed, false))
		mine := &d.outbox[len(d.outbox)-1]
		clock += int64(fixed.IntN(1e9))
		mine.ID, mine.Occurred = event.ID{0: 9, 15: byte(i + 1)}, event.Instant(clock+d.skew.Microseconds())
		d.last[e.Entity] = mine.ID
	}
	for range 1000 {
		var waiting []*device
		for _, d := range devices {
			if len(d.outbox) > 0 {
				waiting = append(waiting, d)
			}
		}
		if len(waiting) == 0 {
			break
		}
		w.rnd = order
		waiting[order.IntN(len(waiting))].push(w, true)
	}
	names := map[event.ID]string{}
	for i, id := range append(slices.Clone(th.people), th.groups...) {
		names[id] = fmt.Sprint("entity", i)
	}
	var lines []string
	for s, e := range w.entities() {
		fields := map[string]any{}
		for name, v := range e.Fields {
			if list, is := v.([]any); is {
				for _, m := range list {
					id, _ := event.ParseID(fmt.Sprint(m))
					fields[name+names[id]] = true
				}
				continue
			}
			fields[name] = v
		}
		lines = append(lines, names[s.ID]+" "+text(fields))
	}
	slices.Sort(lines)
	return fmt.Sprint(lines)
}

// Each policy does what it says, and what is not applied is kept.
func TestPolicies(t *testing.T) {
	keys := openKeys(t)
	for policy, want := range map[schema.Conflict]struct {
		status fieldapi.Status
		name   string
	}{
		schema.Merge:      {fieldapi.Recorded, "Late"}, // made later, by both clocks
		schema.LastWriter: {fieldapi.Recorded, "Early"},
		schema.Refuse:     {fieldapi.Refused, "Late"},
		schema.Ask:        {fieldapi.Asked, "Late"},
	} {
		w := newWorld(t, keys, rand.New(rand.NewPCG(1, 1)), map[string]string{
			"p.json": `{"x-entity-type": "person", "type": "object", "properties": {"name": {"type": "string"}}}`,
			"n.json": `{"x-event": "person-named", "x-entity": "person", "x-conflict": "` + string(policy) + `", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}`,
		})
		id := event.NewID()
		named := func(name string, base event.Position, at event.Instant) fieldapi.Event {
			return fieldapi.Event{Event: publish.Event{ID: event.NewID(), Type: "person-named", Entity: id, Data: map[string]any{"name": name}}, Base: base, Occurred: at}
		}
		push := func(replica string, e fieldapi.Event) fieldapi.Result {
			r, err := w.engine.Push(context.Background(), system, replica, []fieldapi.Event{e})
			must(t, err)
			return r[0]
		}
		push("a", named("First", 0, 10))
		if own := push("a", named("First", 0, 5)); own.Status != fieldapi.Recorded || own.With != 0 {
			t.Errorf("%s: a device's own event before: %+v", policy, own)
		}
		base := w.log.Mark().Size
		push("b", named("Late", base, 30))
		early := named("Early", base, 20)
		got := push("c", early)
		e := w.entities()[event.Stream{Kind: "person", ID: id}]
		if got.Status != want.status || e.Fields["name"] != want.name || got.With == 0 {
			t.Errorf("%s: %+v, and the name is %v", policy, got, e.Fields["name"])
		}
		if again := push("c", early); again.Status != want.status || !again.Repeated {
			t.Errorf("%s: pushed again: %+v", policy, again)
		}
		knowing := push("c", named("Knowing", w.log.Mark().Size, 1)) // a clock that is far behind
		if e := w.entities()[event.Stream{Kind: "person", ID: id}]; knowing.Status != fieldapi.Recorded || e.Fields["name"] != "Knowing" {
			t.Errorf("%s: whoever knew what was there: %+v, and the name is %v", policy, knowing, e.Fields["name"])
		}
	}
}
