package api

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"muniment.dev/fault"
)

// fillQuery sets the fields that a query names. A name is a path of fields
// with dots, as in the sources or as in JSON; a list's name may repeat. What
// is unknown, given twice or not valid is an Invalid fault that names it;
// so is what is personal or secret, since addresses end up in logs.
func fillQuery(msg proto.Message, query url.Values, taken map[string]string) error {
	for name, values := range query {
		path := fieldPath(msg.ProtoReflect().Descriptor(), name)
		if path == nil {
			return fault.Field(clip(name, 100), "unknown parameter")
		}
		leaf := path[len(path)-1]
		if _, inPath := taken[string(path[0].Name())]; inPath && len(path) == 1 {
			return fault.Field(name, "it stands in the path already")
		}
		if personal(leaf) {
			return fault.Field(name, "personal or secret values do not belong into an address; send them in the body of a POST")
		}
		if len(values) > 1 && !leaf.IsList() {
			return fault.Field(name, "it is there %d times; once is enough", len(values))
		}
		if err := fill(msg, name, path, values); err != nil {
			return err
		}
	}
	return nil
}

// fieldPath finds the field that a name with dots means: a scalar, a list of
// scalars or a time. Nil if there is none.
func fieldPath(md protoreflect.MessageDescriptor, name string) []protoreflect.FieldDescriptor {
	var path []protoreflect.FieldDescriptor
	for part := range strings.SplitSeq(name, ".") {
		if md == nil {
			return nil
		}
		f := md.Fields().ByJSONName(part)
		if f == nil {
			f = md.Fields().ByTextName(part)
		}
		if f == nil || f.IsMap() {
			return nil
		}
		path, md = append(path, f), nil
		if f.Message() != nil && !f.IsList() && !isTime(f) {
			md = f.Message()
		}
	}
	if md != nil || path[len(path)-1].Message() != nil && !isTime(path[len(path)-1]) {
		return nil
	}
	return path
}

func isTime(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == "google.protobuf.Timestamp"
}

// personal reports whether a field is marked debug_redact.
func personal(f protoreflect.FieldDescriptor) bool {
	o, ok := f.Options().(*descriptorpb.FieldOptions)
	return ok && o.GetDebugRedact()
}

// fill sets one field, reading its values as JSON does.
func fill(msg proto.Message, name string, path []protoreflect.FieldDescriptor, values []string) error {
	leaf := path[len(path)-1]
	vs := make([]any, len(values))
	for i, v := range values {
		if !utf8.ValidString(v) {
			return fault.Field(name, "the value is not UTF-8")
		}
		vs[i] = v
		if leaf.Kind() == protoreflect.BoolKind && (v == "true" || v == "false") {
			vs[i] = v == "true"
		}
	}
	var tree any = vs
	if !leaf.IsList() {
		tree = vs[0]
	}
	for i := len(path) - 1; i >= 0; i-- {
		tree = map[string]any{path[i].JSONName(): tree}
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return fault.Field(name, "the value cannot be read")
	}
	part := msg.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(b, part); err != nil {
		return fault.Field(name, "the value is not valid for a field of type %s", typeName(leaf))
	}
	proto.Merge(msg, part)
	return nil
}

func typeName(f protoreflect.FieldDescriptor) string {
	switch {
	case isTime(f):
		return "time (RFC 3339)"
	case f.Enum() != nil:
		return string(f.Enum().Name())
	}
	return f.Kind().String()
}

// fillPath sets the fields that stand in the path; the body may repeat them,
// but not contradict them.
func fillPath(msg proto.Message, vars map[string]string) error {
	m := msg.ProtoReflect()
	for name, v := range vars {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		before, had := m.Get(f), m.Has(f)
		m.Clear(f)
		if err := fill(msg, name, []protoreflect.FieldDescriptor{f}, []string{v}); err != nil {
			return err
		}
		if had && !before.Equal(m.Get(f)) {
			return fault.Field(name, "the body and the path differ")
		}
	}
	return nil
}
