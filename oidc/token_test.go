package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

func noAuth(r *http.Request) { r.Header.Del("Authorization") }

// TestTokenErrors: RFC 6749 §5.2, each error with its status and headers, and
// a code that survives what was not about it.
func TestTokenErrors(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	ok := exchange(code)
	unknown := exchange(strings.Repeat("A", 43))
	basic := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", s) }
	}
	for name, c := range map[string]struct {
		v      url.Values
		edit   func(*http.Request)
		status int
		want   string
	}{
		"no grant_type":             {v: with(ok, "grant_type", ""), want: "invalid_request"},
		"refresh_token":             {v: with(ok, "grant_type", "refresh_token"), want: "unauthorized_client"},
		"password":                  {v: with(ok, "grant_type", "password"), want: "unsupported_grant_type"},
		"no code":                   {v: with(ok, "code", ""), want: "invalid_request"},
		"no redirect_uri":           {v: with(ok, "redirect_uri", ""), want: "invalid_request"},
		"no verifier":               {v: with(ok, "code_verifier", ""), want: "invalid_request"},
		"short verifier":            {v: with(ok, "code_verifier", verifier[:42]), want: "invalid_request"},
		"long verifier":             {v: with(ok, "code_verifier", strings.Repeat("v", 129)), want: "invalid_request"},
		"verifier with a space":     {v: with(ok, "code_verifier", strings.Repeat(" ", 50)), want: "invalid_request"},
		"unknown code":              {v: unknown, want: "invalid_grant"},
		"malformed code":            {v: with(ok, "code", "abc"), want: "invalid_grant"},
		"code repeated":             {v: url.Values{"grant_type": {"authorization_code"}, "code": {code, code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, want: "invalid_request"},
		"any repeated":              {v: url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}, "x": {"1", "2"}}, want: "invalid_request"},
		"unknown client":            {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("nobody", webSecret) }, status: 401, want: "invalid_client"},
		"wrong secret":              {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("web", "wrong") }, status: 401, want: "invalid_client"},
		"other's secret":            {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("web", "other-secret") }, status: 401, want: "invalid_client"},
		"empty secret":              {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("web", "") }, status: 401, want: "invalid_client"},
		"no secret":                 {v: with(ok, "client_id", "web"), edit: noAuth, status: 401, want: "invalid_client"},
		"nobody":                    {v: ok, edit: noAuth, status: 401, want: "invalid_client"},
		"public with a secret":      {v: with(ok, "client_id", "cli", "client_secret", "x"), edit: noAuth, status: 401, want: "invalid_client"},
		"two ways":                  {v: with(ok, "client_secret", webSecret), want: "invalid_request"},
		"two names":                 {v: with(ok, "client_id", "other"), want: "invalid_request"},
		"assertion":                 {v: with(ok, "client_assertion", "x"), status: 401, want: "invalid_client"},
		"bearer":                    {v: ok, edit: basic("Bearer abc"), status: 401, want: "invalid_client"},
		"basic without colon":       {v: ok, edit: basic("Basic " + base64.StdEncoding.EncodeToString([]byte("web"))), status: 401, want: "invalid_client"},
		"basic, bad base64":         {v: ok, edit: basic("Basic ?"), status: 401, want: "invalid_client"},
		"two headers":               {v: ok, edit: func(r *http.Request) { r.Header.Add("Authorization", "Basic x") }, status: 401, want: "invalid_client"},
		"may not":                   {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("machine", webSecret) }, want: "unauthorized_client"},
		"may have no code":          {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("codeless", webSecret) }, want: "unauthorized_client"},
		"JSON":                      {v: ok, edit: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, want: "invalid_request"},
		"parameters in the address": {v: ok, edit: func(r *http.Request) { r.URL.RawQuery = "client_id=web" }, want: "invalid_request"},
		"flood":                     {v: with(ok, "x", strings.Repeat("x", 17<<10)), want: "invalid_request"},
		"GET":                       {v: ok, edit: func(r *http.Request) { r.Method = http.MethodGet }, status: 405, want: "invalid_request"},
		"another client's code":     {v: ok, edit: func(r *http.Request) { r.SetBasicAuth("other", "other-secret") }, want: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.edit == nil {
				c.edit = func(*http.Request) {}
			}
			if c.status == 0 {
				c.status = http.StatusBadRequest
			}
			a := w.token(c.v, c.edit)
			if a.status != c.status || a.Error != c.want || a.Access != "" {
				t.Errorf("answered %d %q, want %d %q", a.status, a.Error, c.status, c.want)
			}
			if a.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Errorf("headers %v", a.header)
			}
			if (a.header.Get("WWW-Authenticate") != "") != (c.status == http.StatusUnauthorized) {
				t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
	if len(w.refused) == 0 {
		t.Error("nobody heard of the refusals")
	}
	// None of this was the fault of the code's owner.
	if a := w.token(ok); a.status != http.StatusOK || a.Type != "Bearer" || a.Expires != 300 || a.Scope != "openid profile email" {
		t.Errorf("the code did not survive: %+v", a)
	}
}

