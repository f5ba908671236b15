package custom

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Entity is what an entity is at some position. It is a value: folding makes
// another one.
type Entity struct {
	Type         string
	ID           event.ID
	Organization event.ID
	Added        event.Position // of the event by which it came to be
	Created      event.Instant
	Changed      event.Instant
	Version      uint64
	Position     event.Position // of the newest of its events
	Deleted      bool
	Erased       bool // what is sealed under the entity itself
	// Fields are its state, as far as it can be read.
	Fields map[string]any
	// Gone are the subjects of its sealed fields that were erased; the entity
	// itself is one of them.
	Gone []event.ID
	// Failed is the position of an event whose applier failed, and Problem why;
	// the state is that of before, and stays so until the applier was mended.
	Failed  event.Position
	Problem string
}

// Fold is the entity after a fact of its stream; e is nil before the first. An
// applier that fails leaves the entity as it was, marked; the error, of kind
// fault.Unavailable, is of one that had no time to find out.
func (d *Definitions) Fold(e *Entity, f event.Fact) (*Entity, error) {
	next := &Entity{Type: f.Stream.Kind, ID: f.Stream.ID, Added: f.Position, Created: event.Instant(f.Time.UnixMicro())}
	if e != nil {
		*next = *e
	}
	next.Changed, next.Version, next.Position = event.Instant(f.Time.UnixMicro()), f.Version, f.Position
	switch p := f.Payload.(type) {
	case EntityErased:
		next.Erased, next.Gone = true, goneWith(next.Gone, f.Stream.ID)
		next.Fields = d.without(next, f.Stream.ID)
	case event.Custom:
		if org, ok := p.Fields[schema.FieldOrganization].(event.ID); ok {
			next.Organization = org
		}
		if err := d.apply(next, f, p); err != nil {
			return e, err
		}
	}
	d.tidy(e, next)
	return next, nil
}

// tidy leaves of the new state what a row can hold: when a field that names a
// subject changed, what was sealed under the old one and is not said anew is
// not the new one's, and goes; and only subjects that are named can be gone.
func (d *Definitions) tidy(before, e *Entity) {
	t := d.Set.Entities[e.Type]
	if t == nil {
		return
	}
	keep := []event.ID{e.ID}
	for _, name := range subjectFields(t) {
		id := pointer(e, name)
		keep = append(keep, id)
		if before == nil || pointer(before, name) == id {
			continue
		}
		for i := range t.Fields {
			f := &t.Fields[i]
			v, ok := e.Fields[f.Name]
			if was, had := before.Fields[f.Name]; ok && had && f.Subject == name && bytes.Equal(event.FormatJSON(v), event.FormatJSON(was)) {
				e.Fields = without(e.Fields, f.Name)
			}
		}
	}
	e.Gone = slices.DeleteFunc(slices.Clone(e.Gone), func(id event.ID) bool { return !slices.Contains(keep, id) })
	if len(e.Gone) == 0 {
		e.Gone = nil
	}
	if len(e.Fields) == 0 {
		e.Fields = nil
	}
}

// apply lets the event's applier change the entity.
func (d *Definitions) apply(e *Entity, f event.Fact, c event.Custom) error {
	if e.Failed > 0 {
		return nil
	}
	if len(c.Gone) > 0 {
		for _, id := range d.goneSubjects(c) {
			e.Gone = goneWith(e.Gone, id)
		}
	}
	out, err := d.run(e, f, c)
	switch {
	case fault.Is(err, fault.Unavailable):
		return err
	case err != nil:
		e.Failed, e.Problem = f.Position, problem(err)
		return nil
	}
	e.Deleted, e.Fields = out.Deleted, out.State
	if out.Deleted {
		e.Fields = nil
	}
	return nil
}

