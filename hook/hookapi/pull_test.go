package hookapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// pulled makes a subscription to be pulled from, of events of types.
func pulled(i *instancetest.Instance, most int32, types ...string) string {
	return instancetest.Must(i.API.Subscription.CreateSubscription(i.AsOwner(), &munimentv1.CreateSubscriptionRequest{Name: i.Name("pull"), Scope: instancetest.In(""), MaxInFlight: most, MaxAttempts: 2,
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL, Filter: &munimentv1.SubscribedEvents{Types: types}})).GetSubscriptionId()
}

func fetch(i *instancetest.Instance, id string, change func(*munimentv1.FetchEventsRequest)) *munimentv1.FetchEventsResponse {
	req := &munimentv1.FetchEventsRequest{SubscriptionId: id}
	if change != nil {
		change(req)
	}
	return instancetest.Must(i.API.Subscription.FetchEvents(i.AsOwner(), req))
}

func positions(r *munimentv1.FetchEventsResponse) []uint64 {
	var out []uint64
	for _, d := range r.GetDeliveries() {
		out = append(out, d.GetEvent().GetPosition())
	}
	return out
}

// changes makes people who are locked and unlocked, and answers the positions of
// each one's events.
func changes(i *instancetest.Instance, n int) (all [][]uint64) {
	for range n {
		p := i.Person(i.Org)
		a := instancetest.Must(i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: p})).GetChange().GetPosition()
		b := instancetest.Must(i.API.User.UnlockUser(i.AsOwner(), &munimentv1.UnlockUserRequest{UserId: p})).GetChange().GetPosition()
		all = append(all, []uint64{a, b})
	}
	return all
}

// Of each stream one event is handed out at a time, until it is acknowledged or
// rejected; what is not answered for comes again.
func TestFetch(t *testing.T) {
	i := instancetest.New(t)
	id := pulled(i, 0, "user.locked", "user.unlocked")
	of := changes(i, 2)
	first := fetch(i, id, nil)
	if got := positions(first); !slices.Equal(got, []uint64{of[0][0], of[1][0]}) || len(first.GetDeliveries()[0].GetEvent().GetFields()) == 0 {
		t.Fatalf("at first: %v, want the first of %v", got, of)
	}
	if got := positions(fetch(i, id, nil)); len(got) > 0 {
		t.Errorf("while they are out: %v", got)
	}
	if p := get(i, id).GetProgress(); p.GetInFlight() != 2 || p.GetBehind() == 0 || p.GetOldest() == nil {
		t.Errorf("progress: %v", p)
	}
	second := fetch(i, id, func(r *munimentv1.FetchEventsRequest) { r.Acknowledge = []uint64{of[0][0], 1} })
	if got := positions(second); !slices.Equal(got, []uint64{of[0][1]}) {
		t.Errorf("after the first was acknowledged: %v", got)
	}
	if u := instancetest.Must(i.API.Subscription.AcknowledgeEvents(i.AsOwner(), &munimentv1.AcknowledgeEventsRequest{SubscriptionId: id, Positions: []uint64{1, of[0][0]}})).GetUnknown(); !slices.Equal(u, []uint64{1, of[0][0]}) {
		t.Errorf("acknowledged by who has nothing: unknown %v", u)
	}
	// Rejected twice, the other is a dead letter.
	for n := range 2 {
		if n > 0 {
			again := fetch(i, id, func(r *munimentv1.FetchEventsRequest) { r.WaitSeconds = 10 })
			if got := positions(again); !slices.Equal(got, []uint64{of[1][0]}) || again.GetDeliveries()[0].GetAttempt() != 2 {
				t.Fatalf("rejected: %v", got)
			}
		}
		if u := instancetest.Must(i.API.Subscription.RejectEvents(i.AsOwner(), &munimentv1.RejectEventsRequest{SubscriptionId: id, Positions: []uint64{of[1][0]}})).GetUnknown(); len(u) > 0 {
			t.Errorf("unknown: %v", u)
		}
	}
	instancetest.Must(i.API.Subscription.AcknowledgeEvents(i.AsOwner(), &munimentv1.AcknowledgeEventsRequest{SubscriptionId: id, Positions: []uint64{of[0][1]}}))
	if p := get(i, id).GetProgress(); p.GetDeadLetters() != 1 || p.GetInFlight() != 0 || p.GetBehind() != 0 {
		t.Errorf("progress: %v", p)
	}
	instancetest.Must(i.API.Subscription.RedriveDeadLetters(i.AsOwner(), &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, EveryOne: true}))
	if got := positions(fetch(i, id, nil)); !slices.Equal(got, []uint64{of[1][0]}) {
		t.Errorf("redriven: %v", got)
	}
	if u := instancetest.Must(i.API.Subscription.RejectEvents(i.AsOwner(), &munimentv1.RejectEventsRequest{SubscriptionId: id, Positions: []uint64{of[1][0]}, DeadLetter: true})); len(u.GetUnknown()) > 0 || get(i, id).GetProgress().GetDeadLetters() != 1 {
		t.Errorf("rejected for good: %v", get(i, id).GetProgress())
	}
}

