package customapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// maxExamples is how many entities a step of a plan names.
const maxExamples = 20

// A shadow is what the entities of one type would be by the definitions that are
// to be, beside what is served.
type shadow struct {
	*Service
	old, next *custom.Definitions
	t         *schema.Entity  // as it is to be
	anew      map[string]bool // unique fields that were not, or not so
	fold      bool            // the states may come out otherwise; else what is served is as it will be

	at       event.Position
	served   bool // the view serves by the old definitions
	values   map[event.ID]map[string][16]byte
	moved    map[string]bool // unique fields that hold something else in some entity
	compared int64
	differ   examples
	fail     examples
}

// examples are entities, of which the first are named.
type examples struct {
	count int64
	named []*munimentv1.EntityExample
}

func (e *examples) add(x *munimentv1.EntityExample) {
	if e.count++; len(e.named) < maxExamples {
		e.named = append(e.named, x)
	}
}

// newShadow is nil if the plan changes nothing about the type's states and
// unique values.
func (s *Service) newShadow(c *change, name string, old, next *custom.Definitions) *shadow {
	before, t := old.Set.Entities[name], next.Set.Entities[name]
	if before == nil || t == nil {
		return nil
	}
	sh := &shadow{Service: s, old: old, next: next, t: t, anew: map[string]bool{}, values: map[event.ID]map[string][16]byte{}, moved: map[string]bool{}}
	for _, ch := range c.plan.Changes {
		if ch.Entity == name && ch.Rebuild && !slices.Contains([]string{"x-unique", "x-search", "x-ref", "x-public"}, ch.What) {
			sh.fold = true
		}
	}
	sh.fold = sh.fold || len(c.replaced) > 0
	for i := range t.Fields {
		f := &t.Fields[i]
		if was := before.Field(f.Name); f.Unique != "" && (was == nil || was.Unique != f.Unique) {
			sh.anew[f.Name] = true
		}
	}
	if !sh.fold && len(sh.anew) == 0 {
		return nil
	}
	return sh
}

// unique reports whether values have to be compared at all.
func (sh *shadow) unique() bool { return sh.next.Unique(sh.t.Name) }

// facts are the records that change entities of the type.
func (sh *shadow) facts() event.Query {
	var types []string
	for _, set := range []*schema.Set{sh.old.Set, sh.next.Set} {
		for name, e := range set.Events {
			if e.Entity == sh.t.Name && !slices.Contains(types, name) {
				types = append(types, name)
			}
		}
	}
	slices.Sort(types)
	return event.Query{{Types: append(types, "entity.erased")}}
}

// begin computes all entities, as of a position.
func (sh *shadow) begin(ctx context.Context, at event.Position) error {
	epoch, serves := sh.core.Views.Epoch(custom.ViewName)
	sh.at, sh.served = at, serves && event.Position(epoch) == sh.old.Epoch
	q := view.Query{Table: custom.Table, OrderBy: []string{entity.Order}, Limit: 1000, Where: []view.Cond{view.Eq("type", sh.t.Name)}, Read: view.Read{At: at}}
	for {
		rows, next, _, err := sh.core.Views.Select(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := sh.compare(ctx, custom.Read(row)); err != nil {
				return err
			}
		}
		if q.After = next; next == "" {
			return nil
		}
	}
}

// compare computes an entity anew.
func (sh *shadow) compare(ctx context.Context, old *custom.Entity) error {
	now := old
	if sh.fold || !sh.served {
		var err error
		stream := event.Stream{Kind: old.Type, ID: old.ID}
		if now, err = sh.folded(ctx, sh.next, stream); err != nil {
			return err
		}
		if !sh.served {
			if old, err = sh.folded(ctx, sh.old, stream); err != nil {
				return err
			}
		}
		sh.compared++
		if now != nil && old != nil {
			sh.difference(old, now)
		}
	}
	sh.note(old, now)
	return nil
}

// advance computes those anew that were changed since, up to a position.
func (sh *shadow) advance(ctx context.Context, to event.Position) error {
	changed := map[event.Stream]bool{}
	for r, err := range sh.core.Runner.Log.ReadTo(ctx, sh.facts(), sh.at, to) {
		if err != nil {
			return err
		}
		if r.Stream.Kind == sh.t.Name {
			changed[r.Stream] = true
		}
	}
	sh.at = to
	for s := range changed {
		now, err := sh.folded(ctx, sh.next, s)
		if err != nil {
			return err
		}
		old, err := sh.folded(ctx, sh.old, s)
		if err != nil {
			return err
		}
		if now != nil {
			sh.note(old, now)
		}
	}
	return nil
}

