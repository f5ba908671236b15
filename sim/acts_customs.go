package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal"
)

// plates are few, so that buses meet.
var plates = []string{"B 1", "B 2", "B 3", "B 4"}

// actOfCustomers is a random command about customers' events.
func (w *world) actOfCustomers() *command {
	switch k := w.rng.IntN(20); {
	case k < 1:
		return w.redefine()
	case k < 3 && len(w.model.buses) > 0:
		return w.eraseBus()
	}
	return w.publish()
}

// publish publishes a batch of events.
func (w *world) publish() *command {
	var events []publish.Event
	var words []string
	expected := map[event.ID]bool{}
	for range 1 + w.rng.IntN(3) {
		e := publish.Event{ID: w.fresh(), Entity: w.someBus(), Type: pick(w.rng, "bus-bought", "bus-bought", "bus-stopped", "bus-stopped", "bus-renamed", "bus-scrapped"), Data: map[string]any{}}
		word := e.Type + " " + short(e.Entity)
		switch plate := pick(w.rng, plates...); {
		case e.Type == "bus-stopped":
			e.Data["stop"] = plate
		case e.Type == "bus-renamed", e.Type == "bus-bought" && w.rng.IntN(3) > 0:
			e.Data["plate"] = plate
			word += " with " + plate
		}
		if !expected[e.Entity] && w.rng.IntN(4) == 0 {
			version := uint64(0)
			if b := w.model.buses[e.Entity]; b != nil {
				version = b.version.now() + pick[uint64](w.rng, 0, 0, 0, 1)
			}
			e.Expected = &version
			word += fmt.Sprintf(" expected at %d", version)
		}
		expected[e.Entity] = true
		events, words = append(events, e), append(words, word)
	}
	var also event.Condition
	if w.rng.IntN(6) == 0 {
		also = event.Condition{Query: event.Query{{Types: []string{"bus-stopped"}}}, After: w.journal.size() - event.Position(w.rng.IntN(6))}
		words = append(words, fmt.Sprintf("unless one stopped after %d", also.After))
	}
	c := &command{n: len(w.commands) + 1, name: "publish " + strings.Join(words, ", "), id: w.fresh(), since: w.journal.size(), twin: w.publish}
	actor := someUser(w.places.root)
	if w.rng.IntN(12) == 0 {
		actor = w.actor()
	}
	c.env = decide.Envelope{Actor: actor, Command: c.id, Request: []byte(c.name), Context: seal.Context{Public: map[string]any{"source": "sim"}}}
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		list, err := n.customs.Publish(ctx, env, slices.Clone(events), also)
		return resultOf(list), err
	}
	c.reasons = func(a event.Actor, p event.Position) []error { return w.whyNot(a, p, events, also) }
	for _, e := range events {
		c.entities = append(c.entities, e.Entity)
	}
	w.commands = append(w.commands, c)
	return c
}

// someBus is an entity; mostly one of few.
func (w *world) someBus() event.ID {
	if len(w.buses) < 4 || w.rng.IntN(15) == 0 {
		w.buses = append(w.buses, w.fresh())
	}
	return w.buses[w.rng.IntN(len(w.buses))]
}

// resultOf is what a publisher was answered, as a command is.
func resultOf(list []publish.Result) (res decide.Result) {
	for i, r := range list {
		if i == 0 {
			res.First, res.Replayed = r.Position, r.Repeated
		}
		res.Last, res.Events = r.Position, len(list)
	}
	return res
}

// whyNot are the reasons for which events are refused on the facts up to a
// position.
func (w *world) whyNot(a event.Actor, p event.Position, events []publish.Event, also event.Condition) (why []error) {
	who := authz.For(a)
	for _, f := range w.journal.selected(authz.Query(a), p) {
		who = authz.Evolve(who, f)
	}
	there, gone, taken := map[event.ID]bool{}, map[event.ID]bool{}, map[string]event.ID{}
	for i := range events {
		e := &events[i]
		b := w.model.buses[e.Entity]
		version, makes := uint64(0), e.Type == "bus-bought"
		if b != nil {
			version = b.version.at(p)
		}
		if _, seen := there[e.Entity]; !seen {
			there[e.Entity], gone[e.Entity] = version > 0, b != nil && b.gone.at(p)
		}
		if err := who.NeedPublish(e.Type, event.ID{}); err != nil {
			why = append(why, err)
		}
		if !there[e.Entity] && !makes {
			why = append(why, publish.ErrAbsent)
		}
		if e.Expected != nil && *e.Expected != version {
			why = append(why, publish.ErrExpect)
		}
		if gone[e.Entity] && !makes {
			why = append(why, custom.ErrGone)
		}
		there[e.Entity], gone[e.Entity] = true, e.Type == "bus-scrapped"
		if plate, ok := e.Data["plate"].(string); ok {
			holder := w.model.plates[plate].at(p)
			if other, ok := taken[plate]; !holder.IsZero() && holder != e.Entity || ok && other != e.Entity {
				why = append(why, custom.ErrTaken)
			}
			taken[plate] = e.Entity
		}
	}
	for _, f := range w.journal.selected(also.Query, p) {
		if f.Position > also.After {
			why = append(why, publish.ErrSince)
			break
		}
	}
	return why
}

// eraseBus erases what is sealed under an entity.
func (w *world) eraseBus() *command {
	id := pick(w.rng, slices.SortedFunc(maps.Keys(w.model.buses), compareIDs)...)
	stream := event.Stream{Kind: "bus", ID: id}
	c := order(w, "erase bus "+short(id), custom.Erasing, custom.Erase{Entity: stream})
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		return publish.Erase(ctx, n.runner, env, stream, event.ID{})
	}
	c.entities = []event.ID{id}
	return c
}

// redefine changes the definitions so that entities are computed anew.
func (w *world) redefine() *command {
	variant := w.rng.IntN(2)
	c := order(w, fmt.Sprintf("define buses, variant %d", variant), custom.Applying, custom.Apply{Schema: w.id.ID, Applied: custom.SchemaApplied{Rebuild: variant == 1}})
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		docs, err := n.catalog.Documents(ctx, 0)
		if err != nil {
			return decide.Result{}, err
		}
		return decide.Run(ctx, n.runner, custom.Applying, env, custom.Apply{Schema: w.id.ID, From: docs.At, Put: busDocuments(variant), Applied: custom.SchemaApplied{Changed: []string{"bus-stopped/1"}, Rebuild: true}})
	}
	allowed := c.verdict
	c.reasons = func(a event.Actor, p event.Position) []error {
		if err := allowed(a, p); fault.Is(err, fault.Denied) {
			return []error{err}
		}
		return []error{custom.ErrMoved}
	}
	return c
}
