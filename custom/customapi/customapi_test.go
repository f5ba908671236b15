package customapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// household are the definitions that most tests use.
func household() []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	return []*munimentv1.SchemaDocument{
		{File: "household.json", Text: `{` + dialect + `, "x-entity-type": "household", "title": "Household", "type": "object", "properties": {
			"name": {"type": "string", "x-search": "prefix"},
			"nationalId": {"type": "string", "x-unique": "instance"},
			"village": {"type": "string", "x-public": true, "x-search": "exact"},
			"size": {"type": "integer", "x-public": true, "x-search": "exact"},
			"members": {"type": "array", "items": {"type": "string", "format": "uuid"}, "x-public": true, "x-ref": "individual"}}}`},
		{File: "individual.json", Text: `{` + dialect + `, "x-entity-type": "individual", "title": "Individual", "type": "object", "properties": {
			"name": {"type": "string", "x-search": "prefix"}}}`},
		{File: "individual-registered.json", Text: `{` + dialect + `, "x-event": "individual-registered", "x-entity": "individual", "title": "An individual was registered", "type": "object",
			"properties": {"name": {"type": "string", "maxLength": 100}}, "required": ["name"], "additionalProperties": false, "x-creates": true}`},
		{File: "household-registered.json", Text: `{` + dialect + `, "x-event": "household-registered", "x-entity": "household", "title": "A household was registered", "type": "object",
			"properties": {"name": {"type": "string", "maxLength": 100}, "nationalId": {"type": "string"}, "village": {"type": "string", "x-public": true}, "size": {"type": "integer", "minimum": 0, "x-public": true}},
			"required": ["name"], "additionalProperties": false, "x-creates": true}`},
		{File: "household-moved.json", Text: `{` + dialect + `, "x-event": "household-moved", "x-entity": "household", "title": "A household moved", "type": "object",
			"properties": {"village": {"type": "string", "x-public": true}}, "required": ["village"], "additionalProperties": false}`},
		{File: "member-joined.json", Text: `{` + dialect + `, "x-event": "member-joined", "x-entity": "household", "title": "Somebody joined a household", "type": "object",
			"properties": {"member": {"type": "string", "format": "uuid", "x-public": true, "x-ref": "individual"}}, "required": ["member"], "additionalProperties": false,
			"x-apply": {"add": {"members": "/member"}}}`},
		{File: "household-corrected.json", Text: `{` + dialect + `, "x-event": "household-corrected", "x-entity": "household", "title": "A household was corrected", "type": "object",
			"properties": {"name": {"type": "string"}, "nationalId": {"type": ["string", "null"]}}, "additionalProperties": false}`},
		{File: "household-dissolved.json", Text: `{` + dialect + `, "x-event": "household-dissolved", "x-entity": "household", "title": "A household was dissolved", "type": "object",
			"properties": {"why": {"type": "string"}}, "additionalProperties": false, "x-apply": {"delete": true}}`},
	}
}

// site is an instance with definitions, and its owner permitted to publish.
type site struct {
	*instancetest.Instance
	ctx context.Context
}

func newSite(t *testing.T) *site {
	t.Helper()
	return define(t, instancetest.New(t))
}

// define gives an instance the definitions, and its owner the permission.
func define(t *testing.T, i *instancetest.Instance) *site {
	t.Helper()
	s := &site{i, i.AsOwner()}
	for _, right := range []munimentv1.EventRight{munimentv1.EventRight_EVENT_RIGHT_PUBLISH} {
		instancetest.Must(i.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: i.Owner, Right: right, EventTypes: "*", Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	}
	instancetest.Must(i.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: household()}))
	return s
}

func uuid() string { return schema.UUIDOf(event.NewID()) }

func anEvent(typ, entity, data string) *munimentv1.NewEvent {
	return &munimentv1.NewEvent{Id: uuid(), Type: typ, EntityId: entity, DataJson: data}
}

