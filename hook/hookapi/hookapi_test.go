package hookapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
	"muniment.dev/ledger/verify"
)

// got is one delivery that a receiver got.
type got struct {
	header http.Header
	body   []byte
	event  struct {
		ID, Type, Subject, Sequence string
		Receipt                     []byte
		Data                        json.RawMessage
	}
}

// receiver is a webhook that answers as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got
	answer func(got) int // nil: taken
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		g := got{header: req.Header}
		g.body, _ = io.ReadAll(req.Body)
		if err := json.Unmarshal(g.body, &g.event); err != nil {
			t.Errorf("the body is not JSON: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, g)
		if r.answer != nil {
			w.WriteHeader(r.answer(g))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// deliveries are those so far.
func (r *receiver) deliveries() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *receiver) answers(f func(got) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// until waits for something that happens by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("this does not come about: %s", what)
}

// webhook subscribes a receiver to events of types, and answers the id and the
// secret.
func webhook(i *instancetest.Instance, ctx context.Context, scope *munimentv1.Scope, url string, types ...string) (id, secret string) {
	res := instancetest.Must(i.API.Subscription.CreateSubscription(ctx, &munimentv1.CreateSubscriptionRequest{Name: i.Name("hook"), Scope: scope, EndpointUrl: url,
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK, Filter: &munimentv1.SubscribedEvents{Types: types}, MaxAttempts: 3}))
	return res.GetSubscriptionId(), res.GetSigningSecret()
}

func get(i *instancetest.Instance, id string) *munimentv1.Subscription {
	return instancetest.Must(i.API.Subscription.GetSubscription(i.AsOwner(), &munimentv1.GetSubscriptionRequest{SubscriptionId: id})).GetSubscription()
}

// A webhook gets what it subscribed to, each event once while nothing fails,
// those of a stream in order, as a CloudEvent that a library which is not ours
// finds signed; sealed fields are withheld.
func TestWebhook(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	before := i.Person(i.Org)
	id, secret := webhook(i, i.AsOwner(), instancetest.In(""), r.URL+"/in?key=1", "user.*")
	var people []string
	for range 5 {
		p := i.Person(i.Org)
		instancetest.Must(i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: p}))
		instancetest.Must(i.API.User.UnlockUser(i.AsOwner(), &munimentv1.UnlockUserRequest{UserId: p}))
		people = append(people, "user:"+p)
	}
	until(t, "everything is delivered", func() bool { p := get(i, id).GetProgress(); return p.GetBehind() == 0 && p.GetInFlight() == 0 })
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	order := map[string][]string{}
	seen := map[string]bool{}
	for _, g := range r.deliveries() {
		if err := wh.Verify(g.body, g.header); err != nil {
			t.Errorf("a stranger does not verify it: %v", err)
		}
		if seen[g.event.ID] || g.header.Get("webhook-id") != g.event.ID || g.header.Get("Muniment-Attempt") != "1" || g.header.Get("Muniment-Repeat") != "" {
			t.Errorf("%s came twice, or with headers %v", g.event.ID, g.header)
		}
		seen[g.event.ID] = true
		order[g.event.Subject] = append(order[g.event.Subject], g.event.Type)
		if text := string(g.body); strings.Contains(text, "@example.org") || strings.Contains(text, "Smith") || strings.Contains(text, "user.registered") && !strings.Contains(text, `"withheld":true`) {
			t.Errorf("sealed fields are delivered: %s", text)
		}
	}
	for _, p := range people {
		if list := order[p]; len(list) < 4 || list[0] != "dev.muniment.user.registered" || list[len(list)-2] != "dev.muniment.user.locked" || list[len(list)-1] != "dev.muniment.user.unlocked" {
			t.Errorf("%s: %v", p, list)
		}
	}
	if _, early := order["user:"+before]; early {
		t.Error("what was before the subscription is delivered")
	}
}

