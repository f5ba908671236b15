package otlp

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"muniment.dev/trace"
)

// encode writes an ExportTraceServiceRequest (opentelemetry-proto 1.x,
// collector/trace/v1) of one resource and one scope.
func encode(spans []trace.Span, version string) []byte {
	resource := message(nil, 1, attr(trace.Attr{Key: "service.name", Value: "muniment"}))
	resource = message(resource, 1, attr(trace.Attr{Key: "service.version", Value: version}))
	scope := text(text(nil, 1, "muniment.dev/trace"), 2, version)
	scoped := message(nil, 1, scope)
	for i := range spans {
		scoped = message(scoped, 2, span(&spans[i]))
	}
	return message(nil, 1, message(message(nil, 1, resource), 2, scoped))
}

// The kinds and the status of spans (trace/v1, SpanKind and StatusCode).
const (
	kindInternal = 1
	kindServer   = 2
	statusError  = 2
)

func span(s *trace.Span) []byte {
	b := raw(nil, 1, s.Trace[:])
	b = raw(b, 2, s.Span[:])
	if s.Parent != (trace.SpanID{}) {
		b = raw(b, 4, s.Parent[:])
	}
	b = text(b, 5, s.Name)
	kind := uint64(kindInternal)
	if s.Server {
		kind = kindServer
	}
	b = number(b, 6, kind)
	b = instant(b, 7, s.Start)
	b = instant(b, 8, s.End)
	for _, a := range s.Attrs {
		b = message(b, 9, attr(a))
	}
	if s.Error != "" {
		b = message(b, 9, attr(trace.Attr{Key: "error.type", Value: s.Error}))
	}
	if !s.Link.IsZero() {
		b = message(b, 13, raw(raw(nil, 1, s.Link.Trace[:]), 2, s.Link.Span[:]))
	}
	if ours(s.Error) {
		b = message(b, 15, number(nil, 3, statusError))
	}
	return b
}

// ours reports whether an error is the server's: a refusal is an answer like
// another (semantic conventions for HTTP spans, "Status").
func ours(kind string) bool {
	switch kind {
	case "internal", "unavailable", "unknown", "unknown outcome", "corrupt":
		return true
	}
	return false
}

// attr is a KeyValue with its AnyValue (common/v1).
func attr(a trace.Attr) []byte {
	var v []byte
	switch x := a.Value.(type) {
	case string:
		v = text(nil, 1, x)
	case bool:
		v = protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), protowire.EncodeBool(x))
	case int64:
		v = number(nil, 3, uint64(x))
	case int:
		v = number(nil, 3, uint64(int64(x)))
	}
	return message(text(nil, 1, a.Key), 2, v)
}

func message(b []byte, n protowire.Number, m []byte) []byte { return raw(b, n, m) }

func raw(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func text(b []byte, n protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func number(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func instant(b []byte, n protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), uint64(t.UnixNano()))
}
