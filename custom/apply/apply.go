// Package apply says how an event of an application changes its entity, and how
// an old revision of an event becomes a new one: by declarations, by
// expressions (CEL), by WebAssembly modules, or by Go.
//
// A program is pure: what comes out follows from what goes in, on every machine
// and in every later version, because entities are computed again from their
// events for ever. It has no clock, no random source, no network and no files,
// it never changes what it was given, and it stops at limits that are counted,
// not timed. docs/reference/appliers.md says what can be declared.
//
// Whether a field may flow into another is not decided here: Flows says which
// do, and package schema compares them with what is sealed.
package apply

import (
	"context"
	"maps"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Input is what an event finds. Nothing of it is ever changed.
type Input struct {
	State map[string]any // the entity's fields; nil: there is no such entity
	Event map[string]any // the event's fields
	Meta  Meta
	// Untimed says that functions and modules are not told the position and the
	// time, so that what they make of the event is known before it is recorded.
	Untimed bool
	// Gone are the fields that were erased, as "event.NAME" and "state.NAME". What
	// is computed with one of them is left out instead of failing: what it would
	// have gone to is of the same subject, and erased as well.
	Gone map[string]bool
}

// Meta is what is known of an event beside its fields.
type Meta struct {
	Entity   string        // the entity's id
	Type     string        // the event's type
	Revision int64         // the type's revision
	Version  int64         // which event of the entity it is, from 1
	Position int64         // where it stands in the log
	Time     event.Instant // when it was recorded
	Occurred event.Instant // when it happened, as the publisher says; 0 if it does not
	Actor    string        // who published it
}

// Output is what an event leaves. It may share values with the Input: neither
// is to be changed.
type Output struct {
	State   map[string]any // never nil, unless the entity is deleted; no field is null
	Deleted bool
}

// Env is what declarations may name.
type Env struct {
	EventFields  []string // of the event, or of an upcast's result; nil: any
	EntityFields []string // of the entity; nil: any
	OldFields    []string // of the revision that an upcast begins with; nil: any
	Modules      map[string][]byte
	Go           map[string]func(Input) (Output, error)
	GoUpcasts    map[string]func(map[string]any) (map[string]any, error)
	Limits       Limits
}

// A Flow says that a field's content reaches another: by being copied, by being
// computed with, or by deciding whether something happens.
type Flow struct {
	From string // "event.NAME" or "state.NAME"; NAME is * where any field is meant and Env does not list them
	To   string // a field of the state; of the event for an upcast
}

// A Program says what one event type does to its entity. It may be used by many
// at a time.
type Program struct {
	steps  []step
	fields map[string]bool // of the entity; nil: any
	limits Limits
	flows  []Flow
	writes []string
	ends   []string
	late   Late
}

type step struct {
	at   string // JSON pointer
	cond *expr  // nil: always
	do   action
	// opaque is a step of which nobody knows what it reads.
	opaque bool
}

// An action is what a step does with the state of a run.
type action interface{ act(r *run) error }

// Compile reads the "x-apply" of an event type: a step, or a list of steps. nil
// merges all fields of the event. Errors are fault.Invalid, and their Field is
// the JSON pointer of what is wrong.
func Compile(raw any, env Env) (*Program, error) {
	if raw == nil {
		raw = map[string]any{"merge": true}
	}
	c := newCompiler(env, "event", "state", "meta")
	steps, err := c.steps("/x-apply", raw)
	if err != nil {
		return nil, err
	}
	return &Program{steps: steps, fields: c.entity, limits: c.limits, flows: c.flowList(),
		writes: slices.Sorted(maps.Keys(c.writes)), ends: slices.Sorted(maps.Keys(c.ends)), late: c.late}, nil
}

// Flows says which fields reach which, each pair once, in order.
func (p *Program) Flows() []Flow { return slices.Clone(p.flows) }

// Writes are the fields of the entity that the program may set or unset, in
// order; "*" stands for any.
func (p *Program) Writes() []string { return slices.Clone(p.writes) }

// Ends are the fields ("event.NAME", "state.NAME") that decide whether the
// program deletes the entity, in order. What a module or a function rests on is
// not known, and is not among them.
func (p *Program) Ends() []string { return slices.Clone(p.ends) }

// Late is what a program makes of what is not known before its event is recorded:
// the position and the time.
type Late struct {
	Fields  []string // of the entity, that are set to one of the two
	Reads   []string // "state.NAME": what expressions, functions and modules look at
	Deletes bool     // it may delete the entity
	// Computes says that an expression reads one of the two, so that it decides
	// what the program writes, and whether it fails.
	Computes bool
}

// Late says so; functions and modules need not be told (Input.Untimed).
func (p *Program) Late() Late { return p.late }

func isLate(name string) bool { return name == "position" || name == "time" }

// Deletes reports whether every such event deletes its entity.
func (p *Program) Deletes() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { _, is := s.do.(deleteStep); return is && s.cond == nil })
}