// A webhook that fails for one event keeps what is behind it in its stream back,
// and nothing else; that does not grow the log. Mended, it comes; discarded, the
// rest comes without it.
func TestDeadLetters(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	bad, good, other := i.Person(i.Org), i.Person(i.Org), i.Person(i.Org)
	fails := func(g got) bool { return g.event.Type == "dev.muniment.user.locked" && g.event.Subject != "user:"+good }
	r.answers(func(g got) int {
		if fails(g) {
			return 500
		}
		return 204
	})
	id, _ := webhook(i, i.AsOwner(), instancetest.In(""), r.URL)
	for _, p := range []string{bad, good, other} {
		instancetest.Must(i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: p}))
		instancetest.Must(i.API.User.UnlockUser(i.AsOwner(), &munimentv1.UnlockUserRequest{UserId: p}))
	}
	until(t, "two dead letters, and nothing else is behind", func() bool {
		p := get(i, id).GetProgress()
		return p.GetDeadLetters() == 2 && p.GetBehind() == 0
	})
	unlocked := func(user string) (n int) {
		for _, g := range r.deliveries() {
			if g.event.Type == "dev.muniment.user.unlocked" && g.event.Subject == "user:"+user {
				n++
			}
		}
		return n
	}
	if unlocked(bad) != 0 || unlocked(other) != 0 || unlocked(good) != 1 {
		t.Errorf("unlocked: %d, %d; the good one %d", unlocked(bad), unlocked(other), unlocked(good))
	}
	size := i.Core.Log.Mark().Size
	letters := instancetest.Must(i.API.Subscription.ListDeadLetters(i.AsOwner(), &munimentv1.ListDeadLettersRequest{SubscriptionId: id})).GetDeadLetters()
	if grown := i.Core.Log.Mark().Size - size; grown != 1 { // that they were looked at
		t.Errorf("looking at them appended %d records", grown)
	}
	if len(letters) != 2 || letters[0].GetStream() != "user:"+bad || letters[0].GetAttempts() != 3 || letters[0].GetFailure() != "answered" || letters[0].GetStatus() != 500 || letters[0].GetEvent().GetType() != "user.locked" {
		t.Fatalf("dead letters: %v", letters)
	}
	r.answers(nil)
	instancetest.Must(i.API.Subscription.RedriveDeadLetters(i.AsOwner(), &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, Positions: []uint64{letters[0].GetPosition()}}))
	until(t, "the one behind the redriven one", func() bool { return unlocked(bad) == 1 })
	if unlocked(other) != 0 {
		t.Error("the other was redriven, too")
	}
	if list := instancetest.Must(i.API.Subscription.ListDeadLetters(i.AsOwner(), &munimentv1.ListDeadLettersRequest{SubscriptionId: id})).GetDeadLetters(); len(list) != 1 {
		t.Errorf("dead letters: %v", list)
	}
	instancetest.Must(i.API.Subscription.DiscardDeadLetters(i.AsOwner(), &munimentv1.DiscardDeadLettersRequest{SubscriptionId: id, EveryOne: true}))
	until(t, "the one behind the discarded one", func() bool { return unlocked(other) == 1 })
	_, err := i.API.Subscription.DiscardDeadLetters(i.AsOwner(), &munimentv1.DiscardDeadLettersRequest{SubscriptionId: id, EveryOne: true})
	instancetest.Want(t, err, fault.Refused, "")
	_, err = i.API.Subscription.RedriveDeadLetters(i.AsOwner(), &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, Positions: []uint64{1}})
	instancetest.Want(t, err, fault.Invalid, "positions")
}

