package login

import (
	"net/http"

	"muniment.dev/fault"
	"muniment.dev/page"
)

// logoutPage is the data of logout.html.
type logoutPage struct {
	Name   string // of the person in front
	Others int    // how many other people are signed in here
	Action string // where the form goes
	App    string // the application that asks; may be empty
	Fields map[string]string
}

func (l *Login) showLogout(w http.ResponseWriter, r *http.Request) {
	signed, err := l.signedIn(r)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	if len(signed) == 0 {
		l.pages.Render(w, r, http.StatusOK, "signedout", page.View{Title: "Signed out"})
		return
	}
	l.pages.Render(w, r, http.StatusOK, "logout", page.View{Title: "Sign out",
		Data: logoutPage{Name: nameOf(signed[0]), Others: len(signed) - 1, Action: PathLogout}})
}

// signOut ends the session in front, or all of this browser. The browser keeps
// a session that could not be ended: nobody may believe to be signed out who is
// not.
func (l *Login) signOut(w http.ResponseWriter, r *http.Request) {
	all := l.c.Site.Sessions(r)
	n := min(1, len(all))
	if r.PostForm.Get("who") == "all" {
		n = len(all)
	}
	for i, t := range all[:n] {
		if err := l.c.Sessions.SignOut(r.Context(), t); err != nil && !fault.Is(err, fault.Unauthenticated) {
			l.c.Site.SetSessions(w, r, all[i:], 0)
			l.fail(w, r, fault.Wrap("sign out", err))
			return
		}
	}
	l.c.Site.SetSessions(w, r, all[n:], 0)
	l.pages.Render(w, r, http.StatusOK, "signedout", page.View{Title: "Signed out", Data: len(all[n:])})
}
