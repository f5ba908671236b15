package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// ask calls an endpoint about tokens.
func (w *world) ask(path string, v url.Values, client string) (int, map[string]any) {
	r, _ := http.NewRequest(http.MethodPost, w.srv.URL+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		r.SetBasicAuth(client, webSecret)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	m := map[string]any{}
	_ = json.NewDecoder(resp.Body).Decode(&m)
	if resp.Header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s may be cached", path)
	}
	return resp.StatusCode, m
}

func (w *world) active(token, client string) bool {
	w.t.Helper()
	status, m := w.ask(oidc.PathIntrospect, url.Values{"token": {token}}, client)
	if status != http.StatusOK || m["active"] != true && len(m) != 1 {
		w.t.Fatalf("%s asks about a token: %d %v", client, status, m)
	}
	return m["active"] == true
}

// TestIntrospection: RFC 7662 §2.1 and §2.2: a token concerns whom it was
// issued to, and those whose project it is meant for.
func TestIntrospection(t *testing.T) {
	for _, typ := range []oidc.TokenType{oidc.JWT, oidc.Opaque} {
		w := newWorld(t)
		c := w.clients["app"]
		c.AccessTokenType = typ
		w.clients["app"] = c
		a, s := w.offline(goodApp())
		if strings.HasPrefix(a.Access, "mat_") != (typ == oidc.Opaque) {
			t.Fatalf("type %d: %s", typ, a.Access)
		}
		status, m := w.ask(oidc.PathIntrospect, url.Values{"token": {a.Access}, "token_type_hint": {"refresh_token"}}, "app")
		if status != http.StatusOK {
			t.Fatal(status, m)
		}
		wantClaims(t, m, map[string]any{"active": true, "scope": "openid profile offline_access", "client_id": "app", "token_type": "Bearer", "sub": ada.String(),
			"iss": w.srv.URL, "aud": []any{w.srv.URL, "project-1", "project-2"}, "exp": float64(w.now().Unix() + 300), "iat": float64(w.now().Unix()),
			"sid": s.ID.String(), "username": "ada", "urn:muniment:roles": map[string]any{"project-1": []any{"editor"}}})
		for client, want := range map[string]bool{"app": true, "api": true, "web": true, "other2": false} {
			o := w.clients["other"]
			o.Secrets = w.clients["web"].Secrets
			w.clients["other2"] = o
			if got := w.active(a.Access, client); got != want {
				t.Errorf("type %d: %s finds it active: %v", typ, client, got)
			}
		}
		for client, want := range map[string]bool{"app": true, "api": false, "web": false} {
			if got := w.active(a.Refresh, client); got != want {
				t.Errorf("%s finds the refresh token active: %v", client, got)
			}
		}
		b := w.token(refreshForm(a.Refresh), asApp)
		if w.active(a.Refresh, "app") || !w.active(b.Refresh, "app") || !w.active(a.Access, "app") {
			t.Error("after the refresh")
		}
		for _, no := range []string{"x", "mat_x", "mrt_x", "mat_" + strings.Repeat("A", 43), "mrt_" + strings.Repeat("A", 43), a.ID, a.Access + "x"} {
			if w.active(no, "app") {
				t.Errorf("%q is active", no)
			}
		}
		w.failActive = fault.New(fault.Unavailable, "no log")
		if status, m := w.ask(oidc.PathIntrospect, url.Values{"token": {a.Access}}, "app"); status != 503 || m["active"] != nil {
			t.Errorf("cannot tell: %d %v", status, m)
		}
		w.failActive = nil
		w.pass(5 * time.Minute)
		if w.active(a.Access, "app") || !w.active(b.Refresh, "app") {
			t.Error("after five minutes")
		}
		w.mu.Lock()
		delete(w.users, ada)
		w.mu.Unlock()
	}
}

