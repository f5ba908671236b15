package console

import (
	"slices"
	"strings"
	"testing"
)

// Each form about an adapter makes the call that it says; a secret that was made
// is shown once, and one that was typed never; what is wrong is said beside its
// field.
func TestAdapters(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	registry, ministry := "/console/adapters/"+registryID, "/console/adapters/"+ministryID
	for _, c := range []struct {
		open       string
		form       []string
		call, says string
	}{
		{"/console/adapters/new", []string{"name", "New", "direction", "push", "endpoint_url", "https://a.example", "entity_types", "household\r\nindividual", "interval_seconds", "60", "credential", "signature"},
			"CreateAdapter New  https://a.example household,individual 1 60 1false", "whsec_C2FVsBQIhrscChlQIMVkb5sSYspob7oD"},
		{"/console/adapters/new", []string{"name", "New", "scope", acmeID, "direction", "both", "endpoint_url", "https://a.example", "entity_types", "household", "interval_seconds", "60", "credential", "basic", "username", "u", "secret", "p w", "unsealed", "1"},
			"CreateAdapter New " + acmeID + " https://a.example household 3 60 3up wtrue", "It is set up, and runs."},
		{registry + "/run", nil, "RunAdapter " + registryID, "It runs."},
		{registry + "/pause", []string{"reason", "moving"}, "PauseAdapter " + registryID + " moving", "Paused."},
		{ministry + "/resume", nil, "ResumeAdapter " + ministryID, "It goes on."},
		{registry + "/redrive-all", nil, "RedriveAdapterFailures " + registryID + " true", "They are tried anew."},
		{registry + "/discard-all", nil, "DiscardAdapterFailures " + registryID + " true", "They are given up."},
		{registry + "/remove", []string{"typed", "registry"}, "RemoveAdapter " + registryID, "Removed."},
	} {
		before := len(b.calls)
		v.get(c.open).want(200).send(c.open, c.form...).want(200, c.says)
		if got := b.calls[before:]; !slices.ContainsFunc(got, func(s string) bool {
			return strings.Join(strings.Fields(s), " ") == strings.Join(strings.Fields(c.call), " ")
		}) {
			t.Errorf("%s: %q, want %q", c.open, got, c.call)
		}
	}
	v.get("/console/adapters/new").send("/console/adapters/new", "name", "x", "direction", "push", "endpoint_url", "http://a.example", "credential", "bearer", "secret", "s3cr3t").want(422, `id="endpoint_url-error"`, "Must begin with https://", `value="http://a.example"`)
	if strings.Contains(v.body, "s3cr3t") {
		t.Error("a secret that was typed is shown")
	}
	v.get(registry).want(200, "4 runs in a row have failed", "the external system answered 503", "5 records", "Refused there with 422", "village", "Waits for another one")
	v.get(ministry).want(200, "its owner may not read all of these events any more")
	v.get(registry + "/nothing").want(404)
}

// Who may not change an adapter is offered nothing to do so.
func TestAdapterCourtesy(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "grace").get("/console/adapters/" + registryID).want(200)
	for _, offered := range []string{"/run", "/pause", "/redrive-all", "/remove"} {
		if strings.Contains(v.body, registryID+offered) {
			t.Errorf("an auditor is offered %s", offered)
		}
	}
}
