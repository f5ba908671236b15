package oidc

import (
	"net/url"
	"strings"
	"testing"

	"muniment.dev/app"
)

// TestMatchRedirectURI: exact (RFC 9700 §4.1.3) but for a native app's port on
// loopback (RFC 8252 §7.3).
func TestMatchRedirectURI(t *testing.T) {
	reg := []string{"https://rp.example/cb", "http://127.0.0.1/cb", "http://[::1]:7/", "http://localhost:5/cb", "http://127.0.0.1"}
	for uri, want := range map[string][2]bool{ // web, native
		"https://rp.example/cb":              {true, true},
		"https://rp.example/cb/":             {},
		"https://rp.example/cb?":             {},
		"https://rp.example/CB":              {},
		"https://rp.example:443/cb":          {},
		"http://127.0.0.1/cb":                {true, true},
		"http://127.0.0.1:1/cb":              {false, true},
		"http://127.0.0.1:65535/cb":          {false, true},
		"http://127.0.0.1:65536/cb":          {},
		"http://127.0.0.1:0/cb":              {},
		"http://127.0.0.1:01/cb":             {},
		"http://127.0.0.1:/cb":               {},
		"http://127.0.0.1:+1/cb":             {},
		"http://127.0.0.1:1/cb2":             {},
		"http://127.0.0.1:1/cb#x":            {},
		"http://127.0.0.1:1@evil.example/cb": {},
		"http://127.0.0.1:1:2/cb":            {},
		"http://127.0.0.1.evil.example/cb":   {},
		"http://127.0.0.1@evil.example/cb":   {},
		"https://127.0.0.1:1/cb":             {},
		"http://[::1]:7/":                    {true, true},
		"http://[::1]/":                      {false, true},
		"http://[::1]:8/":                    {false, true},
		"http://127.0.0.1:9":                 {false, true},
		"http://localhost:5/cb":              {true, true},
		"http://localhost:6/cb":              {},
		"":                                   {},
	} {
		for i, ct := range []ClientType{Web, Native} {
			if got := matchRedirectURI(Client{Type: ct, RedirectURIs: reg}, uri); got != want[i] {
				t.Errorf("type %d %q: %v", ct, uri, got)
			}
		}
	}
}

// FuzzRedirectURI: what matches leads to a host that was registered, whatever
// parser looks at it; what may be registered matches itself and leads to where
// it says after parameters were added.
func FuzzRedirectURI(f *testing.F) {
	for _, s := range []string{"https://rp.example/cb", "http://127.0.0.1:1/cb", "http://[::1]:8/", "com.example.app:/cb", "https://a@b/..", "http://127.0.0.1:1@x/cb"} {
		f.Add(s)
	}
	native := Client{Type: Native, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/"}}
	f.Fuzz(func(t *testing.T, s string) {
		if matchRedirectURI(native, s) {
			u, err := url.Parse(s)
			if err != nil || u.Scheme != "http" || (u.Hostname() != "127.0.0.1" && u.Hostname() != "::1") || u.User != nil || u.Fragment != "" {
				t.Fatalf("%q matches: %v %v", s, u, err)
			}
		}
		for _, ct := range []ClientType{Web, Native} {
			if app.CheckURI(s, ct == Native) != nil {
				continue
			}
			if !matchRedirectURI(Client{Type: ct, RedirectURIs: []string{s}}, s) {
				t.Fatalf("%q does not match itself", s)
			}
			to := withQuery(s, []string{"code", "a&b", "state", "#"})
			u, err := url.Parse(to)
			was, _ := url.Parse(s)
			if err != nil || u.Host != was.Host || u.Scheme != was.Scheme || u.Fragment != "" || !strings.HasPrefix(to, s) {
				t.Fatalf("%q became %q: %v", s, to, err)
			}
			q := u.Query()
			if v := q["code"]; len(v) == 0 || v[len(v)-1] != "a&b" {
				t.Fatalf("%q became %q", s, to)
			}
		}
	})
}
