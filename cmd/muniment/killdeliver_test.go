package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/react"
	"muniment.dev/server"
	"muniment.dev/user"
)

// openDeliverer opens a whole server that delivers to this machine, without its
// network, and answers a context in which its owner calls.
func openDeliverer(ctx context.Context, data string) (*server.Server, context.Context, error) {
	s, err := server.New(ctx, server.Config{Data: data, Listen: "127.0.0.1:8300", ExternalURL: "http://localhost:8300", WebhookNetworks: "127.0.0.1"},
		server.Extra{Passwords: cheap, WebhookRetry: react.Retry{First: 2 * time.Millisecond, Most: 20 * time.Millisecond}})
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := s.Core.SetUp(ctx, server.Owner{Email: "owner@example.org", Names: user.Names{Given: "Olga"}}); err != nil && !fault.Is(err, fault.Exists) {
		return nil, nil, err
	}
	for r, err := range s.Core.Log.Read(ctx, event.Query{{Types: []string{"user.registered"}}}, 0) {
		if err != nil {
			return nil, nil, err
		}
		return s, call.WithCaller(call.WithFacts(ctx, call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: r.Stream.ID}), nil
	}
	return nil, nil, fault.New(fault.NotFound, "there is no owner")
}

// inOrder reports whether everything came, and nothing before what comes before
// it; what was killed may have begun again a little earlier.
func inOrder(came, want []uint64) bool {
	next := 0
	for _, p := range came {
		i := slices.Index(want, p)
		if i < 0 || i > next {
			return false
		}
		next = max(next, i+1)
	}
	return next == len(want)
}

// deliver is the program that is killed: it lets things happen to people, one
// after the other, while it delivers what happens to a webhook.
func deliver() {
	s, ctx, err := openDeliverer(context.Background(), os.Args[1])
	if err == nil {
		err = happen(ctx, s, os.Args[2])
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func happen(ctx context.Context, s *server.Server, url string) error {
	list, err := s.API.Subscription.ListSubscriptions(ctx, &munimentv1.ListSubscriptionsRequest{})
	if err != nil {
		return err
	}
	if len(list.GetSubscriptions()) == 0 {
		_, err = s.API.Subscription.CreateSubscription(ctx, &munimentv1.CreateSubscriptionRequest{Name: "Hook", EndpointUrl: url, MaxAttempts: 50, MaxInFlight: 4, AfterPosition: new(uint64),
			Scope:    &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}},
			Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK, Filter: &munimentv1.SubscribedEvents{Types: []string{"project.*"}}})
	}
	orgs, e := s.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{})
	if err != nil || e != nil {
		return fmt.Errorf("%w, %w", err, e)
	}
	fmt.Println("happens")
	for {
		p, err := s.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: orgs.GetOrganizations()[0].GetId(), Name: "P"})
		for n := 0; err == nil && n < 5; n++ {
			_, err = s.API.Project.RenameProject(ctx, &munimentv1.RenameProjectRequest{ProjectId: p.GetProjectId(), Name: "P" + strconv.Itoa(n)})
		}
		if err != nil {
			return err
		}
	}
}

// Killed at any moment while it delivers, a server goes on: the receiver, which
// fails at random, too, gets every event at least once, and those of each stream
// in order.
func TestKillWhileDelivering(t *testing.T) {
	postgres.SkipIfChosen(t)
	var mu sync.Mutex
	taken := map[string][]uint64{} // by stream, as they came
	repeated := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct{ Subject, Sequence string }
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		position, _ := strconv.ParseUint(strings.TrimLeft(e.Sequence, "0"), 10, 64)
		mu.Lock()
		defer mu.Unlock()
		if rand.IntN(5) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if slices.Contains(taken[e.Subject], position) {
			repeated++
		}
		taken[e.Subject] = append(taken[e.Subject], position)
	}))
	defer receiver.Close()
	data := t.TempDir() + "/data"
	for range 5 {
		p := start(t, nil, "deliverer", data, receiver.URL)
		p.await(`happens`)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		p.signal(syscall.SIGKILL)
		p.wait()
	}
	s, ctx, err := openDeliverer(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, err := s.API.Subscription.ListSubscriptions(ctx, &munimentv1.ListSubscriptionsRequest{})
		if err != nil || len(list.GetSubscriptions()) != 1 || time.Now().After(end) {
			t.Fatalf("%v, %v", list, err)
		}
		if p := list.GetSubscriptions()[0].GetProgress(); p.GetBehind() == 0 && p.GetDeadLetters() == 0 {
			break
		}
	}
	want, all := map[string][]uint64{}, 0
	for r, err := range s.Core.Log.Read(ctx, event.Everything(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(r.Type, "project.") {
			want[r.Stream.String()] = append(want[r.Stream.String()], uint64(r.Position))
			all++
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for stream, positions := range want {
		if !inOrder(taken[stream], positions) {
			t.Errorf("%s: %v, want %v", stream, taken[stream], positions)
		}
	}
	t.Logf("%d events of %d streams, %d of them more than once", all, len(want), repeated)
}
