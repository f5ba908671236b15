// Package login is the sign-in pages: sign in, choose an account, agree to what
// an application asks for, set a first password by a link, sign out.
//
// It promises: the pages work without JavaScript; what they say about an
// unknown account and a wrong password is the same; a password, a session's
// token and a set-up link stand in no log, and of these only the link, as it is
// opened, in an address, which the browser is led away from at once; a person
// is led on only to pages of this site, and to an application only by the
// OpenID provider, which knows where that one may be returned to.
//
// It decides nothing about passwords or sessions: whoever implements [Sessions]
// and [SetupLinks] does, and records it.
package login

import (
	"context"
	"embed"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/page"
)

//go:embed html/*.html
var files embed.FS

// Session is a person signed in in one browser.
type Session struct {
	ID      event.ID
	Token   string    // what the browser keeps; base64url, at least 128 random bits
	User    event.ID  // who
	Name    string    // as people call them; may be empty
	Email   string    // may be empty
	Expires time.Time // when it ends by itself; zero: with the browser
	// AskPassword says that the session opens nothing until the person has given
	// their password again.
	AskPassword bool
}

// Attempt is what a person typed.
type Attempt struct {
	Email    string // 1 to 254 bytes, as typed but for spaces around it
	Password string // 1 to 256 bytes
	// Session is the token of the current session, if there is one. If it is
	// of the same person, it is renewed by the attempt: from then on only the
	// token that is returned is good.
	Session string
}

// Replacement is a password that has become too old, and the one after it.
type Replacement struct{ Email, Password, New, Session string }

// Sessions begins, finds and ends sessions. The context of every call carries
// the request's facts ([call.FactsOf]).
type Sessions interface {
	// SignIn checks an attempt and begins a session. Kinds: Unauthenticated if
	// account or password are not right, whichever it is; Refused, with a
	// message for the person, if the password is right and the account may not
	// be used; Exhausted if there were too many attempts or too many people
	// sign in at this moment, with a method RetryAfter() time.Duration in the
	// chain; Unknown if it is not known whether a session began.
	// An error that is session.ErrPasswordAge says that the password is right
	// and has to be replaced first.
	SignIn(ctx context.Context, a Attempt) (Session, error)
	// Replace gives the person another password who knows the present one, and
	// signs them in. Kinds as for SignIn, and Invalid with Field "password" if
	// the new one is not good enough.
	Replace(ctx context.Context, r Replacement) (Session, error)
	// Session finds the session of a token, checked against the log now. Kind
	// Unauthenticated if there is none: ended, expired, or the account locked
	// or erased. Session.Token is empty or the same token.
	Session(ctx context.Context, token string) (Session, error)
	// SignOut ends the session of a token; one that is over is no error.
	SignOut(ctx context.Context, token string) error
}

// Setup is what a set-up link is for.
type Setup struct {
	Name    string // may be empty
	Email   string // may be empty
	Expires time.Time
}

// SetupLinks are the one-time links by which a person sets a first password.
type SetupLinks interface {
	// Setup says what a link is for, without using it up. Kind NotFound if it
	// is unknown, used or expired.
	Setup(ctx context.Context, secret string) (Setup, error)
	// UseSetup sets the password and begins a session; it succeeds once. Kinds:
	// NotFound as above; Invalid with Field "password" if the password is not
	// good enough; Refused and Exhausted as for SignIn.
	UseSetup(ctx context.Context, secret, password string) (Session, error)
}

// Flows are the sign-ins that applications have asked for; *oidc.Provider.
type Flows interface {
	// Flow says what the application waits for. Kind NotFound if the flow is
	// over or of another browser.
	Flow(r *http.Request, id string) (oidc.Flow, error)
	// Answer notes what the person said and returns the own path to go on to.
	Answer(w http.ResponseWriter, r *http.Request, id string, a oidc.Answer) (string, error)
	// ResumeURL is the own path to go on to after sign-in.
	ResumeURL(id string) string
}

// Links are addresses of pages of the operator; those that are empty are not
// shown.
type Links struct{ Privacy, Terms, Support string }

