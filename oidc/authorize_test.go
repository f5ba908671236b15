package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// TestAuthorizeErrorsByRedirect: RFC 6749 §4.1.2.1, OpenID Connect Core
// §3.1.2.6; each goes to the registered address with state and iss.
func TestAuthorizeErrorsByRedirect(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		q    url.Values
		want string
	}{
		"no response_type":          {with(good(), "response_type", ""), "invalid_request"},
		"implicit":                  {with(good(), "response_type", "id_token"), "unsupported_response_type"},
		"hybrid":                    {with(good(), "response_type", "code id_token"), "unsupported_response_type"},
		"token":                     {with(good(), "response_type", "token"), "unsupported_response_type"},
		"fragment":                  {with(good(), "response_mode", "fragment"), "invalid_request"},
		"no PKCE":                   {with(good(), "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"plain PKCE":                {with(good(), "code_challenge_method", "plain"), "invalid_request"},
		"default is plain":          {with(good(), "code_challenge_method", ""), "invalid_request"},
		"short challenge":           {with(good(), "code_challenge", "abc"), "invalid_request"},
		"challenge with spare bits": {with(good(), "code_challenge", strings.Repeat("A", 42)+"B"), "invalid_request"},
		"no scope":                  {with(good(), "scope", ""), "invalid_scope"},
		"only unknown scopes":       {with(good(), "scope", "bread butter"), "invalid_scope"},
		"scope not for this one":    {with(good(), "scope", oidc.ScopeAPI), "invalid_scope"},
		"bad scope":                 {with(good(), "scope", `openid "`), "invalid_scope"},
		"prompt none and login":     {with(good(), "prompt", "none login"), "invalid_request"},
		"unknown prompt":            {with(good(), "prompt", "shout"), "invalid_request"},
		"max_age text":              {with(good(), "max_age", "soon"), "invalid_request"},
		"max_age negative":          {with(good(), "max_age", "-1"), "invalid_request"},
		"max_age huge":              {with(good(), "max_age", "99999999999999999999"), "invalid_request"},
		"request object":            {with(good(), "request", "e30.e30."), "request_not_supported"},
		"request_uri":               {with(good(), "request_uri", "https://rp.example/r"), "request_uri_not_supported"},
		"registration":              {with(good(), "registration", "{}"), "registration_not_supported"},
		"hint is garbage":           {with(good(), "id_token_hint", "x.y.z"), "invalid_request"},
		"nobody and no page":        {with(good(), "prompt", "none"), "login_required"},
		"long nonce":                {with(good(), "nonce", strings.Repeat("n", 513)), "invalid_request"},
		"repeated scope":            {url.Values{"scope": {"openid", "email"}}, "invalid_request"},
		"repeated, empty":           {url.Values{"nonce": {"", ""}}, "invalid_request"},
		"too large for a cookie":    {with(good(), "state", strings.Repeat("s", 4000)), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.q.Get("client_id") == "" {
				q := good()
				for k, v := range c.q {
					q[k] = v
				}
				c.q = q
			}
			p := w.browser().get(oidc.PathAuthorize, c.q)
			if !strings.HasPrefix(p.loc, callback+"?") || p.status != http.StatusSeeOther {
				t.Fatalf("no redirect: %d %q %s", p.status, p.loc, p.body)
			}
			if p.next.Get("error") != c.want || p.next.Get("state") != c.q.Get("state") || p.next.Get("iss") != w.srv.URL || p.next.Has("code") {
				t.Errorf("answered %v, want %s", p.next, c.want)
			}
			for _, b := range []byte(p.next.Get("error_description")) { // RFC 6749 §4.1.2.1
				if b < 0x20 || b == '"' || b == '\\' || b > 0x7e {
					t.Errorf("error_description holds %q", b)
				}
			}
		})
	}
	if w.written() != 0 {
		t.Errorf("anonymous requests wrote %d times", w.written())
	}
}

