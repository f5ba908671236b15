package schema

import (
	"encoding/hex"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// The fields that every event of a customer has besides its own, and the tags
// by which records are found. A list of the events of an entity is found by
// its stream; what points to it, by TagRef.
const (
	FieldEntity       = "entity"
	FieldOrganization = "organization"
	TagEntity         = "entity"
	TagOrganization   = "org"
	TagRef            = "ref"
)

// Taken and Former name the hidden field of an event in which a value that is
// unique to its entity is taken, and released. They are sealed under the entity
// and never stored: only their blind tag is.
func Taken(field string) string { return "unique:" + field }

// Former: see Taken.
func Former(field string) string { return "former:" + field }

// BlindName is the name of the blind tags of an entity type's unique field where
// a value is taken; FormerName is that where it is released.
func BlindName(entity, field string) string { return entity + "." + field }

// FormerName: see BlindName.
func FormerName(entity, field string) string { return BlindName(entity, field) + ".former" }

// TagName is the name of the tag of an event's field that has x-tag.
func TagName(entity, field string) string { return entity + "." + field }

// describe makes the descriptor of a revision.
func (d *Definition) describe(e *Entity) (event.Descriptor, error) {
	out := event.Descriptor{Type: d.Event, Revision: d.Revision, Sentence: d.Sentence, Retention: e.Retention, Fields: []event.Field{
		{Name: FieldEntity, Kind: event.IDRef, Public: true, Tag: TagEntity},
		{Name: FieldOrganization, Kind: event.IDRef, Public: true, Tag: TagOrganization},
	}}
	for i := range d.Fields {
		out.Fields = append(out.Fields, d.describeField(&d.Fields[i]))
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Unique == "" {
			continue
		}
		out.Fields = append(out.Fields,
			event.Field{Name: Taken(f.Name), Kind: event.Text, Of: FieldEntity, Blind: BlindName(e.Name, f.Name), Fold: true, Only: true},
			event.Field{Name: Former(f.Name), Kind: event.Text, Of: FieldEntity, Blind: FormerName(e.Name, f.Name), Fold: true, Only: true})
	}
	return out, out.Check()
}

func (d *Definition) describeField(f *Field) event.Field {
	out := event.Field{Name: f.Name, Kind: event.JSON, Public: f.Public}
	switch {
	case !f.Public:
		out.Of = FieldEntity
		if f.Subject != "" {
			out.Of = f.Subject
		}
		return out
	case f.Kind == UUID:
		out.Kind = event.IDRef
	case f.Kind == UUIDs:
		out.Kind = event.IDs
	}
	switch {
	case f.Tag:
		out.Tag = TagName(d.Entity, f.Name)
	case f.Ref != "" || f.Kind == UUID && d.isSubject(f.Name):
		out.Tag = TagRef
	}
	return out
}

func (d *Definition) isSubject(name string) bool {
	for i := range d.Fields {
		if d.Fields[i].Subject == name {
			return true
		}
	}
	return false
}

// Payload makes what is recorded of a value that Validate took. Ids get the one
// form that they have here: lower case, with dashes.
func (d *Definition) Payload(entity, organization event.ID, value map[string]any) (event.Custom, error) {
	fields := make(map[string]any, len(value)+2)
	fields[FieldEntity] = entity
	if !organization.IsZero() {
		fields[FieldOrganization] = organization
	}
	for name, v := range value {
		f := d.Field(name)
		if f == nil {
			return event.Custom{}, fault.Field("/"+event.EscapePointer(name), "%s has no such field", d.Event)
		}
		v, err := f.stored(v)
		if err != nil {
			return event.Custom{}, err
		}
		fields[name] = v
	}
	return event.Custom{Type: d.Event, Revision: d.Revision, Fields: fields}, nil
}

// stored is a value as the descriptor's field holds it.
func (f *Field) stored(v any) (any, error) {
	switch f.Kind {
	case UUID:
		text, _ := v.(string)
		id, err := event.ParseID(strings.ToLower(text))
		if err != nil {
			return nil, fault.Field(f.Path(), "must be a uuid")
		}
		if f.Public {
			return id, nil
		}
		return UUIDOf(id), nil
	case UUIDs:
		list, _ := v.([]any)
		ids := make([]event.ID, len(list))
		texts := make([]any, len(list))
		for i := range list {
			text, _ := list[i].(string)
			id, err := event.ParseID(strings.ToLower(text))
			if err != nil {
				return nil, fault.Field(at(f.Path(), itoa(i)), "must be a uuid")
			}
			ids[i], texts[i] = id, UUIDOf(id)
		}
		if f.Public {
			return ids, nil
		}
		return texts, nil
	}
	return v, nil
}

// Value makes of a recorded payload what was published: the fields that are
// there and can be read, as JSON values.
func (d *Definition) Value(c event.Custom) map[string]any {
	value := make(map[string]any, len(c.Fields))
	for i := range d.Fields {
		v, ok := c.Fields[d.Fields[i].Name]
		if !ok {
			continue
		}
		switch w := v.(type) {
		case event.ID:
			v = UUIDOf(w)
		case []event.ID:
			list := make([]any, len(w))
			for j := range w {
				list[j] = UUIDOf(w[j])
			}
			v = list
		}
		value[d.Fields[i].Name] = v
	}
	return value
}

// UUIDOf writes an id as RFC 9562 §4 does.
func UUIDOf(id event.ID) string {
	var b [36]byte
	hex.Encode(b[:], id[:4])
	b[8] = '-'
	hex.Encode(b[9:], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// UniqueValues are the values of an entity that no other of its type may have,
// by field, as the hidden fields hold them: with what they are unique within.
// Values that are missing or null are not compared.
func (e *Entity) UniqueValues(organization event.ID, state map[string]any) map[string]string {
	out := map[string]string{}
	for i := range e.Fields {
		f := &e.Fields[i]
		v := state[f.Name]
		if f.Unique == "" || v == nil {
			continue
		}
		within := ""
		switch f.Unique {
		case "instance":
		case "organization":
			within = organization.String()
		default:
			within = plain(state[strings.TrimPrefix(f.Unique, "/")])
		}
		out[f.Name] = within + "\x00" + plain(v)
	}
	return out
}

// plain writes a text, integer or boolean as text.
func plain(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	return string(event.FormatJSON(v))
}
