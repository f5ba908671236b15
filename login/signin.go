package login

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/page"
	"muniment.dev/session"
)

// Bounds of what is typed, in bytes.
const (
	maxEmail    = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	maxPassword = 256
	minPassword = 8
)

// signInPage is the data of signin.html.
type signInPage struct {
	Flow, Return string
	App          string // who waits for the sign-in; may be empty
	Email        string
	Fixed        bool   // nobody but the owner of Email will do
	Again        string // name of the person who has to give the password again
	Problem      string
	EmailError   string
	PassError    string
	Wait         string // how long to wait, in words
	Others       bool   // there are accounts to choose from
	Links        Links
}

// showLogin shows what is needed next: the form, the accounts, the question of
// consent, or nothing, and then leads on.
func (l *Login) showLogin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p := signInPage{Flow: q.Get("flow"), Return: q.Get("return")}
	if p.Flow == "" {
		l.showPlain(w, r, p)
		return
	}
	f, err := l.c.Flows.Flow(r, p.Flow)
	if err != nil {
		l.flowFail(w, r, err)
		return
	}
	p.App, p.Email = f.Client.Name, f.LoginHint
	if q.Get("another") != "" && f.User == "" {
		p.Email = ""
		l.form(w, r, http.StatusOK, p)
		return
	}
	switch f.Ask {
	case oidc.AskNothing:
		http.Redirect(w, r, l.c.Flows.ResumeURL(p.Flow), http.StatusSeeOther)
	case oidc.AskConsent:
		l.showConsent(w, r, f)
	case oidc.AskAccount:
		l.showAccounts(w, r, p)
	case oidc.AskReauthenticate:
		if s, err := l.current(r); err == nil {
			p.Again, p.Email, p.Fixed = nameOf(s), s.Email, s.Email != ""
		}
		l.form(w, r, http.StatusOK, p)
	default:
		l.form(w, r, http.StatusOK, p)
	}
}

// showPlain is sign-in without an application.
func (l *Login) showPlain(w http.ResponseWriter, r *http.Request, p signInPage) {
	another := r.URL.Query().Get("another") != ""
	switch signed, err := l.signedIn(r); {
	case err != nil:
		l.fail(w, r, err)
	case len(signed) == 0 || another:
		p.Others = len(signed) > 0
		l.form(w, r, http.StatusOK, p)
	case r.URL.Query().Get("choose") != "":
		l.showAccounts(w, r, p)
	case signed[0].AskPassword:
		p.Again, p.Email, p.Fixed = nameOf(signed[0]), signed[0].Email, signed[0].Email != ""
		l.form(w, r, http.StatusOK, p)
	default:
		http.Redirect(w, r, l.returnPath(p.Return), http.StatusSeeOther)
	}
}

func (l *Login) form(w http.ResponseWriter, r *http.Request, status int, p signInPage) {
	if p.Return != "" {
		p.Return = l.returnPath(p.Return)
	}
	p.Links = l.c.Links(r.Context())
	l.pages.Render(w, r, status, "signin", page.View{Title: "Sign in", Script: "password.js", Data: p})
}