// TestAuthorizeErrorsOnPage: RFC 6749 §4.1.2.1, no redirect to an address
// that is not registered, nor for a client that is not known.
func TestAuthorizeErrorsOnPage(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	wrote := w.written()
	check := func(name string, p page) {
		t.Helper()
		if p.status != http.StatusBadRequest || p.loc != "" || !strings.Contains(p.body, "This did not work") {
			t.Errorf("%s: %d %s", name, p.status, p.loc)
		}
		csp := p.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, p.header)
		}
	}
	for name, q := range map[string]url.Values{
		"no client":         with(good(), "client_id", ""),
		"unknown client":    with(good(), "client_id", "nobody"),
		"long client":       with(good(), "client_id", strings.Repeat("x", 300)),
		"no redirect_uri":   with(good(), "redirect_uri", ""),
		"other's redirect":  with(good(), "redirect_uri", "https://other.example/cb"),
		"longer path":       with(good(), "redirect_uri", callback+"/x"),
		"other query":       with(good(), "redirect_uri", callback+"?a=b"),
		"upper case":        with(good(), "redirect_uri", "https://RP.example/cb"),
		"port":              with(good(), "redirect_uri", "https://rp.example:443/cb"),
		"userinfo":          with(good(), "redirect_uri", "https://rp.example@evil.example/cb"),
		"control character": with(good(), "redirect_uri", callback+"\r\nX: y"),
		"flood":             with(good(), "state", strings.Repeat("s", 17<<10)),
	} {
		check(name, b.get(oidc.PathAuthorize, q))
		check(name+" POST", b.post(oidc.PathAuthorize, q))
	}
	twice := good()
	twice["redirect_uri"] = []string{callback, callback}
	check("redirect_uri twice", b.get(oidc.PathAuthorize, twice))
	twice = good()
	twice["client_id"] = []string{"web", "web"}
	check("client_id twice", b.get(oidc.PathAuthorize, twice))
	r, _ := http.NewRequest(http.MethodGet, w.srv.URL+oidc.PathAuthorize+"?"+good().Encode()+"&x=%zz", nil)
	check("bad encoding", b.do(r))
	r, _ = http.NewRequest(http.MethodPost, w.srv.URL+oidc.PathAuthorize+"?"+good().Encode(), nil)
	check("POST with query", b.do(r))
	check("resume nothing", b.get(oidc.PathResume, url.Values{"flow": {event.NewID().String()}}))
	if w.written() != wrote {
		t.Errorf("refused requests wrote %d times", w.written()-wrote)
	}
}

// TestQueryOfRedirectURIStays: RFC 6749 §3.1.2, byte for byte.
func TestQueryOfRedirectURIStays(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	p := b.get(oidc.PathAuthorize, with(good(), "redirect_uri", "https://rp.example/cb?tenant=a%20b", "state", "a&b=c"))
	if !strings.HasPrefix(p.loc, "https://rp.example/cb?tenant=a%20b&code=") || p.next.Get("state") != "a&b=c" {
		t.Error(p.loc)
	}
}

