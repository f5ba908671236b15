package api

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"connectrpc.com/connect"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// challenge tells a client without a good token what to send (RFC 6750 §3).
const challenge = `Bearer realm="muniment"`

// gate lets a call in, or not, before its message is read.
func (s *Server) gate(ctx context.Context, spec connect.Spec, peer connect.Peer, h http.Header) (context.Context, error) {
	method := strings.ReplaceAll(strings.TrimPrefix(spec.Procedure, "/"), "/", ".")
	ctx, err := s.enter(ctx, method, peer.Addr, h)
	if err != nil {
		out := toConnect(ctx, err)
		if out.Code() == connect.CodeUnauthenticated && peer.Protocol == connect.ProtocolConnect {
			out.Meta().Set("WWW-Authenticate", challenge) // gRPC has no place for it
		}
		return nil, out
	}
	return ctx, nil
}

// enter puts the facts of a call and its caller into the context, those that
// are there already left alone: calls in process come with them. On error the
// context still has the facts.
func (s *Server) enter(ctx context.Context, method, remoteAddr string, h http.Header) (context.Context, error) {
	facts, ok := call.FactsOf(ctx)
	if !ok {
		var err error
		facts, err = factsFrom(h, s.opts.ClientIP(remoteAddr, h))
		if err != nil {
			return call.WithFacts(ctx, facts), err
		}
	}
	if facts.RequestID.IsZero() {
		facts.RequestID = event.NewID()
	}
	facts.Method = method
	ctx = call.WithFacts(ctx, facts)
	if _, err := call.CallerOf(ctx); err == nil {
		return ctx, nil
	}
	caller, err := s.authenticate(ctx, h)
	if err != nil {
		return ctx, err
	}
	return call.WithCaller(ctx, caller), nil
}

// isToken reports whether s has the form of an access token: b64token of
// RFC 6750 §2.1. It is asked for every call, for which a regular expression
// takes too long.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}

const maxToken = 8192 // bytes

// bearer finds the access token in the Authorization header (RFC 6750 §2.1);
// never in a query or a form, which end up in logs (§2.3, §5.3). Empty if the
// header is missing.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken || !isToken(token) {
		return "", fault.New(fault.Unauthenticated, "the Authorization header must be one access token: Bearer …")
	}
	return token, nil
}

func (s *Server) authenticate(ctx context.Context, h http.Header) (call.Caller, error) {
	token, err := bearer(h)
	if err != nil {
		return call.Caller{}, err
	}
	if token == "" {
		return call.CallerOf(ctx) // answers that nobody is calling
	}
	caller, err := s.opts.Authenticator.Authenticate(ctx, token)
	if err != nil {
		return call.Caller{}, fault.Wrap("authenticate", err)
	}
	// Whatever the Authenticator answers: a caller without an id is nobody.
	return call.CallerOf(call.WithCaller(ctx, caller))
}

var (
	word        = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	correlation = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)
)

// factsFrom reads the headers that describe a call. A header of ours that is
// malformed is an Invalid fault; foreign ones are taken as far as they go.
func factsFrom(h http.Header, ip netip.Addr) (call.Facts, error) {
	f := call.Facts{RequestID: event.NewID(), Source: "api", IP: ip, UserAgent: clip(h.Get("User-Agent"), 512)}
	if t := traceparent.FindStringSubmatch(h.Get("Traceparent")); t != nil {
		f.Correlation = t[1] // W3C Trace Context §3.2
	}
	if v := h.Get("X-Correlation-Id"); correlation.MatchString(v) {
		f.Correlation = v
	}
	if v := h.Get("Muniment-Source"); v != "" {
		if !word.MatchString(v) {
			return f, fault.Field("Muniment-Source", "a source is a word of lower-case letters, digits and dashes, at most 32 of them")
		}
		f.Source = v
	}
	if v := h.Get("Muniment-Position"); v != "" {
		place, err := call.ParsePlace(v)
		if err != nil {
			return f, fault.Field("Muniment-Position", "a place in a log is written log:position, as this server answers it")
		}
		f.Seen = place
	}
	if v := h.Get("Idempotency-Key"); v != "" {
		id, err := parseCommandID(v)
		if err != nil {
			return f, fault.Field("Idempotency-Key", "%s", commandIDForm)
		}
		f.CommandID = id
	}
	return f, nil
}

const commandIDForm = "a command id is 32 hexadecimal digits or a UUID, and not zero"

func parseCommandID(s string) (event.ID, error) {
	id, err := event.ParseID(strings.ToLower(strings.Trim(s, `"`)))
	if err == nil && id.IsZero() {
		return id, fault.New(fault.Invalid, "%s", commandIDForm)
	}
	return id, err
}

// clip cuts s to at most n bytes of valid UTF-8 without control characters.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}
