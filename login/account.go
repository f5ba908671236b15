package login

import (
	"net/http"

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
}

// want is one thing that an application asks for, in words.
type want struct{ Icon, Text string }

func (l *Login) showConsent(w http.ResponseWriter, r *http.Request, f oidc.Flow) {
	s, err := l.current(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	l.pages.Render(w, r, http.StatusOK, "consent", page.View{Title: "Continue to " + f.Client.Name,
		Data: consentPage{Flow: f.ID, App: f.Client.Name, Name: nameOf(s), Email: s.Email, Wants: wants(f.Scopes)}})
}

// wants says what scopes mean (OpenID Connect Core §5.4).
func wants(scopes []string) []want {
	var out []want
	for _, s := range scopes {
		switch s {
		case "openid":
			out = append(out, want{"person", "know that it is you"})
		case "profile":
			out = append(out, want{"info", "see your name"})
		case "email":
			out = append(out, want{"link", "see your e-mail address"})
		case "roles":
			out = append(out, want{"role", "see your roles in its project"})
		case "offline_access":
			out = append(out, want{"clock", "stay signed in when you are away"})
		default:
			out = append(out, want{"key", "use " + s})
		}
	}
	return out
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
