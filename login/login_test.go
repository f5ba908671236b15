package login

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// visitor is a browser without a screen.
type visitor struct {
	t    *testing.T
	base string
	c    *http.Client
	body string
	last *http.Response
}

func visit(t *testing.T, base string) *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{t: t, base: base, c: &http.Client{Jar: jar}}
}

func (v *visitor) do(r *http.Request) *visitor {
	v.t.Helper()
	res, err := v.c.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	v.last, v.body = res, string(b)
	return v
}

func (v *visitor) get(path string) *visitor {
	v.t.Helper()
	r, _ := http.NewRequest("GET", v.base+path, nil)
	return v.do(r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// send fills the form of the page that is open and posts it.
func (v *visitor) send(path string, pairs ...string) *visitor {
	v.t.Helper()
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(v.body, -1) {
		form.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, _ := http.NewRequest("POST", v.base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r)
}

// want fails the test unless the answer is as said.
func (v *visitor) want(status int, texts ...string) *visitor {
	v.t.Helper()
	if v.last.StatusCode != status {
		v.t.Errorf("%s %s: status %d, want %d", v.last.Request.Method, v.last.Request.URL, v.last.StatusCode, status)
	}
	for _, s := range texts {
		if !strings.Contains(v.body, s) {
			v.t.Errorf("%s %s: no %q in\n%s", v.last.Request.Method, v.last.Request.URL, s, v.body)
		}
	}
	return v
}

func (v *visitor) tokens() []string {
	u, _ := url.Parse(v.base)
	for _, c := range v.c.Jar.Cookies(u) {
		if c.Name == "muniment-session" {
			return strings.Split(c.Value, ".")
		}
	}
	return nil
}

// resumes is where the page in between leads to.
func (v *visitor) resumes() string {
	m := regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]*)"`).FindStringSubmatch(v.body)
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// Signing in leads back to where the person was going, if that is ours.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	for next, want := range map[string]string{
		"":                                "home",
		"/console/events?type=user.*":     "console /console/events?type=user.*",
		"https://evil.example/console/":   "home",
		"//evil.example/console/":         "home",
		"/logout":                         "home",
		"/console/../logout":              "home",
		"/console/%2e%2e/logout":          "home",
		"/console//evil.example":          "home",
		"/consoles":                       "home",
		"javascript:alert(1)//console":    "home",
		`/\evil.example/console/`:         "home",
		"/oauth/authorize/continue?flow=": "home",
	} {
		v := visit(t, srv.URL)
		v.get(LoginPath(next)).want(200, "Sign in")
		v.send("/login", "email", " Ada@example.org ", "password", "correct horse battery").want(200, want)
		if got := v.tokens(); len(got) != 1 {
			t.Errorf("%q: sessions in the browser: %d", next, len(got))
		}
	}
}

// Unknown account and wrong password: same text, same status, same page.
func TestSameAnswer(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	strip := regexp.MustCompile(`name="form_token" value="[^"]*"`)
	answer := func(email, password string) (int, string, http.Header) {
		v := visit(t, srv.URL).get("/login").send("/login", "email", email, "password", password)
		v.last.Header.Del("Date")
		v.last.Header.Del("Content-Length")
		return v.last.StatusCode, strings.ReplaceAll(strip.ReplaceAllString(v.body, ""), email, "EMAIL"), v.last.Header
	}
	c1, b1, h1 := answer("nobody@example.org", "correct horse battery")
	c2, b2, h2 := answer("ada@example.org", "something else")
	if c1 != http.StatusForbidden || c1 != c2 || b1 != b2 || !strings.Contains(b1, wrong) {
		t.Errorf("unknown account: %d\n%s\nwrong password: %d\n%s", c1, b1, c2, b2)
	}
	for k := range h1 {
		if h1.Get(k) != h2.Get(k) {
			t.Errorf("%s differs: %q, %q", k, h1.Get(k), h2.Get(k))
		}
	}
	if w.checked != 2 {
		t.Errorf("%d passwords were looked at", w.checked)
	}
	if c, b, _ := answer("mallory@example.org", "let me in again"); c != http.StatusForbidden || !strings.Contains(b, "This account is locked; ask an administrator.") {
		t.Errorf("locked: %d\n%s", c, b)
	}
}

// What cannot be right is said beside the field, and nothing is checked.
func TestBadAttempts(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	long := strings.Repeat("x", 300)
	for _, c := range [][3]string{
		{"", "x", "Enter your e-mail address."},
		{"ada@example.org", "", "Enter your password."},
		{long, "x", "This is longer than an e-mail address can be."},
		{"ada@example.org", long, "at most 256 characters"},
	} {
		visit(t, srv.URL).get("/login").send("/login", "email", c[0], "password", c[1]).want(http.StatusUnprocessableEntity, c[2], `aria-invalid="true"`)
	}
	if w.checked != 0 {
		t.Errorf("%d passwords were looked at", w.checked)
	}
	v := visit(t, srv.URL).get("/login")
	v.body = "" // no token
	v.send("/login", "email", "ada@example.org", "password", "correct horse battery").want(http.StatusForbidden)
	if w.checked != 0 || v.tokens() != nil {
		t.Error("a form without token was accepted")
	}
}

