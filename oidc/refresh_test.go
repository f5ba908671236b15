package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// asApp authenticates as the client that may have refresh tokens.
func asApp(r *http.Request) { r.SetBasicAuth("app", webSecret) }

func goodApp(pairs ...string) url.Values {
	return with(good(), append([]string{"client_id", "app", "scope", "openid profile offline_access"}, pairs...)...)
}

// offline signs in and returns the first tokens of client app.
func (w *world) offline(q url.Values) (tokenAnswer, oidc.Session) {
	w.t.Helper()
	b, s := w.signedIn(ada)
	a := w.token(exchange(b.get(oidc.PathAuthorize, q).next.Get("code")), asApp)
	if a.status != http.StatusOK {
		w.t.Fatalf("no tokens: %+v", a)
	}
	return a, s
}

func refreshForm(token string, pairs ...string) url.Values {
	return with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, pairs...)
}

// payload of a JWT.
func payload(t *testing.T, raw string) map[string]any {
	t.Helper()
	m := map[string]any{}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", raw)
	}
	b, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRefresh: RFC 6749 §6, Core §11 and §12.2: another refresh token at every
// use, the same scope, an ID token without nonce and with the old auth_time;
// signing out does not end it.
func TestRefresh(t *testing.T) {
	w := newWorld(t)
	a, s := w.offline(goodApp())
	if a.Scope != "openid profile offline_access" || !strings.HasPrefix(a.Refresh, "mrt_") || len(a.Refresh) != 47 {
		t.Fatalf("%+v", a)
	}
	first := payload(t, a.ID)
	w.mu.Lock()
	delete(w.sessions, s.ID.String())
	w.mu.Unlock()
	for range 3 {
		w.pass(time.Hour)
		next := w.token(refreshForm(a.Refresh), asApp)
		if next.status != http.StatusOK || next.Refresh == a.Refresh || next.Access == a.Access || next.Scope != a.Scope || next.Expires != 300 {
			t.Fatalf("%+v", next)
		}
		id := payload(t, next.ID)
		if id["nonce"] != nil || id["auth_time"] != first["auth_time"] || id["sub"] != first["sub"] || id["aud"] != first["aud"] || id["iat"] == first["iat"] {
			t.Errorf("ID token %v after %v", id, first)
		}
		if st, _, _ := w.userinfo(next.Access); st != http.StatusOK {
			t.Errorf("userinfo: %d", st)
		}
		a = next
	}
	if plain := w.token(exchange(mustCode(w, good()))); plain.Refresh != "" {
		t.Error("a client that may not have one got a refresh token")
	}
	if without, _ := w.offline(goodApp("scope", "openid")); without.Refresh != "" {
		t.Error("without offline_access there is a refresh token")
	}
}

func mustCode(w *world, q url.Values) string {
	b, _ := w.signedIn(ada)
	return b.get(oidc.PathAuthorize, q).next.Get("code")
}

// TestRefreshScope: RFC 6749 §6, a scope that is narrower, for one access token
// only; what the client may not have any more is left out.
func TestRefreshScope(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	for _, wrong := range []string{"openid email", "admin", " ", "openid\"", "openid openid x"} {
		if got := w.token(refreshForm(a.Refresh, "scope", wrong), asApp); got.Error != "invalid_scope" {
			t.Errorf("scope %q: %+v", wrong, got)
		}
	}
	narrow := w.token(refreshForm(a.Refresh, "scope", "profile"), asApp)
	if narrow.status != http.StatusOK || narrow.Scope != "profile" || narrow.ID != "" || narrow.Refresh == "" {
		t.Fatalf("%+v", narrow)
	}
	if wide := w.token(refreshForm(narrow.Refresh), asApp); wide.Scope != "openid profile offline_access" || wide.ID == "" {
		t.Errorf("%+v", wide)
	}
}

