// Package sample is an application that lets people sign in through Muniment:
// a travel desk where everybody sees their own name and roles, and only those
// with the role "approver" may approve. It uses nothing but public OpenID
// Connect libraries, as any application would.
package sample

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

//go:embed html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "html/*.html"))

// Config is how the application is registered with its provider.
type Config struct {
	Issuer       string // of the provider
	ClientID     string
	ClientSecret string
	URL          string // of this application, without final slash
	Project      string // whose roles count
	HTTP         *http.Client
}

// App is the application. It keeps its sessions in memory.
type App struct {
	c        Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config
	logout   string // the provider's end_session_endpoint

	mu       sync.Mutex
	sessions map[string]*session
	flows    map[string]flow
}

type session struct {
	Name, Email, Subject string
	Roles                []string
	AuthTime             time.Time
	IDToken              string
	form                 string
	approved             bool
	until                time.Time
}

type flow struct {
	state, nonce, verifier string
	until                  time.Time
}

const (
	sessionCookie = "travel-desk"
	flowCookie    = "travel-desk-flow"
	sessionLife   = time.Hour
	flowLife      = 10 * time.Minute
	maxKept       = 10000
)

// RedirectPath and SignedOutPath are to be registered with the provider.
const (
	RedirectPath  = "/callback"
	SignedOutPath = "/signed-out"
)

// New asks the provider for its configuration.
func New(ctx context.Context, c Config) (*App, error) {
	if c.HTTP != nil {
		ctx = oidc.ClientContext(ctx, c.HTTP)
	}
	p, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		Logout string `json:"end_session_endpoint"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, err
	}
	return &App{c: c, provider: p, verifier: p.Verifier(&oidc.Config{ClientID: c.ClientID}), logout: more.Logout,
		oauth: oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: p.Endpoint(),
			RedirectURL: c.URL + RedirectPath, Scopes: []string{oidc.ScopeOpenID, "profile", "email"}},
		sessions: map[string]*session{}, flows: map[string]flow{}}, nil
}

// Handler serves the application.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "html/style.css") })
	mux.HandleFunc("GET /sign-in", a.signIn)
	mux.HandleFunc("GET "+RedirectPath, a.callback)
	mux.HandleFunc("POST /approve", a.approve)
	mux.HandleFunc("POST /sign-out", a.signOut)
	mux.HandleFunc("GET "+SignedOutPath, func(w http.ResponseWriter, r *http.Request) { a.show(w, http.StatusOK, "signed-out.html", nil) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self' "+a.c.Issuer+"; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		mux.ServeHTTP(w, r)
	})
}

func (a *App) home(w http.ResponseWriter, r *http.Request) {
	s := a.session(r)
	if s == nil {
		a.show(w, http.StatusOK, "welcome.html", nil)
		return
	}
	a.show(w, http.StatusOK, "home.html", map[string]any{"S": s, "Form": s.form, "Approver": slices.Contains(s.Roles, "approver"), "Approved": s.approved})
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	f := flow{state: random(), nonce: random(), verifier: oauth2.GenerateVerifier(), until: time.Now().Add(flowLife)}
	id := random()
	a.mu.Lock()
	for k, v := range a.flows {
		if len(a.flows) > maxKept || time.Now().After(v.until) {
			delete(a.flows, k)
		}
	}
	a.flows[id] = f
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: flowCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(flowLife.Seconds())})
	http.Redirect(w, r, a.oauth.AuthCodeURL(f.state, oidc.Nonce(f.nonce), oauth2.S256ChallengeOption(f.verifier)), http.StatusSeeOther)
}

func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	f, ok := a.takeFlow(r)
	q := r.URL.Query()
	if !ok || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.state)) != 1 {
		a.fail(w, "This sign-in is over, or was begun in another browser. Begin again.")
		return
	}
	if q.Get("error") != "" {
		a.fail(w, "You were not signed in.")
		return
	}
	ctx := r.Context()
	if a.c.HTTP != nil {
		ctx = oidc.ClientContext(ctx, a.c.HTTP)
	}
	s, err := a.exchange(ctx, q.Get("code"), f)
	if err != nil {
		a.fail(w, "The sign-in could not be completed. Begin again.")
		return
	}
	id := random()
	a.mu.Lock()
	for k, v := range a.sessions {
		if len(a.sessions) > maxKept || time.Now().After(v.until) {
			delete(a.sessions, k)
		}
	}
	a.sessions[id] = s
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(sessionLife.Seconds())})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// exchange redeems the code, verifies the ID token and asks userinfo.
func (a *App) exchange(ctx context.Context, code string, f flow) (*session, error) {
	tok, err := a.oauth.Exchange(ctx, code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return nil, err
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.nonce)) != 1 {
		return nil, &oidc.TokenExpiredError{}
	}
	var claims struct {
		Roles    map[string][]string `json:"roles"`
		AuthTime int64               `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	info, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(tok))
	if err != nil {
		return nil, err
	}
	var person struct {
		Name string `json:"name"`
	}
	if err := info.Claims(&person); err != nil || info.Subject != id.Subject {
		return nil, &oidc.TokenExpiredError{}
	}
	return &session{Name: person.Name, Email: info.Email, Subject: id.Subject, Roles: claims.Roles[a.c.Project],
		AuthTime: time.Unix(claims.AuthTime, 0), IDToken: raw, form: random(), until: time.Now().Add(sessionLife)}, nil
}

// approve is what only approvers may do.
func (a *App) approve(w http.ResponseWriter, r *http.Request) {
	s := a.session(r)
	if s == nil || subtle.ConstantTimeCompare([]byte(r.PostFormValue("form")), []byte(s.form)) != 1 {
		a.fail(w, "Sign in again.")
		return
	}
	if !slices.Contains(s.Roles, "approver") {
		a.show(w, http.StatusForbidden, "refused.html", s)
		return
	}
	if c, err := r.Cookie(sessionCookie); err == nil {
		a.mu.Lock()
		if kept := a.sessions[c.Value]; kept != nil {
			kept.approved = true
		}
		a.mu.Unlock()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signOut ends the application's session and asks the provider to end its own
// (OpenID Connect RP-Initiated Logout 1.0).
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	s := a.session(r)
	if s == nil || subtle.ConstantTimeCompare([]byte(r.PostFormValue("form")), []byte(s.form)) != 1 {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c, _ := r.Cookie(sessionCookie)
	a.mu.Lock()
	delete(a.sessions, c.Value)
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1})
	a.show(w, http.StatusOK, "leaving.html", map[string]any{"Logout": a.logout, "IDToken": s.IDToken, "Back": a.c.URL + SignedOutPath, "Client": a.c.ClientID})
}

func (a *App) session(r *http.Request) *session {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[c.Value]
	if s == nil || time.Now().After(s.until) {
		return nil
	}
	seen := *s
	return &seen
}

func (a *App) takeFlow(r *http.Request) (flow, bool) {
	c, err := r.Cookie(flowCookie)
	if err != nil {
		return flow{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.flows[c.Value]
	delete(a.flows, c.Value)
	return f, ok && time.Now().Before(f.until)
}

func (a *App) fail(w http.ResponseWriter, why string) {
	a.show(w, http.StatusBadRequest, "failed.html", why)
}

func (a *App) show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	pages.ExecuteTemplate(w, name, data)
}

func random() string {
	b := make([]byte, 24)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
