package oidc_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2/clientcredentials"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

var robot = event.MustID("00000000000000000000000000000b07")

// IssueMachineToken implements oidc.Machines.
func (w *world) IssueMachineToken(_ context.Context, t oidc.AccessToken, proof event.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failIssue != nil {
		return w.failIssue
	}
	if proof != w.proof {
		return fault.New(fault.Unauthenticated, "by another secret")
	}
	w.writes++
	w.machines[t.ID] = true
	return nil
}

// Allowed implements oidc.Origins.
func (w *world) Allowed(_ context.Context, origin string, api bool) (bool, error) {
	if origin == "https://broken.example" {
		return false, fault.New(fault.Unavailable, "no log")
	}
	return origin == "https://spa.example" && !api, nil
}

func newRobot(w *world) {
	w.proof = event.NewID()
	w.clients[robot.String()] = oidc.Client{ID: robot.String(), User: robot, Type: oidc.Machine, GrantTypes: []string{oidc.GrantClient}, Scopes: []string{oidc.ScopeAPI},
		Secrets: [][32]byte{sha256.Sum256([]byte("other")), sha256.Sum256([]byte(webSecret))}, SecretIDs: []event.ID{event.NewID(), w.proof}, Resources: []string{"project-1", "project-2"}}
	w.users[robot] = oidc.UserClaims{Name: "Robot", Roles: map[string][]string{"project-1": {"editor"}, "project-2": {"reader"}}}
}

// TestClientCredentials: RFC 6749 §4.4, RFC 9068 §2.2.
func TestClientCredentials(t *testing.T) {
	w := newWorld(t)
	newRobot(w)
	asRobot := func(r *http.Request) { r.SetBasicAuth(robot.String(), webSecret) }
	form := func(pairs ...string) url.Values {
		return with(url.Values{"grant_type": {"client_credentials"}}, pairs...)
	}
	a := w.token(form("scope", oidc.ScopeAPI+" unknown"), asRobot)
	if a.status != http.StatusOK || a.ID != "" || a.Refresh != "" || a.Scope != oidc.ScopeAPI || a.Type != "Bearer" || a.Expires != 300 { // §4.4.3, §3.3
		t.Fatalf("%+v", a)
	}
	p := payload(t, a.Access)
	wantClaims(t, p, map[string]any{"sub": robot.String(), "client_id": robot.String(), "iss": w.srv.URL, "scope": oidc.ScopeAPI})
	for _, none := range []string{"sid", "auth_time", "urn:muniment:grant", "amr"} {
		if p[none] != nil {
			t.Errorf("%s: %v", none, p[none])
		}
	}
	at, err := w.op.VerifyAccessToken(t.Context(), a.Access, w.op.APIAudience())
	if err != nil || at.User != robot || !at.Session.IsZero() || !at.AuthTime.IsZero() {
		t.Errorf("%+v %v", at, err)
	}
	a = w.token(form("resource", "urn:muniment:project:project-2"), asRobot) // RFC 8707 §2
	if p := payload(t, a.Access); p["urn:muniment:roles"].(map[string]any)["project-1"] != nil || p["urn:muniment:roles"].(map[string]any)["project-2"] == nil || a.Scope != "" {
		t.Errorf("%v", p)
	}
	if _, err := w.op.VerifyAccessToken(t.Context(), a.Access, w.op.APIAudience()); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a token without the scope opens the API: %v", err)
	}
	for name, c := range map[string]struct {
		v    url.Values
		edit func(*http.Request)
		want string
	}{
		"an application":          {form(), nil, "unauthorized_client"},
		"a person's scope":        {form("scope", "openid"), asRobot, "invalid_scope"},
		"a bad scope":             {form("scope", "a\"b"), asRobot, "invalid_scope"},
		"a project without roles": {form("resource", "urn:muniment:project:project-3"), asRobot, "invalid_target"},
		"a wrong secret":          {form(), func(r *http.Request) { r.SetBasicAuth(robot.String(), "x") }, "invalid_client"},
		"no secret":               {form("client_id", robot.String()), noAuth, "invalid_client"},
		"a code":                  {exchange("x"), asRobot, "unauthorized_client"},
		"by another secret":       {form(), func(r *http.Request) { r.SetBasicAuth(robot.String(), "other") }, "invalid_client"},
	} {
		if a := w.token(c.v, append([]func(*http.Request){func(*http.Request) {}}, slices.DeleteFunc([]func(*http.Request){c.edit}, func(f func(*http.Request)) bool { return f == nil })...)...); a.Error != c.want || a.Access != "" {
			t.Errorf("%s: %+v, want %s", name, a, c.want)
		}
	}
	w.failIssue = fault.New(fault.Unknown, "the disk did not say")
	if a := w.token(form(), asRobot); a.status != http.StatusServiceUnavailable || a.Access != "" {
		t.Errorf("handed over what may not be recorded: %+v", a)
	}
}