// Who tries too often is told how long to wait, and no password is echoed.
func TestThrottled(t *testing.T) {
	w := newWorld(t)
	w.throttle = 42 * time.Second
	srv := serve(t, w, nil)
	v := visit(t, srv.URL).get("/login").send("/login", "email", "ada@example.org", "password", "s3cr3t-in-the-form")
	v.want(http.StatusTooManyRequests, "Try again in 42 seconds")
	if v.last.Header.Get("Retry-After") != "42" || strings.Contains(v.body, "s3cr3t") {
		t.Errorf("Retry-After %q\n%s", v.last.Header.Get("Retry-After"), v.body)
	}
}

// A sign-in that an application asked for goes on with the provider, by a page
// in between; the person's answers reach the provider with who gave them.
func TestFlows(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	ada := w.people["ada@example.org"].id

	w.ask("f1", oidc.AskSignIn).LoginHint = "ada@example.org"
	v := visit(t, srv.URL).get("/login?flow=f1").want(200, "Ledger Books", `value="ada@example.org"`)
	v.send("/login", "password", "correct horse battery", "email", "ada@example.org").want(200, "Continue")
	if got := v.resumes(); got != "/oauth/authorize/continue?flow=f1" {
		t.Errorf("after sign-in: %q", got)
	}

	f2 := w.ask("f2", oidc.AskConsent)
	v.get("/login?flow=f2").want(200, "Ledger Books will be able to", "see your roles", "Ada Lovelace")
	v.send("/login/consent", "answer", "maybe").want(http.StatusBadRequest)
	v.get("/login?flow=f2").send("/login/consent", "answer", "decline").want(200)
	v.get("/login?flow=f2").send("/login/consent", "answer", "agree").want(200)
	if len(f2.answers) != 2 || f2.answers[0] != oidc.AnswerDecline || f2.answers[1] != oidc.AnswerConsent || f2.by != ada {
		t.Errorf("answers: %v by %v", f2.answers, f2.by)
	}

	w.ask("f3", oidc.AskNothing)
	v.get("/login?flow=f3").want(200, "resumed")

	w.ask("f4", oidc.AskReauthenticate)
	v.get("/login?flow=f4").want(200, "Confirm that it is you", "readonly", `value="ada@example.org"`)
	before := v.tokens()
	v.send("/login", "email", "ada@example.org", "password", "wrong").want(http.StatusForbidden, "Confirm that it is you")
	v.send("/login", "email", "ada@example.org", "password", "correct horse battery").want(200)
	if after := v.tokens(); len(after) != 1 || after[0] == before[0] || len(w.sessions) != 1 {
		t.Errorf("a second sign-in of one person: %v then %v, %d sessions", before, after, len(w.sessions))
	}

	v.get("/login?flow=gone").want(http.StatusNotFound, "go back to the application and begin again")
	v.send("/login", "flow", "gone", "email", "ada@example.org", "password", "correct horse battery").want(http.StatusForbidden)
	v.get("/login?another=1").send("/login", "flow", "gone", "email", "ada@example.org", "password", "correct horse battery").want(http.StatusNotFound)
}

// Several people in one browser: the chosen one comes to the front.
func TestAccounts(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	v := visit(t, srv.URL).get("/login").send("/login", "email", "ada@example.org", "password", "correct horse battery")
	v.get("/login?another=1").send("/login", "email", "grace@example.org", "password", "nanoseconds of wire").want(200, "home")
	if got := v.tokens(); len(got) != 2 || w.sessions[got[0]].Name != "Grace Hopper" {
		t.Fatalf("sessions: %v", got)
	}
	f := w.ask("f", oidc.AskAccount)
	v.get("/login?flow=f").want(200, "Grace Hopper", "Ada Lovelace", "Use another account")
	ada := w.sessions[v.tokens()[1]]
	v.send("/login/choose", "session", "nonsense").want(http.StatusBadRequest)
	v.get("/login?flow=f").send("/login/choose", "session", "00000000000000000000000000000001").want(http.StatusUnauthorized)
	v.get("/login?flow=f").send("/login/choose", "session", ada.ID.String()).want(200)
	if got := v.tokens(); len(got) != 2 || got[0] != ada.Token {
		t.Errorf("in front: %v", got)
	}
	if len(f.answers) != 1 || f.answers[0] != oidc.AnswerAccount || f.by != ada.User {
		t.Errorf("answers: %v by %v", f.answers, f.by)
	}

	v.get("/logout").want(200, "Ada Lovelace", "Sign out everybody").send("/logout", "who", "me").want(200, "Somebody else is still signed in")
	if got := v.tokens(); len(got) != 1 || len(w.sessions) != 1 {
		t.Errorf("after one sign-out: %v, %d sessions", got, len(w.sessions))
	}
	v.get("/logout").send("/logout", "who", "all").want(200, "You are signed out")
	if got := v.tokens(); got != nil || len(w.sessions) != 0 {
		t.Errorf("after all sign-outs: %v, %d sessions", got, len(w.sessions))
	}
	v.get("/logout").want(200, "You are signed out")
}

