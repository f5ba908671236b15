package api

import (
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/field"
	"muniment.dev/fault"
)

// fillQuery sets the fields that a query names. A name is a path of fields
// with dots, as in the sources or as in JSON; a list's name may repeat. What
// is unknown, given twice or not valid is an Invalid fault that names it;
// so is what is personal or secret, since addresses end up in logs.
func fillQuery(msg proto.Message, query url.Values) error {
	for name, values := range query {
		path := field.Find(msg.ProtoReflect().Descriptor(), name)
		if path == nil && bodyOnly(msg.ProtoReflect().Descriptor(), name) {
			return fault.Field(clip(name, 100), "cannot stand in an address; send it in the body of a POST, as /openapi.json says")
		}
		if path == nil {
			return fault.Field(clip(name, 100), "unknown parameter")
		}
		if field.Personal(path.Leaf()) {
			return fault.Field(name, "personal or secret values do not belong into an address; send them in the body of a POST")
		}
		if err := named(name, field.Set(msg, path, values)); err != nil {
			return err
		}
	}
	return nil
}

// bodyOnly reports whether a name is that of a message or a list of messages,
// or is written as something within one.
func bodyOnly(md protoreflect.MessageDescriptor, name string) bool {
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name = name[:i]
	}
	f := md.Fields().ByJSONName(name)
	if f == nil {
		f = md.Fields().ByName(protoreflect.Name(name))
	}
	return f != nil && f.IsList() && f.Message() != nil
}

// fillPath sets the fields that stand in the path; body and query may repeat
// them, but not contradict them.
func fillPath(msg proto.Message, vars map[string]string) error {
	m := msg.ProtoReflect()
	for name, v := range vars {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		before, had := m.Get(f), m.Has(f)
		m.Clear(f)
		if err := named(name, field.Set(msg, field.Path{f}, []string{v})); err != nil {
			return err
		}
		if had && !before.Equal(m.Get(f)) {
			return fault.Field(name, "the path gives another value")
		}
	}
	return nil
}

// named adds the name of the field at fault.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fault.Field(name, "%s", fault.Public(err))
}