// TestIntrospectionErrors: RFC 7662 §2.3, RFC 6749 §5.2.
func TestIntrospectionErrors(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	for _, path := range []string{oidc.PathIntrospect, oidc.PathRevoke} {
		for name, c := range map[string]struct {
			v      url.Values
			client string
			status int
			want   string
		}{
			"nobody":   {url.Values{"token": {a.Access}}, "", 401, "invalid_client"},
			"unknown":  {url.Values{"token": {a.Access}}, "x", 401, "invalid_client"},
			"no token": {url.Values{}, "app", 400, "invalid_request"},
			"twice":    {url.Values{"token": {a.Access, a.Access}}, "app", 400, "invalid_request"},
		} {
			if status, m := w.ask(path, c.v, c.client); status != c.status || m["error"] != c.want {
				t.Errorf("%s, %s: %d %v", path, name, status, m)
			}
		}
		if p := w.browser().get(path, nil); p.status != 405 || p.header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d", path, p.status)
		}
	}
	if status, m := w.ask(oidc.PathIntrospect, url.Values{"token": {a.Access}, "client_id": {"cli"}}, ""); status != 401 || m["error"] != "invalid_client" {
		t.Errorf("a public client asks: %d %v", status, m)
	}
}

// TestRevocation: RFC 7009 §2.1 and §2.2: an access token alone, a refresh token
// with all of its grant; only by whom it was issued to; what is not there is
// revoked already.
func TestRevocation(t *testing.T) {
	for _, typ := range []oidc.TokenType{oidc.JWT, oidc.Opaque} {
		w := newWorld(t)
		c := w.clients["app"]
		c.AccessTokenType = typ
		w.clients["app"] = c
		a, _ := w.offline(goodApp())
		for _, token := range []string{a.Access, a.Refresh} {
			if status, m := w.ask(oidc.PathRevoke, url.Values{"token": {token}}, "web"); status != 400 || m["error"] != "invalid_grant" {
				t.Errorf("another client revokes: %d %v", status, m)
			}
		}
		for _, none := range []string{"x", "mrt_" + strings.Repeat("A", 43), "mat_" + strings.Repeat("A", 43)} {
			if status, _ := w.ask(oidc.PathRevoke, url.Values{"token": {none}}, "app"); status != http.StatusOK {
				t.Errorf("no token of ours: %d", status)
			}
		}
		for range 2 {
			if status, _ := w.ask(oidc.PathRevoke, url.Values{"token": {a.Access}, "token_type_hint": {"access_token"}}, "app"); status != http.StatusOK {
				t.Errorf("revoke: %d", status)
			}
		}
		if w.active(a.Access, "app") || !w.active(a.Refresh, "app") {
			t.Error("an access token takes something with it, or stays")
		}
		b := w.token(refreshForm(a.Refresh), asApp)
		if b.status != http.StatusOK || !w.active(b.Access, "app") {
			t.Fatalf("the grant goes on: %+v", b)
		}
		w.failEnd = fault.New(fault.Unknown, "the disk did not say")
		if status, _ := w.ask(oidc.PathRevoke, url.Values{"token": {b.Access}}, "app"); status != http.StatusServiceUnavailable {
			t.Errorf("an unknown outcome: %d", status)
		}
		w.failEnd = nil
		if status, _ := w.ask(oidc.PathRevoke, url.Values{"token": {b.Refresh}}, "app"); status != http.StatusOK {
			t.Errorf("revoke: %d", status)
		}
		if w.active(b.Access, "app") || w.active(b.Refresh, "app") {
			t.Error("the grant lives on")
		}
		if got := w.token(refreshForm(b.Refresh), asApp); got.Error != "invalid_grant" {
			t.Errorf("%+v", got)
		}
		for _, why := range w.ended {
			if why != oidc.EndRevoked {
				t.Errorf("ended because of %q", why)
			}
		}
	}
}

