package console

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// visitor is a browser without a screen.
type visitor struct {
	t    *testing.T
	base string
	c    *http.Client
	last *http.Response
	body string
}

// as opens a browser in which somebody is signed in; nobody for "".
func as(t *testing.T, srv *httptest.Server, who string) *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{t: t, base: srv.URL, c: &http.Client{Jar: jar}}
	if who != "" {
		v.get("/as/0123456789abcdef-" + who)
	}
	return v
}

func (v *visitor) do(r *http.Request) *visitor {
	v.t.Helper()
	res, err := v.c.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	v.last, v.body = res, string(b)
	return v
}

func (v *visitor) get(path string) *visitor {
	v.t.Helper()
	r, _ := http.NewRequest("GET", v.base+path, nil)
	return v.do(r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(form_token|command_id)" value="([^"]*)">`)

// send posts a form to path with the token and the command id of the open page.
func (v *visitor) send(path string, pairs ...string) *visitor {
	v.t.Helper()
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(v.body, -1) {
		form.Set(m[1], m[2])
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r, _ := http.NewRequest("POST", v.base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r)
}

func (v *visitor) want(status int, texts ...string) *visitor {
	v.t.Helper()
	if v.last.StatusCode != status {
		v.t.Errorf("%s %s: status %d, want %d", v.last.Request.Method, v.last.Request.URL, v.last.StatusCode, status)
	}
	for _, s := range texts {
		if !strings.Contains(v.body, s) {
			v.t.Errorf("%s %s: no %q in\n%s", v.last.Request.Method, v.last.Request.URL, s, v.body)
		}
	}
	return v
}

// Nobody sees anything without being signed in, and is led back afterwards.
func TestSignedOut(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "")
	for _, p := range pagesToSee {
		v.get(p[1]).want(200, "sign in, then ")
		if strings.Contains(v.body, "Ada") || strings.Contains(v.body, "Grace") {
			t.Errorf("%s: %s", p[1], v.body)
		}
	}
	v.get("/console/events?type=user.*").want(200, "sign in, then /console/events?type=user.*")
	// A session that ends while a form is open.
	v = as(t, srv, "ada").get("/console/people/" + graceID + "/lock")
	clear(b.tokens)
	v.send("/console/people/"+graceID+"/lock").want(200, "sign in, then /console/people/"+graceID+"/lock")
	if len(b.calls) != 0 {
		t.Errorf("calls: %q", b.calls)
	}
}

// A form without its token, or from another site, does nothing.
func TestForgedForms(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "ada")
	v.body = ""
	for _, p := range []string{"/console/people/" + graceID + "/lock", "/console/people/" + graceID + "/erase", "/console/members/new", "/account/password", "/console/sessions/" + hereID + "/end"} {
		v.send(p, "typed", "grace@analytical.example").want(http.StatusForbidden)
		v.body = ""
	}
	if len(b.calls) != 0 {
		t.Errorf("calls: %q", b.calls)
	}
}

// Who administers nothing sees their own account and is offered nothing else;
// an auditor is offered no changes.
func TestCourtesy(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "grace").get("/console/people/"+alanID).want(200, "Alan Turing", "Events")
	for _, s := range []string{"/unlock", "/erase", "/deactivate", "Handle with care", "/edit"} {
		if strings.Contains(v.body, s) {
			t.Errorf("an auditor is offered %s", s)
		}
	}
	b.members = nil
	v.get("/").want(200, "Where I am signed in")
	if strings.Contains(v.body, "/console/people\"") {
		t.Error("somebody who administers nothing is led to the directory")
	}
}

// Each form makes the call that it says, in the name of the person, once.
func TestChanges(t *testing.T) {
	b := newBackend(t)
	srv := serve(t, b)
	v := as(t, srv, "ada")
	person, project, org, app := "/console/people/"+graceID, "/console/projects/"+booksID, "/console/organizations/"+acmeID, "/console/applications/"+appID
	spa, robot := "/console/applications/"+spaID, "/console/people/"+robotID
	for _, c := range []struct {
		open, post string
		form       []string
		call, says string
	}{
		{person + "/lock", "", []string{"reason", "because"}, "LockUser " + graceID + " because", "Locked."},
		{person + "/unlock", "", nil, "UnlockUser " + graceID + " ", "Unlocked."},
		{person + "/deactivate", "", nil, "DeactivateUser " + graceID + " ", "Deactivated."},
		{person + "/erase", "", []string{"typed", "Grace@analytical.example"}, "EraseUser " + graceID + " ", "The erasure is event 17"},
		{person + "/setup-link", "", nil, "CreateSetupLink " + graceID, "http://localhost:8080/setup/fresh"},
		{person + "/edit", "", []string{"email", "grace@analytical.example", "given", "Grace B.", "family", "Hopper", "show", "Grace Hopper"}, "ChangeProfile " + graceID + " Grace B. ", "The profile is changed"},
		{person + "/edit", "", []string{"email", "hopper@analytical.example", "given", "Grace", "family", "Hopper", "show", "Grace Hopper"}, "ChangeEmail " + graceID + " hopper@analytical.example", "The profile is changed"},
		{person + "/roles", "", []string{"role", booksID + ":auditor"}, "GrantRole " + graceID + " " + booksID + " auditor", "The role is given"},
		{person, person + "/withdraw", []string{"role", booksID + ":editor"}, "WithdrawRole " + graceID + " " + booksID + " editor", "The role is withdrawn"},
		{person + "/applications/" + appID + "/end", "", nil, "EndUserApplication " + graceID + " " + appID, "The application holds nothing of theirs any more."},
		{person + "/grants/" + booksID + "/deactivate", "", nil, "DeactivateGrant " + graceID + " " + booksID, "The roles stand in no token any more."},
		{person + "/grants/" + booksID + "/reactivate", "", nil, "ReactivateGrant " + graceID + " " + booksID, "Active again."},
		{"/account", "/console/sessions/" + phoneID + "/end", nil, "EndSession " + phoneID, "The session is ended"},
		{"/console/members/new", "", []string{"email", "grace@analytical.example", "scope", acmeID, "role", "admin"}, "AddMember " + graceID + " " + acmeID + " MEMBER_ROLE_ADMIN", "Added."},
		{"/console/members", "/console/members/remove", []string{"user", graceID, "scope", "", "role", "owner"}, "RemoveMember " + graceID + "  MEMBER_ROLE_OWNER", "Removed."},
		{"/console/organizations/new", "", []string{"name", "Difference Ltd"}, "CreateOrganization Difference Ltd", "The organization is added"},
		{org + "/rename", "", []string{"name", "Engines"}, "RenameOrganization Engines", "Renamed."},
		{org + "/deactivate", "", []string{"typed", "Analytical Engines"}, "DeactivateOrganization " + acmeID, "Deactivated."},
		{person + "/end-lockout", "", nil, "EndLockout " + graceID + " ", "The lockout is ended."},
		{"/console/policies/session", "", []string{"lifetime_seconds", "60", "idle_seconds", "7.5", "password_seconds", "0"}, "ChangeSessionPolicy  3600 450", "Sessions: changed."},
		{"/console/policies/password?org=" + acmeID, "", []string{"min_length", "20", "history", "0", "max_age_days", "0", "needs_digit", "1"}, "ChangePasswordPolicy " + acmeID + " 20 true", "Passwords: changed."},
		{"/console/policies/lockout", "", []string{"attempts", "5", "window_seconds", "10", "duration_seconds", "30"}, "ChangeLockoutPolicy  5 600", "Lockout: changed."},
		{"/console/policies/lockout/reset?org=" + acmeID, "", nil, "ResetPolicy " + acmeID + " POLICY_KIND_LOCKOUT", "Lockout: taken back."},
		{org + "/remove", "", []string{"typed", "Analytical Engines"}, "RemoveOrganization " + acmeID + " lock-people-out,end-projects", "It can be restored."},
		{org + "/restore", "", nil, "RestoreOrganization " + acmeID, "Restored."},
		{org, org + "/domains", []string{"domain", "example.org"}, "AddDomain " + acmeID + " example.org", "The domain is claimed."},
		{org, org + "/domains/verify", []string{"domain", "example.net", "vouch", "1"}, "VerifyDomain " + acmeID + " example.net true", "The domain is verified."},
		{org, org + "/domains/primary", []string{"domain", "example.net"}, "SetPrimaryDomain " + acmeID + " example.net", "goes by this domain"},
		{org, org + "/domains/remove", []string{"domain", "example.net"}, "RemoveDomain " + acmeID + " example.net", "given up"},
		{project + "/deactivate", "", nil, "DeactivateProject " + booksID, "Deactivated."},
		{project + "/reactivate", "", nil, "ReactivateProject " + booksID, "Active again."},
		{project, project + "/roles/rename", []string{"key", "editor", "name", "Writer"}, "RenameRole " + booksID + " editor Writer", "The role is renamed."},
		{"/console/members", "/console/members/change", []string{"user", graceID, "scope", "", "role", "owner", "to", "admin"}, "ChangeMemberRole " + graceID + "  MEMBER_ROLE_OWNER MEMBER_ROLE_ADMIN", "The role is changed."},
		{"/console/instance/settings", "", []string{"name", "Analytical Engines", "home", "", "privacy", "https://example.org/p", "terms", "", "support", ""}, "ChangeLinks https://example.org/p  ", "The settings are as you said."},
		{"/console/projects/new", "", []string{"name", "Looms", "org", acmeID}, "CreateProject " + acmeID + " Looms", "The project is added"},
		{project, project + "/roles", []string{"key", "reader"}, "AddRole reader", "The role is added"},
		{project, project + "/roles/remove", []string{"key", "editor"}, "RemoveRole editor", "The role is removed"},
		{project + "/remove", "", []string{"typed", "Ledger Books"}, "RemoveProject " + booksID, "The project is removed"},
		{project + "/restore", "", nil, "RestoreProject " + booksID, "Restored."},
		{project + "/applications/new", "", []string{"name", "A", "uris", "https://a.example/cb\r\n\r\n https://b.example/cb ", "alg", "RS256"}, "CreateWebApplication A https://a.example/cb,https://b.example/cb SIGNING_ALGORITHM_RS256", "Xo9s-7Vn2q"},
		{app, app + "/addresses", []string{"uris", "https://a.example/cb", "logout", "https://a.example/bye"}, "ChangeRedirectUris https://a.example/cb https://a.example/bye", "The addresses are changed"},
		{project + "/applications/new?kind=spa", "", []string{"name", "Till", "uris", "https://a.example/", "origins", "https://b.example"}, "CreateSinglePageApplication Till https://a.example/ https://b.example", "Till is ready"},
		{project + "/applications/new?kind=native", "", []string{"name", "Pocket", "uris", "com.example.app:/cb"}, "CreateNativeApplication Pocket com.example.app:/cb", "Pocket is ready"},
		{project + "/applications/new?kind=api", "", []string{"name", "Ledger"}, "CreateApiApplication Ledger ", "an-api-secret"},
		{app + "/secret", "", []string{"name", "stage", "days", "30"}, "CreateApplicationSecret stage true", "a-new-secret"},
		{app + "/secret", "", []string{"days", "0"}, "CreateApplicationSecret  false", "a-new-secret"},
		{app + "/secrets/" + oldSecretID, "", nil, "RemoveApplicationSecret " + oldSecretID, "Removed."},
		{app + "/key", "", []string{"name", "k", "key", "{}"}, "AddApplicationKey k {}", "The key is added"},
		{app + "/keys/" + keyID, "", nil, "RemoveApplicationKey " + keyID, "Removed."},
		{app, app + "/settings", []string{"refresh", "1", "token", "OPAQUE", "alg", "RS256", "auth", "PRIVATE_KEY_JWT"},
			"ChangeApplicationSettings [GRANT_TYPE_AUTHORIZATION_CODE GRANT_TYPE_REFRESH_TOKEN] ACCESS_TOKEN_TYPE_OPAQUE SIGNING_ALGORITHM_RS256 CLIENT_AUTH_METHOD_PRIVATE_KEY_JWT false false", "The settings are changed"},
		{spa, spa + "/origins", []string{"origins", "https://a.example\nhttps://b.example"}, "ChangeAllowedOrigins https://a.example,https://b.example", "The origins are changed"},
		{app + "/rename", "", []string{"name", "Books"}, "RenameApplication Books", "Renamed."},
		{app + "/deactivate", "", []string{"typed", "Bookkeeping"}, "DeactivateApplication " + appID, "The application is deactivated"},
		{spa + "/reactivate", "", nil, "ReactivateApplication " + spaID, "The application is reactivated"},
		{app + "/remove", "", []string{"typed", "Bookkeeping"}, "RemoveApplication " + appID, "The application is removed"},
		{app + "/restore", "", nil, "RestoreApplication " + appID, "The application is restored."},
		{"/console/machines/new", "", []string{"name", "Backup", "description", "every night", "org", acmeID}, "CreateMachineUser " + acmeID + " Backup every night", "The machine user is added"},
		{robot + "/edit", "", []string{"name", "Archive", "description", "d"}, "ChangeMachineUser Archive d", "Changed."},
		{robot + "/secret", "", []string{"name", "prod"}, "CreateUserSecret prod", "a-robots-secret"},
		{robot + "/secrets/" + oldSecretID, "", nil, "RemoveUserSecret " + oldSecretID, "Removed."},
		{robot + "/key", "", []string{"key", "{}"}, "AddUserKey {}", "The key is added"},
		{robot + "/keys/" + keyID, "", nil, "RemoveUserKey " + keyID, "Removed."},
		{robot + "/lock", "", nil, "LockUser " + robotID + " ", "Locked."},
		{"/account", "", []string{"given", "Augusta Ada", "family", "Lovelace", "show", "Ada Lovelace"}, "ChangeProfile " + adaID + " Augusta Ada ", "Your name is changed"},
		{"/account", "/account/applications/" + appID + "/end", nil, "EndMyApplication " + appID, "holds nothing of yours any more"},
		{"/console/instance/keys/rotate", "", nil, "RotateSigningKeys false", "Other keys sign from now on"},
		{"/console/instance/keys/schedule", "", []string{"every_seconds", "30", "announce_seconds", "0.5", "remain_seconds", "2"}, "ChangeSigningKeySchedule 2592000 43200 172800", "The schedule is changed."},
		{"/console/instance/keys/distrust", "", nil, "RotateSigningKeys true", "Verifies only"},
		{"/account/password", "", []string{"old", "correct horse battery", "new", "another horse", "same", "another horse"}, "ChangePassword", "Your password is changed"},
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
	for id, n := range b.commands {
		if n != 1 {
			t.Errorf("command %s came %d times", id, n)
		}
	}
}

// What cannot be undone is not done before the right thing was typed.
func TestTyped(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	for _, c := range [][3]string{
		{"/console/people/" + graceID + "/erase", "", "This is not their e-mail address. Nothing was done."},
		{"/console/people/" + graceID + "/erase", "ada@analytical.example", "This is not their e-mail address. Nothing was done."},
		{"/console/projects/" + booksID + "/remove", "Ledger", "This is not the project&#39;s name. Nothing was done."},
		{"/console/applications/" + appID + "/remove", " ", "This is not the application&#39;s name. Nothing was done."},
		{"/console/organizations/" + acmeID + "/deactivate", "babbage", "This is not the organization&#39;s name. Nothing was done."},
	} {
		v.get(c[0]).send(c[0], "typed", c[1]).want(http.StatusUnprocessableEntity, c[2])
	}
	if len(b.calls) != 0 {
		t.Errorf("calls: %q", b.calls)
	}
}

// Refusals are said where they belong: beside the field, on the form, or on the
// page that the person came from. Faults of ours show nothing of their cause.
func TestRefusals(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	v.get("/console/people/new").send("/console/people/new", "email", "nonsense", "given", "X").want(422, `id="email-error"`, "An e-mail address has a name, an @ and a host.", `value="nonsense"`)
	v.send("/console/people/new", "email", "grace@analytical.example", "given", "X").want(409, "This e-mail address belongs to somebody.")
	v.get("/console/organizations/new").send("/console/organizations/new", "name", "").want(422, `id="name-error"`)
	v.send("/console/organizations/new", "name", "Analytical Engines").want(409, `id="name-error"`)
	at := "/console/projects/" + booksID + "/applications/new"
	v.get(at).send(at, "name", "A", "uris", "ftp://x").want(422, `id="uris-error"`, ">ftp://x</textarea>")
	v.get("/console/members/new").send("/console/members/new", "email", "nobody@example.org", "role", "owner").want(422, "Nobody here has this e-mail address.")
	for _, c := range [][4]string{
		{"", "another horse", "another horse", "Enter your present password."},
		{"x", "short", "short", "at least 8 characters"},
		{"x", strings.Repeat("x", 257), "", "at most 256"},
		{"x", "another horse", "another house", "This is not the same as above."},
		{"wrong", "another horse", "another horse", "This is not your present password."},
	} {
		v.get("/account/password").send("/account/password", "old", c[0], "new", c[1], "same", c[2]).want(422, c[3])
		if c[0] != "" && c[0] != "x" && strings.Contains(v.body, c[0]+`"`) {
			t.Error("a password is echoed")
		}
	}
	// Alan is locked: to lock him again is refused.
	v.get("/console/people/"+alanID+"/lock").send("/console/people/"+alanID+"/lock").want(200, "The user is not in the state for this.", "Alan Turing")
	b.deny["LockUser"] = &fault.Error{Kind: fault.Unknown, Msg: "it is not known whether it happened"}
	v.get("/console/people/"+graceID+"/lock").send("/console/people/"+graceID+"/lock").want(200, "It is not known whether it happened. Look here")
	b.deny["ListEvents"] = fault.New(fault.Denied, "you may not read events")
	v.get("/console/people/"+graceID).want(200, "Nothing that you may see.")
	v.get("/console/events").want(403, "You may not read events.")
	b.deny["ListUsers"] = &fault.Error{Kind: fault.Internal, Msg: "disk sector 7"}
	v.get("/console/people").want(500, "Something went wrong on our side")
	if strings.Contains(strings.ToLower(v.body), "sector") {
		t.Errorf("the cause is shown:\n%s", v.body)
	}
	for _, p := range []string{"/console/people/nonsense", "/console/people/" + strings.Repeat("0", 32), "/console/people/" + graceID + "/explode",
		"/console/events/0", "/console/events/-1", "/console/events/x", "/console/events/99", "/console/nowhere", "/account/nowhere",
		"/console/projects/" + booksID + "/explode", "/console/organizations/" + acmeID + "/explode", "/console/applications/" + appID + "/explode"} {
		v.get(p).want(404, "Nothing here")
	}
	v.get("/console/people?state=asleep").want(400)
	v.get("/console/organizations?state=asleep").want(400)
}

// The address of the events page says what is shown, and what cannot be right in
// it is said.
func TestEventFilter(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	v.get("/console/events?type=user.*").want(200, "locked Alan Turing", "11 times")
	if strings.Contains(v.body, "role.withdrawn") {
		t.Error("the type is not looked at")
	}
	v.get("/console/events?type=user.*+session.*&from=2026-11-01").want(200, "filter.from=2026-11-01T00%3A00%3A00Z&amp;filter.types=user.%2A&amp;filter.types=session.%2A")
	v.get("/console/events?order=oldest&type=user.*").want(200, "registered Grace Hopper")
	if strings.Index(v.body, "registered Grace") > strings.Index(v.body, "locked Alan") {
		t.Error("the order is not looked at")
	}
	v.get("/console/events?from=2026-11-21T05:00&to=2026-11-21T07:00").want(200, "locked Alan Turing")
	if strings.Contains(v.body, "Ada Lovelace signed in") || strings.Contains(v.body, "11 times") {
		t.Error("the time is not looked at")
	}
	for _, q := range []string{"from=yesterday", "to=1", "stream=user", "stream=user:1", "actor=:" + adaID, "org=1", "user=x", "subject=x", "stream=user:*+x", "order=x"} {
		v.get("/console/events?"+q).want(422, `class="note bad"`)
	}
	// The keyset walks over everything once, newest first.
	for range 3 * pageSize {
		b.record(0, "user:"+alanID, "user.renamed", adaID, "Ada Lovelace renamed Alan Turing")
	}
	var seen []string
	for next := "/console/events"; next != ""; {
		v.get(next)
		for _, m := range regexp.MustCompile(`data-position="(\d+)"`).FindAllStringSubmatch(v.body, -1) {
			seen = append(seen, m[1])
		}
		m := regexp.MustCompile(`href="([^"]+)">Older`).FindStringSubmatch(v.body)
		next = ""
		if m != nil {
			next = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	for i, s := range seen {
		if s != strconv.Itoa(len(b.events)-i) {
			t.Fatalf("walked over %q", seen)
		}
	}
	if len(seen) != len(b.events) {
		t.Errorf("walked over %d of %d", len(seen), len(b.events))
	}
}

// An event's page has its fields, its context, its record and its proof, and
// tells erased from sealed from empty.
func TestEventPage(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	v.get("/console/events/12").want(200, "g.hopper@analytical.example</del>", "grace@analytical.example</ins>", `class="erased"`, ">sealed</span>",
		"Proof checked", "IP address", "3: 12,", "00000000  a3 01 01", strings.Repeat("5a", 32))
	v.get("/console/events/14").want(200, "Not covered yet")
	v.get("/console/events/8").want(200, "The proof does not fit", "the leaf at position 8 hashes to")
	v.get("/console/events/12/receipt").want(200)
	if got := v.last.Header.Get("Content-Disposition"); got != `attachment; filename="receipt-..12.txt"` || v.body != "receipt" {
		t.Errorf("receipt: %s %q", got, v.body)
	}
	v.get("/console/events/14/receipt").want(503, "No checkpoint covers this event yet")
	b.record(0, "user:"+alanID, `user.<script>`, adaID, `<script>alert(1)</script>`, set("/x", `"><img src=x onerror=alert(1)>`))
	v.get("/console/events/18").want(200)
	if strings.Contains(v.body, "<script>alert") || strings.Contains(v.body, "<img src=x") {
		t.Errorf("not escaped:\n%s", v.body)
	}
}

// The live stream goes on where the browser was, sends one line per event, and
// ends with the request.
func TestLive(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", v.base+"/console/events/live?type=user.*&after=3", nil)
	r.Header.Set("Last-Event-ID", "10")
	res, err := v.c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream; charset=utf-8" {
		t.Errorf("Content-Type: %s", ct)
	}
	var ids []string
	lines := bufio.NewScanner(res.Body)
	for len(ids) < 3 && lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			if ids = append(ids, id); id == "12" {
				b.mu.Lock()
				b.record(0, "user:"+alanID, "user.unlocked", adaID, "Ada unlocked Alan <b>")
				b.mu.Unlock()
			}
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && (!strings.HasPrefix(data, "<li data-position=") || strings.Contains(data, "<b>")) {
			t.Errorf("data: %s", data)
		}
	}
	if !slices.Equal(ids, []string{"11", "12", "18"}) {
		t.Errorf("events: %q", ids)
	}
	v.get("/console/events/live?after=x").want(400)
	as(t, &httptest.Server{URL: v.base}, "").get("/console/events/live?after=1").want(200, "sign in, then")
}

// Without a checkpoint the instance's page says so instead of failing.
func TestNoCheckpoint(t *testing.T) {
	b := newBackend(t)
	b.noPoint = true
	as(t, serve(t, b), "ada").get("/console/instance").want(200, "No checkpoint yet")
}

// Nothing that a page needs forces a script, a style or a host that its policy
// forbids.
func TestPagesObeyTheirPolicy(t *testing.T) {
	v := as(t, serve(t, newBackend(t)), "ada")
	bad := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script[^>]*>[^<]|(src|action)="(https?:)?//`)
	for _, p := range append(pagesToSee, [3]string{"live", "/console/events?live=1"}) {
		v.get(p[1])
		if m := bad.FindString(v.body); m != "" {
			t.Errorf("%s holds %q", p[1], m)
		}
		csp := v.last.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'") {
			t.Errorf("%s: policy %q", p[1], csp)
		}
		if strings.Contains(csp, "connect-src") != (p[0] == "live") {
			t.Errorf("%s: policy %q", p[1], csp)
		}
	}
}

