package sim

import (
	"context"
	"fmt"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// shared is the disk as one of several nodes sees it: eventlog.Shared, with
// faults. Nodes that are there, and what they have forgotten, are told at once:
// whoever asks holds a lock.
type shared struct{ *store }

// lease is for how long a node holds the log unless it says so again.
const lease = 400 * time.Millisecond

// TakeFree implements eventlog.Shared.
func (s *shared) TakeFree(ctx context.Context, log event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration) (h eventlog.Head, err error) {
	err = s.act(ctx, "take", func(g permit) (err error) {
		h, err = s.disk.takeFree(log, by, atLeast, lease, g.coin)
		return err
	})
	return h, err
}

// Publish implements eventlog.Shared.
func (s *shared) Publish(ctx context.Context, log event.LogID, by event.ID, m eventlog.Mark, lease time.Duration) error {
	publish := func() error { return s.disk.base.Publish(bg, log, by, m, lease) }
	err := s.act(ctx, "publish", func(permit) error {
		if s.bugs.AckFirst {
			s.node.later("publish late", func() { _ = publish() })
			return nil
		}
		return publish()
	})
	if s.bugs.GoesOn && fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// Standing implements eventlog.Shared.
func (s *shared) Standing(ctx context.Context, log event.LogID) (st eventlog.Standing, err error) {
	err = s.act(ctx, "look", func(permit) (err error) {
		st, err = s.disk.base.Standing(ctx, log)
		if f := s.disk.shown(); f != nil && s.bugs.MarkShown && st.Known {
			st.Mark = markOf(f.Next)
		}
		return err
	})
	if err != nil && !fault.Is(err, fault.NotFound) { // whatever a driver makes of it
		err = errDown
	}
	return st, err
}

func markOf(h eventlog.Head) eventlog.Mark {
	return eventlog.Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term}
}

// Resign implements eventlog.Shared.
func (s *shared) Resign(ctx context.Context, log event.LogID, by event.ID) error {
	return s.act(ctx, "resign", func(permit) error { return s.disk.base.Resign(ctx, log, by) })
}

// Bell implements eventlog.Shared. The driver rings it, or does not.
func (s *shared) Bell(context.Context, event.LogID) <-chan struct{} { return s.node.bell }

// Attend implements eventlog.Shared.
func (s *shared) Attend(ctx context.Context, log event.LogID, node event.ID, forgotten event.Position, lease time.Duration) error {
	if err := s.up(scans); err != nil {
		return err
	}
	return s.disk.base.Attend(ctx, log, node, forgotten, lease)
}

// Attending implements eventlog.Shared.
func (s *shared) Attending(ctx context.Context, log event.LogID) (event.Position, bool, error) {
	if err := s.up(scans); err != nil {
		return 0, false, err
	}
	return s.disk.base.Attending(ctx, log)
}

// Cursor implements eventlog.Store.
func (s *shared) Cursor(ctx context.Context, log event.LogID, name string) ([]byte, error) {
	if err := s.up(scans); err != nil {
		return nil, err
	}
	return s.disk.base.Cursor(ctx, log, name)
}

// PutCursor implements eventlog.Store.
func (s *shared) PutCursor(ctx context.Context, log event.LogID, name string, v []byte) error {
	if err := s.up(scans); err != nil {
		return err
	}
	return s.disk.base.PutCursor(ctx, log, name, v)
}

// SwapCursor implements eventlog.Store.
func (s *shared) SwapCursor(ctx context.Context, log event.LogID, name string, was, v []byte) error {
	return s.store.SwapCursor(ctx, log, name, was, v)
}

// takeFree is Shared.TakeFree. If it is free, whatever is under way is settled
// before it is taken.
func (d *disk) takeFree(log event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration, keep bool) (eventlog.Head, error) {
	st, err := d.base.Standing(bg, log)
	free := err != nil || st.Holder.ID == by.ID || st.Left <= 0
	if f := d.shown(); f != nil && free {
		d.sync(f, keep)
	}
	h, err := d.base.TakeFree(bg, log, by, atLeast, lease)
	if err == nil {
		if who, ok := d.terms[h.Term]; ok {
			d.torn(fmt.Errorf("term %d was taken by %s, and then by %s", h.Term, short(who), short(by.ID)))
		}
		d.terms[h.Term] = by.ID
	}
	return h, err
}

// ring rings the bells of some nodes that may have something to read.
func (w *world) ring() {
	st, err := w.disk.base.Standing(bg, w.id)
	if err != nil {
		return
	}
	for _, n := range w.nodes {
		if n.rung == st.Mark || w.rng.IntN(4) > 0 {
			continue
		}
		n.rung = st.Mark
		select {
		case n.bell <- struct{}{}:
		default:
		}
	}
}