// TestOpaqueToken: only this server can tell what it is good for; userinfo and
// the API can.
func TestOpaqueToken(t *testing.T) {
	w := newWorld(t)
	c := w.clients["app"]
	c.AccessTokenType, c.Scopes = oidc.Opaque, []string{oidc.ScopeAPI}
	w.clients["app"] = c
	a, _ := w.offline(goodApp("scope", "openid "+oidc.ScopeAPI))
	if st, _, m := w.userinfo(a.Access); st != http.StatusOK || m["sub"] != ada.String() {
		t.Errorf("userinfo: %d %v", st, m)
	}
	if at, err := w.op.VerifyAccessToken(t.Context(), a.Access, w.op.APIAudience()); err != nil || at.User != ada || at.Client != "app" {
		t.Errorf("%+v %v", at, err)
	}
	if _, err := w.op.VerifyAccessToken(t.Context(), a.Access, "project-9"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("for another: %v", err)
	}
	if payload(t, a.ID)["at_hash"] == nil {
		t.Error("no at_hash")
	}
	for _, tok := range w.tokens {
		if b, err := json.Marshal(tok); err != nil || strings.Contains(string(b), a.Access[4:]) {
			t.Error("the token itself is kept")
		}
	}
	w.pass(5 * time.Minute)
	if st, _, _ := w.userinfo(a.Access); st != http.StatusUnauthorized {
		t.Errorf("expired: %d", st)
	}
}

// TestResource: RFC 8707 §2: what is asked for, within what the client may
// address; at the token endpoint within what was granted.
func TestResource(t *testing.T) {
	w := newWorld(t)
	const one, two = "urn:muniment:project:project-1", "urn:muniment:project:project-2"
	aud := func(a tokenAnswer) any { return payload(t, a.Access)["aud"] }
	want := func(name string, got any, list ...any) {
		t.Helper()
		if g, _ := json.Marshal(got); string(g) != func() string { b, _ := json.Marshal(list); return string(b) }() {
			t.Errorf("%s: %s, want %v", name, g, list)
		}
	}
	a, _ := w.offline(goodApp())
	want("all", aud(a), w.srv.URL, "project-1", "project-2")
	a, _ = w.offline(goodApp("resource", two))
	want("one", aud(a), "project-2")
	if st, _, _ := w.userinfo(a.Access); st != http.StatusUnauthorized {
		t.Errorf("a token for another resource opens userinfo: %d", st)
	}
	if got := w.token(refreshForm(a.Refresh, "resource", one), asApp); got.Error != "invalid_target" {
		t.Errorf("beyond what was granted: %+v", got)
	}
	many := goodApp()
	many["resource"] = []string{two, w.srv.URL, two}
	a, _ = w.offline(many)
	want("two", aud(a), w.srv.URL, "project-2")
	want("narrower", aud(w.token(refreshForm(a.Refresh, "resource", two), asApp)), "project-2")
	b, _ := w.signedIn(ada)
	for _, bad := range []string{"project-2", "urn:muniment:project:project-3", "https://rp.example/", "urn:muniment:project:" + w.srv.URL, w.op.APIAudience(), "x y"} {
		if p := b.get(oidc.PathAuthorize, goodApp("resource", bad)); p.next.Get("error") != "invalid_target" {
			t.Errorf("resource %q: %d %s", bad, p.status, p.loc)
		}
	}
	flood := goodApp()
	for range 9 {
		flood.Add("resource", two)
	}
	if p := b.get(oidc.PathAuthorize, flood); p.next.Get("error") != "invalid_target" {
		t.Errorf("nine resources: %s", p.loc)
	}
}

// Ids of tokens differ, so that each can be revoked alone.
func TestTokenIDs(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	b := w.token(refreshForm(a.Refresh), asApp)
	x, y := payload(t, a.Access)["jti"], payload(t, b.Access)["jti"]
	if _, err := event.ParseID(x.(string)); err != nil || x == y {
		t.Errorf("%v %v", x, y)
	}
}
