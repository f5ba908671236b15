package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a server says of itself is printed and handed to a browser: it cannot
// control the terminal, and names only itself.
func TestDiscoverHostileServer(t *testing.T) {
	var say func(server string) metadata
	srv := httptest.NewServer(nil)
	defer srv.Close()
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(say(srv.URL))
	})
	for name, c := range map[string]struct {
		good bool
		say  func(s string) metadata
	}{
		"as it should":      {true, func(s string) metadata { return metadata{s, s + "/oauth/authorize", s + "/oauth/token"} }},
		"another issuer":    {false, func(s string) metadata { return metadata{"https://evil.example", s + "/a", s + "/t"} }},
		"another server":    {false, func(s string) metadata { return metadata{s, "https://evil.example/a", s + "/t"} }},
		"a longer name":     {false, func(s string) metadata { return metadata{s, s + "/a", s + ".evil.example/t"} }},
		"escape sequences":  {false, func(s string) metadata { return metadata{s, s + "/\x1b]0;owned\x07", s + "/t"} }},
		"a second line":     {false, func(s string) metadata { return metadata{s, s + "/a\nhttps://evil.example/", s + "/t"} }},
		"an invisible turn": {false, func(s string) metadata { return metadata{s, s + "/\u202e", s + "/t"} }},
	} {
		say = c.say
		m, err := discover(t.Context(), Env{}, srv.URL)
		if (err == nil) != c.good {
			t.Errorf("%s: %v %v", name, m, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x07\n\u202e") {
			t.Errorf("%s: the error itself: %q", name, err)
		}
	}
}
