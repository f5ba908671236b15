package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/ops/metrics"
	"muniment.dev/trace"
)

// recorder keeps spans.
type recorder struct {
	mu    sync.Mutex
	spans []trace.Span
}

func (r *recorder) Record(s trace.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s)
}

func (r *recorder) named(name string) (out []trace.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

// wait waits for the first of a name: a request's span ends behind its answer.
func (r *recorder) wait(t *testing.T, name string) trace.Span {
	t.Helper()
	for t.Context().Err() == nil {
		if found := r.named(name); len(found) > 0 {
			return found[0]
		}
		time.Sleep(time.Millisecond)
	}
	return trace.Span{}
}

func (w *world) metrics() string {
	res := httptest.NewRecorder()
	w.observe.Metrics.Handler().ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return res.Body.String()
}

// visit signs the owner in to the application and redeems the code, with some
// headers.
func (w *world) visit(h http.Header) {
	w.t.Helper()
	verifier := strings.Repeat("v", 43)
	code := w.authorize(w.browser(), challengeOf(verifier))
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	r, _ := http.NewRequest(http.MethodPost, w.URL()+"/oauth/token", strings.NewReader(v.Encode()))
	r.Header = h
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(w.client.GetClientId()), url.QueryEscape(w.client.GetClientSecret()))
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatal(res, err)
	}
	res.Body.Close()
}

// E05: one request is one trace, from its arrival to the log, and the record
// that it leaves names that trace; the caller's own trace is the correlation.
func TestTrace(t *testing.T) {
	spans := &recorder{}
	w := newWorldWith(t, Extra{Passwords: quick, Observe: Observe{Traces: spans}})
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.visit(http.Header{"Traceparent": {"00-" + caller + "-00f067aa0ba902b7-01"}})
	root := spans.wait(t, "/oauth/token")
	var decided, appended trace.Span
	for _, s := range spans.named("decide") {
		if s.Trace == root.Trace {
			decided = s
		}
	}
	for _, s := range spans.named("append") {
		if s.Trace == root.Trace {
			appended = s
		}
	}
	if root.Link.Trace.String() != caller || root.Trace.String() == caller || decided.Parent != root.Span || appended.Parent != decided.Span {
		t.Errorf("the spans do not hang together: %+v, %+v, %+v", root, decided, appended)
	}
	last := must[*event.Record](t)(w.Core.Log.Record(t.Context(), w.Core.Log.Mark().Size))
	var facts map[string]any
	if err := event.Strict.Unmarshal(last.Context, &facts); err != nil {
		t.Fatal(err)
	}
	if facts["trace"] != root.Trace.String() || facts["correlation"] != caller {
		t.Errorf("the record's context is %v", facts)
	}
}

// Calls of the API are spans of their own, and what is logged of them names the
// trace.
func TestTraceOfCalls(t *testing.T) {
	spans, logged := &recorder{}, &bytes.Buffer{}
	w := newWorldWith(t, Extra{Passwords: quick, Observe: Observe{Traces: spans},
		Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, root := trace.Begin(w.as(w.owner), spans, "page", trace.Place{})
	must[*munimentv1.CreateProjectResponse](t)(w.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: w.org, Name: "Traced"}))
	root.End("")
	for _, s := range spans.named("muniment.v1.ProjectService.CreateProject") {
		if s.Trace == trace.Of(ctx).Trace && s.Parent == trace.Of(ctx).Span && strings.Contains(logged.String(), "trace="+s.Trace.String()) {
			return
		}
	}
	t.Errorf("no span of the call, or none in the log: %+v\n%s", spans.spans, logged)
}

// Metrics follow what happens, and say nothing of anybody.
func TestMetrics(t *testing.T) {
	w := newWorldWith(t, Extra{Passwords: quick, Observe: Observe{Metrics: metrics.New("test")}})
	w.visit(http.Header{})
	must[*munimentv1.ListUsersResponse](t)(w.API.User.ListUsers(w.as(w.owner), &munimentv1.ListUsersRequest{}))
	w.front.Client().Get(w.front.URL + "/nothing/" + w.owner.String() + "?email=" + ownerEmail)
	text := ""
	for !strings.Contains(text, `code="404"`) { // it is counted behind its answer
		text = w.metrics()
	}
	for _, want := range []string{
		"muniment_log_size_events ", `muniment_sign_ins_total{result="ok"} 2`, "muniment_tokens_issued_total 1", `muniment_view_position{view="users"} `,
		`muniment_rpc_duration_seconds_count{answer="ok",method="muniment.v1.UserService.ListUsers"} 1`,
		`muniment_http_request_duration_seconds_count{code="404",method="GET",route="/"} 1`,
		`route="/oauth/token"`, "muniment_checkpoint_size_events ", "muniment_password_pool_waiting 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, secret := range []string{ownerEmail, w.owner.String(), w.org, w.client.GetApplicationId(), "Grace", w.Core.Log.ID().String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics say %s", secret)
		}
	}
	if strings.Count(text, "\n") > 2000 {
		t.Errorf("%d lines", strings.Count(text, "\n"))
	}
}

// Metrics are not for strangers: elsewhere than on loopback they need a token.
func TestCheckObserve(t *testing.T) {
	base := Config{Data: "x", Listen: "127.0.0.1:8300"}
	for _, x := range []struct {
		change func(*Config)
		ok     bool
	}{
		{func(c *Config) { c.MetricsListen = "127.0.0.1:9464" }, true},
		{func(c *Config) { c.MetricsListen = "[::1]:9464" }, true},
		{func(c *Config) { c.MetricsListen = "0.0.0.0:9464" }, false},
		{func(c *Config) { c.MetricsListen = ":9464" }, false},
		{func(c *Config) { c.MetricsListen = "10.0.0.1:9464" }, false},
		{func(c *Config) { c.MetricsListen, c.MetricsToken = "10.0.0.1:9464", "file" }, true},
		{func(c *Config) { c.MetricsToken = "file" }, false},
		{func(c *Config) { c.OTLPEndpoint = "http://127.0.0.1:4318" }, true},
		{func(c *Config) { c.OTLPEndpoint = "127.0.0.1:4318" }, false},
		{func(c *Config) { c.OTLPRatio = "0" }, false},
		{func(c *Config) { c.OTLPRatio = "NaN" }, false},
		{func(c *Config) { c.OTLPRatio = "0.25" }, true},
	} {
		c := base
		x.change(&c)
		if err := c.Check(); (err == nil) != x.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The listener of metrics wants the token that the file holds.
func TestServeMetrics(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a token of some length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	c := Config{MetricsListen: "127.0.0.1:0", MetricsToken: file}
	stop, err := c.serveMetrics(context.Background(), metrics.New("x"), slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, url, _ := strings.Cut(strings.TrimSpace(logged.String()), "address=")
	for token, want := range map[string]int{"a token of some length": 200, "another": 401} {
		r, _ := http.NewRequest(http.MethodGet, url, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: %d", token, res.StatusCode)
		}
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.serveMetrics(context.Background(), metrics.New("x"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a short token is taken")
	}
}