func (s *site) publish(t *testing.T, events ...*munimentv1.NewEvent) *munimentv1.PublishEventsResponse {
	t.Helper()
	res, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: events})
	if err != nil {
		f := api.Explain(err)
		t.Fatalf("publish: %s: %s (field %q)", f.GetKind(), f.GetMessage(), f.GetField())
	}
	return res
}

func (s *site) get(t *testing.T, typ, id string, at uint64) *munimentv1.Entity {
	t.Helper()
	res, err := s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: typ, EntityId: id, Read: &munimentv1.Read{AtPosition: at}})
	if err != nil {
		t.Fatalf("get: %v", api.Explain(err))
	}
	return res.GetEntity()
}

func wantData(t *testing.T, e *munimentv1.Entity, want string) {
	t.Helper()
	var a, b any
	if json.Unmarshal([]byte(e.GetDataJson()), &a) != nil || json.Unmarshal([]byte(want), &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the entity holds %s, want %s", e.GetDataJson(), want)
	}
}

// Requirements E05, E10, E19, P05, P08, P10, P17: what is published is recorded
// once, changes its entity, and can be read as it was at any time.
func TestPublishAndRead(t *testing.T) {
	s := newSite(t)
	h, ada := uuid(), uuid()
	first := s.publish(t, anEvent("household-registered", h, `{"name":"Lovelace","village":"Ockham","size":1,"nationalId":"N1"}`), anEvent("individual-registered", ada, `{"name":"Ada"}`))
	moved := anEvent("household-moved", h, `{"village":"London"}`)
	second := s.publish(t, moved, anEvent("member-joined", h, `{"member":"`+ada+`"}`))
	wantData(t, s.get(t, "household", h, 0), `{"name":"Lovelace","nationalId":"N1","village":"London","size":1,"members":["`+ada+`"]}`)
	wantData(t, s.get(t, "household", h, first.GetPosition()), `{"name":"Lovelace","nationalId":"N1","village":"Ockham","size":1}`)
	if e := s.get(t, "household", h, 0); e.GetVersion() != 3 || e.GetPosition() != second.GetPosition() {
		t.Errorf("version %d at %d", e.GetVersion(), e.GetPosition())
	}

	again := s.publish(t, moved)
	if r := again.GetEvents()[0]; !r.GetRepeated() || r.GetPosition() != second.GetEvents()[0].GetPosition() {
		t.Errorf("sent again: %v", r)
	}
	changed := anEvent("household-moved", h, `{"village":"Paris"}`)
	changed.Id = moved.Id
	_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{changed}})
	instancetest.Want(t, err, fault.Exists, "events[0].id")

	trail := instancetest.Must(s.API.Entity.ListEntityChanges(s.ctx, &munimentv1.ListEntityChangesRequest{Type: "household", EntityId: h})).GetChanges()
	if len(trail) != 3 || trail[1].GetChanges()[0].GetField() != "village" || trail[1].GetChanges()[0].GetBefore() != `"Ockham"` || trail[1].GetChanges()[0].GetAfter() != `"London"` {
		t.Errorf("the trail: %v", trail)
	}
	related := instancetest.Must(s.API.Entity.ListRelatedEntities(s.ctx, &munimentv1.ListRelatedEntitiesRequest{Type: "individual", EntityId: ada})).GetEntities()
	if len(related) != 1 || related[0].GetEntity().GetEntityId() != h || related[0].GetField() != "members" {
		t.Errorf("what points to Ada: %v", related)
	}
	diff := instancetest.Must(s.API.Entity.CompareEntity(s.ctx, &munimentv1.CompareEntityRequest{Type: "household", EntityId: h, FromPosition: first.GetPosition()}))
	if len(diff.GetChanges()) != 2 {
		t.Errorf("what differs: %v", diff.GetChanges())
	}
	check := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{}))
	if check.GetChecked() != 2 || check.GetEvents() != 4 || len(check.GetDifferent()) > 0 {
		t.Errorf("checked: %v", check)
	}
}

