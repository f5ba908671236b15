package console

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"muniment.dev/fault"
)

// Each form about a hosted instance makes the call that it says, once; what
// hurts wants the name typed; a link is shown once.
func TestHosted(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	active, rests := "/console/instances/"+hostedID, "/console/instances/"+restsID
	for _, c := range []struct {
		open, post string
		form       []string
		call, says string
	}{
		{"/console/instances/new", "", []string{"name", "Acme", "host", "acme.example", "owner_email", "a@acme.example"}, "CreateHostedInstance Acme acme.example a@acme.example", "https://works.example/setup/q3v7"},
		{active, active + "/hosts", []string{"host", "b.example"}, "AddHostName " + hostedID + " b.example", "is reached under this name, too"},
		{active, active + "/unhost", []string{"host", "www.works.example"}, "RemoveHostName " + hostedID + " www.works.example", "not reached under this name any more"},
		{active + "/link", "", nil, "CreateOwnerLink " + hostedID, "https://works.example/setup/fresh"},
		{active + "/suspend", "", []string{"typed", "Difference Works", "reason", "not paid"}, "SuspendHostedInstance " + hostedID + " not paid", "Suspended."},
		{rests + "/resume", "", nil, "ResumeHostedInstance " + restsID + " ", "It is served again."},
		{rests + "/delete", "", []string{"typed", "clement"}, "DeleteHostedInstance " + restsID + " Clement", "Deleted."},
		{active + "/export", "", nil, "ExportHostedInstance " + hostedID, "first, and last"},
	} {
		post := c.post
		if post == "" {
			post = c.open
		}
		before := len(b.calls)
		v.get(c.open).want(200).send(post, c.form...).want(200, c.says)
		if got := b.calls[before:]; !slices.Equal(got, []string{c.call}) {
			t.Errorf("POST %s: %q, want %q", post, got, c.call)
		}
	}
	if d := v.last.Header.Get("Content-Disposition"); d != `attachment; filename="muniment-9a8b7c6d-12-log.tar"` {
		t.Errorf("the file is %s", d)
	}
	before := len(b.calls)
	for _, at := range []string{active + "/suspend", rests + "/delete"} {
		v.get(at).send(at, "typed", "Acme").want(http.StatusUnprocessableEntity, "This is not the instance&#39;s name. Nothing was done.")
	}
	v.get("/console/instances/new").send("/console/instances/new", "name", "A", "host", "Acme.example").want(422, `id="host-error"`, "Must be in small letters", `value="Acme.example"`)
	if len(b.calls) != before {
		t.Errorf("calls: %q", b.calls[before:])
	}
	b.deny["CreateHostedInstance"] = fault.New(fault.Unknown, "this is recorded and not carried out yet")
	open := v.get("/console/instances/new").body
	v.send("/console/instances/new", "name", "A", "host", "a.example").want(503, "This is recorded and not carried out yet.")
	if command := hidden.FindAllStringSubmatch(open, -1); !strings.Contains(v.body, command[len(command)-1][2]) {
		t.Error("sent again, the form would be another command")
	}
}

// A file that cannot be finished is cut off, and not taken for whole.
func TestExportCutShort(t *testing.T) {
	b := newBackend(t)
	b.cutShort = true
	srv := serve(t, b)
	at := "/console/instances/" + hostedID + "/export"
	v := as(t, srv, "ada").get(at)
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(v.body, -1) {
		form.Set(m[1], m[2])
	}
	res, err := v.c.PostForm(srv.URL+at, form)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("the file looks whole")
	}
}

// Who does not own the home instance is offered nothing of the others, and a
// hosted instance has no such pages.
func TestHostedCourtesy(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "grace").get("/console/people").want(200)
	if strings.Contains(v.body, "/console/instances") {
		t.Error("an auditor of an organization is led to the instances")
	}
	for _, p := range []string{"/console/instances", "/console/instances/new", "/console/instances/" + hostedID, "/console/instances/" + hostedID + "/delete"} {
		v.get(p).want(http.StatusNotFound)
	}
}