// A client of the world outside gets tokens as it is (RFC 6749 §4.4).
func TestClientCredentialsWithForeignClient(t *testing.T) {
	w := newWorld(t)
	newRobot(w)
	c := clientcredentials.Config{ClientID: robot.String(), ClientSecret: webSecret, TokenURL: w.srv.URL + oidc.PathToken, Scopes: []string{oidc.ScopeAPI}}
	tok, err := c.Token(t.Context())
	if err != nil || !tok.Valid() {
		t.Fatal(err)
	}
	if _, err := w.op.VerifyAccessToken(t.Context(), tok.AccessToken, w.op.APIAudience()); err != nil {
		t.Error(err)
	}
}

// TestCORS: the Fetch standard §3.2: exact origins, no cookies, no wildcard where
// a token goes; caches are told.
func TestCORS(t *testing.T) {
	w := newWorld(t)
	call := func(h http.Handler, method, path, origin string, ask bool) http.Header {
		r := httptest.NewRequest(method, w.srv.URL+path, nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if ask {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "authorization")
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if ask && rec.Code != http.StatusNoContent {
			t.Errorf("%s %s from %q: %d", method, path, origin, rec.Code)
		}
		return rec.Header()
	}
	mux := http.NewServeMux()
	w.op.Register(mux)
	for _, path := range []string{oidc.PathToken, oidc.PathUserinfo, oidc.PathRevoke} {
		for origin, ok := range map[string]bool{"https://spa.example": true, "https://spa.example.evil.example": false, "https://SPA.example": false, "http://spa.example": false,
			"https://spa.example:443": false, "null": false, "*": false, "": false, "https://broken.example": false} {
			for _, method := range []string{"POST", "OPTIONS"} {
				h := call(mux, method, path, origin, method == "OPTIONS")
				if got := h.Get("Access-Control-Allow-Origin"); (got == origin && got != "") != ok || got != "" && !ok {
					t.Errorf("%s %s from %q: allowed %q", method, path, origin, got)
				}
				if !slices.Contains(h.Values("Vary"), "Origin") || h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s %s from %q: %v", method, path, origin, h)
				}
				if asked := h.Get("Access-Control-Allow-Headers"); strings.Contains(asked, "Authorization") != (ok && method == "OPTIONS") || strings.Contains(asked, "*") {
					t.Errorf("%s %s from %q: headers %q", method, path, origin, asked)
				}
			}
		}
	}
	// Introspection is for servers, the pages are for people: no script of
	// another site calls them.
	for _, path := range []string{oidc.PathIntrospect, oidc.PathAuthorize, oidc.PathLogout} {
		if h := call(mux, "POST", path, "https://spa.example", false); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, path := range []string{oidc.PathDiscovery, oidc.PathKeys} { // public, without a token, the same for all
		if h := call(mux, "GET", path, "https://spa.example", false); h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	api := w.op.Scripts(oidc.CORS{API: true, Methods: []string{"GET"}}, http.NotFoundHandler())
	if h := call(api, "OPTIONS", "/v1/users", "https://spa.example", true); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the API: %v", h)
	}
}
