package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/server"
	"muniment.dev/session/signin"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// web is a whole server on loopback, as `muniment serve` runs it, with an owner
// who is signed in and an application.
type web struct {
	*server.Server
	base         string // address
	owner        event.ID
	organization string
	live         signin.Session
	client       *http.Client // as of users; follows no redirects

	app, secret string // an application's client id and secret
	close       func() error
}

const (
	webEmail    = "owner@bench.example"
	webPassword = "a password of the bench"
	webRedirect = "http://127.0.0.1:9/callback"
)

// cheap hashes passwords in no time: what is measured is the rest.
var cheap = password.Params{Memory: 64, Time: 1, Threads: 1}

// startWeb starts a server on the data directory. One that holds no instance
// gets one, with an owner.
func startWeb(ctx context.Context, e engine, dir string, clients int) (_ *web, err error) {
	server.TuneCollector()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.Wrap("find a free port", err)
	}
	w := &web{base: "http://" + ln.Addr().String(), client: httpClient(clients)}
	x := server.Extra{Passwords: cheap}
	if e.dsn != "" {
		x.Store, err = e.open(ctx, "")
	}
	if err == nil {
		w.Server, err = server.New(ctx, server.Config{Data: dir, Listen: ln.Addr().String()}, x)
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	stop := serveOn(ln, w.Handler())
	w.close = func() error { w.client.CloseIdleConnections(); return errors.Join(stop(), w.Server.Close()) }
	return w, nil
}

func httpClient(clients int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, MaxIdleConns: 2 * clients, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// serveOn serves a handler until stop is called.
func serveOn(ln net.Listener, h http.Handler) (stop func() error) {
	s := &http.Server{Handler: h}
	go s.Serve(ln) //nolint:errcheck // it ends when it is closed
	return s.Close
}

// setUp makes the owner choose a password, which signs them in.
func (w *web) setUp(ctx context.Context) error {
	secret, owner, err := w.Core.SetUp(ctx, server.Owner{Email: webEmail, Names: user.Names{Given: "Olive"}})
	if err != nil {
		return err
	}
	w.owner = owner
	w.live, err = w.SignIn.UseSetup(call.WithFacts(ctx, call.Facts{}), secret, webPassword)
	if err != nil {
		return err
	}
	got, err := w.API.Organization.ListOrganizations(w.as(ctx), &munimentv1.ListOrganizationsRequest{})
	if err == nil {
		w.organization = got.GetOrganizations()[0].GetId()
	}
	return err
}

// as is the context of the owner who calls the API in process.
func (w *web) as(ctx context.Context) context.Context {
	return call.WithCaller(call.WithFacts(ctx, call.Facts{Source: "bench"}), call.Caller{Kind: "user", ID: w.owner})
}

// addApplication registers an application.
func (w *web) addApplication(ctx context.Context) error {
	p, err := w.API.Project.CreateProject(w.as(ctx), &munimentv1.CreateProjectRequest{OrganizationId: w.organization, Name: "Bench"})
	if err != nil {
		return err
	}
	a, err := w.API.Application.CreateWebApplication(w.as(ctx), &munimentv1.CreateWebApplicationRequest{ProjectId: p.GetProjectId(), Name: "Bench", RedirectUris: []string{webRedirect}})
	if err == nil {
		w.app, w.secret = a.GetClientId(), a.GetClientSecret()
	}
	return err
}

// addMachine registers a machine user and returns its id and secret.
func (w *web) addMachine(ctx context.Context) (id, secret string, err error) {
	m, err := w.API.User.CreateMachineUser(w.as(ctx), &munimentv1.CreateMachineUserRequest{OrganizationId: w.organization, Name: "Bench"})
	if err != nil {
		return "", "", err
	}
	s, err := w.API.User.CreateUserSecret(w.as(ctx), &munimentv1.CreateUserSecretRequest{UserId: m.GetUserId()})
	return m.GetUserId(), s.GetClientSecret(), err
}

// token signs the owner in to a client: authorization code with PKCE.
func (w *web) token(ctx context.Context, client, secret, scope string) (string, error) {
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {client}, "redirect_uri": {webRedirect}, "response_type": {"code"}, "scope": {scope}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	code, err := w.code(ctx, q)
	if err != nil {
		return "", err
	}
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {webRedirect}, "code_verifier": {verifier}}
	if secret == "" {
		v.Set("client_id", client)
	}
	body, err := w.send(ctx, w.form("/oauth/token", v, client, secret))
	var got struct {
		Token string `json:"access_token"`
	}
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	return got.Token, err
}

// code asks for a code as a browser does in which nobody is signed in yet, signs
// the owner in, and goes on where it was.
func (w *web) code(ctx context.Context, q url.Values) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := *w.client
	browser.Jar = jar
	to, err := redirected(ctx, &browser, w.URL()+"/oauth/authorize?"+q.Encode())
	if err != nil {
		return "", err
	}
	live, err := w.SignIn.SignIn(call.WithFacts(ctx, call.Facts{}), signin.Attempt{Email: webEmail, Password: webPassword})
	if err != nil {
		return "", err
	}
	jar.SetCookies(to, []*http.Cookie{{Name: "muniment-session", Value: live.Token, Path: "/"}})
	if to, err = redirected(ctx, &browser, w.URL()+"/oauth/resume?flow="+to.Query().Get("flow")); err != nil {
		return "", err
	}
	if to.Query().Get("code") == "" {
		return "", fault.New(fault.Internal, "no code was issued, but %s", to)
	}
	return to.Query().Get("code"), nil
}

// redirected is where an address leads.
func redirected(ctx context.Context, c *http.Client, address string) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.Location()
}

// request is one to be sent again and again.
type request struct {
	method, url string
	header      http.Header
	body        []byte
}

// form is a request of an application with its secret.
func (w *web) form(path string, v url.Values, client, secret string) request {
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if secret != "" {
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(client)+":"+url.QueryEscape(secret))))
	}
	return request{http.MethodPost, w.URL() + path, h, []byte(v.Encode())}
}

// send sends a request; its answer must be a success.
func (w *web) send(ctx context.Context, q request) ([]byte, error) {
	_, body, err := exchange(ctx, w.client, q)
	return body, err
}

func exchange(ctx context.Context, c *http.Client, q request) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		return nil, nil, err
	}
	r.Header = q.header
	res, err := c.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fault.New(fault.Internal, "%s %s: %s: %s", q.method, q.url, res.Status, body[:min(len(body), 300)])
	}
	return res.Header, body, err
}

// newWeb starts a server in a fresh directory, set up.
func (b *bench) newWeb(ctx context.Context, e engine, name string, clients int) (*web, error) {
	w, err := startWeb(ctx, e, filepath.Join(b.dir, name), clients)
	if err != nil {
		return nil, err
	}
	if err := w.setUp(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}
