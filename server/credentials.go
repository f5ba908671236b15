package server

import (
	"context"
	"time"

	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/user"
	"muniment.dev/view"
)

// credentialEnd is when the next secret or key of an application or a machine
// user in use ends; zero if none does. It reads what the views know, without
// waiting for them.
func (s *Server) credentialEnd() (end time.Time) {
	for _, of := range []struct {
		table, owner, owners string
		used                 func(view.Row) bool
	}{
		{app.Credentials, "application", app.Table, func(r view.Row) bool {
			return !r.Bool("removed") && !r.Bool("project_removed") && !r.Bool("inactive")
		}},
		{user.Credentials, "user", user.Table, func(r view.Row) bool { return user.StatusOf(r) == user.Active }},
	} {
		t, err := s.soonest(of.table, of.owner, of.owners, of.used)
		if err != nil { // of a view that has stopped another number tells
			continue
		}
		if end.IsZero() || !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	return end
}

func (s *Server) soonest(table, owner, owners string, used func(view.Row) bool) (time.Time, error) {
	const few = 100
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stale, now := view.Read{Stale: true}, event.Instant(s.Core.Log.Now().UnixMicro())
	q := view.Query{Table: table, Where: []view.Cond{view.Range("expires", now, nil)}, OrderBy: []string{"expires"}, Limit: few, Read: stale}
	for {
		rows, next, _, err := s.Core.Views.Select(ctx, q)
		if err != nil {
			return time.Time{}, err
		}
		for _, row := range rows {
			of, ok, err := s.Core.Views.Get(ctx, owners, view.Values{"id": row.ID(owner)}, stale)
			if err != nil {
				return time.Time{}, err
			}
			if ok && used(of) {
				return row.Time("expires"), nil
			}
		}
		if q.After = next; next == "" {
			return time.Time{}, nil
		}
	}
}
