// Package trace says where the time of a request goes, in spans, as W3C Trace
// Context and OpenTelemetry have them. It is the part that every layer may know:
// a span costs one look at the context where nobody records, and who records
// stands in the context. Where spans go is not its affair: see ops/otlp.
//
// A span's name and attributes are written by us: they hold no personal data,
// no secrets and nothing that a stranger sent.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"sync"
	"time"
)

// ID identifies a trace, SpanID a span in it (W3C Trace Context §3.2.2).
type (
	ID     [16]byte
	SpanID [8]byte
)

// String returns 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// String returns 16 lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// Place is a span as others refer to it.
type Place struct {
	Trace ID
	Span  SpanID
}

// IsZero reports whether there is no such place.
func (p Place) IsZero() bool { return p == Place{} }

// version 00, or a later one of which the part that we know is read the same.
var traceparent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)

// Parse reads a traceparent header (W3C Trace Context §3.2); the zero Place if
// it is not one: then there was none (§4.3).
func Parse(header string) Place {
	m := traceparent.FindStringSubmatch(header)
	if m == nil || m[1] == "ff" || m[1] == "00" && m[4] != "" {
		return Place{}
	}
	var p Place
	hex.Decode(p.Trace[:], []byte(m[2]))
	hex.Decode(p.Span[:], []byte(m[3]))
	if p.Trace == (ID{}) || p.Span == (SpanID{}) {
		return Place{} // all zeros are invalid (§3.2.2.3, §3.2.2.4)
	}
	return p
}

// Attr is an attribute of a span: a string, an int64 or a bool.
type Attr struct {
	Key   string
	Value any
}

// Span is one that has ended.
type Span struct {
	Place
	Parent     SpanID // zero: none
	Link       Place  // the caller's span, in a trace of theirs; zero: none
	Name       string
	Server     bool // it answers a request from elsewhere
	Start, End time.Time
	Attrs      []Attr
	Error      string // its kind; empty if it went well
}

// Recorder takes spans that have ended. It must not block.
type Recorder interface{ Record(Span) }

// Live is a span that goes on. A nil *Live is one that nobody records.
type Live struct {
	recorder Recorder

	mu   sync.Mutex // guards what follows
	span Span
	done bool
}

type key struct{}

// Begin starts a trace of our own. The caller's place, if any, becomes a link
// and not the parent: a stranger must not choose the ids under which our spans
// are found, nor whether there are any (W3C Trace Context §4.2, "restart").
func Begin(ctx context.Context, r Recorder, name string, caller Place, attrs ...Attr) (context.Context, *Live) {
	l := &Live{recorder: r, span: Span{Link: caller, Name: name, Server: true, Start: time.Now(), Attrs: attrs}}
	rand.Read(l.span.Trace[:])
	rand.Read(l.span.Span[:])
	return context.WithValue(ctx, key{}, l), l
}

// Start starts a span within the one of the context, if there is any.
func Start(ctx context.Context, name string, attrs ...Attr) (context.Context, *Live) {
	parent, ok := ctx.Value(key{}).(*Live)
	if !ok {
		return ctx, nil
	}
	l := &Live{recorder: parent.recorder, span: Span{Place: Place{Trace: parent.span.Trace}, Parent: parent.span.Span, Name: name, Start: time.Now(), Attrs: attrs}}
	rand.Read(l.span.Span[:])
	return context.WithValue(ctx, key{}, l), l
}

// Of answers the span of the context; zero if nobody records.
func Of(ctx context.Context) Place {
	l, ok := ctx.Value(key{}).(*Live)
	if !ok {
		return Place{}
	}
	return l.span.Place
}

// Name gives the span another name, when it is known better.
func (l *Live) Name(name string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.span.Name = name
}

// Set adds an attribute.
func (l *Live) Set(key string, value any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.span.Attrs = append(l.span.Attrs, Attr{key, value})
}

// End ends the span; kind says of what kind the error was, empty if there was
// none. It may be called again.
func (l *Live) End(kind string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	done := l.done
	l.done, l.span.End, l.span.Error = true, time.Now(), kind
	s := l.span
	l.mu.Unlock()
	if !done {
		l.recorder.Record(s)
	}
}
