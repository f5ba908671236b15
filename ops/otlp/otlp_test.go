package otlp

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"muniment.dev/trace"
)

// collector is a receiver of OTLP over HTTP. What it got it decodes with the
// types that OpenTelemetry publishes: an ExportTraceServiceRequest and a
// TracesData are the same bytes.
type collector struct {
	t      *testing.T
	mu     sync.Mutex
	answer []int // statuses to be given first
	spans  []*tracepb.Span
	res    *tracepb.ResourceSpans
	paths  []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = append(c.paths, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"))
	if len(c.answer) > 0 {
		w.WriteHeader(c.answer[0])
		c.answer = c.answer[1:]
		return
	}
	body, _ := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil || len(data.ProtoReflect().GetUnknown()) > 0 {
		c.t.Errorf("not what a collector understands: %v", err)
		return
	}
	for _, rs := range data.ResourceSpans {
		c.res = rs
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

// What is recorded arrives at a collector, as OpenTelemetry's own types read it.
func TestExport(t *testing.T) {
	c := &collector{t: t}
	hs := httptest.NewServer(c)
	defer hs.Close()
	e, err := Start(Options{Endpoint: hs.URL + "/", Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	caller := trace.Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	ctx, root := trace.Begin(context.Background(), e, "request", caller, trace.Attr{Key: "http.route", Value: "GET /x"})
	inner, child := trace.Start(ctx, "decide", trace.Attr{Key: "muniment.events", Value: 3}, trace.Attr{Key: "yes", Value: true})
	_, refused := trace.Start(inner, "append")
	refused.End("conflict")
	child.End("internal")
	root.Name("GET /x")
	root.End("")
	root.End("") // once is enough
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if len(c.spans) != 3 || e.Dropped() != 0 {
		t.Fatalf("%d spans arrived, %d dropped", len(c.spans), e.Dropped())
	}
	if want := "POST /v1/traces application/x-protobuf"; c.paths[0] != want {
		t.Errorf("%s, want %s", c.paths[0], want)
	}
	if a := c.res.Resource.Attributes; a[0].Key != "service.name" || a[0].Value.GetStringValue() != "muniment" || a[1].Value.GetStringValue() != "1.2.3" {
		t.Errorf("resource %v", a)
	}
	app, dec, req := c.spans[0], c.spans[1], c.spans[2]
	place := trace.Of(ctx)
	if hex.EncodeToString(req.TraceId) != place.Trace.String() || hex.EncodeToString(req.SpanId) != place.Span.String() || len(req.ParentSpanId) != 0 {
		t.Errorf("the root is %v", req)
	}
	if string(dec.TraceId) != string(req.TraceId) || string(dec.ParentSpanId) != string(req.SpanId) || string(app.ParentSpanId) != string(dec.SpanId) {
		t.Errorf("the spans do not hang together: %v", c.spans)
	}
	// W3C Trace Context: the caller's ids are a link; ours are our own.
	if len(req.Links) != 1 || hex.EncodeToString(req.Links[0].TraceId) != caller.Trace.String() || string(req.TraceId) == string(req.Links[0].TraceId) {
		t.Errorf("links %v", req.Links)
	}
	if req.Name != "GET /x" || req.Kind != tracepb.Span_SPAN_KIND_SERVER || dec.Kind != tracepb.Span_SPAN_KIND_INTERNAL || req.EndTimeUnixNano < req.StartTimeUnixNano {
		t.Errorf("the root is %v", req)
	}
	if dec.Attributes[0].Value.GetIntValue() != 3 || !dec.Attributes[1].Value.GetBoolValue() {
		t.Errorf("attributes %v", dec.Attributes)
	}
	// A refusal is an answer; a failure of ours is an error.
	if app.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET || dec.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("status %v and %v", app.Status, dec.Status)
	}
}

// A collector that is busy is asked again; one that refuses is not.
func TestRetry(t *testing.T) {
	for _, x := range []struct {
		answer  []int
		arrived int
	}{
		{[]int{503}, 1},
		{[]int{400}, 0},
	} {
		c := &collector{t: t, answer: x.answer}
		hs := httptest.NewServer(c)
		e, err := Start(Options{Endpoint: hs.URL, Every: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, s := trace.Begin(context.Background(), e, "x", trace.Place{})
		s.End("")
		for {
			c.mu.Lock()
			n, asked := len(c.spans), len(c.paths)
			c.mu.Unlock()
			if n+int(e.Dropped()) == 1 {
				if n != x.arrived || asked != 1+x.arrived {
					t.Errorf("%v: %d arrived in %d attempts", x.answer, n, asked)
				}
				break
			}
			time.Sleep(time.Millisecond)
		}
		e.Close()
		hs.Close()
	}
}

// Recording never blocks: with a collector that does not answer, spans are
// dropped and counted.
func TestNeverBlocks(t *testing.T) {
	release := make(chan struct{})
	hs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hs.Close()
	e, err := Start(Options{Endpoint: hs.URL, Queue: 2, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		e.Record(trace.Span{Name: "x"})
	}
	if e.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
	close(release)
	e.Close()
}

// CheckEndpoint refuses what is no address of a collector.
func TestCheckEndpoint(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"http://127.0.0.1:4318": true, "https://otel.example.com/prefix/": true,
		"": false, "127.0.0.1:4318": false, "grpc://x": false, "http://": false, "http://u:p@x": false, "http://x?y": false,
	} {
		if err := CheckEndpoint(endpoint); (err == nil) != ok {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
