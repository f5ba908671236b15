package oidc_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// Consented implements oidc.Consents: what was agreed to with a code.
func (w *world) Consented(_ context.Context, user event.ID, c oidc.Client) (out []string, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.grants {
		if g.User == user && g.Client == c.ID && g.Consented && !w.forgot {
			out = append(out, g.Scopes...)
		}
	}
	return out, nil
}

// TestConsentRemembered: Core §3.1.2.4: a person is asked once for each scope,
// and with prompt=consent again; with prompt=none the client hears that they
// would be.
func TestConsentRemembered(t *testing.T) {
	w := newWorld(t)
	c := w.clients["app"]
	c.AsksConsent = true
	w.clients["app"] = c
	var asked []oidc.Flow
	w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
		asked = append(asked, f)
		if f.Ask != oidc.AskConsent {
			t.Errorf("asked %v, want consent", f.Ask)
		}
		next, err := w.op.Answer(rw, r, f.ID, oidc.AnswerConsent)
		if err != nil {
			t.Error(err)
		}
		http.Redirect(rw, r, next, http.StatusSeeOther)
	}
	b, _ := w.signedIn(ada)
	visit := func(name string, questions int, wantError string, pairs ...string) {
		t.Helper()
		asked = nil
		p := b.get(oidc.PathAuthorize, goodApp(pairs...))
		if len(asked) != questions || p.next.Get("error") != wantError || wantError == "" && p.next.Get("code") == "" {
			t.Errorf("%s: asked %d times, answered %s", name, len(asked), p.loc)
		}
	}
	visit("prompt=none before", 0, "consent_required", "prompt", "none")
	visit("first", 1, "", "scope", "openid profile")
	visit("again", 0, "", "scope", "openid profile")
	visit("less", 0, "", "scope", "openid")
	visit("prompt=none", 0, "", "scope", "openid", "prompt", "none")
	visit("more", 1, "", "scope", "openid email")
	if len(asked) == 1 && (!slices.Contains(asked[0].Agreed, "openid") || slices.Contains(asked[0].Agreed, "email")) {
		t.Errorf("agreed before: %v", asked[0].Agreed)
	}
	visit("prompt=consent", 1, "", "scope", "openid", "prompt", "consent")
	w.mu.Lock()
	w.forgot = true
	w.mu.Unlock()
	visit("withdrawn", 1, "", "scope", "openid")
	w.failIssue = fault.Wrap("issue", oidc.ErrConsentNeeded)
	visit("withdrawn this moment, prompt=none", 0, "consent_required", "scope", "openid", "prompt", "none")
}

// TestPretendableClient: RFC 8252 §8.6: a client that anybody on the machine can
// pretend to be is asked about each time, one with an https address is not.
func TestPretendableClient(t *testing.T) {
	for redirect, times := range map[string]int{"http://127.0.0.1:1234/cb": 2, "com.example.app:/cb": 2, "https://app.example/cb": 1} {
		w := newWorld(t)
		c := w.clients["cli"]
		c.AsksConsent, c.RedirectURIs = true, append(c.RedirectURIs, "https://app.example/cb")
		w.clients["cli"] = c
		asked := 0
		w.onLogin = func(rw http.ResponseWriter, r *http.Request, f oidc.Flow) {
			asked++
			next, _ := w.op.Answer(rw, r, f.ID, oidc.AnswerConsent)
			http.Redirect(rw, r, next, http.StatusSeeOther)
		}
		b, _ := w.signedIn(ada)
		for range 2 {
			if p := b.get(oidc.PathAuthorize, with(good(), "client_id", "cli", "redirect_uri", redirect)); p.next.Get("code") == "" {
				t.Errorf("%s: %d %s", redirect, p.status, p.loc)
			}
		}
		if asked != times {
			t.Errorf("%s: asked %d times, want %d", redirect, asked, times)
		}
	}
}
