package externalapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/instancetest"
)

func small(r *munimentv1.CreateAdapterRequest) { r.BatchSize = 2 }

// Issue 5, 8: what an external system offers is recorded, page by page, by its
// own cursor; offered again, or in another order, it is recorded once; and it
// does not go back to where it came from.
func TestPull(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ada, grace := uuid(), uuid()
	x.offers = []string{offered("a-1", "create-individual", ada, `{"name":"Ada"}`), offered("a-2", "update-individual", ada, `{"phone":"1"}`),
		offered("g-1", "create-individual", grace, `{"name":"Grace"}`), offered("a-2", "update-individual", ada, `{"phone":"1"}`), offered("a-1", "create-individual", ada, `{"name":"Ada"}`)}
	id, _ := s.adapter(t, x.URL, both, small)
	until(t, "all is recorded", func() bool { return s.individual(grace) != "" })
	a := s.run(t, id)
	if got := s.individual(ada); got != `{"name":"Ada","phone":"1"}` {
		t.Errorf("the individual: %s", got)
	}
	changes := instancetest.Must(s.API.Entity.ListEntityChanges(s.ctx, &munimentv1.ListEntityChangesRequest{Type: "individual", EntityId: ada})).GetChanges()
	if len(changes) != 2 {
		t.Errorf("recorded: %v", changes)
	}
	if p := a.GetProgress(); p.GetPullFailure() != "" || p.GetFailedRuns() != 0 || p.GetRefused() != 0 {
		t.Errorf("the progress: %v", p)
	}
	if l, by := s.level(changes[0].GetEventId()); l != external || !slices.Equal(by, []string{id}) {
		t.Errorf("the level: %v by %v", l, by)
	}
	here := s.publish(t, [3]string{"update-individual", ada, `{"phone":"2"}`})
	s.run(t, id)
	if got := x.taken(); len(got) != 1 || got[0].ID != here[0] {
		t.Errorf("pushed: %v", got)
	}
	x.with(func() { // and what was pushed is offered back
		x.offers = append(x.offers, offered(here[0], "update-individual", ada, `{"phone":"2"}`), offered("g-2", "update-individual", grace, `{"phone":"3"}`))
	})
	s.run(t, id)
	if got := s.individual(grace); got != `{"name":"Grace","phone":"3"}` {
		t.Errorf("the individual: %s", got)
	}
	if want := []string{"", "2", "4", "5"}; !slices.Equal(x.asked[:4], want) {
		t.Errorf("asked for what stands behind %q", x.asked)
	}
}

// An event that cannot be recorded holds up its own entity, and nothing else. It
// is not kept, and said without what it says; once what was wrong is mended it is
// redriven, or given up.
func TestPullRefused(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ada, grace, alan := uuid(), uuid(), uuid()
	x.offers = []string{
		offered("1", "create-individual", ada, `{"name":""}`), offered("2", "update-individual", ada, `{"phone":"1"}`),
		offered("3", "create-individual", grace, `{"name":"Grace"}`), offered("4", "update-individual", alan, `{"phone":"1"}`),
		offered("5", "create-group", uuid(), `{"name":"Band"}`), `{"specversion":"1.0","id":"6"}`, `7`,
		offered("8", "create-individual", uuid(), `{"Jane Doe":true,"name":"x"}`)}
	id, _ := s.adapter(t, x.URL, pull)
	until(t, "the others are recorded", func() bool { return s.individual(grace) != "" && len(s.failures(id)) == 7 })
	s.run(t, id)
	var why []string
	for _, f := range s.failures(id) {
		why = append(why, f.GetFailure()+" "+f.GetField())
		if strings.Contains(f.String(), "Jane") {
			t.Errorf("what a stranger says is in the log: %v", f)
		}
	}
	if want := []string{"invalid name", "waits ", "absent ", "invalid subject", "invalid source", "invalid ", "invalid data"}; !slices.Equal(why, want) {
		t.Errorf("refused: %q", why)
	}
	if s.individual(ada) != "" {
		t.Error("what waits was recorded")
	}
	x.with(func() { x.offers[0] = offered("1", "create-individual", ada, `{"name":"Ada"}`) })
	instancetest.Must(s.API.Adapter.RedriveAdapterFailures(s.ctx, &munimentv1.RedriveAdapterFailuresRequest{AdapterId: id, EveryOne: true}))
	until(t, "it is recorded, and what waited for it", func() bool { return s.individual(ada) == `{"name":"Ada","phone":"1"}` })
	until(t, "the others are refused again", func() bool { return len(s.failures(id)) == 5 })
	instancetest.Must(s.API.Adapter.DiscardAdapterFailures(s.ctx, &munimentv1.DiscardAdapterFailuresRequest{AdapterId: id, EveryOne: true}))
	s.run(t, id)
	if f := s.failures(id); len(f) != 0 {
		t.Errorf("after they were given up: %v", f)
	}
}

