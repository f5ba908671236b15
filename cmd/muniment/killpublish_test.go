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
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/react"
	"muniment.dev/server"
	"muniment.dev/view"
)

// poisoned is an entity of which the receiver does not take the second event.
const poisoned = "00000000-0000-4000-8000-00000000dead"

// buses are definitions in two variants, which compute entities otherwise.
func buses(variant int) []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	return []*munimentv1.SchemaDocument{
		{File: "bus.json", Text: `{` + dialect + `, "x-entity-type": "bus", "title": "Bus", "type": "object", "properties": {
			"plate": {"type": "string", "x-unique": "instance"}, "stop": {"type": "string", "x-public": true}, "stops": {"type": "integer", "x-public": true}}}`},
		{File: "bus-bought.json", Text: `{` + dialect + `, "x-event": "bus-bought", "x-entity": "bus", "title": "A bus was bought", "type": "object", "additionalProperties": false, "x-creates": true, "properties": {"plate": {"type": "string"}}}`},
		{File: "bus-stopped.json", Text: `{` + dialect + `, "x-event": "bus-stopped", "x-entity": "bus", "title": "A bus stopped", "type": "object", "additionalProperties": false,
			"properties": {"stop": {"type": "string", "x-public": true}}, "x-apply": [{"merge": true}, {"increment": {"stops": {"value": ` + strconv.Itoa(1+variant%2) + `}}}]}`},
	}
}

var fast = react.Retry{First: 2 * time.Millisecond, Most: 20 * time.Millisecond}

// publisher is the program that is killed: a node, over which clients publish
// and change the definitions for as long as it lives. It prints what they sent,
// and what was acknowledged.
func publisher() {
	var clients atomic.Int32
	serveNode(server.Extra{WebhookRetry: fast}, 5, func(ctx context.Context, s *server.Server) {
		as, _, err := ownerOf(context.Background(), s)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		switch n := clients.Add(1); n {
		case 1:
			for variant := 0; ctx.Err() == nil; variant++ {
				_ = s.Core.Log.CatchUp(ctx)
				_, err := s.API.Schema.ApplySchema(as, &munimentv1.ApplySchemaRequest{Documents: buses(variant)})
				if err == nil {
					fmt.Println("defined")
				}
				time.Sleep(time.Duration(rand.IntN(4000)) * time.Millisecond)
			}
		case 2:
			for ctx.Err() == nil {
				publishOver(ctx, as, s, poisoned, "")
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			}
		default:
			for ctx.Err() == nil {
				publishOver(ctx, as, s, event.NewID().String(), fmt.Sprintf("P%d", rand.IntN(100)))
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			}
		}
	})
}

// publishOver publishes a few events of one entity, and repeats what fails in a
// way that passes. The value that the entity takes may be another's.
func publishOver(ctx context.Context, as context.Context, s *server.Server, entity, plate string) {
	batch := func(events ...*munimentv1.NewEvent) bool {
		text, _ := json.Marshal(events)
		fmt.Printf("sent %s\n", text)
		for ctx.Err() == nil {
			_ = s.Core.Log.CatchUp(ctx)
			res, err := s.API.Entity.PublishEvents(as, &munimentv1.PublishEventsRequest{Events: events})
			if err == nil {
				for _, e := range res.GetEvents() {
					fmt.Printf("done %s %d\n", e.GetId(), e.GetPosition())
				}
				return true
			}
			switch k := fault.KindOf(api.AsFault(err)); k {
			case fault.Exists:
				return false
			case fault.Unavailable, fault.Unknown, fault.Exhausted:
				fmt.Println("again", k, api.Explain(err).GetMessage())
			default:
				fmt.Fprintln(os.Stderr, "not to be repeated:", api.Explain(err))
				os.Exit(1)
			}
			time.Sleep(20 * time.Millisecond)
		}
		return false
	}
	one := func(typ, data string) *munimentv1.NewEvent {
		return &munimentv1.NewEvent{Id: event.NewID().String(), Type: typ, EntityId: entity, DataJson: data}
	}
	if plate != "" && !batch(one("bus-bought", `{"plate":"`+plate+`"}`)) {
		return
	}
	for n := range 3 {
		batch(one("bus-stopped", fmt.Sprintf(`{"stop":"S%d"}`, n)), one("bus-stopped", `{}`))
	}
}

// busReceiver takes what is sent to a webhook, fails at random, and does not
// take a certain event until it is healed.
type busReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	taken  map[string][]uint64
	poison uint64 // position of the event that is not taken
	healed bool
}

