// Package fieldapi is the face of work without network in the API. Its Engine
// records what devices did and answers what others did; package datacollect
// speaks another protocol with the same engine.
package fieldapi

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/customapi"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Needs are what the service rests on besides the core.
type Needs struct {
	Engine   *Engine
	Schemas  *customapi.SchemaService
	Entities *customapi.EntityService
	// Record records that events were read; nil: nobody asks.
	Record func(context.Context, authz.Authority, audit.Read) error
	// Levels says in which external systems events are; nil: in none.
	Levels Levels
}

// Service implements munimentv1connect.SyncServiceHandler.
type Service struct {
	core adapter.Core
	Needs
}

// New makes the service.
func New(c adapter.Core, n Needs) *Service { return &Service{c, n} }

// PushEvents records what a device did.
func (s *Service) PushEvents(ctx context.Context, req *munimentv1.PushEventsRequest) (*munimentv1.PushEventsResponse, error) {
	if n := len(req.GetEvents()); n == 0 || n > MaxPush {
		return nil, fault.Field("events", "1 to %d events are pushed at a time", MaxPush)
	}
	replica, err := adapter.UUID("replica", req.GetReplica())
	if err != nil {
		return nil, err
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.PushEventsResponse{}
	for _, d := range req.GetEvents() {
		in, err := s.deviceEvent(d)
		results := []Result{{Status: Invalid, Err: err}}
		if err == nil {
			if results, err = s.Engine.Push(ctx, env, replica.String(), []Event{in}); err != nil {
				return nil, err
			}
		}
		out.Results = append(out.Results, s.result(ctx, d.GetEvent(), results[0]))
	}
	return out, nil
}

func (s *Service) deviceEvent(d *munimentv1.DeviceEvent) (Event, error) {
	e, err := customapi.NewEvent(d.GetEvent())
	if err != nil {
		return Event{}, err
	}
	if d.GetEvent().ExpectedVersion != nil {
		return Event{}, fault.Field("expected_version", "a device does not know which version it will find; say what it knew with base")
	}
	in := Event{Event: e}
	if o := d.GetEvent().GetOccurred(); o != nil {
		in.Occurred = event.Instant(o.AsTime().UnixMicro())
	}
	if in.Base, err = s.Engine.Position("base", d.GetBase()); err != nil {
		return in, err
	}
	if d.GetPrevious() != "" {
		in.Previous, err = adapter.UUID("previous", d.GetPrevious())
	}
	return in, err
}

// result is what became of an event, for its device.
func (s *Service) result(ctx context.Context, e *munimentv1.NewEvent, r Result) *munimentv1.PushResult {
	out := &munimentv1.PushResult{EventId: e.GetId(), Status: munimentv1.PushStatus(r.Status), Position: uint64(r.Position), Version: r.Version, Repeated: r.Repeated,
		Superseded: r.Superseded, ConflictPosition: uint64(r.With)}
	if r.Position > 0 {
		call.Answered(ctx, call.Place{Log: s.core.Runner.Log.GenerationAt(r.Position), Position: r.Position})
	}
	var f *fault.Error
	if errors.As(r.Err, &f) {
		out.Problem, out.Field = fault.Public(r.Err), f.Field
	}
	if text := problems[r.Status]; text != "" {
		out.Problem = text
		out.Entity = s.entity(ctx, e)
	}
	return out
}

// problems are what devices are told of events that were not applied.
var problems = map[Status]string{
	Asked:   "others changed the same meanwhile; the event is kept, and a person decides whether it is applied",
	Refused: "others changed the same meanwhile; the event is kept, and was not applied",
	Gone:    "the entity was deleted; the event is kept, and was not applied",
}

// entity is the entity as it is, if the caller may read it.
func (s *Service) entity(ctx context.Context, e *munimentv1.NewEvent) *munimentv1.Entity {
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil || defs.Set.Events[e.GetType()] == nil {
		return nil
	}
	res, err := s.Entities.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: defs.Set.Events[e.GetType()].Entity, EntityId: e.GetEntityId()})
	if err != nil {
		return nil // the event is kept, whether this can be read or not
	}
	return res.GetEntity()
}

// PullEvents answers what stands behind a cursor.
func (s *Service) PullEvents(ctx context.Context, req *munimentv1.PullEventsRequest) (*munimentv1.PullEventsResponse, error) {
	limit, err := adapter.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := s.Engine.Position("cursor", req.GetCursor())
	if err != nil {
		return nil, err
	}
	who, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	mark := s.core.Runner.Log.Mark().Size
	events, next, err := s.Engine.Pull(ctx, who, req.GetEntityTypes(), after, limit)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.PullEventsResponse{NextCursor: s.Engine.Cursor(next), Complete: next >= mark}
	for i := range events {
		out.Events = append(out.Events, pulled(&events[i]))
	}
	call.Answered(ctx, call.Place{Log: s.core.Runner.Log.GenerationAt(next), Position: next})
	if len(events) > 0 && s.Record != nil {
		err = s.Record(ctx, who, audit.Read{Filter: "events pulled by a device", From: int64(events[0].Position), To: int64(events[len(events)-1].Position), Count: int64(len(events))})
	}
	return out, err
}

func (s *Service) who(ctx context.Context) (authz.Authority, error) {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return authz.Authority{}, err
	}
	return s.core.Runner.Authority(ctx, caller.Actor(), s.core.Runner.Log.Mark().Size)
}

func pulled(p *Pulled) *munimentv1.PulledEvent {
	out := &munimentv1.PulledEvent{EventId: customapi.UUID(p.ID), Position: uint64(p.Position), EntityType: p.Entity, EntityId: customapi.UUID(p.Stream.ID), Type: p.Type, Revision: p.Revision, Version: p.Version,
		Time: timestamppb.New(p.Time), Actor: &munimentv1.Actor{Kind: p.Actor.Kind, Id: p.Actor.ID.String()}, ClaimedActor: p.Claimed,
		Locked: p.Locked, Erased: p.Erased, Superseded: custom.Superseded(p.Record), Replica: replicaOf(p.Record)}
	if !p.Organization.IsZero() {
		out.OrganizationId = p.Organization.String()
	}
	if o := custom.Occurred(p.Record); o != 0 {
		out.Occurred = timestamppb.New(o.Time())
	}
	if p.Data != nil {
		out.Data, out.DataJson = customapi.Struct(p.Data), string(event.FormatJSON(p.Data))
	}
	return out
}

// GetFieldPack answers the ready-made definitions.
func (s *Service) GetFieldPack(context.Context, *munimentv1.GetFieldPackRequest) (*munimentv1.GetFieldPackResponse, error) {
	documents, err := packed()
	return &munimentv1.GetFieldPackResponse{Documents: documents}, err
}

// InstallFieldPack applies them.
func (s *Service) InstallFieldPack(ctx context.Context, req *munimentv1.InstallFieldPackRequest) (*munimentv1.InstallFieldPackResponse, error) {
	documents, err := packed()
	if err != nil {
		return nil, err
	}
	if req.GetPlanOnly() {
		plan, err := s.Schemas.PlanSchema(ctx, &munimentv1.PlanSchemaRequest{Documents: documents})
		return &munimentv1.InstallFieldPackResponse{Steps: plan.GetSteps()}, err
	}
	res, err := s.Schemas.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: documents, Acknowledge: req.GetAcknowledge(), CommandId: req.GetCommandId(), Reason: req.GetReason()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.InstallFieldPackResponse{Steps: res.GetSteps(), Change: res.GetChange()}, nil
}
