// Package call carries what the API knows of a call besides its message: who
// is calling and from where. The router puts it into the context; the adapters
// of the slices read it there and hand it to decisions and records.
//
// A context without a Caller belongs to nobody, and nobody may do anything:
// CallerOf then answers an Unauthenticated fault. Nothing that arrives over a
// network can put a Caller into a context; only an Authenticator can, and code
// in this process that acts for somebody it has authenticated (the console).
package call

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/trace"
)

// Caller is who is calling, proved.
type Caller struct {
	// Kind is "user" or "application".
	Kind string
	// ID of the user or application.
	ID event.ID
	// SessionID is the session in which the call is made; zero if in none.
	SessionID event.ID
	// ClientID is the OAuth client that the access token was issued to; empty
	// if the call was made without one.
	ClientID string
}

// Actor is the caller as the actor of records.
func (c Caller) Actor() event.Actor { return event.Actor{Kind: c.Kind, ID: c.ID} }

// Facts is the context that records keep of a call. All of it but RequestID
// and IP is what the caller said of itself.
type Facts struct {
	// RequestID is made by the server for each request.
	RequestID event.ID
	// CommandID makes a change idempotent. Set for every method that changes
	// state, made by the server if the caller gave none; zero for others.
	CommandID event.ID
	// Method is the full name, such as "muniment.v1.UserService.LockUser".
	Method string
	// Source is what sort of program calls: "api" unless it says otherwise.
	Source string
	// Correlation joins what belongs together across systems: the caller's
	// X-Correlation-Id, else the trace id of its traceparent; else empty. At
	// most 64 letters, digits and "._-": it stands in records in clear.
	Correlation string
	// Trace is the id of the server's own trace of the request; empty if it is
	// not traced.
	Trace string
	// Reason is why, in the caller's words; personal. Empty if not given.
	Reason string
	// UserAgent is the program's own name for itself, at most 512 bytes;
	// personal.
	UserAgent string
	// IP is the address that the call came from; personal. Invalid if there
	// is none, as for calls in process.
	IP netip.Addr
	// Seen is a place that the caller has seen the log reach: an answer must
	// be at least as fresh. Zero if not given.
	Seen Place
}

// Place is a position in a log: positions mean nothing without their log.
type Place struct {
	Log      event.LogID
	Position event.Position
}

// IsZero reports whether the place was never set.
func (p Place) IsZero() bool { return p == Place{} }

// String returns log:position, as in the Muniment-Position header.
func (p Place) String() string {
	return p.Log.String() + ":" + strconv.FormatUint(uint64(p.Position), 10)
}

// ParsePlace reads log:position, the position in decimal digits without
// leading zeros.
func ParsePlace(s string) (Place, error) {
	log, digits, _ := strings.Cut(s, ":")
	id, err := event.ParseID(log)
	n, errN := strconv.ParseUint(digits, 10, 64)
	if len(log) != 32 || err != nil || errN != nil || digits != strconv.FormatUint(n, 10) {
		return Place{}, fault.New(fault.Invalid, "a place in a log is written log:position, as this server answers it")
	}
	return Place{Log: event.LogID{ID: id}, Position: event.Position(n)}, nil
}

type callerKey struct{}
type factsKey struct{}
type answerKey struct{}

// WithCaller returns a context in which c is calling.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf answers who is calling; an Unauthenticated fault if nobody is.
func CallerOf(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok || c.Kind == "" || c.ID.IsZero() {
		return Caller{}, fault.New(fault.Unauthenticated, "sign in, or send an access token: Authorization: Bearer …")
	}
	return c, nil
}

// WithFacts returns a context with the facts of a call.
func WithFacts(ctx context.Context, f Facts) context.Context {
	return context.WithValue(ctx, factsKey{}, f)
}

// FactsOf answers the facts of the call; ok is false if there are none.
func FactsOf(ctx context.Context) (f Facts, ok bool) {
	f, ok = ctx.Value(factsKey{}).(Facts)
	if p := trace.Of(ctx); ok && !p.IsZero() {
		f.Trace = p.Trace.String()
	}
	return f, ok
}

type answer struct {
	mu    sync.Mutex
	place Place
}

// Recording returns a context in which Answered is heard, and a function that
// answers the place it said last, zero if none.
func Recording(ctx context.Context) (context.Context, func() Place) {
	a := &answer{}
	return context.WithValue(ctx, answerKey{}, a), func() Place {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.place
	}
}

// Answered says which place in which log the answer reflects; the caller finds
// it in the Muniment-Position header. For changes the router knows by itself.
func Answered(ctx context.Context, p Place) {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.place = p
	}
}
