package externalapi_test

import (
	"net/http"
	"slices"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Issue 5, 8: what was recorded is pushed, of each entity in order, signed so
// that a stranger's library verifies it; and is EXTERNAL then, not before. What
// is not for the adapter stays here.
func TestPush(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ada, grace, band := uuid(), uuid(), uuid()
	first := s.publish(t, [3]string{"create-individual", ada, `{"name":"Ada"}`}, [3]string{"create-individual", grace, `{"name":"Grace"}`}, [3]string{"update-individual", ada, `{"phone":"1"}`},
		[3]string{"create-group", band, `{"name":"Band"}`})
	if l, _ := s.level(first[0]); l != remote {
		t.Errorf("before there is an adapter: %v", l)
	}
	id, secret := s.adapter(t, x.URL+"/events?tenant=1", push)
	until(t, "all is pushed", func() bool { return len(x.taken()) == 3 })
	second := s.publish(t, [3]string{"update-individual", ada, `{"phone":"2"}`})
	a := s.run(t, id)
	got := x.taken()
	if len(got) != 4 || got[0].ID != first[0] || got[3].ID != second[0] || got[3].Data["phone"] != "2" || got[0].Subject != "individual/"+ada || got[0].Source != "https://id.example.org" {
		t.Fatalf("pushed: %v", got)
	}
	until(t, "it is known to be taken", func() bool { l, _ := s.level(second[0]); return l == external })
	for n, want := range map[string]munimentv1.DeliveryLevel{first[0]: external, first[2]: external, second[0]: external, first[3]: remote, uuid(): local} {
		l, by := s.level(n)
		if l != want || (l == external) != slices.Equal(by, []string{id}) {
			t.Errorf("the level: %v by %v, want %v", l, by, want)
		}
	}
	if p := a.GetProgress(); p.GetFailedRuns() != 0 || p.GetPushFailure() != "" || p.GetBehind() != 0 || p.GetLastSuccess() == nil || !p.GetNextRun().AsTime().After(p.GetLastRun().AsTime()) {
		t.Errorf("the progress: %v", p)
	}
	w := instancetest.Must(standardwebhooks.NewWebhook(secret))
	for _, h := range x.headers {
		if err := w.Verify([]byte(h.Get("Body")), h); err != nil {
			t.Errorf("the signature: %v", err)
		}
		if h.Get("Idempotency-Key") != h.Get("webhook-id") || h.Get("Content-Type") != "application/cloudevents-batch+json; charset=utf-8" {
			t.Errorf("the headers: %v", h)
		}
	}
}

// What nobody may open is withheld, and named; what the external system wants as
// proof comes with each call.
func TestPushSealed(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`})
	s.adapter(t, x.URL, push, func(r *munimentv1.CreateAdapterRequest) {
		r.Unsealed, r.Credential, r.BearerToken = false, munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER, "t0ken"
	})
	until(t, "it is pushed", func() bool { return len(x.taken()) == 1 })
	if e := x.taken()[0]; len(e.Data) != 0 || e.Withheld != "name" {
		t.Errorf("pushed: %v", e)
	}
	if got := x.headers[0].Get("Authorization"); got != "Bearer t0ken" {
		t.Errorf("the proof: %q", got)
	}
	id, _ := s.adapter(t, x.URL, push, func(r *munimentv1.CreateAdapterRequest) {
		r.Credential, r.Username, r.Password = munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BASIC, "Aladdin", "open sesame"
	})
	until(t, "the other pushes, too", func() bool { return len(x.taken()) == 2 })
	if got := x.headers[1].Get("Authorization"); got != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" { // RFC 7617 §2
		t.Errorf("the proof: %q", got)
	}
	instancetest.Must(s.API.Adapter.SetAdapterCredential(s.ctx, &munimentv1.SetAdapterCredentialRequest{AdapterId: id}))
	s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Grace"}`})
	s.run(t, id)
	if h := x.headers[len(x.headers)-1]; h.Get("Authorization") != "" || h.Get("webhook-signature") == "" {
		t.Errorf("after another credential was set: %v", h)
	}
}

