package oidc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	rp "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"muniment.dev/oidc"
)

// relyingParty is an application made with two libraries that are not ours.
func relyingParty(t *testing.T, w *world, id, secret, redirect string, alg string) (*oauth2.Config, *rp.Provider, *rp.IDTokenVerifier) {
	t.Helper()
	p, err := rp.NewProvider(t.Context(), w.srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: redirect, Scopes: []string{"openid", "profile", "email"}}
	return c, p, p.Verifier(&rp.Config{ClientID: id, Now: w.now, SupportedSigningAlgs: []string{alg}})
}

// TestSignInWithForeignClients: discovery, sign-in page, code with PKCE, ID
// token, userinfo, as coreos/go-oidc and golang.org/x/oauth2 do them.
func TestSignInWithForeignClients(t *testing.T) {
	for _, alg := range []string{oidc.ES256, oidc.RS256} {
		t.Run(alg, func(t *testing.T) {
			w := newWorld(t)
			c := w.clients["web"]
			c.IDTokenAlg = alg
			w.clients["web"] = c
			w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
				if f.Ask != oidc.AskSignIn || f.Client.Name != "Web" || f.LoginHint != "ada@example.com" {
					t.Errorf("flow %+v", f)
				}
				w.signIn(rw, ada)
				http.Redirect(rw, r, w.op.ResumeURL(f.ID), http.StatusSeeOther)
			}
			conf, provider, verify := relyingParty(t, w, "web", webSecret, callback, alg)
			pkce := oauth2.GenerateVerifier()
			b := w.browser()
			p := b.get(strings.TrimPrefix(conf.AuthCodeURL("the state", oauth2.S256ChallengeOption(pkce), rp.Nonce("the nonce"),
				oauth2.SetAuthURLParam("login_hint", "ada@example.com")), w.srv.URL), nil)
			if !strings.HasPrefix(p.loc, callback+"?") || p.next.Get("state") != "the state" || p.next.Get("iss") != w.srv.URL {
				t.Fatalf("answered %d %s %s", p.status, p.loc, p.body)
			}
			tok, err := conf.Exchange(t.Context(), p.next.Get("code"), oauth2.VerifierOption(pkce))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tok.Extra("id_token").(string)
			id, err := verify.Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := id.VerifyAccessToken(tok.AccessToken); err != nil {
				t.Error("at_hash:", err)
			}
			var claims map[string]any
			if err := id.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			wantClaims(t, claims, map[string]any{"nonce": "the nonce", "sub": ada.String(), "acr": "urn:muniment:acr:password",
				"amr": []any{"pwd"}, "auth_time": float64(w.now().Unix()), "roles": map[string]any{"project-1": []any{"editor"}}})
			if claims["sid"] == "" || claims["sid"] == nil {
				t.Error("no sid")
			}
			if claims["email"] != nil || claims["azp"] != nil {
				t.Error("the ID token tells more than it must:", claims)
			}
			info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tok))
			if err != nil {
				t.Fatal(err)
			}
			var ui map[string]any
			if err := info.Claims(&ui); err != nil {
				t.Fatal(err)
			}
			wantClaims(t, ui, map[string]any{"sub": ada.String(), "name": "Ada Lovelace", "preferred_username": "ada",
				"email": "ada@example.com", "email_verified": true, "updated_at": float64(w.clock.Unix()), "roles": map[string]any{"project-1": []any{"editor"}}})
			if tok.TokenType != "Bearer" || time.Until(tok.Expiry) > 5*time.Minute {
				t.Errorf("token %+v", tok)
			}
		})
	}
}

func wantClaims(t *testing.T, got, want map[string]any) {
	t.Helper()
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Errorf("claim %s is %#v, want %#v", k, got[k], v)
		}
	}
}

