package hookapi_test

import (
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// parcel defines an entity and what happens to it.
func parcel() []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	return []*munimentv1.SchemaDocument{
		{File: "parcel.json", Text: `{` + dialect + `, "x-entity-type": "parcel", "title": "Parcel", "type": "object", "properties": {"to": {"type": "string"}, "weight": {"type": "integer", "x-public": true}}}`},
		{File: "parcel-sent.json", Text: `{` + dialect + `, "x-event": "parcel-sent", "x-entity": "parcel", "title": "A parcel was sent", "type": "object", "x-creates": true, "additionalProperties": false,
			"properties": {"to": {"type": "string"}, "weight": {"type": "integer", "x-public": true}}}`},
		{File: "parcel-weighed.json", Text: `{` + dialect + `, "x-event": "parcel-weighed", "x-entity": "parcel", "title": "A parcel was weighed", "type": "object", "additionalProperties": false,
			"properties": {"weight": {"type": "integer", "x-public": true}}}`},
	}
}

// Customers' events are delivered as built-in ones are, also of types that were
// defined after the subscription was made: to a webhook, and to a machine user
// who has the permission to read them and nothing else.
func TestCustomersEvents(t *testing.T) {
	i, r := instancetest.New(t), newReceiver(t)
	ctx := i.AsOwner()
	webhook(i, ctx, instancetest.In(""), r.URL, "parcel-*")
	id := pulled(i, 0, "parcel-sent", "parcel-weighed")
	robot := i.Machine(i.Org)
	_, err := i.API.Subscription.FetchEvents(i.As(robot), &munimentv1.FetchEventsRequest{SubscriptionId: id})
	instancetest.Want(t, err, fault.NotFound, "")
	permit := func(user string, right munimentv1.EventRight) {
		instancetest.Must(i.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: user, Right: right, EventTypes: "parcel-*", Scope: instancetest.In("")}))
	}
	permit(robot, munimentv1.EventRight_EVENT_RIGHT_READ)
	permit(i.Owner, munimentv1.EventRight_EVENT_RIGHT_PUBLISH)
	instancetest.Must(i.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: parcel()}))
	uuid := func() string {
		s := event.NewID().String()
		return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	}
	entity := uuid()
	instancetest.Must(i.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{
		{Id: uuid(), Type: "parcel-sent", EntityId: entity, DataJson: `{"to":"Ada Lovelace","weight":3}`}, {Id: uuid(), Type: "parcel-weighed", EntityId: entity, DataJson: `{"weight":4}`}}}))
	until(t, "both are sent", func() bool { return len(r.deliveries()) == 2 })
	for n, want := range []string{"dev.muniment.parcel-sent", "dev.muniment.parcel-weighed"} {
		g := r.deliveries()[n]
		if g.event.Type != want || g.event.Subject != "parcel:"+strings.ReplaceAll(entity, "-", "") || strings.Contains(string(g.body), "Lovelace") {
			t.Errorf("delivery %d: %s", n, g.body)
		}
	}
	req := &munimentv1.FetchEventsRequest{SubscriptionId: id}
	for _, want := range []string{"parcel-sent", "parcel-weighed"} {
		got := instancetest.Must(i.API.Subscription.FetchEvents(i.As(robot), req)).GetDeliveries()
		if len(got) != 1 || got[0].GetEvent().GetType() != want {
			t.Fatalf("fetched %v, want %s", got, want)
		}
		req.Acknowledge = []uint64{got[0].GetEvent().GetPosition()}
	}
}
