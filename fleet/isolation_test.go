package fleet

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/hosting/hostingapi"
	"muniment.dev/internal/postgres"
)

// Nothing by which somebody is known in one instance is good in another, the
// same e-mail address and password notwithstanding: not a session's cookie, an
// access token, an authorization code, a set-up link, a place in the log or in a
// list (S01, P09).
func TestIsolation(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	home := w.home.URL()
	for _, in := range []tenant{a, b} {
		for _, n := range []string{"one", "two", "three"} {
			must[*munimentv1.CreateOrganizationResponse](t)(in.server.API.Organization.CreateOrganization(asUser(t, in.owner), &munimentv1.CreateOrganizationRequest{Name: n}))
		}
	}
	token, ofHome := w.token(a.url), w.token(home)
	code := w.code(w.browser(), a.url)
	link := must[*munimentv1.CreateUserResponse](t)(a.server.API.User.CreateUser(asUser(t, a.owner), &munimentv1.CreateUserRequest{OrganizationId: firstOrg(t, a), Email: "ada@example.org", GivenName: "Ada"})).GetSetupLink().GetUrl()
	signed := w.browser()
	w.code(signed, a.url)
	u, _ := url.Parse(a.url)
	var cookies []string
	for _, c := range signed.Jar.Cookies(u) {
		cookies = append(cookies, c.String())
	}
	if len(cookies) == 0 {
		t.Fatal("signing in left no cookie")
	}
	cookie := strings.Join(cookies, "; ")
	page := must[*munimentv1.ListOrganizationsResponse](t)(a.server.API.Organization.ListOrganizations(asUser(t, a.owner), &munimentv1.ListOrganizationsRequest{PageSize: 2})).GetNextPageToken()
	place := call.Place{Log: a.server.Core.Log.ID(), Position: 1}.String()

	for name, at := range map[string]string{"of its own": a.url, "of another": b.url, "of the home instance": home} {
		own := at == a.url
		c := w.browser()
		check := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s at the instance %s: %d, want %d", what, name, got, want)
			}
		}
		pick := func(here, elsewhere int) int {
			if own {
				return here
			}
			return elsewhere
		}
		status, _ := w.get(c, at+"/v1/me", "Authorization", "Bearer "+token)
		check("an access token", status, pick(http.StatusOK, http.StatusUnauthorized))
		status, _ = w.get(c, at+"/oauth/userinfo", "Authorization", "Bearer "+token)
		check("an access token for userinfo", status, pick(http.StatusOK, http.StatusUnauthorized))
		status, _ = w.get(c, strings.Replace(link, a.url, at, 1))
		check("a set-up link", status, pick(http.StatusOK, http.StatusNotFound))
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		status, _ = w.get(c, at+"/account", "Cookie", cookie)
		check("a session's cookie", status, pick(http.StatusOK, http.StatusSeeOther))
	}
	for name, at := range map[string]string{"another": b.url, "the home instance": home} {
		if status, why := w.redeem(w.browser(), at, code); status != http.StatusBadRequest || why != "invalid_grant" {
			t.Errorf("a code at %s: %d %s", name, status, why)
		}
	}
	if status, why := w.redeem(w.browser(), a.url, code); status != http.StatusOK {
		t.Errorf("a code at its own instance, after others refused it: %d %s", status, why)
	}
	other := w.token(b.url)
	status, body := w.get(w.browser(), b.url+"/v1/organizations", "Authorization", "Bearer "+other, "Muniment-Position", place)
	if status != http.StatusBadRequest || !strings.Contains(body, "Muniment-Position") || !strings.Contains(body, "another log") {
		t.Errorf("a place in another log: %d %s", status, body)
	}
	if status, _ = w.get(w.browser(), a.url+"/v1/organizations", "Authorization", "Bearer "+token, "Muniment-Position", place); status != http.StatusOK {
		t.Errorf("a place in its own log: %d", status)
	}
	_, err := b.server.API.Organization.ListOrganizations(asUser(t, b.owner), &munimentv1.ListOrganizationsRequest{PageSize: 2, PageToken: page})
	wants(t, "a page of another instance's list", err, fault.Invalid)
	if status, _ := w.get(w.browser(), a.url+"/v1/me", "Authorization", "Bearer "+ofHome); status != http.StatusUnauthorized {
		t.Errorf("a token of the home instance: %d", status)
	}
}

