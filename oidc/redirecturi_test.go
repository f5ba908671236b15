package oidc

import (
	"net/url"
	"strings"
	"testing"
)

// TestCheckRedirectURI: RFC 6749 §3.1.2, RFC 8252 §7.
func TestCheckRedirectURI(t *testing.T) {
	for uri, want := range map[string]string{ // who may register it: "web", "native", "both", "none"
		"https://rp.example/cb":                          "both",
		"https://rp.example":                             "both",
		"https://rp.example:8443/cb?x=1&y=%20":           "both",
		"http://localhost:8080/cb":                       "both",
		"http://127.0.0.1/cb":                            "both",
		"http://[::1]:80/cb":                             "both",
		"com.example.app:/cb":                            "native",
		"com.example.app:/":                              "native",
		"":                                               "none",
		"/cb":                                            "none",
		"//rp.example/cb":                                "none",
		"rp.example/cb":                                  "none",
		"http://rp.example/cb":                           "none",
		"http://127.0.0.1.evil.example/cb":               "none",
		"https://rp.example/cb#x":                        "none",
		"https://rp.example/cb#":                         "none",
		"https://user@rp.example/cb":                     "none",
		"https://rp.example/../cb":                       "none",
		"https://rp.example/a/./cb":                      "none",
		"https://rp.example/%2e%2e/cb":                   "none",
		"https://*.rp.example/cb":                        "none",
		"https://rp.example\\@evil.example/":             "none",
		"https://rp.exämple/cb":                          "none",
		"https://rp.example/c b":                         "none",
		"https://rp.example/cb\n":                        "none",
		"https://RP.example/cb":                          "none",
		"HTTPS://rp.example/cb":                          "none",
		"https:///cb":                                    "none",
		"https:rp.example":                               "none",
		"https://rp.example:/cb":                         "none",
		"https://rp.example:0/cb":                        "none",
		"https://rp.example:99999/cb":                    "none",
		"javascript:alert(1)":                            "none",
		"data:text/html,x":                               "none",
		"myapp:/cb":                                      "none",
		"com.example.app://host/cb":                      "none",
		"https://rp.example/" + strings.Repeat("x", 500): "none",
	} {
		web, native := CheckRedirectURI(Web, uri), CheckRedirectURI(Native, uri)
		if (web == nil) != (want == "web" || want == "both") {
			t.Errorf("web %q: %v", uri, web)
		}
		if (native == nil) != (want == "native" || want == "both") {
			t.Errorf("native %q: %v", uri, native)
		}
	}
}

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
			if CheckRedirectURI(ct, s) != nil {
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