// An outage is waited out: nothing is lost, nothing is given up, and nothing is
// EXTERNAL before it was taken. The external system sees repetitions by their ids.
func TestOutage(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	seen := map[string]int{}
	down := http.StatusServiceUnavailable
	x.take = func(w http.ResponseWriter, events []sent) bool {
		for _, e := range events {
			seen[e.ID]++
		}
		if down != 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(down)
		}
		return down == 0
	}
	ada := uuid()
	ids := s.publish(t, [3]string{"create-individual", ada, `{"name":"Ada"}`}, [3]string{"update-individual", ada, `{"phone":"1"}`})
	id, _ := s.adapter(t, x.URL, push)
	for _, status := range []int{503, 429, 401, 404, 302, 500} {
		x.with(func() { down = status })
		before := x.called()
		until(t, "it is tried again and again", func() bool {
			p := s.get(id).GetProgress()
			return x.called() > before+2 && p.GetPushFailure() == "answered" && p.GetPushStatus() == int32(status) && p.GetFailedRuns() > 1 && p.GetBehind() > 0
		})
	}
	if l, _ := s.level(ids[0]); l != remote || len(s.failures(id)) != 0 {
		t.Errorf("during the outage: %v, %v", l, s.failures(id))
	}
	x.with(func() { down = 0 })
	until(t, "both are taken", func() bool { return len(x.taken()) == 2 })
	if got := x.taken(); got[0].ID != ids[0] || got[1].ID != ids[1] || seen[ids[0]] < 10 || seen[ids[1]] != 1 {
		t.Errorf("taken: %v, seen %v", got, seen)
	}
	until(t, "it is said that it is over", func() bool { p := s.get(id).GetProgress(); return p.GetFailedRuns() == 0 && p.GetPushFailure() == "" })
}

// An event that is refused holds up its own entity, and nothing else, whether the
// whole batch is refused because of it, or it alone; until it is redriven or
// discarded. Whatever was given up is not EXTERNAL.
func TestRefused(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter, bad string){
		"the batch": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusUnprocessableEntity) },
		"the event": func(w http.ResponseWriter, bad string) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"results":[{"id":"` + bad + `","status":"refused"}]}`)) //nolint:errcheck // a test
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, x := newSite(t), newSystem(t)
			ada, grace, alan := uuid(), uuid(), uuid()
			ids := s.publish(t, [3]string{"create-individual", ada, `{"name":"Ada"}`}, [3]string{"create-individual", grace, `{"name":"Bad"}`}, [3]string{"create-individual", alan, `{"name":"Alan"}`},
				[3]string{"update-individual", grace, `{"phone":"1"}`}, [3]string{"update-individual", ada, `{"phone":"1"}`})
			bad := ids[1]
			x.take = func(w http.ResponseWriter, events []sent) bool {
				at := slices.IndexFunc(events, func(e sent) bool { return e.ID == bad })
				if at < 0 {
					return true
				}
				if refuse(w, bad); name == "the event" {
					x.got = append(x.got, slices.Delete(events, at, at+1)...)
				}
				return false
			}
			id, _ := s.adapter(t, x.URL, push)
			until(t, "the others are taken", func() bool { return len(x.taken()) == 3 && len(s.failures(id)) == 1 })
			f := s.failures(id)[0]
			if f.GetPosition() == 0 || f.GetAttempts() != 1 || f.GetStream() != "individual:"+grace || s.get(id).GetProgress().GetFailedRuns() != 0 {
				t.Errorf("the failure: %v", f)
			}
			instancetest.Must(s.API.Adapter.RedriveAdapterFailures(s.ctx, &munimentv1.RedriveAdapterFailuresRequest{AdapterId: id, EveryOne: true}))
			before := x.called()
			until(t, "it is tried again, and refused again", func() bool { return x.called() > before && len(s.failures(id)) == 1 })
			instancetest.Must(s.API.Adapter.DiscardAdapterFailures(s.ctx, &munimentv1.DiscardAdapterFailuresRequest{AdapterId: id, Positions: []uint64{f.GetPosition()}}))
			until(t, "what waited is taken", func() bool { return len(x.taken()) == 4 })
			for n, want := range map[string]munimentv1.DeliveryLevel{bad: remote, ids[3]: external, ids[0]: external} {
				until(t, "the level is what it should be", func() bool { l, _ := s.level(n); return l == want })
			}
			_, err := s.API.Adapter.DiscardAdapterFailures(s.ctx, &munimentv1.DiscardAdapterFailuresRequest{AdapterId: id, EveryOne: true})
			instancetest.Want(t, err, fault.Refused, "")
		})
	}
}

// An event that breaks the external system is found out: it is tried by itself,
// and refused after its attempts, if others are taken meanwhile.
func TestPoison(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ids := s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`}, [3]string{"create-individual", uuid(), `{"name":"Bad"}`}, [3]string{"create-individual", uuid(), `{"name":"Alan"}`})
	x.take = func(w http.ResponseWriter, events []sent) bool {
		if slices.ContainsFunc(events, func(e sent) bool { return e.ID == ids[1] }) {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		return true
	}
	id, _ := s.adapter(t, x.URL, push, func(r *munimentv1.CreateAdapterRequest) { r.MaxAttempts = 1 })
	until(t, "the others are taken, and it is refused", func() bool { return len(x.taken()) == 2 && len(s.failures(id)) == 1 })
	if f := s.failures(id)[0]; f.GetStatus() != 500 || f.GetFailure() != "answered" {
		t.Errorf("the failure: %v", f)
	}
}