// Config is what the pages rest on. All but ClientIP, Links and Home is
// required.
type Config struct {
	Site     *page.Site
	Sessions Sessions
	Setups   SetupLinks
	Flows    Flows
	// ClientIP finds the address of a browser, where a proxy stands before the
	// server. The remote address if nil.
	ClientIP func(*http.Request) netip.Addr
	// Links are pages of the operator that the sign-in page leads to; none if nil.
	Links func(context.Context) Links
	// Home is where a person goes who was not on the way anywhere; "/" if empty.
	Home string
}

// Login serves the sign-in pages.
type Login struct {
	c     Config
	pages *page.Pages
	mux   *http.ServeMux
}

// The addresses of the pages.
const (
	PathLogin  = "/login"
	PathLogout = "/logout"
	PathSetup  = "/setup"
)

// New parses the pages.
func New(c Config) (*Login, error) {
	if c.Site == nil || c.Sessions == nil || c.Setups == nil || c.Flows == nil {
		return nil, fault.New(fault.Internal, "login: site, sessions, set-up links and flows are required")
	}
	if c.Home == "" {
		c.Home = "/"
	}
	if c.ClientIP == nil {
		c.ClientIP = remoteIP
	}
	if c.Links == nil {
		c.Links = func(context.Context) Links { return Links{} }
	}
	pages, err := parse(c.Site)
	if err != nil {
		return nil, err
	}
	l := &Login{c: c, pages: pages, mux: http.NewServeMux()}
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /login":          l.showLogin,
		"POST /login":         l.signIn,
		"POST /login/choose":  l.choose,
		"POST /login/replace": l.replace,
		"POST /login/consent": l.consent,
		"GET /logout":         l.showLogout,
		"POST /logout":        l.signOut,
		"GET /setup":          l.showSetup,
		"POST /setup":         l.useSetup,
		"GET /setup/{secret}": l.openSetup,
	} {
		l.mux.HandleFunc(pattern, h)
	}
	return l, nil
}

func parse(s *page.Site) (*page.Pages, error) {
	dir, err := fs.Sub(files, "html")
	if err != nil {
		return nil, err
	}
	pages, err := s.Pages(dir, page.Card, nil)
	return pages, fault.Wrap("parse the sign-in pages", err)
}

// Patterns are those under which to mount the pages in an http.ServeMux.
func (l *Login) Patterns() []string {
	return []string{PathLogin, PathLogin + "/", PathLogout, PathSetup, PathSetup + "/"}
}

// ServeHTTP serves the pages, guards included.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.c.Site.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := l.mux.Handler(r); pattern == "" {
			l.pages.Fail(w, r, page.View{}, fault.New(fault.NotFound, "there is no such page"))
			return
		}
		l.mux.ServeHTTP(w, r.WithContext(call.WithFacts(r.Context(), call.Facts{
			RequestID: event.NewID(), CommandID: event.NewID(), Method: "login",
			Source: "login", UserAgent: clip(r.UserAgent()), IP: l.c.ClientIP(r),
		})))
	})).ServeHTTP(w, r)
}

// LoginPath returns the path of the sign-in page that leads on to an own path.
func LoginPath(next string) string {
	return PathLogin + "?" + url.Values{"return": {next}}.Encode()
}

// SetupPath returns the path of a set-up link.
func SetupPath(secret string) string { return PathSetup + "/" + url.PathEscape(secret) }

// returnPath accepts where a person was going if it is a page of this site
// that sign-in leads to; anything else means home. A forged one can at most
// show the person a page of their own.
func (l *Login) returnPath(p string) string {
	if !page.OwnPath(p) {
		return l.c.Home
	}
	u, err := url.Parse(p)
	if err != nil || strings.Contains(u.Path, "/.") || strings.Contains(u.Path, "//") {
		return l.c.Home
	}
	for _, place := range []string{"/console", "/account"} {
		if u.Path == place || strings.HasPrefix(u.Path, place+"/") {
			return p
		}
	}
	return l.c.Home
}

// remoteIP is the address of whoever opened the connection.
func remoteIP(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// clip cuts a user agent to 512 bytes of valid text.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 512)], "")
}
