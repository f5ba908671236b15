package publish

import (
	"context"
	"encoding/json"
	"slices"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// ErrIndexing refuses a unique value of which it is not known yet whether an
// older entity has it.
var ErrIndexing = fault.New(fault.Unavailable, "the field became unique a moment ago, and the values of older entities are still being computed; nothing was changed, try again in a moment")

// maxKnown is how long a text may be, in its normal form, so that no text of
// which that is the form was cut when it was made ready for searching: the
// forms of most are shorter than they are, by a factor of 4 at most.
const maxKnown = custom.MaxIndexed / 4

// older completes a claim of a field that became unique, and refuses it if an
// entity has the value whose own was not claimed yet: such a one has had it since
// before the field became unique, so the view has it by now. What is taken later
// is claimed by whoever takes it, and found by the decision.
func (p *Publisher) older(ctx context.Context, b *batch, t *schema.Entity, after *custom.Entity, c *custom.Claim) (err error) {
	if c.Since = b.defs.Since(t.Name, c.Field); c.Since == 0 {
		return nil
	}
	c.ClaimedValue = custom.ClaimedValue(t.Name, c.Field, c.Value)
	if c.Claimed, err = p.Runner.Sealer.BlindTerm(ctx, custom.ClaimedName, c.ClaimedValue, true); err != nil {
		return err
	}
	docs, err := p.Catalog.Documents(ctx, 0)
	if err != nil || docs.Claims[custom.FieldName(t.Name, c.Field)].Complete {
		return err // or the field became unique anew since: then the decision refuses
	}
	value := after.Fields[c.Field]
	switch v := value.(type) {
	case bool, int64, json.Number:
	case string:
		if len(event.Normalize(v, true)) > maxKnown {
			return ErrIndexing
		}
	default:
		return ErrIndexing
	}
	if epoch, _ := p.Views.Epoch(custom.ViewName); event.Position(epoch) != b.defs.Epoch {
		return ErrIndexing
	}
	return p.unheld(ctx, b, t, c, custom.Index(value))
}

// unheld looks for another entity that has the value.
func (p *Publisher) unheld(ctx context.Context, b *batch, t *schema.Entity, c *custom.Claim, text string) error {
	column := "value"
	if !t.Field(c.Field).Public {
		column = "sealed"
	}
	q := view.Query{Table: custom.Values, OrderBy: []string{"id"}, Limit: 200,
		Where: []view.Cond{view.Eq("type", t.Name), view.Eq("field", c.Field), view.Same(column, text)}}
	for {
		rows, next, at, err := p.Views.Select(ctx, q)
		if err != nil {
			return err
		}
		if at < c.Since {
			return ErrIndexing
		}
		for _, row := range rows {
			if id := row.ID("id"); id != c.Entity {
				if holds, err := p.holds(ctx, b, event.Stream{Kind: t.Name, ID: id}, t, c); err != nil || holds {
					return errOr(err, custom.ErrTaken)
				}
			}
		}
		if q.After = next; next == "" {
			return nil
		}
	}
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// holds reports whether another entity has the value, after what the batch does
// with it.
func (p *Publisher) holds(ctx context.Context, b *batch, s event.Stream, t *schema.Entity, c *custom.Claim) (bool, error) {
	e, known := b.states[s]
	if !known {
		row, ok, err := p.Views.Get(ctx, custom.Table, view.Values{"id": s.ID, "type": s.Kind}, view.Read{})
		if err != nil || !ok {
			return false, err
		}
		e = custom.Read(row)
	}
	value, has := custom.UniqueValue(t, e, c.Field)
	return has && event.Normalize(value, true) == event.Normalize(c.Value, true), nil
}

// maxFolded is how many events of an entity are read to know its state while
// the view is being computed anew.
const maxFolded = 10_000

// folded is an entity as it is, computed from its events; it must not change
// meanwhile.
func (p *Publisher) folded(ctx context.Context, b *batch, s event.Stream) (e *custom.Entity, err error) {
	n := 0
	for r, err := range p.Runner.Log.Read(ctx, event.OfStream(s), 0) {
		if err != nil {
			return nil, err
		}
		if n++; n > maxFolded {
			return nil, fault.New(fault.Unavailable, "entities are being computed anew, and this one has too many events to be computed now; nothing was changed, try again later")
		}
		f, err := p.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return nil, err
		}
		if e, err = b.defs.Fold(e, f); err != nil {
			return nil, err
		}
	}
	if e != nil && slices.Contains(e.Gone, s.ID) {
		return nil, errGone
	}
	if e == nil { // the store knows of it, and here it cannot be read yet
		b.expect(s, 0)
		return nil, nil
	}
	b.expect(s, e.Version)
	return e, nil
}
