package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, h http.Handler, token string) (int, string) {
	t.Helper()
	hs := httptest.NewServer(h)
	defer hs.Close()
	r, _ := http.NewRequest(http.MethodGet, hs.URL, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func records(types ...string) (out []*event.Record) {
	for _, typ := range types {
		out = append(out, &event.Record{Type: typ})
	}
	return out
}

// Everything that the log and the sources say is found under its name.
func TestMetrics(t *testing.T) {
	m := New("1.2.3")
	m.Committed(eventlog.Commit{Records: records("session.begun", "signin.failed", "signin.failed", "authorization.token.issued"), Appends: 3, Took: 3 * time.Millisecond})
	m.Refused(fault.Conflict)
	m.Failed(fault.Unknown)
	m.Called("muniment.v1.UserService.GetUser", "ok", time.Millisecond)
	m.Streaming(2)
	m.Request("BREW", "GET /x", 404, time.Millisecond)
	one := Sample{Size: 10, CheckpointSize: 9, CheckpointTime: time.Unix(100, 0), Erasures: 1, Retries: 4, Queued: 2, Views: []View{{Name: "users", Position: 8, Lag: time.Second}}}
	one.Shared, one.Leads, one.Left, one.Forwarded, one.Unanswered = true, true, 3*time.Second, 5, 1
	two := one
	two.Leads, two.Left = false, 2*time.Second
	two.CheckpointTime, two.Views = time.Unix(50, 0), []View{{Name: "users", Position: 10, Lag: 3 * time.Second, Stopped: true}}
	defer m.Add(func() Sample { return one })()
	remove := m.Add(func() Sample { return two })
	_, text := scrape(t, m.Handler(), "")
	for _, line := range []string{
		`muniment_build_info{version="1.2.3"} 1`,
		`muniment_node_leads 1`,
		`muniment_node_follows 1`,
		`muniment_node_lease_seconds 2`,
		`muniment_node_forwards_total 10`,
		`muniment_node_forward_failures_total 2`,
		`muniment_log_events_total{type="signin.failed"} 2`,
		`muniment_sign_ins_total{result="ok"} 1`,
		`muniment_sign_ins_total{result="failed"} 2`,
		`muniment_tokens_issued_total 1`,
		`muniment_log_appends_refused_total{kind="conflict"} 1`,
		`muniment_log_commits_failed_total{kind="unknown outcome"} 1`,
		`muniment_log_batch_events_sum 4`,
		`muniment_log_batch_appends_sum 3`,
		`muniment_log_commit_seconds_count 1`,
		`muniment_rpc_duration_seconds_count{answer="ok",method="muniment.v1.UserService.GetUser"} 1`,
		`muniment_http_request_duration_seconds_count{code="404",method="other",route="GET /x"} 1`,
		`muniment_streams_open 2`,
		`muniment_instances 2`,
		`muniment_log_size_events 20`,
		`muniment_checkpoint_behind_events 2`,
		`muniment_checkpoint_timestamp_seconds 50`,
		`muniment_command_retries_total 8`,
		`muniment_erasures_pending 2`,
		`muniment_password_pool_waiting 4`,
		`muniment_view_lag_seconds{view="users"} 3`,
		`muniment_view_position{view="users"} 18`,
		`muniment_view_stopped{view="users"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%s is missing", name)
		}
	}
	remove()
	if _, text := scrape(t, m.Handler(), ""); !strings.Contains(text, "muniment_log_size_events 10\n") {
		t.Error("a source that was removed is still asked")
	}
}

// However many types of events there are, the number of series is bounded.
func TestBounded(t *testing.T) {
	m := New("x")
	for i := range 2 * maxTypes {
		m.Committed(eventlog.Commit{Records: records(fmt.Sprintf("custom.t%d", i))})
	}
	_, text := scrape(t, m.Handler(), "")
	if n := strings.Count(text, "\nmuniment_log_events_total{"); n != maxTypes+1 {
		t.Errorf("%d series", n)
	}
}

// Metrics are given for the token, and for nothing else.
func TestGuard(t *testing.T) {
	h := Guard("a token of some length", New("x").Handler())
	for token, want := range map[string]int{"": 401, "wrong": 401, "a token of some length": 200} {
		if got, _ := scrape(t, h, token); got != want {
			t.Errorf("%q: %d, want %d", token, got, want)
		}
	}
}