// What is not acknowledged before its deadline is handed out again.
func TestDeadline(t *testing.T) {
	i := instancetest.New(t)
	id := pulled(i, 0, "user.locked")
	of := changes(i, 1)
	fetch(i, id, func(r *munimentv1.FetchEventsRequest) { r.DeadlineSeconds = 1 })
	again := fetch(i, id, func(r *munimentv1.FetchEventsRequest) { r.WaitSeconds = 15 })
	if got := positions(again); !slices.Equal(got, of[0][:1]) || again.GetDeliveries()[0].GetAttempt() != 2 {
		t.Errorf("%v", got)
	}
}

// Whoever waits gets an event when it happens; there are never more out than was
// asked for.
func TestLongPoll(t *testing.T) {
	i := instancetest.New(t)
	id := pulled(i, 2, "user.locked")
	done := make(chan []uint64)
	go func() {
		done <- positions(fetch(i, id, func(r *munimentv1.FetchEventsRequest) { r.WaitSeconds = 20 }))
	}()
	of := changes(i, 3)
	if got := <-done; len(got) == 0 || got[0] != of[0][0] {
		t.Errorf("%v, want %v", got, of[0][0])
	}
	fetch(i, id, nil)
	if p := get(i, id).GetProgress(); p.GetInFlight() != 2 {
		t.Errorf("%d are out", p.GetInFlight())
	}
}

// Pulling takes the right to read all that is selected; for those who may not
// see the subscription there is none.
func TestWhoMayPull(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	id := pulled(i, 0, "user.locked")
	hook, _ := webhook(i, i.AsOwner(), instancetest.In(""), r.URL, "user.locked")
	for who, want := range map[string]fault.Kind{
		i.Member("", munimentv1.MemberRole_MEMBER_ROLE_VIEWER):     fault.Denied,
		i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR): fault.NotFound,
		i.Person(i.Org): fault.NotFound,
	} {
		_, err := i.API.Subscription.FetchEvents(i.As(who), &munimentv1.FetchEventsRequest{SubscriptionId: id})
		instancetest.Want(t, err, want, "")
		_, err = i.API.Subscription.AcknowledgeEvents(i.As(who), &munimentv1.AcknowledgeEventsRequest{SubscriptionId: id, Positions: []uint64{1}})
		instancetest.Want(t, err, want, "")
	}
	auditor := i.As(i.Member("", munimentv1.MemberRole_MEMBER_ROLE_AUDITOR))
	instancetest.Must(i.API.Subscription.FetchEvents(auditor, &munimentv1.FetchEventsRequest{SubscriptionId: id}))
	_, err := i.API.Subscription.FetchEvents(auditor, &munimentv1.FetchEventsRequest{SubscriptionId: hook})
	instancetest.Want(t, err, fault.Refused, "")
	instancetest.Must(i.API.Subscription.PauseSubscription(i.AsOwner(), &munimentv1.PauseSubscriptionRequest{SubscriptionId: id}))
	_, err = i.API.Subscription.FetchEvents(auditor, &munimentv1.FetchEventsRequest{SubscriptionId: id})
	instancetest.Want(t, err, fault.Refused, "")
}

