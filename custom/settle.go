package custom

import (
	"context"
	"slices"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// settle runs the applier so that nothing comes to stand under another subject
// than it was sealed under, where the erasure of its own would leave it: what
// the state holds of a subject whom it does not name any more is taken away
// before, as is what the event seals under others than the entity's fields are
// about. Whom they name is public, and so the same whatever can be read.
func (d *Definitions) settle(e *Entity, f event.Fact, c event.Custom) (apply.Output, error) {
	def := d.Set.Definition(c.Type, c.Revision)
	if def == nil {
		return apply.Output{}, fault.New(fault.NotFound, "nothing is defined for %s revision %d", c.Type, c.Revision)
	}
	lost := Superseded(f.Record)
	value, gone, err := d.up(context.Background(), def, leave(def.Value(c), lost), leave(goneFields(c), lost))
	if err != nil {
		return apply.Output{}, err
	}
	in := d.input(e, f, c, value, gone)
	out, err := d.programs[c.Type].Apply(context.Background(), in)
	if err != nil || out.Deleted {
		return out, err
	}
	strange := d.strange(c, &Entity{Type: e.Type, ID: e.ID, Fields: out.State})
	moved := d.moved(e, in.State, out.State)
	if len(strange)+len(moved) == 0 {
		return out, nil
	}
	// A second run cannot name others again: what is public rests on what is
	// public only.
	for _, name := range moved {
		in.State = without(in.State, name)
		delete(in.Gone, "state."+name)
	}
	for _, name := range strange {
		in.Event = without(in.Event, name)
		in.Gone = with(in.Gone, "event."+name, true)
	}
	return d.programs[c.Type].Apply(context.Background(), in)
}

// input is what the applier finds; limits of its own bound what it takes.
func (d *Definitions) input(e *Entity, f event.Fact, c event.Custom, value map[string]any, gone map[string]bool) apply.Input {
	in := apply.Input{Event: value, Untimed: d.Unique(e.Type), Gone: d.unreadable(e, gone), Meta: apply.Meta{
		Entity: schema.UUIDOf(f.Stream.ID), Version: int64(f.Version), Position: int64(f.Position), Time: event.Instant(f.Time.UnixMicro()), Occurred: Occurred(f.Record),
		Actor: f.Actor.String(), Type: c.Type, Revision: int64(c.Revision),
	}}
	if e.there() {
		if in.State = e.Fields; in.State == nil {
			in.State = map[string]any{}
		}
	}
	return in
}

// there reports whether there is such an entity before the event by which it is
// at its version: not the first one, and not deleted.
func (e *Entity) there() bool { return e.Version > 1 && !e.Deleted }

// moved are the fields of a state that are about somebody else than before.
func (d *Definitions) moved(e *Entity, before, after map[string]any) (out []string) {
	t := d.Set.Entities[e.Type]
	if t == nil || before == nil {
		return nil
	}
	then, now := &Entity{ID: e.ID, Fields: before}, &Entity{ID: e.ID, Fields: after}
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Subject != "" && Subject(t, then, f.Name) != Subject(t, now, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}

// strange are the fields of an event, as its newest revision names them, that
// are sealed under somebody else than the fields of the entity that they feed.
func (d *Definitions) strange(c event.Custom, after *Entity) (out []string) {
	t := d.Set.Entities[after.Type]
	for _, r := range d.reach[revision{c.Type, c.Revision}] {
		_, has := c.Fields[r.from.Name]
		if !has && c.Gone[r.from.Name] == event.Absent || t == nil {
			continue
		}
		of := after.ID
		if id, ok := c.Fields[r.from.Of].(event.ID); ok && !id.IsZero() {
			of = id
		}
		for _, to := range r.to {
			if Subject(t, after, to) != of && !slices.Contains(out, r.as) {
				out = append(out, r.as)
			}
		}
	}
	return out
}

// reach is where a sealed field of a revision gets to: under which name into the
// newest one, and from there into which sealed fields of the entity.
type reach struct {
	from *event.Field
	as   string
	to   []string
}

// trace notes what the revisions of each event type write, and where their
// sealed fields get to.
func (d *Definitions) trace() {
	d.reach, d.writes = map[revision][]reach{}, map[string]map[string]bool{}
	for name, t := range d.Set.Events {
		d.writes[name] = map[string]bool{}
		for _, field := range d.programs[name].Writes() {
			d.writes[name][field] = true
		}
		for _, def := range t.Revisions {
			d.reach[revision{name, def.Revision}] = d.traced(t, def)
		}
	}
}

func (d *Definitions) traced(t *schema.Event, def *schema.Definition) (out []reach) {
	e := d.Set.Entities[t.Entity]
	for i := range def.Descriptor.Fields {
		from := &def.Descriptor.Fields[i]
		if from.Public || from.Only {
			continue
		}
		for _, as := range raised(t, def, from.Name) {
			r := reach{from: from, as: as}
			for _, fl := range t.Latest().Flows {
				if fl.State || fl.From != "" && fl.From != as {
					continue
				}
				for j := range e.Fields {
					to := &e.Fields[j]
					if !to.Public && (fl.To == to.Name || fl.To == "" && (fl.From != "" || to.Name == as)) && !slices.Contains(r.to, to.Name) {
						r.to = append(r.to, to.Name)
					}
				}
			}
			out = append(out, r)
		}
	}
	return out
}

// raised are the names that a field of a revision has in the newest one.
func raised(t *schema.Event, def *schema.Definition, name string) []string {
	names := []string{name}
	for _, next := range t.Revisions[def.Revision:] {
		for _, fl := range next.UpFlows {
			if fl.From != "" && !slices.Contains(names, fl.From) {
				continue
			}
			for i := range next.Fields {
				if to := next.Fields[i].Name; (fl.To == "" || fl.To == to) && !slices.Contains(names, to) {
					names = append(names, to)
				}
			}
		}
	}
	return names
}