func (r *busReceiver) take(w http.ResponseWriter, req *http.Request) {
	var e struct{ Subject, Sequence string }
	if json.NewDecoder(req.Body).Decode(&e) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	position, _ := strconv.ParseUint(strings.TrimLeft(e.Sequence, "0"), 10, 64)
	attempt, _ := strconv.Atoi(req.Header.Get("Muniment-Attempt"))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poison == 0 && strings.HasSuffix(e.Subject, strings.ReplaceAll(poisoned, "-", "")) && len(r.taken[e.Subject]) == 1 && r.taken[e.Subject][0] != position {
		r.poison = position
	}
	if position == r.poison && !r.healed || attempt < 3 && rand.IntN(5) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.taken[e.Subject] = append(r.taken[e.Subject], position)
}

// The node that holds the log is killed again and again while all publish, with
// values that only one may have, while definitions change, so that entities are
// computed anew, and while a webhook delivers. Nothing acknowledged is missing or
// there twice; entities are what their events say; every event is delivered, in
// the order of its entity; one that is not taken holds up its entity only, and
// comes when the receiver is mended.
func TestKillNodesWhilePublishing(t *testing.T) {
	postgres.SkipIfChosen(t)
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("MUNIMENT_KILLS")); err == nil {
		kills = n
	}
	shared, config := sharedPlaces(t)
	r := &busReceiver{taken: map[string][]uint64{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	defer r.Close()
	s, ctx := openPublished(t, config)
	owner, err := call.CallerOf(ctx)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(api.Explain(err))
		}
	}
	scope := &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	must(err)
	_, err = s.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: buses(1)})
	must(err)
	_, err = s.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: owner.ID.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: scope})
	must(err)
	_, err = s.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Id: event.NewID().String(), Type: "bus-bought", EntityId: poisoned, DataJson: "{}"}}})
	must(err)
	sub, err := s.API.Subscription.CreateSubscription(ctx, &munimentv1.CreateSubscriptionRequest{Name: "Hook", EndpointUrl: r.URL, MaxAttempts: 6, MaxInFlight: 4, AfterPosition: new(uint64), Scope: scope,
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK, Filter: &munimentv1.SubscribedEvents{Streams: []string{"bus:*"}}})
	must(err)
	must(s.Close())
	c := &published{crew: &crew{T: t, program: "publisher", shared: shared}, sent: map[string]*munimentv1.NewEvent{}, done: map[string]uint64{}}
	c.noted = c.note
	c.muster()
	for range kills {
		c.works()
		c.killLeader()
	}
	c.works()
	c.dismiss()
	s, ctx = openPublished(t, config)
	defer s.Close()
	c.repeat(ctx, s)
	want := c.recorded(s)
	c.entities(ctx, s)
	c.delivered(ctx, s, r, sub.GetSubscriptionId(), want)
	t.Logf("killed the holder %d times: %d events sent, %d acknowledged, %d asked to try again; the definitions changed %d times", kills, len(c.sent), len(c.done), c.retries, c.defined)
}

func openPublished(t *testing.T, config server.Config) (*server.Server, context.Context) {
	t.Helper()
	s, ctx, err := openWith(t.Context(), config, server.Extra{Passwords: cheap, WebhookRetry: fast})
	if err != nil {
		t.Fatal(err)
	}
	return s, ctx
}

// published is what the nodes said.
type published struct {
	*crew
	sent    map[string]*munimentv1.NewEvent
	done    map[string]uint64
	retries int
	defined int
}

// works waits until a good deal more was acknowledged.
func (c *published) works() {
	c.Helper()
	count := func() (n int) {
		for _, p := range c.nodes {
			n += strings.Count(p.text(), "\ndone ")
		}
		return n
	}
	more := count() + 60
	for end := time.Now().Add(time.Minute); count() < more; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatal("the nodes get nowhere")
		}
	}
}

func (c *published) note(p *program) {
	for line := range strings.SplitSeq(p.text(), "\n") {
		what, rest, _ := strings.Cut(line, " ")
		switch what {
		case "sent":
			var events []*munimentv1.NewEvent
			if json.Unmarshal([]byte(rest), &events) == nil { // the last line may be half a one
				for _, e := range events {
					c.sent[e.GetId()] = e
				}
			}
		case "done":
			if id, position, ok := strings.Cut(rest, " "); ok {
				c.done[id], _ = strconv.ParseUint(position, 10, 64)
			}
		case "again":
			c.retries++
		case "defined":
			c.defined++
		}
	}
}

