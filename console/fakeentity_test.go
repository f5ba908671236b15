package console

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

const (
	houseID   = "0198a5c27d1e7a409f3b5b6c7d8e9f01"
	houseUUID = "0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f01"
	emptyUUID = "0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f02"
	emptyID   = "0198a5c27d1e7a409f3b5b6c7d8e9f02"
	personUU  = "0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f07"
	houseDoc  = `{"x-entity-type": "household", "title": "Household", "type": "object",
  "properties": {"name": {"type": "string", "x-search": "prefix"}}}`
)

func defined() *munimentv1.GetSchemaResponse {
	fields := []*munimentv1.TypeField{{Name: "name", Kind: "text", Search: "prefix"}, {Name: "nationalId", Kind: "text", Unique: "instance", Title: "Number of the card", Indexing: &munimentv1.FieldIndexing{Since: 12, Indexed: 4200, Of: 10000}},
		{Name: "village", Kind: "text", Public: true, Search: "exact"}, {Name: "size", Kind: "integer", Public: true}, {Name: "address", Kind: "value"},
		{Name: "members", Kind: "uuids", Public: true, Ref: "individual"}, {Name: "diagnosis", Kind: "text", Subject: "/head"}}
	return &munimentv1.GetSchemaResponse{Position: 12, Changed: ago(time.Hour), Rebuilding: &munimentv1.EntityRebuilding{Since: 12, Done: 310, Of: 1200}, Comparison: &munimentv1.SchemaComparison{Compared: 40, Differ: 12, Fail: 1},
		Types: []*munimentv1.EntityType{{Name: "household", Title: "Household", Fields: fields, Events: []*munimentv1.EventRevision{
			{Type: "household-registered", Revision: 2, Title: "A household was registered", Creates: true, Fields: fields[:3]}, {Type: "HouseholdMoved_v2", Revision: 1, Retired: true, Fields: fields[2:3]}}},
			{Name: "individual", Title: "Individual", Retired: true, Fields: fields[:1]}},
		Documents: []*munimentv1.SchemaDocument{{File: "h.json", Text: houseDoc}}, Modules: []*munimentv1.SchemaModule{{Name: "score", Sha256: strings.Repeat("5e", 32)}}}
}

func (b *backend) GetSchema(_ context.Context, r *munimentv1.GetSchemaRequest) (*munimentv1.GetSchemaResponse, error) {
	if p := r.GetRead().GetAtPosition(); p > 0 && p < 12 {
		return &munimentv1.GetSchemaResponse{}, nil
	}
	return defined(), nil
}

func (b *backend) PlanSchema(_ context.Context, r *munimentv1.PlanSchemaRequest) (*munimentv1.PlanSchemaResponse, error) {
	all := r.GetDocuments()[0].GetText()
	switch {
	case strings.Contains(all, "wrong"):
		p := schema.Problems{{File: "h.json", Pointer: "/properties/a", Msg: "knows no <x-serch>"}, {File: "h.json", Pointer: "/title", Msg: "must be text"}}
		return nil, &fault.Error{Kind: fault.Invalid, Field: "h.json#/properties/a", Msg: "h.json is wrong (and 1 more)", Err: p}
	case strings.Contains(all, "refuse"):
		return &munimentv1.PlanSchemaResponse{Steps: []*munimentv1.SchemaStep{{Verdict: "refused", Event: "household-registered", Message: "2 stored events do not fit the newest revision", Positions: []uint64{8, 12}, Count: 2}}}, nil
	}
	return &munimentv1.PlanSchemaResponse{Checked: 3, Compared: 40, Rebuild: true, Warnings: []string{"h.json#: one event type for each field"}, Steps: []*munimentv1.SchemaStep{
		{Verdict: "added", Entity: "household", Field: "note", Message: "is added"},
		{Verdict: "changed", Entity: "household", Message: "23 of 40 entities are otherwise then than they are served now", Entities: 23, Examples: []*munimentv1.EntityExample{
			{EntityId: houseUUID, Fields: []string{"name", "size"}}, {EntityId: emptyUUID, FailedPosition: 8, Problem: "/x-apply/set/size: division by zero"}}},
		{Verdict: "asked", Event: "household-registered", Field: "name", Message: "stands in clear in events of before, and is sealed from now on; those stay readable", Acknowledge: "household-registered/name", Positions: []uint64{3, 8, 12}, Count: 3}}}, nil
}

func (b *backend) ApplySchema(ctx context.Context, r *munimentv1.ApplySchemaRequest) (*munimentv1.ApplySchemaResponse, error) {
	if len(r.GetAcknowledge()) == 0 {
		return nil, fault.New(fault.Refused, "acknowledge household-registered/name")
	}
	said := []string{"ApplySchema", r.GetDocuments()[0].GetFile(), fmt.Sprint(r.GetWhole()), strings.Join(r.GetAcknowledge(), ","), r.GetReason()}
	for _, m := range r.GetModules() {
		said = append(said, fmt.Sprintf("%s=%d", m.GetName(), len(m.GetCode())))
	}
	c, err := b.change(ctx, said...)
	return &munimentv1.ApplySchemaResponse{Change: c}, err
}

