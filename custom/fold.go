package custom

import (
	"bytes"
	"errors"
	"reflect"
	"slices"

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
	case event.Custom:
		if org, ok := p.Fields[schema.FieldOrganization].(event.ID); ok {
			next.Organization = org
		}
		if err := d.apply(next, f, p); err != nil {
			return e, err
		}
	}
	d.tidy(next)
	return next, nil
}

// tidy leaves of the new state what a row can hold: only subjects that are named
// can be gone, and nothing of those that are.
func (d *Definitions) tidy(e *Entity) {
	keep := []event.ID{e.ID}
	if t := d.Set.Entities[e.Type]; t != nil {
		for _, name := range subjectFields(t) {
			keep = append(keep, pointer(e, name))
		}
	}
	e.Gone = slices.DeleteFunc(slices.Clone(e.Gone), func(id event.ID) bool { return !slices.Contains(keep, id) })
	if len(e.Gone) == 0 {
		e.Gone = nil
	}
	for _, id := range e.Gone {
		e.Fields = d.without(e, id)
	}
	if len(e.Fields) == 0 {
		e.Fields = nil
	}
}

// Same reports whether an entity that was folded from its events is the one
// that is served. An erasure is known to who is served even if no event of the
// entity held anything of the subject.
func (d *Definitions) Same(folded, served *Entity) bool {
	if folded == nil || served == nil {
		return folded == served
	}
	for _, id := range folded.Gone {
		if !slices.Contains(served.Gone, id) {
			return false
		}
	}
	a := *folded
	a.Gone = served.Gone
	d.tidy(&a)
	return reflect.DeepEqual(&a, served)
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
	if slices.Contains(Superseded(f.Record), "") {
		return nil
	}
	out, err := d.settle(e, f, c)
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
			if id, err := event.ParseID(text); err == nil && !id.IsZero() {
				return id
			}
		}
	}
	return e.ID
}

// unreadable are the fields of an event and of its entity that were erased, as
// appliers name them.
func (d *Definitions) unreadable(e *Entity, gone map[string]bool) map[string]bool {
	if len(gone) == 0 && (len(e.Gone) == 0 || !e.there()) {
		return nil
	}
	out := map[string]bool{}
	for name := range gone {
		out["event."+name] = true
	}
	if t := d.Set.Entities[e.Type]; t != nil && e.there() {
		for i := range t.Fields {
			if id := Subject(t, e, t.Fields[i].Name); !id.IsZero() && slices.Contains(e.Gone, id) {
				out["state."+t.Fields[i].Name] = true
			}
		}
	}
	return out
}

// goneFields are the fields of an event that were erased.
func goneFields(c event.Custom) map[string]bool {
	var out map[string]bool
	for name, state := range c.Gone {
		if state != event.Absent {
			out = with(out, name, true)
		}
	}
	return out
}

// Occurred is when an event happened, as its publisher says; 0 if it does not.
func Occurred(r *event.Record) event.Instant {
	if !bytes.Contains(r.Context, []byte(contextOccurred)) {
		return 0
	}
	n, _ := ContextOf(r)[contextOccurred].(int64)
	return event.Instant(n)
}

const contextOccurred = "occurred"
