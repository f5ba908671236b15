package fieldapi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/field/fieldapi"
	"muniment.dev/instance"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
)

// world is a server's log, in memory, that can be killed and opened again.
type world struct {
	t      testing.TB
	rnd    *rand.Rand
	store  eventlog.Store
	id     event.LogID
	keys   *seal.Keys
	root   event.SubjectID
	now    atomic.Int64 // microseconds
	log    *eventlog.Log
	engine *fieldapi.Engine
	lossy  *lossy
}

// lossy loses answers, before or after what was asked was done.
type lossy struct {
	*eventlog.Log
	rnd  *rand.Rand
	rate float64
}

func (l *lossy) Append(ctx context.Context, r eventlog.Request) (eventlog.Appended, error) {
	p := l.rnd.Float64()
	if p < l.rate/2 {
		return eventlog.Appended{}, fault.New(fault.Unavailable, "away")
	}
	done, err := l.Log.Append(ctx, r)
	if p < l.rate {
		return eventlog.Appended{}, fault.New(fault.Unavailable, "no answer")
	}
	return done, err
}

// system is who does everything here.
var system = decide.Envelope{Actor: event.System}

func openKeys(t testing.TB) *seal.Keys {
	t.Helper()
	dir := t.TempDir()
	root, err := file.Open(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(context.Background(), filepath.Join(dir, "keys.db"), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	return keys
}

func newWorld(t testing.TB, keys *seal.Keys, rnd *rand.Rand, documents map[string]string) *world {
	t.Helper()
	w := &world{t: t, rnd: rnd, store: memlog.New(), id: event.LogID{ID: event.NewID()}, keys: keys, root: event.SubjectID{ID: event.NewID()}}
	w.now.Store(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	w.open()
	t.Cleanup(func() { w.log.Close() })
	must(t, run(w, instance.Creating, instance.Create{Instance: w.root.ID, Name: "x", CheckpointKey: "k", CheckpointSigner: "s", CLI: event.NewID()}))
	must(t, run(w, custom.Applying, custom.Apply{Schema: w.id.ID, Put: documents}))
	return w
}

func run[S, C any](w *world, d decide.Decider[S, C], c C) error {
	_, err := decide.Run(context.Background(), w.engine.Runner, d, system, c)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens the server on what its store holds, as a process that was killed
// does when it is started again.
func (w *world) open() {
	w.t.Helper()
	rate := 0.0
	if w.lossy != nil {
		rate = w.lossy.rate
		w.log.Close()
	}
	var err error
	w.log, err = eventlog.Open(context.Background(), w.store, w.id, eventlog.Options{Window: 16, Clock: func() time.Time { return time.UnixMicro(w.now.Add(1000)) }})
	must(w.t, err)
	w.lossy = &lossy{Log: w.log, rnd: w.rnd, rate: rate}
	r := &decide.Runner{Log: w.log, To: w.lossy, Sealer: &seal.Sealer{Log: w.id, Assigned: w.log, Keys: w.keys, Instance: w.root,
		Registry: event.NewRegistry(authz.Events(), instance.Events(), custom.Events(), field.Events())}}
	c := publish.NewCatalog(r, custom.Go{})
	w.engine = &fieldapi.Engine{Catalog: c, Runner: r, Publisher: &publish.Publisher{Catalog: c, Runner: r}}
}

// entities folds every entity from the log.
func (w *world) entities() map[event.Stream]*custom.Entity {
	w.t.Helper()
	defs, err := w.engine.Catalog.Current(context.Background())
	must(w.t, err)
	out := map[event.Stream]*custom.Entity{}
	for r, err := range w.log.Read(context.Background(), event.Everything(), 0) {
		must(w.t, err)
		f, err := w.engine.Runner.Sealer.Decode(context.Background(), r)
		must(w.t, err)
		if _, is := f.Payload.(event.Custom); !is {
			continue
		}
		out[r.Stream], err = defs.Fold(out[r.Stream], f)
		must(w.t, err)
		if p := out[r.Stream].Problem; p != "" {
			w.t.Fatalf("%s: %s", r.Type, p)
		}
	}
	return out
}

// device is a copy of the data without network.
type device struct {
	replica string
	cursor  event.Position
	skew    time.Duration
	seen    map[event.ID]fieldapi.Pulled
	order   []event.ID // as pulled
	outbox  []fieldapi.Event
	last    map[event.ID]event.ID // of each entity, the event that it made last
}

func newDevice(rnd *rand.Rand) *device {
	days := time.Duration(rnd.IntN(21)-10) * 24 * time.Hour
	return &device{replica: event.NewID().String(), skew: days + time.Duration(rnd.IntN(86400))*time.Second, seen: map[event.ID]fieldapi.Pulled{}, last: map[event.ID]event.ID{}}
}

// act is an event that somebody may make.
type act struct {
	typ    string
	entity event.ID
	data   map[string]any
}

// make makes an event offline.
func (d *device) make(w *world, a act) fieldapi.Event {
	e := fieldapi.Event{Event: publish.Event{ID: event.NewID(), Type: a.typ, Entity: a.entity, Data: a.data}, Base: d.cursor,
		Occurred: event.Instant(w.now.Add(1000) + d.skew.Microseconds())}
	if id, ok := d.last[a.entity]; ok {
		if _, pulled := d.seen[id]; !pulled {
			e.Previous = id
		}
	}
	d.last[a.entity] = e.ID
	d.outbox = append(d.outbox, e)
	return e
}

// push pushes some of what it has, in any order, some of it twice, and forgets
// what was acknowledged.
func (d *device) push(w *world, some bool) {
	w.t.Helper()
	batch := slices.Clone(d.outbox)
	if some {
		w.rnd.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		batch = batch[:w.rnd.IntN(len(batch)+1)]
		if len(batch) > 0 {
			batch = append(batch, batch[w.rnd.IntN(len(batch))])
		}
	}
	for len(batch) > 0 {
		n := 1 + w.rnd.IntN(len(batch))
		results, err := w.engine.Push(context.Background(), system, d.replica, batch[:n])
		if err != nil {
			if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
				w.t.Fatalf("push: %v", err)
			}
			return
		}
		for i, r := range results {
			switch r.Status {
			case fieldapi.Recorded, fieldapi.Asked, fieldapi.Refused, fieldapi.Gone:
				d.outbox = slices.DeleteFunc(d.outbox, func(e fieldapi.Event) bool { return e.ID == batch[i].ID })
			case fieldapi.Invalid:
				w.t.Fatalf("%s is invalid: %v", batch[i].Type, r.Err)
			}
		}
		batch = batch[n:]
	}
}

// pull pulls pages until there is nothing more.
func (d *device) pull(w *world, pages int) {
	w.t.Helper()
	who := authz.For(event.System)
	for range pages {
		events, next, err := w.engine.Pull(context.Background(), who, nil, d.cursor, 1+w.rnd.IntN(7))
		must(w.t, err)
		for _, e := range events {
			if _, twice := d.seen[e.ID]; twice {
				w.t.Fatalf("event %s was pulled twice", e.ID)
			}
			d.seen[e.ID] = e
			d.order = append(d.order, e.ID)
		}
		if d.cursor = next; len(events) == 0 {
			return
		}
	}
}

// state is what a device makes of what it pulled, by itself.
func (d *device) state() map[event.Stream]map[string]any {
	out := map[event.Stream]map[string]any{}
	for _, id := range d.order {
		e := d.seen[id]
		lost := custom.Superseded(e.Record)
		s := out[e.Stream]
		if s == nil {
			s = map[string]any{}
			out[e.Stream] = s
		}
		if slices.Contains(lost, "") {
			continue
		}
		switch e.Type {
		case "delete-individual", "delete-group":
			clear(s)
		case "add-member", "remove-member":
			list, _ := s["members"].([]any)
			list = slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == e.Data["member"] })
			if e.Type == "add-member" {
				list = append(list, e.Data["member"])
			}
			s["members"] = list
		default:
			for name, v := range e.Data {
				if slices.Contains(lost, name) {
					continue
				}
				if s[name] = v; v == nil {
					delete(s, name)
				}
			}
		}
	}
	return out
}

// text is a state as text, lists as sets.
func text(fields map[string]any) string {
	flat := map[string]string{}
	for name, v := range fields {
		list, is := v.([]any)
		if is && len(list) == 0 {
			continue
		}
		if is {
			words := []string{}
			for _, x := range list {
				words = append(words, fmt.Sprint(x))
			}
			slices.Sort(words)
			v = words
		}
		flat[name] = fmt.Sprint(v)
	}
	return fmt.Sprint(flat)
}
