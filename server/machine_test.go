package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2/clientcredentials"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/oidc"
)

// robot is a machine user with a secret.
func (w *world) robot() (id, secretID, secret string) {
	w.t.Helper()
	ctx := w.as(w.owner)
	id = must[*munimentv1.CreateMachineUserResponse](w.t)(w.API.User.CreateMachineUser(ctx, &munimentv1.CreateMachineUserRequest{OrganizationId: w.org, Name: "Backup"})).GetUserId()
	s := must[*munimentv1.CreateUserSecretResponse](w.t)(w.API.User.CreateUserSecret(ctx, &munimentv1.CreateUserSecretRequest{UserId: id, Name: "prod"}))
	return id, s.GetSecretId(), s.GetClientSecret()
}

// own gets a token of a machine user's own, by a client of the world outside.
func (w *world) own(id, secret string, scopes ...string) (string, error) {
	c := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: w.URL() + oidc.PathToken, Scopes: scopes}
	t, err := c.Token(w.t.Context())
	if err != nil {
		return "", err
	}
	return t.AccessToken, nil
}

// call calls the API over REST and answers the status.
func (w *world) call(token, path string) int {
	w.t.Helper()
	r, _ := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.URL()+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// A machine user gets tokens of its own (RFC 6749 §4.4), and may what its
// memberships say, and no more. Its tokens end with it, with its secret and with
// its organization, at once where the server is asked.
func TestMachineUser(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	id, secretID, secret := w.robot()
	token, err := w.own(id, secret, oidc.ScopeAPI)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.call(token, "/v1/me"); got != 200 {
		t.Errorf("me: %d", got)
	}
	if got := w.call(token, "/v1/users/"+w.owner.String()); got != 404 {
		t.Errorf("without a role it sees %d", got)
	}
	must[*munimentv1.AddMemberResponse](t)(w.API.Member.AddMember(ctx, &munimentv1.AddMemberRequest{UserId: id, Role: munimentv1.MemberRole_MEMBER_ROLE_VIEWER,
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: w.org}}}))
	if got := w.call(token, "/v1/users/"+w.owner.String()); got != 200 {
		t.Errorf("as a viewer: %d", got)
	}
	if plain, err := w.own(id, secret); err != nil || w.call(plain, "/v1/me") != 401 {
		t.Errorf("a token without the scope opens the API (%v)", err)
	}
	if _, err := w.own(id, "wrong", oidc.ScopeAPI); err == nil {
		t.Error("a wrong secret")
	}
	if _, err := w.own(w.client.GetClientId(), w.client.GetClientSecret()); err == nil {
		t.Error("an application gets tokens of its own")
	}
	// Another secret; removing the first ends what was got with it, and no more.
	more := must[*munimentv1.CreateUserSecretResponse](t)(w.API.User.CreateUserSecret(ctx, &munimentv1.CreateUserSecretRequest{UserId: id})).GetClientSecret()
	token2, err := w.own(id, more, oidc.ScopeAPI)
	if err != nil {
		t.Fatal(err)
	}
	must[*munimentv1.RemoveUserSecretResponse](t)(w.API.User.RemoveUserSecret(ctx, &munimentv1.RemoveUserSecretRequest{UserId: id, SecretId: secretID}))
	if a, b := w.call(token, "/v1/me"), w.call(token2, "/v1/me"); a != 401 || b != 200 {
		t.Errorf("after the first secret is gone: %d and %d", a, b)
	}
	if _, err := w.own(id, secret, oidc.ScopeAPI); err == nil {
		t.Error("a secret that was removed works")
	}
	must[*munimentv1.LockUserResponse](t)(w.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: id}))
	if got := w.call(token2, "/v1/me"); got != 401 {
		t.Errorf("locked: %d", got)
	}
	if _, err := w.own(id, more, oidc.ScopeAPI); err == nil {
		t.Error("locked, it gets a token")
	}
	must[*munimentv1.UnlockUserResponse](t)(w.API.User.UnlockUser(ctx, &munimentv1.UnlockUserRequest{UserId: id}))
	token3, err := w.own(id, more, oidc.ScopeAPI)
	if err != nil {
		t.Fatal(err)
	}
	must[*munimentv1.EraseUserResponse](t)(w.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: id}))
	if got := w.call(token3, "/v1/me"); got != 401 {
		t.Errorf("erased: %d", got)
	}
	if _, err := w.own(id, more, oidc.ScopeAPI); err == nil {
		t.Error("erased, it gets a token")
	}
}