// TestClientAuthentication: RFC 6749 §2.3.1, both ways, both secrets while one
// is being replaced, and the form encoding within Basic.
func TestClientAuthentication(t *testing.T) {
	w := newWorld(t)
	for name, edit := range map[string]func(url.Values, *http.Request){
		"basic":        func(_ url.Values, r *http.Request) { r.SetBasicAuth("web", webSecret) },
		"older secret": func(_ url.Values, r *http.Request) { r.SetBasicAuth("web", "older") },
		"encoded":      func(_ url.Values, r *http.Request) { r.SetBasicAuth("%77eb", "%6flder") },
		"lower case": func(_ url.Values, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Basic", "basic", 1))
		},
	} {
		code, _ := w.code(ada)
		if a := w.token(exchange(code), func(r *http.Request) { edit(nil, r) }); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.Error)
		}
	}
	code, _ := w.code(ada)
	if a := w.token(with(exchange(code), "client_id", "web", "client_secret", webSecret), noAuth); a.status != http.StatusOK {
		t.Errorf("post: %d %s", a.status, a.Error)
	}
}

// TestEightRedemptions: RFC 6749 §4.1.2, one code and eight clients at once:
// exactly one gets tokens, the others invalid_grant, and what the one got is
// revoked, because the code has been in other hands.
func TestEightRedemptions(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		code, _ := w.code(ada)
		answers := make([]tokenAnswer, 8)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range answers {
			wg.Go(func() { <-start; answers[i] = w.token(exchange(code)) })
		}
		close(start)
		wg.Wait()
		won := ""
		for _, a := range answers {
			switch {
			case a.status == http.StatusOK && won == "":
				won = a.Access
			case a.status == http.StatusOK:
				t.Fatal("two clients got tokens for one code")
			case a.Error != "invalid_grant" || a.Access != "" || a.ID != "":
				t.Fatalf("a loser got %+v", a)
			}
		}
		if won == "" {
			t.Fatal("nobody got tokens")
		}
		if s, _, _ := w.userinfo(won); s != http.StatusUnauthorized {
			t.Fatalf("the winner's token lives on: %d", s)
		}
	}
	for _, why := range w.ended {
		if why != oidc.EndReplay {
			t.Errorf("ended because of %q", why)
		}
	}
	if len(w.ended) != 50 {
		t.Errorf("%d of 50 grants ended", len(w.ended))
	}
}