// Secrets overlap: while there are two, either verifies.
func TestRotation(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	id, one := webhook(i, i.AsOwner(), instancetest.In(""), r.URL, "user.registered")
	two := instancetest.Must(i.API.Subscription.CreateSigningSecret(i.AsOwner(), &munimentv1.CreateSigningSecretRequest{SubscriptionId: id}))
	i.Person(i.Org)
	until(t, "the first", func() bool { return len(r.deliveries()) == 1 })
	instancetest.Must(i.API.Subscription.RemoveSigningSecret(i.AsOwner(), &munimentv1.RemoveSigningSecretRequest{SubscriptionId: id, SecretId: get(i, id).GetSecrets()[0].GetId()}))
	i.Person(i.Org)
	until(t, "the second", func() bool { return len(r.deliveries()) == 2 })
	for n, want := range []map[string]bool{{one: true, two.GetSigningSecret(): true}, {one: false, two.GetSigningSecret(): true}} {
		for secret, good := range want {
			wh, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			g := r.deliveries()[n]
			if err := wh.Verify(g.body, g.header); (err == nil) != good {
				t.Errorf("delivery %d: %v", n, err)
			}
		}
	}
}

// A subscription stops when its owner may not read any more, and says so; whoever
// resumes it is its owner then, and nothing was lost.
func TestOwnerLosesTheRight(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	admin := i.Member("", munimentv1.MemberRole_MEMBER_ROLE_ADMIN)
	id, _ := webhook(i, i.As(admin), instancetest.In(""), r.URL, "user.registered")
	i.Person(i.Org)
	until(t, "the first", func() bool { return len(r.deliveries()) == 1 })
	instancetest.Must(i.API.Member.RemoveMember(i.AsOwner(), &munimentv1.RemoveMemberRequest{UserId: admin, Scope: instancetest.In(""), Role: munimentv1.MemberRole_MEMBER_ROLE_ADMIN}))
	missed := i.Person(i.Org)
	until(t, "it is stopped", func() bool {
		return get(i, id).GetState() == munimentv1.SubscriptionState_SUBSCRIPTION_STATE_STOPPED
	})
	if s := get(i, id); !strings.Contains(s.GetStoppedBecause(), "owner") || s.GetOwnerId() != admin || s.GetProgress().GetBehind() == 0 || len(r.deliveries()) != 1 {
		t.Errorf("stopped: %v, with %d deliveries", s, len(r.deliveries()))
	}
	_, err := i.API.Subscription.ResumeSubscription(i.As(admin), &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id})
	instancetest.Want(t, err, fault.Denied, "")
	instancetest.Must(i.API.Subscription.ResumeSubscription(i.AsOwner(), &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id}))
	until(t, "what was missed", func() bool { return len(r.deliveries()) == 2 })
	if got := r.deliveries()[1].event.Subject; got != "user:"+missed || get(i, id).GetOwnerId() != i.Owner {
		t.Errorf("it got %s", got)
	}
}

// A receiver that answers 410 wants nothing more.
func TestGone(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	r.answers(func(got) int { return http.StatusGone })
	id, _ := webhook(i, i.AsOwner(), instancetest.In(""), r.URL, "user.registered")
	i.Person(i.Org)
	until(t, "it is stopped", func() bool {
		return get(i, id).GetState() == munimentv1.SubscriptionState_SUBSCRIPTION_STATE_STOPPED
	})
	r.answers(nil)
	instancetest.Must(i.API.Subscription.ResumeSubscription(i.AsOwner(), &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id}))
	until(t, "it comes after all", func() bool { return get(i, id).GetProgress().GetBehind() == 0 })
}

