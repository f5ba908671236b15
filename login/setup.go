package login

import (
	"net/http"
	"time"
	"unicode/utf8"

	"muniment.dev/fault"
	"muniment.dev/page"
)

// setupCookie keeps a link's secret between its opening and the password, so
// that it stands in no address, history or Referer header for longer than one
// redirect takes.
const (
	setupCookie = "muniment-setup"
	setupLife   = 30 * time.Minute
)

// setupPage is the data of setup.html.
type setupPage struct {
	Name, Email string
	Expires     time.Time
	PassError   string
	RepeatError string
	Problem     string
}

// openSetup takes the secret out of the address. It does not use the link up:
// programs that look at links in mail open it, too.
func (l *Login) openSetup(w http.ResponseWriter, r *http.Request) {
	secret := r.PathValue("secret")
	if len(secret) > 256 {
		l.setupFail(w, r, fault.New(fault.NotFound, ""))
		return
	}
	if _, err := l.c.Setups.Setup(r.Context(), secret); err != nil {
		l.setupFail(w, r, err)
		return
	}
	l.c.Site.SetCookie(w, setupCookie, secret, setupLife)
	http.Redirect(w, r, PathSetup, http.StatusSeeOther)
}

// setup finds the link that this browser has opened.
func (l *Login) setup(w http.ResponseWriter, r *http.Request) (secret string, p setupPage, ok bool) {
	secret = l.c.Site.Cookie(r, setupCookie)
	if secret == "" {
		l.setupFail(w, r, fault.New(fault.NotFound, ""))
		return "", p, false
	}
	s, err := l.c.Setups.Setup(r.Context(), secret)
	if err != nil {
		l.setupFail(w, r, err)
		return "", p, false
	}
	return secret, setupPage{Name: s.Name, Email: s.Email, Expires: s.Expires}, true
}

func (l *Login) showSetup(w http.ResponseWriter, r *http.Request) {
	if _, p, ok := l.setup(w, r); ok {
		l.setupForm(w, r, http.StatusOK, p)
	}
}

func (l *Login) setupForm(w http.ResponseWriter, r *http.Request, status int, p setupPage) {
	l.pages.Render(w, r, status, "setup", page.View{Title: "Choose a password", Script: "password.js", Data: p})
}

// useSetup sets the password and signs the person in.
func (l *Login) useSetup(w http.ResponseWriter, r *http.Request) {
	secret, p, ok := l.setup(w, r)
	if !ok {
		return
	}
	password, repeat := r.PostForm.Get("password"), r.PostForm.Get("repeat")
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		p.PassError = "A password has at least 8 characters."
	case len(password) > maxPassword:
		p.PassError = "A password has at most 256 characters here."
	case password != repeat:
		p.RepeatError = "This is not the same as above."
	}
	if p.PassError != "" || p.RepeatError != "" {
		l.setupForm(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	s, err := l.c.Setups.UseSetup(r.Context(), secret, password)
	switch fault.KindOf(err) {
	case fault.Invalid:
		p.PassError = page.Sentence(fault.Public(err))
		l.setupForm(w, r, http.StatusUnprocessableEntity, p)
		return
	case fault.Exhausted:
		d := page.RetryAfter(err)
		page.SetRetryAfter(w.Header(), d)
		p.Problem = "Too much is going on at this moment. Try again in a few seconds."
		l.setupForm(w, r, http.StatusTooManyRequests, p)
		return
	}
	if err != nil {
		l.setupFail(w, r, err)
		return
	}
	l.c.Site.ClearCookie(w, setupCookie)
	l.begin(w, r, s)
	l.c.Site.Say(w, r, page.Note{Tone: page.Good, Text: "Your password is set. You are signed in."})
	http.Redirect(w, r, l.c.Home, http.StatusSeeOther)
}

// setupFail tells a link that is not good from trouble of ours.
func (l *Login) setupFail(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Erased) {
		l.c.Site.ClearCookie(w, setupCookie)
		w.Header().Set("Cache-Control", "no-store")
		l.pages.Render(w, r, http.StatusNotFound, "linkgone", page.View{Title: "This link is no longer good"})
		return
	}
	l.fail(w, r, err)
}