// Types that nobody thought of have a mark; user agents are named as far as
// they are known.
func TestWords(t *testing.T) {
	for in, want := range map[string]mark{
		"user.locked": {"lock", page.Warn}, "user.password.failed": {"bad", page.Bad}, "user.erased": {"flame", page.Bad},
		"order.shipped": {"events", page.Calm}, "": {"events", page.Calm}, "oidc.code.redeemed": {"key", page.Calm},
	} {
		if got := eventMark(in); got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
	for in, want := range map[string]string{firefox: "Firefox on Linux", "": "", "curl/8.1": "curl", "something else entirely": "something else entirely"} {
		if got := device(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	erased := &munimentv1.User{DisplayName: gone(), GivenName: gone(), Email: gone()}
	if got := userName(erased); got != "" {
		t.Errorf("an erased person is called %q", got)
	}
}

// FuzzEventQuery: whatever stands in the address is an Invalid fault or a filter
// that survives being written to an address and read again.
func FuzzEventQuery(f *testing.F) {
	f.Add("type=user.*&from=2026-01-02T03:04&token=7&order=oldest&subject=*&stream=user:" + adaID)
	f.Add("to=x&actor=:&org=%00&tag=a,b")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		one := readEventQuery(q)
		a, err := one.filter()
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%q: %v", s, err)
		}
		two := readEventQuery(one.values())
		b, err2 := two.filter()
		if two != one || (err == nil) != (err2 == nil) || a.String() != b.String() {
			t.Errorf("%q: %v and %v", s, one, two)
		}
	})
}

// What weakens security asks whether it is meant, and goes on when it is; what
// is out of bounds stands at its field.
func TestPolicyForm(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	long := []string{"access_seconds", "120", "id_seconds", "10", "refresh_idle_seconds", "100", "refresh_lifetime_seconds", "100"}
	v.get("/console/policies/token").send("/console/policies/token", long...).want(409, "Tokens outlive locks.", "That is meant", "long-access-tokens")
	v.send("/console/policies/token", append(long, "acknowledge", "long-access-tokens")...).want(200, "Tokens: changed.")
	v.get("/console/policies/session").send("/console/policies/session", "lifetime_seconds", "1", "idle_seconds", "x", "password_seconds", "0").want(422, "Enter a number.")
	v.send("/console/policies/session", "lifetime_seconds", "1", "idle_seconds", "0", "password_seconds", "0").want(422, "outside of what is allowed", "5 minutes to 90 days")
	v.get("/console/policies/nothing").want(404, "no such page")
	v.get("/console/policies?org="+acmeID).want(200, "Set by the organization", "Set by the instance", "As Muniment comes", "12 hours", "15 characters", "Take back")
}