// TestNativeClient: RFC 8252 §7.3, any port on loopback; RFC 8252 §8.6, the person
// takes part; the API's audience only with the scope for it.
func TestNativeClient(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
		if asked++; f.Ask != oidc.AskConsent {
			t.Errorf("asked %v, want consent", f.Ask)
		}
		next, err := w.op.Answer(rw, r, f.ID, oidc.AnswerConsent)
		if err != nil {
			t.Error(err)
		}
		http.Redirect(rw, r, next, http.StatusSeeOther)
	}
	conf, _, verify := relyingParty(t, w, "cli", "", "http://127.0.0.1:49152/cb", oidc.ES256)
	conf.Scopes = []string{"openid", oidc.ScopeAPI}
	pkce := oauth2.GenerateVerifier()
	b, _ := w.signedIn(ada)
	p := b.get(strings.TrimPrefix(conf.AuthCodeURL("s", oauth2.S256ChallengeOption(pkce)), w.srv.URL), nil)
	if !strings.HasPrefix(p.loc, "http://127.0.0.1:49152/cb?") || asked != 1 {
		t.Fatalf("answered %d %s %s", p.status, p.loc, p.body)
	}
	tok, err := conf.Exchange(t.Context(), p.next.Get("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tok.Extra("id_token").(string)
	if _, err := verify.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	at, err := w.op.VerifyAccessToken(t.Context(), tok.AccessToken, w.op.APIAudience())
	if err != nil || at.User != ada || at.Client != "cli" {
		t.Errorf("access token %+v, %v", at, err)
	}
	for _, g := range w.grants {
		if !g.Consented {
			t.Error("the consent is not in the fact")
		}
	}
	// Without the scope the same person's token must not open the API.
	code, _ := w.code(ada)
	if _, err := w.op.VerifyAccessToken(t.Context(), w.token(exchange(code)).Access, w.op.APIAudience()); err == nil {
		t.Error("a token for an application opens the API")
	}
}

// TestDiscovery: OpenID Connect Discovery §3, RFC 8414 §3, RFC 9207 §3.
func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get(oidc.PathDiscovery, nil)
	if p.body != b.get(oidc.PathMetadata, nil).body {
		t.Error("the two documents differ")
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(p.body), &m); err != nil {
		t.Fatal(err)
	}
	wantClaims(t, m, map[string]any{"issuer": w.srv.URL, "authorization_endpoint": w.srv.URL + "/oauth/authorize",
		"response_types_supported": []any{"code"}, "code_challenge_methods_supported": []any{"S256"}, "subject_types_supported": []any{"public"},
		"id_token_signing_alg_values_supported": []any{"ES256", "RS256"}, "request_uri_parameter_supported": false,
		"authorization_response_iss_parameter_supported": true, "end_session_endpoint": w.srv.URL + "/oauth/logout"})
	for _, k := range []string{"token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"} {
		u, _ := m[k].(string)
		if p := b.get(strings.TrimPrefix(u, w.srv.URL), nil); p.status == http.StatusNotFound {
			t.Errorf("%s %q is not served", k, u)
		}
	}
}

// TestKeysArePublic: no private part in the key set.
func TestKeysArePublic(t *testing.T) {
	w := newWorld(t)
	for _, alg := range []string{oidc.ES256, oidc.RS256} {
		if _, err := w.SigningKey(context.Background(), alg); err != nil {
			t.Fatal(err)
		}
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(w.browser().get(oidc.PathKeys, nil).body), &set); err != nil || len(set.Keys) != 2 {
		t.Fatal(err, set)
	}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != nil {
				t.Errorf("the key set shows %q", private)
			}
		}
		if k["kid"] == "" || k["use"] != "sig" || k["alg"] == nil {
			t.Errorf("key %v", k)
		}
	}
}

// TestSignOut: RP-Initiated Logout with a client that knows only discovery.
func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	code := b.get(oidc.PathAuthorize, good()).next.Get("code")
	tok := w.token(exchange(code))
	for name, visit := range map[string]func(string, url.Values) page{"POST": b.post, "GET": b.get} {
		p := visit(oidc.PathLogout, url.Values{"id_token_hint": {tok.ID}, "post_logout_redirect_uri": {"https://rp.example/bye"}, "state": {"x y"}})
		if p.loc != "https://rp.example/bye?state=x+y" {
			t.Errorf("%s: %d %s %s", name, p.status, p.loc, p.body)
		}
		if len(w.sessions) != 0 {
			t.Errorf("%s: the session lives on", name)
		}
	}
	if s, h, _ := w.userinfo(tok.Access); s != http.StatusUnauthorized || !strings.Contains(h.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("userinfo after signing out: %d %v", s, h)
	}
}
