package server

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
)

// Definitions that change right behind another event are followed at once, with
// no further event to wait for.
func TestEntitiesFollowDefinitions(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	must[*munimentv1.GrantPermissionResponse](t)(w.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: w.owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	id, want := event.NewID().String(), 0.0
	for n := range 6 {
		by := 1 + n%2
		must[*munimentv1.ApplySchemaResponse](t)(w.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: ferries(0, []string{calling, twice}[n%2])}))
		want = float64(by * n)
		for end := time.Now().Add(30 * time.Second); n > 0; time.Sleep(time.Millisecond) {
			e := must[*munimentv1.GetEntityResponse](t)(w.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "ferry", EntityId: id})).GetEntity()
			if e.GetData().GetFields()["calls"].GetNumberValue() == want {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("in round %d: %v, want %v calls", n, e, want)
			}
		}
		typ := "ferry-called"
		if n == 0 {
			must[*munimentv1.PublishEventsResponse](t)(w.API.Entity.PublishEvents(ctx, sending(happened("ferry-launched", id, `{}`))))
		}
		must[*munimentv1.PublishEventsResponse](t)(w.API.Entity.PublishEvents(ctx, sending(happened(typ, id, `{}`))))
	}
}

// A server that ends before entities were made anew begins where it was: until
// they are, it serves those that it has, by the definitions of before.
func TestServesWhatIsThere(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir := t.TempDir()
	views, old := filepath.Join(dir, "views.db"), filepath.Join(t.TempDir(), "views.db")
	var owner event.ID
	open := func() (*Server, context.Context) {
		t.Helper()
		s, err := New(t.Context(), Config{Data: dir, Listen: "127.0.0.1:8300", Name: "Test"}, Extra{Passwords: quick})
		if err != nil {
			t.Fatal(err)
		}
		if owner.IsZero() {
			if _, owner, err = s.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}}); err != nil {
				t.Fatal(err)
			}
		}
		return s, call.WithCaller(call.WithFacts(t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: owner})
	}
	shut := func(s *Server) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	move := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, ctx := open()
	must[*munimentv1.GrantPermissionResponse](t)(s.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	id := event.NewID().String()
	must[*munimentv1.ApplySchemaResponse](t)(s.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: ferries(0, calling)}))
	must[*munimentv1.PublishEventsResponse](t)(s.API.Entity.PublishEvents(ctx, sending(happened("ferry-launched", id, `{"hull":"H"}`), happened("ferry-called", id, `{}`))))
	must[*munimentv1.GetEntityResponse](t)(s.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "ferry", EntityId: id}))
	shut(s)
	move(views, old)
	s, ctx = open()
	must[*munimentv1.ApplySchemaResponse](t)(s.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: ferries(1, twice)}))
	must[*munimentv1.PublishEventsResponse](t)(s.API.Entity.PublishEvents(ctx, sending(happened("ferry-called", id, `{}`), happened("ferry-other0", id, `{"port":"P"}`))))
	shut(s)
	move(old, views) // as if it had been killed before
	s, ctx = open()
	defer shut(s)
	if missing := s.Core.Views.Status().Missing; len(missing) > 0 {
		t.Errorf("not served: %v", missing)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		e := must[*munimentv1.GetEntityResponse](t)(s.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "ferry", EntityId: id})).GetEntity()
		calls := e.GetData().GetFields()["calls"].GetNumberValue()
		if e.GetVersion() != 4 || calls != 2 && calls != 4 || e.GetData().GetFields()["hull"].GetStringValue() != "H" {
			t.Fatalf("%v", e)
		}
		if calls == 4 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("they are not made anew")
		}
	}
}

// What waits for the entities of some definitions ends when there are newer
// ones: whoever builds may have gone on to those.
func TestWaitsForNothingOld(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	apply := func(apply string) event.Position {
		return event.Position(must[*munimentv1.ApplySchemaResponse](t)(w.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: ferries(0, apply)})).GetChange().GetPosition())
	}
	apply(calling)
	waits, stop := w.Core.whileNewest(t.Context(), apply(twice))
	if waits.Err() != nil {
		t.Fatal("ended without newer definitions")
	}
	defer stop()
	apply(calling)
	select {
	case <-waits.Done():
	case <-time.After(30 * time.Second):
		t.Error("it waits on")
	}
}
