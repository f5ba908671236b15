package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// world is a whole server on loopback with an owner and one application.
type world struct {
	*Server
	t       *testing.T
	owner   event.ID
	org     string
	project string
	client  *munimentv1.CreateWebApplicationResponse
	front   *httptest.Server

	email, password string // who signs in
}

const (
	ownerEmail    = "grace@example.org"
	ownerPassword = "correct horse battery"
	redirect      = "http://127.0.0.1:9/callback"
)

var quick = password.Params{Memory: 64, Time: 1, Threads: 1}

// late is a handler that is set after the server has its address.
type late struct{ http.Handler }

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, Extra{Passwords: quick})
}

func newWorldWith(t *testing.T, x Extra) *world {
	t.Helper()
	return newWorldOn(t, x, func(c Config) Config { return onEngine(t, c) })
}

// newWorldOn has its parts where a test puts them.
func newWorldOn(t *testing.T, x Extra, on func(Config) Config) *world {
	t.Helper()
	h := &late{}
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	s, err := New(t.Context(), on(Config{Data: t.TempDir(), Listen: front.Listener.Addr().String(), Name: "Test"}), x)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h.Handler = s.Handler()
	w := &world{Server: s, t: t, front: front, email: ownerEmail, password: ownerPassword}
	secret, owner, err := s.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	w.owner = owner
	if _, err := s.SignIn.UseSetup(call.WithFacts(t.Context(), call.Facts{}), secret, ownerPassword); err != nil {
		t.Fatal(err)
	}
	w.furnish()
	return w
}

// onEngine puts an instance where the test is to run: see postgres.Chosen.
func onEngine(t testing.TB, c Config) Config {
	t.Helper()
	if log, keys, ok := postgres.Chosen(t); ok {
		c.Database, c.Keys, c.Register = log, keys, filepath.Join(c.Data, "register.json")
	}
	return c
}