// TestMisuseEndsTheGrant: the same for a replay that comes late, a wrong
// verifier and a wrong redirect_uri; not for another client's attempt.
func TestMisuseEndsTheGrant(t *testing.T) {
	for name, c := range map[string]struct {
		want   oidc.EndReason
		misuse func(w *world, code string)
	}{
		"verifier": {oidc.EndVerifier, func(w *world, code string) { w.token(with(exchange(code), "code_verifier", verifier+"x")) }},
		"redirect_uri": {oidc.EndRedirect, func(w *world, code string) {
			w.token(with(exchange(code), "redirect_uri", "https://rp.example/cb?tenant=a%20b"))
		}},
		"replay": {oidc.EndReplay, func(w *world, code string) { w.token(exchange(code)) }},
		"late replay": {oidc.EndReplay, func(w *world, code string) {
			a := w.token(exchange(code))
			w.pass(2 * time.Minute)
			if s, _, _ := w.userinfo(a.Access); s != http.StatusOK {
				t.Errorf("userinfo before the replay: %d", s)
			}
			w.token(exchange(code))
			if s, _, _ := w.userinfo(a.Access); s != http.StatusUnauthorized {
				t.Errorf("userinfo after the replay: %d", s)
			}
		}},
		"another client": {"", func(w *world, code string) {
			w.token(exchange(code), func(r *http.Request) { r.SetBasicAuth("other", "other-secret") })
		}},
		"nobody": {"", func(w *world, code string) {
			w.token(exchange(code), func(r *http.Request) { r.SetBasicAuth("web", "guess") })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code, _ := w.code(ada)
			c.misuse(w, code)
			a := w.token(exchange(code))
			if (a.status == http.StatusOK) != (c.want == "") {
				t.Errorf("afterwards the code gives %d %s", a.status, a.Error)
			}
			var got oidc.EndReason
			for _, why := range w.ended {
				got = why
			}
			if got != c.want {
				t.Errorf("ended because of %q, want %q", got, c.want)
			}
		})
	}
}

// TestCodeExpires: after 60 seconds, and with the session.
func TestCodeExpires(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	w.pass(60 * time.Second)
	if a := w.token(exchange(code)); a.Error != "invalid_grant" {
		t.Errorf("after 60 s: %+v", a)
	}
	code, _ = w.code(ada)
	w.pass(59 * time.Second)
	if a := w.token(exchange(code)); a.status != http.StatusOK {
		t.Errorf("after 59 s: %+v", a)
	}
	code, s := w.code(ada)
	w.mu.Lock()
	delete(w.sessions, s.ID.String())
	w.mu.Unlock()
	if a := w.token(exchange(code)); a.Error != "invalid_grant" {
		t.Errorf("after signing out: %+v", a)
	}
	code, _ = w.code(ada)
	w.mu.Lock()
	delete(w.users, ada)
	w.mu.Unlock()
	if a := w.token(exchange(code)); a.Error != "invalid_grant" {
		t.Errorf("after erasure: %+v", a)
	}
}

// TestRedeemFails: no tokens unless the exchange is known to be a fact.
func TestRedeemFails(t *testing.T) {
	for kind, want := range map[fault.Kind]int{fault.Unknown: 503, fault.Unavailable: 503, fault.Conflict: 503, fault.Internal: 500, fault.Refused: 400} {
		w := newWorld(t)
		code, _ := w.code(ada)
		w.failRedeem = fault.New(kind, "secret detail")
		if a := w.token(exchange(code)); a.status != want || a.Access != "" || a.ID != "" {
			t.Errorf("%v: %+v", kind, a)
		}
	}
}

// TestSecretsAreNotKept: what the provider hands over for storing holds
// neither the code nor anything made of it but its SHA-256.
func TestSecretsAreNotKept(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	for _, g := range w.grants {
		b, err := json.Marshal(g.CodeGrant)
		if err != nil || strings.Contains(string(b), code) || strings.Contains(string(b), verifier) {
			t.Errorf("%s %v", b, err)
		}
	}
	if len(code) != 43 {
		t.Errorf("a code of %d characters", len(code))
	}
}

