package fieldapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Levels says, for each of some records, the adapters whose external systems
// have it.
type Levels func(ctx context.Context, records []*event.Record) ([][]event.ID, error)

// GetDeliveryLevels answers how far events have come.
func (s *Service) GetDeliveryLevels(ctx context.Context, req *munimentv1.GetDeliveryLevelsRequest) (*munimentv1.GetDeliveryLevelsResponse, error) {
	if n := len(req.GetEventIds()); n == 0 || n > MaxPush {
		return nil, fault.Field("event_ids", "1 to %d events are asked for at a time", MaxPush)
	}
	out := &munimentv1.GetDeliveryLevelsResponse{}
	var records []*event.Record
	var of []*munimentv1.EventDelivery
	for _, text := range req.GetEventIds() {
		id, err := adapter.UUID("event_ids", text)
		if err != nil {
			return nil, err
		}
		d := &munimentv1.EventDelivery{EventId: text, Level: munimentv1.DeliveryLevel_DELIVERY_LEVEL_LOCAL}
		out.Deliveries = append(out.Deliveries, d)
		r, kept, err := s.here(ctx, id)
		if err != nil {
			return nil, err
		}
		if kept || r != nil {
			d.Level = munimentv1.DeliveryLevel_DELIVERY_LEVEL_REMOTE
		}
		if r != nil {
			records, of = append(records, r), append(of, d)
		}
	}
	if s.Levels == nil || len(records) == 0 {
		return out, nil
	}
	adapters, err := s.Levels(ctx, records)
	if err != nil {
		return nil, err
	}
	for i, list := range adapters {
		for _, id := range list {
			of[i].Level, of[i].AdapterIds = munimentv1.DeliveryLevel_DELIVERY_LEVEL_EXTERNAL, append(of[i].AdapterIds, id.String())
		}
	}
	return out, nil
}

// here is the record of an event, if there is one that the caller may read, or
// whether it was kept for them to know of.
func (s *Service) here(ctx context.Context, id event.ID) (r *event.Record, kept bool, err error) {
	who, err := s.who(ctx)
	if err != nil {
		return nil, false, err
	}
	log := s.core.Runner.Log
	at, ok, err := log.Store().EventPosition(ctx, log.ID(), id)
	if err != nil {
		return nil, false, err
	}
	if !ok || at > log.Mark().Size {
		kept, err = s.knows(ctx, who, id)
		return nil, kept, err
	}
	if r, err = log.Record(ctx, at); err != nil {
		return nil, false, err
	}
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil {
		return nil, false, err
	}
	if defs.Set.Definition(r.Type, r.Revision) == nil {
		return nil, false, nil
	}
	_, ok, err = s.Engine.show(ctx, who, defs, r)
	if err != nil || !ok {
		return nil, false, err
	}
	return r, false, nil
}

// knows reports whether an event was kept, and the caller may know: it is theirs,
// or of a type that they may read.
func (s *Service) knows(ctx context.Context, who authz.Authority, id event.ID) (bool, error) {
	k, err := s.Engine.Kept(ctx, id)
	if err != nil || !k.There || who.MayReadEvents(k.Type, k.Organization) {
		return k.There, err
	}
	// The first is the one that keeps it.
	for r, err := range s.core.Runner.Log.Read(ctx, event.Query{{All: []event.Term{event.TagTerm(event.NewTag("kept", id.String()))}}}, 0) {
		return err == nil && r.Actor == who.Actor && !who.Blocked(), err
	}
	return false, nil
}
