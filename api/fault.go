package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// wire is what a kind of fault is at the API's edges.
type wire struct {
	kind   munimentv1.FaultKind
	code   connect.Code
	status int // over REST
}

// onWire maps kinds of fault to the edges: the only place that does.
func onWire(k fault.Kind) wire {
	switch k {
	case fault.Invalid:
		return wire{munimentv1.FaultKind_FAULT_KIND_INVALID, connect.CodeInvalidArgument, http.StatusBadRequest}
	case fault.Unauthenticated:
		return wire{munimentv1.FaultKind_FAULT_KIND_UNAUTHENTICATED, connect.CodeUnauthenticated, http.StatusUnauthorized}
	case fault.Denied:
		return wire{munimentv1.FaultKind_FAULT_KIND_DENIED, connect.CodePermissionDenied, http.StatusForbidden}
	case fault.NotFound:
		return wire{munimentv1.FaultKind_FAULT_KIND_NOT_FOUND, connect.CodeNotFound, http.StatusNotFound}
	case fault.Exists:
		return wire{munimentv1.FaultKind_FAULT_KIND_EXISTS, connect.CodeAlreadyExists, http.StatusConflict}
	case fault.Conflict:
		return wire{munimentv1.FaultKind_FAULT_KIND_CONFLICT, connect.CodeAborted, http.StatusConflict}
	case fault.Refused:
		return wire{munimentv1.FaultKind_FAULT_KIND_REFUSED, connect.CodeFailedPrecondition, http.StatusConflict}
	case fault.Exhausted:
		return wire{munimentv1.FaultKind_FAULT_KIND_EXHAUSTED, connect.CodeResourceExhausted, http.StatusTooManyRequests}
	case fault.Unavailable:
		return wire{munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE, connect.CodeUnavailable, http.StatusServiceUnavailable}
	case fault.Unknown:
		// Of all codes only this one means "it may have happened all the same".
		return wire{munimentv1.FaultKind_FAULT_KIND_UNKNOWN, connect.CodeDeadlineExceeded, http.StatusGatewayTimeout}
	case fault.Erased:
		return wire{munimentv1.FaultKind_FAULT_KIND_ERASED, connect.CodeNotFound, http.StatusGone}
	default: // Internal, Corrupt, and what may come: a defect, not the caller's business
		return wire{munimentv1.FaultKind_FAULT_KIND_INTERNAL, connect.CodeInternal, http.StatusInternalServerError}
	}
}

// toConnect makes the error that a caller sees of err. Nothing of a foreign
// error's text gets through.
func toConnect(ctx context.Context, err error) *connect.Error {
	var ready *connect.Error
	if errors.As(err, &ready) && len(ready.Details()) > 0 {
		return ready // made here already, further in
	}
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return ready
	}
	w := onWire(fault.KindOf(err))
	facts, _ := call.FactsOf(ctx)
	d := &munimentv1.Fault{Kind: w.kind, Message: fault.Public(err), RequestId: facts.RequestID.String(), Problems: fault.Each(err)}
	var f *fault.Error
	if errors.As(err, &f) && slices.Contains([]fault.Kind{fault.Invalid, fault.Refused, fault.Exists, fault.Conflict, fault.Denied}, f.Kind) {
		d.Field = f.Field
	}
	var between *eventlog.Between
	if errors.As(err, &between) {
		d.Position = uint64(between.Position)
	}
	out := connect.NewError(w.code, errors.New(d.Message))
	detail, errD := connect.NewErrorDetail(d)
	if errD == nil { // it cannot fail for a message without Any
		out.AddDetail(detail)
	}
	if after := fault.RetryAfter(err); after > 0 {
		// RFC 9110 §10.2.3: whole seconds. Over gRPC it is in the trailers.
		out.Meta().Set(retryAfter, strconv.FormatInt(int64(math.Ceil(after.Seconds())), 10))
	}
	return out
}

const retryAfter = "Retry-After"

// Explain answers the Fault of an error that a client of this API got. An
// error without one, of a transport or of a proxy in between, is given the
// kind that its code suggests. It answers nil for nil.
func Explain(err error) *munimentv1.Fault {
	if err == nil {
		return nil
	}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return &munimentv1.Fault{Kind: munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE, Message: err.Error()}
	}
	for _, d := range ce.Details() {
		if v, err := d.Value(); err == nil {
			if f, ok := v.(*munimentv1.Fault); ok {
				return f
			}
		}
	}
	return &munimentv1.Fault{Kind: onWire(kindOfCode(ce.Code())).kind, Message: ce.Message()}
}

// AsFault turns an error that a client of this API got back into a fault of
// the kind that the server meant, for edges that map kinds themselves, such
// as web pages. It answers nil for nil.
func AsFault(err error) error {
	f := Explain(err)
	if f == nil {
		return nil
	}
	for k := fault.Internal; k <= fault.Erased; k++ {
		if onWire(k).kind == f.Kind {
			if len(f.Problems) > 0 {
				err = several{err, f.Problems}
			}
			return &fault.Error{Kind: k, Field: f.Field, Msg: f.Message, Err: err}
		}
	}
	return &fault.Error{Kind: fault.Internal, Err: err}
}

// several is an error of which a server told each part.
type several struct {
	error
	each []string
}

// Each implements fault.Several.
func (s several) Each() []string { return s.each }

func kindOfCode(c connect.Code) fault.Kind {
	switch c {
	case connect.CodeInvalidArgument, connect.CodeOutOfRange, connect.CodeUnimplemented:
		return fault.Invalid
	case connect.CodeUnauthenticated:
		return fault.Unauthenticated
	case connect.CodePermissionDenied:
		return fault.Denied
	case connect.CodeNotFound:
		return fault.NotFound
	case connect.CodeAlreadyExists:
		return fault.Exists
	case connect.CodeAborted:
		return fault.Conflict
	case connect.CodeFailedPrecondition:
		return fault.Refused
	case connect.CodeResourceExhausted:
		return fault.Exhausted
	case connect.CodeUnavailable:
		return fault.Unavailable
	case connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeUnknown, connect.CodeDataLoss:
		return fault.Unknown // it may have happened
	default:
		return fault.Internal
	}
}

// kindName is the short name of a kind, as in problem documents: "not_found".
func kindName(k munimentv1.FaultKind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "FAULT_KIND_"))
}
