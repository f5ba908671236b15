package sim

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// store is the disk as one node sees it: eventlog.Store, with faults.
type store struct {
	eventlog.Store // the base, for what is not overridden
	disk           *disk
	node           *node
	bugs           Bugs
}

var errDown = fault.New(fault.Unavailable, "the store is away")

// up returns an error if the node is dead, the store away, or the read one of
// those that fail.
func (s *store) up(r reads) error {
	switch w := s.node.world; {
	case s.node.dead.Load():
		return errDead
	case w.away.Load(), s.node.cut.Load(), w.failing.Load()&r != 0:
		return errDown
	}
	return nil
}

// act waits until an effect is granted and does it. Without an error it
// happened; fault.Unknown says that it happened though it failed.
func (s *store) act(ctx context.Context, what string, do func(permit) error) error {
	g, err := s.node.world.bus.wait(ctx, s.node, what)
	if err != nil {
		return err
	}
	if s.node.world.away.Load() || s.node.cut.Load() || g.verdict == lose {
		return errDown
	}
	if err := do(g); err != nil || g.verdict == proceed {
		return err
	}
	return errUnknown
}

var errUnknown = fault.New(fault.Unknown, "the store does not answer")

// Take implements eventlog.Store.
func (s *store) Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (h eventlog.Head, err error) {
	err = s.act(ctx, "take", func(g permit) error {
		h, err = s.disk.take(log, holder, atLeast, g.coin)
		return err
	})
	return h, err
}

// Commit implements eventlog.Store. The network may deliver a batch late, when
// its sender has given up on it, or once more.
func (s *store) Commit(ctx context.Context, b *eventlog.Batch) error {
	w := s.node.world
	if ahead := b.Next.Time.UnixMicro() - w.highest.Load(); ahead > maxSkew.Microseconds() {
		w.fail(fmt.Errorf("record %d has a time that is %s ahead of what the clock has said", b.Next.Size, time.Duration(ahead)*time.Microsecond))
	}
	switch s.node.echo(ctx) {
	case late:
		s.deliver(b)
		return errUnknown
	case twice:
		err := s.commit(ctx, b)
		s.deliver(b)
		if fault.Is(err, fault.Unavailable) { // the other may yet succeed
			err = errUnknown
		}
		return err
	}
	return s.commit(ctx, b)
}

// The ways of a message.
const (
	once = iota
	late
	twice
)

// echo decides how often, and when, a message arrives.
func (n *node) echo(ctx context.Context) int {
	w := n.world
	if w.plan.echoes == 0 {
		return once
	}
	g, err := w.bus.wait(ctx, n, "send")
	switch {
	case err != nil || g.verdict == proceed:
		return once
	case g.verdict == lose:
		return late
	}
	return twice
}

// deliver has a batch arrive when the driver wants it to, if the node lives
// until then. Nobody waits for it. What must not be there is refused by the
// store, or found by those who look at the records.
func (s *store) deliver(b *eventlog.Batch) {
	w := s.node.world
	ctx := withLane(bg, fmt.Sprintf("echo%d", w.echo.Add(1)))
	s.node.running.Go(func() {
		if g, err := w.bus.wait(ctx, s.node, "write late"); err != nil || g.verdict == lose {
			return
		}
		if f, err := s.disk.write(b); err == nil {
			w.say("a batch of %s lands late, behind %d", s.node.name, b.Prev.Size)
			s.disk.sync(f, true)
		}
	})
}

// commit is a batch that arrives.
func (s *store) commit(ctx context.Context, b *eventlog.Batch) error {
	var f *flight
	err := s.act(ctx, "write", func(g permit) (err error) {
		g.verdict = proceed // nothing was promised yet
		f, err = s.disk.write(b)
		return err
	})
	if f == nil {
		return err
	}
	g, err := s.node.world.bus.wait(context.WithoutCancel(ctx), s.node, "sync")
	if err != nil { // the node died in between
		g = permit{lose, false}
	}
	landed := s.disk.sync(f, g.verdict != lose)
	switch {
	case landed && g.verdict == proceed, s.bugs.EarlyAck:
		return nil
	case landed || g.coin:
		return errUnknown
	}
	return errDown
}

// Erase implements eventlog.Store.
func (s *store) Erase(ctx context.Context, log event.LogID, subject event.SubjectID, progress func(int)) error {
	return s.act(ctx, "erase", func(permit) error { return s.Store.Erase(ctx, log, subject, progress) })
}

// PutCheckpoint implements eventlog.Store.
func (s *store) PutCheckpoint(ctx context.Context, log event.LogID, size event.Position, note []byte) error {
	return s.act(ctx, "checkpoint", func(permit) error { return s.Store.PutCheckpoint(ctx, log, size, note) })
}