// Signing out that did not happen is not said to have happened.
func TestSignOutFails(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	v := visit(t, srv.URL).get("/login").send("/login", "email", "ada@example.org", "password", "correct horse battery")
	v.get("/logout")
	w.broken = &fault.Error{Kind: fault.Unknown, Msg: "it is not known whether the session ended", Err: errors.New("disk full at sector 7")}
	v.send("/logout").want(http.StatusServiceUnavailable, "It is not known whether the session ended")
	if len(v.tokens()) != 1 || strings.Contains(v.body, "sector") {
		t.Errorf("sessions %v\n%s", v.tokens(), v.body)
	}
}

// A set-up link works once, does not stay in an address, and is not used up by
// being looked at.
func TestSetup(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	v := visit(t, srv.URL)
	v.get(SetupPath("link-for-ada")).want(200, "Welcome, Ada Lovelace", "ada@example.org")
	if p := v.last.Request.URL.Path; p != "/setup" {
		t.Errorf("the secret stays in the address: %s", p)
	}
	v.send("/setup", "password", "short", "repeat", "short").want(422, "at least 8 characters")
	v.send("/setup", "password", "long enough", "repeat", "long enouhg").want(422, "not the same")
	v.send("/setup", "password", strings.Repeat("x", 257), "repeat", "").want(422, "at most 256")
	v.send("/setup", "password", "password", "repeat", "password").want(422, "This password is known to everybody; choose another.")
	v.send("/setup", "password", "a new engine", "repeat", "a new engine").want(200, "home")
	if len(v.tokens()) != 1 || w.people["ada@example.org"].password != "a new engine" {
		t.Error("the password was not set, or nobody is signed in")
	}
	v.get("/setup").want(404, "no longer good")
	visit(t, srv.URL).get(SetupPath("link-for-ada")).want(404, "no longer good")
	visit(t, srv.URL).get(SetupPath(strings.Repeat("x", 400))).want(404, "no longer good")
	visit(t, srv.URL).get("/setup/a/b").want(404)
}

// A session that ended elsewhere is none, and trouble with sessions is not
// taken for signed out.
func TestStaleAndBroken(t *testing.T) {
	w := newWorld(t)
	srv := serve(t, w, nil)
	v := visit(t, srv.URL).get("/login").send("/login", "email", "ada@example.org", "password", "correct horse battery")
	v.get("/login").want(200, "home")
	clear(w.sessions)
	v.get("/login").want(200, "Sign in")
	w.broken = fault.New(fault.Unavailable, "the log cannot be read now")
	v.get("/login").want(http.StatusServiceUnavailable, "The log cannot be read now")
}

// Whose password is right and too old chooses another, by the present one, and
// goes on to where they were going.
func TestReplace(t *testing.T) {
	w := newWorld(t)
	w.people["ada@example.org"].old = true
	v := visit(t, serve(t, w, nil).URL)
	v.get(LoginPath("/console/events")).send("/login", "return", "/console/events", "email", "ada@example.org", "password", "correct horse battery").
		want(403, "Choose another password", `value="ada@example.org"`, "/console/events")
	if len(v.tokens()) != 0 {
		t.Error("signed in with a password that is too old")
	}
	form := func(present, password, repeat string) []string {
		return []string{"return", "/console/events", "email", "ada@example.org", "present", present, "password", password, "repeat", repeat}
	}
	v.send("/login/replace", form("", "a new one of words", "a new one of words")...).want(422, "Enter your present password.")
	v.send("/login/replace", form("correct horse battery", "", "")...).want(422, "Enter a new password")
	v.send("/login/replace", form("correct horse battery", "a new one of words", "another")...).want(422, "not the same as above")
	v.send("/login/replace", form("correct horse battery", "short", "short")...).want(422, "Must have at least 8 characters")
	v.send("/login/replace", form("wrong", "a new one of words", "a new one of words")...).want(403, "is not right")
	v.send("/login/replace", form("correct horse battery", "a new one of words", "a new one of words")...).want(200, "console /console/events")
	if len(v.tokens()) != 1 {
		t.Error("not signed in")
	}
}

// A session whose password is to be given again leads nowhere before that.
func TestAskPassword(t *testing.T) {
	w := newWorld(t)
	v := visit(t, serve(t, w, nil).URL)
	v.get("/login").send("/login", "email", "ada@example.org", "password", "correct horse battery").want(200)
	for token, s := range w.sessions {
		s.AskPassword = true
		w.sessions[token] = s
	}
	v.get(LoginPath("/console/events")).want(200, "Confirm that it is you", "readonly")
}
