package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/fault"
)

// strictJSON is the JSON of the Connect protocol and of REST: it refuses
// unknown and duplicate fields, and its errors name the field and never quote
// a value, which might be a password.
type strictJSON struct{ name string }

// Name is the name of the codec in content types.
func (c strictJSON) Name() string { return c.name }

// Marshal encodes a message compactly and always in the same way.
func (c strictJSON) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("not a message")
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Compact(&out, b); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unmarshal decodes a message. Its error is an Invalid fault.
func (c strictJSON) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	if len(b) == 0 {
		return fault.New(fault.Invalid, "the message is empty; the least is {}")
	}
	if err := protojson.Unmarshal(b, m); err != nil {
		f := explainJSON(err)
		if names := enumNames(m.ProtoReflect().Descriptor(), f.Field, 4); len(names) > 0 && strings.HasSuffix(f.Msg, "of type enum") {
			return fault.Field(f.Field, "must be one of %s", strings.Join(names, ", "))
		}
		return f
	}
	return nil
}

// enumNames are the names of the values of the field with a JSON name, if it is
// an enum; in a message, or in those within it so many levels deep.
func enumNames(md protoreflect.MessageDescriptor, name string, levels int) (out []string) {
	fields := md.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if e := f.Enum(); e != nil && (f.JSONName() == name || string(f.Name()) == name) {
			for n := range e.Values().Len() {
				if v := e.Values().Get(n); v.Number() != 0 { // which says nothing
					out = append(out, string(v.Name()))
				}
			}
			return out
		}
		if f.Message() != nil && levels > 0 && !f.IsMap() {
			if out = enumNames(f.Message(), name, levels-1); len(out) > 0 {
				return out
			}
		}
	}
	return nil
}

// What protojson says, as far as we repeat it. Its errors have no types, and
// their texts may quote values.
var (
	unknownField   = regexp.MustCompile(`unknown field "([A-Za-z0-9_.\[\]]{1,100})"`)
	duplicateField = regexp.MustCompile(`duplicate field "([A-Za-z0-9_.\[\]]{1,100})"`)
	badValue       = regexp.MustCompile(`invalid value for (\w+) (?:type|field ([\w.]+)):`)
	linePos        = regexp.MustCompile(`\(line (\d+:\d+)\)`)
)

func explainJSON(err error) *fault.Error {
	at := "the JSON"
	if m := linePos.FindStringSubmatch(err.Error()); m != nil {
		at = "the JSON, line and column " + m[1] + ","
	}
	text := err.Error()
	if m := unknownField.FindStringSubmatch(text); m != nil {
		return fault.Field(m[1], "unknown field %q", m[1])
	}
	if m := duplicateField.FindStringSubmatch(text); m != nil {
		return fault.Field(m[1], "field %q is there twice", m[1])
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		return fault.Field(m[2], "%s has a value that is not valid for a field of type %s", at, m[1])
	}
	return fault.New(fault.Invalid, "%s cannot be read as this message", at)
}