// Head implements eventlog.Store. It shows what is not durable yet.
func (s *store) Head(ctx context.Context, log event.LogID) (eventlog.Head, error) {
	if err := s.up(scans); err != nil {
		return eventlog.Head{}, err
	}
	if f := s.disk.shown(); f != nil {
		return f.Next, nil
	}
	return s.Store.Head(ctx, log)
}

// Records implements eventlog.Store. It shows what is not durable yet.
func (s *store) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		if err := s.up(scans); err != nil {
			yield(nil, err)
			return
		}
		f := s.disk.shown()
		for p := from; p <= to; p++ {
			if f != nil && p > f.Prev.Size && p <= f.Next.Size {
				if !yield(f.Records[p-f.Prev.Size-1], nil) {
					return
				}
				continue
			}
			for r, err := range s.Store.Records(ctx, log, p, p) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// Postings implements eventlog.Store. It shows what is not durable yet.
func (s *store) Postings(ctx context.Context, log event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	return func(yield func(event.Position, error) bool) {
		if err := s.up(scans); err != nil {
			yield(0, err)
			return
		}
		var list []event.Position
		for p, err := range s.Store.Postings(ctx, log, term, after, upto, false) {
			if err != nil {
				yield(0, err)
				return
			}
			list = append(list, p)
		}
		if f := s.disk.shown(); f != nil {
			for i, terms := range f.Terms {
				if p := f.Records[i].Position; p > after && p <= upto && slices.Contains(terms, term) {
					list = append(list, p)
				}
			}
		}
		if down {
			slices.Reverse(list)
		}
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Stream implements eventlog.Store.
func (s *store) Stream(ctx context.Context, log event.LogID, stream event.Stream) (eventlog.StreamHead, bool, error) {
	if err := s.up(lookups); err != nil {
		return eventlog.StreamHead{}, false, err
	}
	if f := s.disk.shown(); f != nil {
		for i, r := range slices.Backward(f.Records) {
			if r.Stream == stream {
				return eventlog.StreamHead{Version: r.Version, Hash: f.Hashes[i]}, true, nil
			}
		}
	}
	return s.Store.Stream(ctx, log, stream)
}

// Subject implements eventlog.Store.
func (s *store) Subject(ctx context.Context, log event.LogID, subject event.SubjectID) (eventlog.KeyUse, bool, error) {
	if err := s.up(lookups); err != nil {
		return eventlog.KeyUse{}, false, err
	}
	use, ok, err := s.Store.Subject(ctx, log, subject)
	if f := s.disk.shown(); f != nil {
		for _, u := range f.Keys {
			if u.Subject == subject {
				use, ok = u, true
			}
		}
	}
	if l := laneOf(ctx); s.bugs.NoErasureFence && l != erasureLane && l != viewsLane {
		use.Erased = false
	}
	return use, ok, err
}

// Key implements eventlog.Store.
func (s *store) Key(ctx context.Context, log event.LogID, key event.KeyID) (eventlog.KeyUse, bool, error) {
	if err := s.up(lookups); err != nil {
		return eventlog.KeyUse{}, false, err
	}
	if f := s.disk.shown(); f != nil {
		for _, u := range slices.Backward(f.Keys) {
			if u.Key == key {
				return u, true, nil
			}
		}
	}
	return s.Store.Key(ctx, log, key)
}

// Outcome implements eventlog.Store.
func (s *store) Outcome(ctx context.Context, log event.LogID, actor event.Actor, command event.ID) (eventlog.Outcome, bool, error) {
	if err := s.up(lookups); err != nil || s.bugs.NoIdempotence {
		return eventlog.Outcome{}, false, err
	}
	if f := s.disk.shown(); f != nil {
		for _, o := range f.Outcomes {
			if o.Actor == actor && o.Command == command {
				return o, true, nil
			}
		}
	}
	return s.Store.Outcome(ctx, log, actor, command)
}

// EventPosition implements eventlog.Store.
func (s *store) EventPosition(ctx context.Context, log event.LogID, id event.ID) (event.Position, bool, error) {
	if err := s.up(lookups); err != nil {
		return 0, false, err
	}
	if f := s.disk.shown(); f != nil {
		for _, r := range f.Records {
			if r.ID == id {
				return r.Position, true, nil
			}
		}
	}
	return s.Store.EventPosition(ctx, log, id)
}

// Tile implements eventlog.Store.
func (s *store) Tile(ctx context.Context, log event.LogID, level int, index uint64) ([]byte, bool, error) {
	if err := s.up(scans); err != nil {
		return nil, false, err
	}
	if f := s.disk.shown(); f != nil {
		for _, t := range f.Tiles {
			if t.Level == level && t.Index == index {
				return t.Data, true, nil
			}
		}
	}
	return s.Store.Tile(ctx, log, level, index)
}