// Lists are filtered by sealed and public fields, sorted by public ones, and paged.
func TestListEntities(t *testing.T) {
	s := newSite(t)
	for n := range 10 {
		s.publish(t, anEvent("household-registered", uuid(), fmt.Sprintf(`{"name":"House %d","village":"%s","size":%d}`, n, []string{"Ockham", "London"}[n%2], 10-n)))
	}
	names := func(req *munimentv1.ListEntitiesRequest) string {
		t.Helper()
		req.Type = "household"
		var out []string
		for {
			res, err := s.API.Entity.ListEntities(s.ctx, req)
			if err != nil {
				t.Fatal(api.Explain(err))
			}
			for _, e := range res.GetEntities() {
				out = append(out, strings.TrimPrefix(e.GetData().GetFields()["name"].GetStringValue(), "House "))
			}
			if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
				return strings.Join(out, "")
			}
		}
	}
	equals := func(field, v string) *munimentv1.FieldFilter {
		return &munimentv1.FieldFilter{Field: field, Equals: v}
	}
	for want, req := range map[string]*munimentv1.ListEntitiesRequest{
		"0123456789": {PageSize: 3},
		"9876543210": {Descending: true, PageSize: 4},
		"3":          {Filters: []*munimentv1.FieldFilter{equals("name", "house 3")}},
		"97531":      {Filters: []*munimentv1.FieldFilter{equals("village", "London")}, OrderBy: "size", PageSize: 2},
		"4":          {Filters: []*munimentv1.FieldFilter{equals("size", "6"), equals("village", "Ockham")}},
		"":           {Filters: []*munimentv1.FieldFilter{equals("size", "6"), equals("village", "London")}},
	} {
		if got := names(req); got != want {
			t.Errorf("%v: %s, want %s", req, got, want)
		}
	}
	_, err := s.API.Entity.ListEntities(s.ctx, &munimentv1.ListEntitiesRequest{Type: "household", Filters: []*munimentv1.FieldFilter{equals("members", "x")}})
	instancetest.Want(t, err, fault.Invalid, "filters[0].field")
	_, err = s.API.Entity.ListEntities(s.ctx, &munimentv1.ListEntitiesRequest{Type: "household", OrderBy: "name"})
	instancetest.Want(t, err, fault.Invalid, "order_by")
}

