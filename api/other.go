package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"muniment.dev/api/route"
)

// Other is a request in a protocol of others that means a call of a method of
// ours. Whoever sends it passes the same gate, and what stands around each call
// stands around this one; the answer is the method's own, as over REST.
type Other struct {
	// Path is where it is posted to, such as /v1/cloudevents.
	Path string
	// Method is the full name of what it means.
	Method string
	// Read makes the method's request of a header and a body.
	Read func(context.Context, http.Header, []byte) (proto.Message, error)
	// Field gives a field of the method's request, which an error names, the
	// name that it has in that protocol.
	Field func(string) string
}

// addOthers makes endpoints of the protocols of others.
func (t *transcoder) addOthers() error {
	for i := range t.s.opts.Others {
		o := &t.s.opts.Others[i]
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(o.Method))
		if err != nil {
			return fmt.Errorf("api: %s: %w", o.Path, err)
		}
		m, ok := d.(protoreflect.MethodDescriptor)
		if !ok || m.IsStreamingClient() || m.IsStreamingServer() || !strings.HasPrefix(o.Path, "/v1/") {
			return fmt.Errorf("api: %s cannot mean %s", o.Path, o.Method)
		}
		end := endpoint{Route: route.Route{Method: m, HTTP: http.MethodPost, Template: o.Path, Body: true}, other: o}
		if end.direct, err = t.s.directly(m); err != nil {
			return err
		}
		t.ends = append(t.ends, end)
	}
	return nil
}

// match reports whether a path is the endpoint's.
func (e *endpoint) match(path string) (map[string]string, bool) {
	if e.other != nil {
		return nil, path == e.other.Path
	}
	return e.Match(path)
}

// named is an error whose field has the name of the protocol.
func (o *Other) named(err error) error {
	f := Explain(err)
	if o == nil || f.GetField() == "" {
		return err
	}
	f = proto.CloneOf(f)
	f.Field = o.Field(f.Field)
	out := connect.NewError(connect.CodeOf(err), fmt.Errorf("%s", f.Message))
	var was *connect.Error
	if errors.As(err, &was) {
		maps.Copy(out.Meta(), was.Meta())
	}
	if detail, err := connect.NewErrorDetail(f); err == nil {
		out.AddDetail(detail)
	}
	return out
}