// TestRefreshErrors: RFC 6749 §5.2 and §6; none of it ends the grant.
func TestRefreshErrors(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	for name, c := range map[string]struct {
		v    url.Values
		edit func(*http.Request)
		want string
	}{
		"none":         {refreshForm("", "refresh_token", ""), asApp, "invalid_request"},
		"repeated":     {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.Refresh, a.Refresh}}, asApp, "invalid_request"},
		"unknown":      {refreshForm("mrt_" + strings.Repeat("A", 43)), asApp, "invalid_grant"},
		"cut":          {refreshForm(a.Refresh[:46]), asApp, "invalid_grant"},
		"no prefix":    {refreshForm(a.Refresh[4:]), asApp, "invalid_grant"},
		"access token": {refreshForm(a.Access), asApp, "invalid_grant"},
		"another client": {refreshForm(a.Refresh), func(r *http.Request) {
			c := w.clients["app"]
			c.ID = "app2"
			w.clients["app2"] = c
			r.SetBasicAuth("app2", webSecret)
		}, "invalid_grant"},
		"may not":  {refreshForm(a.Refresh), func(*http.Request) {}, "unauthorized_client"},
		"nobody":   {refreshForm(a.Refresh), noAuth, "invalid_client"},
		"resource": {refreshForm(a.Refresh, "resource", "https://elsewhere.example/"), asApp, "invalid_target"},
	} {
		if got := w.token(c.v, c.edit); got.Error != c.want || got.Access != "" || got.Refresh != "" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	if got := w.token(refreshForm(a.Refresh), asApp); got.status != http.StatusOK {
		t.Errorf("the refresh token did not survive: %+v", got)
	}
}

// TestRefreshReuse: RFC 9700 §4.14.2, a spent refresh token ends the grant, the
// newest one included.
func TestRefreshReuse(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	b := w.token(refreshForm(a.Refresh), asApp)
	w.pass(time.Minute)
	if got := w.token(refreshForm(a.Refresh), asApp); got.Error != "invalid_grant" {
		t.Errorf("a spent refresh token: %+v", got)
	}
	if got := w.token(refreshForm(b.Refresh), asApp); got.Error != "invalid_grant" {
		t.Errorf("the newest after the reuse: %+v", got)
	}
	for _, access := range []string{a.Access, b.Access} {
		if st, _, _ := w.userinfo(access); st != http.StatusUnauthorized {
			t.Errorf("an access token of the family: %d", st)
		}
	}
	for _, why := range w.ended {
		if why != oidc.EndReuse {
			t.Errorf("ended because of %q", why)
		}
	}
}

// TestEightRefreshes: one refresh token and eight clients at once: one gets
// tokens, and afterwards none of that family works.
func TestEightRefreshes(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		a, _ := w.offline(goodApp())
		answers := make([]tokenAnswer, 8)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range answers {
			wg.Go(func() { <-start; answers[i] = w.token(refreshForm(a.Refresh), asApp) })
		}
		close(start)
		wg.Wait()
		var won []tokenAnswer
		for _, r := range answers {
			if r.status == http.StatusOK {
				won = append(won, r)
			} else if r.Error != "invalid_grant" {
				t.Fatalf("a loser got %+v", r)
			}
		}
		if len(won) != 1 {
			t.Fatalf("%d got tokens", len(won))
		}
		if r := w.token(refreshForm(won[0].Refresh), asApp); r.Error != "invalid_grant" {
			t.Fatalf("the winner's refresh token lives on: %+v", r)
		}
	}
}