// repeat sends everything again: what was acknowledged is answered as it was.
func (c *published) repeat(ctx context.Context, s *server.Server) {
	c.Helper()
	refused := map[string]bool{} // entities that did not get their value
	for _, typ := range []string{"bus-bought", "bus-stopped"} {
		for id, e := range c.sent {
			if e.GetType() != typ || refused[e.GetEntityId()] {
				continue
			}
			res, err := s.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{e}})
			for end := time.Now().Add(time.Minute); fault.Is(api.AsFault(err), fault.Unavailable) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				res, err = s.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{e}})
			}
			was, acknowledged := c.done[id]
			switch {
			case err != nil && !acknowledged && fault.Is(api.AsFault(err), fault.Exists):
				refused[e.GetEntityId()] = true
			case err != nil:
				c.Errorf("%v, repeated: %v", e, api.Explain(err))
			case acknowledged && (!res.GetEvents()[0].GetRepeated() || res.GetEvents()[0].GetPosition() != was):
				c.Errorf("%v was acknowledged at %d; repeated: %v", e, was, res)
			}
		}
	}
}

// recorded looks at the records: each event stands there once, at the version of
// its entity that is next. It answers the positions by entity.
func (c *published) recorded(s *server.Server) map[string][]uint64 {
	c.Helper()
	want, seen := map[string][]uint64{}, map[string]bool{}
	for r, err := range s.Core.Log.Read(c.Context(), event.Everything(), 0) {
		if err != nil {
			c.Fatal(err)
		}
		if r.Stream.Kind != "bus" {
			continue
		}
		name := r.Stream.String()
		if seen[r.ID.String()] || r.Version != uint64(len(want[name])+1) {
			c.Errorf("position %d: %v", r.Position, r)
		}
		seen[r.ID.String()] = true
		want[name] = append(want[name], uint64(r.Position))
	}
	for id := range c.done {
		if !seen[id] {
			c.Errorf("%s was acknowledged and is not recorded", id)
		}
	}
	return want
}

// entities looks at what is served: what the events say, by the definitions that
// came last; and a value has one entity.
func (c *published) entities(ctx context.Context, s *server.Server) {
	c.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := s.API.Entity.CheckEntities(ctx, &munimentv1.CheckEntitiesRequest{})
		if err == nil && len(res.GetDifferent()) == 0 && res.GetChecked() > 0 {
			break
		}
		if time.Now().After(end) {
			c.Fatalf("%v, %v", res, err)
		}
	}
	if _, err := s.Core.Views.Check(ctx, nil, func(d view.Difference) { c.Errorf("views: %s", d) }); err != nil {
		c.Error(err)
	}
	owner := map[string]string{}
	for token := ""; ; {
		res, err := s.API.Entity.ListEntities(ctx, &munimentv1.ListEntitiesRequest{Type: "bus", PageSize: 500, PageToken: token})
		if err != nil {
			c.Fatal(err)
		}
		for _, e := range res.GetEntities() {
			plate := e.GetData().GetFields()["plate"].GetStringValue()
			if other := owner[plate]; plate != "" && other != "" {
				c.Errorf("%s and %s have the plate %s", other, e.GetEntityId(), plate)
			}
			owner[plate] = e.GetEntityId()
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
}

// delivered waits until everything is delivered but what the receiver does not
// take, mends the receiver, and wants the rest, in order.
func (c *published) delivered(ctx context.Context, s *server.Server, r *busReceiver, id string, want map[string][]uint64) {
	c.Helper()
	await := func(dead uint64) {
		c.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			res, err := s.API.Subscription.GetSubscription(ctx, &munimentv1.GetSubscriptionRequest{SubscriptionId: id})
			p := res.GetSubscription().GetProgress()
			if err == nil && p.GetBehind() == 0 && uint64(p.GetDeadLetters()) == dead && p.GetInFlight()+p.GetRetrying() == 0 {
				return
			}
			if err != nil || time.Now().After(end) {
				c.Fatalf("%v, %v", res, err)
			}
		}
	}
	stuck := "bus:" + strings.ReplaceAll(poisoned, "-", "")
	await(1)
	r.mu.Lock()
	c.inOrder(r.taken, want, stuck)
	if n := len(slices.Compact(slices.Clone(r.taken[stuck]))); n != 1 {
		c.Errorf("of the poisoned entity %d events were taken", n)
	}
	r.healed = true
	r.mu.Unlock()
	if _, err := s.API.Subscription.RedriveDeadLetters(ctx, &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, EveryOne: true}); err != nil {
		c.Fatal(err)
	}
	await(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	c.inOrder(r.taken, want, "")
}

func (c *published) inOrder(taken, want map[string][]uint64, but string) {
	c.Helper()
	for stream, positions := range want {
		if stream != but && !inOrder(taken[stream], positions) {
			c.Errorf("%s: %v, want %v", stream, taken[stream], positions)
		}
	}
}