// The external system is heard with the owner's rights: what its owner may not
// publish is refused; an owner who is locked has nothing done; and what breaks
// too often ends the adapter.
func TestPullRights(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ada := uuid()
	x.offers = []string{offered("1", "create-individual", ada, `{"name":"Ada"}`)}
	admin := s.Member(s.Org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN)
	res := instancetest.Must(s.API.Adapter.CreateAdapter(s.As(admin), &munimentv1.CreateAdapterRequest{Name: "x", Scope: instancetest.In(s.Org), Direction: pull, EndpointUrl: x.URL, EntityTypes: []string{"individual"}}))
	id := res.GetAdapterId()
	until(t, "it is refused", func() bool { f := s.failures(id); return len(f) == 1 && f[0].GetFailure() == "denied" })
	instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: admin, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: instancetest.In(s.Org)}))
	instancetest.Must(s.API.Adapter.RewindAdapter(s.ctx, &munimentv1.RewindAdapterRequest{AdapterId: id, Pull: true}))
	instancetest.Must(s.API.Adapter.ChangeAdapter(s.As(admin), &munimentv1.ChangeAdapterRequest{AdapterId: id, Name: new("y")}))
	until(t, "it is recorded", func() bool { return s.individual(ada) != "" })
	e := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "individual", EntityId: ada})).GetEntity()
	if e.GetOrganizationId() != s.Org {
		t.Errorf("it is of %q", e.GetOrganizationId())
	}
	instancetest.Must(s.API.User.LockUser(s.ctx, &munimentv1.LockUserRequest{UserId: admin}))
	if a := s.run(t, id); a.GetState() != munimentv1.AdapterState_ADAPTER_STATE_STOPPED || !strings.Contains(a.GetStoppedBecause(), "owner") {
		t.Errorf("with an owner who is locked: %v", a)
	}
	x.with(func() {
		x.offers = nil
		for n := range 300 {
			x.offers = append(x.offers, fmt.Sprintf(`{"n":%d}`, n))
		}
	})
	id, _ = s.adapter(t, x.URL, pull)
	until(t, "it is stopped", func() bool { return s.get(id).GetState() == munimentv1.AdapterState_ADAPTER_STATE_STOPPED })
	if n := len(s.failures(id)); n != 200 {
		t.Errorf("%d are refused", n)
	}
}

// What an external system answers that is not what was agreed, ends the run, is
// seen, and costs a bounded amount; the next run asks again.
func TestHostile(t *testing.T) {
	s := newSite(t)
	secret := newSystem(t) // where nobody must get to
	for name, c := range map[string]struct {
		offer http.HandlerFunc
		want  string
	}{
		"not JSON":                    {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>log in</html>")) }, "malformed"}, //nolint:errcheck // a test
		"no object":                   {answers(`[]`), "malformed"},
		"cut short":                   {answers(`{"events":[`), "malformed"},
		"empty":                       {answers(``), "malformed"},
		"a long cursor":               {answers(`{"events":[],"next":"` + strings.Repeat("x", 3000) + `"}`), "malformed"},
		"a broken cursor":             {answers(`{"events":[],"next":"a\nb"}`), "malformed"},
		"too many":                    {answers(`{"events":[` + strings.Repeat(`1,`, 1000) + `1]}`), "malformed"},
		"huge":                        {answers(`{"next":"` + strings.Repeat("x", 9<<20) + `"}`), "too-large"},
		"a cursor that does not move": {answers(`{"events":[` + strings.Repeat(`1,`, 99) + `1],"next":""}`), "stuck"},
		"redirected":                  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secret.URL, http.StatusFound) }, "answered"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{")) //nolint:errcheck // a test
		}, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSystem(t)
			x.offer = c.offer
			id, _ := s.adapter(t, x.URL, both)
			until(t, "it is seen", func() bool {
				p := s.get(id).GetProgress()
				return p.GetPullFailure() == c.want && p.GetFailedRuns() > 1
			})
			if p := s.get(id).GetProgress(); p.GetPushFailure() != "" {
				t.Errorf("and pushing: %v", p)
			}
			instancetest.Must(s.API.Adapter.RemoveAdapter(s.ctx, &munimentv1.RemoveAdapterRequest{AdapterId: id}))
		})
	}
	if secret.called() != 0 {
		t.Error("a redirect was followed")
	}
}

func answers(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body)) //nolint:errcheck // a test
	}
}

// An endless supply of cursors does not keep a run busy for ever.
func TestEndless(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	n := 0
	x.offer = func(w http.ResponseWriter, _ *http.Request) {
		n++
		answers(fmt.Sprintf(`{"events":[%s],"next":"%d"}`, offered("1", "create-individual", uuid(), `{"name":"Ada"}`), n))(w, nil)
	}
	id, _ := s.adapter(t, x.URL, pull)
	until(t, "the run ends", func() bool { return s.get(id).GetProgress().GetLastSuccess() != nil })
	if x.with(func() {}); n != 100 {
		t.Errorf("%d pages", n)
	}
}
