package login

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/page"
	"muniment.dev/session"
)

// world is an in-memory stand-in for people, sessions, links and applications.
type world struct {
	t  *testing.T
	mu sync.Mutex

	people   map[string]*person // by e-mail address
	sessions map[string]Session // by token
	links    map[string]string  // secret → e-mail address
	flows    map[string]*flow

	checked  int // passwords looked at
	throttle time.Duration
	broken   error // what Session answers if set
}

type person struct {
	id             event.ID
	name, password string
	locked, old    bool // old: the password has to be replaced
}

// flow is an application's request: it asks until it has an answer.
type flow struct {
	oidc.Flow
	answers []oidc.Answer
	by      event.ID // who answered
}

func newWorld(t *testing.T) *world {
	return &world{t: t,
		people: map[string]*person{
			"ada@example.org":     {id: event.NewID(), name: "Ada Lovelace", password: "correct horse battery"},
			"grace@example.org":   {id: event.NewID(), name: "Grace Hopper", password: "nanoseconds of wire"},
			"mallory@example.org": {id: event.NewID(), name: "Mallory", password: "let me in again", locked: true},
		},
		sessions: map[string]Session{}, links: map[string]string{"link-for-ada": "ada@example.org"}, flows: map[string]*flow{},
	}
}

type throttled time.Duration

func (t throttled) Error() string             { return "throttled" }
func (t throttled) RetryAfter() time.Duration { return time.Duration(t) }

func (w *world) Replace(ctx context.Context, r Replacement) (Session, error) {
	p := w.people[strings.ToLower(r.Email)]
	switch {
	case p == nil || p.password != r.Password:
		return Session{}, fault.New(fault.Unauthenticated, "no")
	case len(r.New) < 8:
		return Session{}, fault.Field("password", "must have at least 8 characters")
	}
	p.password, p.old = r.New, false
	return w.SignIn(ctx, Attempt{Email: r.Email, Password: r.New, Session: r.Session})
}

func (w *world) SignIn(ctx context.Context, a Attempt) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f, ok := call.FactsOf(ctx); !ok || !f.IP.IsValid() || f.CommandID.IsZero() {
		w.t.Errorf("an attempt without facts: %+v", f)
	}
	if w.throttle > 0 {
		return Session{}, &fault.Error{Kind: fault.Exhausted, Msg: "too many attempts", Err: throttled(w.throttle)}
	}
	w.checked++
	p := w.people[strings.ToLower(a.Email)]
	if p == nil || p.password != a.Password {
		return Session{}, fault.New(fault.Unauthenticated, "no")
	}
	if p.old {
		return Session{}, session.ErrPasswordAge
	}
	if p.locked {
		return Session{}, fault.New(fault.Refused, "this account is locked; ask an administrator")
	}
	if old, ok := w.sessions[a.Session]; ok && old.User == p.id {
		delete(w.sessions, a.Session)
	}
	return w.begin(strings.ToLower(a.Email), p), nil
}

func (w *world) begin(email string, p *person) Session {
	s := Session{ID: event.NewID(), Token: event.NewID().String(), User: p.id, Name: p.name, Email: email, Expires: time.Now().Add(time.Hour)}
	w.sessions[s.Token] = s
	return s
}

func (w *world) Session(_ context.Context, token string) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return Session{}, w.broken
	}
	s, ok := w.sessions[token]
	if !ok {
		return Session{}, fault.New(fault.Unauthenticated, "no such session")
	}
	s.Token = ""
	return s, nil
}

func (w *world) SignOut(_ context.Context, token string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	delete(w.sessions, token)
	return nil
}

func (w *world) Setup(_ context.Context, secret string) (Setup, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	email, ok := w.links[secret]
	if !ok {
		return Setup{}, fault.New(fault.NotFound, "no such link")
	}
	return Setup{Name: w.people[email].name, Email: email, Expires: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}, nil
}

func (w *world) UseSetup(ctx context.Context, secret, password string) (Session, error) {
	if _, err := w.Setup(ctx, secret); err != nil {
		return Session{}, err
	}
	if password == "password" {
		return Session{}, fault.Field("password", "this password is known to everybody; choose another")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	email := w.links[secret]
	delete(w.links, secret)
	p := w.people[email]
	p.password = password
	return w.begin(email, p), nil
}

func (w *world) Flow(_ *http.Request, id string) (oidc.Flow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, ok := w.flows[id]
	if !ok {
		return oidc.Flow{}, fault.New(fault.NotFound, "no such flow")
	}
	return f.Flow, nil
}

func (w *world) Answer(_ http.ResponseWriter, r *http.Request, id string, a oidc.Answer) (string, error) {
	if _, err := w.Flow(r, id); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flows[id]
	f.answers = append(f.answers, a)
	if c, err := call.CallerOf(r.Context()); err == nil {
		f.by = c.ID
	}
	return w.ResumeURL(id), nil
}

func (w *world) ResumeURL(id string) string { return "/oauth/authorize/continue?flow=" + id }

// ask makes a flow of an application.
func (w *world) ask(id string, a oidc.Ask) *flow {
	f := &flow{Flow: oidc.Flow{ID: id, Ask: a, Client: oidc.Client{Name: "Ledger Books"}, Scopes: []string{"openid", "profile", "email", "roles"}}}
	w.flows[id] = f
	return f
}

// serve starts the pages over a world; resume answers the provider's address.
func serve(t *testing.T, w *world, resume http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	site, err := page.New(page.Settings{Origin: srv.URL, PlainLoopback: true, Name: "Analytical Engines"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Site: site, Sessions: w, Setups: w, Flows: w})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Patterns() {
		mux.Handle(p, l)
	}
	mux.Handle(page.AssetPath, site.Assets())
	if resume == nil {
		resume = func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("resumed")) }
	}
	mux.HandleFunc("/oauth/authorize/continue", resume)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("home")) })
	mux.HandleFunc("/console/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("console " + r.URL.String())) })
	return srv
}
