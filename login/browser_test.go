package login

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/fault"
	"muniment.dev/internal/browser"
	"muniment.dev/oidc"
	"muniment.dev/page"
)

// Every sign-in page, in four views and without JavaScript: it looks right (see
// the screenshots), has no barriers that axe-core finds, breaks no policy, and
// is not wider than the window.
func TestBrowserPages(t *testing.T) {
	w := newWorld(t)
	w.ask("signin", oidc.AskSignIn)
	w.ask("again", oidc.AskReauthenticate)
	w.ask("account", oidc.AskAccount)
	w.ask("consent", oidc.AskConsent)
	srv := serve(t, w, nil)
	own, other := extras(t)
	b := browser.Start(t)
	views := append(browser.Views(), browser.Plain())
	for _, view := range views {
		t.Run(view.Name, func(t *testing.T) {
			p := b.Open(t, view)
			look := func(name, path string) {
				t.Helper()
				if path != "" {
					p.Go(path)
				}
				p.Shot("login-" + name)
				p.NoSidewaysScroll()
				p.Quiet()
				if !view.NoScript {
					p.Accessible()
				}
			}
			look("signin", srv.URL+"/login?flow=signin")
			p.Fill("#email", "ada@example.org")
			p.Fill("#password", "not this")
			p.Follow("button.act")
			look("wrong", "")
			if got := p.Text(".note"); got != wrong {
				t.Errorf("a wrong password is answered with %q", got)
			}
			p.Fill("#email", "")
			p.Follow("button.act")
			look("empty", "")
			w.throttle = 42 * time.Second
			p.Fill("#email", "ada@example.org")
			p.Fill("#password", "not this")
			p.Follow("button.act")
			look("throttled", "")
			w.throttle = 0
			w.people["ada@example.org"].old = true
			p.Fill("#email", "ada@example.org")
			p.Fill("#password", "correct horse battery")
			p.Follow("button.act")
			look("replace", "")
			w.people["ada@example.org"].old = false
			for _, who := range [][2]string{{"ada@example.org", "correct horse battery"}, {"grace@example.org", "nanoseconds of wire"}} {
				p.Go(srv.URL + "/login?another=1")
				p.Fill("#email", who[0])
				p.Fill("#password", who[1])
				p.Follow("button.act")
			}
			look("choose", srv.URL+"/login?flow=account")
			look("again", srv.URL+"/login?flow=again")
			look("consent", srv.URL+"/login?flow=consent")
			look("logout", srv.URL+"/logout")
			p.Follow("button.act")
			look("signedout", "")
			w.links["link"] = "ada@example.org"
			look("setup", srv.URL+"/setup/link")
			look("linkgone", srv.URL+"/setup/unknown")
			look("expired", srv.URL+"/login?flow=gone")
			look("provider-error", own.URL+"/error")
			look("provider-logout", own.URL+"/logout")
			look("formpost", own.URL+"/formpost?to="+other.URL)
			look("fault", own.URL+"/fault")
		})
	}
}

// extras serves the pages that the provider shows, and a foreign site.
func extras(t *testing.T) (own, other *httptest.Server) {
	mux := http.NewServeMux()
	own = httptest.NewServer(mux)
	t.Cleanup(own.Close)
	other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("<!doctype html><title>app</title><h1>The application</h1>"))
	}))
	t.Cleanup(other.Close)
	site, err := page.New(page.Settings{Origin: own.URL, PlainLoopback: true, Name: "Analytical Engines"})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := Provider(site)
	if err != nil {
		t.Fatal(err)
	}
	strict := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "
	mux.Handle(page.AssetPath, site.Assets())
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", strict+"'none'")
		pages.Error(w, r, oidc.ErrorPage{Status: 400, Code: oidc.PageRedirectURI, Text: "the address to return to is not registered for this application"})
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", strict+"'self'")
		pages.ConfirmLogout(w, r, oidc.LogoutPage{Status: 200, Client: "Ledger Books", Action: "/logout", Fields: []oidc.Field{{Name: "flow", Value: "x"}}})
	})
	mux.HandleFunc("/formpost", func(w http.ResponseWriter, r *http.Request) {
		to := r.URL.Query().Get("to")
		w.Header().Set("Content-Security-Policy", strict+to)
		pages.FormPost(w, r, oidc.FormPostPage{Status: 200, Action: to, Fields: []oidc.Field{{Name: "code", Value: "c"}}, Script: "/none.js"})
	})
	mux.HandleFunc("/none.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript") // presses nothing, or the page could not be looked at
	})
	mux.HandleFunc("/fault", func(w http.ResponseWriter, r *http.Request) {
		site.Fail(w, r, fault.New(fault.Unavailable, "the log cannot be written to at this moment"))
	})
	return own, other
}

// A person signs in at another origin's request and arrives there, although
// form-action is 'self': directly, and when the application redirects to a
// third origin. With JavaScript, without, and by keyboard alone.
func TestBrowserReachesTheApplication(t *testing.T) {
	third := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("<!doctype html><title>third</title><h1>third</h1>"))
	}))
	defer third.Close()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/far") {
			http.Redirect(w, r, third.URL, http.StatusSeeOther)
			return
		}
		w.Write([]byte("<!doctype html><title>app</title><h1>app " + r.URL.Query().Get("code") + "</h1>"))
	}))
	defer app.Close()
	w := newWorld(t)
	srv := serve(t, w, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, app.URL+"/callback"+r.URL.Query().Get("flow")+"?code=c0de", http.StatusSeeOther)
	})
	w.ask("/near", oidc.AskSignIn)
	w.ask("/far", oidc.AskSignIn)
	b := browser.Start(t)
	for _, view := range []browser.View{browser.Views()[0], browser.Plain()} {
		for flow, want := range map[string]string{"/near": "app c0de", "/far": "third"} {
			p := b.Open(t, view)
			p.Go(srv.URL + "/login?flow=" + flow)
			p.Fill("#email", "ada@example.org")
			p.Fill("#password", "correct horse battery")
			p.Press("\r") // the keyboard's way to send a form
			p.Until("h1", want)
			p.Quiet()
		}
	}
}
