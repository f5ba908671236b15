// Package metrics counts what a server does, in the text format of Prometheus,
// for those who operate it.
//
// What is promised: no id, no name and no address stands in any label, and the
// number of series is bounded whatever strangers send. Counters begin at zero
// with the process; what is true of all times is in `muniment stats`.
//
// What a process serves several of, such as instances, is added up; of lags and
// ages it is the worst.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Metrics are those of one process. It is an eventlog.Observer and an
// api.Observer. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	events   *prometheus.CounterVec
	signIns  *prometheus.CounterVec
	tokens   prometheus.Counter
	refusals *prometheus.CounterVec
	failures *prometheus.CounterVec
	batch    prometheus.Histogram
	shared   prometheus.Histogram
	commit   prometheus.Histogram
	requests *prometheus.HistogramVec
	calls    *prometheus.HistogramVec
	streams  prometheus.Gauge

	mu      sync.Mutex // guards what follows
	types   map[string]prometheus.Counter
	sources map[*Source]struct{}
}

// The bounds of histograms, in seconds and in numbers.
var (
	seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	numbers = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

// New makes the metrics of a process.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), types: map[string]prometheus.Counter{}, sources: map[*Source]struct{}{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muniment_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, bounds []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "muniment_" + name, Help: help, Buckets: bounds}
	}
	m.events = counter("log_events_total", "Events appended, by type.", "type")
	m.signIns = counter("sign_ins_total", "Sign-ins that the log recorded, by result: ok or failed.", "result")
	m.tokens = prometheus.NewCounter(prometheus.CounterOpts{Name: "muniment_tokens_issued_total", Help: "Tokens issued or refreshed, as the log recorded them."})
	m.refusals = counter("log_appends_refused_total", "Appends turned away, by kind. A conflict is decided again.", "kind")
	m.failures = counter("log_commits_failed_total", "Commits that failed, or whose outcome is not known.", "kind")
	m.batch = prometheus.NewHistogram(histogram("log_batch_events", "Events that shared a commit.", numbers))
	m.shared = prometheus.NewHistogram(histogram("log_batch_appends", "Appends that shared a commit.", numbers))
	m.commit = prometheus.NewHistogram(histogram("log_commit_seconds", "Time that a commit took to become durable.", seconds))
	m.requests = prometheus.NewHistogramVec(histogram("http_request_duration_seconds", "Time until requests were answered, by method, route and status. Streams count when they end.", seconds), []string{"method", "route", "code"})
	m.calls = prometheus.NewHistogramVec(histogram("rpc_duration_seconds", "Time until calls of the API were answered, by method and kind of answer; those in process included.", seconds), []string{"method", "answer"})
	m.streams = prometheus.NewGauge(prometheus.GaugeOpts{Name: "muniment_streams_open", Help: "Streams of events that are open."})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "muniment_build_info", Help: "Always 1; the version is in the label.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.registry.MustRegister(m.events, m.signIns, m.tokens, m.refusals, m.failures, m.batch, m.shared, m.commit, m.requests, m.calls, m.streams, info,
		&sampler{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, result := range []string{"ok", "failed"} {
		m.signIns.WithLabelValues(result) // zero is said, too
	}
	return m
}

// Handler serves the metrics to whoever may see them; see Guard.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// maxTypes bounds how many types of events have a counter of their own.
const maxTypes = 512

// ofType is the counter of a type of events; of "other" if there are too many.
func (m *Metrics) ofType(typ string) prometheus.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.types[typ]
	if !ok {
		if len(m.types) >= maxTypes {
			return m.events.WithLabelValues("other")
		}
		c = m.events.WithLabelValues(typ)
		m.types[typ] = c
	}
	return c
}

// Committed implements eventlog.Observer.
func (m *Metrics) Committed(c eventlog.Commit) {
	m.batch.Observe(float64(len(c.Records)))
	m.shared.Observe(float64(c.Appends))
	m.commit.Observe(c.Took.Seconds())
	for _, r := range c.Records {
		m.ofType(r.Type).Inc()
		switch {
		case r.Type == "session.begun" || r.Type == "session.renewed":
			m.signIns.WithLabelValues("ok").Inc()
		case r.Type == "signin.failed":
			m.signIns.WithLabelValues("failed").Inc()
		case strings.HasSuffix(r.Type, ".token.issued") || strings.HasSuffix(r.Type, ".token.refreshed"):
			m.tokens.Inc()
		}
	}
}

// Refused implements eventlog.Observer.
func (m *Metrics) Refused(k fault.Kind) { m.refusals.WithLabelValues(k.String()).Inc() }

// Failed implements eventlog.Observer.
func (m *Metrics) Failed(k fault.Kind) { m.failures.WithLabelValues(k.String()).Inc() }

// Called implements api.Observer. Methods are those of our own sources.
func (m *Metrics) Called(method, answer string, took time.Duration) {
	m.calls.WithLabelValues(method, answer).Observe(took.Seconds())
}

// Streaming implements api.Observer.
func (m *Metrics) Streaming(delta int) { m.streams.Add(float64(delta)) }

// Request counts an HTTP request that was answered. The route is the pattern
// that served it, never its path.
func (m *Metrics) Request(method, route string, code int, took time.Duration) {
	m.requests.WithLabelValues(known(method), route, strconv.Itoa(code)).Observe(took.Seconds())
}

// known is an HTTP method, or "other": a client may send any word.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