// A subscription of an organization gets the events of that one, whatever its
// filter says; it is paused, rewound and removed.
func TestOfAnOrganization(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	org := i.Organization()
	admin := i.As(i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN))
	id, _ := webhook(i, admin, instancetest.In(org), r.URL, "user.registered")
	_, err := i.API.Subscription.CreateSubscription(admin, &munimentv1.CreateSubscriptionRequest{Name: "x", Scope: instancetest.In(org), Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL,
		Filter: &munimentv1.SubscribedEvents{OrganizationIds: []string{i.Org}}})
	instancetest.Want(t, err, fault.Invalid, "filter.organization_ids")
	mine := i.Person(org)
	i.Person(i.Org)
	until(t, "its own", func() bool { return get(i, id).GetProgress().GetBehind() == 0 && len(r.deliveries()) > 0 })
	if all := r.deliveries(); len(all) != 1 || all[0].event.Subject != "user:"+mine {
		t.Errorf("it got %d", len(all))
	}
	instancetest.Must(i.API.Subscription.PauseSubscription(admin, &munimentv1.PauseSubscriptionRequest{SubscriptionId: id}))
	i.Person(org)
	instancetest.Must(i.API.Subscription.RewindSubscription(admin, &munimentv1.RewindSubscriptionRequest{SubscriptionId: id}))
	instancetest.Must(i.API.Subscription.ResumeSubscription(admin, &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id}))
	until(t, "everything again, and what happened meanwhile", func() bool { return len(r.deliveries()) == 4 }) // the admin, mine, and the new one
	repeated := 0
	for _, g := range r.deliveries()[1:] {
		if g.header.Get("Muniment-Repeat") == "true" {
			repeated++
		}
	}
	if repeated != 2 {
		t.Errorf("%d deliveries say that they may be repetitions", repeated)
	}
	instancetest.Must(i.API.Subscription.RemoveSubscription(admin, &munimentv1.RemoveSubscriptionRequest{SubscriptionId: id}))
	_, err = i.API.Subscription.GetSubscription(admin, &munimentv1.GetSubscriptionRequest{SubscriptionId: id})
	instancetest.Want(t, err, fault.NotFound, "")
}

// What is delivered with verify carries its receipt, which anybody checks with
// the log's key alone (I02); with unsealed, what the owner may open is open.
func TestVerifyBeforeHandling(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	res := instancetest.Must(i.API.Subscription.CreateSubscription(i.AsOwner(), &munimentv1.CreateSubscriptionRequest{Name: "verified", Scope: instancetest.In(""), EndpointUrl: r.URL, Verify: true, Unsealed: true,
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK, Filter: &munimentv1.SubscribedEvents{Types: []string{"user.registered"}}}))
	pulled := instancetest.Must(i.API.Subscription.CreateSubscription(i.AsOwner(), &munimentv1.CreateSubscriptionRequest{Name: "pulled", Scope: instancetest.In(""), Verify: true,
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL, Filter: &munimentv1.SubscribedEvents{Types: []string{"user.registered"}}}))
	i.Person(i.Org)
	until(t, "it is delivered", func() bool { return len(r.deliveries()) == 1 })
	g := r.deliveries()[0]
	check(t, i, g.event.Receipt, g.event.ID)
	if !strings.Contains(string(g.body), "@example.org") || strings.Contains(string(g.body), `"withheld":true`) {
		t.Errorf("it is not delivered opened: %s", g.body)
	}
	fetched := instancetest.Must(i.API.Subscription.FetchEvents(i.AsOwner(), &munimentv1.FetchEventsRequest{SubscriptionId: pulled.GetSubscriptionId(), WaitSeconds: 20})).GetDeliveries()
	if len(fetched) != 1 {
		t.Fatalf("fetched %d", len(fetched))
	}
	check(t, i, fetched[0].GetReceipt(), fetched[0].GetEvent().GetEventId())
	_ = res
}

// check checks a receipt as a stranger would, and that one who changed it would
// be found out.
func check(t *testing.T, i *instancetest.Instance, receipt []byte, eventID string) {
	t.Helper()
	report, err := verify.Receipt(receipt, i.Core.VerifierKey)
	if err != nil || report.Verdict != verify.Verified {
		t.Fatalf("the receipt does not verify: %v", err)
	}
	r := instancetest.Must(i.Core.Log.Record(t.Context(), event.Position(report.Position)))
	if r.ID.String() != eventID {
		t.Errorf("the receipt is of %s, the event is %s", r.ID, eventID)
	}
	forged := strings.Replace(string(receipt), `"leaf": "`, `"leaf": "AA`, 1)
	if _, err := verify.Receipt([]byte(forged), i.Core.VerifierKey); err == nil {
		t.Error("a forged receipt verifies")
	}
}

