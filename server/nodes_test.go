package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/node"
	"muniment.dev/seal/erasure"
	"muniment.dev/user"
)

// crew is an instance on several nodes that reach each other over HTTP.
type crew struct {
	*testing.T
	store  *memlog.Store
	config Config // what nodes have in common
	client *node.Client
}

// hand is one of them.
type hand struct {
	*Server
	link  *logtest.Link
	front *httptest.Server
}

func newCrew(t *testing.T) *crew {
	dir := t.TempDir()
	c := &crew{T: t, store: memlog.New(), client: node.NewClient(node.ClientOptions{}),
		config: Config{Name: "Test", Keys: dir + "/keys.db", Register: dir + "/register.json", RootKey: dir + "/root.key"}}
	t.Cleanup(c.client.Close)
	return c
}

func (c *crew) join(lease time.Duration) *hand {
	c.Helper()
	nodes := node.NewServer(time.Now)
	between := httptest.NewUnstartedServer(nodes)
	between.Config.Protocols = new(http.Protocols)
	between.Config.Protocols.SetUnencryptedHTTP2(true)
	between.Start()
	c.Cleanup(between.Close)
	h := &hand{link: &logtest.Link{Shared: c.store}, front: httptest.NewUnstartedServer(nil)}
	conf := c.config
	conf.Data, conf.Listen = c.TempDir(), h.front.Listener.Addr().String()
	var err error
	h.Server, err = New(c.Context(), conf, Extra{Passwords: quick, Store: h.link, Nodes: &Nodes{Lease: lease, Address: between.URL, Client: c.client, Server: nodes}})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { h.Close() })
	h.front.Config.Handler = h.Handler()
	h.front.Start()
	c.Cleanup(h.front.Close)
	return h
}

// as is the context of a user whose request has just come.
func (c *crew) as(h *hand, id event.ID) context.Context {
	c.Helper()
	if err := h.caughtUp(c.Context()); err != nil {
		c.Fatal(err)
	}
	return call.WithCaller(call.WithFacts(c.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id})
}

func (c *crew) organization(h *hand, owner event.ID) string {
	c.Helper()
	return must[*munimentv1.ListOrganizationsResponse](c.T)(h.API.Organization.ListOrganizations(c.as(h, owner), &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
}

// An instance is made by one node and served by all: what is done on one is
// seen on any at once, and when one stops the others go on.
func TestNodesShareAnInstance(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCrew(t)
	a := c.join(time.Hour)
	b := c.join(time.Hour)
	if !a.Core.Created || b.Core.Created || b.Core.Instance.Instance != a.Core.Instance.Instance || b.Core.Log.Leads() {
		t.Fatal("not the first node made the instance")
	}
	_, owner, err := b.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	org := c.organization(b, owner)
	create := func(at, seen *hand, n int) {
		t.Helper()
		email := fmt.Sprintf("u%d@example.org", n)
		id := must[*munimentv1.CreateUserResponse](t)(at.API.User.CreateUser(c.as(at, owner), &munimentv1.CreateUserRequest{Email: email, GivenName: "U", OrganizationId: org})).GetUserId()
		found := must[*munimentv1.ListUsersResponse](t)(seen.API.User.ListUsers(c.as(seen, owner), &munimentv1.ListUsersRequest{}))
		for _, u := range found.GetUsers() {
			if u.GetId() == id {
				return
			}
		}
		t.Fatalf("user %d is not found on the other node", n)
	}
	for n := range 6 {
		create(a, b, 2*n)
		create(b, a, 2*n+1)
	}
	if st, err := b.Status(t.Context()); err != nil || st.Node == nil || st.Node.Leads || st.Node.Forwarded < 6 {
		t.Fatalf("status: %+v, %v", st, err)
	}
	if c, err := b.Core.Publisher.WaitFor(t.Context(), b.Core.Log.Mark().Size); err != nil || c.Size == 0 {
		t.Fatalf("a checkpoint on a follower: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	d := c.join(time.Hour)
	create(b, d, 100)
	create(d, b, 101)
	if b.Core.Log.Leads() == d.Core.Log.Leads() {
		t.Fatal("both lead, or none")
	}
}

// Somebody who is erased on one node is gone from all.
func TestErasureOnNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCrew(t)
	a, b := c.join(500*time.Millisecond), c.join(500*time.Millisecond)
	_, owner, err := a.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	id := must[*munimentv1.CreateUserResponse](t)(b.API.User.CreateUser(c.as(b, owner), &munimentv1.CreateUserRequest{Email: "ada@example.org", GivenName: "Canary", OrganizationId: c.organization(a, owner)})).GetUserId()
	for _, h := range []*hand{a, b} { // so that both keep it in memory
		must[*munimentv1.GetUserResponse](t)(h.API.User.GetUser(c.as(h, owner), &munimentv1.GetUserRequest{UserId: id}))
	}
	subject, err := event.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := b.Core.Log.AssignedKey(t.Context(), event.SubjectID{ID: subject})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*hand{a, b} {
		if _, err := h.Core.Keys.Get(t.Context(), h.Core.Log.ID(), key); err != nil {
			t.Fatal(err)
		}
	}
	must[*munimentv1.EraseUserResponse](t)(b.API.User.EraseUser(c.as(b, owner), &munimentv1.EraseUserRequest{UserId: id}))
	for _, h := range []*hand{a, b} {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if st, ok := h.Core.Erasure.Status(event.SubjectID{ID: subject}); ok && st.Step == erasure.Completed {
				break
			}
			if time.Now().After(end) {
				st, _ := h.Core.Erasure.Status(event.SubjectID{ID: subject})
				t.Fatalf("the erasure is not complete: %+v", st)
			}
		}
		if _, err := h.Core.Keys.Get(t.Context(), h.Core.Log.ID(), key); !fault.Is(err, fault.Erased) {
			t.Fatalf("a node has the key: %v", err)
		}
		u, err := h.API.User.GetUser(c.as(h, owner), &munimentv1.GetUserRequest{UserId: id})
		if err == nil && strings.Contains(u.String(), "Canary") {
			t.Fatalf("a node still says %v", u)
		}
	}
}

// A node that cannot know what others have recorded says so, in the form of the
// address, and serves what rests on no record. It goes on when it can again.
func TestStaleNodeRefuses(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCrew(t)
	c.join(time.Hour)
	b := c.join(time.Hour)
	get := func(path, accept string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body json.RawMessage
		_ = json.NewDecoder(res.Body).Decode(&body)
		return res.StatusCode, string(body), res.Header
	}
	if code, _, _ := get("/readyz", "*/*"); code != 200 {
		t.Fatalf("ready: %d", code)
	}
	b.link.Silence(true)
	for path, want := range map[string]string{"/oauth/userinfo": `"temporarily_unavailable"`, "/muniment.v1.UserService/GetUser": `"unavailable"`, "/v1/users": `"detail"`} {
		if code, body, h := get(path, "*/*"); code != 503 || !strings.Contains(body, want) || h.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s %v", path, code, body, h)
		}
	}
	if code, _, h := get("/login", "text/html"); code != 503 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") || h.Get("Retry-After") != "1" {
		t.Errorf("a page: %d %v", code, h)
	}
	if code, _, _ := get("/readyz", "*/*"); code != 503 {
		t.Errorf("ready: %d", code)
	}
	if code, _, _ := get("/healthz", "*/*"); code != 200 {
		t.Errorf("alive: %d", code)
	}
	b.link.Silence(false)
	if code, _, _ := get("/login", "text/html"); code >= 400 {
		t.Errorf("when it can again: %d", code)
	}
}
