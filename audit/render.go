package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
)

// Names gives the names by which people know things: of a user, organization,
// project or application. An empty name means that there is none to give.
type Names interface {
	Name(ctx context.Context, kind string, id event.ID) (name string, state event.State)
}

// Reader reads records for people.
type Reader struct {
	Log    *eventlog.Log
	Sealer *seal.Sealer
	Names  Names
}

// Shown is a field's value as a person may see it.
type Shown struct {
	State event.State // Locked: withheld
	Value any         // string, int64, bool or []string if Present
}

// Text is the value as text for a sentence.
func (s Shown) Text() string {
	switch s.State {
	case event.Erased:
		return "(erased)"
	case event.Locked:
		return "(withheld)"
	case event.Absent:
		return "(none)"
	}
	switch v := s.Value.(type) {
	case []string:
		return strings.Join(v, ", ")
	case map[string]any, []any:
		return string(event.FormatJSON(v))
	case nil:
		return "null"
	}
	return fmt.Sprint(s.Value)
}

// Entry is a record with what it says, as far as somebody may see it.
type Entry struct {
	Record   *event.Record
	Fields   []Field
	Sentence string
}

// Field is one field of an entry.
type Field struct {
	*event.Field
	Shown
	raw []byte // CBOR, to be compared
}

// Entry reads a record for somebody.
func (rd *Reader) Entry(ctx context.Context, r *event.Record, s Sight) (*Entry, error) {
	d, opened, err := rd.open(ctx, r)
	if err != nil {
		return nil, err
	}
	fields, err := show(d, r, opened, s)
	if err != nil {
		return nil, err
	}
	e := &Entry{Record: r, Fields: fields}
	e.Sentence = rd.sentence(ctx, d, e, s)
	return e, nil
}

