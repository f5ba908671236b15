package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/react"
	"muniment.dev/seal/erasure"
	"muniment.dev/view"
)

// busTypes are the types of event of the one type of entity that customers have
// here: a bus, whose plate no other bus has.
var busTypes = []string{"bus-bought", "bus-renamed", "bus-scrapped", "bus-stopped"}

// busDocuments are its definitions, in two variants that compute entities
// otherwise.
func busDocuments(variant int) map[string]string {
	const head = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", `
	of := func(typ, rest string) string {
		return head + `"x-event": "` + typ + `", "x-entity": "bus", "title": "A bus", "additionalProperties": false, ` + rest + `}`
	}
	return map[string]string{
		"bus.json": head + `"x-entity-type": "bus", "title": "Bus", "properties": {"plate": {"type": "string", "x-unique": "instance"}, "stop": {"type": "string", "x-public": true, "x-search": "exact"},
			"stops": {"type": "integer", "x-public": true}}}`,
		"bought.json":   of("bus-bought", `"x-creates": true, "properties": {"plate": {"type": "string"}}`),
		"renamed.json":  of("bus-renamed", `"properties": {"plate": {"type": "string"}}`),
		"scrapped.json": of("bus-scrapped", `"properties": {}, "x-apply": {"delete": true}`),
		"stopped.json":  of("bus-stopped", `"properties": {"stop": {"type": "string", "x-public": true}}, "x-apply": [{"merge": true}, {"increment": {"stops": {"value": `+strconv.Itoa(1+variant)+`}}}]`),
	}
}

// isOfCustomers tells the seeds whose worlds have customers' events. They are
// none of those that are kept for something else, whose worlds stay as they were.
func isOfCustomers(seed uint64) bool { return seed%8 == 7 || seed%32 == 22 }

// defineTypes makes the registry of the journal know the types.
func (w *world) defineTypes() {
	d, err := custom.Define(custom.Documents{Files: busDocuments(0)}, custom.Go{})
	if err != nil {
		panic(err)
	}
	for _, typ := range busTypes {
		if err := w.registry.Put(w.id, d.Set.Events[typ].Latest().Descriptor); err != nil {
			panic(err)
		}
	}
}

// define gives the commands of the beginning that are about customers' events.
func (n *node) define(ctx context.Context, root, permission event.ID) error {
	env := decide.Envelope{Actor: event.System}
	if _, err := decide.Run(ctx, n.runner, member.Granting, env, member.Grant{ID: permission, User: root, Permission: authz.Permission{Right: authz.Publish, Types: "bus-*"}}); err != nil {
		return err
	}
	_, err := decide.Run(ctx, n.runner, custom.Applying, env, custom.Apply{Schema: n.world.id.ID, Put: busDocuments(0), Applied: custom.SchemaApplied{Added: []string{"bus"}, Rebuild: true}})
	return err
}

// openCustoms opens what server.Core has for customers' events.
func (n *node) openCustoms(ctx context.Context) error {
	n.catalog = publish.NewCatalog(n.runner, custom.Go{})
	d, err := n.catalog.Current(ctx)
	if err != nil {
		return err
	}
	if n.entities, err = view.Open(ctx, view.File(""), n.log, n.sealer.Decode, []view.View{n.view(d)}, view.Options{}); err != nil {
		return err
	}
	n.customs = &publish.Publisher{Catalog: n.catalog, Runner: n.runner, Views: n.entities}
	n.running.Go(func() { n.followDefinitions(ctx, d.Epoch) })
	n.running.Go(func() { n.deliver(withLane(ctx, pumpLane)) })
	return nil
}

func (n *node) view(d *custom.Definitions) view.View {
	return custom.View(d.Epoch, n.catalog, n.sealer.Registry.BuiltIn)
}

