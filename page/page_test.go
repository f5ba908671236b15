package page

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"muniment.dev/fault"
)

// newSite returns a site for tests and what it logged.
func newSite(t *testing.T, s Settings) (*Site, *bytes.Buffer) {
	t.Helper()
	if s.Origin == "" {
		s.Origin, s.PlainLoopback = "http://localhost:8080", true
	}
	var b bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&b, nil))
	site, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return site, &b
}

// The declaration of plain cookies and the origin must fit each other.
func TestSettings(t *testing.T) {
	cases := []struct {
		origin string
		plain  bool
		ok     bool
	}{
		{"https://id.example.org", false, true},
		{"https://id.example.org:8443/", false, true},
		{"http://localhost:8080", true, true},
		{"http://127.0.0.1:8080", true, true},
		{"http://[::1]:8080", true, true},
		{"http://localhost:8080", false, false},
		{"http://id.example.org", true, false},
		{"http://localhost.example.org", true, false},
		{"https://localhost", true, false},
		{"https://id.example.org/iam", false, false},
		{"https://user@id.example.org", false, false},
		{"ftp://id.example.org", false, false},
		{"id.example.org", false, false},
		{"", false, false},
	}
	for _, c := range cases {
		_, err := New(Settings{Origin: c.origin, PlainLoopback: c.plain})
		if (err == nil) != c.ok {
			t.Errorf("origin %q, plain %v: %v", c.origin, c.plain, err)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("origin %q: kind %v", c.origin, fault.KindOf(err))
		}
	}
}

// Every page has the headers that its safety rests on.
func TestHeaders(t *testing.T) {
	site, _ := newSite(t, Settings{Origin: "https://id.example.org"})
	w := httptest.NewRecorder()
	site.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	for k, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":    "nosniff",
		"X-Frame-Options":           "DENY",
		"Referrer-Policy":           "same-origin",
		"Cache-Control":             "no-store",
		"Strict-Transport-Security": "max-age=31536000",
	} {
		if got := w.Header().Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
}

// A page holds nothing that its own policy forbids: no inline script or style,
// no event handler, nothing from another host.
func TestPagesObeyTheirPolicy(t *testing.T) {
	site, _ := newSite(t, Settings{})
	w := httptest.NewRecorder()
	site.Fail(w, httptest.NewRequest("GET", "/", nil), fault.New(fault.NotFound, "no such page"))
	bad := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script[^>]*>[^<]|(src|href)="(https?:)?//`)
	if m := bad.FindString(w.Body.String()); m != "" {
		t.Errorf("the page holds %q", m)
	}
}

// Assets live at an address made of their content, and are cached for ever.
func TestAssets(t *testing.T) {
	site, _ := newSite(t, Settings{})
	p, err := site.Asset("style.css")
	if err != nil || !regexp.MustCompile(`^/assets/style\.[0-9a-f]{12}\.css$`).MatchString(p) {
		t.Fatalf("address of the style sheet: %q, %v", p, err)
	}
	get := func(path, etag string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		if etag != "" {
			r.Header.Set("If-None-Match", etag)
		}
		site.Assets().ServeHTTP(w, r)
		return w
	}
	w := get(p, "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" ||
		w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, ref := range regexp.MustCompile(`url\(([^)]*)\)`).FindAllStringSubmatch(w.Body.String(), -1) {
		if got := get(strings.Trim(ref[1], `"`), ""); got.Code != 200 {
			t.Errorf("the style sheet names %s, which is answered with %d", ref[1], got.Code)
		}
	}
	if w := get(p, w.Header().Get("Etag")); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("known content: %d with %d bytes", w.Code, w.Body.Len())
	}
	for _, bad := range []string{"/assets/style.css", "/assets/style.000000000000.css", "/assets/../page.go", "/assets/"} {
		if w := get(bad, ""); w.Code != 404 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
}

// form is a server with one form; sent counts the forms that came through.
func form(t *testing.T) (srv *httptest.Server, c *http.Client, sent *int) {
	t.Helper()
	sent = new(int)
	var site *Site
	mux := http.NewServeMux()
	srv = httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	site, _ = newSite(t, Settings{Origin: srv.URL, PlainLoopback: true})
	pages, err := site.Pages(fstest.MapFS{"form.html": {Data: []byte(`{{define "content"}}<form method="post">{{template "token" $}}</form>{{end}}`)}}, Card, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", site.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			*sent++
			if s := r.PostFormValue("session"); s != "" {
				site.SetSessions(w, r, []string{s}, 0)
			}
			site.Say(w, r, Note{Tone: Good, Text: "It is done <b>now</b>"})
			return
		}
		pages.Render(w, r, 200, "form", View{Title: "A form"})
	})))
	jar, _ := cookiejar.New(nil)
	return srv, &http.Client{Jar: jar}, sent
}

