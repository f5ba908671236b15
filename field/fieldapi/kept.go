package fieldapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom/customapi"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

func packed() ([]*munimentv1.SchemaDocument, error) {
	files, err := field.Pack()
	out := make([]*munimentv1.SchemaDocument, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, &munimentv1.SchemaDocument{File: name, Text: files[name]})
	}
	return out, err
}

// inState is the condition of a list that is limited to a state.
func inState(state string, states ...string) ([]view.Cond, error) {
	var cond []view.Cond
	if state != "" {
		if !slices.Contains(states, state) {
			return nil, fault.Field("state", "must be one of %s, or empty", strings.Join(states, ", "))
		}
		cond = append(cond, view.Eq("state", state))
	}
	return cond, nil
}

// ofEntity is the condition of a list that is limited to an entity, which one of
// the columns names.
func ofEntity(text string, columns ...string) ([]view.Cond, error) {
	if text == "" {
		return nil, nil
	}
	id, err := adapter.UUID("entity_id", text)
	if err != nil {
		return nil, err
	}
	var any []view.Cond
	for _, c := range columns {
		any = append(any, view.Eq(c, id))
	}
	return []view.Cond{view.Any(any...)}, nil
}

// mayRead are the conditions of kept events that the caller may read: of its
// organizations, and those of whose type it may read the events.
func (s *Service) mayRead(ctx context.Context, who authz.Authority) ([]view.Cond, error) {
	all, some := who.Organizations(authz.ReadObjects)
	if all {
		return nil, nil
	}
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	cond := []view.Cond{view.In("organization", some...)}
	for _, p := range who.Permissions(authz.Read) {
		types := slices.DeleteFunc(slices.Collect(maps.Keys(defs.Set.Events)), func(typ string) bool { return !p.Types.Has(typ) })
		slices.Sort(types)
		of := []view.Cond{view.In("type", types...)}
		if !p.Organization.IsZero() {
			of = append(of, view.Eq("organization", p.Organization))
		}
		cond = append(cond, view.All(of...))
	}
	return []view.Cond{view.Any(cond...)}, nil
}

// ListKeptEvents answers events that were not applied.
func (s *Service) ListKeptEvents(ctx context.Context, req *munimentv1.ListKeptEventsRequest) (*munimentv1.ListKeptEventsResponse, error) {
	rd, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	cond, err := inState(req.GetState(), field.Pending, field.Final, field.Applied, field.Dismissed)
	if err != nil {
		return nil, err
	}
	may, err := s.mayRead(ctx, rd.Who)
	if err != nil {
		return nil, err
	}
	of, err := ofEntity(req.GetEntityId(), "entity")
	if err != nil {
		return nil, err
	}
	cond = adapter.Conditions(cond, may, of)
	rows, next, err := rd.Page(ctx, view.Query{Table: field.TableKept, Where: cond, OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListKeptEventsResponse{NextPageToken: next}
	for _, row := range rows {
		k, err := s.kept(ctx, rd.Who, row)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, k)
	}
	return out, nil
}

func (s *Service) kept(ctx context.Context, who authz.Authority, row view.Row) (*munimentv1.KeptEvent, error) {
	position := event.Position(row.Int(entity.Order))
	r, err := s.core.Runner.Log.Record(ctx, position)
	if err != nil {
		return nil, err
	}
	f, err := s.core.Runner.Sealer.Decode(ctx, r)
	if err != nil {
		return nil, err
	}
	p, _ := f.Payload.(field.EventKept)
	out := &munimentv1.KeptEvent{EventId: customapi.UUID(p.Event), EntityType: p.Kind, EntityId: customapi.UUID(p.Entity), Type: p.Type, Reason: p.Reason, State: row.Text("state"),
		Position: uint64(position), Time: timestamppb.New(r.Time), Actor: &munimentv1.Actor{Kind: r.Actor.Kind, Id: r.Actor.ID.String()}}
	if !p.Organization.IsZero() {
		out.OrganizationId = p.Organization.String()
	}
	if p.Occurred != 0 {
		out.Occurred = timestamppb.New(p.Occurred.Time())
	}
	if out.Locked = !who.MayUnseal(p.Type, p.Organization) && who.Actor != r.Actor; !out.Locked {
		if data, whole := p.Said(); whole || len(data) > 0 {
			out.DataJson = string(event.FormatJSON(data))
		}
		out.ClaimedActor = p.Claimed.Value
	}
	return out, nil
}

// SettleConflict decides about an event that was kept for a person.
func (s *Service) SettleConflict(ctx context.Context, req *munimentv1.SettleConflictRequest) (*munimentv1.SettleConflictResponse, error) {
	id, err := adapter.UUID("event_id", req.GetEventId())
	if err != nil {
		return nil, err
	}
	k, err := s.Engine.Kept(ctx, id)
	if err != nil {
		return nil, err
	}
	cmd := field.Settle{Event: id, Entity: event.Stream{Kind: k.Kind, ID: k.Entity}, Type: k.Type, Applied: req.GetApply()}
	if !k.There {
		return nil, field.ErrNotKept
	}
	if req.GetApply() && k.Reason == field.ReasonAsk && !k.Decided {
		if err := s.apply(ctx, req, k); err != nil {
			return nil, err
		}
	}
	res, err := adapter.Run(ctx, s.core, field.Settling, req, cmd)
	if err != nil {
		return nil, err
	}
	return &munimentv1.SettleConflictResponse{Change: adapter.Change(res)}, nil
}

// apply records an event that was kept, under its own id, so that doing it again
// does nothing; unless somebody decided about it meanwhile.
func (s *Service) apply(ctx context.Context, req *munimentv1.SettleConflictRequest, k field.Kept) error {
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return err
	}
	env.Command, env.Request = event.ID{}, nil
	data, whole := k.Said()
	if !whole {
		return fault.New(fault.Erased, "what the event says was erased, or some of it; it can only be left")
	}
	e := publish.Event{ID: k.Event, Type: k.Type, Revision: uint32(k.Revision), Entity: k.EventKept.Entity, Organization: k.Organization, Data: data, Context: map[string]any{}, Private: map[string]string{}}
	if k.Occurred != 0 {
		e.Context["occurred"] = k.Occurred
	}
	if who, ok := k.Claimed.Get(); ok {
		e.Private[claimedActor] = who
	}
	undecided := event.Condition{Query: event.Query{{Types: []string{"field.conflict.decided"}, All: []event.Term{event.TagTerm(event.NewTag("kept", k.Event.String()))}}}}
	_, err = s.Engine.Publisher.Publish(ctx, env, []publish.Event{e}, undecided)
	return err
}