// A name that is the same and another's forms do not carry over: a form of one
// instance is refused by another, and so is one from the other's pages.
func TestForms(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	c := w.browser()
	_, page := w.get(c, a.url+"/login")
	f := form.FindString(page)
	values := url.Values{"email": {email}, "password": {pass}}
	for _, m := range hidden.FindAllStringSubmatch(f, -1) {
		values.Set(m[1], m[2])
	}
	for name, origin := range map[string]string{"from the other's page": a.url, "with the other's token": b.url} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/login", strings.NewReader(values.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		for _, k := range c.Jar.Cookies(mustURL(a.url)) {
			req.AddCookie(k)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func firstOrg(t *testing.T, in tenant) string {
	return must[*munimentv1.ListOrganizationsResponse](t)(in.server.API.Organization.ListOrganizations(asUser(t, in.owner), &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
}

// Whoever administers a hosted instance hosts nothing, and whoever hosts it has
// no rights in it.
func TestNoRightsAcross(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	as := asUser(t, a.owner)
	_, err := a.server.API.Hosted.CreateHostedInstance(as, w.request("Gamma"))
	wants(t, "a hosted owner hosts an instance", err, fault.Refused)
	_, err = a.server.API.Hosted.SuspendHostedInstance(as, &munimentv1.SuspendHostedInstanceRequest{InstanceId: b.id})
	wants(t, "a hosted owner suspends another instance", err, fault.Refused)
	_, err = a.server.API.Hosted.GetHostedInstance(as, &munimentv1.GetHostedInstanceRequest{InstanceId: b.id})
	wants(t, "a hosted owner looks at another instance", err, fault.NotFound)
	_, err = w.home.API.Hosted.SuspendHostedInstance(as, &munimentv1.SuspendHostedInstanceRequest{InstanceId: b.id})
	wants(t, "a hosted owner at the home instance", err, fault.Denied)
	_, err = a.server.API.User.ListUsers(w.as(), &munimentv1.ListUsersRequest{})
	if err == nil {
		users := must[*munimentv1.ListUsersResponse](t)(a.server.API.User.ListUsers(w.as(), &munimentv1.ListUsersRequest{}))
		if len(users.GetUsers()) > 0 {
			t.Errorf("the home owner sees the people of a hosted instance: %v", users)
		}
	}
	_, err = a.server.API.User.LockUser(w.as(), &munimentv1.LockUserRequest{UserId: a.owner.String()})
	wants(t, "the home owner locks a hosted owner", err, fault.Denied)
	_, err = w.home.API.Hosted.CreateOwnerLink(w.as(), &munimentv1.CreateOwnerLinkRequest{InstanceId: a.id})
	wants(t, "a way into an instance that is in use", err, fault.Refused)
	if strings.Contains(hostingapi.ErrNotHome.Msg, "Home") {
		t.Error("the refusal names the home instance")
	}
}

// Each instance has stores, keys and a verifier key of its own, and nothing
// about its people stands in the home instance's folder.
func TestStoresAreApart(t *testing.T) {
	postgres.SkipIfChosen(t)
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	seen := map[string]string{}
	for name, s := range map[string]string{"home": w.data, "a": filepath.Join(w.data, folder, a.id), "b": filepath.Join(w.data, folder, b.id)} {
		for _, file := range []string{"root.key", "keys.db", "register.json"} {
			content, err := os.ReadFile(filepath.Join(s, file))
			if err != nil {
				t.Fatal(err)
			}
			if other, twice := seen[string(content)]; twice && len(content) > 0 {
				t.Errorf("%s of %s is that of %s", file, name, other)
			}
			seen[string(content)] = name
		}
	}
	keys := map[string]bool{w.home.Core.Instance.CheckpointKey: true, a.server.Core.Instance.CheckpointKey: true, b.server.Core.Instance.CheckpointKey: true}
	logs := map[string]bool{w.home.Core.Log.ID().String(): true, a.server.Core.Log.ID().String(): true, b.server.Core.Log.ID().String(): true}
	if len(keys) != 3 || len(logs) != 3 {
		t.Errorf("verifier keys %v, logs %v", keys, logs)
	}
}