// Apply computes what the event leaves of its entity. Any error but one of kind
// fault.Unavailable follows from the input alone, so that it will be the same
// for ever: the event does not fit (fault.Refused), or takes more than the
// limits allow (fault.Exhausted). fault.Unavailable says that ctx ended, or that
// time ran out, and that nothing is known: to go on as if the event changed
// nothing would make the state depend on how fast a machine is.
func (p *Program) Apply(ctx context.Context, in Input) (Output, error) {
	r := &run{ctx: ctx, in: in, fields: p.fields, limits: p.limits}
	if r.state = maps.Clone(in.State); r.state == nil {
		r.state = map[string]any{}
	}
	for _, s := range p.steps {
		if err := s.apply(r); err != nil {
			return Output{}, locate(s.at, err)
		}
		if r.deleted {
			return Output{Deleted: true}, nil
		}
	}
	if err := r.measure(); err != nil {
		return Output{}, err
	}
	return Output{State: r.state}, nil
}

func (s step) apply(r *run) error {
	if s.opaque && len(r.in.Gone) > 0 {
		return nil
	}
	if s.cond != nil {
		yes, err := s.cond.holds(r)
		if err != nil || !yes {
			return err
		}
	}
	return s.do.act(r)
}

// locate names the place in the declaration, unless that is done already.
func locate(at string, err error) error {
	f, ok := err.(*fault.Error)
	if !ok || f.Field != "" {
		return err
	}
	located := *f
	located.Field = at
	return &located
}

// A run is one event being applied.
type run struct {
	ctx     context.Context
	in      Input
	state   map[string]any // what the steps so far have made; its own map
	written map[string]bool
	deleted bool
	fields  map[string]bool
	limits  Limits
	meta    map[string]any // made when it is asked for
}

// put sets a field. null unsets it: no field of a state is null.
func (r *run) put(name string, v any) error {
	if r.fields != nil && !r.fields[name] {
		return fault.New(fault.Refused, "it sets a field that the entity does not have: declare it, or do not set it")
	}
	if v == nil {
		delete(r.state, name)
		return nil
	}
	if r.written == nil {
		r.written = map[string]bool{}
	}
	r.state[name], r.written[name] = v, true
	return nil
}

// measure refuses fields that grew too large or too deep.
func (r *run) measure() error {
	for name := range r.written {
		v, ok := r.state[name]
		if !ok {
			continue
		}
		if left := r.limits.Field; !within(v, &left, event.MaxJSONDepth) {
			return fault.New(fault.Exhausted, "a field of the entity would be larger than %d bytes, or nested deeper than %d", r.limits.Field, event.MaxJSONDepth)
		}
	}
	return nil
}

// metaNames are the fields of meta.
var metaNames = [...]string{"entity", "type", "revision", "version", "position", "time", "occurred", "actor", "exists"}

// metaValues gives meta as a JSON value; times are RFC 3339, in UTC.
func (r *run) metaValues() map[string]any {
	if r.meta != nil {
		return r.meta
	}
	m := r.in.Meta
	r.meta = map[string]any{
		"entity": m.Entity, "type": m.Type, "revision": m.Revision, "version": m.Version,
		"position": m.Position, "time": instantText(m.Time), "actor": m.Actor, "exists": r.in.State != nil,
	}
	if m.Occurred != 0 {
		r.meta["occurred"] = instantText(m.Occurred)
	}
	return r.meta
}

// foreignMeta is what a module is told of meta.
func (r *run) foreignMeta() map[string]any {
	meta := r.metaValues()
	if r.in.Untimed {
		meta = maps.Clone(meta)
		maps.DeleteFunc(meta, func(name string, _ any) bool { return isLate(name) })
	}
	return meta
}

func instantText(i event.Instant) string { return i.Time().Format(time.RFC3339Nano) }
