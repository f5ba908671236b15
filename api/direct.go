package api

import (
	"context"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/call"
)

// direct calls a method's implementation with the message itself. Whoever uses
// it has let the caller in (Server.enter); the rest of what stands around a
// call is there.
type direct struct {
	fresh func() proto.Message // an empty request
	call  func(context.Context, proto.Message) (proto.Message, call.Place, error)
}

var (
	contextType = reflect.TypeFor[context.Context]()
	messageType = reflect.TypeFor[proto.Message]()
	errorType   = reflect.TypeFor[error]()
)

// directly finds the implementation of a method that is not a stream. What is
// generated of a service has a Go method of the same name for each.
func (s *Server) directly(m protoreflect.MethodDescriptor) (direct, error) {
	impl := reflect.ValueOf(s.impls["/"+string(m.Parent().FullName())+"/"]).MethodByName(string(m.Name()))
	if !impl.IsValid() {
		return direct{}, fmt.Errorf("api: %s is not implemented", m.FullName())
	}
	t := impl.Type()
	if t.NumIn() != 2 || t.NumOut() != 2 || t.In(0) != contextType || !t.In(1).Implements(messageType) || !t.Out(0).Implements(messageType) || t.Out(1) != errorType {
		return direct{}, fmt.Errorf("api: %s has another form than methods have that are no streams: %s", m.FullName(), t)
	}
	request, around := t.In(1).Elem(), (&interceptor{s}).around
	fresh := func() proto.Message { return reflect.New(request).Interface().(proto.Message) }
	if got := fresh().ProtoReflect().Descriptor().FullName(); got != m.Input().FullName() {
		return direct{}, fmt.Errorf("api: %s takes a %s, not a %s", m.FullName(), got, m.Input().FullName())
	}
	return direct{fresh, func(ctx context.Context, in proto.Message) (out proto.Message, _ call.Place, _ error) {
		place, err := around(ctx, in, func(ctx context.Context) (any, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			got := impl.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(in)})
			if err, _ := got[1].Interface().(error); err != nil {
				return nil, err
			}
			out = got[0].Interface().(proto.Message)
			return out, nil
		})
		return out, place, err
	}}, nil
}
