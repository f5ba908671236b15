package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// phone is a native application of the world, on loopback.
type phone struct {
	w  *world
	id string
}

const phoneRedirect = "http://127.0.0.1:9/phone"

func (p phone) form(pairs url.Values) (int, map[string]any) {
	pairs.Set("client_id", p.id)
	res, err := http.PostForm(p.w.URL()+"/oauth/token", pairs)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer res.Body.Close()
	m := map[string]any{}
	json.NewDecoder(res.Body).Decode(&m)
	return res.StatusCode, m
}

// signIn gets tokens; asks are how many consent pages were shown, and says what
// stood there.
func (p phone) signIn(c *http.Client, scope string) (m map[string]any, asks int, says string) {
	p.w.t.Helper()
	verifier := strings.Repeat("v", 43)
	q := url.Values{"client_id": {p.id}, "redirect_uri": {phoneRedirect}, "response_type": {"code"}, "scope": {scope},
		"state": {"s"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}}
	res := must[*http.Response](p.w.t)(c.Get(p.w.URL() + "/oauth/authorize?" + q.Encode()))
	for res.StatusCode == http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		res.Body = io.NopCloser(strings.NewReader(string(b)))
		switch {
		case refresh.Match(b):
			res = p.w.onward(c, res)
		case strings.Contains(string(b), `action="/login/consent"`):
			asks++
			says = string(b)
			res = p.w.submit(c, res, url.Values{"answer": {"agree"}})
		default:
			res = p.w.submit(c, res, url.Values{"email": {p.w.email}, "password": {p.w.password}})
		}
	}
	to, err := res.Location()
	if err != nil {
		b, _ := io.ReadAll(res.Body)
		p.w.t.Fatalf("%s %v\n%s", res.Status, err, b)
	}
	status, m := p.form(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {phoneRedirect}, "code_verifier": {verifier}})
	if status != 200 {
		p.w.t.Fatal(status, m)
	}
	return m, asks, says
}

func (p phone) refresh(m map[string]any) (int, map[string]any) {
	token, _ := m["refresh_token"].(string)
	return p.form(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// A person agrees, in words that they understand; it is recorded; they see it
// and end it, which takes all that the application holds.
func TestConsent(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	app := must[*munimentv1.CreateNativeApplicationResponse](t)(w.API.Application.CreateNativeApplication(ctx, &munimentv1.CreateNativeApplicationRequest{
		ProjectId: w.project, Name: "Pocket", RedirectUris: []string{phoneRedirect}})).GetApplicationId()
	p := phone{w, app}
	c := w.browser()
	m, asks, says := p.signIn(c, "openid offline_access")
	if asks != 1 || !strings.Contains(says, "Continue to Pocket?") || !strings.Contains(says, "keep this access while you are away") || strings.Contains(says, "agreed to this before") {
		t.Fatalf("asked %d times:\n%s", asks, says)
	}
	_, asks, says = p.signIn(c, "openid offline_access")
	if asks != 1 || !strings.Contains(says, "agreed to this before") { // RFC 8252 §8.6
		t.Errorf("the second time: %d\n%s", asks, says)
	}
	_, _, says = p.signIn(c, "openid email")
	if !strings.Contains(says, "see your e-mail address</span>") || !strings.Contains(says, "(as before)") {
		t.Errorf("more:\n%s", says)
	}
	list := must[*munimentv1.ListMyApplicationsResponse](t)(w.API.Me.ListMyApplications(ctx, &munimentv1.ListMyApplicationsRequest{})).GetApplications()
	if len(list) != 1 || list[0].GetName() != "Pocket" || len(list[0].GetConsentedScopes()) != 3 || list[0].GetUsed() == nil || list[0].GetConsented() == nil {
		t.Fatalf("%v", list)
	}
	if status, _ := p.refresh(m); status != 200 {
		t.Fatal("the refresh token is not good")
	}
	m, _, _ = p.signIn(c, "openid offline_access")
	page := must[*http.Response](t)(c.Get(w.URL() + "/account"))
	b, _ := io.ReadAll(page.Body)
	form := string(b)[strings.Index(string(b), "/account/applications/"+app):]
	page.Body = io.NopCloser(strings.NewReader(`<form method="post" action="` + form))
	done := w.submit(c, page, url.Values{})
	if b, _ := io.ReadAll(done.Body); !strings.Contains(string(b), "holds nothing of yours any more") || !strings.Contains(string(b), "None holds anything of yours") {
		t.Errorf("%s\n%s", done.Status, b)
	}
	if status, _ := p.refresh(m); status != 400 || w.userinfo(m["access_token"].(string)) != 401 {
		t.Error("the tokens are still good")
	}
	_, err := w.API.Me.EndMyApplication(ctx, &munimentv1.EndMyApplicationRequest{ApplicationId: app})
	w.refused(fault.NotFound, "ended twice", err)
	if _, asks, says = p.signIn(c, "openid"); asks != 1 || strings.Contains(says, "agreed to this before") {
		t.Errorf("after the end: %d\n%s", asks, says)
	}
}
