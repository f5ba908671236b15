package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// published are the ids of the keys at jwks_uri.
func (w *world) published() (ids []string, tag string) {
	w.t.Helper()
	res, err := http.Get(w.URL() + "/oauth/keys")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil || res.Header.Get("Cache-Control") != "public, max-age=300" {
		w.t.Fatal(err, res.Header)
	}
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids, res.Header.Get("ETag")
}

// signedBy is the key that signed a token.
func signedBy(t *testing.T, token any) string {
	t.Helper()
	s, _ := token.(string)
	b, _ := base64.RawURLEncoding.DecodeString(strings.Split(s, ".")[0])
	var h struct{ Kid string }
	if err := json.Unmarshal(b, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

// A key is published before it signs, signs, verifies what it signed, and is
// gone; of several who see that a step is due, one takes it. Tokens from before
// a rotation stay good.
func TestSigningKeysRotate(t *testing.T) {
	const day = 24 * time.Hour
	var ahead atomic.Int64
	w := newWorldWith(t, Extra{Passwords: quick, Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	pass := func(d time.Duration) {
		ahead.Add(int64(d))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := w.Server.keys.rotateDue(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	token := func() any {
		verifier := strings.Repeat("v", 43)
		_, m := w.redeem(w.authorize(w.browser(), challengeOf(verifier)), verifier)
		return m["access_token"]
	}
	good := func(token any) bool {
		_, m := w.post("/oauth/introspect", url.Values{"token": {token.(string)}})
		return m["active"] == true
	}
	first := signedBy(t, token())
	if keys, _ := w.published(); !slices.Equal(keys, []string{first}) {
		t.Fatalf("published: %v, signs: %s", keys, first)
	}
	pass(83*day + time.Minute)
	keys, tag := w.published()
	if len(keys) != 2 || keys[0] != first || signedBy(t, token()) != first {
		t.Fatalf("a week before: %v", keys)
	}
	next := keys[1]
	req, _ := http.NewRequest(http.MethodGet, w.URL()+"/oauth/keys", nil)
	req.Header.Set("If-None-Match", tag)
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusNotModified {
		t.Errorf("asked with the tag: %v %v", res, err)
	}
	ahead.Add(int64(7 * day))
	before := token()
	pass(time.Minute)
	after := token()
	if signedBy(t, before) != first || signedBy(t, after) != next || !good(before) || !good(after) {
		t.Errorf("signed by %s and %s, good: %v and %v", signedBy(t, before), signedBy(t, after), good(before), good(after))
	}
	if keys, now := w.published(); !slices.Equal(keys, []string{first, next}) || now != tag {
		t.Errorf("after the rotation: %v", keys)
	}
	pass(7*day + time.Minute)
	if keys, now := w.published(); !slices.Equal(keys, []string{next}) || now == tag {
		t.Errorf("a week later: %v", keys)
	}
	var steps []string
	for r, err := range w.Core.Log.Read(t.Context(), event.Query{{Types: []string{"instance.signing-key.created", "instance.signing-key.activated", "instance.signing-key.retired", "instance.signing-key.removed"}}}, 0) {
		if err != nil || r.Actor != event.System {
			t.Fatal(r, err)
		}
		steps = append(steps, strings.TrimPrefix(r.Type, "instance.signing-key."))
	}
	if want := []string{"created", "activated", "created", "activated", "retired", "removed"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

// An owner rotates at once; with distrust tokens from before are good no more.
func TestRotateNow(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	verifier := strings.Repeat("v", 43)
	token := func() string {
		_, m := w.redeem(w.authorize(w.browser(), challengeOf(verifier)), verifier)
		s, _ := m["access_token"].(string)
		return s
	}
	list := func() []*munimentv1.SigningKey {
		return must[*munimentv1.ListSigningKeysResponse](t)(w.API.Instance.ListSigningKeys(ctx, &munimentv1.ListSigningKeysRequest{})).GetKeys()
	}
	a := token()
	again := &munimentv1.RotateSigningKeysRequest{CommandId: event.NewID().String()}
	for range 2 {
		must[*munimentv1.RotateSigningKeysResponse](t)(w.API.Instance.RotateSigningKeys(ctx, again))
	}
	b := token()
	if w.userinfo(a) != 200 || w.userinfo(b) != 200 || signedBy(t, a) == signedBy(t, b) {
		t.Error("after a rotation")
	}
	if l := list(); len(l) != 2 || l[0].GetStatus() != munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_RETIRED || l[0].GetId() != signedBy(t, a) ||
		l[0].GetUntil() == nil || l[1].GetStatus() != munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_CURRENT || l[1].GetUntil() != nil {
		t.Errorf("%v", l)
	}
	must[*munimentv1.RotateSigningKeysResponse](t)(w.API.Instance.RotateSigningKeys(ctx, &munimentv1.RotateSigningKeysRequest{Distrust: true}))
	if w.userinfo(a) != 401 || w.userinfo(b) != 401 || w.userinfo(token()) != 200 || len(list()) != 1 {
		t.Error("after a rotation with distrust")
	}
	_, err := w.API.Instance.RotateSigningKeys(w.as(w.hire("o@example.org", munimentv1.MemberRole_MEMBER_ROLE_OWNER, false)), &munimentv1.RotateSigningKeysRequest{})
	w.refused(fault.Denied, "an organization's owner rotates", err)
}

// Keys take their steps by the schedule that is set, and a token that lives as
// long as one can is good until its end, whatever comes due meanwhile.
func TestKeyScheduleHolds(t *testing.T) {
	const day, second = 24 * time.Hour, int64(86400)
	var ahead atomic.Int64
	w := newWorldWith(t, Extra{Passwords: quick, Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	ctx := w.as(w.owner)
	pass := func(d time.Duration) {
		t.Helper()
		for step := time.Hour; d > 0; d -= step {
			ahead.Add(int64(min(step, d)))
			if err := w.Server.keys.rotateDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	must[*munimentv1.ChangeTokenPolicyResponse](t)(w.API.Policy.ChangeTokenPolicy(ctx, &munimentv1.ChangeTokenPolicyRequest{Acknowledge: []string{"long-access-tokens"},
		Scope:  &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}},
		Policy: &munimentv1.TokenPolicy{AccessSeconds: second, IdSeconds: second, RefreshIdleSeconds: second, RefreshLifetimeSeconds: 20 * second}}))
	_, err := w.API.Instance.ChangeSigningKeySchedule(ctx, &munimentv1.ChangeSigningKeyScheduleRequest{EverySeconds: second, AnnounceSeconds: 3600, RemainSeconds: second})
	w.refused(fault.Invalid, "a key that is gone before its tokens", err)
	must[*munimentv1.ChangeSigningKeyScheduleResponse](t)(w.API.Instance.ChangeSigningKeySchedule(ctx, &munimentv1.ChangeSigningKeyScheduleRequest{
		EverySeconds: second, AnnounceSeconds: 3600, RemainSeconds: second + 3600, Acknowledge: []string{"short-announcements"}}))
	if l := must[*munimentv1.GetSigningKeyScheduleResponse](t)(w.API.Instance.GetSigningKeySchedule(ctx, &munimentv1.GetSigningKeyScheduleRequest{})); l.GetEverySeconds() != second || l.GetAnnounceSeconds() != 3600 || l.GetRemainSeconds() != second+3600 {
		t.Errorf("the schedule is %v", l)
	}
	w.offline(w.browser()) // makes the first key
	pass(day - time.Minute)
	m := w.offline(w.browser())
	id, secret := signedBy(t, m["access_token"]), m["access_token"].(string)
	pass(day - 2*time.Minute)
	if keys, _ := w.published(); !slices.Contains(keys, id) || signedBy(t, w.offline(w.browser())["access_token"]) == id {
		t.Errorf("a day later %s is not among %v, or signs still", id, keys)
	}
	if w.userinfo(secret) != 200 {
		t.Error("a token outlived the key that verifies it")
	}
	pass(day)
	if keys, _ := w.published(); slices.Contains(keys, id) {
		t.Errorf("two days later: %v", keys)
	}
}
