package server

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/oidc"
)

// rolesIn are the roles in the world's project that a set of claims holds.
func (w *world) rolesIn(claims map[string]any) (keys []string) {
	all, _ := claims["urn:muniment:roles"].(map[string]any)
	list, _ := all[w.project].([]any)
	for _, k := range list {
		s, _ := k.(string)
		keys = append(keys, s)
	}
	return keys
}

// claims are those of a JWT, which nobody checks here.
func (w *world) claims(token any) map[string]any {
	w.t.Helper()
	s, _ := token.(string)
	parts := strings.Split(s, ".")
	m := map[string]any{}
	if len(parts) != 3 {
		w.t.Fatalf("%q is no JWT", s)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// Roles that are deactivated stand in no new token, and at once in no answer
// about those that there are; reactivated, they stand there again.
func TestDeactivatedGrant(t *testing.T) {
	w := newWorld(t)
	ctx, me := w.as(w.owner), w.owner.String()
	must[*munimentv1.AddRoleResponse](t)(w.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: w.project, Key: "reader"}))
	must[*munimentv1.GrantRoleResponse](t)(w.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: me, ProjectId: w.project, RoleKeys: []string{"reader"}}))
	got := w.offline(w.browser())
	step := func(name string, want ...string) {
		t.Helper()
		status, m := w.post(oidc.PathIntrospect, url.Values{"token": {got["access_token"].(string)}})
		if status != 200 || m["active"] != true || !slices.Equal(w.rolesIn(m), want) {
			t.Errorf("%s: introspection says %v", name, m)
		}
		if status, got = w.refresh(got["refresh_token"]); status != 200 {
			t.Fatalf("%s: %d %v", name, status, got)
		}
		if roles := w.rolesIn(w.claims(got["access_token"])); !slices.Equal(roles, want) {
			t.Errorf("%s: the next token says %v", name, roles)
		}
	}
	step("granted", "reader")
	must[*munimentv1.DeactivateGrantResponse](t)(w.API.Grant.DeactivateGrant(ctx, &munimentv1.DeactivateGrantRequest{UserId: me, ProjectId: w.project}))
	step("deactivated")
	must[*munimentv1.ReactivateGrantResponse](t)(w.API.Grant.ReactivateGrant(ctx, &munimentv1.ReactivateGrantRequest{UserId: me, ProjectId: w.project}))
	step("reactivated", "reader")
}

// A deactivated grant of a machine user's opens no project to its tokens.
func TestDeactivatedMachineGrant(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	id, _, secret := w.robot()
	must[*munimentv1.AddRoleResponse](t)(w.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: w.project, Key: "reader"}))
	must[*munimentv1.GrantRoleResponse](t)(w.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: id, ProjectId: w.project, RoleKeys: []string{"reader"}}))
	token := func() (roles []string, aud any) {
		s, err := w.own(id, secret)
		if err != nil {
			return nil, nil
		}
		c := w.claims(s)
		return w.rolesIn(c), c["aud"]
	}
	if roles, aud := token(); !slices.Equal(roles, []string{"reader"}) || aud == nil {
		t.Errorf("granted: %v for %v", roles, aud)
	}
	must[*munimentv1.DeactivateGrantResponse](t)(w.API.Grant.DeactivateGrant(ctx, &munimentv1.DeactivateGrantRequest{UserId: id, ProjectId: w.project}))
	if roles, aud := token(); roles != nil || aud == w.project {
		t.Errorf("deactivated: %v for %v", roles, aud)
	}
}
