package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/api"
	"muniment.dev/internal/browser"
	"muniment.dev/page"
)

// serve starts the console over a backend, behind the API's own server. The
// address /as/TOKEN signs the browser in.
func serve(t *testing.T, b *backend) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	site, err := page.New(page.Settings{Origin: srv.URL, PlainLoopback: true, Name: "localhost", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	a, err := api.New(api.Options{Authenticator: b, Services: api.Services{User: b, Organization: b, Project: b, Application: b, Grant: b,
		Member: b, Session: b, Event: b, Instance: b, Me: b}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Site: site, Sessions: b, API: Clients(*a.Clients()), AsFault: api.AsFault,
		LoginPath: func(next string) string { return "/login?return=" + next }})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range o.Patterns() {
		mux.Handle(p, o)
	}
	mux.Handle(page.AssetPath, site.Assets())
	mux.HandleFunc("/as/{token}", func(w http.ResponseWriter, r *http.Request) {
		site.SetSessions(w, r, []string{r.PathValue("token")}, 0)
		fmt.Fprint(w, "<!doctype html><title>signed in</title>")
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "sign in, then "+r.URL.Query().Get("return"))
	})
	return srv
}

const asAda = "/as/0123456789abcdef-ada"

// pagesToSee are all pages of the console, by the name of their screenshot.
var pagesToSee = [][2]string{
	{"people", "/console/people"},
	{"people-none", "/console/people?state=deactivated"},
	{"person-new", "/console/people/new"},
	{"person", "/console/people/" + graceID},
	{"person-self", "/console/people/" + adaID},
	{"person-locked", "/console/people/" + alanID},
	{"person-erased", "/console/people/" + goneID},
	{"person-edit", "/console/people/" + graceID + "/edit"},
	{"person-lock", "/console/people/" + graceID + "/lock"},
	{"person-erase", "/console/people/" + graceID + "/erase"},
	{"person-role", "/console/people/" + graceID + "/roles"},
	{"members", "/console/members"},
	{"member-new", "/console/members/new"},
	{"organizations", "/console/organizations"},
	{"organization-new", "/console/organizations/new"},
	{"organization", "/console/organizations/" + acmeID},
	{"projects", "/console/projects"},
	{"project", "/console/projects/" + booksID},
	{"project-remove", "/console/projects/" + booksID + "/remove"},
	{"application-new", "/console/projects/" + booksID + "/applications/new"},
	{"application", "/console/applications/" + appID},
	{"events", "/console/events"},
	{"events-filter", "/console/events?type=user.*&stream=user:" + alanID},
	{"events-none", "/console/events?type=nothing.*"},
	{"events-wrong", "/console/events?from=yesterday"},
	{"event", "/console/events/12"},
	{"event-pending", "/console/events/14"},
	{"event-invalid", "/console/events/8"},
	{"instance", "/console/instance"},
	{"account", "/account"},
	{"password", "/account/password"},
	{"my-events", "/account/events"},
	{"missing", "/console/events/999"},
}

// Every page of the console, in four views and without JavaScript: see the
// test of the sign-in pages.
func TestBrowserPages(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	chromium := browser.Start(t)
	for _, view := range append(browser.Views(), browser.Plain()) {
		t.Run(view.Name, func(t *testing.T) {
			p := chromium.Open(t, view)
			p.Go(srv.URL + asAda)
			for _, page := range pagesToSee {
				p.Go(srv.URL + page[1])
				p.Shot("console-" + page[0])
				p.NoSidewaysScroll()
				p.Quiet()
				if !view.NoScript {
					p.Accessible()
				}
			}
		})
	}
}

// What a person does: searches, adds somebody, gets the link, locks, is told.
func TestBrowserWork(t *testing.T) {
	for _, view := range []browser.View{browser.Views()[0], browser.Views()[3], browser.Plain()} {
		t.Run(view.Name, func(t *testing.T) {
			b := newBackend(t)
			srv := serve(t, b)
			p := browser.Start(t).Open(t, view)
			p.Go(srv.URL + asAda)
			p.Go(srv.URL + "/")
			p.Fill("#q", "gra")
			p.Follow(".filters button")
			if got := p.Text("tbody"); !strings.Contains(got, "Grace Hopper") || strings.Contains(got, "Ada") {
				t.Errorf("the search for gra finds %q", got)
			}
			if strings.Contains(p.URL(), "gra") {
				t.Errorf("what was searched for stands in the address: %s", p.URL())
			}
			p.Follow("a.cover")
			p.Follow(`a[href$="/lock"]`)
			p.Fill("#reason", "lost her notebook")
			p.Follow("button.act")
			if got := p.Text(".note"); !strings.Contains(got, "Locked.") {
				t.Errorf("after locking: %q", got)
			}
			p.Shot("console-locked")
			if got := p.Text(".badge"); got != "Locked" {
				t.Errorf("the badge says %q", got)
			}
			p.Go(srv.URL + "/console/people/new")
			p.Fill("#email", "joan@analytical.example")
			p.Fill("#given", "Joan")
			p.Follow("button.act")
			if got := p.Text("output"); !strings.HasPrefix(got, "http://localhost:8080/setup/") {
				t.Errorf("the link: %q", got)
			}
			p.Shot("console-link")
			p.Go(srv.URL + "/console/projects/" + booksID + "/applications/new")
			p.Fill("#name", "Bookkeeping")
			p.Fill("#uris", "https://books.analytical.example/callback")
			p.Follow("button.act")
			p.Shot("console-secret")
			p.Go(srv.URL + "/console/events?live=1")
			p.Wait(".trail li.day")
			b.mu.Lock()
			b.record(0, "user:"+alanID, "user.unlocked", adaID, "Ada Lovelace unlocked Alan <Turing>")
			b.mu.Unlock()
			p.Until(".trail li:not(.day) .what a", "Ada Lovelace unlocked Alan <Turing>")
			p.Shot("console-live")
			p.Quiet()
			want := "LockUser " + graceID + " lost her notebook"
			if len(b.calls) != 3 || b.calls[0] != want {
				t.Errorf("calls: %q", b.calls)
			}
		})
	}
}