// An event that is put off comes again, and is refused after its attempts.
func TestPutOff(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ids := s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`}, [3]string{"create-individual", uuid(), `{"name":"Alan"}`})
	later := 0
	x.take = func(w http.ResponseWriter, events []sent) bool {
		for _, e := range events {
			if e.ID == ids[0] {
				later++
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"results":[{"id":"` + ids[0] + `","status":"retry"},{"id":"` + ids[1] + `","status":"accepted"}]}`)) //nolint:errcheck // a test
		return true
	}
	id, _ := s.adapter(t, x.URL, push, func(r *munimentv1.CreateAdapterRequest) { r.MaxAttempts = 3 })
	until(t, "it is refused", func() bool { return len(s.failures(id)) == 1 })
	if f := s.failures(id)[0]; f.GetAttempts() != 3 || f.GetFailure() != "rejected" {
		t.Errorf("the failure: %v", f)
	}
	if x.with(func() {}); later != 3 {
		t.Errorf("it was sent %d times", later)
	}
}

// Rewound, it is pushed again with the same ids; paused, nothing is.
func TestRewindAndPause(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	ids := s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`})
	id, _ := s.adapter(t, x.URL, push)
	until(t, "it is pushed", func() bool { return len(x.taken()) == 1 })
	s.rewind(id)
	until(t, "it is pushed again", func() bool { return len(x.taken()) == 2 })
	if got := x.taken(); got[1].ID != ids[0] {
		t.Errorf("pushed again: %v", got)
	}
	instancetest.Must(s.API.Adapter.PauseAdapter(s.ctx, &munimentv1.PauseAdapterRequest{AdapterId: id}))
	more := s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Grace"}`})
	_, err := s.API.Adapter.RunAdapter(s.ctx, &munimentv1.RunAdapterRequest{AdapterId: id})
	instancetest.Want(t, err, fault.Refused, "")
	if l, _ := s.level(more[0]); l != remote || len(x.taken()) != 2 {
		t.Errorf("while it is paused: %v", l)
	}
	instancetest.Must(s.API.Adapter.ResumeAdapter(s.ctx, &munimentv1.ResumeAdapterRequest{AdapterId: id}))
	until(t, "it goes on", func() bool { return len(x.taken()) == 3 })
}