// TestAccessToken: RFC 9068 §2.
func TestAccessToken(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(ada)
	raw := w.token(exchange(code)).Access
	part := func(i int) map[string]any {
		m := map[string]any{}
		b, _ := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[i])
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	wantClaims(t, part(0), map[string]any{"typ": "at+jwt", "alg": "ES256"})
	claims := part(1)
	wantClaims(t, claims, map[string]any{"iss": w.srv.URL, "sub": ada.String(), "aud": []any{w.srv.URL, "project-1"}, "client_id": "web",
		"scope": "openid profile email", "sid": s.ID.String(), "iat": float64(w.now().Unix()), "exp": float64(w.now().Unix() + 300),
		"acr": "urn:muniment:acr:password", "urn:muniment:roles": map[string]any{"project-1": []any{"editor"}}})
	if claims["jti"] == nil || claims["email"] != nil || claims["name"] != nil {
		t.Error(claims)
	}
}

// TestTokenTypes: RFC 8725 §3.11, a token of one type is not taken for another
// even if the right key signed the right claims.
func TestTokenTypes(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	raw := w.token(exchange(code)).Access
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]int{"at+jwt": 200, "JWT": 401, "at+JWT": 401, "": 401} {
		opts := (&jose.SignerOptions{}).WithHeader("kid", w.keys[0].ID)
		if typ != "" {
			opts = opts.WithType(jose.ContentType(typ))
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(w.keys[0].Signer)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := s.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		forged, _ := jws.CompactSerialize()
		if got, _, _ := w.userinfo(forged); got != want {
			t.Errorf("typ %q: %d, want %d", typ, got, want)
		}
	}
}