// What a request leaves open is as the documents say; a change leaves the rest.
func TestSettings(t *testing.T) {
	i := instancetest.New(t)
	res := instancetest.Must(i.API.Subscription.CreateSubscription(i.AsOwner(), &munimentv1.CreateSubscriptionRequest{Name: "one", Scope: instancetest.In(""), EndpointUrl: "https://example.com/x",
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK}))
	if s := get(i, res.GetSubscriptionId()); s.GetMaxInFlight() != 8 || s.GetMaxAttempts() != 20 || s.GetEndpointUrl() != "https://example.com/x" || len(s.GetSecrets()) != 1 || !strings.HasPrefix(res.GetSigningSecret(), "whsec_") {
		t.Errorf("%v, secret %d bytes", s, len(res.GetSigningSecret()))
	}
	instancetest.Must(i.API.Subscription.ChangeSubscription(i.AsOwner(), &munimentv1.ChangeSubscriptionRequest{SubscriptionId: res.GetSubscriptionId(), MaxAttempts: proto.Int32(2),
		Filter: &munimentv1.SubscribedEvents{Types: []string{"user.*"}, Tags: []string{"org:" + i.Org}}}))
	s := get(i, res.GetSubscriptionId())
	if s.GetName() != "one" || s.GetMaxAttempts() != 2 || !slices.Equal(s.GetFilter().GetTypes(), []string{"user.*"}) || s.GetMaxInFlight() != 8 {
		t.Errorf("changed: %v", s)
	}
	viewer := i.As(i.Member("", munimentv1.MemberRole_MEMBER_ROLE_VIEWER))
	seen := instancetest.Must(i.API.Subscription.ListSubscriptions(viewer, &munimentv1.ListSubscriptionsRequest{})).GetSubscriptions()
	if len(seen) != 1 || seen[0].GetEndpointUrl() != "" {
		t.Errorf("a viewer sees %v", seen)
	}
	for field, req := range map[string]*munimentv1.CreateSubscriptionRequest{
		"filter.types[0]": {Filter: &munimentv1.SubscribedEvents{Types: []string{"user*"}}}, "after_position": {AfterPosition: proto.Uint64(1 << 40)}, "endpoint_url": {EndpointUrl: "http://example.com"}, "scope": {Scope: &munimentv1.Scope{}},
		"delivery": {Delivery: 9}, "max_in_flight": {MaxInFlight: 65}, "name": {Name: " "},
	} {
		full := &munimentv1.CreateSubscriptionRequest{Name: "two", Scope: instancetest.In(""), EndpointUrl: "https://example.com", Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK}
		if req.Scope != nil {
			full.Scope = nil
		}
		proto.Merge(full, req)
		_, err := i.API.Subscription.CreateSubscription(i.AsOwner(), full)
		instancetest.Want(t, err, fault.Invalid, field)
	}
}

// Whoever watches the server learns how far each subscription is.
func TestProgresses(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	r.answers(func(got) int { return http.StatusInternalServerError })
	stuck, _ := webhook(i, i.AsOwner(), instancetest.In(""), r.URL, "user.registered")
	idle := pulled(i, 0, "user.vanished")
	i.Person(i.Org)
	until(t, "a dead letter", func() bool { return get(i, stuck).GetProgress().GetDeadLetters() == 1 })
	list, err := i.Progresses(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, p := range list {
		if dead := p.ID.String() == stuck; p.Behind != 0 || p.Dead == 1 != dead || !dead && p.ID.String() != idle {
			t.Errorf("%+v", p)
		}
	}
}
