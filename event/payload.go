package event

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/fault"
)

// New is an event as a decider emits it: which stream it belongs to and what
// it says. Payload is a registered Go struct, or a Custom.
type New struct {
	Stream  Stream
	Payload any

	ID      ID                // zero: a random one
	Context map[string]any    // what is recorded around this event alone, in clear; may be nil
	Private map[string]string // the same, sealed for whom the command's context is sealed; may be nil
}

// Custom is the payload of an event type that is known only at run time.
// Values are what AppendValue encodes to the field's kind, and what Decode
// gives: string, int64, bool, []byte, Instant, ID, []string, []ID, or a JSON
// value.
type Custom struct {
	Type     string
	Revision uint32
	Fields   map[string]any
	Gone     map[string]State // sealed fields that are Erased or Locked; nil if none
}

// BlindField is a value that becomes a blind tag of a subject.
type BlindField struct {
	Subject SubjectID
	Name    string
	N       int
	Value   string // as given; not normalized
	Fold    bool
}

// Parts is a payload taken apart by its descriptor: what stands in clear, what
// is to be sealed and for whom, and what the record is found by.
type Parts struct {
	Public []byte // deterministic CBOR map; nil if empty
	Tags   []Tag
	Sealed map[SubjectID]map[string]cbor.RawMessage // by path
	Blind  []BlindField
}

// Split takes a payload apart. The payload must be of the descriptor's Go
// type, or a Custom of its type and revision.
func (d *Descriptor) Split(payload any) (*Parts, error) {
	get, err := d.reader(payload)
	if err != nil {
		return nil, err
	}
	p := &Parts{}
	public := make([]publicValue, 0, 8)
	for i := range d.Fields {
		f := &d.Fields[i]
		v, ok, err := get(f)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if f.Public {
			public = append(public, publicValue{f, v})
			p.addTags(f, v)
			continue
		}
		of, _, err := get(d.Field(f.Of))
		if err != nil {
			return nil, err
		}
		id, err := asID(of)
		if err != nil {
			return nil, fault.Wrap("find the subject of "+d.Type+"/"+f.Name, err)
		}
		if err := p.seal(f, SubjectID{id}, v); err != nil {
			return nil, err
		}
	}
	p.Public, err = encodePublic(public)
	slices.Sort(p.Tags)
	p.Tags = slices.Compact(p.Tags)
	return p, err
}

// reader returns how to get a field's value out of a payload.
func (d *Descriptor) reader(payload any) (func(*Field) (any, bool, error), error) {
	if c, ok := payload.(Custom); ok {
		for name := range c.Fields {
			if d.Field(name) == nil {
				return nil, fault.Field(name, "%s has no such field", d.Type)
			}
		}
		return func(f *Field) (any, bool, error) { v, ok := c.Fields[f.Name]; return v, ok, nil }, nil
	}
	v := reflect.ValueOf(payload)
	if d.goType == nil || v.Type() != d.goType {
		return nil, fault.New(fault.Internal, "a %T is not a payload of %s", payload, d.Type)
	}
	return func(f *Field) (any, bool, error) { return structField(v, f) }, nil
}

func structField(v reflect.Value, f *Field) (any, bool, error) {
	fv := v.Field(f.index)
	if f.Public {
		return fv.Interface(), f.Always || !fv.IsZero(), nil
	}
	s := fv.Interface().(sealedReader)
	switch s.sealedState() {
	case Present:
		return s.sealedValue(), true, nil
	case Absent:
		return nil, false, nil
	case Erased: // between the facts and now
		return nil, false, fault.New(fault.Erased, "the person was erased meanwhile; there is no %s to be recorded any more", f.Name)
	}
	return nil, false, fault.New(fault.Internal, "field %s is %s and cannot be written into an event", f.Name, s.sealedState())
}

func (p *Parts) addTags(f *Field, v any) {
	if f.Tag == "" {
		return
	}
	switch v := v.(type) {
	case []ID:
		for _, id := range v {
			p.Tags = append(p.Tags, NewTag(f.Tag, id.String()))
		}
	case []string:
		for _, s := range v {
			p.Tags = append(p.Tags, NewTag(f.Tag, s))
		}
	case ID:
		p.Tags = append(p.Tags, NewTag(f.Tag, v.String()))
	default:
		p.Tags = append(p.Tags, NewTag(f.Tag, fmt.Sprint(v)))
	}
}

func (p *Parts) seal(f *Field, subject SubjectID, v any) error {
	if p.Sealed == nil {
		p.Sealed = map[SubjectID]map[string]cbor.RawMessage{}
	}
	fields := p.Sealed[subject]
	if fields == nil {
		fields = map[string]cbor.RawMessage{}
		p.Sealed[subject] = fields
	}
	if f.Blind != "" {
		text, ok := v.(string)
		if !ok {
			return fault.Field(f.Name, "must be text")
		}
		b := BlindField{Subject: subject, Name: f.Blind, Value: text, Fold: f.Fold}
		for _, other := range p.Blind {
			if other.Subject == subject && other.Name == b.Name {
				b.N++
			}
		}
		p.Blind = append(p.Blind, b)
	}
	if f.Only {
		return nil
	}
	raw, err := AppendValue(nil, v)
	fields[f.Path()] = raw
	return err
}

