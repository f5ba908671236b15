package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// world is everything that the provider needs, in memory, with a clock of its
// own. It counts its writes.
type world struct {
	t   *testing.T
	srv *httptest.Server
	op  *oidc.Provider

	mu       sync.Mutex
	clock    time.Time
	writes   int
	clients  map[string]oidc.Client
	sessions map[string]oidc.Session // by cookie value
	grants   map[event.ID]*grant
	byCode   map[[32]byte]event.ID
	ended    map[event.ID]oidc.EndReason
	tokens   map[event.ID]*revocable
	opaque   map[[32]byte]event.ID
	used     map[string]bool   // assertions
	machines map[event.ID]bool // tokens of machine users
	proof    event.ID          // of the machine user
	refused  []oidc.Refusal
	users    map[event.ID]oidc.UserClaims
	keys     []oidc.SigningKey
	onLogin  func(w http.ResponseWriter, r *http.Request, f oidc.Flow)

	failIssue, failRedeem, failEnd, failActive, failSession error
	forgot                                                  bool         // consent was withdrawn
	lose                                                    func() error // what Refresh says after it has done its work
}

type grant struct {
	oidc.CodeGrant
	spent   bool
	ended   bool
	refresh []oidc.NewRefresh // the last one is good
	last    event.ID          // access token that came with it
}

// revocable is an access token as recorded.
type revocable struct {
	oidc.AccessToken
	revoked bool
}

var (
	ada = event.MustID("00000000000000000000000000000ada")
	bob = event.MustID("00000000000000000000000000000b0b")
)

const (
	webSecret = "web-secret-which-is-random"
	verifier  = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG-._~"
	callback  = "https://rp.example/cb"
)

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), clients: map[string]oidc.Client{},
		sessions: map[string]oidc.Session{}, grants: map[event.ID]*grant{}, byCode: map[[32]byte]event.ID{},
		ended: map[event.ID]oidc.EndReason{}, tokens: map[event.ID]*revocable{}, used: map[string]bool{}, machines: map[event.ID]bool{}, opaque: map[[32]byte]event.ID{}, users: map[event.ID]oidc.UserClaims{}}
	w.clients["web"] = oidc.Client{ID: "web", Name: "Web", Secrets: [][32]byte{sha256.Sum256([]byte("older")), sha256.Sum256([]byte(webSecret))},
		RedirectURIs: []string{callback, "https://rp.example/cb?tenant=a%20b"}, PostLogoutURIs: []string{"https://rp.example/bye"}, Project: "project-1"}
	app := w.clients["web"]
	app.ID, app.GrantTypes, app.Resources = "app", []string{oidc.GrantCode, oidc.GrantRefresh}, []string{"project-2"}
	w.clients["app"] = app
	w.clients["api"] = oidc.Client{ID: "api", Name: "API", Secrets: [][32]byte{sha256.Sum256([]byte(webSecret))}, Project: "project-2", GrantTypes: []string{}}
	w.clients["other"] = oidc.Client{ID: "other", Name: "Other", Secrets: [][32]byte{sha256.Sum256([]byte("other-secret"))}, RedirectURIs: []string{"https://other.example/cb"}}
	w.clients["cli"] = oidc.Client{ID: "cli", Name: "CLI", Type: oidc.Native, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}, Scopes: []string{oidc.ScopeAPI}}
	w.clients["machine"] = oidc.Client{ID: "machine", Name: "No redirects", Secrets: [][32]byte{sha256.Sum256([]byte(webSecret))}}
	w.clients["codeless"] = oidc.Client{ID: "codeless", Name: "No codes", Secrets: [][32]byte{sha256.Sum256([]byte(webSecret))}, RedirectURIs: []string{callback}, GrantTypes: []string{}}
	w.users[ada] = oidc.UserClaims{Name: "Ada Lovelace", Username: "ada", Email: "ada@example.com", EmailVerified: true,
		UpdatedAt: w.clock, Roles: map[string][]string{"project-1": {"editor"}}}
	w.users[bob] = oidc.UserClaims{Name: "Bob"}

	mux := http.NewServeMux()
	w.srv = httptest.NewServer(mux)
	t.Cleanup(w.srv.Close)
	var err error
	w.op, err = oidc.New(oidc.Config{Issuer: w.srv.URL, Clients: w, Sessions: w, Grants: grantFake{w}, Refresh: w, Consents: w, Tokens: w, Users: userFake{w}, Keys: w, Refusals: w, Assertions: w, Machines: w, Origins: w,
		FlowKeys: [][32]byte{{1, 2, 3}}, ACRs: []string{"urn:muniment:acr:password", "urn:muniment:acr:mfa"},
		Now: w.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.op.Register(mux)
	mux.HandleFunc("GET /login", func(rw http.ResponseWriter, r *http.Request) {
		f, err := w.op.Flow(r, r.URL.Query().Get("flow"))
		if err != nil {
			http.Error(rw, err.Error(), http.StatusNotFound)
			return
		}
		if w.onLogin == nil {
			rw.WriteHeader(http.StatusOK)
			return
		}
		w.onLogin(rw, r, f)
	})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) Client(_ context.Context, id string) (oidc.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.clients[id]
	if !ok {
		return c, fault.New(fault.NotFound, "no such client")
	}
	return c, nil
}

func (w *world) Current(r *http.Request) (oidc.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failSession != nil {
		return oidc.Session{}, w.failSession
	}
	if c, err := r.Cookie("session"); err == nil {
		if s, ok := w.sessions[c.Value]; ok {
			return s, nil
		}
	}
	return oidc.Session{}, fault.New(fault.Unauthenticated, "nobody is signed in")
}

func (w *world) End(rw http.ResponseWriter, _ *http.Request, s oidc.Session, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failEnd != nil {
		return w.failEnd
	}
	w.writes++
	delete(w.sessions, s.ID.String())
	http.SetCookie(rw, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
	return nil
}

// signIn begins a session and sets its cookie.
func (w *world) signIn(rw http.ResponseWriter, user event.ID) oidc.Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := oidc.Session{ID: event.NewID(), User: user, AuthTime: w.clock, AMR: []string{"pwd"}, ACR: "urn:muniment:acr:password"}
	w.sessions[s.ID.String()] = s
	w.writes++
	http.SetCookie(rw, &http.Cookie{Name: "session", Value: s.ID.String(), Path: "/", SameSite: http.SameSiteLaxMode, HttpOnly: true})
	return s
}

// raise notes that the person of a session gave credentials again.
func (w *world) raise(cookie string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[cookie]
	s.AuthTime, s.ACR = w.clock, "urn:muniment:acr:mfa"
	w.sessions[cookie] = s
}

func (w *world) IssueCode(_ context.Context, g oidc.CodeGrant) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failIssue != nil {
		return w.failIssue
	}
	if _, ok := w.sessions[g.Session.String()]; !ok {
		return fault.New(fault.Unauthenticated, "the session has ended")
	}
	w.writes++
	w.grants[g.Grant] = &grant{CodeGrant: g}
	w.byCode[g.CodeHash] = g.Grant
	return nil
}

