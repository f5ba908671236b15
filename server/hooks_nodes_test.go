package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
)

// received is what came of each stream, in order.
type received struct {
	mu  sync.Mutex
	all map[string][]uint64
	n   int
}

func (r *received) note(stream string, p uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.all[stream], p) { // a repetition is allowed
		r.all[stream] = append(r.all[stream], p)
		r.n++
	}
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// Events are fetched on any node, each handed out by one; webhooks are sent by
// the node that holds the log, and by the next one when it stops. Nothing is
// lost, and each stream comes in order.
func TestSubscriptionsOnNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	hooked, fetched := &received{all: map[string][]uint64{}}, &received{all: map[string][]uint64{}}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct{ Subject, Sequence string }
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		p, _ := strconv.ParseUint(strings.TrimLeft(e.Sequence, "0"), 10, 64)
		hooked.note(e.Subject, p)
	}))
	defer receiver.Close()
	c := newCrew(t)
	c.config.WebhookNetworks = "127.0.0.1"
	a, b := c.join(2*time.Second), c.join(2*time.Second)
	_, owner, err := a.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	org := c.organization(a, owner)
	subscribe := func(req *munimentv1.CreateSubscriptionRequest) string {
		req.Name, req.Scope, req.Filter = "S", &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}, &munimentv1.SubscribedEvents{Types: []string{"project.*"}}
		return must[*munimentv1.CreateSubscriptionResponse](t)(b.API.Subscription.CreateSubscription(c.as(b, owner), req)).GetSubscriptionId()
	}
	subscribe(&munimentv1.CreateSubscriptionRequest{Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK, EndpointUrl: receiver.URL})
	id := subscribe(&munimentv1.CreateSubscriptionRequest{Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL})
	const projects, changes = 4, 6
	want := 0
	happen := func(at *hand) {
		for range projects {
			p := must[*munimentv1.CreateProjectResponse](t)(at.API.Project.CreateProject(c.as(at, owner), &munimentv1.CreateProjectRequest{OrganizationId: org, Name: "P"})).GetProjectId()
			for n := range changes {
				must[*munimentv1.RenameProjectResponse](t)(at.API.Project.RenameProject(c.as(at, owner), &munimentv1.RenameProjectRequest{ProjectId: p, Name: "P" + strconv.Itoa(n)}))
			}
		}
		want += projects * (changes + 1)
	}
	fetch := func(at *hand) {
		req := &munimentv1.FetchEventsRequest{SubscriptionId: id, MaxEvents: 3}
		for idle := 0; idle < 3; {
			got := must[*munimentv1.FetchEventsResponse](t)(at.API.Subscription.FetchEvents(c.as(at, owner), req)).GetDeliveries()
			if req.Acknowledge = nil; len(got) == 0 {
				idle++
				time.Sleep(20 * time.Millisecond)
			}
			for _, d := range got {
				if d.GetAttempt() != 1 {
					t.Errorf("attempt %d of what was never failed", d.GetAttempt())
				}
				fetched.note(d.GetEvent().GetStream(), d.GetEvent().GetPosition())
				req.Acknowledge = append(req.Acknowledge, d.GetEvent().GetPosition())
			}
		}
	}
	happen(b)
	var both sync.WaitGroup
	for _, at := range []*hand{a, b} {
		both.Go(func() { fetch(at) })
	}
	both.Wait()
	if fetched.count() != want {
		t.Errorf("%d of %d events were fetched", fetched.count(), want)
	}
	happen(a)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	happen(b)
	for end := time.Now().Add(time.Minute); hooked.count() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d events were sent", hooked.count(), want)
		}
	}
	fetch(b)
	for name, r := range map[string]*received{"sent": hooked, "fetched": fetched} {
		if r.count() != want {
			t.Errorf("%d of %d events were %s", r.count(), want, name)
		}
		for stream, positions := range r.all {
			if !slices.IsSorted(positions) {
				t.Errorf("%s: %s: %v", name, stream, positions)
			}
		}
	}
}
