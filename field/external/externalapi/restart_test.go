package externalapi_test

import (
	"net/http"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/internal/instancetest"
	"muniment.dev/internal/postgres"
	"muniment.dev/react"
	"muniment.dev/server"
	"muniment.dev/user/password"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

func begin(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.New(t.Context(), server.Config{Data: dir, Listen: "127.0.0.1:8300", ExternalURL: "https://id.example.org", WebhookNetworks: "127.0.0.1"},
		server.Extra{Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}, AdapterRetry: react.Retry{First: 5 * time.Millisecond, Most: 50 * time.Millisecond}, AdapterTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A server that is stopped while it pushes and pulls goes on where it was:
// nothing is lost, what comes twice comes with the same id, and the external
// system is asked for what it has not given yet.
func TestRestart(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir, x := t.TempDir(), newSystem(t)
	srv := begin(t, dir)
	_, owner, err := srv.Core.SetUp(t.Context(), server.Owner{Email: "owner@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	s := reopened(t, srv, owner)
	s.permit(s.Owner, munimentv1.EventRight_EVENT_RIGHT_PUBLISH)
	instancetest.Must(s.API.Sync.InstallFieldPack(s.ctx, &munimentv1.InstallFieldPackRequest{}))
	ada := uuid()
	x.offers = []string{offered("1", "create-individual", ada, `{"name":"Ada"}`), offered("2", "update-individual", ada, `{"phone":"1"}`)}
	seen, lost := map[string]int{}, true
	x.take = func(w http.ResponseWriter, events []sent) bool {
		for _, e := range events {
			seen[e.ID]++
		}
		if lost { // it has taken them, and the answer is lost
			time.Sleep(400 * time.Millisecond)
		}
		return true
	}
	var ids []string
	for range 30 {
		ids = append(ids, s.publish(t, [3]string{"create-individual", uuid(), `{"name":"x"}`})...)
	}
	id, _ := s.adapter(t, x.URL, both, func(r *munimentv1.CreateAdapterRequest) { r.BatchSize = 7 })
	until(t, "an answer is lost", func() bool {
		p := s.get(id).GetProgress()
		return p.GetPushFailure() == "timed-out" && p.GetFailedRuns() > 0
	})
	for n := range 3 {
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			x.with(func() { lost = false })
		}
		srv = begin(t, dir)
		s = reopened(t, srv, owner)
	}
	defer srv.Close()
	until(t, "all is pushed", func() bool { l, _ := s.level(ids[29]); return l == external })
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		if seen[id] == 0 {
			t.Errorf("%s did not come", id)
		}
	}
	if len(seen) != len(ids) || seen[ids[0]] < 2 {
		t.Errorf("%d events came, the first %d times", len(seen), seen[ids[0]])
	}
	changes := instancetest.Must(s.API.Entity.ListEntityChanges(s.ctx, &munimentv1.ListEntityChangesRequest{Type: "individual", EntityId: ada})).GetChanges()
	if last := x.asked[len(x.asked)-1]; len(changes) != 2 || last != "2" {
		t.Errorf("pulled: %v; asked last for what stands behind %q", changes, last)
	}
}

// reopened is a site of a server.
func reopened(t *testing.T, srv *server.Server, owner event.ID) *site {
	i := instancetest.Of(t, srv, owner.String())
	return &site{i, i.AsOwner()}
}
