package server

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
)

// Two nodes that are set up as an operator would, over one PostgreSQL: what is
// done on one is seen on the other at once, and when one stops the other goes on.
func TestNodesOnPostgres(t *testing.T) {
	postgres.SkipIfChosen(t)
	cluster := postgres.Shared(t)
	crew := newCrew(t)
	crew.config.Database, crew.config.Keys, crew.config.Lease = cluster.NewDatabase(t), cluster.NewDatabase(t), "60s"
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	join := func() *hand {
		t.Helper()
		c := crew.config
		front := httptest.NewUnstartedServer(nil)
		t.Cleanup(front.Close)
		c.Data, c.Listen, c.NodeListen = t.TempDir(), front.Listener.Addr().String(), "127.0.0.1:0"
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		nodes, stop, err := c.nodes(t.Context(), logger)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		s, err := New(t.Context(), c, Extra{Passwords: quick, Nodes: nodes})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return &hand{Server: s, front: front}
	}
	a := join()
	_, owner, err := a.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	b := join()
	org := crew.organization(b, owner)
	create := func(at, seen *hand, email string) {
		t.Helper()
		id := must[*munimentv1.CreateUserResponse](t)(at.API.User.CreateUser(crew.as(at, owner), &munimentv1.CreateUserRequest{Email: email, GivenName: "U", OrganizationId: org})).GetUserId()
		must[*munimentv1.GetUserResponse](t)(seen.API.User.GetUser(crew.as(seen, owner), &munimentv1.GetUserRequest{UserId: id}))
	}
	create(a, b, "one@example.org")
	create(b, a, "two@example.org")
	if r := b.Core.Log.Role(); r.Leads || r.Forwarded == 0 {
		t.Fatalf("%+v", r)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	create(b, b, "three@example.org")
	if !b.Core.Log.Leads() {
		t.Fatal("the one that stayed does not lead")
	}
}