func (w *world) Code(_ context.Context, hash [32]byte) (oidc.CodeGrant, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.grants[w.byCode[hash]]
	if g == nil {
		return oidc.CodeGrant{}, false, fault.New(fault.NotFound, "no such code")
	}
	return g.CodeGrant, g.spent, nil
}

func (w *world) Redeem(_ context.Context, rd oidc.Redemption) error {
	time.Sleep(time.Millisecond) // let racers meet between Code and Redeem
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.grants[w.byCode[rd.CodeHash]]
	switch _, alive := w.sessions[g.Session.String()]; {
	case w.failRedeem != nil:
		return w.failRedeem
	case g.spent:
		return fault.Wrap("redeem", oidc.ErrCodeSpent)
	case g.ended || !alive:
		return fault.Wrap("redeem", oidc.ErrGrantEnded)
	}
	w.writes++
	g.spent = true
	w.issued(g, rd.Access, rd.Opaque, rd.Refresh)
	return nil
}

// endGrant is Grants.End; Sessions.End has the same name, so a type between.
func (w *world) endGrant(id event.ID, why oidc.EndReason) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g := w.grants[id]; !g.ended {
		g.ended = true
		w.ended[id] = why
		w.writes++
	}
	return nil
}

func (w *world) Active(_ context.Context, t oidc.AccessToken) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failActive != nil {
		return w.failActive
	}
	if w.machines[t.ID] {
		return nil
	}
	g := w.grants[t.Grant]
	if _, alive := w.sessions[t.Session.String()]; g == nil || g.ended || !alive && !slices.Contains(g.Scopes, oidc.ScopeOffline) || w.tokens[t.ID].revoked {
		return fault.New(fault.Refused, "the grant or its session has ended")
	}
	return nil
}

func (w *world) Refused(_ context.Context, r oidc.Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, r)
}

type grantFake struct{ *world }

