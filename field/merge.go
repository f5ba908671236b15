package field

import (
	"bytes"
	"slices"
	"strings"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
)

// A Unit is a part of an entity that an event changes as a whole: a field, or
// one element of a list. Two changes of different units do not disturb each
// other.
type Unit struct {
	Name string // of the field; of an element, field/value
	From string // field of the event by which it is set; "" if none alone
}

// Units are the units that an event changes. ok is false if they cannot be told,
// because its applier computes, or changes the entity as a whole.
func Units(def *schema.Definition, data map[string]any) (units []Unit, ok bool) {
	for _, step := range steps(def.Apply) {
		for name, what := range step {
			var more []Unit
			switch name {
			case "merge":
				more, ok = merged(what, data)
			case "add", "remove":
				more, ok = elements(what, data)
			case "set":
				more, ok = assigned(what, data)
			case "unset":
				more, ok = unset(what)
			default:
				ok = false
			}
			if !ok {
				return nil, false
			}
			units = append(units, more...)
		}
	}
	return units, true
}

// steps are those of an applier.
func steps(raw any) (out []map[string]any) {
	switch raw := raw.(type) {
	case nil:
		return []map[string]any{{"merge": true}}
	case map[string]any:
		return []map[string]any{raw}
	case []any:
		for _, s := range raw {
			m, _ := s.(map[string]any)
			if m == nil {
				m = map[string]any{"": nil}
			}
			out = append(out, m)
		}
	}
	return out
}

func merged(what any, data map[string]any) (out []Unit, ok bool) {
	switch what := what.(type) {
	case bool:
		for name := range data {
			out = append(out, Unit{name, name})
		}
		return out, what
	case []any:
		for _, n := range what {
			if name, is := n.(string); is {
				if _, has := data[name]; has {
					out = append(out, Unit{name, name})
				}
			}
		}
		return out, true
	}
	return nil, false
}

func elements(what any, data map[string]any) (out []Unit, ok bool) {
	lists, _ := what.(map[string]any)
	for list, source := range lists {
		from, is := field(source)
		if !is {
			return nil, false
		}
		v, has := data[from]
		if !has {
			continue
		}
		many, is := v.([]any)
		if !is {
			out = append(out, Unit{list + "/" + string(event.FormatJSON(v)), from})
		}
		for _, one := range many {
			out = append(out, Unit{list + "/" + string(event.FormatJSON(one)), ""})
		}
	}
	return out, len(lists) > 0
}

func assigned(what any, data map[string]any) (out []Unit, ok bool) {
	fields, _ := what.(map[string]any)
	for name, source := range fields {
		if from, is := field(source); is {
			if _, has := data[from]; has {
				out = append(out, Unit{name, from})
			}
			continue
		}
		if m, _ := source.(map[string]any); m == nil || m["cel"] != nil {
			return nil, false
		}
		out = append(out, Unit{name, ""}) // a constant, or what is known of the event
	}
	return out, len(fields) > 0
}

func unset(what any) (out []Unit, ok bool) {
	list, ok := what.([]any)
	for _, n := range list {
		name, _ := n.(string)
		out = append(out, Unit{name, ""})
	}
	return out, ok
}

// field is the field of the event that a pointer names, if it names a whole one.
func field(source any) (string, bool) {
	p, ok := source.(string)
	name, is := strings.CutPrefix(p, "/")
	return name, ok && is && name != "" && !strings.ContainsAny(name, "/~")
}

// Seen is what the history of an entity tells of one of its events.
type Seen struct {
	Position event.Position
	Type     string
	stamp
	replica string
	units   []Unit
	opaque  bool // its units cannot be told
}

// stamp orders events that did not know of each other.
type stamp struct {
	clock event.Instant
	id    event.ID
}

func (s stamp) after(o stamp) bool {
	if s.clock != o.clock {
		return s.clock > o.clock
	}
	return bytes.Compare(s.id[:], o.id[:]) > 0
}

