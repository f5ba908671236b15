package publish

import (
	"context"
	"maps"
	"slices"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// claim finds out which unique values an event takes and releases, from the
// entity as it is and as the event makes it.
func (p *Publisher) claim(ctx context.Context, b *batch, i int, def *schema.Definition, r *custom.Ready) error {
	before, err := p.state(ctx, b, r.Stream)
	if err != nil {
		return err
	}
	payload := r.Payload.(event.Custom)
	around, err := event.EncodeMap(r.Context)
	if err != nil {
		return err
	}
	leave, err := p.appliers.take(ctx)
	if err != nil {
		return err
	}
	after, err := b.defs.Fold(before, event.Fact{Payload: payload, Record: &event.Record{ID: r.ID, Actor: b.actor, Context: around, Stream: r.Stream, Version: b.heads[r.Stream],
		Type: r.Type, Revision: payload.Revision, Time: p.Runner.Log.Now()}})
	leave()
	if err != nil {
		return err
	}
	if after.Problem != "" {
		return inEvent(i, "data", fault.New(fault.Refused, "the applier of this type of event fails on it (%s); mend the event or the applier", after.Problem))
	}
	b.states[r.Stream] = after
	t := b.defs.Set.Entities[def.Entity]
	old, fresh := map[string]string{}, map[string]string{}
	if before != nil && !before.Deleted {
		old = t.UniqueValues(before.Organization, before.Fields)
	}
	if !after.Deleted {
		fresh = t.UniqueValues(after.Organization, after.Fields)
	}
	for _, field := range slices.Sorted(maps.Keys(fresh)) {
		if old[field] == fresh[field] {
			continue
		}
		payload.Fields[schema.Taken(field)] = fresh[field]
		c := custom.Claim{Entity: r.Stream.ID, Event: len(b.cmd.Events), Field: field, Name: schema.BlindName(def.Entity, field), Value: fresh[field], FormerName: schema.FormerName(def.Entity, field)}
		if c.Taken, err = p.Runner.Sealer.BlindTerm(ctx, c.Name, c.Value, true); err != nil {
			return err
		}
		if c.Former, err = p.Runner.Sealer.BlindTerm(ctx, c.FormerName, c.Value, true); err != nil {
			return err
		}
		if err := p.older(ctx, b, t, after, &c); err != nil {
			return inEvent(i, "data/"+event.EscapePointer(field), err)
		}
		if c.Holders, err = p.holders(ctx, def.Entity, c); err != nil {
			return err
		}
		b.cmd.Claims = append(b.cmd.Claims, c)
	}
	for field, value := range old {
		if fresh[field] != value {
			payload.Fields[schema.Former(field)] = value
		}
	}
	return nil
}

// holders are the other entities of which a record takes a value: none, or one
// and those that had it before.
func (p *Publisher) holders(ctx context.Context, entityType string, c custom.Claim) (out []event.Stream, err error) {
	q := event.OfTerm(c.Taken)
	if c.Since > 0 {
		q = q.Or(event.OfTerm(c.Claimed))
	}
	for r, err := range p.Runner.Log.Read(ctx, q, 0) {
		if err != nil {
			return nil, err
		}
		if s := (event.Stream{Kind: entityType, ID: r.Stream.ID}); s.ID != c.Entity && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// state is an entity as it is, from the view, or from its events while the view
// is being computed anew; it must not change meanwhile.
func (p *Publisher) state(ctx context.Context, b *batch, s event.Stream) (*custom.Entity, error) {
	if e, ok := b.states[s]; ok {
		return e, nil
	}
	if b.heads[s] == 1 { // this is its first event
		return nil, nil
	}
	if epoch, serves := p.Views.Epoch(custom.ViewName); !serves || event.Position(epoch) != b.defs.Epoch {
		return p.folded(ctx, b, s)
	}
	row, ok, err := p.Views.Get(ctx, custom.Table, view.Values{"id": s.ID, "type": s.Kind}, view.Read{})
	if err != nil {
		return nil, err
	}
	if !ok { // the store knows of it, and here it cannot be read yet
		b.expect(s, 0)
		return nil, nil
	}
	e := custom.Read(row)
	if len(e.Gone) > 0 && slices.Contains(e.Gone, s.ID) {
		return nil, errGone
	}
	b.expect(s, e.Version)
	return e, nil
}

// expect makes a condition of the version at which an entity was read, unless the
// publisher has named one.
func (b *batch) expect(s event.Stream, version uint64) {
	if _, expected := b.also.Streams[s]; !expected {
		b.also.Streams[s] = version
	}
}

var errGone = fault.New(fault.Erased, "the entity was erased; nothing can be recorded about it any more")