func (g grantFake) End(_ context.Context, id event.ID, why oidc.EndReason, _ string) error {
	return g.endGrant(id, why)
}

type userFake struct{ *world }

func (u userFake) Claims(_ context.Context, id event.ID, c oidc.Client, _ []string) (oidc.UserClaims, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	uc, ok := u.users[id]
	if !ok {
		return uc, fault.New(fault.Erased, "erased")
	}
	if _, ok := uc.Roles[c.Project]; !ok && c.Type != oidc.Machine {
		uc.Roles = nil
	}
	return uc, nil
}

func (w *world) SigningKey(_ context.Context, alg string) (oidc.SigningKey, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		if k.Alg == alg {
			return k, nil
		}
	}
	var s crypto.Signer
	var err error
	if alg == oidc.RS256 {
		s, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return oidc.SigningKey{}, err
	}
	id, err := oidc.KeyID(s.Public())
	w.keys = append(w.keys, oidc.SigningKey{ID: id, Alg: alg, Signer: s})
	return w.keys[len(w.keys)-1], err
}

func (w *world) PublicKeys(context.Context) ([]oidc.PublicKey, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []oidc.PublicKey
	for _, k := range w.keys {
		out = append(out, oidc.PublicKey{ID: k.ID, Alg: k.Alg, Key: k.Signer.Public()})
	}
	return out, nil
}

func (w *world) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

// browser keeps cookies and follows redirects until they leave the server.
type browser struct {
	*http.Client
	w *world
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{Client: &http.Client{Jar: jar}, w: w}
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.srv.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

// signedIn returns a browser with a session.
func (w *world) signedIn(user event.ID) (*browser, oidc.Session) {
	b := w.browser()
	rec := httptest.NewRecorder()
	s := w.signIn(rec, user)
	u, _ := url.Parse(w.srv.URL)
	b.Jar.SetCookies(u, rec.Result().Cookies())
	return b, s
}

// page is what a browser sees at the end.
type page struct {
	status int
	url    *url.URL // of the page
	next   url.Values
	loc    string // where it left to; empty if it stayed
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) page {
	b.w.t.Helper()
	resp, err := b.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	p := page{status: resp.StatusCode, url: resp.Request.URL, header: resp.Header, body: string(body), loc: resp.Header.Get("Location")}
	if u, err := url.Parse(p.loc); err == nil {
		p.next = u.Query()
	}
	return p
}

func (b *browser) get(path string, q url.Values) page {
	u := b.w.srv.URL + path
	if q != nil {
		u += "?" + q.Encode()
	}
	r, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(path string, q url.Values) page {
	r, err := http.NewRequest(http.MethodPost, b.w.srv.URL+path, strings.NewReader(q.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// good is an authorization request without fault.
func good() url.Values {
	return url.Values{"client_id": {"web"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"},
		"state": {"st"}, "nonce": {"no"}, "code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"}}
}

// with returns a copy with name=value pairs set; an empty value removes.
func with(v url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, s := range v {
		out[k] = s
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			out.Del(pairs[i])
		}
	}
	return out
}

// code signs in and returns a code for client web.
func (w *world) code(user event.ID) (string, oidc.Session) {
	w.t.Helper()
	b, s := w.signedIn(user)
	p := b.get(oidc.PathAuthorize, good())
	if p.next.Get("code") == "" {
		w.t.Fatalf("no code: %d %s %s", p.status, p.loc, p.body)
	}
	return p.next.Get("code"), s
}

func exchange(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

type tokenAnswer struct {
	status  int
	header  http.Header
	Error   string `json:"error"`
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
	Refresh string `json:"refresh_token"`
}

// token calls the token endpoint; edit may change the request.
func (w *world) token(v url.Values, edit ...func(*http.Request)) tokenAnswer {
	r, err := http.NewRequest(http.MethodPost, w.srv.URL+oidc.PathToken, strings.NewReader(v.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("web", webSecret)
	for _, e := range edit {
		e(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Error(err)
		return tokenAnswer{}
	}
	defer resp.Body.Close()
	a := tokenAnswer{status: resp.StatusCode, header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		w.t.Errorf("token answer is not JSON: %v", err)
	}
	return a
}

func (w *world) userinfo(token string) (int, http.Header, map[string]any) {
	r, _ := http.NewRequest(http.MethodGet, w.srv.URL+oidc.PathUserinfo, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	m := map[string]any{}
	_ = json.NewDecoder(resp.Body).Decode(&m)
	return resp.StatusCode, resp.Header, m
}
