package console

import (
	"strings"
	"testing"

	"muniment.dev/fault"
)

// Permissions are given and withdrawn from the list and from the page of whoever
// holds them, by who may.
func TestPermissions(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "ada")
	list, form, out, robot := "/console/permissions", "/console/permissions/new", "/console/permissions/withdraw", "/console/people/"+robotID
	for _, c := range []struct {
		open, post string
		form       []string
		call, says string
	}{
		{form, form, []string{"who", "grace@analytical.example", "right", "unseal", "types", "backup-*", "scope", ""}, "GrantPermission " + graceID + " EVENT_RIGHT_UNSEAL backup-* ", "Permitted."},
		{form, form, []string{"who", robotID, "right", "publish", "types", "*", "scope", acmeID}, "GrantPermission " + robotID + " EVENT_RIGHT_PUBLISH * " + acmeID, "Permitted."},
		{form + "?user=" + robotID, form, []string{"user", robotID, "right", "read", "types", "*", "scope", acmeID}, "GrantPermission " + robotID + " EVENT_RIGHT_READ * " + acmeID, "client_credentials"},
		{list, out, []string{"user", robotID, "right", "publish", "types", "backup-completed", "scope", acmeID}, "WithdrawPermission " + robotID + " EVENT_RIGHT_PUBLISH backup-completed " + acmeID, "Withdrawn."},
		{robot, out, []string{"user", robotID, "right", "publish", "types", "backup-completed", "scope", acmeID, "back", robotID}, "WithdrawPermission " + robotID + " EVENT_RIGHT_PUBLISH backup-completed " + acmeID, "client_credentials"},
	} {
		b.calls = nil
		v.get(c.open).want(200).send(c.post, c.form...).want(200, c.says)
		if len(b.calls) != 1 || b.calls[0] != c.call {
			t.Errorf("%s: %q, want %q", c.open, b.calls, c.call)
		}
	}
	v.get(list+"?type=backup-completed").want(200, "Nightly backup")
	if strings.Contains(v.body, "Grace Hopper") {
		t.Error("a permission that does not match is listed")
	}

	v.get(form).send(form, "who", "nobody@example.org", "right", "read", "types", "*").want(422, "Nobody here has this e-mail address or id.", `id="who-error"`, `value="nobody@example.org"`)
	v.send(form, "who", "", "right", "read", "types", "*").want(422, `id="who-error"`)
	b.deny["GrantPermission"] = fault.Field("event_types", "must be an event type")
	v.send(form, "who", "grace@analytical.example", "right", "read", "types", "order*").want(422, `id="types-error"`, `value="order*"`)
	b.deny["GrantPermission"] = fault.New(fault.Refused, "the user has this permission already")
	v.send(form, "user", robotID, "right", "read", "types", "*").want(409, "The user has this permission already.", "Nightly backup")

	v = as(t, srv, "grace")
	for _, p := range []string{list, robot} {
		if v.get(p).want(200, "backup-completed"); strings.Contains(v.body, "Withdraw") || strings.Contains(v.body, form) {
			t.Errorf("an auditor is offered to change permissions on %s", p)
		}
	}
	b.members = nil
	v.get("/").want(200, `"/console/events"`) // there is a permission to read some
	if strings.Contains(v.body, `"/console/people"`) {
		t.Error("who may read some events is led to the directory")
	}
}
