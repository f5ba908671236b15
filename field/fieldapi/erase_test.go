package fieldapi_test

import (
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// What was kept of an entity does not keep the entity from being erased, and
// goes with it.
func TestEraseWhatWasKept(t *testing.T) {
	s := newSite(t)
	replica, ada := uuid(), uuid()
	s.push(t, replica, anEvent("create-individual", ada, `{"name":"Ada"}`, ""))
	base := s.pull(t, s.ctx, "", 0)
	s.push(t, replica, anEvent("delete-individual", ada, `{}`, base.GetNextCursor()))
	if r := s.push(t, uuid(), anEvent("update-individual", ada, `{"phone":"1"}`, base.GetNextCursor()))[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_GONE {
		t.Fatalf("kept: %v", r)
	}
	if k := instancetest.Must(s.API.Sync.ListKeptEvents(s.ctx, &munimentv1.ListKeptEventsRequest{})).GetEvents(); len(k) != 1 || !strings.Contains(k[0].GetDataJson(), "phone") {
		t.Fatalf("kept: %v", k)
	}
	instancetest.Must(s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: ada}))
	s.Erased(strings.ReplaceAll(ada, "-", ""))
	if k := instancetest.Must(s.API.Sync.ListKeptEvents(s.ctx, &munimentv1.ListKeptEventsRequest{})).GetEvents(); len(k) != 1 || k[0].GetDataJson() != "" {
		t.Errorf("kept after the erasure: %v", k)
	}
}

// What was kept and is about somebody else than its entity goes when they are
// erased.
func TestEraseOfWhomWasKept(t *testing.T) {
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
		{File: "visit.json", Text: `{"x-entity-type": "visit", "type": "object", "properties": {"patient": {"type": "string", "format": "uuid", "x-public": true},
			"finding": {"type": "string", "x-subject": "/patient"}, "note": {"type": "string"}}}`},
		{File: "visit-noted.json", Text: `{"x-event": "visit-noted", "x-entity": "visit", "x-conflict": "ask", "type": "object", "required": ["patient"], "properties": {
			"patient": {"type": "string", "format": "uuid", "x-public": true}, "finding": {"type": "string", "x-subject": "/patient"}, "note": {"type": "string"}}}`}}}))
	patient, visit := s.Person(s.Org), uuid()
	s.push(t, uuid(), anEvent("visit-noted", visit, `{"patient":"`+patient+`"}`, ""))
	base := s.pull(t, s.ctx, "", 0).GetNextCursor()
	s.push(t, uuid(), anEvent("visit-noted", visit, `{"patient":"`+patient+`","finding":"flu"}`, base))
	if r := s.push(t, uuid(), anEvent("visit-noted", visit, `{"patient":"`+patient+`","finding":"measles","note":"late"}`, base))[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_ASKED {
		t.Fatalf("asked: %v", r)
	}
	kept := func() *munimentv1.KeptEvent {
		return instancetest.Must(s.API.Sync.ListKeptEvents(s.ctx, &munimentv1.ListKeptEventsRequest{})).GetEvents()[0]
	}
	if k := kept(); !strings.Contains(k.GetDataJson(), "measles") || !strings.Contains(k.GetDataJson(), "late") {
		t.Fatalf("kept: %v", k)
	}
	instancetest.Must(s.API.User.EraseUser(s.ctx, &munimentv1.EraseUserRequest{UserId: patient}))
	s.Erased(patient)
	k := kept()
	if strings.Contains(k.GetDataJson(), "measles") || !strings.Contains(k.GetDataJson(), "late") {
		t.Errorf("kept after the erasure of whom it is about: %v", k)
	}
	_, err := s.API.Sync.SettleConflict(s.ctx, &munimentv1.SettleConflictRequest{EventId: k.GetEventId(), Apply: true})
	instancetest.Want(t, err, fault.Erased, "")
	instancetest.Must(s.API.Sync.SettleConflict(s.ctx, &munimentv1.SettleConflictRequest{EventId: k.GetEventId()}))
}

// Who may publish nothing learns nothing by pushing: neither which entities and
// types there are, nor which events; and nobody keeps events at the entities of
// another organization.
func TestPushByStrangers(t *testing.T) {
	s := newSite(t)
	mine, other := s.Organization(), s.Organization()
	ada := uuid()
	made := anEvent("create-individual", ada, `{"name":"Ada"}`, "")
	made.Event.OrganizationId = mine
	s.push(t, uuid(), made)
	base := s.pull(t, s.ctx, "", 0).GetNextCursor()
	push := func(who string, e *munimentv1.DeviceEvent) *munimentv1.PushResult {
		return instancetest.Must(s.API.Sync.PushEvents(s.As(who), &munimentv1.PushEventsRequest{Replica: uuid(), Events: []*munimentv1.DeviceEvent{e}})).GetResults()[0]
	}
	nobody := s.Person(other)
	after := anEvent("update-individual", ada, `{"phone":"1"}`, base)
	after.Previous = uuid()
	answers := map[string]string{}
	for name, e := range map[string]*munimentv1.DeviceEvent{
		"there": anEvent("update-individual", ada, `{"phone":"1"}`, base), "absent": anEvent("update-individual", uuid(), `{"phone":"1"}`, base), "behind nothing": after,
	} {
		r := push(nobody, e)
		answers[r.GetStatus().String()+r.GetProblem()] = name
	}
	if len(answers) != 1 {
		t.Errorf("a stranger is answered in different ways: %v", answers)
	}
	if r := push(nobody, anEvent("no-such-type", ada, `{}`, base)); r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_INVALID || !strings.Contains(r.GetProblem(), "may not") {
		t.Errorf("a type that is not there: %v", r)
	}
	deleted := anEvent("delete-individual", ada, `{}`, base)
	s.push(t, uuid(), deleted)
	elsewhere := s.Machine(other)
	instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: elsewhere, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: instancetest.In(other)}))
	theirs := anEvent("update-individual", ada, `{"phone":"1"}`, base)
	theirs.Event.OrganizationId = other
	if r := push(elsewhere, theirs); r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_INVALID {
		t.Errorf("kept at another organization's entity: %v", r)
	}
}

// The id of an event that was kept is not good for another event.
func TestKeptIDReused(t *testing.T) {
	s := newSite(t)
	ada, grace := uuid(), uuid()
	s.push(t, uuid(), anEvent("create-individual", ada, `{"name":"Ada"}`, ""), anEvent("create-individual", grace, `{"name":"Grace"}`, ""))
	base := s.pull(t, s.ctx, "", 0).GetNextCursor()
	s.push(t, uuid(), anEvent("delete-individual", ada, `{}`, base))
	late := anEvent("update-individual", ada, `{"phone":"1"}`, base)
	s.push(t, uuid(), late)
	late.Event.EntityId = grace
	if r := s.push(t, uuid(), late)[0]; r.GetStatus() != munimentv1.PushStatus_PUSH_STATUS_INVALID {
		t.Errorf("another event with the id: %v", r)
	}
}