// A stream hands events out in order, several of one stream; what is
// acknowledged, or lies before where the next stream begins, does not come again.
func TestStream(t *testing.T) {
	i := instancetest.New(t)
	id := pulled(i, 3, "user.locked", "user.unlocked")
	of := slices.Concat(changes(i, 3)...)
	read := func(after uint64, n int) (got []uint64) {
		ctx, cancel := context.WithCancel(i.AsOwner())
		defer cancel()
		s := instancetest.Must(i.API.Subscription.StreamEvents(ctx, &munimentv1.StreamEventsRequest{SubscriptionId: id, AfterPosition: after}))
		for len(got) < n && s.Receive() {
			if d := s.Msg().GetDelivery(); d != nil {
				got = append(got, d.GetEvent().GetPosition())
			}
		}
		return got
	}
	if got := read(0, 100); !slices.Equal(got, of[:3]) { // it ends when three are not acknowledged
		t.Fatalf("%v, want %v", got, of[:3])
	}
	if got := read(of[1], 3); !slices.Equal(got, of[2:5]) {
		t.Fatalf("behind the second: %v, want %v", got, of[2:5])
	}
	instancetest.Must(i.API.Subscription.AcknowledgeEvents(i.AsOwner(), &munimentv1.AcknowledgeEventsRequest{SubscriptionId: id, Positions: of[2:5]}))
	if got := read(0, 1); !slices.Equal(got, of[5:]) {
		t.Fatalf("behind what was acknowledged: %v, want %v", got, of[5:])
	}
	// A second stream ends the first.
	ctx, cancel := context.WithTimeout(i.AsOwner(), 20*time.Second)
	defer cancel()
	first := instancetest.Must(i.API.Subscription.StreamEvents(ctx, &munimentv1.StreamEventsRequest{SubscriptionId: id}))
	for first.Receive() && first.Msg().GetDelivery() == nil {
	}
	read(0, 1)
	for first.Receive() {
	}
	if err := first.Err(); err != nil || ctx.Err() != nil {
		t.Errorf("the first stream ends with %v, %v", err, ctx.Err())
	}
}

// A browser's EventSource gets everything, however often the connection breaks:
// it begins again behind the last event that it had.
func TestServerSentEvents(t *testing.T) {
	i := instancetest.New(t)
	id := pulled(i, 4, "user.locked", "user.unlocked")
	want := slices.Concat(changes(i, 5)...)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(i.AsOwner())
		defer cancel()
		defer context.AfterFunc(r.Context(), cancel)()
		i.Handler().ServeHTTP(w, r.WithContext(ctx))
	}))
	defer srv.Close()
	var got []uint64
	last := ""
	for n := 0; len(got) < len(want) && n < 50; n++ {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/v1/subscriptions/"+id+"/events", nil)
		req.Header.Set("Accept", "text/event-stream")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Fatalf("%s: %s", resp.Status, kind)
		}
		lines := bufio.NewScanner(resp.Body)
		for read := 0; read < 1+n%3 && len(got) < len(want) && lines.Scan(); { // the connection breaks behind one to three events
			line := lines.Text()
			if v, ok := strings.CutPrefix(line, "id: "); ok {
				last = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				var d struct{ Event struct{ Position string } }
				if err := json.Unmarshal([]byte(v), &d); err != nil {
					t.Fatal(err)
				}
				p, _ := strconv.ParseUint(d.Event.Position, 10, 64)
				got = append(got, p)
				read++
			}
		}
		resp.Body.Close()
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