// TestPrompts: what is asked of whom, OpenID Connect Core §3.1.2.1, with the
// sign-in page between.
func TestPrompts(t *testing.T) {
	type step struct {
		ask oidc.Ask
		do  string
	}
	for name, c := range map[string]struct {
		q      url.Values
		who    string // signed in at the start
		age    time.Duration
		steps  []step
		want   string // error; empty for a code
		consen bool
	}{
		"signed in":             {q: good(), who: "ada"},
		"nobody":                {q: good(), steps: []step{{oidc.AskSignIn, "ada"}}},
		"prompt none":           {q: with(good(), "prompt", "none"), who: "ada"},
		"prompt none, too old":  {q: with(good(), "prompt", "none", "max_age", "60"), who: "ada", age: time.Hour, want: "login_required"},
		"prompt login":          {q: with(good(), "prompt", "login"), who: "ada", steps: []step{{oidc.AskReauthenticate, "resume"}, {oidc.AskReauthenticate, "again"}}},
		"max_age":               {q: with(good(), "max_age", "60"), who: "ada", age: 61 * time.Second, steps: []step{{oidc.AskReauthenticate, "again"}}},
		"max_age kept":          {q: with(good(), "max_age", "60"), who: "ada", age: 59 * time.Second},
		"max_age 0":             {q: with(good(), "max_age", "0"), who: "ada", age: time.Second, steps: []step{{oidc.AskReauthenticate, "again"}}},
		"account, same":         {q: with(good(), "prompt", "select_account"), who: "ada", steps: []step{{oidc.AskAccount, "resume"}, {oidc.AskAccount, "account"}}},
		"account, other":        {q: with(good(), "prompt", "select_account"), who: "ada", steps: []step{{oidc.AskAccount, "bob"}}},
		"consent":               {q: with(good(), "prompt", "consent"), who: "ada", steps: []step{{oidc.AskConsent, "resume"}, {oidc.AskConsent, "consent"}}, consen: true},
		"consent is one's own":  {q: with(good(), "prompt", "login consent"), who: "ada", steps: []step{{oidc.AskReauthenticate, "consent"}, {oidc.AskReauthenticate, "bob"}, {oidc.AskConsent, "consent"}}, consen: true},
		"declined":              {q: with(good(), "prompt", "consent"), who: "ada", steps: []step{{oidc.AskConsent, "decline"}}, want: "access_denied"},
		"step up":               {q: with(good(), "acr_values", "urn:muniment:acr:mfa"), who: "ada", steps: []step{{oidc.AskReauthenticate, "again"}}},
		"unknown level":         {q: with(good(), "acr_values", "urn:elsewhere:gold"), who: "ada"},
		"level is a wish":       {q: with(good(), "acr_values", "urn:muniment:acr:mfa", "prompt", "none"), who: "ada"},
		"tolerated":             {q: with(good(), "ui_locales", "de-CH de", "display", "page", "claims", "{}", "unknown", "x"), who: "ada"},
		"native and no page":    {q: with(good(), "client_id", "cli", "redirect_uri", "http://127.0.0.1:1/cb", "prompt", "none"), who: "ada", want: "consent_required"},
		"native just signed in": {q: with(good(), "client_id", "cli", "redirect_uri", "http://127.0.0.1:1/cb"), steps: []step{{oidc.AskSignIn, "ada"}}},
		"native declined":       {q: with(good(), "client_id", "cli", "redirect_uri", "http://127.0.0.1:1/cb"), who: "ada", steps: []step{{oidc.AskConsent, "decline"}}, want: "access_denied"},
		"native, scheme of app": {q: with(good(), "client_id", "cli", "redirect_uri", "com.example.app:/cb"), who: "ada", steps: []step{{oidc.AskConsent, "consent"}}, consen: true},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				w := newWorld(t)
				b := w.browser()
				if c.who != "" {
					b, _ = w.signedIn(ada)
				}
				w.pass(c.age)
				left := c.steps
				w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
					if len(left) == 0 || f.Ask != left[0].ask {
						t.Errorf("asked %v with %v to come", f.Ask, left)
						return
					}
					do := left[0].do
					left = left[1:]
					w.pass(time.Second)
					next := w.op.ResumeURL(f.ID)
					var err error
					switch do {
					case "ada":
						w.signIn(rw, ada)
					case "again": // the same session, raised
						c, _ := r.Cookie("session")
						w.raise(c.Value)
					case "bob":
						w.signIn(rw, bob)
					case "account":
						next, err = w.op.Answer(rw, r, f.ID, oidc.AnswerAccount)
					case "consent":
						next, err = w.op.Answer(rw, r, f.ID, oidc.AnswerConsent)
					case "decline":
						next, err = w.op.Answer(rw, r, f.ID, oidc.AnswerDecline)
					}
					if err != nil {
						t.Error(err)
					}
					http.Redirect(rw, r, next, http.StatusSeeOther)
				}
				visit := b.get
				if method == http.MethodPost {
					visit = b.post
				}
				p := visit(oidc.PathAuthorize, c.q)
				if p.next.Get("error") != c.want || p.next.Has("code") == (c.want != "") || p.next.Get("state") != "st" || len(left) != 0 {
					t.Fatalf("answered %d %q %s; steps left %v", p.status, p.loc, p.body, left)
				}
				for _, g := range w.grants {
					if g.Consented != c.consen {
						t.Errorf("consented %v", g.Consented)
					}
				}
				if cs := b.Jar.Cookies(p.url); len(cs) > 1 {
					t.Errorf("a finished flow leaves cookies: %v", cs)
				}
			})
		}
	}
}

