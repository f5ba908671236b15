package server

import (
	"context"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/view"
)

// boats are definitions with every way in which a sealed value is kept.
var boats = []*munimentv1.SchemaDocument{
	{File: "boat.json", Text: `{"$schema": "https://json-schema.org/draft/2020-12/schema", "x-entity-type": "boat", "title": "Boat", "type": "object", "properties": {
		"name": {"type": "string", "x-search": "prefix"}, "hull": {"type": "string", "x-unique": "instance"}, "crew": {"type": "array", "items": {"type": "string"}}, "berth": {"type": "string", "x-public": true}}}`},
	{File: "boat-launched.json", Text: `{"$schema": "https://json-schema.org/draft/2020-12/schema", "x-event": "boat-launched", "x-entity": "boat", "title": "A boat was launched", "type": "object", "additionalProperties": false, "x-creates": true, "properties": {
		"name": {"type": "string"}, "hull": {"type": "string"}, "crew": {"type": "array", "items": {"type": "string"}}, "berth": {"type": "string", "x-public": true}}}`},
}

// Requirements E13, S08: after the erasure of an entity nothing that was sealed
// under it stands in any file, as bytes; what is public of it stays; its unique
// value is free; and entities made anew are those that are served.
func TestEraseEntity(t *testing.T) {
	w, folders := newErasable(t)
	ctx := w.as(w.owner)
	must[*munimentv1.ApplySchemaResponse](t)(w.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: boats}))
	must[*munimentv1.GrantPermissionResponse](t)(w.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: w.owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "boat-*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	id := event.NewID()
	launch := func(id event.ID) error {
		_, err := w.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Id: event.NewID().String(), Type: "boat-launched", EntityId: id.String(),
			DataJson: `{"name":"Kittiwakeling","hull":"HULL-kittiwake-7","crew":["Rissa tridactyla"],"berth":"pier-9-public"}`}}})
		return err
	}
	if err := launch(id); err != nil {
		t.Fatal(err)
	}
	boat := func() *munimentv1.Entity {
		return must[*munimentv1.GetEntityResponse](t)(w.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "boat", EntityId: id.String()})).GetEntity()
	}
	if len(boat().GetData().GetFields()) != 4 {
		t.Fatalf("%v", boat())
	}
	needles := w.needles(id)
	for _, c := range canaries {
		delete(needles, "canary "+c)
	}
	if len(needles) < 3 || len(w.grep(needles, folders)) == 0 {
		t.Fatal("nothing is found before the erasure, so that its absence would prove nothing")
	}
	for _, c := range []string{"Kittiwakeling", "kittiwakeling", "HULL-kittiwake", "Rissa tridactyla"} {
		needles["canary "+c] = []byte(c)
	}
	must[*munimentv1.EraseEntityResponse](t)(w.API.Entity.EraseEntity(ctx, &munimentv1.EraseEntityRequest{Type: "boat", EntityId: id.String()}))
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Core.Erasure.Wait(wait, event.SubjectID{ID: id}); err != nil {
		t.Fatal(err)
	}
	if found := w.grep(needles, folders); len(found) > 0 {
		t.Errorf("after the erasure: %q", found)
	}
	if e := boat(); len(e.GetErased()) != 3 || len(e.GetData().GetFields()) != 1 || e.GetData().GetFields()["berth"].GetStringValue() != "pier-9-public" {
		t.Errorf("%v", e)
	}
	if got := must[*munimentv1.GetEntityErasureResponse](t)(w.API.Entity.GetEntityErasure(ctx, &munimentv1.GetEntityErasureRequest{Type: "boat", EntityId: id.String()})); got.GetState() != munimentv1.ErasureState_ERASURE_STATE_COMPLETE || got.GetPosition() == 0 || len(got.GetSteps()) != 6 {
		t.Errorf("erasure: %v", got)
	}
	if err := launch(event.NewID()); err != nil {
		t.Errorf("the value is not free: %v", err)
	}
	if _, err := w.Core.Views.Check(t.Context(), nil, func(d view.Difference) { t.Errorf("made anew: %v", d) }); err != nil {
		t.Error(err)
	}
	if report, err := w.verify(); err != nil || len(report.Findings) > 0 || report.Erased == 0 || report.Pending != 0 {
		t.Errorf("verify: %v %v", report, err)
	}
}