// TestUserinfoErrors: RFC 6750 §3 and §3.1.
func TestUserinfoErrors(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(ada)
	a := w.token(exchange(code))
	call := func(method, body string, edit func(*http.Request)) (int, string) {
		r, _ := http.NewRequest(method, w.srv.URL+oidc.PathUserinfo, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if edit != nil {
			edit(r)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Header.Get("Cache-Control") != "no-store" {
			t.Error("userinfo may be cached")
		}
		return resp.StatusCode, resp.Header.Get("WWW-Authenticate")
	}
	auth := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", v) }
	}
	check := func(name string, status int, want string, gotStatus int, got string) {
		t.Helper()
		if gotStatus != status || (want == "") != (!strings.Contains(got, "error=")) || !strings.Contains(got, want) {
			t.Errorf("%s: %d %q", name, gotStatus, got)
		}
	}
	in := func(name string, status int, want string, edit func(*http.Request)) {
		t.Helper()
		s, h := call(http.MethodGet, "", edit)
		check(name, status, want, s, h)
	}
	in("good", 200, "", auth("Bearer "+a.Access))
	in("lower case", 200, "", auth("bearer "+a.Access))
	in("nothing", 401, "", nil)
	in("basic", 401, "", auth("Basic abc"))
	in("empty", 400, "invalid_request", auth("Bearer"))
	in("garbage", 401, "invalid_token", auth("Bearer abc"))
	in("ID token", 401, "invalid_token", auth("Bearer "+a.ID))
	in("in the address", 401, "", func(r *http.Request) { r.URL.RawQuery = "access_token=" + a.Access })
	in("twice", 400, "invalid_request", func(r *http.Request) {
		r.Header.Add("Authorization", "Bearer "+a.Access)
		r.Header.Add("Authorization", "Bearer "+a.Access)
	})
	cut := strings.Split(a.Access, ".")
	in("not signed", 401, "invalid_token", auth("Bearer "+base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))+"."+cut[1]+"."))
	in("other payload", 401, "invalid_token", auth("Bearer "+cut[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`))+"."+cut[2]))
	in("huge", 401, "invalid_token", auth("Bearer "+strings.Repeat("a", 9<<10)))

	st, h := call(http.MethodPost, "access_token="+a.Access, nil)
	check("form", 200, "", st, h)
	st, h = call(http.MethodPost, "", auth("Bearer "+a.Access))
	check("POST with header", 200, "", st, h)
	st, h = call(http.MethodPost, "access_token="+a.Access, auth("Bearer "+a.Access))
	check("two ways", 400, "invalid_request", st, h)
	st, h = call(http.MethodPost, "access_token=x&access_token=y", nil)
	check("repeated", 400, "invalid_request", st, h)

	w.failActive = fault.New(fault.Unavailable, "no log")
	in("cannot tell", 503, "", auth("Bearer "+a.Access))
	w.failActive = nil
	b, _ := w.signedIn(ada)
	plain := w.token(exchange(b.get(oidc.PathAuthorize, with(good(), "scope", "profile")).next.Get("code")))
	if plain.ID != "" {
		t.Error("an ID token without the scope openid")
	}
	in("no openid", 403, `error="insufficient_scope"`, auth("Bearer "+plain.Access))

	w.mu.Lock()
	delete(w.sessions, s.ID.String())
	w.mu.Unlock()
	in("signed out", 401, "invalid_token", auth("Bearer "+a.Access))
	code, _ = w.code(ada)
	a = w.token(exchange(code))
	w.pass(5 * time.Minute)
	in("expired", 401, "invalid_token", auth("Bearer "+a.Access))
	code, _ = w.code(ada)
	a = w.token(exchange(code))
	w.mu.Lock()
	delete(w.users, ada)
	w.mu.Unlock()
	in("erased", 401, "invalid_token", auth("Bearer "+a.Access))
}

// TestScopesFilterClaims: OpenID Connect Core §5.4.
func TestScopesFilterClaims(t *testing.T) {
	w := newWorld(t)
	for scope, want := range map[string][3]bool{"openid": {}, "openid email": {false, true}, "openid profile": {true, false}, "openid profile email": {true, true}} {
		b, _ := w.signedIn(ada)
		a := w.token(exchange(b.get(oidc.PathAuthorize, with(good(), "scope", scope)).next.Get("code")))
		_, _, m := w.userinfo(a.Access)
		if (m["name"] != nil) != want[0] || (m["email"] != nil) != want[1] || m["sub"] != ada.String() || m["roles"] == nil {
			t.Errorf("%s: %v", scope, m)
		}
	}
	c := w.clients["web"]
	c.FullIDToken = true
	w.clients["web"] = c
	code, _ := w.code(ada)
	b, _ := base64.RawURLEncoding.DecodeString(strings.Split(w.token(exchange(code)).ID, ".")[1])
	if !strings.Contains(string(b), "ada@example.com") {
		t.Errorf("%s", b)
	}
	// A role withdrawn is gone from the next answer on.
	w.mu.Lock()
	u := w.users[ada]
	u.Roles = nil
	w.users[ada] = u
	w.mu.Unlock()
	code, _ = w.code(ada)
	if _, _, m := w.userinfo(w.token(exchange(code)).Access); m["roles"] != nil {
		t.Error(m)
	}
}

// A token that is sent again is as good as its key: what was remembered of it
// neither lets another token through nor outlives the key.
func TestRememberedSignatures(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	raw := w.token(exchange(code)).Access
	for range 2 {
		if got, _, _ := w.userinfo(raw); got != 200 {
			t.Fatalf("the token: %d", got)
		}
	}
	last := byte('A')
	if raw[len(raw)-1] == last {
		last = 'Q'
	}
	if got, _, _ := w.userinfo(raw[:len(raw)-1] + string(last)); got != 401 {
		t.Errorf("another signature: %d", got)
	}
	if _, err := w.op.VerifyAccessToken(t.Context(), raw, "project-9"); err == nil {
		t.Error("it is good for anybody")
	}
	w.mu.Lock()
	keys := slices.Clone(w.keys)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.keys {
		w.keys[i].Signer = other // under the same name
	}
	w.mu.Unlock()
	if got, _, _ := w.userinfo(raw); got != 401 {
		t.Errorf("without its key: %d", got)
	}
	w.mu.Lock()
	w.keys = keys
	w.mu.Unlock()
	if got, _, _ := w.userinfo(raw); got != 200 {
		t.Errorf("with its key again: %d", got)
	}
}