// History is what is known of an entity's events, oldest first. It is a value.
type History []Seen

// Add is the history after a fact of the entity.
func (h History) Add(def *schema.Definition, f event.Fact) History {
	s := Seen{Position: f.Position, Type: f.Type, stamp: stamp{id: f.ID, clock: event.Instant(f.Time.UnixMicro())}}
	context := custom.ContextOf(f.Record)
	s.replica, _ = context[ContextReplica].(string)
	if clock, ok := context[ContextClock].(int64); ok {
		s.clock = event.Instant(clock)
	} else { // whoever publishes here knows what is recorded
		s.clock = max(s.clock, h.latest(func(*Seen) bool { return true })+1)
	}
	c, ok := f.Payload.(event.Custom)
	if !ok || def == nil {
		return h
	}
	s.units, ok = Units(def, def.Value(c))
	s.opaque = !ok
	return append(h[:len(h):len(h)], s)
}

func (h History) latest(which func(*Seen) bool) (latest event.Instant) {
	for i := range h {
		if which(&h[i]) {
			latest = max(latest, h[i].clock)
		}
	}
	return latest
}

// Incoming is an event of a device, as far as it matters for conflicts.
type Incoming struct {
	ID       event.ID
	Replica  string
	Base     event.Position
	Occurred event.Instant // as the device says
	Data     map[string]any
}

// knew reports whether a device knew an event when it made one.
func (in *Incoming) knew(s *Seen) bool {
	return s.Position <= in.Base || in.Replica != "" && s.replica == in.Replica
}

// Outcome is what becomes of an event of a device.
type Outcome struct {
	Clock      event.Instant
	Superseded []string       // fields that do not count; "": all of it
	Keep       string         // why it is kept without being applied; "": it is not
	With       event.Position // an event that it is in conflict with; 0: none
}

// Decide decides what becomes of an event.
func Decide(h History, def *schema.Definition, in Incoming) Outcome {
	out := Outcome{Clock: max(in.Occurred, h.latest(in.knew)+1)}
	units, plain := Units(def, in.Data)
	own := stamp{out.Clock, in.ID}
	var lost []Unit
	for i := range h {
		s := &h[i]
		if in.knew(s) || !meets(units, plain, s) {
			continue
		}
		out.With = s.Position
		if s.after(own) && plain && !s.opaque {
			lost = append(lost, common(units, s.units)...)
		}
	}
	switch {
	case out.With == 0:
	case def.Conflict == schema.Ask:
		out.Keep = ReasonAsk
	case def.Conflict == schema.Refuse:
		out.Keep = ReasonRefuse
	case def.Conflict == schema.Merge:
		out.Superseded = superseded(units, lost)
	}
	return out
}

// meets reports whether an event may have changed what another changes.
func meets(units []Unit, plain bool, s *Seen) bool {
	return !plain || s.opaque || len(common(units, s.units)) > 0
}

// common are the units of a that b changes, too. A list that is replaced meets
// each of its elements.
func common(a, b []Unit) (out []Unit) {
	for _, x := range a {
		if slices.ContainsFunc(b, func(y Unit) bool {
			return x.Name == y.Name || strings.HasPrefix(x.Name, y.Name+"/") || strings.HasPrefix(y.Name, x.Name+"/")
		}) {
			out = append(out, x)
		}
	}
	return out
}

// superseded are the fields of an event by which nothing but lost units would be
// set. One that has nothing left is superseded as a whole.
func superseded(units, lost []Unit) (out []string) {
	if len(lost) == 0 {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(units), func(u Unit) bool { return slices.Contains(lost, u) })
	if len(left) == 0 {
		return []string{""}
	}
	for _, u := range lost {
		if u.From == "" || slices.Contains(out, u.From) || slices.ContainsFunc(left, func(l Unit) bool { return l.From == u.From }) {
			continue
		}
		out = append(out, u.From)
	}
	slices.Sort(out)
	return out
}
