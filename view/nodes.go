package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// shared is a home whose views other nodes apply and replace as well.
type shared interface {
	home
	// look returns the database that serves now: live itself, with the place
	// where it is, or another that uses live's connection. The caller holds
	// live's lock.
	look(ctx context.Context, live *database) (*database, error)
	// watched tells whether others may apply what this node does not; leads,
	// whether this node is the one that applies.
	watched() bool
	leads() bool
	// mine tells whether this node is to apply what follows live's place; rest,
	// that there is nothing to apply; yield, that another node has applied.
	mine(live *database) bool
	rest()
	yield()
	// adopt drops what live holds for others, so that this node can apply.
	adopt(ctx context.Context, live *database) (bool, error)
	// listen rings the bell when another node may have moved the views.
	listen(ctx context.Context, bell chan<- struct{})
}

// How often a node that does not apply looks where the views are: while they
// are behind its log, and else. The bell tells it earlier.
const (
	lookBehind = 100 * time.Millisecond
	lookIdle   = 2 * time.Second
)

// look finds out where the views are, which others may have moved on, replaced,
// or, by a crash of the database, moved back.
func (s *Set) look(ctx context.Context) error {
	h, ok := s.home.(shared)
	if !ok {
		return nil
	}
	live := s.current()
	live.mu.Lock()
	if live.closed {
		live.mu.Unlock()
		return nil // another has looked
	}
	next, err := h.look(ctx, live)
	if err != nil {
		live.mu.Unlock()
		s.change(func(st *state) { st.retrying = err })
		return err
	}
	at := next.at.position
	live.closed = next != live
	live.mu.Unlock()
	if next != live {
		s.mu.Lock()
		s.live = next
		s.adopted(next)
		s.mu.Unlock()
		s.awaken()
	}
	s.change(func(st *state) {
		if st.applied > at && st.idle != nil {
			st.idle() // there is something to apply again
		}
		st.applied, st.retrying = at, nil
		if next != live {
			st.stopped = nil
		}
		if at >= s.log.Mark().Size {
			st.behind = time.Time{}
		}
	})
	return nil
}

// watch looks again and again, when the bell rings and by itself.
func (s *Set) watch() {
	bell := make(chan struct{}, 1)
	s.running.Go(func() { s.home.(shared).listen(s.ctx, bell) })
	for s.ctx.Err() == nil {
		wait := lookIdle
		if st := s.Status(); st.Applied < st.Mark {
			wait = lookBehind
		}
		t := time.NewTimer(wait)
		select {
		case <-bell:
		case <-t.C:
		case <-s.ctx.Done():
		}
		t.Stop()
		if s.ctx.Err() == nil {
			s.look(s.ctx) // the status tells of an error
		}
	}
}

// turn returns true when it is this node's turn to apply, or false after it has
// waited a while for others to.
func (s *Set) turn(h shared) (bool, error) {
	live := s.current()
	if !h.mine(live) {
		s.stand()
		return false, nil
	}
	live.mu.Lock()
	adopted, err := false, errReplaced
	if !live.closed {
		adopted, err = h.adopt(s.ctx, live)
	}
	live.mu.Unlock()
	if err != nil || !adopted {
		return true, err
	}
	if err := s.look(s.ctx); err != nil {
		return false, err
	}
	if len(s.current().lay.views) < len(s.all().views) {
		s.opts.Logger.Warn("the views were made by another version of this program, which applies nothing any more; those that differ are built anew")
		s.running.Go(s.rebuildInBackground)
	}
	return true, nil
}

