package auditapi

import (
	"context"
	"iter"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// patience is how many records that do not match are looked at for one page.
const patience = 50_000

// maxBefore bounds a page with what fields were before: each event's stream is
// read backwards for it.
const maxBefore = 100

// ListEvents implements the EventService.
func (s *Service) ListEvents(ctx context.Context, req *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
	f, err := s.filter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	if f.At, err = s.asOf(ctx, req.GetRead()); err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	want := details{fields: req.GetWithFields() || req.GetWithBefore(), before: req.GetWithBefore(), leaf: req.GetWithLeaf()}
	if want.before && size > maxBefore {
		return nil, fault.Field("page_size", "must be 1 to %d with what was before", maxBefore)
	}
	sight, err := s.sightFor(ctx, f)
	if err != nil {
		return nil, err
	}
	asked := f.String()
	if f, err = s.resume(f, req.GetPageToken(), req.GetDescending()); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, f, sight, req.GetDescending(), size)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListEventsResponse{NextPageToken: s.token(p)}
	read := audit.Read{Filter: asked, Count: int64(len(p.records))}
	for _, r := range p.records {
		m, err := s.detailed(ctx, r, sight, want)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, m)
		at := int64(r.Position)
		if read.From == 0 || at < read.From {
			read.From = at
		}
		read.To = max(read.To, at)
	}
	return out, s.record(ctx, sight, read)
}

// page is the records of a page, and where the next one begins.
type page struct {
	records []*event.Record
	next    event.Position // behind this one; 0: there is no more
}

func (s *Service) token(p *page) string {
	if p.next == 0 {
		return ""
	}
	return call.Place{Log: s.Runner.Log.GenerationAt(p.next), Position: p.next}.String()
}

// query is what finds the records of a filter by the index. Patterns stand for
// the types that are known by now.
func (s *Service) query(f audit.Filter, sight audit.Sight) (event.Query, error) {
	l, reg := s.Runner.Log.ID(), s.Reader.Sealer.Registry
	if err := reg.Refresh(l); err != nil {
		return nil, fault.Wrap("learn the log's own event types", err)
	}
	return audit.Query(f, sight, reg, l), nil
}

// matching are those records of a sequence that match and may be seen.
func (s *Service) matching(_ context.Context, seq iter.Seq2[*event.Record, error], f audit.Filter, sight audit.Sight) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for r, err := range seq {
			if err == nil && !(f.Matches(r) && sight.Sees(r)) {
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// page reads one page.
func (s *Service) page(ctx context.Context, f audit.Filter, sight audit.Sight, down bool, size int) (*page, error) {
	l, p := s.Runner.Log, &page{}
	after, upto, err := audit.Span(ctx, l, f)
	if upto = min(upto, sight.Upto); err != nil || after >= upto {
		return p, err
	}
	q, err := s.query(f, sight)
	if err != nil {
		return nil, err
	}
	seq := l.ReadTo(ctx, q, after, upto)
	if down {
		seq = l.ReadBack(ctx, q, upto+1)
	}
	looked, last := 0, event.Position(0)
	for r, err := range seq {
		if err != nil {
			return nil, fault.Wrap("read events", err)
		}
		if r.Position <= after {
			break
		}
		if len(p.records) == size || looked == patience {
			p.next = last
			return p, nil
		}
		looked, last = looked+1, r.Position
		if f.Matches(r) && sight.Sees(r) {
			p.records = append(p.records, r)
		}
	}
	return p, nil
}

// ListEventTypes implements the EventService.
func (s *Service) ListEventTypes(ctx context.Context, _ *munimentv1.ListEventTypesRequest) (*munimentv1.ListEventTypesResponse, error) {
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, err
	}
	l := s.Runner.Log
	if err := s.Reader.Sealer.Registry.Refresh(l.ID()); err != nil {
		return nil, fault.Wrap("learn the log's own event types", err)
	}
	kinds := map[string]string{}
	out := &munimentv1.ListEventTypesResponse{}
	for _, d := range s.Reader.Sealer.Registry.All(l.ID()) {
		if !sight.Describes(d) {
			continue
		}
		m := eventType(d)
		if _, known := kinds[d.Type]; !known {
			kinds[d.Type] = ""
			for r, err := range l.ReadBack(ctx, event.OfTerm(event.TypeTerm(d.Type)), 0) {
				if err != nil {
					return nil, fault.Wrap("find the newest event of a type", err)
				}
				kinds[d.Type] = r.Stream.Kind
				break
			}
		}
		m.StreamKind = kinds[d.Type]
		out.Types = append(out.Types, m)
	}
	return out, nil
}