func (d *Definitions) run(e *Entity, f event.Fact, c event.Custom) (apply.Output, error) {
	def := d.Set.Definition(c.Type, c.Revision)
	if def == nil {
		return apply.Output{}, fault.New(fault.NotFound, "nothing is defined for %s revision %d", c.Type, c.Revision)
	}
	ctx := context.Background() // bounded by the appliers' own limits
	value, err := d.up(ctx, def, def.Value(c))
	if err != nil {
		return apply.Output{}, err
	}
	var state map[string]any
	if e.Version > 1 && !e.Deleted {
		if state = e.Fields; state == nil {
			state = map[string]any{}
		}
	}
	return d.programs[c.Type].Apply(ctx, apply.Input{State: state, Event: value, Gone: d.unreadable(e, c), Meta: apply.Meta{
		Entity: schema.UUIDOf(f.Stream.ID), Version: int64(f.Version), Position: int64(f.Position), Time: event.Instant(f.Time.UnixMicro()), Occurred: Occurred(f.Record),
		Actor: f.Actor.String(), Type: c.Type, Revision: int64(c.Revision),
	}})
}

// problem is why an applier failed, for people.
func problem(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Msg != "" {
		if f.Field != "" {
			return f.Field + ": " + f.Msg
		}
		return f.Msg
	}
	return "the applier failed"
}

// goneSubjects are the subjects of the fields that cannot be read any more.
func (d *Definitions) goneSubjects(c event.Custom) (out []event.ID) {
	def := d.Set.Definition(c.Type, c.Revision)
	if def == nil {
		return nil
	}
	for i := range def.Descriptor.Fields {
		f := &def.Descriptor.Fields[i]
		if c.Gone[f.Name] != event.Erased {
			continue
		}
		if id, ok := c.Fields[f.Of].(event.ID); ok {
			out = append(out, id)
		}
	}
	return out
}

func goneWith(list []event.ID, id event.ID) []event.ID {
	i, found := slices.BinarySearchFunc(list, id, func(a, b event.ID) int { return slices.Compare(a[:], b[:]) })
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, id)
}

// without are an entity's fields but for those sealed under a subject.
func (d *Definitions) without(e *Entity, subject event.ID) map[string]any {
	t := d.Set.Entities[e.Type]
	out := map[string]any{}
	for name, v := range e.Fields {
		if t == nil || Subject(t, e, name) != subject {
			out[name] = v
		}
	}
	return out
}

// Subject is whose a field of an entity is; zero if it is public.
func Subject(t *schema.Entity, e *Entity, field string) event.ID {
	f := t.Field(field)
	switch {
	case f == nil: // a field that is not defined any more
		return e.ID
	case f.Public:
		return event.ID{}
	case f.Subject != "":
		if text, ok := e.Fields[f.Subject].(string); ok {
			if id, err := event.ParseID(text); err == nil {
				return id
			}
		}
	}
	return e.ID
}

// unreadable are the fields of an event and of its entity that were erased, as
// appliers name them.
func (d *Definitions) unreadable(e *Entity, c event.Custom) map[string]bool {
	if len(c.Gone) == 0 && len(e.Gone) == 0 {
		return nil
	}
	out := map[string]bool{}
	for name := range c.Gone {
		out["event."+name] = true
	}
	if t := d.Set.Entities[e.Type]; t != nil {
		for i := range t.Fields {
			if id := Subject(t, e, t.Fields[i].Name); !id.IsZero() && slices.Contains(e.Gone, id) {
				out["state."+t.Fields[i].Name] = true
			}
		}
	}
	return out
}

// Occurred is when an event happened, as its publisher says; 0 if it does not.
func Occurred(r *event.Record) event.Instant {
	if !bytes.Contains(r.Context, []byte(contextOccurred)) {
		return 0
	}
	var context map[string]any
	if err := event.Strict.Unmarshal(r.Context, &context); err != nil {
		return 0
	}
	n, _ := context[contextOccurred].(int64)
	return event.Instant(n)
}

const contextOccurred = "occurred"
