package demo

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"muniment.dev/internal/browser"
	"muniment.dev/internal/postgres"
)

// start runs the demo on free ports and returns its addresses.
func start(t *testing.T) Addresses {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan Addresses, 1), make(chan error, 1)
	o := Options{Keep: t.TempDir(), Listen: "127.0.0.1:0", Sample: "127.0.0.1:0", Stdout: io.Discard, Ready: func(a Addresses) { ready <- a }}
	o.Database, o.Keys, _ = postgres.Chosen(t)
	go func() { done <- Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-ready:
		return a
	case err := <-done:
		done <- nil
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("the demo is not ready after a minute")
	}
	return Addresses{}
}

// signIn signs somebody in on the page that is shown.
func signIn(p *browser.Page, email string) {
	p.Fill("#email", email)
	p.Fill("#password", Password)
	p.Follow("button.act")
}

// From sign-in to proof, as people do it: Ada signs in to the sample and
// approves; Edsger, whose role was withdrawn, is refused; the owner finds the
// events, with their proofs; erases Ada; and reads "erased" where she was. In
// every view, and once without JavaScript; on PostgreSQL in one view.
func TestBrowserFromSignInToProof(t *testing.T) {
	b := browser.Start(t)
	views := append(browser.Views(), browser.Plain())
	if os.Getenv(postgres.Engine) != "" {
		views = views[:1] // the pages do not look different there
	}
	for _, view := range views {
		t.Run(view.Name, func(t *testing.T) {
			a := start(t)
			p := b.Open(t, view)
			look := func(name string) {
				t.Helper()
				p.Shot("demo-" + name)
				p.NoSidewaysScroll()
				if !view.NoScript {
					p.Accessible()
				}
			}
			p.Go(a.Sample)
			look("sample-welcome")
			p.Follow("a.button")
			look("sign-in")
			signIn(p, a.Ada)
			p.Wait("dl")
			if text := p.Text("main"); !strings.Contains(text, "Ada Lovelace, Countess") || !strings.Contains(text, "approver") {
				t.Fatalf("the sample shows %q", text)
			}
			look("sample-home")
			p.Follow("form[action='/approve'] button")
			if text := p.Text("main"); !strings.Contains(text, "Approved by you") {
				t.Errorf("after approving: %q", text)
			}
			p.Follow("form[action='/sign-out'] button")
			look("sample-leaving")
			p.Follow("main form button")
			look("sample-signed-out")
			p.Go(a.Sample + "/sign-in")
			signIn(p, "edsger@acme.example")
			p.Wait("dl")
			p.Follow("form[action='/approve'] button")
			if text := p.Text("main"); !strings.Contains(text, "Not allowed") {
				t.Errorf("Edsger's role was withdrawn, and yet: %q", text)
			}
			look("sample-refused")
			p.Follow("a.button")
			p.Follow("form[action='/sign-out'] button")
			p.Follow("main form button")
			console(t, p, a, look)
		})
	}
}

// console is what the owner does.
func console(t *testing.T, p *browser.Page, a Addresses, look func(string)) {
	p.Go(a.Console + "/console/people")
	signIn(p, a.Owner)
	p.Wait("main")
	look("people")
	for name, path := range map[string]string{"events": "/console/events", "events-failed": "/console/events?type=signin.failed", "event": "/console/events/42",
		"projects": "/console/projects", "organizations": "/console/organizations", "members": "/console/members", "instance": "/console/instance", "account": "/account", "my-events": "/account/events"} {
		p.Go(a.Console + path)
		look(name)
	}
	p.Go(a.Console + "/console/people")
	ada := p.Eval(`[...document.querySelectorAll("a[href^='/console/people/']")].find(a => a.textContent.includes("Ada Lovelace")).href`)
	p.Go(ada)
	look("person")
	p.Go(ada + "/erase")
	look("erase")
	p.Fill("#typed", a.Ada)
	p.Follow("form button.hurt")
	for range 50 { // the page tells how far it has come, and is loaded again
		p.Go(ada)
		if strings.Contains(p.Text("main"), "complete") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	look("erased")
	if text := p.Text("main"); strings.Contains(text, "Ada Lovelace") || !strings.Contains(strings.ToLower(text), "erased") {
		t.Errorf("after the erasure the page says %q", text)
	}
	p.Go(a.Console + "/console/events")
	look("events-after")
	if text := p.Text("main"); strings.Contains(text, "Ada Lovelace") || !strings.Contains(text, "(erased)") {
		t.Errorf("after the erasure the events say %q", text)
	}
}
