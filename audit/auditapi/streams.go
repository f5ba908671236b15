package auditapi

import (
	"context"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// maxHidden is how many records that the caller may not see are passed over, to
// find the last of a stream.
const maxHidden = 1000

// ListStreams implements the EventService. A stream is found by its first
// record.
func (s *Service) ListStreams(ctx context.Context, req *munimentv1.ListStreamsRequest) (*munimentv1.ListStreamsResponse, error) {
	var f audit.Filter
	if kind := req.GetFilter().GetKind(); kind != "" {
		if !event.IsName(kind) {
			return nil, fault.Field("filter.kind", "must be a kind of stream, such as user")
		}
		f.Streams = []event.Stream{{Kind: kind}}
	}
	if text := req.GetFilter().GetOrganizationId(); text != "" {
		o, err := id(text)
		if err != nil {
			return nil, fault.Field("filter.organization_id", "%s", fault.Public(err))
		}
		f.Organizations = []event.ID{o}
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	if f.At, err = s.asOf(ctx, req.GetRead()); err != nil {
		return nil, err
	}
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, err
	}
	asked := "streams: " + f.String()
	if f, err = s.resume(f, req.GetPageToken(), false); err != nil {
		return nil, err
	}
	f.Begins = true
	p, err := s.page(ctx, f, sight, false, size)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListStreamsResponse{NextPageToken: s.token(p)}
	for _, first := range p.records {
		m, err := s.stream(ctx, first, f.At, sight)
		if err != nil {
			return nil, err
		}
		out.Streams = append(out.Streams, m)
	}
	read := audit.Read{Filter: asked, Count: int64(len(p.records))}
	if n := len(p.records); n > 0 {
		read.From, read.To = int64(p.records[0].Position), int64(p.records[n-1].Position)
	}
	return out, s.record(ctx, sight, read)
}

// stream describes a stream by its first record and the last one that may be
// seen, as of a position if one is given.
func (s *Service) stream(ctx context.Context, first *event.Record, at event.Position, sight audit.Sight) (*munimentv1.EventStream, error) {
	last := first
	before := event.Position(0)
	if at > 0 {
		before = at + 1
	}
	looked := 0
	for r, err := range s.Runner.Log.ReadBack(ctx, event.OfStream(first.Stream), before) {
		if err != nil {
			return nil, fault.Wrap("find the end of a stream", err)
		}
		if looked++; sight.Sees(r) {
			last = r
			break
		}
		if looked == maxHidden {
			break
		}
	}
	m := &munimentv1.EventStream{Stream: first.Stream.String(), Kind: first.Stream.Kind, Id: first.Stream.ID.String(),
		FirstPosition: uint64(first.Position), FirstType: first.Type, Created: timestamp(first.Time),
		Version: last.Version, LastPosition: uint64(last.Position), LastType: last.Type, Changed: timestamp(last.Time)}
	if orgs := audit.Organizations(first); len(orgs) > 0 {
		m.OrganizationId = orgs[0].String()
	}
	return m, nil
}
