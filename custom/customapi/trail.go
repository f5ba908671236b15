package customapi

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// maxTrail is how many changes a page has at most.
const maxTrail = 100

// ListEntityChanges answers the audit trail of an entity.
func (s EntityService) ListEntityChanges(ctx context.Context, req *munimentv1.ListEntityChangesRequest) (*munimentv1.ListEntityChangesResponse, error) {
	rd, sight, err := s.reading(ctx, req.GetRead(), req.GetType())
	if err != nil {
		return nil, err
	}
	e, err := s.get(ctx, rd, sight, req.GetType(), req.GetEntityId())
	if err != nil {
		return nil, err
	}
	limit := int(req.GetPageSize())
	switch {
	case limit == 0:
		limit = 50
	case limit < 0 || limit > maxTrail:
		return nil, fault.Field("page_size", "1 to %d", maxTrail)
	}
	after, upto, err := trailRange(req, e)
	if err != nil {
		return nil, err
	}
	var records []*event.Record
	q := event.OfStream(event.Stream{Kind: e.Type, ID: e.ID})
	read := s.core.Runner.Log.ReadTo(ctx, q, after, upto)
	if req.GetDescending() {
		read = s.core.Runner.Log.ReadBack(ctx, q, upto+1)
	}
	out := &munimentv1.ListEntityChangesResponse{}
	for r, err := range read {
		if err != nil {
			return nil, err
		}
		if len(records) == limit {
			out.NextPageToken = strconv.FormatUint(uint64(records[limit-1].Position), 10)
			break
		}
		records = append(records, r)
	}
	for _, r := range records {
		c, err := s.changeOf(ctx, sight, r)
		if err != nil {
			return nil, err
		}
		out.Changes = append(out.Changes, c)
	}
	return out, s.recordRead(ctx, rd, records)
}

// trailRange is the part of an entity's stream that a page token leaves.
func trailRange(req *munimentv1.ListEntityChangesRequest, e *custom.Entity) (after, upto event.Position, err error) {
	upto = e.Position
	if req.GetPageToken() == "" {
		return 0, upto, nil
	}
	n, err := strconv.ParseUint(req.GetPageToken(), 10, 63)
	if err != nil || n == 0 || event.Position(n) > e.Position {
		return 0, 0, fault.Field("page_token", "this token is of no page of this list; begin again without one")
	}
	if req.GetDescending() {
		return 0, event.Position(n) - 1, nil
	}
	return event.Position(n), upto, nil
}

// recordRead records that the trail was read, as every reading of events is.
func (s EntityService) recordRead(ctx context.Context, rd *adapter.Reading, records []*event.Record) error {
	if len(records) == 0 || s.Record == nil {
		return nil
	}
	first, last := records[0].Position, records[len(records)-1].Position
	return s.Record(ctx, rd.Who, audit.Read{Filter: "the changes of one entity", From: int64(min(first, last)), To: int64(max(first, last)), Count: int64(len(records))})
}

// changeOf is one event of an entity, and what it changed.
func (s EntityService) changeOf(ctx context.Context, sight *sight, r *event.Record) (*munimentv1.EntityChange, error) {
	before, err := s.at(ctx, r.Stream, r.Position-1)
	if err != nil {
		return nil, err
	}
	after, err := s.at(ctx, r.Stream, r.Position)
	if err != nil {
		return nil, err
	}
	reader := audit.Of(sight.who)
	entry, err := s.Reader.Entry(ctx, r, reader)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.EntityChange{Position: uint64(r.Position), EventId: r.ID.String(), Type: r.Type, Time: timestamppb.New(r.Time), Version: r.Version,
		Sentence: entry.Sentence, Actor: &munimentv1.Actor{Kind: r.Actor.Kind, Id: r.Actor.ID.String(), Name: &munimentv1.Text{Value: s.Reader.ActorName(ctx, r, reader)}},
		Changes: sight.difference(before, after), Deleted: after != nil && after.Deleted && (before == nil || !before.Deleted)}
	if o := custom.Occurred(r); o != 0 {
		out.Occurred = timestamppb.New(o.Time())
	}
	out.Reason, err = s.reason(ctx, r, reader)
	return out, err
}