// TestRefreshOutcomeUnknown: a client that was told that the outcome is not
// known may try again with the same refresh token, once what happened is known,
// and is not taken for a thief; whoever comes after it is.
func TestRefreshOutcomeUnknown(t *testing.T) {
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	w.lose = func() error { return fault.New(fault.Unknown, "the disk did not say") }
	for range 2 { // it happened, and nobody knows
		if got := w.token(refreshForm(a.Refresh), asApp); got.status != http.StatusServiceUnavailable || got.Access != "" || got.Refresh != "" {
			t.Fatalf("%+v", got)
		}
	}
	w.lose = nil
	w.failRedeem = fault.New(fault.Unavailable, "no disk") // it did not happen
	if got := w.token(refreshForm(a.Refresh), asApp); got.status != http.StatusServiceUnavailable {
		t.Fatalf("%+v", got)
	}
	w.failRedeem = nil
	b := w.token(refreshForm(a.Refresh), asApp)
	if b.status != http.StatusOK || len(w.ended) != 0 {
		t.Fatalf("the retry: %+v, ended %v", b, w.ended)
	}
	c := w.token(refreshForm(b.Refresh), asApp)
	if c.status != http.StatusOK {
		t.Fatalf("the next: %+v", c)
	}
	if got := w.token(refreshForm(a.Refresh), asApp); got.Error != "invalid_grant" || len(w.ended) != 1 {
		t.Errorf("reuse after the retry: %+v, ended %v", got, w.ended)
	}
}

// TestRefreshExpires: unused for 14 days, or 90 days after the person was there,
// or as the client has it.
func TestRefreshExpires(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t)
	a, _ := w.offline(goodApp())
	w.pass(14*day - time.Second)
	a = w.token(refreshForm(a.Refresh), asApp)
	if a.status != http.StatusOK {
		t.Fatalf("used in time: %+v", a)
	}
	w.pass(14 * day)
	if got := w.token(refreshForm(a.Refresh), asApp); got.Error != "invalid_grant" {
		t.Errorf("not used in time: %+v", got)
	}
	a, _ = w.offline(goodApp())
	for range 8 {
		w.pass(10 * day)
		a = w.token(refreshForm(a.Refresh), asApp)
	}
	w.pass(10*day - time.Second)
	if a = w.token(refreshForm(a.Refresh), asApp); a.status != http.StatusOK {
		t.Fatalf("before 90 days: %+v", a)
	}
	w.pass(time.Second)
	if got := w.token(refreshForm(a.Refresh), asApp); got.Error != "invalid_grant" {
		t.Errorf("after 90 days: %+v", got)
	}
	c := w.clients["app"]
	c.RefreshLife, c.RefreshIdleLife, c.AccessTokenLife, c.IDTokenLife = 5*time.Hour, 2*time.Hour, time.Minute, 3*time.Minute
	w.clients["app"] = c
	a, _ = w.offline(goodApp())
	if id := payload(t, a.ID); a.Expires != 60 || id["exp"].(float64)-id["iat"].(float64) != 180 {
		t.Errorf("%+v %v", a, id)
	}
	w.pass(2 * time.Hour)
	if got := w.token(refreshForm(a.Refresh), asApp); got.Error != "invalid_grant" {
		t.Errorf("after the client's idle life: %+v", got)
	}
}

// TestForeignTokenSource: golang.org/x/oauth2 refreshes by itself.
func TestForeignTokenSource(t *testing.T) {
	w := newWorld(t)
	conf, provider, verify := relyingParty(t, w, "app", webSecret, callback, oidc.ES256)
	conf.Scopes = []string{"openid", "profile", "offline_access"}
	pkce := oauth2.GenerateVerifier()
	b, _ := w.signedIn(ada)
	p := b.get(strings.TrimPrefix(conf.AuthCodeURL("s", oauth2.S256ChallengeOption(pkce)), w.srv.URL), nil)
	tok, err := conf.Exchange(t.Context(), p.next.Get("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	before := *tok
	tok.Expiry = time.Now().Add(-time.Second)
	source := conf.TokenSource(t.Context(), tok)
	after, err := source.Token()
	if err != nil || after.AccessToken == before.AccessToken || after.RefreshToken == before.RefreshToken || after.RefreshToken == "" {
		t.Fatalf("%+v %v", after, err)
	}
	raw, _ := after.Extra("id_token").(string)
	if id, err := verify.Verify(t.Context(), raw); err != nil || id.Subject != ada.String() {
		t.Errorf("%v", err)
	}
	if info, err := provider.UserInfo(t.Context(), source); err != nil || info.Subject != ada.String() {
		t.Errorf("%v %v", info, err)
	}
}
