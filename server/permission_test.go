package server

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// permit grants a user something in the organization.
func (w *world) permit(id string, right munimentv1.EventRight, types string) {
	w.t.Helper()
	must[*munimentv1.GrantPermissionResponse](w.t)(w.API.Permission.GrantPermission(w.as(w.owner), &munimentv1.GrantPermissionRequest{UserId: id, Right: right, EventTypes: types,
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: w.org}}}))
}

const (
	mayPublish = munimentv1.EventRight_EVENT_RIGHT_PUBLISH
	mayRead    = munimentv1.EventRight_EVENT_RIGHT_READ
)

// S05-S07: a service with a token of its own reads what it is permitted to, from
// the moment at which it is, with the token that it has, until it is not.
func TestServiceReadsWhatItMay(t *testing.T) {
	w := newWorld(t)
	id, _, secret := w.robot()
	token, err := w.own(id, secret, oidc.ScopeAPI)
	if err != nil {
		t.Fatal(err)
	}
	step := func(when string, want map[string]int) {
		t.Helper()
		for path, status := range want {
			if got := w.call(token, path); got != status {
				t.Errorf("%s: %s: %d, want %d", when, path, got, status)
			}
		}
	}
	const registered, everything = "/v1/events?filter.types=user.registered", "/v1/events"
	step("before", map[string]int{registered: 403, everything: 200})
	w.permit(id, mayRead, "user.registered")
	step("permitted", map[string]int{registered: 200, everything: 200, "/v1/events?filter.types=user.*": 200, "/v1/events?filter.types=session.begun": 403,
		"/v1/events:export?filter.types=session.begun": 403, "/v1/events:stream?filter.types=session.begun": 403, "/v1/statistics": 403, "/v1/users/" + w.owner.String(): 404})
	must[*munimentv1.WithdrawPermissionResponse](t)(w.API.Permission.WithdrawPermission(w.as(w.owner), &munimentv1.WithdrawPermissionRequest{UserId: id, Right: mayRead, EventTypes: "user.registered",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: w.org}}}))
	step("withdrawn", map[string]int{registered: 403, everything: 200})
}

// An administrator does not come to what an account is permitted by giving it a
// secret, a password or a link, nor by one that it gave before.
func TestPermissionsAreNotTakenOver(t *testing.T) {
	w := newWorld(t)
	admin := w.hire("a@example.org", munimentv1.MemberRole_MEMBER_ROLE_ADMIN, false)
	person := w.hire("p@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)
	as := w.as(admin)
	link := must[*munimentv1.CreateSetupLinkResponse](t)(w.API.User.CreateSetupLink(as, &munimentv1.CreateSetupLinkRequest{UserId: person.String()})).GetSetupLink().GetUrl()
	id, _, _ := w.robot()
	for _, holder := range []string{id, person.String()} {
		w.permit(holder, mayRead, "*") // as the admin may
	}
	if _, err := w.API.User.CreateUserSecret(as, &munimentv1.CreateUserSecretRequest{UserId: id}); err != nil {
		t.Errorf("with no more than the admin has: %v", err)
	}
	for _, holder := range []string{id, person.String()} {
		w.permit(holder, mayPublish, "order-created")
	}
	_, err := w.API.User.CreateUserSecret(as, &munimentv1.CreateUserSecretRequest{UserId: id})
	w.refused(fault.Denied, "a secret", err)
	_, err = w.API.User.SetPassword(as, &munimentv1.SetPasswordRequest{UserId: person.String(), Password: "to publish orders"})
	w.refused(fault.Denied, "a password", err)
	_, err = w.API.User.CreateSetupLink(as, &munimentv1.CreateSetupLinkRequest{UserId: person.String()})
	w.refused(fault.Denied, "a link", err)
	if _, err := w.SignIn.UseSetup(t.Context(), link[len(w.URL()+"/setup/"):], "to publish orders"); err == nil {
		t.Error("a link from before works")
	}
	_, err = w.API.Permission.GrantPermission(as, &munimentv1.GrantPermissionRequest{UserId: admin.String(), Right: mayPublish, EventTypes: "order-created",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: w.org}}})
	w.refused(fault.Denied, "a permission to oneself", err)
	if _, err := w.API.User.LockUser(as, &munimentv1.LockUserRequest{UserId: id}); err != nil {
		t.Errorf("keeping it out: %v", err)
	}
}
