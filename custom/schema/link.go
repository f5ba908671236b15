package schema

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"muniment.dev/fault"
)

func itoa(i int) string { return strconv.Itoa(i) }

// revisions puts the revisions of an event type in a row. nil if one is missing.
func (r *reading) revisions(name string) *Event {
	byNumber := r.events[name]
	e := &Event{Name: name}
	for n := range uint32(len(byNumber)) {
		def := byNumber[n+1]
		if def == nil {
			last := byNumber[slices.Max(slices.Collect(maps.Keys(byNumber)))]
			r.problems.add(last.File, "/x-revision", "revision %d of %q is missing: revisions are counted from 1, and none is left out; keep the documents of old ones", n+1, name)
			return nil
		}
		e.Revisions = append(e.Revisions, def)
		e.Entity = def.Entity
		if first := e.Revisions[0]; first.Entity != def.Entity {
			r.problems.add(def.File, "/x-entity", "%q happens to %q in revision 1, and in revision %d to %q: make another event type", name, first.Entity, def.Revision, def.Entity)
		}
		if def.Retired && int(n) < len(byNumber)-1 {
			r.problems.add(def.File, "/x-retired", "retires an old revision: only the newest is published anyway; retire that one")
		}
	}
	return e
}

// link completes a set whose documents have no mistakes by themselves.
func (r *reading) link(set *Set) {
	for _, d := range r.docs {
		switch d.kind() {
		case "x-entity-type":
			e := r.entities[d.root["x-entity-type"].(string)]
			expanded := d.expand(d.closed())
			e.accepts, e.check = canonical(expanded), newChecker(d, e.Fields)
		case "x-event":
			def := r.events[d.root["x-event"].(string)][uint32(d.intOf("x-revision", 1, 10_000))]
			def.expanded = d.expand(d.closed())
			def.accepts, def.check = canonical(def.expanded), newChecker(d, def.Fields)
		}
	}
	r.creates(set)
	for _, name := range slices.Sorted(maps.Keys(set.Events)) {
		for _, def := range set.Events[name].Revisions {
			r.complete(set, def)
		}
	}
	r.granularity(set)
}

// creates decides which events may be the first of their entity: those that
// say so, or all if none does.
func (r *reading) creates(set *Set) {
	said := map[string]bool{}
	for _, e := range set.Events {
		if c := e.Latest().creates; c != nil && *c {
			said[e.Entity] = true
		}
	}
	for _, e := range set.Events {
		for _, def := range e.Revisions {
			def.Creates = !said[e.Entity]
			if def.creates != nil {
				def.Creates = *def.creates
			}
		}
	}
}

func (r *reading) complete(set *Set, def *Definition) {
	entity := set.Entities[def.Entity]
	for i, example := range def.Examples {
		if err := def.Validate(example); err != nil {
			r.problems.add(def.File, at("/examples", itoa(i)), "is not what the schema takes: %s", fault.Public(err))
		}
	}
	if r.options.Apply != nil {
		flows, err := r.options.Apply(def, entity)
		if err != nil {
			r.problems.add(def.File, placeOf(err, "/x-apply"), "%s", fault.Public(err))
		}
		def.Flows = flows
	}
	r.upcast(set, def)
	r.exposure(set, def, entity)
	var err error
	if def.Descriptor, err = def.describe(entity); err != nil {
		r.problems.add(def.File, "", "%s", fault.Public(err))
	}
}

// placeOf is the pointer within an annotation that an error names, or else the
// annotation's own.
func placeOf(err error, annotation string) string {
	var f *fault.Error
	if errors.As(err, &f) && strings.HasPrefix(f.Field, annotation+"/") {
		return f.Field
	}
	return annotation
}

// exposure refuses public fields of an entity that are fed from sealed ones:
// what a person's key protects in the log would stand in tables in clear.
func (r *reading) exposure(set *Set, def *Definition, entity *Entity) {
	for _, flow := range def.Flows {
		sources := def.Fields
		if flow.State {
			sources = entity.Fields
		}
		for i := range sources {
			from := &sources[i]
			if flow.From != "" && flow.From != from.Name {
				continue
			}
			for j := range entity.Fields {
				to := &entity.Fields[j]
				switch {
				case !to.Public || !flow.feeds(from, to) || flow.State && from.Public:
				case flow.State:
					r.problems.add(def.File, "/x-apply", "computes %q of %s, which is public, from its field %q, which is sealed: make both public, or both sealed", to.Name, entity.Name, from.Name)
				default:
					r.exposed(set, def, from, to)
				}
			}
		}
	}
}

