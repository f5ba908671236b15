package fieldapi_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// site is an instance with the pack, whose owner may publish.
type site struct {
	*instancetest.Instance
	ctx context.Context
}

func newSite(t *testing.T) *site {
	t.Helper()
	i := instancetest.New(t)
	s := &site{i, i.AsOwner()}
	instancetest.Must(i.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: i.Owner, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	plan := instancetest.Must(i.API.Sync.InstallFieldPack(s.ctx, &munimentv1.InstallFieldPackRequest{PlanOnly: true}))
	if len(plan.GetSteps()) == 0 || plan.GetChange() != nil {
		t.Fatalf("the plan: %v", plan)
	}
	instancetest.Must(i.API.Sync.InstallFieldPack(s.ctx, &munimentv1.InstallFieldPackRequest{}))
	return s
}

func uuid() string { return schema.UUIDOf(event.NewID()) }

func anEvent(typ, entity, data, base string) *munimentv1.DeviceEvent {
	return &munimentv1.DeviceEvent{Base: base, Event: &munimentv1.NewEvent{Id: uuid(), Type: typ, EntityId: entity, DataJson: data, Occurred: timestamppb.Now(),
		Context: &munimentv1.EventContext{ClaimedActor: "enumerator-7", Source: "mobile-app"}}}
}

func (s *site) push(t *testing.T, replica string, events ...*munimentv1.DeviceEvent) []*munimentv1.PushResult {
	t.Helper()
	res, err := s.API.Sync.PushEvents(s.ctx, &munimentv1.PushEventsRequest{Replica: replica, Events: events})
	if err != nil {
		t.Fatalf("push: %v", api.Explain(err))
	}
	return res.GetResults()
}

func (s *site) pull(t *testing.T, ctx context.Context, cursor string, size int32) *munimentv1.PullEventsResponse {
	t.Helper()
	res, err := s.API.Sync.PullEvents(ctx, &munimentv1.PullEventsRequest{Cursor: cursor, PageSize: size})
	if err != nil {
		t.Fatalf("pull: %v", api.Explain(err))
	}
	return res
}

// Two devices over the API: each field is settled by itself, what lost stays to
// be read, and pages begin where the last one ended.
func TestPushAndPull(t *testing.T) {
	s := newSite(t)
	a, b, ada := uuid(), uuid(), uuid()
	made := anEvent("create-individual", ada, `{"name":"Ada","phone":"1"}`, "")
	if r := s.push(t, a, made)[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_RECORDED || r.GetVersion() != 1 {
		t.Fatalf("made: %v", r)
	}
	base := s.pull(t, s.ctx, "", 0)
	if !base.GetComplete() || len(base.GetEvents()) != 1 || base.GetEvents()[0].GetClaimedActor() != "enumerator-7" || base.GetEvents()[0].GetData().GetFields()["name"].GetStringValue() != "Ada" {
		t.Fatalf("pulled: %v", base)
	}
	late := anEvent("update-individual", ada, `{"phone":"3","address":"Ockham"}`, base.GetNextCursor())
	late.Event.Occurred.Seconds += 60
	s.push(t, a, late)
	r := s.push(t, b, anEvent("update-individual", ada, `{"phone":"2","email":"a@example.org"}`, base.GetNextCursor()))[0]
	if len(r.GetSuperseded()) != 1 || r.GetSuperseded()[0] != "phone" || r.GetConflictPosition() == 0 {
		t.Errorf("in conflict: %v", r)
	}
	e := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "individual", EntityId: ada})).GetEntity()
	if got := e.GetDataJson(); got != `{"address":"Ockham","email":"a@example.org","name":"Ada","phone":"3"}` {
		t.Errorf("the individual: %s", got)
	}
	if again := s.push(t, a, made)[0]; !again.GetRepeated() || again.GetVersion() != 1 {
		t.Errorf("pushed again: %v", again)
	}
	var got []string
	for cursor := ""; ; {
		page := s.pull(t, s.ctx, cursor, 1)
		for _, e := range page.GetEvents() {
			got = append(got, e.GetType())
		}
		if cursor = page.GetNextCursor(); page.GetComplete() {
			break
		}
	}
	if len(got) != 3 || got[2] != "update-individual" {
		t.Errorf("pulled by pages: %v", got)
	}
	check := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{}))
	if check.GetChecked() != 1 || len(check.GetDifferent()) > 0 {
		t.Errorf("folded again: %v", check)
	}
}

