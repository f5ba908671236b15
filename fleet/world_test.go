package fleet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/server"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

const (
	email = "grace@example.org" // the owner's, in every instance
	pass  = "correct horse battery"
)

// world is a fleet on loopback that is reached under every name.
type world struct {
	*Fleet
	t      *testing.T
	data   string
	config server.Config // of the home instance
	front  *httptest.Server
	port   string
	owner  event.ID // of the home instance

	mu   sync.Mutex
	stop string // the step before which the fleet crashes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, data: t.TempDir()}
	w.front = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.Handler().ServeHTTP(rw, r) }))
	t.Cleanup(w.front.Close)
	_, w.port, _ = net.SplitHostPort(w.front.Listener.Addr().String())
	w.config = server.Config{Data: w.data, Listen: w.front.Listener.Addr().String(), Name: "Home"}
	if log, keys, ok := postgres.Chosen(t); ok {
		w.config.Database, w.config.Keys, w.config.Register = log, keys, filepath.Join(w.data, "register.json")
	}
	w.start()
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	secret, owner, err := w.home.Core.SetUp(t.Context(), server.Owner{Email: email, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	w.owner = owner
	w.choose(w.home, secret, pass)
	return w
}

// register is where the size of a hosted instance's log is kept.
func (w *world) register(id string) string {
	if w.config.Register != "" {
		return filepath.Join(w.data, folder, id+".register.json")
	}
	return filepath.Join(w.data, folder, id, "register.json")
}

// start opens the home instance and what it hosts.
func (w *world) start() {
	w.t.Helper()
	f, err := New(w.t.Context(), w.config, Options{
		Extra: server.Extra{Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}}, Step: w.step})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Fleet = f
}

// restart closes everything and opens it again.
func (w *world) restart() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// crashAt has the fleet stop before a step for good; empty: no more.
func (w *world) crashAt(step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = step
}

func (w *world) step(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == name {
		return fault.New(fault.Unavailable, "crashed before this: %s", name)
	}
	return nil
}

// choose takes a set-up link into use.
func (w *world) choose(s *server.Server, secret, password string) {
	w.t.Helper()
	if _, err := s.SignIn.UseSetup(call.WithFacts(w.t.Context(), call.Facts{}), secret, password); err != nil {
		w.t.Fatal(err)
	}
}

// as is the context of the home instance's owner.
func (w *world) as() context.Context { return asUser(w.t, w.owner) }

func asUser(t *testing.T, id event.ID) context.Context {
	return call.WithCaller(call.WithFacts(t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%v (%v)", err, api.Explain(err))
		}
		return v
	}
}

func wants(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(api.AsFault(err)) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func (w *world) request(name string) *munimentv1.CreateHostedInstanceRequest {
	return &munimentv1.CreateHostedInstanceRequest{Name: name, Host: strings.ToLower(name) + ".localhost", OwnerEmail: email, OwnerGivenName: "Grace", CommandId: strings.Repeat("a", 32)}
}

// tenant is a hosted instance in use.
type tenant struct {
	id     string
	url    string
	server *server.Server
	owner  event.ID
}

// host makes a hosted instance whose owner has a password.
func (w *world) host(name string) tenant {
	w.t.Helper()
	req := w.request(name)
	req.CommandId = ""
	made := must[*munimentv1.CreateHostedInstanceResponse](w.t)(w.home.API.Hosted.CreateHostedInstance(w.as(), req))
	_, secret, ok := strings.Cut(made.GetSetupLink().GetUrl(), "/setup/")
	if !ok {
		w.t.Fatalf("there is no link: %v", made)
	}
	t := tenant{id: made.GetInstanceId(), url: w.URL(req.GetHost()), server: w.inner(made.GetInstanceId())}
	w.choose(t.server, secret, pass)
	users := must[*munimentv1.ListUsersResponse](w.t)(t.server.API.User.ListUsers(asUser(w.t, firstOwner(w.t, t.server)), &munimentv1.ListUsersRequest{}))
	t.owner = event.MustID(users.GetUsers()[0].GetId())
	return t
}

// firstOwner finds who an instance was set up for in its log.
func firstOwner(t *testing.T, s *server.Server) event.ID {
	t.Helper()
	for r, err := range s.Core.Log.Read(t.Context(), event.Query{{Types: []string{"user.registered"}}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		return r.Stream.ID
	}
	t.Fatal("nobody is registered")
	return event.ID{}
}

// inner is the server of a hosted instance, as soon as it is open.
func (w *world) inner(id string) *server.Server {
	w.t.Helper()
	r, err := w.seat(event.MustID(id)).enter(w.t.Context(), true)
	if err != nil {
		w.t.Fatal(err)
	}
	r.guests.Done()
	return r.Server
}

// browser is an HTTP client that finds every name on this machine.
func (w *world) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, Transport: w.transport(), Timeout: time.Minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:9" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

func (w *world) transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", w.front.Listener.Addr().String())
	}}
}