// Each refusal names the event, the field and the rule, and nothing is recorded.
func TestPublishRefuses(t *testing.T) {
	s := newSite(t)
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"Lovelace","nationalId":"N1"}`))
	good := anEvent("household-registered", uuid(), `{"name":"Good"}`)
	version := func(e *munimentv1.NewEvent, v uint64) *munimentv1.NewEvent { e.ExpectedVersion = &v; return e }
	for name, c := range map[string]struct {
		e     *munimentv1.NewEvent
		kind  fault.Kind
		field string
	}{
		"unknown type":    {anEvent("household-painted", h, `{}`), fault.Invalid, "events[1].type"},
		"unknown field":   {anEvent("household-moved", h, `{"village":"x","colour":"red"}`), fault.Invalid, "events[1].data/colour"},
		"wrong type":      {anEvent("household-moved", h, `{"village":7}`), fault.Invalid, "events[1].data/village"},
		"missing field":   {anEvent("household-moved", h, `{}`), fault.Invalid, "events[1].data/village"},
		"no entity":       {anEvent("household-moved", uuid(), `{"village":"x"}`), fault.Refused, "events[1].entity_id"},
		"taken":           {anEvent("household-registered", uuid(), `{"name":"x","nationalId":"n1"}`), fault.Exists, "events[1].data/nationalId"},
		"version":         {version(anEvent("household-moved", h, `{"village":"x"}`), 7), fault.Conflict, "events[1].expected_version"},
		"malformed JSON":  {anEvent("household-moved", h, `{"village":`), fault.Invalid, "events[1].data_json"},
		"duplicate names": {anEvent("household-moved", h, `{"village":"x","village":"y"}`), fault.Invalid, "events[1].data_json/village"},
		"bad entity":      {anEvent("household-moved", "house", `{"village":"x"}`), fault.Invalid, "events[1].entity_id"},
	} {
		before := s.Core.Log.Mark().Size
		_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{good, c.e}})
		f := api.Explain(err)
		if f == nil || !fault.Is(api.AsFault(err), c.kind) || f.GetField() != c.field {
			t.Errorf("%s: %v (field %q), want %v in %s", name, f.GetMessage(), f.GetField(), c.kind, c.field)
		}
		if s.Core.Log.Mark().Size != before {
			t.Errorf("%s: something was recorded", name)
		}
	}
}

// A unique value is released when it changes, when its entity is deleted, and
// when it is erased.
func TestUnique(t *testing.T) {
	s := newSite(t)
	a, b := uuid(), uuid()
	take := func(id string) *munimentv1.NewEvent {
		return anEvent("household-registered", id, `{"name":"x","nationalId":"N1"}`)
	}
	refused := func(e *munimentv1.NewEvent) {
		t.Helper()
		_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{e}})
		if !fault.Is(api.AsFault(err), fault.Exists) {
			t.Errorf("a taken value: %v", err)
		}
	}
	s.publish(t, take(a))
	refused(take(b))
	s.publish(t, anEvent("household-corrected", a, `{"nationalId":"N2"}`))
	s.publish(t, take(b))
	refused(anEvent("household-corrected", a, `{"nationalId":"N1"}`))
	s.publish(t, anEvent("household-dissolved", b, `{}`))
	s.publish(t, anEvent("household-corrected", a, `{"nationalId":"N1"}`))
	_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{anEvent("household-moved", b, `{"village":"x"}`)}})
	if !fault.Is(api.AsFault(err), fault.Refused) {
		t.Errorf("an event of a deleted entity: %v", err)
	}
	instancetest.Must(s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "household", EntityId: a}))
	c := uuid()
	s.publish(t, take(c))
	e := s.get(t, "household", a, 0)
	if strings.Join(e.GetErased(), " ") != "name nationalId" || e.GetDataJson() != "{}" {
		t.Errorf("after the erasure: %v", e)
	}
	check := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{}))
	if check.GetChecked() != 3 || len(check.GetDifferent()) > 0 {
		t.Errorf("checked: %v", check)
	}
}

// What is not kept any longer is erased, and what got an event lately is not.
func TestRetention(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	i := instancetest.NewAt(t, func() time.Time { return now })
	s := define(t, i)
	doc := household()[1]
	doc.Text = strings.Replace(doc.Text, `"title"`, `"x-retention": 30, "title"`, 1)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{doc}, Acknowledge: []string{"retention:individual"}}))
	old, fresh, h := uuid(), uuid(), uuid()
	s.publish(t, anEvent("individual-registered", old, `{"name":"Ada"}`), anEvent("household-registered", h, `{"name":"Lovelace"}`))
	now = now.AddDate(0, 0, 20)
	s.publish(t, anEvent("individual-registered", fresh, `{"name":"Grace"}`))
	now = now.AddDate(0, 0, 11)
	if n, err := s.Core.Customs.Expire(t.Context()); n != 1 || err != nil {
		t.Fatalf("erased %d, %v", n, err)
	}
	if n, err := s.Core.Customs.Expire(t.Context()); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	if e := s.get(t, "individual", old, 0); len(e.GetErased()) != 1 || e.GetDataJson() != "{}" {
		t.Errorf("what was to be erased: %v", e)
	}
	wantData(t, s.get(t, "individual", fresh, 0), `{"name":"Grace"}`)
	wantData(t, s.get(t, "household", h, 0), `{"name":"Lovelace"}`)
}
