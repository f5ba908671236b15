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
		Member: b, Permission: b, Policy: b, Session: b, Event: b, Instance: b, History: b, Me: b, Hosted: b, Schema: b, Entity: b, Sync: b, Subscription: b, Adapter: b}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Site: site, Sessions: b, API: Clients(*a.Clients()), AsFault: api.AsFault, Hosting: true,
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

// pagesToSee are all pages of the console: name of the screenshot, address,
// heading.
var pagesToSee = [][3]string{
	{"people", "/console/people", "People"},
	{"people-none", "/console/people?state=deactivated", "People"},
	{"person-new", "/console/people/new", "Add a person"},
	{"person", "/console/people/" + graceID, "Grace Hopper"},
	{"person-self", "/console/people/" + adaID, "Ada Lovelace"},
	{"person-locked", "/console/people/" + alanID, "Alan Turing"},
	{"person-erased", "/console/people/" + goneID, "Erased person"},
	{"person-edit", "/console/people/" + graceID + "/edit", "Change the profile"},
	{"person-lock", "/console/people/" + graceID + "/lock", "Lock Grace Hopper?"},
	{"person-erase", "/console/people/" + graceID + "/erase", "Erase Grace Hopper?"},
	{"person-role", "/console/people/" + graceID + "/roles", "Give Grace Hopper a role"},
	{"machines", "/console/people?kind=machine", "People"},
	{"machine-new", "/console/machines/new", "Add a machine user"},
	{"machine", "/console/people/" + robotID, "Nightly backup"},
	{"machine-remove", "/console/people/" + robotID + "/erase", "Remove Nightly backup?"},
	{"person-application", "/console/people/" + graceID + "/applications/" + appID + "/end", "End what Bookkeeping holds of Grace Hopper?"},
	{"expiring", "/console/expiring", "Secrets and keys that end"},
	{"grant-deactivate", "/console/people/" + graceID + "/grants/" + booksID + "/deactivate", "Deactivate the roles of Grace Hopper in Ledger Books?"},
	{"members", "/console/members", "Members"},
	{"member-new", "/console/members/new", "Add a member"},
	{"permissions", "/console/permissions", "Permissions"},
	{"permissions-none", "/console/permissions?type=nothing", "Permissions"},
	{"permission-new", "/console/permissions/new", "Permit something"},
	{"permission-machine", "/console/permissions/new?user=" + robotID, "Permit something"},
	{"organizations", "/console/organizations", "Organizations"},
	{"organization-new", "/console/organizations/new", "Add an organization"},
	{"organization", "/console/organizations/" + acmeID, "Analytical Engines"},
	{"policies", "/console/policies", "Policies"},
	{"policies-organization", "/console/policies?org=" + acmeID, "Policies"},
	{"policy", "/console/policies/password", "Passwords"},
	{"policy-reset", "/console/policies/lockout/reset?org=" + acmeID, "Lockout: take back?"},
	{"projects", "/console/projects", "Projects"},
	{"project", "/console/projects/" + booksID, "Ledger Books"},
	{"project-remove", "/console/projects/" + booksID + "/remove", "Remove Ledger Books?"},
	{"project-restore", "/console/projects/" + booksID + "/restore", "Restore Ledger Books?"},
	{"application-new", "/console/projects/" + booksID + "/applications/new", "Add an application"},
	{"application-new-spa", "/console/projects/" + booksID + "/applications/new?kind=spa", "Add an application"},
	{"application", "/console/applications/" + appID, "Bookkeeping"},
	{"application-spa", "/console/applications/" + spaID, "Till"},
	{"application-api", "/console/applications/" + apiID, "Ledger API"},
	{"application-secret", "/console/applications/" + appID + "/secret", "New secret"},
	{"application-key", "/console/applications/" + appID + "/key", "Add a key"},
	{"events", "/console/events", "Events"},
	{"events-filter", "/console/events?type=user.*&stream=user:" + alanID, "Events"},
	{"events-none", "/console/events?type=nothing.*", "Events"},
	{"events-wrong", "/console/events?from=yesterday", "Events"},
	{"event", "/console/events/12", "Ada Lovelace changed the e-mail address of Grace Hopper"},
	{"event-pending", "/console/events/14", "Ada Lovelace took the role auditor in Ledger Books from Grace Hopper"},
	{"event-invalid", "/console/events/8", "Ada Lovelace deactivated the organization Babbage & Sons"},
	{"people-then", "/console/people?at=7", "People"},
	{"person-then", "/console/people/" + graceID + "?at=7", "Grace Hopper"},
	{"project-then", "/console/projects/" + booksID + "?at=7", "Ledger Books"},
	{"compare", "/console/compare?object=user:" + graceID + "&from=3&to=14", "What changed"},
	{"compare-none", "/console/compare?list=users&from=14", "What changed"},
	{"compare-wrong", "/console/compare?list=users&from=yesterday", "What changed"},
	{"holders", "/console/holders?project=" + booksID + "&ended=1", "Who held which role"},
	{"administrators", "/console/holders", "Who administered what"},
	{"instance", "/console/instance", "Analytical Engines"},
	{"statistics", "/console/statistics", "Statistics"},
	{"signing-keys", "/console/instance/keys", "Signing keys"},
	{"signing-keys-schedule", "/console/instance/keys/schedule", "Schedule of signing keys"},
	{"adapters", "/console/adapters", "Adapters"},
	{"adapter", "/console/adapters/" + registryID, "Registry"},
	{"adapter-stopped", "/console/adapters/" + ministryID, "Ministry"},
	{"adapter-new", "/console/adapters/new", "Set up an adapter"},
	{"adapter-remove", "/console/adapters/" + registryID + "/remove", "Remove Registry?"},
	{"subscriptions", "/console/subscriptions", "Subscriptions"},
	{"subscription", "/console/subscriptions/" + billingID, "Billing"},
	{"subscription-stopped", "/console/subscriptions/" + stoppedID, "Warehouse"},
	{"subscription-new", "/console/subscriptions/new", "Subscribe to events"},
	{"subscription-edit", "/console/subscriptions/" + billingID + "/edit", "Change the subscription"},
	{"subscription-rewind", "/console/subscriptions/" + billingID + "/rewind", "Go on elsewhere"},
	{"subscription-remove", "/console/subscriptions/" + billingID + "/remove", "Remove Billing?"},
	{"definitions", "/console/definitions", "Definitions"},
	{"definitions-none", "/console/definitions?at=3", "Definitions"},
	{"definition-change", "/console/definitions/change?file=h.json", "Change the definitions"},
	{"entity-types", "/console/entities", "Entities"},
	{"entities", "/console/entities/household", "Household"},
	{"entities-none", "/console/entities/individual", "Individual"},
	{"entity", "/console/entities/household/" + houseID, "Lovelace & <Sons>"},
	{"entity-broken", "/console/entities/household/" + emptyID, "Household 0198a5c2"},
	{"entity-then", "/console/entities/household/" + houseID + "?at=7", "Lovelace & <Sons>"},
	{"entity-compare", "/console/entities/household/" + houseID + "/compare?from=7", "What changed"},
	{"entity-erase", "/console/entities/household/" + houseID + "/erase", "Erase Lovelace & <Sons>?"},
	{"review", "/console/review", "Review"},
	{"review-none", "/console/review?state=closed", "Review"},
	{"review-pair", "/console/review/pairs/household/" + houseID + "/" + emptyID, "The same household?"},
	{"review-pair-same", "/console/review/pairs/household/" + houseID + "/" + twinID, "The same household?"},
	{"review-kept", "/console/review/kept", "Review"},
	{"review-kept-none", "/console/review/kept?state=kept", "Review"},
	{"review-conflict", "/console/review/kept/" + houseID + "/" + keptID, "What a device said of Lovelace & <Sons>"},
	{"hosted-list", "/console/instances", "Instances"},
	{"hosted-new", "/console/instances/new", "Create an instance"},
	{"hosted", "/console/instances/" + hostedID, "Difference Works"},
	{"hosted-suspended", "/console/instances/" + restsID, "Clement"},
	{"hosted-deleted", "/console/instances/" + goneInID, "Jacquard"},
	{"hosted-trouble", "/console/instances/" + badInID, "Menabrea"},
	{"hosted-delete", "/console/instances/" + restsID + "/delete", "Delete Clement?"},
	{"settings", "/console/instance/settings", "Settings"},
	{"organization-remove", "/console/organizations/" + acmeID + "/remove", "Remove Analytical Engines?"},
	{"account", "/account", "Ada Lovelace"},
	{"password", "/account/password", "Change my password"},
	{"my-events", "/account/events", "My events"},
	{"missing", "/console/events/999", "Nothing here"},
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
				if got := p.Text("h1"); got != page[2] {
					t.Errorf("%s is headed %q, not %q", page[1], got, page[2])
				}
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

// On paper an event is a document: what was said, recorded and proven, and no
// navigation.
func TestBrowserPrint(t *testing.T) {
	srv := serve(t, newBackend(t))
	p := browser.Start(t).Open(t, browser.View{Name: "print", Width: 794, Height: 1123, Print: true})
	p.Go(srv.URL + asAda)
	p.Go(srv.URL + "/console/events/12")
	p.Shot("console-event")
	got := p.Text("body")
	for _, s := range []string{"Ada Lovelace changed the e-mail address", "grace@analytical.example", "Proof checked"} {
		if !strings.Contains(got, s) {
			t.Errorf("the paper lacks %q", s)
		}
	}
	for _, s := range []string{"Organizations", "Sign out", "The same by API", "Download"} {
		if strings.Contains(got, s) {
			t.Errorf("the paper holds %q", s)
		}
	}
}

// By keyboard: the first stop skips the navigation, and a line of a list is one
// stop.
func TestBrowserKeyboard(t *testing.T) {
	srv := serve(t, newBackend(t))
	p := browser.Start(t).Open(t, browser.Views()[0])
	p.Go(srv.URL + asAda)
	p.Go(srv.URL + "/console/people")
	focus := func() string { return p.Eval(`document.activeElement.textContent.trim()`) }
	p.Press("\t")
	if got := focus(); got != "Skip to the content" {
		t.Errorf("the first stop is %q", got)
	}
	p.Shot("console-skip")
	p.Press("\r")
	for range 10 {
		p.Press("\t")
		if focus() == "Ada Lovelace" {
			p.Shot("console-focus")
			p.Press("\t")
			if got := focus(); got != "Grace Hopper" {
				t.Errorf("after Ada comes %q", got)
			}
			p.Press("\r")
			p.Until("h1", "Grace Hopper")
			return
		}
	}
	t.Error("the list was not reached by ten stops from the content's beginning")
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
