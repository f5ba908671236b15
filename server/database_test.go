package server

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/seal/kms/file"
	"muniment.dev/user"
)

// cluster are nodes over one PostgreSQL database, as settings make them.
type cluster struct {
	*testing.T
	nodes []*Server
	owner event.ID
}

// newCluster starts nodes at once on databases that hold nothing.
func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	return newClusterOn(t, postgres.Shared(t), n)
}

func newClusterOn(t *testing.T, db *postgres.Cluster, n int) *cluster {
	t.Helper()
	dir := t.TempDir()
	common := Config{Name: "Test", Database: db.NewDatabase(t), Keys: db.NewDatabase(t), Register: dir + "/register.json", RootKey: dir + "/root.key",
		NodeListen: "127.0.0.1:0", Lease: "2s", ExternalURL: "https://id.example.org", Listen: "127.0.0.1:8300"}
	if _, err := file.Open(common.RootKey); err != nil { // as an operator gives it to all
		t.Fatal(err)
	}
	c := &cluster{T: t, nodes: make([]*Server, n)}
	var wg sync.WaitGroup
	for i := range n {
		mine := common
		mine.Data = t.TempDir()
		wg.Go(func() {
			if err := c.start(i, mine); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	_, owner, err := c.nodes[0].Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	c.owner = owner
	return c
}

// start starts a node, which ends with the test.
func (c *cluster) start(i int, config Config) error {
	quiet := slog.New(slog.DiscardHandler)
	if err := config.Check(); err != nil {
		return err
	}
	nodes, stop, err := config.nodes(c.Context(), quiet)
	if err != nil {
		return err
	}
	s, err := New(c.Context(), config, Extra{Passwords: quick, Nodes: nodes})
	c.Cleanup(func() {
		if s != nil {
			if err := s.Close(); err != nil {
				c.Error(err)
			}
		}
		stop()
	})
	c.nodes[i] = s
	return err
}

// as is the context of the owner's request that has just come to a node.
func (c *cluster) as(node int) context.Context {
	c.Helper()
	if err := c.nodes[node].caughtUp(c.Context()); err != nil {
		c.Error(err)
	}
	return call.WithCaller(call.WithFacts(c.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: c.owner})
}

func (c *cluster) create(node int, org, email string) (string, error) {
	res, err := c.nodes[node].API.User.CreateUser(c.as(node), &munimentv1.CreateUserRequest{OrganizationId: org, Email: email, GivenName: "Ada"})
	return res.GetUserId(), err
}

func (c *cluster) organization() string {
	c.Helper()
	return must[*munimentv1.ListOrganizationsResponse](c.T)(c.nodes[0].API.Organization.ListOrganizations(c.as(0), &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
}

// Nodes that start at once on an empty database make one instance.
func TestNodesBeginAtOnce(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCluster(t, 3)
	leaders := 0
	for _, s := range c.nodes {
		if s.Core.Log.ID() != c.nodes[0].Core.Log.ID() || s.Core.Instance.Instance != c.nodes[0].Core.Instance.Instance {
			t.Errorf("one serves instance %s in log %s, another %s in %s", c.nodes[0].Core.Instance.Instance, c.nodes[0].Core.Log.ID(), s.Core.Instance.Instance, s.Core.Log.ID())
		}
		if s.Core.Log.Leads() {
			leaders++
		}
	}
	if leaders != 1 {
		t.Errorf("%d nodes hold the log", leaders)
	}
}

// Of eight locks at once, over two nodes, one succeeds; the others are told that
// the user is locked.
func TestEightLocksOverNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCluster(t, 2)
	org := c.organization()
	for round := range rounds(t, 20) {
		id, err := c.create(round%2, org, "ada"+strconv.Itoa(round)+"@example.org")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		locked, refusals := 0, map[string]int{}
		for i := range 8 {
			wg.Go(func() {
				_, err := c.nodes[i%2].API.User.LockUser(c.as(i%2), &munimentv1.LockUserRequest{UserId: id})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					locked++
					return
				}
				refusals[err.Error()]++
			})
		}
		wg.Wait()
		_, second := c.nodes[1].API.User.LockUser(c.as(1), &munimentv1.LockUserRequest{UserId: id})
		if locked != 1 || second == nil || refusals[second.Error()] != 7 {
			t.Fatalf("round %d: %d succeeded; refusals %v; a second call: %v", round, locked, refusals, second)
		}
	}
}

// A user that was created over one node is found at once over the other.
func TestCreateThenSearchOverNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := newCluster(t, 2)
	org := c.organization()
	each := max(1, rounds(t, 30)*10/16)
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			for i := range each {
				email := "u" + strconv.Itoa(client) + "-" + strconv.Itoa(i) + "@example.org"
				here := (client + i) % 2
				id, err := c.create(here, org, email)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := c.nodes[1-here].API.User.ListUsers(c.as(1-here), &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{Email: email}})
				if err != nil || len(res.GetUsers()) != 1 || res.GetUsers()[0].GetId() != id {
					t.Errorf("%s is not found over the other node: %v %v", email, res, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// While PostgreSQL waits for a standby that is gone, changes wait and reads are
// answered; /readyz says why. When it is back, the change that waited is done.
func TestReadySaysStandby(t *testing.T) {
	postgres.SkipIfChosen(t)
	q := postgres.NewQuorum(t, 1, postgres.Options{})
	c := newClusterOn(t, q.Primary, 1)
	org := c.organization()
	ready := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			w := httptest.NewRecorder()
			c.nodes[0].Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			if strings.HasPrefix(w.Body.String(), want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("/readyz: %d %s; want %q", w.Code, w.Body, want)
			}
		}
	}
	ready("ready")
	q.Standbys[0].Kill()
	done := make(chan error, 1)
	go func() {
		_, err := c.create(0, org, "waits@example.org")
		done <- err
	}()
	ready("changes: PostgreSQL waits for a standby")
	for end := time.Now().Add(2*c.nodes[0].config.lease() + time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // also when a node's word has run out
		must[*munimentv1.ListUsersResponse](t)(c.nodes[0].API.User.ListUsers(c.as(0), &munimentv1.ListUsersRequest{}))
	}
	select {
	case err := <-done:
		t.Errorf("it was answered while no standby was there: %v", err)
	default:
	}
	q.Standbys[0].Start(t)
	ready("ready")
	if err := <-done; err != nil && !fault.Is(err, fault.Unknown) { // on a slow machine patience may have ended
		t.Errorf("the change that waited: %v", err)
	}
}