// followDefinitions has entities made anew, as the server does.
func (n *node) followDefinitions(ctx context.Context, epoch event.Position) {
	for looked := event.Position(0); n.log.Wait(ctx, looked) == nil && ctx.Err() == nil; {
		at := n.log.Mark().Size
		d, err := n.catalog.Current(ctx)
		if err == nil && d.Epoch != epoch {
			if err = n.entities.Replace(ctx, n.view(d)); err == nil {
				epoch = d.Epoch
			}
		}
		if err == nil {
			looked = at
			n.epoch.Store(uint64(epoch))
		}
		rest(ctx, 50*time.Millisecond)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// pumpLane is that of who delivers.
const pumpLane = "pump"

// deliver delivers customers' events to a receiver that fails, or takes an event
// and does not say so. Every node does: the cursor keeps them apart.
func (n *node) deliver(ctx context.Context) {
	pump := &react.Pump{Book: react.Book{Log: n.log, Name: "simulated"},
		Plan: func(context.Context, *react.Cursor) (react.Job, error) {
			return react.Job{Max: 3, Retry: react.Retry{Attempts: 1 << 30, First: 10 * time.Millisecond, Most: 100 * time.Millisecond},
				Selection: react.Selection{Query: event.Query{{Types: busTypes}}, Upto: n.log.Mark().Size, Matches: func(r *event.Record) bool { return slices.Contains(busTypes, r.Type) }}}, nil
		},
		Send: func(ctx context.Context, d react.Delivery) error {
			g, err := n.world.bus.wait(withLane(ctx, fmt.Sprintf("delivery of %d", d.Record.Position)), n, "deliver")
			if err == nil && g.verdict != lose {
				n.world.deliveries.take(n.world, d.Record)
			}
			if err != nil || g.verdict != proceed {
				return &react.Refusal{Failure: react.Failure{Reason: react.Unreachable}}
			}
			return nil
		},
	}
	for ctx.Err() == nil && !n.dead.Load() {
		if err := pump.Run(ctx); fault.Is(err, fault.Corrupt) {
			n.world.fail(fmt.Errorf("%s: deliveries stop: %w", n.name, err))
		}
		rest(ctx, 100*time.Millisecond)
	}
}

// deliveries are what the receiver has taken, by entity.
type deliveries map[event.Stream][]event.Position

// take takes an event. Nothing of an entity comes before what comes before it.
func (t deliveries) take(w *world, r *event.Record) {
	if w.failed() { // the journal may not go on
		return
	}
	if !w.journal.knows(r.Position) {
		w.fail(fmt.Errorf("event %d of %s was delivered before it was durable", r.Position, short(r.Stream.ID)))
		return
	}
	w.mu.Lock()
	had := t[r.Stream]
	repeated := slices.Contains(had, r.Position)
	if !repeated {
		t[r.Stream] = append(had, r.Position)
	}
	w.mu.Unlock()
	want := w.journal.selected(event.OfStream(r.Stream, busTypes...), r.Position)
	if !repeated && (len(want) != len(had)+1 || want[len(want)-1].Position != r.Position) {
		w.fail(fmt.Errorf("event %d of %s was delivered behind %v, which are not all that come before it", r.Position, short(r.Stream.ID), had))
	}
}

// delivered reports whether everything was.
func (w *world) delivered() bool {
	if !w.plan.customers {
		return true
	}
	w.mu.Lock()
	got := 0
	for _, list := range w.deliveries {
		got += len(list)
	}
	w.mu.Unlock()
	return got == len(w.journal.selected(event.Query{{Types: busTypes}}, w.journal.size()))
}

// SwapCursor implements eventlog.Store.
func (s *store) SwapCursor(ctx context.Context, log event.LogID, name string, was, v []byte) error {
	return s.act(ctx, "swap the cursor", func(permit) error { return s.disk.base.SwapCursor(ctx, log, name, was, v) })
}

// checkCustoms: entities are what their events say, to who folds them and to the
// model; and nothing that is erased is left in them.
func (w *world) checkCustoms(n *node) error {
	if !w.plan.customers {
		return nil
	}
	d, err := n.catalog.Current(bg)
	if err != nil {
		return err
	}
	for id, b := range w.model.buses {
		folded, err := n.fold(d, id)
		if err != nil {
			return err
		}
		row, ok, err := n.entities.Get(bg, custom.Table, view.Values{"id": id, "type": "bus"}, view.Read{})
		if err != nil || !ok {
			return fmt.Errorf("bus %s is not served: %v", short(id), err)
		}
		served := custom.Read(row)
		if !d.Same(folded, served) {
			return fmt.Errorf("bus %s is served as %+v, and is %+v", short(id), served, folded)
		}
		plate, _ := served.Fields["plate"].(string)
		if served.Version != b.version.now() || served.Deleted != b.gone.now() || served.Erased != b.erased.now() || plate != b.plate.now() {
			return fmt.Errorf("bus %s is %+v; the model says version %d, gone %v, erased %v, plate %q", short(id), served, b.version.now(), b.gone.now(), b.erased.now(), b.plate.now())
		}
	}
	_, err = n.entities.Check(bg, nil, func(d view.Difference) { w.fail(fmt.Errorf("%s: entities made anew differ: %v", n.name, d)) })
	return err
}

func (n *node) fold(d *custom.Definitions, id event.ID) (e *custom.Entity, err error) {
	for r, err := range n.log.Read(bg, event.OfStream(event.Stream{Kind: "bus", ID: id}), 0) {
		if err != nil {
			return nil, err
		}
		f, err := n.sealer.Decode(bg, r)
		if err != nil {
			return nil, err
		}
		if e, err = d.Fold(e, f); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// eraseCustoms has erasures clear entities, too, and those of entities completed,
// as the server does.
func (n *node) eraseCustoms(p *erasure.Process) {
	p.Forget = append(p.Forget, erasure.Forget{Name: "entities", Do: func(ctx context.Context, s event.SubjectID) error { return n.entities.Forget(ctx, s) }})
	person, complete := p.IsComplete, p.Complete
	p.IsComplete = func(ctx context.Context, s event.SubjectID) (bool, error) {
		done, err := person(ctx, s)
		if err != nil || done {
			return done, err
		}
		return erasure.ByEvent(n.log, "entity.erasure.completed", "entity")(ctx, s)
	}
	p.Complete = func(ctx context.Context, s event.SubjectID) error {
		err := complete(ctx, s)
		_, entity := decide.Run(ctx, n.runner, custom.CompletingErasure, decide.Envelope{Actor: event.System}, custom.CompleteErasure{Entity: s.ID})
		return cmp.Or(err, entity)
	}
}
