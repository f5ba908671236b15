package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
)

// post sends a form to an endpoint as the world's application.
func (w *world) post(path string, v url.Values) (int, map[string]any) {
	req, _ := http.NewRequest("POST", w.URL()+path, strings.NewReader(v.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(w.client.GetClientId()), url.QueryEscape(w.client.GetClientSecret()))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Error(err)
		return 0, nil
	}
	defer res.Body.Close()
	m := map[string]any{}
	json.NewDecoder(res.Body).Decode(&m)
	return res.StatusCode, m
}

func (w *world) refresh(token any) (int, map[string]any) {
	s, _ := token.(string)
	return w.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s}})
}

// offline signs in and returns tokens, a refresh token among them.
func (w *world) offline(c *http.Client) map[string]any {
	w.t.Helper()
	verifier := strings.Repeat("v", 43)
	status, m := w.redeem(w.authorizeFor(c, challengeOf(verifier), "openid offline_access"), verifier)
	if status != 200 || m["refresh_token"] == nil {
		w.t.Fatalf("no refresh token: %d %v", status, m)
	}
	return m
}

// One refresh token used by eight clients at once: exactly one receives tokens,
// the others invalid_grant, and afterwards none of that family works (RFC 9700
// §4.14.2).
func TestOneRefreshTokenEightClients(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	for round := range rounds(t, 30) {
		first := w.offline(c)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var won []map[string]any
		refused := 0
		for range 8 {
			wg.Go(func() {
				status, m := w.refresh(first["refresh_token"])
				mu.Lock()
				defer mu.Unlock()
				switch {
				case status == 200 && m["access_token"] != nil && m["refresh_token"] != nil:
					won = append(won, m)
				case status == 400 && m["error"] == "invalid_grant":
					refused++
				default:
					t.Errorf("round %d: %d %v", round, status, m)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 || refused != 7 {
			t.Fatalf("round %d: %d clients got tokens, %d were refused", round, len(won), refused)
		}
		for name, token := range map[string]any{"the first": first["refresh_token"], "the winner's": won[0]["refresh_token"]} {
			if status, m := w.refresh(token); status != 400 || m["error"] != "invalid_grant" {
				t.Fatalf("round %d: %s refresh token: %d %v", round, name, status, m)
			}
		}
		for name, token := range map[string]any{"the first": first["access_token"], "the winner's": won[0]["access_token"]} {
			if status := w.userinfo(token.(string)); status != http.StatusUnauthorized {
				t.Fatalf("round %d: %s access token: %d", round, name, status)
			}
		}
	}
	ends := 0
	for r, err := range w.Core.Log.Read(t.Context(), event.Query{{Types: []string{"authorization.ended"}}}, 0) {
		if err != nil || r.Actor != event.System {
			t.Fatal(r, err)
		}
		ends++
	}
	if n := rounds(t, 30); ends != n {
		t.Errorf("%d authorizations ended in %d rounds", ends, n)
	}
}

// What ends a refresh token, and what does not: signing out of the browser does
// not (OpenID Connect Core §11); locking the person does, and unlocking does not
// bring it back. Introspection and revocation say the same.
func TestWhatEndsARefreshToken(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	pass := "password of ada"
	ada := must[*munimentv1.CreateUserResponse](t)(w.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{Email: "ada@example.org", GivenName: "Ada", OrganizationId: w.org, Password: &pass})).GetUserId()
	w.email, w.password = "ada@example.org", pass
	sessions := func() []*munimentv1.Session {
		return must[*munimentv1.ListSessionsResponse](t)(w.API.Session.ListSessions(ctx, &munimentv1.ListSessionsRequest{UserId: ada})).GetSessions()
	}
	active := func(token any) bool {
		s, _ := token.(string)
		_, m := w.post("/oauth/introspect", url.Values{"token": {s}})
		return m["active"] == true
	}
	for name, c := range map[string]struct {
		do    func(c *http.Client, m map[string]any)
		lives bool
	}{
		"nothing": {func(*http.Client, map[string]any) {}, true},
		"signing out": {func(c *http.Client, _ map[string]any) {
			before := len(sessions())
			res := must[*http.Response](t)(c.Get(w.URL() + "/logout"))
			w.submit(c, res, url.Values{}).Body.Close()
			if len(sessions()) != before-1 {
				t.Error("the session goes on")
			}
		}, true},
		"ending the session": {func(*http.Client, map[string]any) {
			for _, s := range sessions() {
				must[*munimentv1.EndSessionResponse](t)(w.API.Session.EndSession(ctx, &munimentv1.EndSessionRequest{SessionId: s.GetId()}))
			}
		}, false},
		"locking": {func(*http.Client, map[string]any) {
			must[*munimentv1.LockUserResponse](t)(w.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: ada}))
			must[*munimentv1.UnlockUserResponse](t)(w.API.User.UnlockUser(ctx, &munimentv1.UnlockUserRequest{UserId: ada}))
		}, false},
		"another password": {func(*http.Client, map[string]any) {
			must[*munimentv1.SetPasswordResponse](t)(w.API.User.SetPassword(ctx, &munimentv1.SetPasswordRequest{UserId: ada, Password: pass}))
		}, false},
		"revoking": {func(_ *http.Client, m map[string]any) {
			if status, _ := w.post("/oauth/revoke", url.Values{"token": {m["refresh_token"].(string)}}); status != 200 {
				t.Error(status)
			}
		}, false},
	} {
		browser := w.browser()
		m := w.offline(browser)
		c.do(browser, m)
		if active(m["refresh_token"]) != c.lives || active(m["access_token"]) != c.lives {
			t.Errorf("%s: introspection says the refresh token is active: %v, the access token: %v", name, active(m["refresh_token"]), active(m["access_token"]))
		}
		if status, got := w.refresh(m["refresh_token"]); (status == 200) != c.lives {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
}
