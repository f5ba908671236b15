package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Where annotations may stand. docs/reference/schema.md says what they mean.
var (
	rootEntity = []string{"x-entity-type", "x-retention", "x-duplicates", "x-retired"}
	rootEvent  = []string{"x-event", "x-entity", "x-revision", "x-sentence", "x-apply", "x-upcast", "x-creates", "x-conflict", "x-retired"}
	ofEntity   = []string{"x-public", "x-subject", "x-search", "x-unique", "x-ref"}
	ofEvent    = []string{"x-public", "x-subject", "x-ref", "x-tag"}
)

// Annotations are the names of all annotations, sorted.
func Annotations() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(rootEntity, rootEvent, ofEntity, ofEvent))))
}

func (d *document) rootAnnotations() []string {
	switch d.kind() {
	case "x-entity-type":
		return rootEntity
	case "x-event":
		return rootEvent
	}
	return nil
}

func (r *reading) propertyAnnotations(d *document) []string {
	switch d.kind() {
	case "x-entity-type":
		return ofEntity
	case "x-event":
		return ofEvent
	}
	return nil
}

// whereItStands ends a message about an annotation that stands elsewhere.
func (r *reading) whereItStands(d *document, name string) string {
	switch {
	case slices.Contains(d.rootAnnotations(), name):
		return ": it belongs to the root"
	case slices.Contains(r.propertyAnnotations(d), name):
		return ": it belongs to the properties of the root, each of which is one field"
	case slices.Contains(rootEntity, name) || slices.Contains(ofEntity, name):
		return ": it belongs to an entity type's document"
	}
	return ": it belongs to an event type's document"
}

// text reads an annotation that is a text; "" if it is missing or wrong.
func (d *document) textOf(s map[string]any, pointer, name string) string {
	v, ok := s[name]
	if !ok {
		return ""
	}
	text, ok := v.(string)
	if !ok || strings.TrimSpace(text) == "" {
		d.add(at(pointer, name), "must be a text")
		return ""
	}
	return text
}

func (d *document) boolOf(s map[string]any, pointer, name string) bool {
	v, ok := s[name]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		d.add(at(pointer, name), "must be true or false")
	}
	return b
}

// intOf reads an annotation that is an integer from 1; otherwise it is missing.
func (d *document) intOf(name string, otherwise, most int64) int64 {
	v, ok := d.root[name]
	if !ok {
		return otherwise
	}
	n, ok := v.(int64)
	if !ok || n < 1 || n > most {
		d.add(at("", name), "must be an integer from 1 to %d", most)
		return otherwise
	}
	return n
}

// oneOf reads an annotation that is one of a few words.
func (d *document) oneOf(s map[string]any, pointer, name string, words ...string) string {
	text := d.textOf(s, pointer, name)
	if text != "" && !slices.Contains(words, text) {
		d.add(at(pointer, name), "%q must be one of %s%s", text, strings.Join(words, ", "), didYouMean(text, words))
		return ""
	}
	return text
}

// object checks that a document describes an object whose fields stand in its
// root's properties.
func (d *document) object() map[string]any {
	if d.root["type"] != "object" {
		d.add("/type", `must be "object": what is recorded is an object whose properties are the fields`)
	}
	for _, name := range []string{"patternProperties", "unevaluatedProperties", "propertyNames", "$ref"} {
		if _, ok := d.root[name]; ok {
			d.add(at("", name), "cannot stand at the root: each field is named in properties, where it is public or sealed")
		}
	}
	if v, ok := d.root["additionalProperties"]; ok && v != false {
		d.add("/additionalProperties", "must be false, or be left out: what is not named in properties is refused")
	}
	properties, _ := d.root["properties"].(map[string]any)
	required, _ := d.root["required"].([]any)
	for i, name := range required {
		text, ok := name.(string)
		if _, known := properties[text]; ok && !known {
			d.add(at("/required", fmt.Sprint(i)), "names %q, which is no property%s", text, didYouMean(text, d.order))
		}
	}
	return properties
}

// fields reads the properties of the root.
func (d *document) fields() []Field {
	properties := d.object()
	fields := make([]Field, 0, len(properties))
	for _, name := range d.order {
		pointer := at("/properties", name)
		if wrong := checkFieldName(name); wrong != "" {
			d.add(pointer, "%s", wrong)
		}
		s, ok := properties[name].(map[string]any)
		if !ok {
			d.add(pointer, "must be an object that says what the field holds")
			continue
		}
		fields = append(fields, d.field(name, pointer, s))
	}
	for i := range fields {
		d.subject(&fields[i], fields)
	}
	return fields
}

