package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"muniment.dev/hook/webhook"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func sender(t *testing.T, o webhook.Options) *webhook.Sender {
	s := webhook.New(o)
	t.Cleanup(s.Close)
	return s
}

func message(url string, keys ...[]byte) webhook.Message {
	return webhook.Message{URL: url, ID: "0123456789abcdef0123456789abcdef", Time: time.Now(), Body: []byte(`{"type":"x"}`), Type: "application/cloudevents+json", Keys: keys,
		Headers: map[string]string{"Muniment-Attempt": "2"}}
}

func key(b byte) []byte { return []byte(strings.Repeat(string(b), 32)) }

// A library that is not ours verifies what we send, with either secret while one
// replaces the other, and with no other.
func TestAStrangerVerifies(t *testing.T) {
	var got http.Header
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	m := message(srv.URL, key('a'), key('b'))
	if err := sender(t, webhook.Options{Networks: loopback}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got.Get("Muniment-Attempt") != "2" || got.Get("Content-Type") != m.Type || got.Get("webhook-id") != m.ID {
		t.Errorf("headers: %v", got)
	}
	for secret, good := range map[string]bool{webhook.Secret(key('a')): true, webhook.Secret(key('b')): true, webhook.Secret(key('c')): false} {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(body, got); (err == nil) != good {
			t.Errorf("%s: %v", secret, err)
		}
		if err := wh.Verify(append(body, ' '), got); err == nil {
			t.Errorf("%s verifies another body", secret)
		}
	}
}

// The example of the specification of Standard Webhooks, as its libraries test it.
func TestVector(t *testing.T) {
	wh, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := wh.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil || sig != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("%s, %v", sig, err)
	}
}

// Nothing is sent to where only the server itself, or its neighbours, can be:
// whatever the address is called.
func TestForbidden(t *testing.T) {
	called := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer srv.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	s := sender(t, webhook.Options{})
	for _, url := range []string{srv.URL, "http://localhost:" + port, "https://127.0.0.1:" + port, "http://example.com/", "https://[::ffff:127.0.0.1]:" + port, "https://0.0.0.0:" + port} {
		var f *webhook.Failure
		if err := s.Send(t.Context(), message(url, key('a'))); !errors.As(err, &f) || !f.Forbidden {
			t.Errorf("%s: %v", url, err)
		}
	}
	if called {
		t.Error("it was called")
	}
}

// What is of the open internet, and what is not.
func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "64:ff9b::5db8:d822": true, "2002:5db8:d822::1": true,
		"127.0.0.1": false, "127.8.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "ff02::1": false, "2001:db8::1": false, "fec0::1": false,
		"::ffff:10.0.0.1": false, "::ffff:93.184.216.34": true, "64:ff9b::a00:1": false, "2002:a00:1::1": false, "::127.0.0.1": false, "64:ff9b:1::1": false, "2001::1": false,
	} {
		if got := webhook.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// What a receiver answers is told apart; redirects are not followed.
func TestAnswers(t *testing.T) {
	var elsewhere bool
	mux := http.NewServeMux()
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
	mux.Handle("/moved", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	mux.HandleFunc("/taken", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.Write(make([]byte, 1<<20))
	})
	hang := make(chan struct{})
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) { <-hang })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer close(hang)
	s := sender(t, webhook.Options{Networks: loopback, Timeout: 300 * time.Millisecond})
	for path, want := range map[string]webhook.Failure{"/moved": {Status: 307}, "/busy": {Status: 429, After: 7 * time.Second}, "/slow": {Timeout: true}, "/none": {Status: 404}} {
		var f *webhook.Failure
		if err := s.Send(t.Context(), message(srv.URL+path, key('a'))); !errors.As(err, &f) || f.Status != want.Status || f.After != want.After || f.Timeout != want.Timeout {
			t.Errorf("%s: %+v (%v)", path, f, err)
		}
	}
	if err := s.Send(t.Context(), message(srv.URL+"/taken", key('a'))); err != nil {
		t.Errorf("accepted: %v", err)
	}
	if elsewhere {
		t.Error("the redirect was followed")
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	var f *webhook.Failure
	if err := s.Send(context.Background(), message(gone.URL, key('a'))); !errors.As(err, &f) || f.Status != 0 || f.Timeout || f.Forbidden {
		t.Errorf("nobody there: %v", err)
	}
}

// A receiver asks for seconds or names a date (RFC 9110 §10.2.3).
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-5": 0, "1.5": 0, "soon": 0, "999999999": 24 * time.Hour,
		"Thu, 26 Nov 2026 12:01:00 GMT": time.Minute, "Thu, 26 Nov 2026 11:00:00 GMT": 0, "Thu, 26 Nov 2099 11:00:00 GMT": 24 * time.Hour} {
		if got := webhook.RetryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Whatever a receiver answers, it is left alone for no longer than a day.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "120", "Thu, 26 Nov 2026 12:01:00 GMT", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := webhook.RetryAfter(text, time.Unix(0, 0)); d < 0 || d > 24*time.Hour {
			t.Errorf("%q: %v", text, d)
		}
	})
}

// Networks are read as operators write them.
func TestParseNetworks(t *testing.T) {
	got, err := webhook.ParseNetworks("10.1.2.3/8, ::1  192.168.0.7")
	if err != nil || len(got) != 3 || got[0].String() != "10.0.0.0/8" || got[1].String() != "::1/128" || got[2].String() != "192.168.0.7/32" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		if _, err := webhook.ParseNetworks(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
