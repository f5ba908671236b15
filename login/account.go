package login

import (
	"cmp"
	"net/http"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/page"
)

// account is one line of the chooser.
type account struct{ ID, Name, Email string }

// choosePage is the data of choose.html.
type choosePage struct {
	Flow, Return, App string
	Accounts          []account
}

// showAccounts shows who is signed in here.
func (l *Login) showAccounts(w http.ResponseWriter, r *http.Request, p signInPage) {
	signed, err := l.signedIn(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	if len(signed) == 0 {
		l.form(w, r, http.StatusOK, p)
		return
	}
	d := choosePage{Flow: p.Flow, Return: p.Return, App: p.App}
	for _, s := range signed {
		d.Accounts = append(d.Accounts, account{ID: s.ID.String(), Name: nameOf(s), Email: s.Email})
	}
	l.pages.Render(w, r, http.StatusOK, "choose", page.View{Title: "Choose an account", Data: d})
}

// choose puts the chosen session in front and goes on with it.
func (l *Login) choose(w http.ResponseWriter, r *http.Request) {
	id, err := event.ParseID(r.PostForm.Get("session"))
	if err != nil {
		l.fail(w, r, fault.Field("session", "choose one of the accounts on the page"))
		return
	}
	signed, err := l.signedIn(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	var chosen Session
	var tokens []string
	for _, s := range signed {
		if s.ID == id {
			chosen = s
			continue
		}
		tokens = append(tokens, s.Token)
	}
	if chosen.Token == "" {
		l.fail(w, r, fault.New(fault.Unauthenticated, "this account is no longer signed in here; sign in again"))
		return
	}
	l.c.Site.SetSessions(w, r, append([]string{chosen.Token}, tokens...), l.life(chosen))
	p := signInPage{Flow: r.PostForm.Get("flow"), Return: r.PostForm.Get("return")}
	if p.Flow == "" {
		l.onward(w, r, p)
		return
	}
	l.answer(w, caller(r, chosen), p.Flow, oidc.AnswerAccount)
}

// consentPage is the data of consent.html.
type consentPage struct {
	Flow, App, Name, Email string
	Wants                  []want
	Again                  bool // the person agreed to all of it before
}

// want is one thing that an application asks for, in words.
type want struct {
	Icon, Text string
	Before     bool // the person agreed to it before
}

func (l *Login) showConsent(w http.ResponseWriter, r *http.Request, f oidc.Flow) {
	s, err := l.current(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	d := consentPage{Flow: f.ID, App: f.Client.Name, Name: nameOf(s), Email: s.Email, Again: true}
	for _, scope := range f.Scopes {
		one := wanted(scope)
		one.Before = slices.Contains(f.Agreed, scope)
		d.Again = d.Again && one.Before
		d.Wants = append(d.Wants, one)
	}
	l.pages.Render(w, r, http.StatusOK, "consent", page.View{Title: "Continue to " + f.Client.Name, Data: d})
}

// wanted says what a scope means.
func wanted(scope string) want {
	icon := map[string]string{oidc.ScopeOpenID: "person", oidc.ScopeProfile: "info", oidc.ScopeEmail: "link", oidc.ScopeOffline: "clock", "roles": "role"}[scope]
	return want{Icon: cmp.Or(icon, "key"), Text: oidc.ScopeText(scope)}
}

// consent notes whether the person agreed.
func (l *Login) consent(w http.ResponseWriter, r *http.Request) {
	s, err := l.current(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	var a oidc.Answer
	switch r.PostForm.Get("answer") {
	case "agree":
		a = oidc.AnswerConsent
	case "decline":
		a = oidc.AnswerDecline
	default:
		l.fail(w, r, fault.Field("answer", "agree or decline with the buttons on the page"))
		return
	}
	l.answer(w, caller(r, s), r.PostForm.Get("flow"), a)
}

func (l *Login) answer(w http.ResponseWriter, r *http.Request, flow string, a oidc.Answer) {
	next, err := l.c.Flows.Answer(w, r, flow, a)
	if err != nil {
		l.flowFail(w, r, err)
		return
	}
	l.c.Site.Onward(w, r, next)
}
