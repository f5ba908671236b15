package auditapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/types/known/structpb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// event is an entry as a message.
func (s *Service) event(ctx context.Context, e *audit.Entry, sight audit.Sight) *munimentv1.Event {
	r := e.Record
	m := &munimentv1.Event{
		LogId: r.Log.String(), Position: uint64(r.Position), EventId: r.ID.String(), Stream: r.Stream.String(),
		StreamVersion: r.Version, Type: r.Type, Revision: r.Revision, Time: timestamp(r.Time), Sentence: e.Sentence,
		Actor: &munimentv1.Actor{Kind: r.Actor.Kind, Id: r.Actor.ID.String(), Name: &munimentv1.Text{Value: s.Reader.ActorName(ctx, r, sight)}},
	}
	if orgs := audit.Organizations(r); len(orgs) > 0 {
		m.OrganizationId = orgs[0].String()
	}
	return m
}

// details are what an event is answered with, besides what every event is.
type details struct{ fields, before, leaf bool }

// detailed is a record as a message with details.
func (s *Service) detailed(ctx context.Context, r *event.Record, sight audit.Sight, want details) (*munimentv1.Event, error) {
	e, err := s.Reader.Entry(ctx, r, sight)
	if err != nil {
		return nil, err
	}
	m := s.event(ctx, e, sight)
	if want.leaf {
		m.Leaf = r.Leaf
	}
	if !want.fields {
		return m, nil
	}
	if want.before {
		m.Fields, err = s.changes(ctx, e, sight)
	} else {
		m.Fields, err = fieldsOf(e, nil)
	}
	if err != nil {
		return nil, err
	}
	if m.Context, err = s.context(ctx, r, sight); err != nil {
		return nil, err
	}
	for _, t := range r.Tags {
		m.Tags = append(m.Tags, string(t))
	}
	return m, nil
}

// changes lists the fields with what they were before.
func (s *Service) changes(ctx context.Context, e *audit.Entry, sight audit.Sight) ([]*munimentv1.FieldChange, error) {
	before, err := s.Reader.Before(ctx, e, sight)
	if err != nil {
		return nil, err
	}
	return fieldsOf(e, before)
}