// feeds tells whether a flow that takes from a field can reach another.
func (f Flow) feeds(from, to *Field) bool {
	if f.To != "" {
		return f.To == to.Name
	}
	return f.From != "" || from.Name == to.Name // all to all is by name
}

func (r *reading) exposed(set *Set, def *Definition, from, to *Field) {
	if !from.Public {
		r.problems.add(def.File, at(from.pointer, "x-public"), "is not true, but the field feeds %q of %s, which is public: make both public, or both sealed", to.Name, def.Entity)
		return
	}
	names := map[string]bool{from.Name: true}
	revisions := set.Events[def.Event].Revisions
	for n := int(def.Revision) - 1; n > 0; n-- {
		names = revisions[n].sources(names, revisions[n-1])
		for _, was := range revisions[n-1].Fields {
			if names[was.Name] && !was.Public {
				r.problems.add(def.File, at(from.pointer, "x-public"), "is fed from %q of revision %d, which is sealed, and feeds %q of %s, which is public: seal that, or keep the two apart", was.Name, n, to.Name, def.Entity)
			}
		}
	}
}

// sources are the fields of the revision before that feed any of those named:
// those of the same name, and what the upcaster adds.
func (d *Definition) sources(names map[string]bool, before *Definition) map[string]bool {
	out := maps.Clone(names)
	for _, f := range d.UpFlows {
		if f.To != "" && !names[f.To] {
			continue
		}
		if f.From != "" {
			out[f.From] = true
			continue
		}
		for i := range before.Fields {
			out[before.Fields[i].Name] = true
		}
	}
	return out
}

// upcast checks what a revision above 1 must have.
func (r *reading) upcast(set *Set, def *Definition) {
	if def.Revision == 1 {
		if def.Upcast != nil {
			r.problems.add(def.File, "/x-upcast", "has nothing to bring up: there is no revision before the first")
		}
		return
	}
	before := set.Events[def.Event].Revisions[def.Revision-2]
	if len(def.Examples) == 0 {
		r.problems.add(def.File, "", `lacks "examples": each revision above 1 shows at least one event as it is published`)
	}
	if def.Upcast == nil {
		if reasons := Compatible(def, before); len(reasons) > 0 {
			r.problems.add(def.File, "", "lacks x-upcast, and events of revision %d are not all good here: %s", before.Revision, joinReasons(reasons))
		}
		return
	}
	if r.options.Upcast == nil {
		return
	}
	up, err := r.options.Upcast(def, before)
	if err != nil {
		r.problems.add(def.File, placeOf(err, "/x-upcast"), "%s", fault.Public(err))
		return
	}
	for i, example := range before.Examples {
		value, err := up(example)
		if err == nil {
			err = def.Validate(value)
		}
		if err != nil {
			r.problems.add(def.File, "/x-upcast", "makes nothing good of example %d of revision %d: %s", i, before.Revision, fault.Public(err))
		}
	}
}

// granularity warns of events that say too little or too much (one field each,
// or a whole entity).
func (r *reading) granularity(set *Set) {
	of := map[string][]*Definition{}
	for _, name := range slices.Sorted(maps.Keys(set.Events)) {
		def := set.Events[name].Latest()
		of[def.Entity] = append(of[def.Entity], def)
		entity := set.Entities[def.Entity]
		if n := len(entity.Fields); n >= 5 && !def.Creates && covers(def, entity) {
			r.warnings.add(def.File, "/properties", "%q carries all %d fields of %s: an event that says what happened names what it changed only", def.Event, n, entity.Name)
		}
		if len(def.Fields) == 1 && def.Fields[0].Kind == Value && blob(def) {
			r.warnings.add(def.File, def.Fields[0].pointer, "is one object that may hold anything: name its fields, so that each can be sealed, checked and searched for")
		}
	}
	for _, entity := range slices.Sorted(maps.Keys(of)) {
		single := slices.DeleteFunc(slices.Clone(of[entity]), func(d *Definition) bool { return len(d.Fields) != 1 })
		if len(single) >= 4 && len(single)*3 > len(of[entity])*2 {
			r.warnings.add(single[0].File, "/properties", "%d of %d event types of %s have one field each: an event says what happened, which mostly changes several", len(single), len(of[entity]), entity)
		}
	}
}

func covers(def *Definition, entity *Entity) bool {
	return !slices.ContainsFunc(entity.Fields, func(f Field) bool { return def.Field(f.Name) == nil })
}

func blob(def *Definition) bool {
	properties, _ := def.Document["properties"].(map[string]any)
	s, _ := properties[def.Fields[0].Name].(map[string]any)
	_, named := s["properties"]
	return s["type"] == "object" && !named
}
