package oidc_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"muniment.dev/fault"
	"muniment.dev/oidc"
)

var flowField = regexp.MustCompile(`name="flow" value="([0-9a-f]{32})"`)

// TestLogout: RP-Initiated Logout §2, §3, §4: who is asked, who is sent where.
func TestLogout(t *testing.T) {
	bye := "https://rp.example/bye"
	for name, c := range map[string]struct {
		q     url.Values // HINT, OTHER and ACCESS stand for tokens
		other bool       // somebody else is signed in
		want  string     // "ended", "asked", "refused"
		loc   string
	}{
		"hint":                    {q: url.Values{"id_token_hint": {"HINT"}}, want: "ended"},
		"hint and address":        {q: url.Values{"id_token_hint": {"HINT"}, "post_logout_redirect_uri": {bye}}, want: "ended", loc: bye},
		"hint, client, state":     {q: url.Values{"id_token_hint": {"HINT"}, "client_id": {"web"}, "post_logout_redirect_uri": {bye}, "state": {"s"}}, want: "ended", loc: bye + "?state=s"},
		"nothing":                 {q: nil, want: "asked"},
		"client only":             {q: url.Values{"client_id": {"web"}, "post_logout_redirect_uri": {bye}}, want: "asked", loc: bye},
		"hint of another session": {q: url.Values{"id_token_hint": {"HINT"}, "post_logout_redirect_uri": {bye}}, other: true, want: "asked", loc: bye},
		"hint is an access token": {q: url.Values{"id_token_hint": {"ACCESS"}}, want: "asked"},
		"hint is forged":          {q: url.Values{"id_token_hint": {"FORGED"}}, want: "asked"},
		"forged, with address":    {q: url.Values{"id_token_hint": {"FORGED"}, "post_logout_redirect_uri": {bye}}, want: "refused"},
		"address of nobody":       {q: url.Values{"post_logout_redirect_uri": {bye}}, want: "refused"},
		"address not registered":  {q: url.Values{"id_token_hint": {"HINT"}, "post_logout_redirect_uri": {bye + "/"}}, want: "refused"},
		"a redirect_uri":          {q: url.Values{"id_token_hint": {"HINT"}, "post_logout_redirect_uri": {callback}}, want: "refused"},
		"client differs":          {q: url.Values{"id_token_hint": {"HINT"}, "client_id": {"other"}}, want: "refused"},
		"unknown client":          {q: url.Values{"client_id": {"nobody"}, "post_logout_redirect_uri": {bye}}, want: "refused"},
		"repeated":                {q: url.Values{"id_token_hint": {"HINT", "HINT"}}, want: "refused"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				w := newWorld(t)
				b, _ := w.signedIn(ada)
				a := w.token(exchange(b.get(oidc.PathAuthorize, good()).next.Get("code")))
				w.pass(time.Hour) // a hint may have expired
				if c.other {
					b, _ = w.signedIn(bob)
				}
				q := url.Values{}
				for k, vs := range c.q {
					for _, v := range vs {
						v = strings.NewReplacer("HINT", a.ID, "ACCESS", a.Access, "FORGED", a.ID[:len(a.ID)-8]+"AAAAAAAA").Replace(v)
						q.Add(k, v)
					}
				}
				before := len(w.sessions)
				visit := b.get
				if method == http.MethodPost {
					visit = b.post
				}
				p := visit(oidc.PathLogout, q)
				if ended := len(w.sessions) < before; ended != (c.want == "ended") {
					t.Fatalf("session ended: %v; %d %s %s", ended, p.status, p.loc, p.body)
				}
				m := flowField.FindStringSubmatch(p.body)
				if (m != nil) != (c.want == "asked") || (p.status == http.StatusBadRequest) != (c.want == "refused") {
					t.Fatalf("%d %s", p.status, p.body)
				}
				if c.want == "asked" {
					stranger := w.browser().post(oidc.PathLogoutConfirm, url.Values{"flow": {m[1]}})
					if stranger.status != http.StatusBadRequest || len(w.sessions) != before {
						t.Error("another site signed the person out")
					}
					p = b.post(oidc.PathLogoutConfirm, url.Values{"flow": {m[1]}})
					if len(w.sessions) != before-1 {
						t.Errorf("still signed in after yes: %d %s", p.status, p.body)
					}
				}
				if c.want != "refused" && p.loc != c.loc {
					t.Errorf("went to %q, want %q", p.loc, c.loc)
				}
			})
		}
	}
}

// TestLogoutNeverLies: nobody is told to be signed out who may not be.
func TestLogoutNeverLies(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	a := w.token(exchange(b.get(oidc.PathAuthorize, good()).next.Get("code")))
	w.failEnd = fault.New(fault.Unknown, "no answer")
	p := b.get(oidc.PathLogout, url.Values{"id_token_hint": {a.ID}, "post_logout_redirect_uri": {"https://rp.example/bye"}})
	if p.status != http.StatusServiceUnavailable || p.loc != "" || strings.Contains(p.body, "You are signed out") {
		t.Errorf("%d %s %s", p.status, p.loc, p.body)
	}
}

// TestLogoutAsksAgainIfSomebodyElse: the yes was about another session.
func TestLogoutAsksAgainIfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(ada)
	p := b.get(oidc.PathLogout, nil)
	b2, _ := w.signedIn(bob)
	b.Jar.SetCookies(p.url, b2.Jar.Cookies(p.url))
	p = b.post(oidc.PathLogoutConfirm, url.Values{"flow": {flowField.FindStringSubmatch(p.body)[1]}})
	if len(w.sessions) != 2 || flowField.FindStringSubmatch(p.body) == nil {
		t.Errorf("%d sessions left; %s", len(w.sessions), p.body)
	}
}