// as is the context of a user who calls the API in process.
func (w *world) as(id event.ID) context.Context {
	return call.WithCaller(call.WithFacts(w.t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) furnish() {
	ctx := w.as(w.owner)
	w.org = must[*munimentv1.ListOrganizationsResponse](w.t)(w.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
	w.project = must[*munimentv1.CreateProjectResponse](w.t)(w.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: w.org, Name: "Desk"})).GetProjectId()
	w.client = must[*munimentv1.CreateWebApplicationResponse](w.t)(w.API.Application.CreateWebApplication(ctx, &munimentv1.CreateWebApplicationRequest{
		ProjectId: w.project, Name: "Desk", RedirectUris: []string{redirect}}))
}

// browser is an HTTP client with cookies that does not leave the server.
func (w *world) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:9" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

var hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"`)
var action = regexp.MustCompile(`<form[^>]*method="post"[^>]*action="([^"]+)"`)

// authorize asks for a code; it signs in when asked to.
func (w *world) authorize(c *http.Client, challenge string) string {
	w.t.Helper()
	return w.authorizeFor(c, challenge, "openid")
}

func (w *world) authorizeFor(c *http.Client, challenge, scope string) string {
	w.t.Helper()
	q := url.Values{"client_id": {w.client.GetClientId()}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {scope},
		"state": {"s"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	res, err := c.Get(w.URL() + "/oauth/authorize?" + q.Encode())
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		res = w.onward(c, w.submit(c, res, url.Values{"email": {w.email}, "password": {w.password}}))
	}
	to, err := res.Location()
	if err != nil || to.Query().Get("code") == "" {
		b, _ := io.ReadAll(res.Body)
		w.t.Fatalf("no code: %s %v\n%s", res.Status, err, b)
	}
	return to.Query().Get("code")
}

// submit sends the first form of a page with some values.
func (w *world) submit(c *http.Client, res *http.Response, values url.Values) *http.Response {
	w.t.Helper()
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	for _, m := range hidden.FindAllStringSubmatch(string(b), -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	to := res.Request.URL
	if m := action.FindStringSubmatch(string(b)); m != nil {
		to, _ = to.Parse(html.UnescapeString(m[1]))
	}
	req, _ := http.NewRequest("POST", to.String(), strings.NewReader(values.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", w.URL())
	out, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]+)"`)

// onward follows the page that leads a browser on after a form.
func (w *world) onward(c *http.Client, res *http.Response) *http.Response {
	w.t.Helper()
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	m := refresh.FindStringSubmatch(string(b))
	if m == nil {
		w.t.Fatalf("%s: this page leads nowhere:\n%s", res.Status, b)
	}
	out, err := c.Get(w.URL() + html.UnescapeString(m[1]))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) redeem(code, verifier string) (int, map[string]any) {
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	req, _ := http.NewRequest("POST", w.URL()+"/oauth/token", strings.NewReader(v.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(w.client.GetClientId()), url.QueryEscape(w.client.GetClientSecret()))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Error(err)
		return 0, nil
	}
	defer res.Body.Close()
	var m map[string]any
	json.NewDecoder(res.Body).Decode(&m)
	return res.StatusCode, m
}

// challengeOf is the PKCE challenge of a verifier, S256.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// rounds is how often a race is run: MUNIMENT_RACES, or few.
func rounds(t *testing.T, few int) int {
	n, err := strconv.Atoi(os.Getenv("MUNIMENT_RACES"))
	if err != nil {
		return few
	}
	t.Logf("%d rounds", n)
	return n
}

// One authorization code redeemed by eight clients at once: exactly one
// receives tokens, the others invalid_grant, and the winner's tokens are good
// no more (RFC 6749 §4.1.2).
func TestOneCodeEightClients(t *testing.T) {
	w := newWorld(t)
	verifier := strings.Repeat("v", 43)
	challenge := challengeOf(verifier)
	c := w.browser()
	for round := range rounds(t, 30) {
		code := w.authorize(c, challenge)
		var mu sync.Mutex
		var wg sync.WaitGroup
		winners, refused := 0, 0
		var token string
		for range 8 {
			wg.Go(func() {
				status, m := w.redeem(code, verifier)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case status == 200 && m["access_token"] != nil:
					winners++
					token, _ = m["access_token"].(string)
				case status == 400 && m["error"] == "invalid_grant":
					refused++
				default:
					t.Errorf("round %d: %d %v", round, status, m)
				}
			})
		}
		wg.Wait()
		if winners != 1 || refused != 7 {
			t.Fatalf("round %d: %d clients got tokens, %d were refused", round, winners, refused)
		}
		if status := w.userinfo(token); status != http.StatusUnauthorized {
			t.Fatalf("round %d: after the replay the token is still good: %d", round, status)
		}
	}
}

// An unknown account and a wrong password look the same from outside, and
// leave the same events but for the reason.
func TestUnknownAccountLooksLikeWrongPassword(t *testing.T) {
	w := newWorld(t)
	var pages []string
	for _, email := range []string{ownerEmail, "nobody@example.org"} {
		c := w.browser()
		res, err := c.Get(w.URL() + "/login")
		if err != nil {
			t.Fatal(err)
		}
		out := w.submit(c, res, url.Values{"email": {email}, "password": {"not the password"}})
		b, _ := io.ReadAll(out.Body)
		text := regexp.MustCompile(`value="[^"]*"`).ReplaceAllString(string(b), "")
		pages = append(pages, out.Status+"\n"+text)
	}
	if pages[0] != pages[1] {
		t.Errorf("the pages differ:\n%s\n---\n%s", pages[0], pages[1])
	}
	var failed []string
	for r, err := range w.Core.Log.Read(t.Context(), event.Query{{Types: []string{"signin.failed"}}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.Core.Sealer.Decode(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		failed = append(failed, regexp.MustCompile(`Reason:"[^"]*"`).FindString(strings.ReplaceAll(gosyntax(f.Payload), " ", "")))
	}
	if len(failed) != 2 {
		t.Fatalf("events: %v", failed)
	}
}

func gosyntax(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// A second server on the same directory or database is refused by name, and an
// acknowledged change survives a restart.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	cfg := onEngine(t, Config{Data: dir, Listen: "127.0.0.1:1"})
	s, err := New(t.Context(), cfg, Extra{Passwords: quick})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), cfg, Extra{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a second server on the same directory: %v", err)
	}
	size := s.Core.Log.Mark()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(t.Context(), cfg, Extra{Passwords: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if m := again.Core.Log.Mark(); m.Size != size.Size || m.Root != size.Root || again.Core.Created {
		t.Errorf("after a restart the log ends at %d (%s), before at %d (%s)", m.Size, m.Root, size.Size, size.Root)
	}
	if _, _, err := again.Core.SetUp(t.Context(), Owner{Email: "other@example.org", Names: user.Names{Given: "X"}}); !fault.Is(err, fault.Exists) {
		t.Errorf("set up twice: %v", err)
	}
}

// register registers a user in process.
func (w *world) register(ctx context.Context, email string) (string, error) {
	res, err := w.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{Email: email, GivenName: "Ada", OrganizationId: w.org})
	return res.GetUserId(), err
}

// Eight parallel "lock user" calls: exactly one succeeds each time, and the
// others get the refusal of a second call (E16, the first of the losses that
// this design answers).
func TestEightLocks(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	for round := range rounds(t, 30) {
		id, err := w.register(ctx, "ada"+strconv.Itoa(round)+"@example.org")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		locked, refusals := 0, map[string]int{}
		for range 8 {
			wg.Go(func() {
				_, err := w.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: id})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					locked++
					return
				}
				refusals[err.Error()]++
			})
		}
		wg.Wait()
		_, second := w.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: id})
		if locked != 1 || second == nil || refusals[second.Error()] != 7 {
			t.Fatalf("round %d: %d succeeded; refusals %v; a second call: %v", round, locked, refusals, second)
		}
	}
}

// 16 clients create a user and search for it by its e-mail address at once:
// none is missed, with views running.
func TestCreateThenSearch(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	each := max(1, rounds(t, 30)*10/16)
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := range each {
				email := "u" + strconv.Itoa(c) + "-" + strconv.Itoa(i) + "@example.org"
				id, err := w.register(ctx, email)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := w.API.User.ListUsers(ctx, &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{Email: email}})
				if err != nil || len(res.GetUsers()) != 1 || res.GetUsers()[0].GetId() != id {
					t.Errorf("%s is not found: %v %v", email, res, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
