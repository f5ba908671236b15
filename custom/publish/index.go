package publish

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// IndexBatch is how many entities have their values claimed by one command, if
// nothing else is said.
const IndexBatch = 100

// Index claims, as Muniment itself, values of the fields that became unique: one
// batch of one field. more says that there is more to do, or will be when the
// view serves by the definitions as they are. How far it has come is in the log,
// so that whoever goes on, goes on there.
func (p *Publisher) Index(ctx context.Context) (more bool, err error) {
	docs, err := p.Catalog.Documents(ctx, 0)
	if err != nil {
		return false, err
	}
	defs, err := p.Catalog.Current(ctx)
	if err != nil || defs.At != docs.At {
		return err == nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(docs.Claims)) {
		t, f := unique(defs, name)
		if f == nil || docs.Claims[name].Complete {
			continue
		}
		epoch, _ := p.Views.Epoch(custom.ViewName)
		if event.Position(epoch) != defs.Epoch { // what it serves is being computed anew
			return true, nil
		}
		err := p.index(ctx, defs, t, f.Name, docs.Claims[name])
		if errors.Is(err, custom.ErrMoved) || fault.Is(err, fault.Erased) { // meanwhile
			err = nil
		}
		return err == nil, fault.Wrap("claim the values of "+name, err)
	}
	return false, nil
}

// unique is the field that Documents.Claims names so; nil if it is not unique
// any more.
func unique(d *custom.Definitions, name string) (*schema.Entity, *schema.Field) {
	for _, t := range d.Set.Entities {
		for i := range t.Fields {
			if f := &t.Fields[i]; f.Unique != "" && custom.FieldName(t.Name, f.Name) == name {
				return t, f
			}
		}
	}
	return nil, nil
}

// index does one batch.
func (p *Publisher) index(ctx context.Context, defs *custom.Definitions, t *schema.Entity, field string, was custom.Claims) error {
	c := custom.ClaimValues{Schema: p.Runner.Log.ID().ID, Defined: defs.At, Type: t.Name, Field: field, Since: was.Since, From: was.Through, Indexed: was.Indexed, Of: was.Of}
	older := view.Query{Table: custom.Table, Where: []view.Cond{view.Eq("type", t.Name), view.Range(entity.Order, int64(was.Through)+1, int64(was.Since))}}
	if was.Through == 0 {
		n, _, err := p.Views.Count(ctx, older)
		if err != nil {
			return err
		}
		c.Of = int64(n)
	}
	older.OrderBy, older.Limit = []string{entity.Order}, cmp.Or(p.AtOnce, IndexBatch)
	rows, next, at, err := p.Views.Select(ctx, older)
	if err != nil {
		return err
	}
	if at < was.Since {
		return fault.New(fault.Unavailable, "the view is behind the change of definitions")
	}
	c.At, c.Through, c.Complete = at, was.Since, next == ""
	for _, row := range rows {
		e := custom.Read(row)
		if !c.Complete {
			c.Through = e.Added
		}
		c.Indexed++
		if err := p.value(ctx, t, e, &c); err != nil {
			return err
		}
	}
	_, err = decide.Run(ctx, p.Runner, custom.Claiming, decide.Envelope{Actor: event.System}, c)
	return err
}

// value adds what an entity holds.
func (p *Publisher) value(ctx context.Context, t *schema.Entity, e *custom.Entity, c *custom.ClaimValues) (err error) {
	text, has := custom.UniqueValue(t, e, c.Field)
	if !has {
		return nil
	}
	v := custom.Value{Entity: e.ID, Organization: e.Organization, Value: text}
	for _, of := range []struct {
		term        *event.Term
		name, value string
	}{
		{&v.Taken, schema.BlindName(t.Name, c.Field), text},
		{&v.Former, schema.FormerName(t.Name, c.Field), text},
		{&v.Claimed, custom.ClaimedName, custom.ClaimedValue(t.Name, c.Field, text)},
	} {
		if *of.term, err = p.Runner.Sealer.BlindTerm(ctx, of.name, of.value, true); err != nil {
			return err
		}
	}
	c.Values = append(c.Values, v)
	return nil
}
