package auditapi

import (
	"context"
	"slices"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
)

// Shown answers the events at positions that the caller may see, by position,
// for another service to show them. It records one reading, for what, if the
// caller saw any.
func (s *Service) Shown(ctx context.Context, what string, positions []event.Position) (map[event.Position]*munimentv1.Event, error) {
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, err
	}
	positions = slices.Clone(positions)
	slices.Sort(positions)
	out := map[event.Position]*munimentv1.Event{}
	read := audit.Read{Filter: what}
	for _, p := range slices.Compact(positions) {
		r, err := s.Runner.Log.Record(ctx, p)
		if err != nil {
			return nil, err
		}
		if !sight.Sees(r) {
			continue
		}
		e, err := s.Reader.Entry(ctx, r, sight)
		if err != nil {
			return nil, err
		}
		out[p] = s.event(ctx, e, sight)
		if read.From == 0 {
			read.From = int64(p)
		}
		read.To, read.Count = int64(p), read.Count+1
	}
	if read.Count == 0 {
		return out, nil
	}
	return out, s.record(ctx, sight, read)
}
