// Package otlp sends spans to a collector by OTLP over HTTP (OpenTelemetry
// Protocol 1.x, "OTLP/HTTP", binary Protobuf). Why it is written here and not
// the SDK: docs/adr/0014-observability.md.
//
// What is promised: recording never blocks and never fails; what cannot be sent
// in time is dropped and counted. What is not: that every span arrives.
package otlp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"muniment.dev/fault"
	"muniment.dev/trace"
)

// Options of an exporter. Endpoint is required.
type Options struct {
	Endpoint string // base URL of the collector, such as http://127.0.0.1:4318
	Version  string // of this program
	HTTP     *http.Client
	Logger   *slog.Logger
	Every    time.Duration // at most so long a span waits; default 2 s
	Queue    int           // spans that wait at most; default 8192
	Batch    int           // spans that are sent together at most; default 512
}

// Exporter is a trace.Recorder that sends spans to a collector. It is safe for
// concurrent use.
type Exporter struct {
	opts    Options
	url     string
	spans   chan trace.Span
	stop    chan struct{}
	gone    chan struct{}
	dropped atomic.Uint64
}

// CheckEndpoint reports what is wrong with an endpoint, or nil.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fault.Field("otlp-endpoint", "must be the address of a collector, such as http://127.0.0.1:4318")
	}
	return nil
}

// Start starts an exporter. Close must be called.
func Start(o Options) (*Exporter, error) {
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Queue == 0 {
		o.Queue = 8192
	}
	if o.Batch == 0 {
		o.Batch = 512
	}
	// OTLP 1.x, "OTLP/HTTP Request": traces go to the path /v1/traces.
	e := &Exporter{opts: o, url: strings.TrimSuffix(o.Endpoint, "/") + "/v1/traces",
		spans: make(chan trace.Span, o.Queue), stop: make(chan struct{}), gone: make(chan struct{})}
	go e.run()
	return e, nil
}

// Record implements trace.Recorder.
func (e *Exporter) Record(s trace.Span) {
	select {
	case e.spans <- s:
	default:
		e.dropped.Add(1)
	}
}

// Dropped is how many spans were not sent.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Close sends what waits, for a moment, and stops.
func (e *Exporter) Close() error {
	close(e.stop)
	<-e.gone
	return nil
}

// run collects spans and sends them when there are enough or it is time.
func (e *Exporter) run() {
	defer close(e.gone)
	tick := time.NewTicker(e.opts.Every)
	defer tick.Stop()
	var batch []trace.Span
	for {
		due := false
		select {
		case s := <-e.spans:
			batch = append(batch, s)
			due = len(batch) >= e.opts.Batch
		case <-tick.C:
			due = true
		case <-e.stop:
			e.rest(batch)
			return
		}
		if due && len(batch) > 0 {
			e.send(context.Background(), batch, 3)
			batch = batch[:0]
		}
	}
}

// rest sends what is left, once, within two seconds.
func (e *Exporter) rest(batch []trace.Span) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for {
		select {
		case s := <-e.spans:
			batch = append(batch, s)
			continue
		default:
		}
		if len(batch) > 0 {
			e.send(ctx, batch, 1)
		}
		return
	}
}

// send sends a batch, several times if the collector asks for that. What it
// does not take is dropped: tracing never holds anything up.
func (e *Exporter) send(ctx context.Context, batch []trace.Span, attempts int) {
	body := encode(batch, e.opts.Version)
	var why string
	for i := range attempts {
		if i > 0 && !e.pause(time.Duration(i)*time.Second) {
			break
		}
		ok, again, said := e.post(ctx, body)
		if ok {
			return
		}
		if why = said; !again {
			break
		}
	}
	e.dropped.Add(uint64(len(batch)))
	e.opts.Logger.Warn("the collector of traces did not take spans", "spans", len(batch), "because", why)
}

func (e *Exporter) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.stop:
		return false
	}
}

// post makes one attempt. OTLP 1.x, "Failures": 429, 502, 503 and 504 may be
// tried again, and so may connections that fail.
func (e *Exporter) post(ctx context.Context, body []byte) (ok, again bool, said string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, false, "the request cannot be made"
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "muniment/"+e.opts.Version)
	res, err := e.opts.HTTP.Do(req)
	if err != nil {
		return false, true, "it cannot be reached"
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false, true, res.Status
	}
	return res.StatusCode/100 == 2, false, res.Status
}
