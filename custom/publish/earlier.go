package publish

import (
	"bytes"
	"context"
	"errors"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// earlier finds an event that is recorded already. What it says in sealed fields
// is compared only for those who recorded it themselves or may open it: others
// would learn it by guessing.
func (p *Publisher) earlier(ctx context.Context, b *batch, def *schema.Definition, e *Event) (Result, error) {
	log, who := p.Runner.Log, b.who
	at, ok, err := p.position(ctx, b, e.ID)
	if err != nil || !ok {
		return Result{}, err
	}
	for range patience {
		if mark := log.Mark().Size; at > mark {
			p.wait(ctx, mark)
		}
	}
	if at > log.Mark().Size {
		return Result{}, fault.New(fault.Unknown, "this event cannot be read here yet; send it again in a moment")
	}
	r, err := log.Record(ctx, at)
	if err != nil {
		return Result{}, err
	}
	f, err := p.Runner.Sealer.Decode(ctx, r)
	if err != nil {
		return Result{}, err
	}
	owner := custom.OrganizationOf(r)
	if !who.MayPublish(r.Type, owner) {
		return Result{}, ErrReused
	}
	same, err := sameEvent(f, def, e, who.Actor == r.Actor || who.MayUnseal(r.Type, owner))
	if err == nil && !same {
		err = ErrReused
	}
	return Result{ID: e.ID, Position: at, Version: r.Version, Repeated: true}, err
}

// sameEvent compares what was recorded with what is sent, sealed fields only if
// that is asked. What was erased cannot be compared.
func sameEvent(f event.Fact, def *schema.Definition, e *Event, sealed bool) (bool, error) {
	c, ok := f.Payload.(event.Custom)
	if !ok || c.Type != e.Type || f.Stream.ID != e.Entity || e.Revision != 0 && c.Revision != e.Revision {
		return false, nil
	}
	if c.Revision != def.Revision { // sent without a revision, and recorded in an older one
		return true, nil
	}
	sent, err := def.Payload(e.Entity, event.ID{}, e.Data)
	if err != nil {
		return false, err
	}
	for i := range def.Descriptor.Fields {
		field := &def.Descriptor.Fields[i]
		if field.Only || !field.Public && !sealed || field.Name == schema.FieldOrganization || c.Gone[field.Name] != event.Absent {
			continue
		}
		a, inLog := c.Fields[field.Name]
		b, inEvent := sent.Fields[field.Name]
		if inLog != inEvent {
			return false, nil
		}
		x, errA := event.AppendValue(nil, a)
		y, errB := event.AppendValue(nil, b)
		if err := errors.Join(errA, errB); err != nil || !bytes.Equal(x, y) {
			return false, err
		}
	}
	return true, nil
}
