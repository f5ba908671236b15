package fieldapi

import (
	"context"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Opened is a record for somebody who may read all of its type; sealed fields
// only if they are asked for, and may be opened. That it may be read was settled
// before.
func (e *Engine) Opened(ctx context.Context, who authz.Authority, r *event.Record, unsealed bool) (Pulled, error) {
	defs, err := e.Catalog.Current(ctx)
	if err != nil {
		return Pulled{}, err
	}
	p, ok, err := e.show(ctx, who, defs, r)
	switch {
	case err != nil:
		return p, err
	case !ok && r.Type != erased: // that an entity was erased is told to whoever was told of it
		return p, fault.New(fault.Denied, "the event may not be read")
	case unsealed:
		return p, nil
	}
	def := defs.Set.Definition(r.Type, r.Revision)
	for name := range p.Data {
		if f := def.Field(name); f == nil || !f.Public {
			delete(p.Data, name)
			p.Locked = append(p.Locked, name)
		}
	}
	slices.Sort(p.Locked)
	return p, nil
}
