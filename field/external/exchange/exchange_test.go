package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"muniment.dev/field/external/exchange"
	"muniment.dev/hook/webhook"
)

var here = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// answering is a system that answers everything with a body.
func answering(t *testing.T, contentType, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write([]byte(body)) //nolint:errcheck // a test
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func client(t *testing.T, o webhook.Options) *exchange.Client {
	t.Helper()
	c := exchange.New(o)
	t.Cleanup(c.Close)
	return c
}

// A success is empty or JSON that says of each event what became of it; nothing
// else counts as one, whatever its status.
func TestPost(t *testing.T) {
	c := client(t, webhook.Options{Networks: here})
	for name, x := range map[string]struct {
		contentType, body string
		reason            exchange.Reason
		verdicts          int
	}{
		"empty":               {"text/plain", "", "", 0},
		"anything in JSON":    {"application/json", `{"ok":true}`, "", 0},
		"all taken":           {"application/problem+json", `{"results":[{"id":"A","status":"accepted"},{"id":"B","status":"repeated"}]}`, "", 0},
		"some not":            {"application/json; charset=utf-8", `{"results":[{"id":"A","status":"refused"},{"id":"B","status":"retry"},{"id":"a","status":"retry"}]}`, "", 2},
		"a page":              {"text/html", "<html>", exchange.Malformed, 0},
		"no JSON":             {"application/json", "ok", exchange.Malformed, 0},
		"a list":              {"application/json", "[]", exchange.Malformed, 0},
		"a status of its own": {"application/json", `{"results":[{"id":"A","status":"perhaps"}]}`, exchange.Malformed, 0},
		"huge":                {"application/json", strings.Repeat(" ", 2<<20), exchange.TooLarge, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Post(t.Context(), exchange.Target{URL: answering(t, x.contentType, x.body)}, exchange.Batch{ID: "1", Time: time.Now(), Body: []byte("[]")})
			var f *exchange.Failure
			if errors.As(err, &f); (f == nil) != (x.reason == "") || f != nil && f.Reason != x.reason || len(got) != x.verdicts {
				t.Errorf("%v, %v", got, err)
			}
			if x.verdicts > 0 && got["a"] != exchange.Refused {
				t.Errorf("what is refused once is refused: %v", got)
			}
		})
	}
}

// No address but one of the open internet is connected to, and none in clear but
// this machine's; an answer that does not come in time ends the call; and what
// goes wrong is said without the address and the cursor.
func TestBounds(t *testing.T) {
	url := answering(t, "application/json", `{"events":[]}`)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 100 {
			w.Write([]byte(" ")) //nolint:errcheck // a test
			w.(http.Flusher).Flush()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(slow.Close)
	for name, x := range map[string]struct {
		url    string
		o      webhook.Options
		reason exchange.Reason
	}{
		"this machine":         {url, webhook.Options{}, exchange.Forbidden},
		"in clear":             {"http://192.0.2.1/", webhook.Options{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, exchange.Forbidden},
		"a cloud's own":        {"https://169.254.169.254/", webhook.Options{}, exchange.Forbidden},
		"drop by drop":         {slow.URL, webhook.Options{Networks: here, Timeout: 100 * time.Millisecond}, exchange.TimedOut},
		"where nobody answers": {"http://127.0.0.1:1/", webhook.Options{Networks: here}, exchange.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, x.o).Get(t.Context(), exchange.Target{URL: x.url + "?key=s3cr3t", Bearer: "t0ken"}, "1", time.Now(), "s3cr3t", 1)
			var f *exchange.Failure
			if !errors.As(err, &f) || f.Reason != x.reason {
				t.Fatalf("%v", err)
			}
			for e := error(f); e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "s3cr3t") || strings.Contains(e.Error(), "t0ken") {
					t.Errorf("a secret is in %q", e)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t, webhook.Options{Networks: here}).Get(ctx, exchange.Target{URL: url}, "1", time.Now(), "", 1); err == nil {
		t.Error("a call outlives its context")
	}
}

// Whatever an external system answers, it is read or refused, within bounds.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"events":[{"id":"1"}],"next":"a"}`, `{"results":[{"id":"1","status":"refused"}]}`, `{"next":7}`, `[]`, ``, `{"events":[1],"next":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := exchange.ReadPage(body); err == nil && (len(p.Events) > exchange.MostEvents || len(p.Next) > exchange.MostCursor || strings.ContainsAny(p.Next, "\x00\r\n")) {
			t.Errorf("a page beyond its bounds: %d events, %q", len(p.Events), p.Next)
		}
		got, err := exchange.ReadVerdicts(body)
		if err != nil && got != nil {
			t.Error("verdicts of what cannot be read")
		}
		for _, v := range got {
			if v != exchange.Refused && v != exchange.Retry {
				t.Errorf("a verdict %q", v)
			}
		}
	})
}