// fieldsOf lists the fields of an entry; before may be nil.
func fieldsOf(e *audit.Entry, before map[string]audit.Shown) (out []*munimentv1.FieldChange, err error) {
	for _, f := range e.Fields {
		c := &munimentv1.FieldChange{Path: f.Path(), Sealed: !f.Public}
		if c.After, err = value(f.Shown); err != nil {
			return nil, err
		}
		if b, ok := before[f.Name]; ok {
			if c.Before, err = value(b); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// context lists a record's context.
func (s *Service) context(ctx context.Context, r *event.Record, sight audit.Sight) ([]*munimentv1.Field, error) {
	fields, err := s.Reader.Context(ctx, r, sight)
	if err != nil {
		return nil, err
	}
	var out []*munimentv1.Field
	for _, f := range fields {
		v, err := value(f.Shown)
		if err != nil {
			return nil, err
		}
		out = append(out, &munimentv1.Field{Path: "/" + f.Name, Value: v, Sealed: f.Sealed})
	}
	return out, nil
}

func value(s audit.Shown) (*munimentv1.FieldValue, error) {
	switch s.State {
	case event.Erased:
		return &munimentv1.FieldValue{Erased: true}, nil
	case event.Locked:
		return &munimentv1.FieldValue{Withheld: true}, nil
	}
	v := s.Value
	if list, ok := v.([]string); ok {
		items := make([]any, len(list))
		for i, x := range list {
			items[i] = x
		}
		v = items
	}
	out := &munimentv1.FieldValue{}
	kept, exact := asDoubles(v)
	if !exact {
		out.ValueJson = string(event.FormatJSON(v))
	}
	var err error
	out.Value, err = structpb.NewValue(kept)
	return out, fault.Wrap("encode a value", err)
}

// asDoubles is a value in which numbers that a double cannot hold are strings of
// their digits, and whether there was none: nobody is answered another number
// than the one that was recorded.
func asDoubles(v any) (_ any, exact bool) {
	const safe = 1 << 53 // RFC 8259 §6
	exact = true
	switch v := v.(type) {
	case int64:
		if v > safe || v < -safe {
			return strconv.FormatInt(v, 10), false
		}
	case json.Number:
		f, err := v.Float64()
		if again, errD := event.Decimal(strconv.FormatFloat(f, 'g', -1, 64)); err != nil || errD != nil || again != any(v) {
			return v.String(), false
		}
		return f, true
	case []any:
		out := make([]any, len(v))
		for i := range v {
			x, ok := asDoubles(v[i])
			out[i], exact = x, exact && ok
		}
		return out, exact
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			x, ok := asDoubles(v[name])
			out[name], exact = x, exact && ok
		}
		return out, exact
	}
	return v, exact
}

// raw is the record as stored.
func (s *Service) raw(ctx context.Context, r *event.Record, sight audit.Sight) (*munimentv1.RawRecord, error) {
	text, err := leafJSON(r.Leaf)
	if err != nil {
		return nil, err
	}
	h := r.Hash()
	raw := &munimentv1.RawRecord{Leaf: r.Leaf, LeafJson: text, LeafHash: h[:]}
	for i, b := range r.Blocks {
		m := &munimentv1.SealedBlock{SubjectId: b.Subject.String(), KeyId: b.Key.String(), Digest: b.Digest[:]}
		_, state, err := s.Reader.Sealer.Assigned.AssignedKey(ctx, b.Subject)
		if err != nil {
			return nil, err
		}
		m.Erased = state == event.Erased
		if !m.Erased && sight.Opens(r, b.Subject) {
			m.Ciphertext = r.Ciphertexts[i]
		}
		raw.Blocks = append(raw.Blocks, m)
	}
	return raw, nil
}

// keys of the leaf, by number (docs/record-format.md).
var leafKeys = map[uint64]string{
	1: "format", 2: "log", 3: "position", 4: "event", 5: "stream", 6: "version", 7: "type", 8: "revision", 9: "time",
	10: "actor", 11: "previous", 12: "previous_in_stream", 13: "public", 14: "context", 15: "tags", 16: "sealed",
}

// leafJSON shows a leaf as JSON with names for its keys and byte strings in
// hexadecimal.
func leafJSON(leaf []byte) (string, error) {
	var m map[uint64]any
	if err := event.Strict.Unmarshal(leaf, &m); err != nil {
		return "", fault.Wrap("show a leaf", err)
	}
	var keys []uint64
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	b.WriteString("{\n")
	for i, k := range keys {
		v, err := json.MarshalIndent(readable(m[k]), "  ", "  ")
		if err != nil {
			return "", fault.Wrap("show a leaf", err)
		}
		name, _ := json.Marshal(leafKeys[k])
		b.WriteString("  " + string(name) + ": " + string(v))
		if i < len(keys)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	return b.String() + "}", nil
}

func readable(v any) any {
	switch v := v.(type) {
	case []byte:
		return hex.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = readable(x)
		}
		return out
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			name, ok := k.(string)
			if !ok {
				b, _ := json.Marshal(k)
				name = string(b)
			}
			out[name] = readable(x)
		}
		return out
	case cbor.Tag:
		return readable(v.Content)
	}
	return v
}

// eventType describes a type.
func eventType(d *event.Descriptor) *munimentv1.EventType {
	m := &munimentv1.EventType{Name: d.Type, Revision: d.Revision, Description: d.Sentence, RetentionDays: int32(d.Retention)}
	for i := range d.Fields {
		f := &d.Fields[i]
		m.Fields = append(m.Fields, &munimentv1.EventField{Path: f.Path(), Kind: string(f.Kind), Public: f.Public, Subject: f.Of, Secret: f.Secret, Tag: f.Tag})
		if f.Tag != "" {
			m.Tags = append(m.Tags, f.Tag)
		}
	}
	return m
}
