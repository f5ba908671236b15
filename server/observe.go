package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"muniment.dev/api"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ops/metrics"
	"muniment.dev/ops/otlp"
	"muniment.dev/trace"
)

// Observe is how a process tells its operators what it does. The zero value
// tells nothing. It may be shared by several servers.
type Observe struct {
	Metrics *metrics.Metrics
	Traces  trace.Recorder
	Ratio   float64 // of requests that are traced; 0: all
}

// log is what a log is watched by.
func (o Observe) log() eventlog.Observer {
	if o.Metrics == nil {
		return nil
	}
	return o.Metrics
}

// api is what the API is watched by.
func (o Observe) api() api.Observer {
	if o.Metrics == nil {
		return nil
	}
	return o.Metrics
}

// logger adds the trace of a request to what is logged of it.
func (o Observe) logger(l *slog.Logger) *slog.Logger {
	if o.Traces == nil {
		return l
	}
	return slog.New(trace.Logs(l.Handler()))
}

// sampled draws whether a request is traced. Only the operator has a say in
// that: whoever could choose it could fill the collector.
func (o Observe) sampled() bool {
	if o.Traces == nil {
		return false
	}
	if o.Ratio <= 0 || o.Ratio >= 1 {
		return true
	}
	var b [8]byte
	rand.Read(b[:])
	return float64(binary.BigEndian.Uint64(b[:])>>11)/(1<<53) < o.Ratio
}

// handler counts and traces every request.
func (o Observe) handler(next http.Handler) http.Handler {
	if o.Metrics == nil && o.Traces == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, span := r.Context(), (*trace.Live)(nil)
		if o.sampled() {
			ctx, span = trace.Begin(ctx, o.Traces, "request", trace.Parse(r.Header.Get("Traceparent")))
		}
		r = r.WithContext(ctx)
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			code, route := seen.code(), route(r)
			if o.Metrics != nil {
				o.Metrics.Request(r.Method, route, code, time.Since(began))
			}
			span.Name(route)
			span.Set("http.route", route)
			span.Set("http.response.status_code", code)
			span.End(failure(code))
		}()
		next.ServeHTTP(seen, r)
	})
}

// failure is the kind of error that a status stands for; none if the server is
// not to blame.
func failure(code int) string {
	if code < 500 {
		return ""
	}
	return fault.Internal.String()
}

// route is the pattern under which a request was served; never its path, which
// may hold anything.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // others are informational
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sample is the state of the instance, for metrics.
func (s *Server) sample() metrics.Sample {
	c := s.Core
	at, when := c.Publisher.Published()
	st := c.Views.Status()
	m := metrics.Sample{Size: uint64(c.Log.Mark().Size), Waiting: c.Log.Waiting(), Retries: c.Runner.Retries(),
		CheckpointSize: uint64(at.Size), CheckpointTime: when, CheckpointFailing: c.Publisher.Err() != nil, Erasures: len(c.Erasure.Pending()), Subscriptions: s.sampleHooks(), Adapters: s.sampleAdapters()}
	missing := map[string]bool{}
	for _, name := range st.Missing {
		missing[name] = true
	}
	for _, name := range c.Views.Names() {
		v := metrics.View{Name: name, Position: uint64(st.Applied), Lag: st.Lag, Stopped: st.Stopped != nil}
		if missing[name] {
			v.Position = 0
		}
		m.Views = append(m.Views, v)
	}
	m.Hashing, m.Queued = s.pool.Load()
	role := c.Log.Role()
	m.Shared, m.Leads, m.Left, m.Forwarded, m.Unanswered = role.Several, role.Leads, role.Left, role.Forwarded, role.Failed
	m.CredentialEnd = s.credentialEnd()
	return m
}

// observe makes what the settings ask for; stop ends it.
func (c *Config) observe(ctx context.Context, logger *slog.Logger) (o Observe, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	if c.OTLPEndpoint != "" {
		e, err := otlp.Start(otlp.Options{Endpoint: c.OTLPEndpoint, Version: Version(), Logger: logger})
		if err != nil {
			return o, stop, err
		}
		stops = append(stops, func() { e.Close() })
		o.Traces, o.Ratio = e, c.ratio()
	}
	if c.MetricsListen != "" {
		o.Metrics = metrics.New(Version())
		end, err := c.serveMetrics(ctx, o.Metrics, logger)
		if err != nil {
			stop()
			return o, func() {}, err
		}
		stops = append(stops, end)
	}
	return o, stop, nil
}

// serveMetrics listens where metrics may be read.
func (c *Config) serveMetrics(ctx context.Context, m *metrics.Metrics, logger *slog.Logger) (stop func(), err error) {
	token := ""
	if c.MetricsToken != "" {
		b, err := os.ReadFile(c.MetricsToken)
		if token = strings.TrimSpace(string(b)); err != nil || len(token) < 16 {
			return nil, &fault.Error{Kind: fault.Invalid, Field: "metrics-token", Msg: "must be a readable file with a token of at least 16 characters", Err: err}
		}
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.MetricsListen)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "listen on " + c.MetricsListen, Msg: "the address for metrics cannot be listened on; is another server running there?", Err: err}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Guard(token, m.Handler()))
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(withoutAddress{logger.Handler()}, slog.LevelWarn)}
	go web.Serve(ln) //nolint:errcheck // it ends when it is closed
	logger.Info("metrics", "address", "http://"+ln.Addr().String()+"/metrics")
	return func() { web.Close() }, nil
}

// checkObserve reports the first setting about metrics or traces that cannot
// be, or nil.
func (c *Config) checkObserve() error {
	if c.MetricsListen != "" {
		host, _, err := net.SplitHostPort(c.MetricsListen)
		if err != nil {
			return fault.Field("metrics-listen", "must be address:port, such as 127.0.0.1:9464")
		}
		if ip, err := netip.ParseAddr(host); c.MetricsToken == "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return fault.Field("metrics-listen", "metrics are not for strangers: listen on loopback, or give a file with a token: metrics-token")
		}
	}
	if c.MetricsToken != "" && c.MetricsListen == "" {
		return fault.Field("metrics-token", "there are no metrics without metrics-listen")
	}
	if r, err := strconv.ParseFloat(c.OTLPRatio, 64); c.OTLPRatio != "" && (err != nil || !(r > 0 && r <= 1)) {
		return fault.Field("otlp-ratio", "must be more than 0 and at most 1")
	}
	if c.OTLPEndpoint != "" {
		return otlp.CheckEndpoint(c.OTLPEndpoint)
	}
	return nil
}

func (c *Config) ratio() float64 {
	r, _ := strconv.ParseFloat(c.OTLPRatio, 64) // checked
	return r
}
