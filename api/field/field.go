// Package field sets the fields of messages from text, as a query or a command
// line gives them: scalars, lists of scalars and times, anywhere in a message,
// read as ProtoJSON reads them.
package field

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"muniment.dev/fault"
)

// Path leads from a message to a field in it, or in a message in it.
type Path []protoreflect.FieldDescriptor

// Leaf is the field that the path leads to.
func (p Path) Leaf() protoreflect.FieldDescriptor { return p[len(p)-1] }

// Find answers the path that a name with dots means, its parts as in the
// sources or as in JSON; nil if it leads to nothing that text can give.
func Find(md protoreflect.MessageDescriptor, name string) Path {
	var path Path
	for part := range strings.SplitSeq(name, ".") {
		if md == nil {
			return nil
		}
		f := md.Fields().ByJSONName(part)
		if f == nil {
			f = md.Fields().ByTextName(part)
		}
		if f == nil {
			return nil
		}
		path, md = append(path, f), inner(f)
	}
	if !settable(path.Leaf()) {
		return nil
	}
	return path
}

// All lists the paths to every field of a message that text can give, in the
// order of the sources.
func All(md protoreflect.MessageDescriptor) []Path {
	var out []Path
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		if settable(f) {
			out = append(out, Path{f})
			continue
		}
		if m := inner(f); m != nil {
			for _, p := range All(m) {
				out = append(out, append(Path{f}, p...))
			}
		}
	}
	return out
}

// inner is the message to look for further parts of a path in.
func inner(f protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if f.Message() == nil || f.IsList() || f.IsMap() || IsTime(f) {
		return nil
	}
	return f.Message()
}

func settable(f protoreflect.FieldDescriptor) bool {
	return !f.IsMap() && (f.Message() == nil || IsTime(f))
}

// IsTime reports whether the field is a point in time.
func IsTime(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == "google.protobuf.Timestamp"
}

// Personal reports whether the field is personal or secret: debug_redact.
func Personal(f protoreflect.FieldDescriptor) bool {
	o, ok := f.Options().(*descriptorpb.FieldOptions)
	return ok && o.GetDebugRedact()
}

// Type names the type of a field's values, for people.
func Type(f protoreflect.FieldDescriptor) string {
	switch {
	case IsTime(f):
		return "time"
	case f.Message() != nil:
		return string(f.Message().Name())
	case f.Enum() != nil:
		return string(f.Enum().Name())
	}
	return f.Kind().String()
}

// Set sets one field, a list to all of the values, anything else to the only
// one. Its error is an Invalid fault that does not quote the values.
func Set(msg proto.Message, path Path, values []string) error {
	leaf := path.Leaf()
	if len(values) != 1 && !leaf.IsList() {
		return fault.New(fault.Invalid, "it is there %d times; once is enough", len(values))
	}
	vs := make([]any, len(values))
	for i, v := range values {
		if !utf8.ValidString(v) {
			return fault.New(fault.Invalid, "the value is not UTF-8")
		}
		vs[i] = v
		if leaf.Kind() == protoreflect.BoolKind && (v == "true" || v == "false") {
			vs[i] = v == "true"
		}
		if leaf.Enum() != nil {
			vs[i] = longName(leaf.Enum(), v)
		}
	}
	if len(path) == 1 && leaf.Kind() == protoreflect.StringKind && !leaf.IsList() { // such as every id in a path
		msg.ProtoReflect().Set(leaf, protoreflect.ValueOfString(values[0]))
		return nil
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
		return fault.New(fault.Invalid, "the value cannot be read")
	}
	part := msg.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(b, part); err != nil {
		return fault.New(fault.Invalid, "the value is not valid for a field of type %s", Type(leaf))
	}
	proto.Merge(msg, part)
	return nil
}

// longName is the name of an enum's value as the sources have it: "jsonl" means
// EXPORT_FORMAT_JSONL. What means none stays as it is.
func longName(e protoreflect.EnumDescriptor, v string) string {
	long := strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED") + strings.ToUpper(strings.ReplaceAll(v, "-", "_"))
	if v == strings.ToLower(v) && !strings.HasSuffix(long, "_UNSPECIFIED") && e.Values().ByName(protoreflect.Name(long)) != nil {
		return long
	}
	return v
}