// get asks for an address with headers, given in pairs.
func (w *world) get(c *http.Client, address string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

var (
	form   = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	action = regexp.MustCompile(`action="([^"]+)"`)
	hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"`)
	onward = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]+)"`)
)

// open goes to an address, signs in and agrees where asked to, and answers
// where that ended.
func (w *world) open(c *http.Client, address string) *url.URL {
	w.t.Helper()
	res, err := c.Get(address)
	for range 8 {
		if err != nil {
			w.t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if to, err := res.Location(); err == nil {
			return to
		}
		page := string(b)
		f := form.FindString(page)
		switch {
		case onward.MatchString(page):
			to, _ := res.Request.URL.Parse(html.UnescapeString(onward.FindStringSubmatch(page)[1]))
			if to.Host == "127.0.0.1:9" {
				return to
			}
			res, err = c.Get(to.String())
		case strings.Contains(f, `name="password"`):
			res, err = w.submit(c, res, f, url.Values{"email": {email}, "password": {pass}})
		case strings.Contains(f, "/login/consent"):
			res, err = w.submit(c, res, f, url.Values{"answer": {"agree"}})
		default:
			w.t.Fatalf("%s: %s leads nowhere:\n%s", res.Status, res.Request.URL, page)
		}
	}
	w.t.Fatal("there is no end to the pages")
	return nil
}

func (w *world) submit(c *http.Client, res *http.Response, f string, values url.Values) (*http.Response, error) {
	to := res.Request.URL
	if m := action.FindStringSubmatch(f); m != nil {
		to, _ = to.Parse(html.UnescapeString(m[1]))
	}
	for _, m := range hidden.FindAllStringSubmatch(f, -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", to.Scheme+"://"+to.Host)
	return c.Do(req)
}

// code signs in at an instance as its command line does, and answers the code.
func (w *world) code(c *http.Client, issuer string) string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	q := url.Values{"client_id": {server.CLIClient}, "redirect_uri": {"http://127.0.0.1:9/callback"}, "response_type": {"code"}, "scope": {"openid urn:muniment:scope:api"},
		"state": {"s"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	to := w.open(c, issuer+"/oauth/authorize?"+q.Encode())
	code := to.Query().Get("code")
	if code == "" {
		w.t.Fatalf("no code: %s", to)
	}
	return code
}

// redeem redeems a code at an instance.
func (w *world) redeem(c *http.Client, issuer, code string) (int, string) {
	w.t.Helper()
	v := url.Values{"grant_type": {"authorization_code"}, "client_id": {server.CLIClient}, "code": {code}, "redirect_uri": {"http://127.0.0.1:9/callback"}, "code_verifier": {strings.Repeat("v", 43)}}
	res, err := c.PostForm(issuer+"/oauth/token", v)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var m struct {
		Token string `json:"access_token"`
		Error string
	}
	json.NewDecoder(res.Body).Decode(&m)
	return res.StatusCode, cmp.Or(m.Token, m.Error)
}

func (w *world) token(issuer string) string {
	w.t.Helper()
	c := w.browser()
	status, token := w.redeem(c, issuer, w.code(c, issuer))
	if status != http.StatusOK {
		w.t.Fatalf("no token: %d %s", status, token)
	}
	return token
}
