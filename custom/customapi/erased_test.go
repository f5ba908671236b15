package customapi_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/internal/instancetest"
	"muniment.dev/seal/erasure"
)

// held is a key store that takes its time to destroy a key.
type held struct {
	erasure.Destroyer
	until chan struct{}
}

func (h held) Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error {
	select {
	case <-h.until:
		return h.Destroyer.Destroy(ctx, log, ids...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// everything is what an auditor can read of an entity, in whatever way, as text
// that holds what was said.
func (s *site) everything(t *testing.T, entity, person string) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(name string, m proto.Message) {
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out[name] += string(text)
	}
	filter := &munimentv1.EventFilter{Streams: []string{"household:" + entity, "user:" + person}}
	listed := instancetest.Must(s.API.Event.ListEvents(s.ctx, &munimentv1.ListEventsRequest{Filter: filter, WithFields: true, WithBefore: true, PageSize: 100}))
	add("list of events", listed)
	for _, e := range listed.GetEvents() {
		add("event", instancetest.Must(s.API.Event.GetEvent(s.ctx, &munimentv1.GetEventRequest{Position: e.GetPosition()})))
		add("entity as it was", instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "household", EntityId: entity, Read: &munimentv1.Read{AtPosition: listed.GetEvents()[len(listed.GetEvents())-1].GetPosition()}})))
	}
	add("entity", instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "household", EntityId: entity})))
	add("list of entities", instancetest.Must(s.API.Entity.ListEntities(s.ctx, &munimentv1.ListEntitiesRequest{Type: "household"})))
	add("trail", instancetest.Must(s.API.Entity.ListEntityChanges(s.ctx, &munimentv1.ListEntityChangesRequest{Type: "household", EntityId: entity})))
	subscription := instancetest.Must(s.API.Subscription.CreateSubscription(s.ctx, &munimentv1.CreateSubscriptionRequest{Name: s.Name("all"), Scope: instancetest.In(""), Unsealed: true, AfterPosition: new(uint64(1)),
		Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL, Filter: &munimentv1.SubscribedEvents{Types: []string{"household-registered"}}})).GetSubscriptionId()
	add("delivery", instancetest.Must(s.API.Subscription.FetchEvents(s.ctx, &munimentv1.FetchEventsRequest{SubscriptionId: subscription, MaxEvents: 100})))
	for _, format := range []munimentv1.ExportFormat{munimentv1.ExportFormat_EXPORT_FORMAT_JSONL, munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS} {
		stream := instancetest.Must(s.API.Event.ExportEvents(s.ctx, &munimentv1.ExportEventsRequest{Filter: filter, Format: format}))
		for stream.Receive() {
			out["export "+format.String()] += string(stream.Msg().GetChunk())
		}
		stream.Close()
	}
	end := listed.GetEvents()[len(listed.GetEvents())-1].GetPosition() + 1
	watch := instancetest.Must(s.API.Event.WatchEvents(s.ctx, &munimentv1.WatchEventsRequest{Filter: &munimentv1.EventFilter{Streams: filter.GetStreams(), BeforePosition: end}, WithFields: true}))
	for watch.Receive() {
		add("stream", watch.Msg())
	}
	watch.Close()
	return out
}

// From the moment that an erasure is acknowledged nobody is shown what was
// sealed, in whatever way they read, although the key is still there; and how
// far the erasure has come can be asked for.
func TestErasedAtOnce(t *testing.T) {
	s := newSite(t)
	house, person := uuid(), s.Person(s.Org)
	address := s.Email(person)
	s.publish(t, anEvent("household-registered", house, `{"name":"Kittiwake","village":"Ockham"}`), anEvent("household-corrected", house, `{"name":"Kittiwake & Daughters"}`))
	for where, text := range s.everything(t, house, person) {
		if !strings.Contains(text, "Kittiwake") {
			t.Errorf("before the erasure the %s does not say it, so that its absence would prove nothing: %s", where, text)
		}
	}
	state := func() *munimentv1.GetEntityErasureResponse {
		return instancetest.Must(s.API.Entity.GetEntityErasure(s.ctx, &munimentv1.GetEntityErasureRequest{Type: "household", EntityId: house}))
	}
	if e := state(); e.GetState() != munimentv1.ErasureState_ERASURE_STATE_NEVER || len(e.GetSteps()) > 0 {
		t.Errorf("before: %v", e)
	}

	hold := held{s.Core.Erasure.Keys, make(chan struct{})}
	s.Core.Erasure.Keys = hold
	instancetest.Must(s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "household", EntityId: house}))
	instancetest.Must(s.API.User.EraseUser(s.ctx, &munimentv1.EraseUserRequest{UserId: person}))
	for where, text := range s.everything(t, house, person) {
		if strings.Contains(text, "Kittiwake") || strings.Contains(text, address) {
			t.Errorf("after the erasure the %s still says it: %s", where, text)
		}
	}
	e := state()
	done := func(name string) bool {
		return slices.ContainsFunc(e.GetSteps(), func(s *munimentv1.ErasureStep) bool { return s.GetName() == name && s.GetDone() })
	}
	if e.GetState() != munimentv1.ErasureState_ERASURE_STATE_PENDING || !done("recorded in the log") || done("key destroyed") {
		t.Errorf("while the key is there: %v", e)
	}

	close(hold.until)
	s.Erased(house)
	s.Erased(person)
	if e = state(); e.GetState() != munimentv1.ErasureState_ERASURE_STATE_COMPLETE || !done("key destroyed") || !done("complete") {
		t.Errorf("after: %v", e)
	}
	for where, text := range s.everything(t, house, person) {
		if strings.Contains(text, "Kittiwake") || strings.Contains(text, address) {
			t.Errorf("later the %s says it again: %s", where, text)
		}
	}
}
