package fieldapi

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/seal"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// errRebuilding says that entities are still being computed anew, by the
// definitions by which they are to be compared.
var errRebuilding = fault.New(fault.Unavailable, "entities are being computed anew, because definitions changed")

// other is an entity that is like another.
type other struct {
	id     event.ID
	added  int64 // when it came to be
	fields []string
}

// compare flags the entities that were like that of an event when it was
// recorded.
func (f *Finder) compare(ctx context.Context, defs *custom.Definitions, t *schema.Entity, r *event.Record) error {
	at := view.Read{At: r.Position, AtLeast: r.Position}
	row, ok, err := f.Views.Get(ctx, custom.Table, view.Values{"id": r.Stream.ID, "type": t.Name}, at)
	if err != nil || !ok || row.Bool("deleted") {
		return err
	}
	found := map[event.ID]other{}
	for i := range t.Duplicates {
		if err := f.alike(ctx, t, &t.Duplicates[i], r.Stream.ID, at, found); err != nil {
			return err
		}
	}
	added := row.Int(entity.Order)
	oldest := slices.SortedFunc(maps.Values(found), func(a, b other) int { return cmp.Compare(a.added, b.added) })
	for _, o := range oldest[:min(len(oldest), MaxPairs)] {
		p := field.DuplicateFound{Entity: r.Stream.ID, Other: o.id, Kind: t.Name, Organization: row.ID("organization"), Fields: o.fields}
		if o.added > added {
			p.Entity, p.Other = p.Other, p.Entity
		}
		flag := field.Flag{Pair: event.NewID(), DuplicateFound: p}
		flag.Ends, flag.Makes = defs.Lifetime(t.Name)
		if _, err := decide.Run(ctx, f.Engine.Runner, field.Flagging, because(r), flag); err != nil {
			return fault.Wrap("flag a possible duplicate", err)
		}
	}
	return nil
}

// alike adds the entities that are like one by a rule.
func (f *Finder) alike(ctx context.Context, t *schema.Entity, rule *schema.Rule, id event.ID, at view.Read, found map[event.ID]other) error {
	row, ok, err := f.Views.Get(ctx, custom.Alike, view.Values{"id": id, "type": t.Name, "rule": rule.Name()}, at)
	if err != nil {
		return err
	}
	if !ok {
		return errRebuilding
	}
	column := custom.AlikeColumn(rule)
	key := ""
	if rule.Public {
		key = row.Text(column)
	} else {
		key = view.Personal[string](row, column).Value
	}
	if key == "" {
		return nil
	}
	rows, _, _, err := f.Views.Select(ctx, view.Query{Table: custom.Alike, Limit: MaxAlike + 2, Read: at,
		Where: []view.Cond{view.Eq("type", t.Name), view.Eq("rule", rule.Name()), view.Eq(column, key)}})
	if err != nil || len(rows) > MaxAlike+1 {
		return err
	}
	for _, row := range rows {
		o := row.ID("id")
		if o == id {
			continue
		}
		was := found[o]
		found[o] = other{o, row.Int(entity.Order), slices.Compact(slices.Sorted(slices.Values(slices.Concat(was.fields, rule.Fields))))}
	}
	return nil
}

// close closes the open pairs of an entity that is gone.
func (f *Finder) close(ctx context.Context, r *event.Record) error {
	s := r.Stream
	row, ok, err := f.Views.Get(ctx, custom.Table, view.Values{"id": s.ID, "type": s.Kind}, view.Read{})
	if err != nil || !ok || !row.Bool("deleted") && !row.Bool("erased") {
		return err
	}
	for _, column := range []string{"entity", "other"} {
		q := view.Query{Table: field.TableDuplicates, Where: []view.Cond{view.Eq(column, s.ID), view.Eq("state", field.Open)}, Limit: 500}
		for {
			rows, next, at, err := f.Views.Select(ctx, q)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if _, err := decide.Run(ctx, f.Engine.Runner, field.Closing, because(r), field.Close{Entity: row.ID("entity"), Other: row.ID("other"), Gone: s.ID}); err != nil {
					return fault.Wrap("close a possible duplicate", err)
				}
			}
			if q.After, q.Read.At = next, at; next == "" {
				break
			}
		}
	}
	return nil
}

// because is the envelope of what Muniment does because of a record.
func because(r *event.Record) decide.Envelope {
	return decide.Envelope{Actor: event.System, Context: seal.Context{Public: map[string]any{"causation": schema.UUIDOf(r.ID)}}}
}

// resolved resolves a pair as somebody published, be it flagged or not. What was
// published of the same two later counts, whichever is looked at first.
func (f *Finder) resolved(ctx context.Context, r *event.Record) error {
	other, same, err := f.said(ctx, r)
	if err != nil || other.IsZero() || other == r.Stream.ID {
		return err
	}
	later := event.OfStream(r.Stream, r.Type).Or(event.OfStream(event.Stream{Kind: r.Stream.Kind, ID: other}, r.Type))
	for l, err := range f.Engine.Runner.Log.Read(ctx, later, r.Position) {
		if err != nil {
			return err
		}
		if again, _, err := f.said(ctx, l); err != nil || again != l.Stream.ID && (again == r.Stream.ID || again == other) {
			return err
		}
	}
	_, err = decide.Run(ctx, f.Engine.Runner, field.Resolving, because(r),
		field.Resolve{Entity: r.Stream.ID, Other: other, Same: same, Pair: event.NewID(), At: r.Position, Kind: r.Stream.Kind, Organization: custom.OrganizationOf(r)})
	return fault.Wrap("resolve a possible duplicate as was published", err)
}

// said is what an event says of its entity and another; of none if it does not
// count.
func (f *Finder) said(ctx context.Context, r *event.Record) (other event.ID, same bool, err error) {
	fact, err := f.Engine.Runner.Sealer.Decode(ctx, r)
	if err != nil || len(custom.Superseded(r)) > 0 {
		return event.ID{}, false, err
	}
	c, _ := fact.Payload.(event.Custom)
	other, is := c.Fields["other"].(event.ID)
	same, says := c.Fields["same"].(bool)
	if !is || !says {
		return event.ID{}, false, nil
	}
	return other, same, nil
}