// An event that cannot be taken holds back no other, and says why.
func TestPushAnswersEach(t *testing.T) {
	s := newSite(t)
	a, ada, group := uuid(), uuid(), uuid()
	first := anEvent("create-individual", ada, `{"name":"Ada"}`, "")
	second := anEvent("update-individual", ada, `{"phone":"1"}`, "")
	second.Previous = first.Event.Id
	results := s.push(t, a, second, anEvent("create-individual", uuid(), `{"name":7}`, ""), anEvent("add-member", group, `{"member":"`+ada+`"}`, ""), first, second,
		anEvent("create-individual", uuid(), `{"name":"x"}`, "somewhere"))
	want := []munimentv1.PushStatus{5, 6, 5, 1, 1, 6}
	for i, r := range results {
		if r.GetStatus() != want[i] || (r.GetProblem() == "") != (want[i] == 1) {
			t.Errorf("event %d: %v, want %v", i, r, want[i])
		}
	}
	s.push(t, a, anEvent("delete-individual", ada, `{}`, ""))
	r := s.push(t, uuid(), anEvent("update-individual", ada, `{"phone":"2"}`, ""))[0]
	if r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_GONE || !r.GetEntity().GetDeleted() {
		t.Errorf("of a deleted one: %v", r)
	}
	kept := instancetest.Must(s.API.Sync.ListKeptEvents(s.ctx, &munimentv1.ListKeptEventsRequest{})).GetEvents()
	if len(kept) != 1 || kept[0].GetDataJson() != `{"phone":"2"}` || kept[0].GetState() != "kept" || kept[0].GetReason() != "gone" {
		t.Errorf("kept: %v", kept)
	}
}

// What a policy asks a person about waits until somebody decides, once.
func TestSettleConflict(t *testing.T) {
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
		{File: "p.json", Text: `{"x-entity-type": "parcel", "type": "object", "properties": {"owner": {"type": "string"}}}`},
		{File: "n.json", Text: `{"x-event": "parcel-claimed", "x-entity": "parcel", "x-conflict": "ask", "type": "object", "properties": {"owner": {"type": "string"}}, "required": ["owner"]}`}}}))
	parcel := uuid()
	claim := func(owner string) *munimentv1.DeviceEvent {
		return anEvent("parcel-claimed", parcel, `{"owner":"`+owner+`"}`, "")
	}
	s.push(t, uuid(), claim("Ada"))
	grace, eve := claim("Grace"), claim("Eve")
	for _, e := range []*munimentv1.DeviceEvent{grace, eve} {
		if r := s.push(t, uuid(), e)[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_ASKED || r.GetEntity().GetDataJson() != `{"owner":"Ada"}` {
			t.Errorf("in conflict: %v", r)
		}
	}
	settle := func(e *munimentv1.DeviceEvent, apply bool) error {
		_, err := s.API.Sync.SettleConflict(s.ctx, &munimentv1.SettleConflictRequest{EventId: e.Event.Id, Apply: apply})
		return err
	}
	if err := settle(grace, true); err != nil {
		t.Fatal(api.Explain(err))
	}
	if err := settle(grace, false); !fault.Is(api.AsFault(err), fault.Refused) {
		t.Errorf("decided twice: %v", err)
	}
	if err := settle(eve, false); err != nil {
		t.Fatal(api.Explain(err))
	}
	if e := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "parcel", EntityId: parcel})).GetEntity(); e.GetDataJson() != `{"owner":"Grace"}` {
		t.Errorf("the parcel: %s", e.GetDataJson())
	}
	for state, want := range map[string]string{"applied": grace.Event.Id, "dismissed": eve.Event.Id} {
		kept := instancetest.Must(s.API.Sync.ListKeptEvents(s.ctx, &munimentv1.ListKeptEventsRequest{State: state})).GetEvents()
		if len(kept) != 1 || kept[0].GetEventId() != want {
			t.Errorf("%s: %v", state, kept)
		}
	}
	if r := s.push(t, uuid(), grace)[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_RECORDED || !r.GetRepeated() {
		t.Errorf("pushed again: %v", r)
	}
}

