package externalapi

import (
	"bytes"
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/react"
)

// Delivered answers, for each of some records, the adapters whose external
// systems have it: it was pushed to them and taken, or came from there.
func (s *Service) Delivered(ctx context.Context, records []*event.Record) ([][]event.ID, error) {
	all, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	out := make([][]event.ID, len(records))
	for id, st := range all {
		if st.Exists() != nil {
			continue
		}
		var c *react.Cursor
		for i, r := range records {
			has := st.Direction.Pulls() && pulledBy(st, r)
			if !has && st.Direction.Pushes() && pushes(st, r) && r.Position > st.After && !st.Discarded[r.Position] {
				if c, err = s.cursor(ctx, id, c); err != nil {
					return nil, err
				}
				has = c.Passed(r.Stream, r.Position)
			}
			if has {
				out[i] = append(out[i], id)
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b event.ID) int { return bytes.Compare(a[:], b[:]) })
	}
	return out, nil
}

// cursor is what an adapter has pushed, unless it is known already.
func (s *Service) cursor(ctx context.Context, id event.ID, known *react.Cursor) (*react.Cursor, error) {
	if known != nil {
		return known, nil
	}
	c, _, err := s.book(id).Load(ctx)
	if err != nil {
		return nil, err
	}
	return c, s.followPush(ctx, id, c)
}