// stand returns when the views have moved, or after a moment.
func (s *Set) stand() {
	s.state.mu.Lock()
	moved := s.state.moved
	if s.state.behind.IsZero() {
		s.state.behind = time.Now()
	}
	s.state.mu.Unlock()
	t := time.NewTimer(lookBehind)
	defer t.Stop()
	select {
	case <-moved:
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// stillness is since when the views stand still behind the log. Only the tail
// uses it.
type stillness struct {
	at    event.Position
	since time.Time
	acts  bool // this node applies because of it, until another does
}

func (h *schema) watched() bool { return h.o.Applies != nil }
func (h *schema) leads() bool   { return h.o.Applies == nil || h.o.Applies() }
func (h *schema) rest()         { h.still.since = time.Time{} }
func (h *schema) yield()        { h.still = stillness{} }

func (h *schema) mine(live *database) bool {
	st := &h.still
	if at := live.place().position; st.at != at || st.since.IsZero() {
		st.at, st.since = at, time.Now()
	}
	if live.kept.(*generation).known && (h.leads() || st.acts) {
		return true
	}
	st.acts = time.Since(st.since) >= h.o.TakeOver
	return st.acts
}

func (h *schema) look(ctx context.Context, live *database) (*database, error) {
	st, err := h.standing(ctx, live.w)
	if err == nil && st == nil || errors.Is(err, errElsewhere) { // somebody dropped it, as anybody may
		h.s.opts.Logger.Warn("the views are gone from their schema and are made again from the log")
		return h.find(ctx, live.w.(*postgresConn), false)
	}
	if err != nil {
		return nil, err
	}
	if st.at.log != h.s.log.ID() {
		return nil, errOtherLog
	}
	learned := func(g *generation) bool { return !g.known && len(st.same(h.s.known())) > len(live.lay.views) }
	if g := live.kept.(*generation); g.number == st.number && string(g.hash) == string(st.hash) && !learned(g) {
		live.at = st.at
		return live, nil
	}
	return h.database(live.w, st)
}

// adopt drops the views that this program does not know from the generation
// that serves. It does nothing if another has applied anything meanwhile.
func (h *schema) adopt(ctx context.Context, live *database) (bool, error) {
	g := live.kept.(*generation)
	if g.known {
		return false, nil
	}
	same := note(live.lay.views)
	return true, live.w.in(postgres.begin, nil, func() error {
		n, err := exec(ctx, live.w, h.sql(`UPDATE _state SET views = ? WHERE generation = ? AND views = ? AND serving AND position = ?`),
			hashOf(same), g.number, g.hash, int64(live.at.position))
		if err == nil && n != 1 {
			err = errMoved
		}
		if err != nil {
			return err
		}
		return h.keep(ctx, live, same)
	})
}

// keep drops all tables of a generation but those of the views that are given.
func (h *schema) keep(ctx context.Context, live *database, same []noted) error {
	g := live.kept.(*generation)
	wanted := map[string]bool{}
	for name := range live.lay.tables {
		wanted[live.lay.ground.stem+"now_"+name], wanted[live.lay.ground.stem+"past_"+name] = true, true
	}
	drop := []string{"SET LOCAL lock_timeout = '2s'"}
	err := query(ctx, live.w, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r' AND c.relname LIKE ?`,
		[]any{h.o.Schema, fmt.Sprintf(`%d\_%%`, g.number)}, func(vals []any) error {
			if name, _ := vals[0].(string); !wanted[name] {
				drop = append(drop, "DROP TABLE "+h.at+quote(name))
			}
			return nil
		})
	if err == nil {
		err = live.w.run(ctx, plain(drop))
	}
	for _, v := range g.views {
		if err == nil && !slices.Contains(same, v) {
			_, err = exec(ctx, live.w, h.sql(`DELETE FROM _views WHERE generation = ? AND name = ?`), g.number, v.name)
		}
	}
	return err
}

// claim waits until no other node works on the whole schema, and keeps others
// from beginning to until release is called, or this node's connection ends.
func (h *schema) claim(ctx context.Context) (release func(), err error) {
	for {
		got := int64(0)
		err := query(ctx, h.claims, `SELECT pg_try_advisory_lock(?)`, []any{h.lock("claim")}, func(vals []any) error { got, _ = vals[0].(int64); return nil })
		switch {
		case err == nil && got != 0:
			if err := h.s.look(ctx); err != nil {
				h.claims.close() // else the others would wait for as long as it lives
				return nil, err
			}
			return func() { h.claims.close() }, nil
		case err != nil && !passes(err):
			return nil, err
		}
		select {
		case <-time.After(10 * firstRetry):
		case <-ctx.Done():
			return nil, &fault.Error{Kind: fault.Unavailable, Msg: "another node rebuilds or checks the views, or PostgreSQL cannot be reached; try again later", Err: cmpOr(err, ctx.Err())}
		}
	}
}

func cmpOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// listen waits for notices of others on a connection of its own. They may be
// lost; whoever listens looks by itself as well.
func (h *schema) listen(ctx context.Context, bell chan<- struct{}) {
	cfg := h.reading.Copy()
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		if h.s.has(n.Payload) {
			return
		}
		select {
		case bell <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		if err := h.hear(ctx, cfg); err != nil && ctx.Err() == nil {
			h.s.opts.Logger.Debug("PostgreSQL does not tell when the views move; they are looked at instead", slog.Any("err", err))
			h.s.pause(lookIdle)
		}
	}
}

func (h *schema) hear(ctx context.Context, cfg *pgconn.Config) error {
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Close(ctx)
	}()
	if err := c.Exec(ctx, "LISTEN "+quote(h.o.Schema)).Close(); err != nil {
		return err
	}
	for {
		if err := c.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// has tells whether a notice says what this node knows, as of what it applied
// itself.
func (s *Set) has(notice string) bool {
	var number int64
	var at event.Position
	fmt.Sscanf(notice, "%d %d", &number, &at)
	g, ok := s.current().kept.(*generation)
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return ok && g.number == number && s.state.applied >= at
}
