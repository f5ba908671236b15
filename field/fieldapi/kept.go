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

// visible are the conditions that say which rows of organizations may be read.
func visible(who authz.Authority, state string, states ...string) ([]view.Cond, error) {
	var cond []view.Cond
	if state != "" {
		if !slices.Contains(states, state) {
			return nil, fault.Field("state", "must be one of %s, or empty", strings.Join(states, ", "))
		}
		cond = append(cond, view.Eq("state", state))
	}
	if all, some := who.Organizations(authz.ReadObjects); !all {
		cond = append(cond, view.In("organization", some...))
	}
	return cond, nil
}

// ListKeptEvents answers events that were not applied.
func (s *Service) ListKeptEvents(ctx context.Context, req *munimentv1.ListKeptEventsRequest) (*munimentv1.ListKeptEventsResponse, error) {
	rd, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	cond, err := visible(rd.Who, req.GetState(), field.Pending, field.Final, field.Applied, field.Dismissed)
	if err != nil {
		return nil, err
	}
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

// ListDuplicates answers pairs that may be the same.
func (s *Service) ListDuplicates(ctx context.Context, req *munimentv1.ListDuplicatesRequest) (*munimentv1.ListDuplicatesResponse, error) {
	rd, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	cond, err := visible(rd.Who, req.GetState(), field.Open, field.Same, field.Different)
	if err != nil {
		return nil, err
	}
	rows, next, err := rd.Page(ctx, view.Query{Table: field.TableDuplicates, Where: cond, OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListDuplicatesResponse{NextPageToken: next}
	for _, row := range rows {
		d := &munimentv1.Duplicate{EntityType: row.Text("kind"), EntityId: customapi.UUID(row.ID("entity")), OtherId: customapi.UUID(row.ID("other")), Fields: strings.Fields(row.Text("fields")),
			State: row.Text("state"), Position: uint64(row.Int(entity.Order)), Time: timestamppb.New(row.Time("created"))}
		if o := row.ID("organization"); !o.IsZero() {
			d.OrganizationId = o.String()
		}
		out.Duplicates = append(out.Duplicates, d)
	}
	return out, nil
}

// ResolveDuplicate says whether two entities are the same.
func (s *Service) ResolveDuplicate(ctx context.Context, req *munimentv1.ResolveDuplicateRequest) (*munimentv1.ResolveDuplicateResponse, error) {
	a, err := adapter.UUID("entity_id", req.GetEntityId())
	if err != nil {
		return nil, err
	}
	b, err := adapter.UUID("other_id", req.GetOtherId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, field.Resolving, req, field.Resolve{Entity: a, Other: b, Same: req.GetSame()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ResolveDuplicateResponse{Change: adapter.Change(res)}, nil
}
