package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/trace"
)

// PositionHeader names the header in which an answer says which place in the
// log it reflects, as log:position, and in which a request says what its
// answer must reflect at least.
const PositionHeader = "Muniment-Position"

// interceptor stands around every call of every service.
type interceptor struct{ s *Server }

func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if req.Spec().IsClient {
			return next(ctx, req)
		}
		msg, _ := req.Any().(proto.Message)
		var resp connect.AnyResponse
		place, err := i.around(ctx, msg, func(ctx context.Context) (answer any, err error) {
			if resp, err = next(ctx, req); err != nil {
				return nil, err
			}
			return resp.Any(), nil
		})
		if err != nil {
			return nil, err
		}
		if !place.IsZero() {
			resp.Header().Set(PositionHeader, place.String())
		}
		return resp, nil
	}
}

// around calls a method that is not a stream, with all that stands around each
// call, over whichever protocol it came. It answers the place in the log that
// the answer reflects, zero if it says none. Errors are as the caller sees them.
func (i *interceptor) around(ctx context.Context, msg proto.Message, next func(context.Context) (any, error)) (place call.Place, err error) {
	began := time.Now()
	ctx, span := start(ctx)
	defer func() { i.log(ctx, span, began, err) }()
	defer i.recovered(ctx, &err)
	if msg == nil {
		return place, toConnect(ctx, fault.New(fault.Internal, "a request that is no message"))
	}
	ctx, err = prepare(ctx, msg)
	if err != nil {
		return place, toConnect(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, i.s.opts.Timeout)
	defer cancel()
	ctx, said := call.Recording(ctx)
	answer, err := next(ctx)
	if err != nil {
		return place, toConnect(ctx, inTime(ctx, err))
	}
	if changed, ok := changeOf(answer); ok {
		return changed, nil
	}
	return said(), nil
}

func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler serves a stream, and ends it when its caller's token is
// no longer good.
func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		began := time.Now()
		ctx, span := start(ctx)
		i.s.opts.Observer.Streaming(1)
		defer i.s.opts.Observer.Streaming(-1)
		defer func() { i.log(ctx, span, began, err) }()
		defer i.recovered(ctx, &err)
		if _, err := call.CallerOf(ctx); err != nil {
			return toConnect(ctx, err)
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go i.recheck(ctx, cancel, conn.RequestHeader())
		err = next(ctx, conn)
		var revoked *fault.Error
		if errors.As(context.Cause(ctx), &revoked) {
			err = revoked
		}
		if err != nil {
			return toConnect(ctx, inTime(ctx, err))
		}
		return nil
	}
}

// recheck asks again and again whether the token of a stream is good, until
// the stream ends or the token does. A call without token came in process;
// whoever made it watches its session.
func (i *interceptor) recheck(ctx context.Context, end context.CancelCauseFunc, h http.Header) {
	token, err := bearer(h)
	if err != nil || token == "" {
		return
	}
	tick := time.NewTicker(i.s.opts.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := i.s.opts.Authenticator.Authenticate(ctx, token); fault.Is(err, fault.Unauthenticated) {
			end(fault.New(fault.Unauthenticated, "the access token is no longer good; sign in again"))
			return
		}
	}
}

// recovered turns a panic into an Internal error.
func (i *interceptor) recovered(ctx context.Context, err *error) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	facts, _ := call.FactsOf(ctx)
	// The value of a panic may quote what was being worked on; its type and
	// the place are enough to find the defect.
	i.s.opts.Log.ErrorContext(ctx, "a call panicked", "method", facts.Method, "request", facts.RequestID,
		"value", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	*err = toConnect(ctx, fault.New(fault.Internal, "panic"))
}

// log tells operators of what is theirs to mend, and of everything at debug
// level. Never of messages.
func (i *interceptor) log(ctx context.Context, span *trace.Live, began time.Time, err error) {
	facts, _ := call.FactsOf(ctx)
	took := time.Since(began)
	level, kind, failed := slog.LevelDebug, "ok", ""
	if err != nil {
		f := Explain(err)
		kind = kindName(f.Kind)
		failed = kind
		if f.Kind == munimentv1.FaultKind_FAULT_KIND_INTERNAL || f.Kind == munimentv1.FaultKind_FAULT_KIND_UNKNOWN {
			level = slog.LevelError
		}
	}
	span.End(failed)
	i.s.opts.Observer.Called(facts.Method, kind, took)
	if !i.s.opts.Log.Enabled(ctx, level) {
		return
	}
	i.s.opts.Log.Log(ctx, level, "call", "method", facts.Method, "request", facts.RequestID, "answer", kind, "took", took)
}

// start starts the span of a call, named as the conventions for RPC want it.
func start(ctx context.Context) (context.Context, *trace.Live) {
	facts, _ := call.FactsOf(ctx)
	return trace.Start(ctx, facts.Method, trace.Attr{Key: "rpc.system", Value: "connect_rpc"}, trace.Attr{Key: "muniment.request", Value: facts.RequestID.String()})
}

// inTime makes sense of an error that is only that time ran out: a read may be
// repeated, of a change it is not known whether it happened.
func inTime(ctx context.Context, err error) error {
	var f *fault.Error
	if errors.As(err, &f) || !(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return err
	}
	if facts, _ := call.FactsOf(ctx); !facts.CommandID.IsZero() {
		return &fault.Error{Kind: fault.Unknown, Msg: "time ran out; repeat the call with the same command id", Err: err}
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: "time ran out; repeat the call", Err: err}
}

const maxReason = 1000 // bytes

// prepare requires a caller, and settles the command id and the reason of a
// change, in the message and in the facts.
func prepare(ctx context.Context, msg proto.Message) (context.Context, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return ctx, err
	}
	facts, _ := call.FactsOf(ctx)
	m := msg.ProtoReflect()
	field := m.Descriptor().Fields().ByName("command_id")
	if field == nil {
		facts.CommandID = event.ID{}
		return call.WithFacts(ctx, facts), nil
	}
	if v := m.Get(field).String(); v != "" {
		id, err := parseCommandID(v)
		if err != nil {
			return ctx, fault.Field("command_id", "%s", commandIDForm)
		}
		if !facts.CommandID.IsZero() && facts.CommandID != id {
			return ctx, fault.Field("command_id", "the Idempotency-Key header gives another command id; send one of them")
		}
		facts.CommandID = id
	}
	if facts.CommandID.IsZero() {
		facts.CommandID = event.NewID()
	}
	m.Set(field, protoreflect.ValueOfString(facts.CommandID.String()))
	if f := m.Descriptor().Fields().ByName("reason"); f != nil {
		if v := m.Get(f).String(); v != "" {
			facts.Reason = v
		}
		if len(facts.Reason) > maxReason {
			return ctx, fault.Field("reason", "a reason has at most %d bytes; this one has %d", maxReason, len(facts.Reason))
		}
	}
	return call.WithFacts(ctx, facts), nil
}

// changeOf finds the place that a response says its change has.
func changeOf(msg any) (call.Place, bool) {
	c, ok := msg.(interface{ GetChange() *munimentv1.Change })
	if !ok || c.GetChange() == nil {
		return call.Place{}, false
	}
	log, err := event.ParseID(c.GetChange().LogId)
	return call.Place{Log: event.LogID{ID: log}, Position: event.Position(c.GetChange().Position)}, err == nil
}