// TestPostFromAnotherSite: browsers leave SameSite=Lax cookies out of it, yet
// the person is signed in and prompt=none must find that out.
func TestPostFromAnotherSite(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	a := w.token(exchange(b.get(oidc.PathAuthorize, good()).next.Get("code")))
	bare := w.browser()
	bare.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	follow := func(path string, q url.Values) page {
		p := bare.post(path, q)
		u, err := p.url.Parse(p.loc)
		if err != nil || p.status != http.StatusSeeOther {
			t.Fatalf("POST %s: %d %s", path, p.status, p.body)
		}
		b.Jar.SetCookies(u, bare.Jar.Cookies(u))
		return b.get(u.Path, u.Query())
	}
	if p := follow(oidc.PathAuthorize, with(good(), "prompt", "none")); !p.next.Has("code") {
		t.Error("authorize:", p.loc)
	}
	if p := follow(oidc.PathLogout, url.Values{"id_token_hint": {a.ID}}); len(w.sessions) != 0 {
		t.Error("logout:", p.status, p.body)
	}
}

// TestHint: OpenID Connect Core §3.1.2.1 id_token_hint.
func TestHint(t *testing.T) {
	w := newWorld(t)
	code, _ := w.code(ada)
	hint := w.token(exchange(code)).ID
	w.pass(24 * time.Hour) // expired hints are good hints

	b, _ := w.signedIn(ada)
	if p := b.get(oidc.PathAuthorize, with(good(), "prompt", "none", "id_token_hint", hint)); !p.next.Has("code") {
		t.Error("right person:", p.loc)
	}
	b, _ = w.signedIn(bob)
	if p := b.get(oidc.PathAuthorize, with(good(), "prompt", "none", "id_token_hint", hint)); p.next.Get("error") != "login_required" {
		t.Error("other person:", p.loc)
	}
	sign := bob
	w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
		if f.User != ada.String() || f.Ask != oidc.AskSignIn {
			t.Errorf("flow %+v", f)
		}
		w.signIn(rw, sign)
		http.Redirect(rw, r, w.op.ResumeURL(f.ID), http.StatusSeeOther)
	}
	if p := b.get(oidc.PathAuthorize, with(good(), "id_token_hint", hint)); p.next.Get("error") != "login_required" {
		t.Error("other person signs in:", p.loc)
	}
	sign = ada
	if p := b.get(oidc.PathAuthorize, with(good(), "id_token_hint", hint)); !p.next.Has("code") {
		t.Error("right person signs in:", p.loc)
	}
	// An access token is no ID token, though the same key signed it.
	code, _ = w.code(ada)
	if p := b.get(oidc.PathAuthorize, with(good(), "id_token_hint", w.token(exchange(code)).Access)); p.next.Get("error") != "invalid_request" {
		t.Error("access token as hint:", p.loc)
	}
}

// TestTabs: two sign-ins at once in one browser do not disturb each other, and
// a hundred abandoned ones do not fill its cookies.
func TestTabs(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.get(oidc.PathAuthorize, with(good(), "state", "first"))
	second := b.get(oidc.PathAuthorize, with(good(), "state", "second"))
	if strings.Contains(first.url.String(), "first") || len(first.url.Query()) != 1 {
		t.Error("the address tells more than a flow id:", first.url)
	}
	other, _ := w.signedIn(ada)
	u := first.url
	for _, c := range b.Jar.Cookies(u) {
		if strings.Contains(c.Value, "first") {
			t.Error("a flow cookie can be read")
		}
	}
	// Another browser has the address and not the cookie.
	if p := other.get(oidc.PathResume, u.Query()); p.status != http.StatusBadRequest {
		t.Error("a flow went on in another browser:", p.loc)
	}
	b.Jar.SetCookies(u, other.Jar.Cookies(u))
	for state, p := range map[string]page{"first": first, "second": second} {
		if p := b.get(oidc.PathResume, p.url.Query()); p.next.Get("state") != state || !p.next.Has("code") {
			t.Errorf("%s: %d %s", state, p.status, p.loc)
		}
	}
	if p := b.get(oidc.PathResume, first.url.Query()); p.status != http.StatusBadRequest {
		t.Error("a finished flow went on:", p.loc)
	}

	b = w.browser()
	var last page
	for range 100 {
		last = b.get(oidc.PathAuthorize, with(good(), "state", strings.Repeat("s", 300)))
	}
	size := 0
	for _, c := range b.Jar.Cookies(u) {
		size += len(c.Name) + len(c.Value)
	}
	if size > 7000 {
		t.Errorf("%d bytes of cookies", size)
	}
	b.Jar.SetCookies(u, other.Jar.Cookies(u))
	if p := b.get(oidc.PathResume, last.url.Query()); !p.next.Has("code") {
		t.Error("the last flow was lost:", p.status)
	}
	w.pass(2 * time.Hour)
	b = w.browser()
	last = b.get(oidc.PathAuthorize, good())
	w.pass(time.Hour)
	if p := b.get(oidc.PathResume, last.url.Query()); p.status != http.StatusBadRequest {
		t.Error("an expired flow went on")
	}
}