func (d *document) field(name, pointer string, s map[string]any) Field {
	f := Field{Name: name, pointer: pointer, Kind: d.fieldKind(s, 0)}
	f.Title, _ = s["title"].(string)
	f.Description, _ = s["description"].(string)
	f.Public = d.boolOf(s, pointer, "x-public")
	f.Search = Search(d.oneOf(s, pointer, "x-search", string(Exact), string(Prefix)))
	f.Unique = d.textOf(s, pointer, "x-unique")
	f.Tag = d.boolOf(s, pointer, "x-tag")
	f.Ref = d.textOf(s, pointer, "x-ref")
	f.Subject = d.textOf(s, pointer, "x-subject")
	d.checkField(&f, s)
	return f
}

func (d *document) checkField(f *Field, s map[string]any) {
	scalar := f.Kind == Text || f.Kind == UUID || f.Kind == Integer || f.Kind == Bool
	switch {
	case f.Ref != "" && f.Kind != UUID && f.Kind != UUIDs:
		d.add(at(f.pointer, "x-ref"), `needs "type": "string" and "format": "uuid", or an array whose items are so`)
	case f.Public && f.Kind == UUIDs && d.kind() == "x-event" && !bounded(s["maxItems"], MaxRefs):
		d.add(f.pointer, `needs "maxItems" of at most %d: each of its ids becomes a tag`, MaxRefs)
	}
	switch {
	case f.Search == Prefix && f.Kind != Text:
		d.add(at(f.pointer, "x-search"), `needs "type": "string": only texts are searched for by how they begin`)
	case f.Search != "" && !scalar && !f.Public:
		d.add(at(f.pointer, "x-search"), `needs "type": "string", "integer" or "boolean": sealed lists are not searched`)
	}
	if f.Unique != "" && !scalar {
		d.add(at(f.pointer, "x-unique"), `needs "type": "string" or "integer": lists and objects are not compared`)
	}
	if f.Tag {
		d.checkTag(f, s, scalar)
	}
}

func (d *document) checkTag(f *Field, s map[string]any, scalar bool) {
	here := at(f.pointer, "x-tag")
	_, enum := s["enum"]
	switch {
	case !f.Public:
		d.add(here, `needs "x-public": true: tags stand in the record in clear`)
	case !scalar:
		d.add(here, `needs "type": "string", "integer" or "boolean"`)
	case f.Kind == Text && !enum && !bounded(s["maxLength"], MaxTagged):
		d.add(here, `needs "maxLength" of at most %d, or an "enum"`, MaxTagged)
	}
}

func bounded(v any, most int64) bool {
	n, ok := v.(int64)
	return ok && n <= most
}

// fieldKind tells what a field holds, following its $ref if it says nothing
// itself.
func (d *document) fieldKind(s map[string]any, hops int) Kind {
	ref, isRef := s["$ref"].(string)
	if _, typed := s["type"]; !typed && isRef && hops < MaxNesting {
		to, pointer, wrong := d.target(ref)
		if target, ok := map[string]any(nil), false; wrong == "" {
			if target, ok = to.lookup(pointer).(map[string]any); ok {
				return to.fieldKind(target, hops+1)
			}
		}
	}
	switch s["type"] {
	case "string":
		if s["format"] == "uuid" {
			return UUID
		}
		return Text
	case "integer":
		return Integer
	case "boolean":
		return Bool
	case "array":
		items, _ := s["items"].(map[string]any)
		if _, tuple := s["prefixItems"]; !tuple && d.fieldKind(items, hops) == UUID {
			return UUIDs
		}
	}
	return Value
}

// subject checks whose a sealed field is.
func (d *document) subject(f *Field, fields []Field) {
	if f.Subject == "" {
		return
	}
	here := at(f.pointer, "x-subject")
	if f.Public {
		d.add(here, "says whose a sealed field is, but this one is public: leave one of the two out")
		return
	}
	name, ok := strings.CutPrefix(f.Subject, "/")
	f.Subject = name
	if name == "entity" {
		f.Subject = "" // as it is without
		return
	}
	of := fieldOf(fields, name)
	required, _ := d.root["required"].([]any)
	switch {
	case !ok:
		d.add(here, `must be the pointer of a field, such as "/patient"`)
	case of == nil:
		d.add(here, "points to %q, which is no property%s", name, didYouMean(name, d.order))
	case !of.Public || of.Kind != UUID:
		d.add(here, `points to %q, which must have "x-public": true, "type": "string" and "format": "uuid": the subject's id stands in clear`, name)
	case d.kind() == "x-event" && slices.Contains(required, any(f.Name)) && !slices.Contains(required, any(name)):
		d.add(here, "points to %q, which must be required as %q is: without it there is nobody to seal for", name, f.Name)
	}
}