// signIn checks what was typed and begins a session.
func (l *Login) signIn(w http.ResponseWriter, r *http.Request) {
	p := signInPage{Flow: r.PostForm.Get("flow"), Return: r.PostForm.Get("return"), Email: strings.TrimSpace(r.PostForm.Get("email"))}
	if p.Flow != "" {
		f, err := l.c.Flows.Flow(r, p.Flow)
		if err != nil {
			l.flowFail(w, r, err)
			return
		}
		p.App = f.Client.Name
		if f.Ask == oidc.AskReauthenticate {
			if s, err := l.current(r); err == nil && strings.EqualFold(s.Email, p.Email) {
				p.Again, p.Fixed = nameOf(s), true
			}
		}
	}
	password := r.PostForm.Get("password")
	switch {
	case p.Email == "":
		p.EmailError = "Enter your e-mail address."
	case len(p.Email) > maxEmail:
		p.EmailError = "This is longer than an e-mail address can be."
	}
	switch {
	case password == "":
		p.PassError = "Enter your password."
	case len(password) > maxPassword:
		p.PassError = "A password has at most 256 characters here."
	}
	if p.EmailError != "" || p.PassError != "" {
		l.form(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	s, err := l.c.Sessions.SignIn(r.Context(), Attempt{Email: p.Email, Password: password, Session: l.c.Site.Session(r)})
	if err != nil {
		l.signInFailed(w, r, p, err)
		return
	}
	l.begin(w, r, s)
	l.onward(w, r, p)
}

// wrong is said of an unknown account, of a wrong password and of an account
// that is locked out after wrong passwords, alike.
const wrong = "The e-mail address or the password is not right. After many wrong passwords none is accepted for a while, not even the right one."

func (l *Login) signInFailed(w http.ResponseWriter, r *http.Request, p signInPage, err error) {
	if errors.Is(err, session.ErrPasswordAge) {
		l.replaceForm(w, r, http.StatusForbidden, replacePage{Flow: p.Flow, Return: p.Return, Email: p.Email})
		return
	}
	status, problem, delay, ok := said(w, err)
	if !ok {
		l.fail(w, r, err)
		return
	}
	p.Problem, p.Wait = problem, delay
	l.form(w, r, status, p)
}

// said is what a person is told who could not sign in; not ok if that is not
// about what they typed.
func said(w http.ResponseWriter, err error) (status int, problem, delay string, ok bool) {
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.NotFound:
		// 403, not 401: there is no challenge to answer (RFC 9110 §15.5.2, §15.5.4).
		return http.StatusForbidden, wrong, "", true
	case fault.Refused, fault.Denied, fault.Conflict:
		return http.StatusForbidden, page.Sentence(fault.Public(err)), "", true
	case fault.Exhausted:
		d := page.RetryAfter(err)
		page.SetRetryAfter(w.Header(), d)
		return http.StatusTooManyRequests, "Too many attempts. Nothing was checked this time.", wait(d), true
	}
	return 0, "", "", false
}

// begin puts a new session in front of the others of this browser. Others of
// the same person are ended, those that are over are dropped.
func (l *Login) begin(w http.ResponseWriter, r *http.Request, s Session) {
	tokens := []string{s.Token}
	for _, t := range l.c.Site.Sessions(r) {
		if t == s.Token {
			continue
		}
		other, err := l.c.Sessions.Session(r.Context(), t)
		if err != nil {
			continue
		}
		if other.User == s.User {
			// It stays in the person's list of sessions if this goes wrong.
			_ = l.c.Sessions.SignOut(r.Context(), t)
			continue
		}
		tokens = append(tokens, t)
	}
	l.c.Site.SetSessions(w, r, tokens, l.life(s))
}

// life is how long the browser keeps a session's cookie; zero: until it ends.
func (l *Login) life(s Session) time.Duration {
	if s.Expires.IsZero() {
		return 0
	}
	return max(s.Expires.Sub(l.c.Site.Now()), time.Second)
}

// onward leads a person on after a form: to the application that waits, or to
// a page of ours.
func (l *Login) onward(w http.ResponseWriter, r *http.Request, p signInPage) {
	if p.Flow != "" {
		l.c.Site.Onward(w, r, l.c.Flows.ResumeURL(p.Flow))
		return
	}
	http.Redirect(w, r, l.returnPath(p.Return), http.StatusSeeOther)
}

// current is the session in front.
func (l *Login) current(r *http.Request) (Session, error) {
	t := l.c.Site.Session(r)
	if t == "" {
		return Session{}, fault.New(fault.Unauthenticated, "nobody is signed in in this browser")
	}
	s, err := l.c.Sessions.Session(r.Context(), t)
	s.Token = t
	return s, err
}

// signedIn finds all sessions of this browser that are good, the current one
// first. That one is not good is no error.
func (l *Login) signedIn(r *http.Request) ([]Session, error) {
	var out []Session
	for _, t := range l.c.Site.Sessions(r) {
		s, err := l.c.Sessions.Session(r.Context(), t)
		if fault.Is(err, fault.Unauthenticated) {
			continue
		}
		if err != nil {
			return nil, fault.Wrap("find the session", err)
		}
		s.Token = t
		out = append(out, s)
	}
	return out, nil
}

func (l *Login) fail(w http.ResponseWriter, r *http.Request, err error) {
	l.pages.Fail(w, r, page.View{}, err)
}

// flowFail explains that what an application asked for cannot go on.
func (l *Login) flowFail(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		err = fault.New(fault.NotFound, "this sign-in has expired, is finished, or was begun in another browser; go back to the application and begin again")
	}
	l.fail(w, r, err)
}

// caller puts the person of a session into the request's context.
func caller(r *http.Request, s Session) *http.Request {
	return r.WithContext(call.WithCaller(r.Context(), call.Caller{Kind: "user", ID: s.User, SessionID: s.ID}))
}
