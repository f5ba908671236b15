package publish

import (
	"context"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// met is what a store found of a batch's events and entities in one query each.
type met struct {
	positions map[event.ID]event.Position
	asked     map[event.Stream]bool
	streams   map[event.Stream]eventlog.StreamEnds // those of them that are there
}

// meet looks a batch up in a store that finds many things at once; else nil.
func (p *Publisher) meet(ctx context.Context, b *batch, events []Event) (*met, error) {
	log := p.Runner.Log
	many, ok := log.Store().(eventlog.Many)
	if !ok || len(events) < 2 {
		return nil, nil
	}
	var ids []event.ID
	var streams []event.Stream
	asked := map[event.Stream]bool{}
	for i := range events {
		e := &events[i]
		if !e.ID.IsZero() {
			ids = append(ids, e.ID)
		}
		def, err := b.definition(e)
		if err != nil { // which is said of the event
			continue
		}
		s := event.Stream{Kind: def.Entity, ID: e.Entity}
		if _, known := p.known(b, def, s); !known && !asked[s] && !e.Entity.IsZero() {
			asked[s] = true
			streams = append(streams, s)
		}
	}
	positions, err := many.FindEvents(ctx, log.ID(), ids)
	if err != nil {
		return nil, err
	}
	found, err := many.FindStreams(ctx, log.ID(), streams)
	if err != nil {
		return nil, err
	}
	for s, ends := range found {
		first, err := event.ParseLeaf(ends.First)
		if err != nil {
			return nil, err
		}
		p.owners.put(s, custom.OrganizationOf(first))
	}
	return &met{positions, asked, found}, nil
}

// known says whose an entity is that was met before, if its version does not
// matter before the event is recorded.
func (p *Publisher) known(b *batch, def *schema.Definition, s event.Stream) (event.ID, bool) {
	owner, known := p.owners.get(s)
	return owner, known && !b.exact && !b.defs.Unique(def.Entity)
}

// position is where an event stands that may be recorded already.
func (p *Publisher) position(ctx context.Context, b *batch, id event.ID) (event.Position, bool, error) {
	if b.met != nil {
		at, ok := b.met.positions[id]
		return at, ok, nil
	}
	return p.Runner.Log.Store().EventPosition(ctx, p.Runner.Log.ID(), id)
}

// stream is the head of an entity.
func (p *Publisher) stream(ctx context.Context, b *batch, s event.Stream) (eventlog.StreamHead, bool, error) {
	if b.met != nil && b.met.asked[s] {
		ends, ok := b.met.streams[s]
		return ends.Head, ok, nil
	}
	return p.Runner.Log.Store().Stream(ctx, p.Runner.Log.ID(), s)
}
