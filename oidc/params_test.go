package oidc

import (
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func fuzzClient() Client {
	return Client{ID: "web", RedirectURIs: []string{"https://rp.example/cb", "http://127.0.0.1/cb"}, Secrets: [][32]byte{{1}}}
}

// FuzzAuthorizeRequest: whatever is accepted satisfies every rule, survives
// the flow cookie unchanged, and leads to a registered address only.
func FuzzAuthorizeRequest(f *testing.F) {
	good := "client_id=web&redirect_uri=https%3A%2F%2Frp.example%2Fcb&response_type=code&scope=openid&code_challenge=" +
		strings.Repeat("A", 43) + "&code_challenge_method=S256"
	for _, s := range []string{good, good + "&state=a%20b&nonce=n&prompt=login+consent&max_age=0&acr_values=a+b&ui_locales=de",
		good + "&response_mode=form_post", good + "&scope=x", good + "&prompt=none", "a=%zz", "=&&=", strings.Repeat("a&", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		ps, e := parseParams(raw)
		if e != nil {
			if e.code != codeInvalidRequest {
				t.Fatal(e)
			}
			return
		}
		if std, err := url.ParseQuery(raw); err == nil { // the standard library reads the same
			for k, v := range ps.m {
				if len(std[k]) != 1 || std[k][0] != v {
					t.Fatalf("%q is %q, or %q", k, v, std[k])
				}
			}
		}
		c := fuzzClient()
		to, e := targetOf(ps, c)
		if e != nil {
			return
		}
		if !matchRedirectURI(c, to.redirect) {
			t.Fatalf("leads to %q", to.redirect)
		}
		q, e := parseAuthorize(ps, c, to)
		if e != nil {
			checkText(t, e)
			return
		}
		if len(ps.repeated) > 1 || len(q.Challenge) != 43 || len(q.Scopes) == 0 || ps.get("response_type") != "code" ||
			(q.asks("none") && len(q.Prompt) > 1) || (q.MaxAge != nil && *q.MaxAge < 0) {
			t.Fatalf("accepted %q as %+v", raw, q)
		}
		b, err := json.Marshal(q)
		var back authorizeRequest
		if err != nil || json.Unmarshal(b, &back) != nil {
			t.Fatal(err)
		}
		q.hint = ""
		if len(q.ACRs) == 0 {
			q.ACRs = nil
		}
		if len(q.Locales) == 0 {
			q.Locales = nil
		}
		if len(q.Prompt) == 0 {
			q.Prompt = nil
		}
		if !reflect.DeepEqual(q, back) {
			t.Fatalf("%+v became %+v", q, back)
		}
	})
}

// checkText: RFC 6749 §4.1.2.1, characters of error_description.
func checkText(t *testing.T, e *refusal) {
	t.Helper()
	for i := range len(e.desc) {
		if c := e.desc[i]; c < 0x20 || c == '"' || c == '\\' || c > 0x7e {
			t.Fatalf("%q holds %q", e.desc, c)
		}
	}
}

// FuzzTokenRequest: header and body of a token request; whatever is accepted
// names one client in one way and satisfies every rule.
func FuzzTokenRequest(f *testing.F) {
	body := "grant_type=authorization_code&code=c&redirect_uri=r&code_verifier=" + strings.Repeat("v", 43)
	f.Add(body+"&client_id=web", "", "application/x-www-form-urlencoded")
	f.Add(body, "Basic d2ViOnNlY3JldA==", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add(body+"&client_secret=x&client_id=web", "", "application/x-www-form-urlencoded")
	f.Add(body, "Basic JTc3OiU=", "text/plain")
	f.Fuzz(func(t *testing.T, body, auth, ct string) {
		r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", ct)
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		ps, e := formParams(r)
		if e == nil {
			e = ps.once()
		}
		if e != nil {
			checkText(t, e)
			return
		}
		cr, e := clientCredentials(r, ps)
		if e != nil {
			checkText(t, e)
			return
		}
		if cr.id == "" || (auth != "" && ps.get("client_secret") != "") || (auth != "" && cr.secret == "") {
			t.Fatalf("accepted %+v from %q and %q", cr, auth, body)
		}
		q, e := parseCodeRequest(ps, fuzzClient())
		if e != nil {
			checkText(t, e)
			return
		}
		if q.code == "" || q.redirect == "" || len(q.verifier) < 43 || len(q.verifier) > 128 || strings.ContainsAny(q.verifier, " +/=%") {
			t.Fatalf("accepted %+v", q)
		}
	})
}

// FuzzRefreshRequest: what a client sends to exchange, introspect or revoke a
// token never panics, and what is accepted as a token of ours is one in form,
// and the only way to write it.
func FuzzRefreshRequest(f *testing.F) {
	f.Add("grant_type=refresh_token&refresh_token=mrt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&scope=openid&resource=urn:muniment:project:p")
	f.Add("refresh_token=mat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB&resource=https://a/&resource=https://b/")
	c := fuzzClient()
	p := &Provider{c: Config{Issuer: "https://id.example"}}
	f.Fuzz(func(t *testing.T, body string) {
		ps, e := parseParams(body)
		if e == nil {
			e = ps.once()
		}
		if e != nil {
			checkText(t, e)
			return
		}
		raw := ps.get("refresh_token")
		for _, prefix := range []string{prefixAccess, prefixRefresh} {
			if _, ok := secretHash(raw, prefix); ok {
				b, err := base64.RawURLEncoding.DecodeString(raw[len(prefix):])
				if err != nil || prefix+base64.RawURLEncoding.EncodeToString(b) != raw {
					t.Fatalf("accepted %q", raw)
				}
			}
		}
		granted := []string{ScopeOpenID, ScopeProfile}
		scopes, e := narrowed(ps.get("scope"), granted, c)
		if e != nil {
			checkText(t, e)
			return
		}
		aud, e := p.audience(c, scopes, nil, ps.resources)
		if e != nil {
			checkText(t, e)
			return
		}
		for _, a := range aud {
			if !slices.Contains(p.addressable(c, scopes), a) {
				t.Fatalf("audience %q", a)
			}
		}
		if len(scopes) == 0 || len(aud) == 0 {
			t.Fatalf("nothing is left: %v %v", scopes, aud)
		}
	})
}

// TestParams: RFC 6749 §3.1, empty is absent, repeated is refused; bounds.
func TestParams(t *testing.T) {
	for raw, ok := range map[string]bool{
		"": true, "a=1&b=2": true, "a=&b": true, "a=1&a=1": false, "a=&a=": false, "resource=x&resource=y": true, "a=%zz": false,
		"a=%ff": false, "a=%00": false, "a=%0a": false, "%7f=1": false, "a=b;c=d": true, strings.Repeat("a=1&", 65): false,
		"a=" + strings.Repeat("x", 16<<10): false,
	} {
		ps, e := parseParams(raw)
		if e == nil {
			e = ps.once()
		}
		if (e == nil) != ok {
			t.Errorf("%.40q: %v", raw, e)
		}
		if _, has := ps.m["a"]; has && ps.get("a") == "" {
			t.Errorf("%.40q: empty counts as sent", raw)
		}
	}
	// Distinct names up to the bound.
	many := make([]string, 64)
	for i := range many {
		many[i] = "p" + strings.Repeat("x", i) + "=1"
	}
	if _, e := parseParams(strings.Join(many, "&")); e != nil {
		t.Error("64 parameters:", e)
	}
	if _, e := parseParams(strings.Join(many, "&") + "&q=1"); e == nil {
		t.Error("65 parameters are accepted")
	}
}
