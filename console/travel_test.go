package console

import (
	"strings"
	"testing"
)

// A page that can be looked at as it was says as of when, asks the API for that
// point, leads back to now, and offers nothing that would change anything.
func TestPagesOfThePast(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	pages := map[string]string{"/console/people": "/console/compare?list=users", "/console/people/" + graceID: "/console/compare?from=7&amp;object=user%3A" + graceID,
		"/console/organizations": "list=organizations", "/console/organizations/" + acmeID: "object=organization%3A" + acmeID,
		"/console/projects": "list=projects", "/console/projects/" + booksID: "object=project%3A" + booksID,
		"/console/applications/" + appID: "object=application%3A" + appID, "/console/members": "list=members", "/console/holders": ""}
	for path, compare := range pages {
		v.get(path).want(200, `type="range"`, "How it was")
		if strings.Contains(v.body, "Back to now") {
			t.Errorf("%s is in the past already", path)
		}
		v.get(path+"?at=7").want(200, "right after <a href=\"/console/events/7\">#7</a>", `<a href="`+path+`">Back to now</a>`, `value="7" data-travel`)
		if compare != "" && !strings.Contains(v.body, "from=7") {
			t.Errorf("%s leads to no comparison", path)
		}
		for _, change := range []string{`method="post" action="/console/projects`, ">Add a person<", ">Add an organization<", ">Rename<", "Handle with care", ">Add a member<"} {
			if strings.Contains(v.body, change) {
				t.Errorf("%s as it was offers %q", path, change)
			}
		}
	}
	b.asked = nil
	v.get("/console/people/"+graceID+"?on=2026-11-21T05:00").want(200, "Back to now", "read.at_time=2026-11-21T05%3A00%3A00Z", "--at 2026-11-21T05:00:00Z")
	for _, r := range b.asked {
		if r.GetAtTime() == nil {
			t.Errorf("a part of the page is not as of that time: %v", b.asked)
		}
	}
	for _, bad := range []string{"at=0", "at=yesterday", "on=x", "at=-1"} {
		v.get("/console/people?"+bad).want(400, "")
	}
	v.get("/console/people?state=locked&at=7").want(200, `name="state" value="locked"`, `/console/people?state=locked">Back to now`)
}

// The compare page shows fields before and after, and the events; holders show
// by whom.
func TestCompareAndHolders(t *testing.T) {
	v := as(t, serve(t, newBackend(t)), "ada")
	v.get("/console/compare?object=user:"+graceID+"&from=3&to=14").want(200, "Grace Hopper", "g.hopper@analytical.example</del>", "grace@analytical.example</ins>",
		`class="erased"`, "Changed", "Removed", "1 event that you may not see", "/console/events/12", "muniment history compare --object user:"+graceID+" --from 3 --to 14")
	v.get("/console/compare?list=users&from=14").want(200, "Nothing differs")
	v.get("/console/compare?list=users&from=9&to=3").want(422, "must not lie before")
	v.get("/console/compare?from=yesterday").want(422, "Write a position")
	v.get("/console/holders?project="+booksID+"&ended=1").want(200, "editor in Ledger Books", "held</span>", "by Ada Lovelace", "/console/events/14", "Only those that held",
		"muniment history list-role-holders --project-id "+booksID+" --include-ended")
	v.get("/console/holders").want(200, "Owner of the whole instance", "Also those that ended")
}