var tokenPattern = regexp.MustCompile(`name="form_token" value="([^"]+)"`)

// open fetches the page with the form and returns it and its token.
func open(t *testing.T, c *http.Client, addr string) (body, token string) {
	t.Helper()
	res, err := c.Get(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	m := tokenPattern.FindStringSubmatch(string(b))
	if m == nil {
		t.Fatalf("no token in the form (%d)", res.StatusCode)
	}
	return string(b), m[1]
}

func post(t *testing.T, c *http.Client, addr string, v url.Values, header ...string) int {
	t.Helper()
	r, _ := http.NewRequest("POST", addr, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// Only a form of this origin, this browser and this session is accepted.
func TestForms(t *testing.T) {
	srv, c, sent := form(t)
	_, token := open(t, c, srv.URL)
	_, other := open(t, &http.Client{Jar: must(cookiejar.New(nil))}, srv.URL)
	good := url.Values{TokenField: {token}}
	refused := map[string]int{
		"no token":          post(t, c, srv.URL, url.Values{}),
		"empty token":       post(t, c, srv.URL, url.Values{TokenField: {""}}),
		"two tokens":        post(t, c, srv.URL, url.Values{TokenField: {token, token}}),
		"garbage":           post(t, c, srv.URL, url.Values{TokenField: {"%%%"}}),
		"changed":           post(t, c, srv.URL, url.Values{TokenField: {flip(token)}}),
		"another browser's": post(t, c, srv.URL, url.Values{TokenField: {other}}),
		"in the address":    post(t, c, srv.URL+"/?"+good.Encode(), url.Values{}),
		"another origin":    post(t, c, srv.URL, good, "Origin", "https://evil.example"),
		"a null origin":     post(t, c, srv.URL, good, "Origin", "null"),
		"another site":      post(t, c, srv.URL, good, "Sec-Fetch-Site", "cross-site"),
		"a sibling site":    post(t, c, srv.URL, good, "Sec-Fetch-Site", "same-site"),
	}
	for what, code := range refused {
		if code != http.StatusForbidden {
			t.Errorf("%s: %d", what, code)
		}
	}
	if code := post(t, c, srv.URL, good, "Content-Type", "text/plain"); code != http.StatusBadRequest {
		t.Errorf("as plain text: %d", code)
	}
	if code := post(t, c, srv.URL, url.Values{TokenField: {token}, "x": {strings.Repeat("x", maxForm)}}); code != http.StatusTooManyRequests {
		t.Errorf("oversized: %d", code)
	}
	if *sent != 0 {
		t.Fatalf("%d of the forms above came through", *sent)
	}
	if code := post(t, c, srv.URL, good, "Origin", srv.URL, "Sec-Fetch-Site", "same-origin"); code != 200 || *sent != 1 {
		t.Errorf("a good form: %d", code)
	}
	// A change of session makes older forms stale.
	if code := post(t, c, srv.URL, url.Values{TokenField: {token}, "session": {"0123456789abcdef"}}); code != 200 {
		t.Fatalf("sign in: %d", code)
	}
	if code := post(t, c, srv.URL, good); code != http.StatusForbidden {
		t.Errorf("a form from before the sign-in: %d", code)
	}
}

// A note is shown once, escaped, and only as this site wrote it.
func TestNotes(t *testing.T) {
	srv, c, _ := form(t)
	_, token := open(t, c, srv.URL)
	post(t, c, srv.URL, url.Values{TokenField: {token}})
	body, _ := open(t, c, srv.URL)
	if !strings.Contains(body, "It is done &lt;b&gt;now&lt;/b&gt;") {
		t.Errorf("the note is not on the next page:\n%s", body)
	}
	if body, _ := open(t, c, srv.URL); strings.Contains(body, "It is done") {
		t.Errorf("the note is shown twice")
	}
	u, _ := url.Parse(srv.URL)
	for _, k := range c.Jar.Cookies(u) {
		if k.Name == flashCookie {
			t.Errorf("the note is still kept after it was shown")
		}
	}
	site, _ := newSite(t, Settings{})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	site.Say(w, r, Note{Tone: Good, Text: "done"})
	r2 := httptest.NewRequest("GET", "/", nil)
	for _, k := range w.Result().Cookies() {
		r2.AddCookie(k)
	}
	if n := site.note(httptest.NewRecorder(), r2); n == nil || n.Text != "done" || n.Tone != Good {
		t.Errorf("note: %+v", n)
	}
	r3 := httptest.NewRequest("GET", "/", nil)
	for _, k := range w.Result().Cookies() {
		if k.Name == flashCookie {
			k.Value = flip(k.Value)
		}
		r3.AddCookie(k)
	}
	if n := site.note(httptest.NewRecorder(), r3); n != nil {
		t.Errorf("a changed note was shown: %+v", n)
	}
}

// Cookies are host-prefixed, hidden from scripts and sent by TLS only, but for
// the declared exception.
func TestCookies(t *testing.T) {
	set := func(s Settings) string {
		site, _ := newSite(t, s)
		w := httptest.NewRecorder()
		site.SetSessions(w, httptest.NewRequest("GET", "/", nil), []string{"0123456789abcdef"}, time.Hour)
		return w.Header().Get("Set-Cookie")
	}
	if got, want := set(Settings{Origin: "https://id.example.org"}), "__Host-muniment-session=0123456789abcdef; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("%s", got)
	}
	if got, want := set(Settings{}), "muniment-session=0123456789abcdef; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("%s", got)
	}
	site, _ := newSite(t, Settings{Origin: "https://id.example.org"})
	for value, want := range map[string]int{
		"0123456789abcdef":                  1,
		"0123456789abcdef.fedcba9876543210": 2,
		"short":                             0,
		"0123456789abcdef.":                 0,
		"0123456789abcde+":                  0,
		strings.Repeat("0123456789abcdef.", 5) + "0123456789abcdef": 0,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-muniment-session="+value)
		if got := site.Sessions(r); len(got) != want {
			t.Errorf("%q: %q", value, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-muniment-session=0123456789abcdef; __Host-muniment-session=fedcba9876543210")
	if got := site.Session(r); got != "" {
		t.Errorf("of two cookies of one name %q was taken", got)
	}
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "muniment-session=0123456789abcdef")
	if got := site.Session(r); got != "" {
		t.Errorf("a cookie without prefix was taken on https")
	}
}

// What a stranger sees of a fault: its kind, never the text of its cause.
func TestFail(t *testing.T) {
	site, logged := newSite(t, Settings{})
	cases := []struct {
		err    error
		status int
		says   string
	}{
		{fault.New(fault.NotFound, "there is no such person"), 404, "There is no such person"},
		{fault.New(fault.Denied, "only administrators may do this"), 403, "Only administrators"},
		{&fault.Error{Kind: fault.Exhausted, Msg: "too many attempts", Err: waiting(90 * time.Second)}, 429, "Too many attempts"},
		{errors.New("pq: relation secret_table does not exist"), 500, "it was logged"},
		{fault.Wrap("read", errors.New("pq: secret_table")), 500, "it was logged"},
	}
	for _, c := range cases {
		w := httptest.NewRecorder()
		site.Fail(w, httptest.NewRequest("GET", "/", nil), c.err)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "secret_table") {
			t.Errorf("%v: %d\n%s", c.err, w.Code, w.Body)
		}
		if c.status == 429 && w.Header().Get("Retry-After") != "90" {
			t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
		}
	}
	if n := strings.Count(logged.String(), "secret_table"); n != 2 {
		t.Errorf("%d of 2 faults of ours were logged", n)
	}
}

// The way on is a page of this site, written into a page instead of a redirect.
func TestOnward(t *testing.T) {
	site, _ := newSite(t, Settings{})
	w := httptest.NewRecorder()
	site.Onward(w, httptest.NewRequest("GET", "/", nil), "/oauth/authorize/continue?flow=a_b-c&x=%22")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `content="0; url=/oauth/authorize/continue?flow=a_b-c&amp;x=%22"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"", "//evil.example", "https://evil.example", `/\evil.example`, "/\tx", "/\n", "/é", "javascript:alert(1)", "oauth", "/" + strings.Repeat("x", 9000)} {
		w := httptest.NewRecorder()
		site.Onward(w, httptest.NewRequest("GET", "/", nil), bad)
		if w.Code != 400 {
			t.Errorf("%q: %d", bad, w.Code)
		}
	}
}

// Words for times.
func TestRelative(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		3 * time.Second: "just now", 40 * time.Second: "40 seconds ago", time.Minute: "1 minute ago",
		59 * time.Minute: "59 minutes ago", 23 * time.Hour: "23 hours ago", 30 * time.Hour: "1 day ago",
		20 * 24 * time.Hour: "1 Nov", 400 * 24 * time.Hour: "17 Oct 2025", -5 * time.Minute: "in 5 minutes", -72 * time.Hour: "on 24 Nov 2026",
	} {
		if got := relative(now.Add(-d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// FuzzOwnPath: what is taken for an own path stays on this host in a browser's eyes.
func FuzzOwnPath(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/a?b=c#d", "/%2f%2fx", "http://x", "/.//x"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://id.example.org/login")
	f.Fuzz(func(t *testing.T, s string) {
		if !OwnPath(s) {
			return
		}
		u, err := base.Parse(s)
		if err != nil {
			return // a browser goes nowhere, or to this host
		}
		if u.Host != base.Host || u.Scheme != "https" {
			t.Errorf("%q leads to %s", s, u)
		}
	})
}

// FuzzCookies: no cookie makes the readers panic or yields a bad token.
func FuzzCookies(f *testing.F) {
	f.Add("0123456789abcdef.fedcba9876543210")
	f.Add("a.b")
	site, err := New(Settings{Origin: "https://id.example.org"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-muniment-session="+v+"; __Host-muniment-note="+v+"; __Host-muniment-visit="+v)
		for _, s := range site.Sessions(r) {
			if !tokenText(s) {
				t.Errorf("session %q", s)
			}
		}
		if n := site.note(httptest.NewRecorder(), r); n != nil {
			t.Errorf("a note nobody wrote: %+v", n)
		}
		if site.goodToken(r, []string{v}) {
			t.Errorf("token %q", v)
		}
	})
}

type waiting time.Duration

func (w waiting) Error() string             { return "throttled" }
func (w waiting) RetryAfter() time.Duration { return time.Duration(w) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// flip changes the tenth character of a base64url text.
func flip(s string) string {
	c := byte('A')
	if s[10] == c {
		c = 'B'
	}
	return s[:10] + string(c) + s[11:]
}