func (rd *Reader) open(ctx context.Context, r *event.Record) (*event.Descriptor, []event.Opened, error) {
	d, err := rd.Sealer.Registry.Lookup(rd.Sealer.Log, r.Type, r.Revision)
	if fault.Is(err, fault.NotFound) {
		d, err = &event.Descriptor{Type: r.Type, Revision: r.Revision, Sentence: "{actor}: " + r.Type}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	opened, err := rd.Sealer.Open(ctx, r)
	return d, opened, err
}

// show lists a record's fields, withholding what may not be seen.
func show(d *event.Descriptor, r *event.Record, opened []event.Opened, s Sight) ([]Field, error) {
	values, err := d.Values(r, opened)
	if err != nil {
		return nil, err
	}
	subjects := map[string]event.SubjectID{}
	for _, v := range values {
		if v.Field.Public && v.Field.Kind == event.IDRef && len(v.CBOR) == 17 {
			subjects[v.Field.Name] = event.SubjectID{ID: event.ID(v.CBOR[1:])}
		}
	}
	var out []Field
	for _, v := range values {
		f := Field{Field: v.Field, Shown: Shown{State: v.State}, raw: v.CBOR}
		withheld := !v.Field.Public && (v.Field.Secret || !s.Opens(r, subjects[v.Field.Of]))
		switch {
		case v.State == event.Present && withheld:
			f.State, f.raw = event.Locked, nil
		case v.State == event.Present:
			if f.Value, err = plain(v.Field.Kind, v.CBOR); err != nil {
				return nil, fault.Wrap("read field "+v.Field.Name, err)
			}
			if d.IsCustom() && things[v.Field.Tag] == "" {
				f.Value = asUUIDs(f.Value, v.Field.Kind)
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// asUUIDs writes the ids in a customer's event as its publisher does, and as its
// entity has them: as UUIDs (RFC 9562 §4).
func asUUIDs(v any, k event.Kind) any {
	switch ids := v.(type) {
	case string:
		if id, err := event.ParseID(ids); err == nil && k == event.IDRef {
			return id.UUID()
		}
	case []string:
		if k != event.IDs {
			return v
		}
		out := make([]string, len(ids))
		for i, s := range ids {
			id, _ := event.ParseID(s) // written by us
			out[i] = id.UUID()
		}
		return out
	}
	return v
}

// plain turns a field's CBOR into what JSON can say.
func plain(k event.Kind, raw []byte) (any, error) {
	decode := event.Strict.Unmarshal
	switch k {
	case event.Int:
		var v int64
		err := decode(raw, &v)
		return v, err
	case event.Bool:
		var v bool
		err := decode(raw, &v)
		return v, err
	case event.Time:
		var v int64
		err := decode(raw, &v)
		return time.UnixMicro(v).UTC().Format(time.RFC3339Nano), err
	case event.IDRef:
		var v event.ID
		err := decode(raw, &v)
		return v.String(), err
	case event.Bytes:
		var v []byte
		err := decode(raw, &v)
		return hex.EncodeToString(v), err
	case event.Texts:
		var v []string
		err := decode(raw, &v)
		return v, err
	case event.IDs:
		var ids []event.ID
		err := decode(raw, &ids)
		v := make([]string, len(ids))
		for i, id := range ids {
			v[i] = id.String()
		}
		return v, err
	case event.JSON:
		return event.DecodeJSON(raw)
	}
	var v string
	err := decode(raw, &v)
	return v, err
}

var placeholder = regexp.MustCompile(`\{[A-Za-z][A-Za-z0-9_-]*\}`)

// visible shows what would change how the text around it reads: control
// characters, and those that turn the direction of writing (Unicode TR 36 §2.5).
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// sentence is what a person would say happened.
func (rd *Reader) sentence(ctx context.Context, d *event.Descriptor, e *Entry, s Sight) string {
	if d.Sentence == "" {
		return d.Type
	}
	return placeholder.ReplaceAllStringFunc(d.Sentence, func(p string) string { return visible(rd.said(ctx, e, s, p[1:len(p)-1])) })
}

// said is what stands for a placeholder in a sentence.
func (rd *Reader) said(ctx context.Context, e *Entry, s Sight, name string) string {
	if name == "actor" {
		return rd.ActorName(ctx, e.Record, s)
	}
	i := slices.IndexFunc(e.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		if name == "organization" {
			return "the instance"
		}
		return "(none)"
	}
	f := e.Fields[i]
	if f.Kind != event.IDRef || f.State != event.Present {
		return f.Text()
	}
	id, _ := event.ParseID(f.Text())
	return rd.name(ctx, e.Record, e.kindOf(f.Field), id, s)
}

// things are the kinds of thing that tags name.
var things = map[string]string{"user": "user", "org": "organization", "project": "project", "app": "application"}

// thing is the kind of thing that an id field names: what its tag says, else
// the field's own name.
func thing(f *event.Field) string {
	if kind, ok := things[f.Tag]; ok {
		return kind
	}
	return f.Name
}

// kindOf is thing, but for the entity that a customer's event is about: that is
// what its stream is of.
func (e *Entry) kindOf(f *event.Field) string {
	if f.Name == "entity" && f.Tag == "entity" {
		return e.Record.Stream.Kind
	}
	return thing(f)
}

// ActorName is what the record's actor is called.
func (rd *Reader) ActorName(ctx context.Context, r *event.Record, s Sight) string {
	switch r.Actor.Kind {
	case "system":
		return "Muniment"
	case "visitor":
		return "somebody who was not signed in"
	}
	return rd.name(ctx, r, r.Actor.Kind, r.Actor.ID, s)
}

// name is what a thing is called; a person's name only if it may be seen.
func (rd *Reader) name(ctx context.Context, r *event.Record, kind string, id event.ID, s Sight) string {
	if kind == "subject" {
		kind = "user"
	}
	if kind == "user" && !s.Opens(r, event.SubjectID{ID: id}) {
		return "user " + id.String()[:8]
	}
	name, state := "", event.Absent
	if rd.Names != nil {
		name, state = rd.Names.Name(ctx, kind, id)
	}
	switch {
	case state == event.Erased:
		return "(erased)"
	case name == "":
		return kind + " " + id.String()[:8]
	}
	return name
}

// Before finds what the fields of an entry were: for each, the last value that
// an earlier record of the same stream gave it, withheld if that may not be seen.
// Public ids name things and do
// not change; they have no before.
func (rd *Reader) Before(ctx context.Context, e *Entry, s Sight) (map[string]Shown, error) {
	missing := map[string][]byte{}
	for _, f := range e.Fields {
		if !(f.Public && f.Kind == event.IDRef) {
			missing[f.Name] = f.raw
		}
	}
	out := map[string]Shown{}
	for r, err := range rd.Log.ReadBack(ctx, event.OfStream(e.Record.Stream), e.Record.Position) {
		if err != nil {
			return nil, fault.Wrap("read what was before", err)
		}
		if len(missing) == 0 {
			break
		}
		d, opened, err := rd.open(ctx, r)
		if err != nil {
			return nil, err
		}
		fields, err := show(d, r, opened, s)
		if err != nil {
			return nil, err
		}
		seen := s.Sees(r)
		for _, f := range fields {
			if _, ok := missing[f.Name]; ok {
				if f.State == event.Present && !seen {
					f.Shown = Shown{State: event.Locked}
				}
				out[f.Name] = f.Shown
				delete(missing, f.Name)
			}
		}
	}
	return out, nil
}

// ContextField is one item of a record's context.
type ContextField struct {
	Name   string
	Sealed bool
	Shown
}

// Context lists a record's context: public items, then sealed ones.
func (rd *Reader) Context(ctx context.Context, r *event.Record, s Sight) ([]ContextField, error) {
	public := map[string]any{}
	if r.Context != nil {
		if err := event.Strict.Unmarshal(r.Context, &public); err != nil {
			return nil, &fault.Error{Kind: fault.Corrupt, Msg: "a record's context is malformed", Err: err}
		}
	}
	var out []ContextField
	for name, v := range public {
		if b, ok := v.([]byte); ok {
			v = hex.EncodeToString(b)
		}
		out = append(out, ContextField{Name: name, Shown: Shown{event.Present, v}})
	}
	slices.SortFunc(out, func(a, b ContextField) int { return strings.Compare(a.Name, b.Name) })
	opened, err := rd.Sealer.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, c := range seal.SealedContext(r, opened) {
		f := ContextField{Name: c.Name, Sealed: true, Shown: Shown{c.State, c.Text}}
		if f.State == event.Present && !s.Opens(r, c.Subject) {
			f.Shown = Shown{State: event.Locked}
		}
		out = append(out, f)
	}
	return out, nil
}
