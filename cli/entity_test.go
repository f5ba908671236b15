package cli_test

import (
	"context"
	"fmt"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

// schemas plans and applies whatever it gets, as far as scripts need it.
type schemas struct {
	connectv1.UnimplementedSchemaServiceHandler
}

func (schemas) PlanSchema(_ context.Context, r *munimentv1.PlanSchemaRequest) (*munimentv1.PlanSchemaResponse, error) {
	for _, d := range r.GetDocuments() {
		switch d.GetFile() {
		case "other.json":
			all := schema.Problems{{File: "a.json", Pointer: "/x", Msg: "is wrong"}, {File: "b.json", Pointer: "/y", Msg: "is wrong too"}}
			return nil, &fault.Error{Kind: fault.Invalid, Field: "a.json#/x", Msg: "is wrong (and 1 more)", Err: all}
		case "refused.json":
			return &munimentv1.PlanSchemaResponse{Steps: []*munimentv1.SchemaStep{{Verdict: "refused", Text: "! entity refused"}}}, nil
		}
	}
	asked := &munimentv1.SchemaStep{Verdict: "asked", Text: "? entity household, field name: stands in clear", Acknowledge: "household/name", Count: 20}
	for p := uint64(3); p < 23; p++ {
		asked.Positions = append(asked.Positions, p)
	}
	differ := &munimentv1.SchemaStep{Verdict: "changed", Text: "~ entity household: 3 of 9 entities are otherwise then", Entities: 3,
		Examples: []*munimentv1.EntityExample{{EntityId: "7", Fields: []string{"name", "size"}}, {EntityId: "8", FailedPosition: 5, Problem: "division by zero"}}}
	return &munimentv1.PlanSchemaResponse{Steps: []*munimentv1.SchemaStep{{Verdict: "added", Text: "+ entity household"}, asked, differ}, Warnings: []string{"household.json#: is small"}, Checked: 7, Compared: 9}, nil
}

func (schemas) ApplySchema(_ context.Context, r *munimentv1.ApplySchemaRequest) (*munimentv1.ApplySchemaResponse, error) {
	if strings.Join(r.GetAcknowledge(), " ") != "household/name" || r.GetReason() != "because" || r.GetCommandId() == "" {
		return nil, fault.New(fault.Refused, "it was not acknowledged")
	}
	return &munimentv1.ApplySchemaResponse{Change: &munimentv1.Change{Position: 77}}, nil
}

func (schemas) GetSchema(_ context.Context, r *munimentv1.GetSchemaRequest) (*munimentv1.GetSchemaResponse, error) {
	out := &munimentv1.GetSchemaResponse{Rebuilding: &munimentv1.EntityRebuilding{Since: 12, Done: 310, Of: 1200}, Comparison: &munimentv1.SchemaComparison{Compared: 9, Differ: 3, Fail: 1},
		Types: []*munimentv1.EntityType{{Name: "household", Title: "Household", Fields: []*munimentv1.TypeField{{Name: "name", Kind: "text", Search: "prefix"},
			{Name: "card", Kind: "text", Unique: "instance", Indexing: &munimentv1.FieldIndexing{Since: 12, Indexed: 4200, Of: 10000}}},
			Events: []*munimentv1.EventRevision{{Type: "household-registered", Revision: 2, Creates: true}}}}}
	if r.GetWithCode() {
		out.Documents = []*munimentv1.SchemaDocument{{File: "household.json", Text: `{"x-entity-type": "household"}` + "\n"}}
		out.Modules = []*munimentv1.SchemaModule{{Name: "sum", Code: []byte("wasm")}}
	}
	return out, nil
}

// entities takes events that look as scripts have them.
type entities struct {
	connectv1.UnimplementedEntityServiceHandler
}

func (entities) PublishEvents(_ context.Context, r *munimentv1.PublishEventsRequest) (*munimentv1.PublishEventsResponse, error) {
	out := &munimentv1.PublishEventsResponse{}
	for i, e := range r.GetEvents() {
		if e.GetType() == "no-such" {
			return nil, fault.Field(fmt.Sprintf("events[%d].type", i), "there is no such type")
		}
		if e.GetDataJson() != "{}" && !strings.Contains(e.GetDataJson(), "12345678901234567890.5") || e.GetEntityId() != "7" {
			return nil, fault.Field(fmt.Sprintf("events[%d].data", i), "came otherwise: %v", e)
		}
		p := &munimentv1.Published{Id: e.GetId(), Position: uint64(i) + 1, Version: 1}
		if len(r.GetEvents()) == 1 && e.GetDataJson() == "{}" {
			p.Position = 2
		}
		if r.GetWithReceipts() {
			p.Receipt = []byte("receipt")
		}
		out.Events = append(out.Events, p)
	}
	return out, nil
}

func (entities) GetEntity(_ context.Context, r *munimentv1.GetEntityRequest) (*munimentv1.GetEntityResponse, error) {
	return &munimentv1.GetEntityResponse{Entity: &munimentv1.Entity{Type: r.GetType(), EntityId: r.GetEntityId(), DataJson: `{"name":"Lovelace","where":{"town":"Ockham"}}`}}, nil
}

func (entities) ListEntities(_ context.Context, r *munimentv1.ListEntitiesRequest) (*munimentv1.ListEntitiesResponse, error) {
	var said []string
	for _, f := range r.GetFilters() {
		if f.GetPrefix() != "" {
			said = append(said, f.GetField()+" prefix "+f.GetPrefix())
		} else {
			said = append(said, f.GetField()+" equals "+f.GetEquals())
		}
	}
	return &munimentv1.ListEntitiesResponse{Entities: []*munimentv1.Entity{{EntityId: "7", DataJson: strings.Join(said, ", ")}}}, nil
}

func (entities) ListEntityChanges(context.Context, *munimentv1.ListEntityChangesRequest) (*munimentv1.ListEntityChangesResponse, error) {
	return &munimentv1.ListEntityChangesResponse{Changes: []*munimentv1.EntityChange{{Position: 9, Changes: []*munimentv1.ValueChange{
		{Field: "village", Before: `"Ockham"`, After: `"London"`}, {Field: "card", Locked: true}, {Field: "name", Erased: true}, {Field: "size", After: "3"}, {Field: "note", Before: `"x"`}}}}}, nil
}

func (entities) ListRelatedEntities(context.Context, *munimentv1.ListRelatedEntitiesRequest) (*munimentv1.ListRelatedEntitiesResponse, error) {
	return &munimentv1.ListRelatedEntitiesResponse{Entities: []*munimentv1.RelatedEntity{{Field: "members", Entity: &munimentv1.Entity{Type: "household", EntityId: "8"}}}}, nil
}

func (entities) CheckEntities(_ context.Context, r *munimentv1.CheckEntitiesRequest) (*munimentv1.CheckEntitiesResponse, error) {
	out := &munimentv1.CheckEntitiesResponse{Checked: 3, Events: 9, Position: 10}
	if r.GetEntityId() != "" {
		out.Different = []string{r.GetType() + ":" + r.GetEntityId()}
	}
	return out, nil
}