// A token of a machine user carries its roles in the projects that it is meant
// for, can be introspected by them and revoked by it (RFC 7662, RFC 7009).
func TestMachineTokenInProjects(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	id, _, secret := w.robot()
	must[*munimentv1.AddRoleResponse](t)(w.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: w.project, Key: "reader"}))
	must[*munimentv1.GrantRoleResponse](t)(w.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: id, ProjectId: w.project, RoleKeys: []string{"reader"}}))
	token, err := w.own(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	status, m := w.post(oidc.PathIntrospect, url.Values{"token": {token}}) // as an application of the project
	if roles, _ := json.Marshal(m["urn:muniment:roles"]); status != 200 || m["active"] != true || m["sub"] != id || m["sid"] != nil || !strings.Contains(string(roles), "reader") {
		t.Errorf("%d %v", status, m)
	}
	if status, _ := w.post(oidc.PathRevoke, url.Values{"token": {token}}); status != 400 {
		t.Errorf("another client revokes: %d", status)
	}
	r, _ := http.NewRequest("POST", w.URL()+oidc.PathRevoke, strings.NewReader(url.Values{"token": {token}, "client_id": {id}, "client_secret": {secret}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
	if _, m := w.post(oidc.PathIntrospect, url.Values{"token": {token}}); m["active"] != false {
		t.Errorf("revoked: %v", m)
	}
}

// assertion signs one for a client.
func assertion(t *testing.T, key *ecdsa.PrivateKey, client, audience string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(map[string]any{"iss": client, "sub": client, "aud": audience, "exp": time.Now().Add(time.Minute).Unix(), "jti": event.NewID().String()})
	jws, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := jws.CompactSerialize()
	return out
}

// Of eight requests at once with one assertion exactly one gets a token, and
// after a restart none does (RFC 7523 §3, OpenID Connect Core §9).
func TestOneAssertionEightRequests(t *testing.T) {
	h := &late{}
	front := httptest.NewServer(h)
	defer front.Close()
	c := onEngine(t, Config{Data: t.TempDir(), Listen: front.Listener.Addr().String(), Name: "Test"})
	open := func() *world {
		s, err := New(t.Context(), c, Extra{Passwords: quick})
		if err != nil {
			t.Fatal(err)
		}
		h.Handler = s.Handler()
		return &world{Server: s, t: t, front: front}
	}
	w := open()
	_, owner, err := w.Core.SetUp(t.Context(), Owner{Email: ownerEmail})
	if err != nil {
		t.Fatal(err)
	}
	w.owner = owner
	w.furnish()
	id, _, _ := w.robot()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public, _ := jose.JSONWebKey{Key: &key.PublicKey}.MarshalJSON()
	must[*munimentv1.AddUserKeyResponse](t)(w.API.User.AddUserKey(w.as(owner), &munimentv1.AddUserKeyRequest{UserId: id, PublicKey: string(public)}))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {oidc.ScopeAPI},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion(t, key, id, w.URL())}}
	ask := func() int {
		res, err := http.PostForm(w.URL()+oidc.PathToken, form)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[int]int{}
	for range 8 {
		wg.Go(func() {
			status := ask()
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	wg.Wait()
	if got[200] != 1 || got[401] != 7 {
		t.Errorf("%v", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open()
	defer w.Close()
	if status := ask(); status != 401 {
		t.Errorf("replayed after a restart: %d", status)
	}
	form.Set("client_assertion", assertion(t, key, id, w.URL()+oidc.PathToken))
	if status := ask(); status != 200 {
		t.Errorf("a new one: %d", status)
	}
}

// A deactivated application works for nobody, at once, and works again as it
// was; a public one cannot be given a secret; one with a key has none.
func TestDeactivatedApplication(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	m := w.offline(w.browser())
	active := func(token any) bool {
		s, _ := token.(string)
		_, err := w.openid.VerifyAccessToken(t.Context(), s, w.URL())
		return err == nil
	}
	if !active(m["access_token"]) {
		t.Fatal("not active")
	}
	id := w.client.GetApplicationId()
	must[*munimentv1.DeactivateApplicationResponse](t)(w.API.Application.DeactivateApplication(ctx, &munimentv1.DeactivateApplicationRequest{ApplicationId: id}))
	if status, _ := w.refresh(m["refresh_token"]); status != 401 || active(m["access_token"]) {
		t.Errorf("deactivated, it refreshes (%d) or its tokens live", status)
	}
	must[*munimentv1.ReactivateApplicationResponse](t)(w.API.Application.ReactivateApplication(ctx, &munimentv1.ReactivateApplicationRequest{ApplicationId: id}))
	if status, _ := w.refresh(m["refresh_token"]); status != 200 {
		t.Errorf("in use again: %d", status)
	}
}

// Scripts of registered single-page applications call the token endpoint; the
// API only those whose tokens may open it; nobody's after the application is out
// of use (Fetch standard §3.2).
func TestCORS(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	spa := must[*munimentv1.CreateSinglePageApplicationResponse](t)(w.API.Application.CreateSinglePageApplication(ctx, &munimentv1.CreateSinglePageApplicationRequest{
		ProjectId: w.project, Name: "Till", RedirectUris: []string{"https://till.example.org/"}})).GetApplicationId()
	preflight := func(path, origin string) bool {
		t.Helper()
		r := httptest.NewRequest(http.MethodOptions, w.URL()+path, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		allowed := rec.Header().Get("Access-Control-Allow-Origin")
		if rec.Code != http.StatusNoContent || rec.Header().Get("Access-Control-Allow-Credentials") != "" || allowed != "" && allowed != origin {
			t.Errorf("%s from %s: %d %v", path, origin, rec.Code, rec.Header())
		}
		return allowed != ""
	}
	const good, api = "https://till.example.org", "/muniment.v1.MeService/GetMe"
	want := func(when string, path, origin string, ok bool) {
		t.Helper()
		if preflight(path, origin) != ok {
			t.Errorf("%s: %s from %s: allowed %v", when, path, origin, !ok)
		}
	}
	want("registered", oidc.PathToken, good, true)
	want("registered", oidc.PathToken, "https://evil.example.org", false)
	want("registered", api, good, false)
	want("registered", "/v1/me", good, false)
	open := true
	must[*munimentv1.ChangeApplicationSettingsResponse](t)(w.API.Application.ChangeApplicationSettings(ctx, &munimentv1.ChangeApplicationSettingsRequest{ApplicationId: spa, ApiAccess: &open}))
	want("with the API", api, good, true)
	want("with the API", "/v1/me", good, true)
	must[*munimentv1.ChangeAllowedOriginsResponse](t)(w.API.Application.ChangeAllowedOrigins(ctx, &munimentv1.ChangeAllowedOriginsRequest{ApplicationId: spa, AllowedOrigins: []string{"https://new.example.org"}}))
	want("moved", oidc.PathToken, good, false)
	want("moved", oidc.PathToken, "https://new.example.org", true)
	must[*munimentv1.DeactivateApplicationResponse](t)(w.API.Application.DeactivateApplication(ctx, &munimentv1.DeactivateApplicationRequest{ApplicationId: spa}))
	want("out of use", oidc.PathToken, "https://new.example.org", false)
	want("out of use", api, "https://new.example.org", false)
}