func entityOf(typ, id, data string) *munimentv1.Entity {
	s := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(data), s); err != nil {
		panic(err)
	}
	return &munimentv1.Entity{Type: typ, EntityId: id, OrganizationId: acmeID, Version: 3, Created: ago(48 * time.Hour), Changed: ago(time.Hour), Position: 12, Data: s, DataJson: data}
}

func houses() []*munimentv1.Entity {
	house := entityOf("household", houseUUID, `{"name":"Lovelace & <Sons>","village":"London","size":12345678901234567,"address":{"street":"High Street","lines":["a",{"b":null}],"none":{},"good":true},"members":["`+personUU+`"]}`)
	house.Locked = []string{"diagnosis"}
	broken := entityOf("household", emptyUUID, `{"village":"Ockham"}`)
	broken.Erased, broken.Deleted, broken.FailedPosition, broken.Problem = []string{"name", "nationalId"}, true, 12, "the module ran for too long"
	return []*munimentv1.Entity{house, broken}
}

func (b *backend) ListEntities(_ context.Context, r *munimentv1.ListEntitiesRequest) (*munimentv1.ListEntitiesResponse, error) {
	all := houses()
	if r.GetType() != "household" {
		all = nil
	}
	for _, f := range r.GetFilters() {
		if f.GetField() == "nationalId" {
			return nil, fault.New(fault.Denied, "you may not search by sealed fields")
		}
		if f.GetPrefix() != "love" && f.GetEquals() != "London" {
			all = nil
		} else {
			all = all[:1]
		}
	}
	page, next := at(all, r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListEntitiesResponse{Entities: page, NextPageToken: next}, nil
}

func (b *backend) GetEntity(_ context.Context, r *munimentv1.GetEntityRequest) (*munimentv1.GetEntityResponse, error) {
	e, err := find(houses(), func(e *munimentv1.Entity) bool {
		return strings.ReplaceAll(e.GetEntityId(), "-", "") == r.GetEntityId() && e.GetType() == r.GetType()
	})
	return &munimentv1.GetEntityResponse{Entity: e}, err
}

func (b *backend) ListEntityChanges(_ context.Context, r *munimentv1.ListEntityChangesRequest) (*munimentv1.ListEntityChangesResponse, error) {
	ada := &munimentv1.Actor{Kind: "user", Id: adaID, Name: text("Ada Lovelace")}
	return &munimentv1.ListEntityChangesResponse{NextPageToken: "3", Changes: []*munimentv1.EntityChange{
		{Position: 12, Type: "HouseholdMoved_v2", Time: ago(time.Hour), Occurred: ago(2 * time.Hour), Actor: ada, Sentence: "household 0198a5c2 moved to London", Reason: "asked for it", Version: 3,
			Changes: []*munimentv1.ValueChange{{Field: "village", Before: `"Ockham"`, After: `"London"`}, {Field: "address", Before: `{"street":"Low Street"}`, After: `{"street":"High Street","lines":["a"]}`}}},
		{Position: 8, Type: "household-registered", Time: ago(48 * time.Hour), Actor: ada, Version: 1, Changes: []*munimentv1.ValueChange{{Field: "diagnosis", Locked: true}, {Field: "nationalId", Erased: true}, {Field: "village", After: `"Ockham"`}}}}}, nil
}

func (b *backend) ListRelatedEntities(context.Context, *munimentv1.ListRelatedEntitiesRequest) (*munimentv1.ListRelatedEntitiesResponse, error) {
	return &munimentv1.ListRelatedEntitiesResponse{Entities: []*munimentv1.RelatedEntity{{Field: "next", Entity: houses()[1]}}}, nil
}

func (b *backend) CompareEntity(_ context.Context, r *munimentv1.CompareEntityRequest) (*munimentv1.CompareEntityResponse, error) {
	out := &munimentv1.CompareEntityResponse{After: houses()[0]}
	if r.GetFromPosition() > 1 {
		out.Before = houses()[0]
		out.Changes = []*munimentv1.ValueChange{{Field: "village", Before: `"Ockham"`, After: `"London"`}}
	}
	return out, nil
}

func (b *backend) EraseEntity(ctx context.Context, r *munimentv1.EraseEntityRequest) (*munimentv1.EraseEntityResponse, error) {
	c, err := b.change(ctx, "EraseEntity", r.GetEntityId(), r.GetReason())
	return &munimentv1.EraseEntityResponse{Change: c}, err
}

func (b *backend) GetEntityErasure(_ context.Context, r *munimentv1.GetEntityErasureRequest) (*munimentv1.GetEntityErasureResponse, error) {
	if r.GetEntityId() != emptyUUID {
		return &munimentv1.GetEntityErasureResponse{State: munimentv1.ErasureState_ERASURE_STATE_NEVER}, nil
	}
	return &munimentv1.GetEntityErasureResponse{State: b.erasure.GetState(), Steps: b.erasure.GetSteps(), Position: b.erasure.GetPosition()}, nil
}