func asID(v any) (ID, error) {
	switch v := v.(type) {
	case ID:
		return v, nil
	case SubjectID:
		return v.ID, nil
	case LogID:
		return v.ID, nil
	}
	return ID{}, fault.New(fault.Invalid, "a subject must be an id, not %T", v)
}

// Opened is one sealed block of a record after an attempt to open it, parallel
// to Record.Blocks. Fields is set if State is Present.
type Opened struct {
	State  State
	Fields map[string]cbor.RawMessage // by path
}

// Value is one field of a stored event.
type Value struct {
	Field *Field
	State State
	CBOR  cbor.RawMessage // if State is Present
}

// Values lists the fields that the record has, in the descriptor's order.
// opened is parallel to r.Blocks; without it sealed fields are Locked.
func (d *Descriptor) Values(r *Record, opened []Opened) ([]Value, error) {
	public, err := publicMap(r)
	if err != nil {
		return nil, err
	}
	out := make([]Value, 0, len(d.Fields))
	for i := range d.Fields {
		f := &d.Fields[i]
		if !f.Public {
			if v := sealedValue(f, r, opened, public); v.State != Absent {
				out = append(out, v)
			}
			continue
		}
		if raw, ok := public[f.key()]; ok {
			out = append(out, Value{Field: f, State: Present, CBOR: raw})
		}
	}
	return out, nil
}

func (f *Field) key() any {
	if f.Key != 0 {
		return f.Key
	}
	return f.Name
}

func publicMap(r *Record) (map[any]cbor.RawMessage, error) {
	public := map[any]cbor.RawMessage{}
	if r.Public == nil {
		return public, nil
	}
	if err := Strict.Unmarshal(r.Public, &public); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Msg: fmt.Sprintf("the payload at position %d is malformed", r.Position), Err: err}
	}
	for k, v := range public {
		if n, ok := k.(int64); ok {
			delete(public, k)
			public[uint64(n)] = v
		}
	}
	return public, nil
}

func sealedValue(f *Field, r *Record, opened []Opened, public map[any]cbor.RawMessage) Value {
	of, ok := public[f.Of]
	if !ok || len(of) != 17 {
		return Value{Field: f}
	}
	path := f.Path()
	for i, b := range r.Blocks {
		if !bytes.Equal(b.Subject.ID[:], of[1:]) {
			continue
		}
		if !slices.ContainsFunc(b.Fields, func(c Commitment) bool { return c.Path == path }) {
			continue
		}
		if i >= len(opened) {
			return Value{Field: f, State: Locked}
		}
		return Value{Field: f, State: opened[i].State, CBOR: opened[i].Fields[path]}
	}
	return Value{Field: f}
}

// Fact is a record together with what it says. Payload is a value of the type
// that was registered for it (not a pointer), or a Custom.
type Fact struct {
	*Record
	Payload any
}

// Decode reads the record's payload into a fresh value of the descriptor's Go
// type, or into a Custom that holds the present fields as `any`.
func (d *Descriptor) Decode(r *Record, opened []Opened) (Fact, error) {
	values, err := d.Values(r, opened)
	if err != nil {
		return Fact{}, err
	}
	if d.goType == nil {
		return d.decodeCustom(r, values)
	}
	p := reflect.New(d.goType).Elem()
	for _, v := range values {
		target := p.Field(v.Field.index).Addr().Interface()
		if !v.Field.Public {
			target = target.(sealedField).open(v.State)
		}
		if v.State != Present {
			continue
		}
		if err := Strict.Unmarshal(v.CBOR, target); err != nil {
			return Fact{}, &fault.Error{Kind: fault.Corrupt, Op: "decode " + d.Type, Field: v.Field.Name, Msg: "malformed", Err: err}
		}
	}
	return Fact{Record: r, Payload: p.Interface()}, nil
}

func (d *Descriptor) decodeCustom(r *Record, values []Value) (Fact, error) {
	c := Custom{Type: d.Type, Revision: d.Revision, Fields: make(map[string]any, len(values))}
	for _, v := range values {
		if v.State != Present {
			if c.Gone == nil {
				c.Gone = map[string]State{}
			}
			c.Gone[v.Field.Name] = v.State
			continue
		}
		x, err := v.Field.decode(v.CBOR)
		if err != nil {
			return Fact{}, &fault.Error{Kind: fault.Corrupt, Op: "decode " + d.Type, Field: v.Field.Name, Msg: "malformed", Err: err}
		}
		c.Fields[v.Field.Name] = x
	}
	return Fact{Record: r, Payload: c}, nil
}

// decode reads a value of the field's kind.
func (f *Field) decode(raw cbor.RawMessage) (any, error) {
	switch f.Kind {
	case Text:
		return decodeAs[string](raw)
	case Int:
		return decodeAs[int64](raw)
	case Bool:
		return decodeAs[bool](raw)
	case Bytes:
		return decodeAs[[]byte](raw)
	case Time:
		return decodeAs[Instant](raw)
	case IDRef:
		return decodeAs[ID](raw)
	case Texts:
		return decodeAs[[]string](raw)
	case IDs:
		return decodeAs[[]ID](raw)
	}
	return DecodeJSON(raw)
}

func decodeAs[T any](raw cbor.RawMessage) (any, error) {
	var v T
	err := Strict.Unmarshal(raw, &v)
	return v, err
}
