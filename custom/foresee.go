package custom

import (
	"maps"
	"slices"
	"strings"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

// foresee refuses unique values that are not known before an event is recorded:
// those that rest on its position or on when it was recorded, which are settled
// only then. Whatever an expression rests on decides whether it fails, too, and
// with it all that its program writes.
func (d *Definitions) foresee() error {
	for _, name := range slices.Sorted(maps.Keys(d.Set.Entities)) {
		t := d.Set.Entities[name]
		if !d.Unique(name) {
			continue
		}
		late, deletes := d.late(t)
		for i := range t.Fields {
			f := &t.Fields[i]
			within, ofField := strings.CutPrefix(f.Unique, "/")
			if f.Unique != "" && (late[f.Name] || ofField && late[within]) {
				return fault.Field(t.File, "%s of %s is unique, and rests on the position or the time at which events are recorded, which nobody knows before; leave meta.position and meta.time out of what it follows from (meta.occurred and meta.version are known)", f.Name, name)
			}
		}
		if deletes {
			return fault.Field(t.File, "%s has unique values, and whether it is deleted rests on the position or the time at which events are recorded, which nobody knows before; decide by something else", name)
		}
	}
	return nil
}

// late are the fields of an entity that rest on the position or the time of its
// events, and whether its end does.
func (d *Definitions) late(t *schema.Entity) (fields map[string]bool, deletes bool) {
	fields = map[string]bool{}
	for more := true; more; {
		before := len(fields)
		for name, e := range d.Set.Events {
			if e.Entity == t.Name && d.lateOf(t, d.programs[name], fields) {
				deletes = true
			}
		}
		more = len(fields) > before
	}
	return fields, deletes
}

// lateOf adds what one program makes late, given what is late before.
func (d *Definitions) lateOf(t *schema.Entity, p *apply.Program, fields map[string]bool) (deletes bool) {
	l := p.Late()
	computes := l.Computes
	add := func(to string) {
		for i := range t.Fields {
			if name := t.Fields[i].Name; to == "*" || to == name {
				fields[name] = true
			}
		}
	}
	for _, to := range l.Fields {
		add(to)
	}
	for _, read := range l.Reads {
		name, ofState := strings.CutPrefix(read, "state.")
		computes = computes || ofState && (fields[name] || name == "*" && len(fields) > 0)
	}
	if computes {
		for _, to := range p.Writes() {
			add(to)
		}
	}
	return computes && l.Deletes
}