// TestFormPost: OAuth 2.0 Form Post Response Mode §2, without inline script
// and with a button for those without any.
func TestFormPost(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	p := b.get(oidc.PathAuthorize, with(good(), "response_mode", "form_post", "state", `"><script>alert(1)</script>`))
	csp := p.header.Get("Content-Security-Policy")
	if p.status != http.StatusOK || !strings.Contains(p.body, `method="post" action="https://rp.example/cb"`) || !strings.Contains(p.body, `name="code"`) ||
		!strings.Contains(p.body, "<button>") || !strings.Contains(p.body, `name="iss"`) {
		t.Fatal(p.status, p.body)
	}
	if strings.Contains(p.body, "<script>") || strings.Contains(p.body, "onload") || !strings.Contains(csp, "script-src 'self'") ||
		!strings.Contains(csp, "form-action https://rp.example https:") {
		t.Error(csp, p.body)
	}
	if s := b.get(oidc.PathFormPost, nil); s.status != http.StatusOK || !strings.HasPrefix(s.header.Get("Content-Type"), "text/javascript") {
		t.Error("the script is not served")
	}
	p = b.get(oidc.PathAuthorize, with(good(), "response_mode", "form_post", "scope", ""))
	if !strings.Contains(p.body, `value="invalid_scope"`) {
		t.Error("errors do not go by form:", p.body)
	}
}

// TestIssueFails: an outcome that is not known gives no code.
func TestIssueFails(t *testing.T) {
	for kind, want := range map[fault.Kind]string{fault.Denied: "access_denied", fault.Refused: "access_denied",
		fault.Unavailable: "temporarily_unavailable", fault.Unknown: "temporarily_unavailable", fault.Internal: "server_error"} {
		w := newWorld(t)
		b, _ := w.signedIn(ada)
		w.failIssue = fault.New(kind, "secret detail")
		p := b.get(oidc.PathAuthorize, good())
		if p.next.Get("error") != want || p.next.Has("code") || strings.Contains(p.loc, "detail") {
			t.Errorf("%v: %s", kind, p.loc)
		}
	}
	// A session that ends between look and append is asked to sign in.
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	w.failIssue = fault.New(fault.Unauthenticated, "ended")
	if p := b.get(oidc.PathAuthorize, good()); p.url.Path != "/login" {
		t.Error(p.status, p.loc)
	}
	if p := b.get(oidc.PathAuthorize, with(good(), "prompt", "none")); p.next.Get("error") != "login_required" {
		t.Error(p.loc)
	}
	w.failSession = fault.New(fault.Unavailable, "no log")
	if p := b.get(oidc.PathAuthorize, good()); p.next.Get("error") != "temporarily_unavailable" {
		t.Error(p.loc)
	}
}

// TestClientChangedMeanwhile: the address is checked again when the person
// comes back.
func TestClientChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get(oidc.PathAuthorize, good())
	w.mu.Lock()
	c := w.clients["web"]
	c.RedirectURIs = []string{"https://rp.example/new"}
	w.clients["web"] = c
	w.mu.Unlock()
	if p := b.get(oidc.PathResume, p.url.Query()); p.status != http.StatusBadRequest || p.loc != "" {
		t.Error("redirected to an address that was withdrawn:", p.loc)
	}
	w.mu.Lock()
	delete(w.clients, "web")
	w.mu.Unlock()
	if p := b.get(oidc.PathResume, p.url.Query()); p.status != http.StatusBadRequest || p.loc != "" {
		t.Error("redirected to a client that was removed:", p.loc)
	}
}