// S13: a device gets what its user may read: their own events, and those that a
// permission names; sealed fields only if it may unseal them.
func TestPullIsFiltered(t *testing.T) {
	s := newSite(t)
	org := s.Organization()
	robot := s.Machine(org)
	ctx := s.As(robot)
	scope := &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	grant := func(right munimentv1.EventRight, types string) {
		instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: robot, Right: right, EventTypes: types, Scope: scope}))
	}
	s.push(t, uuid(), anEvent("create-individual", uuid(), `{"name":"Ada"}`, ""), anEvent("create-group", uuid(), `{"name":"Ockham","size":3}`, ""))
	if res := s.pull(t, ctx, "", 0); len(res.GetEvents()) != 0 || !res.GetComplete() {
		t.Errorf("without a permission: %v", res)
	}
	grant(munimentv1.EventRight_EVENT_RIGHT_READ, "create-group")
	grant(munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "create-individual")
	if _, err := s.API.Sync.PushEvents(ctx, &munimentv1.PushEventsRequest{Replica: uuid(), Events: []*munimentv1.DeviceEvent{anEvent("create-individual", uuid(), `{"name":"Own"}`, "")}}); err != nil {
		t.Fatal(api.Explain(err))
	}
	denied, err := s.API.Sync.PushEvents(ctx, &munimentv1.PushEventsRequest{Replica: uuid(), Events: []*munimentv1.DeviceEvent{anEvent("create-group", uuid(), `{"name":"x"}`, "")}})
	if err != nil || denied.GetResults()[0].GetStatus() != munimentv1.PushStatus_PUSH_STATUS_INVALID {
		t.Errorf("what it may not publish: %v %v", denied, err)
	}
	events := s.pull(t, ctx, "", 0).GetEvents()
	if len(events) != 2 {
		t.Fatalf("with permissions: %v", events)
	}
	if e := events[0]; e.GetType() != "create-group" || e.GetDataJson() != `{"size":3}` || len(e.GetLocked()) != 1 || e.GetClaimedActor() != "" {
		t.Errorf("what is sealed: %v", e)
	}
	if e := events[1]; e.GetDataJson() != `{"name":"Own"}` {
		t.Errorf("its own: %v", e)
	}
	if _, err := s.API.Sync.PullEvents(ctx, &munimentv1.PullEventsRequest{Cursor: "0123:7"}); !fault.Is(api.AsFault(err), fault.Invalid) {
		t.Errorf("a cursor of nobody's: %v", err)
	}
}

// An event for an organization that was removed is refused as others are: the
// device is told, keeps it, and those beside it are recorded.
func TestRemovedOrganization(t *testing.T) {
	s := newSite(t)
	acme, replica := s.Organization(), uuid()
	theirs := anEvent("create-individual", uuid(), `{"name":"Ada"}`, "")
	theirs.Event.OrganizationId = acme
	instancetest.Must(s.API.Organization.RemoveOrganization(s.ctx, &munimentv1.RemoveOrganizationRequest{OrganizationId: acme}))
	got := s.push(t, replica, theirs, anEvent("create-individual", uuid(), `{"name":"Grace"}`, ""))
	if got[0].GetStatus() != munimentv1.PushStatus_PUSH_STATUS_INVALID || !strings.Contains(got[0].GetProblem(), "removed") || got[1].GetStatus() != munimentv1.PushStatus_PUSH_STATUS_RECORDED {
		t.Errorf("%v", got)
	}
	instancetest.Must(s.API.Organization.RestoreOrganization(s.ctx, &munimentv1.RestoreOrganizationRequest{OrganizationId: acme}))
	if got := s.push(t, replica, theirs); got[0].GetStatus() != munimentv1.PushStatus_PUSH_STATUS_RECORDED {
		t.Errorf("after it came back: %v", got)
	}
}
