package login

import (
	"net/http"
	"strings"

	"muniment.dev/fault"
	"muniment.dev/page"
)

// replacePage is the data of replace.html: a password that is right and too
// old. The present one is typed again, so that nothing of it is kept meanwhile.
type replacePage struct {
	Flow, Return, Email                           string
	Problem, PresentError, PassError, RepeatError string
}

func (l *Login) replaceForm(w http.ResponseWriter, r *http.Request, status int, p replacePage) {
	if p.Return != "" {
		p.Return = l.returnPath(p.Return)
	}
	l.pages.Render(w, r, status, "replace", page.View{Title: "Choose another password", Script: "password.js", Data: p})
}

// replace gives a person the password that they chose in place of the old one,
// and signs them in.
func (l *Login) replace(w http.ResponseWriter, r *http.Request) {
	p := replacePage{Flow: r.PostForm.Get("flow"), Return: r.PostForm.Get("return"), Email: strings.TrimSpace(r.PostForm.Get("email"))}
	present, password, repeat := r.PostForm.Get("present"), r.PostForm.Get("password"), r.PostForm.Get("repeat")
	switch {
	case p.Email == "" || len(p.Email) > maxEmail:
		l.fail(w, r, fault.Field("email", "begin again at the sign-in page"))
		return
	case present == "" || len(present) > maxPassword:
		p.PresentError = "Enter your present password."
	case password == "" || len(password) > maxPassword:
		p.PassError = "Enter a new password of at most 256 characters."
	case password != repeat:
		p.RepeatError = "This is not the same as above."
	}
	if p.PresentError != "" || p.PassError != "" || p.RepeatError != "" {
		l.replaceForm(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	s, err := l.c.Sessions.Replace(r.Context(), Replacement{Email: p.Email, Password: present, New: password, Session: l.c.Site.Session(r)})
	if err != nil {
		l.replaceFailed(w, r, p, err)
		return
	}
	l.begin(w, r, s)
	l.c.Site.Say(w, r, page.Note{Tone: page.Good, Text: "Your new password is set. Your other sessions are ended."})
	l.onward(w, r, signInPage{Flow: p.Flow, Return: p.Return})
}

func (l *Login) replaceFailed(w http.ResponseWriter, r *http.Request, p replacePage, err error) {
	if fault.Is(err, fault.Invalid) {
		p.PassError = page.Sentence(fault.Public(err))
		l.replaceForm(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	status, problem, _, ok := said(w, err)
	if !ok {
		l.fail(w, r, err)
		return
	}
	p.Problem = problem
	l.replaceForm(w, r, status, p)
}