// reason is why, as the publisher of the event or the caller of the request said.
func (s EntityService) reason(ctx context.Context, r *event.Record, sight audit.Sight) (string, error) {
	fields, err := s.Reader.Context(ctx, r, sight)
	if err != nil {
		return "", err
	}
	reason := ""
	for _, f := range fields {
		text, ok := f.Value.(string)
		if !ok || f.State != event.Present {
			continue
		}
		if f.Name == "event-reason" {
			return text, nil
		}
		if f.Name == "reason" {
			reason = text
		}
	}
	return reason, nil
}

// at is an entity as of a position; nil if it did not exist.
func (s *Service) at(ctx context.Context, stream event.Stream, p event.Position) (*custom.Entity, error) {
	if p == 0 {
		return nil, nil
	}
	row, ok, err := s.core.Views.Get(ctx, custom.Table, view.Values{"id": stream.ID, "type": stream.Kind}, view.Read{At: p})
	if err != nil || !ok {
		return nil, err
	}
	return custom.Read(row), nil
}

// difference are the fields in which two states differ, as far as the caller
// may read them.
func (s *sight) difference(before, after *custom.Entity) []*munimentv1.ValueChange {
	then, now := fieldsOf(before), fieldsOf(after)
	names := slices.Sorted(maps.Keys(then))
	for name := range now {
		if _, ok := then[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []*munimentv1.ValueChange
	for _, name := range names {
		a, b := text(then, name), text(now, name)
		if bytes.Equal(a, b) {
			continue
		}
		// Before may be about somebody else than after.
		c := &munimentv1.ValueChange{Field: name}
		if a != nil && s.opensField(before, name) {
			c.Before = string(a)
		}
		if b != nil && s.opensField(after, name) {
			c.After = string(b)
		}
		c.Locked = a != nil && c.Before == "" || b != nil && c.After == ""
		out = append(out, c)
	}
	return out
}

func fieldsOf(e *custom.Entity) map[string]any {
	if e == nil {
		return nil
	}
	return e.Fields
}

func text(fields map[string]any, name string) []byte {
	v, ok := fields[name]
	if !ok {
		return nil
	}
	return event.FormatJSON(v)
}

// CompareEntity answers what differs between two points.
func (s EntityService) CompareEntity(ctx context.Context, req *munimentv1.CompareEntityRequest) (*munimentv1.CompareEntityResponse, error) {
	l := s.core.Runner.Log
	from, err := adapter.Point(ctx, l, "from_position", event.Position(req.GetFromPosition()), "from_time", req.GetFromTime())
	if err != nil {
		return nil, err
	}
	to, err := adapter.Point(ctx, l, "to_position", event.Position(req.GetToPosition()), "to_time", req.GetToTime())
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = l.Mark().Size
	}
	if from == 0 || from >= to {
		return nil, fault.Field("from_position", "must name a point before the other one")
	}
	_, sight, err := s.reading(ctx, &munimentv1.Read{AtPosition: uint64(to)}, req.GetType())
	if err != nil {
		return nil, err
	}
	id, err := adapter.UUID("entity_id", req.GetEntityId())
	if err != nil {
		return nil, err
	}
	stream := event.Stream{Kind: req.GetType(), ID: id}
	before, err := s.at(ctx, stream, from)
	if err != nil {
		return nil, err
	}
	after, err := s.at(ctx, stream, to)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CompareEntityResponse{}
	for _, e := range []*custom.Entity{before, after} {
		if e != nil && !sight.sees(e.Organization) && !slices.ContainsFunc(subjects(sight.t, e), sight.who.Is) {
			return nil, ErrUnknown
		}
	}
	if before == nil && after == nil {
		return nil, ErrUnknown
	}
	if before != nil {
		out.Before = sight.show(before)
	}
	if after != nil {
		out.After = sight.show(after)
	}
	out.Changes = sight.difference(before, after)
	return out, nil
}