// folded is an entity as its events and some definitions make it.
func (sh *shadow) folded(ctx context.Context, d *custom.Definitions, s event.Stream) (e *custom.Entity, err error) {
	for r, err := range sh.core.Runner.Log.ReadTo(ctx, event.OfStream(s), 0, sh.at) {
		if err != nil {
			return nil, err
		}
		f, err := sh.core.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return nil, err
		}
		if e, err = d.Fold(e, f); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// difference notes what is served otherwise, and an applier that fails now.
func (sh *shadow) difference(old, now *custom.Entity) {
	x := &munimentv1.EntityExample{EntityId: schema.UUIDOf(now.ID)}
	for _, name := range slices.Sorted(maps.Keys(merged(old.Fields, now.Fields))) {
		if !reflect.DeepEqual(old.Fields[name], now.Fields[name]) {
			x.Fields = append(x.Fields, name)
		}
	}
	if now.Failed > 0 && old.Failed == 0 {
		sh.fail.add(&munimentv1.EntityExample{EntityId: x.EntityId, FailedPosition: uint64(now.Failed), Problem: now.Problem})
	}
	if len(x.Fields) > 0 || old.Deleted != now.Deleted || old.Failed != now.Failed {
		sh.differ.add(x)
	}
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	maps.Copy(out, b)
	return out
}

// note keeps what an entity holds in unique fields, and which of them hold
// something else than before.
func (sh *shadow) note(old, now *custom.Entity) {
	if !sh.unique() {
		return
	}
	held := map[string][16]byte{}
	for i := range sh.t.Fields {
		f := &sh.t.Fields[i]
		if f.Unique == "" {
			continue
		}
		value, has := custom.UniqueValue(sh.t, now, f.Name)
		if has {
			sum := sha256.Sum256([]byte(event.Normalize(value, true)))
			held[f.Name] = [16]byte(sum[:])
		}
		if was, had := custom.UniqueValue(sh.t, old, f.Name); was != value || had != has {
			sh.moved[f.Name] = true
		}
	}
	sh.values[now.ID] = held
}

// claims are the fields whose values are to be claimed anew, as Documents name
// them.
func (sh *shadow) claims() (out []string) {
	if len(sh.values) == 0 {
		return nil
	}
	for i := range sh.t.Fields {
		if name := sh.t.Fields[i].Name; sh.t.Fields[i].Unique != "" && (sh.anew[name] || sh.moved[name]) {
			out = append(out, custom.FieldName(sh.t.Name, name))
		}
	}
	return out
}

// collisions are the entities that hold the value of another in a unique field.
func (sh *shadow) collisions() (out examples) {
	ids := slices.SortedFunc(maps.Keys(sh.values), func(a, b event.ID) int { return slices.Compare(a[:], b[:]) })
	type key struct {
		field string
		value [16]byte
	}
	holders := map[key][]event.ID{}
	for _, id := range ids {
		for name, value := range sh.values[id] {
			if sh.anew[name] || sh.moved[name] {
				holders[key{name, value}] = append(holders[key{name, value}], id)
			}
		}
	}
	for _, id := range ids {
		x := &munimentv1.EntityExample{EntityId: schema.UUIDOf(id)}
		for name, value := range sh.values[id] {
			if len(holders[key{name, value}]) > 1 {
				x.Fields = append(x.Fields, name)
			}
		}
		if len(x.Fields) > 0 {
			slices.Sort(x.Fields)
			out.add(x)
		}
	}
	return out
}

// step is a step of the plan about entities of the type.
func (sh *shadow) step(v schema.Verdict, what examples, key, format string, args ...any) (schema.Change, *munimentv1.SchemaStep) {
	ch := schema.Change{Verdict: v, Entity: sh.t.Name, What: "entities", Msg: fmt.Sprintf(format, args...), Key: key}
	return ch, &munimentv1.SchemaStep{Verdict: string(v), Entity: sh.t.Name, Message: ch.Msg, Text: ch.String(), Acknowledge: key, Examples: what.named, Entities: uint64(what.count)}
}
