package schema

import (
	"maps"
	"slices"
	"strings"
)

// assemble makes entities and events of the documents, and checks what each
// says of the others.
func (r *reading) assemble() *Set {
	for _, d := range r.docs {
		switch d.kind() {
		case "x-entity-type":
			r.entity(d)
		case "x-event":
			r.definition(d)
		}
	}
	set := &Set{Entities: r.entities, Events: map[string]*Event{}}
	for _, d := range r.docs {
		r.relations(d)
	}
	for _, name := range slices.Sorted(maps.Keys(r.events)) {
		if e := r.revisions(name); e != nil {
			set.Events[name] = e
		}
	}
	if len(r.problems) == 0 {
		r.link(set)
	}
	return set
}

func (r *reading) entity(d *document) {
	name := d.textOf(d.root, "", "x-entity-type")
	if _, both := d.root["x-event"]; both {
		d.add("/x-event", "cannot stand beside x-entity-type: write two documents")
	}
	if wrong := checkEntityName(name, r.options.Reserved); name != "" && wrong != "" && !r.options.Recorded {
		d.add("/x-entity-type", "%s", wrong)
	}
	e := &Entity{Name: name, File: d.file, Document: d.root, Fields: d.fields()}
	e.Title, _ = d.root["title"].(string)
	if e.Title == "" {
		e.Title = plainWords(name)
	}
	e.Description, _ = d.root["description"].(string)
	e.Retention = int(d.intOf("x-retention", 0, MaxRetention))
	e.Retired = d.boolOf(d.root, "", "x-retired")
	e.Duplicates = d.duplicates(e)
	for i := range e.Fields {
		d.within(&e.Fields[i], e.Fields)
	}
	if other := r.entities[name]; other != nil {
		d.add("/x-entity-type", "%q is defined by %s already", name, other.File)
		return
	}
	r.entities[name] = e
}

// within checks within what an entity's field is unique.
func (d *document) within(f *Field, fields []Field) {
	here := at(f.pointer, "x-unique")
	if f.Unique != "" && f.Subject != "" {
		d.add(here, "cannot stand beside x-subject: what keeps the value unique goes with the entity, and would outlive the subject's erasure")
	}
	if f.Unique == "" || f.Unique == "instance" || f.Unique == "organization" {
		return
	}
	name, ok := strings.CutPrefix(f.Unique, "/")
	of := fieldOf(fields, name)
	switch {
	case !ok:
		d.add(here, `must be "instance", "organization", or the pointer of a public field within whose values it is unique, such as "/village"`)
	case of == nil || name == f.Name:
		d.add(here, "points to %q, which is no other property%s", name, didYouMean(name, d.order))
	case !of.Public || of.Kind == Value || of.Kind == UUIDs:
		d.add(here, "points to %q, which must be public and one text, integer or boolean", name)
	}
}

func (r *reading) definition(d *document) {
	name := d.textOf(d.root, "", "x-event")
	def := &Definition{Event: name, File: d.file, Document: d.root, Fields: d.fields()}
	def.Entity = d.textOf(d.root, "", "x-entity")
	if _, ok := d.root["x-entity"]; !ok {
		d.add("", `lacks "x-entity": the type of the entity that the event happens to`)
	}
	if wrong := checkEventName(name, def.Entity, r.options.Reserved); name != "" && wrong != "" && !r.options.Recorded {
		d.add("/x-event", "%s", wrong)
	}
	def.Revision = uint32(d.intOf("x-revision", 1, 10_000))
	def.Title, _ = d.root["title"].(string)
	if def.Title == "" {
		def.Title = plainWords(name)
	}
	def.Description, _ = d.root["description"].(string)
	def.Retired = d.boolOf(d.root, "", "x-retired")
	def.Apply, def.Upcast = d.root["x-apply"], d.root["x-upcast"]
	if _, ok := d.root["x-creates"]; ok {
		creates := d.boolOf(d.root, "", "x-creates")
		def.creates = &creates
	}
	def.Conflict = Conflict(d.oneOf(d.root, "", "x-conflict", string(Merge), string(LastWriter), string(Refuse), string(Ask)))
	if def.Conflict == "" {
		def.Conflict = Merge
	}
	d.sentence(def)
	d.examples(def)
	r.place(d, def)
}

// place puts a definition among the revisions of its event type.
func (r *reading) place(d *document, def *Definition) {
	for other := range r.events {
		if other != def.Event && strings.EqualFold(other, def.Event) {
			d.add("/x-event", "%q differs from %q by capitals only: people would take one for the other", def.Event, other)
		}
	}
	revisions := r.events[def.Event]
	if revisions == nil {
		revisions = map[uint32]*Definition{}
		r.events[def.Event] = revisions
	}
	if other := revisions[def.Revision]; other != nil {
		d.add("/x-revision", "revision %d of %q is in %s already: a changed event type is a new revision", def.Revision, def.Event, other.File)
		return
	}
	revisions[def.Revision] = def
}

// sentence reads what people are told, or makes it of the title.
func (d *document) sentence(def *Definition) {
	def.Sentence = d.textOf(d.root, "", "x-sentence")
	if def.Sentence == "" {
		def.Sentence = "{actor}: " + def.Title
		return
	}
	if n := len([]rune(def.Sentence)); n > MaxSentence {
		d.add("/x-sentence", "has %d characters; the limit is %d", n, MaxSentence)
	}
	rest := def.Sentence
	for {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			d.add("/x-sentence", "has a } without a { before it")
		}
		if !open {
			return
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			d.add("/x-sentence", "has a { without a } after it")
			return
		}
		if !slices.Contains(reservedFields, name) && def.Field(name) == nil {
			d.add("/x-sentence", "names {%s}, which is no field; there are {actor}, {entity} and the properties%s", name, didYouMean(name, d.order))
		}
		rest = next
	}
}

func (d *document) examples(def *Definition) {
	v, ok := d.root["examples"]
	list, isList := v.([]any)
	if ok && !isList {
		return // the meta-schema says so
	}
	for i, example := range list {
		object, ok := example.(map[string]any)
		if !ok {
			d.add(at("/examples", itoa(i)), "must be an object: what the event would say")
			continue
		}
		def.Examples = append(def.Examples, object)
	}
}

// relations checks that x-entity and x-ref name entity types of the set.
func (r *reading) relations(d *document) {
	known := slices.Sorted(maps.Keys(r.entities))
	if name, ok := d.root["x-entity"].(string); ok && r.entities[name] == nil {
		d.add("/x-entity", "%q is no entity type of this set%s", name, didYouMean(name, known))
	}
	if d.kind() == "" {
		return
	}
	properties, _ := d.root["properties"].(map[string]any)
	for name, v := range properties {
		s, _ := v.(map[string]any)
		if ref, ok := s["x-ref"].(string); ok && ref != "" && r.entities[ref] == nil && !slices.Contains(r.options.Reserved, ref) {
			d.add(at("/properties", name, "x-ref"), "%q is no entity type of this set%s", ref, didYouMean(ref, known))
		}
	}
}
