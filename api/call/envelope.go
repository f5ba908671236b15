package call

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal"
)

// Envelope surrounds the command that a request of the API asks for: the
// caller as actor, its idempotency key, the request as what was asked, and the
// facts of the call as context.
func Envelope(ctx context.Context, req proto.Message) (decide.Envelope, error) {
	c, err := CallerOf(ctx)
	if err != nil {
		return decide.Envelope{}, err
	}
	f, _ := FactsOf(ctx)
	env := decide.Envelope{Actor: c.Actor(), Command: f.CommandID, Context: Context(f, c), Names: names(req)}
	if f.CommandID.IsZero() { // it is not looked up again, so nobody asks what it was
		return env, nil
	}
	if env.Request, err = canonical(f.Method, req); err != nil {
		return decide.Envelope{}, fault.Wrap("canonicalize the request", err)
	}
	return env, nil
}

// names reports whether an id stands in a request, in whatever form.
func names(req proto.Message) func(event.ID) bool {
	return func(id event.ID) bool {
		b, err := proto.Marshal(req)
		return err == nil && strings.Contains(strings.ReplaceAll(strings.ToLower(string(b)), "-", ""), id.String())
	}
}

// canonical is the method and the request in deterministic form, without the
// command id: what must be the same when a command is repeated. Passwords are
// left out, but for whether they are there: a digest of this is stored, and by
// it they could be guessed faster than by their own hashes. Whoever runs a
// command with a password compares it when the command is repeated.
func canonical(method string, req proto.Message) ([]byte, error) {
	m := proto.Clone(req).ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.Name() == "command_id":
			m.Clear(f)
		case strings.HasSuffix(string(f.Name()), "password") && m.Has(f):
			m.Set(f, protoreflect.ValueOfString(""))
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
	return append([]byte(method+"\n"), b...), err
}

// Context is what records keep of a call: ids and the source in clear;
// address, user agent and reason sealed under the caller.
func Context(f Facts, c Caller) seal.Context {
	public := map[string]any{}
	for name, id := range map[string]event.ID{"request": f.RequestID, "command": f.CommandID, "session": c.SessionID} {
		if !id.IsZero() {
			public[name] = id
		}
	}
	for name, v := range map[string]string{"source": f.Source, "method": f.Method, "correlation": f.Correlation, "trace": f.Trace, "client": c.ClientID} {
		if v != "" {
			public[name] = v
		}
	}
	return seal.Context{Public: public, Subject: event.SubjectID{ID: c.ID}, Sealed: personal(f)}
}

func personal(f Facts) map[string]string {
	sealed := map[string]string{}
	if f.IP.IsValid() {
		sealed["ip"] = f.IP.String()
	}
	if f.UserAgent != "" {
		sealed["agent"] = f.UserAgent
	}
	if f.Reason != "" {
		sealed["reason"] = f.Reason
	}
	if len(sealed) == 0 {
		return nil
	}
	return sealed
}

// Visitor is the actor of whoever is not signed in, on a day in UTC: one
// subject for all of a log's visitors that day, so that what they leave behind
// can be destroyed by day.
func Visitor(log event.LogID, now time.Time) event.Actor {
	h := sha256.New()
	h.Write([]byte("muniment/visitor/v1"))
	h.Write(log.ID[:])
	h.Write([]byte(now.UTC().Format(time.DateOnly)))
	return event.Actor{Kind: "visitor", ID: event.ID(h.Sum(nil)[:16])}
}

// VisitorEnvelope surrounds a command of somebody who is not signed in.
func VisitorEnvelope(ctx context.Context, log event.LogID, now time.Time) decide.Envelope {
	a := Visitor(log, now)
	f, _ := FactsOf(ctx)
	return decide.Envelope{Actor: a, Context: Context(f, Caller{ID: a.ID})}
}

// UserEnvelope surrounds a command of a person who has just proved who they
// are, or whose session was just checked.
func UserEnvelope(ctx context.Context, user, session event.ID) decide.Envelope {
	f, _ := FactsOf(ctx)
	return decide.Envelope{Actor: event.Actor{Kind: "user", ID: user}, Context: Context(f, Caller{ID: user, SessionID: session})}
}
