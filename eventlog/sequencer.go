package eventlog

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// The states of a waiter. Whoever swaps it away from waiting owns the outcome.
const (
	waiting int32 = iota
	taken
	withdrawn
)

// waiter is an append that waits for the sequencer.
type waiter struct {
	req   Request
	state atomic.Int32
	res   Appended
	err   error
	done  chan struct{}
}

func (w *waiter) finish(res Appended, err error) {
	w.res, w.err = res, err
	close(w.done)
}

// sequencer is the one goroutine that appends to a log. Its memory (tree,
// heads, keys, window) is only as good as the term it was read under: after
// any commit that did not certainly succeed it is thrown away and the log is
// taken again.
type sequencer struct {
	log   *Log
	ready bool // the memory below is valid

	head    Head
	tree    *tree
	streams map[event.Stream]StreamHead
	keys    map[event.SubjectID]KeyUse
}

// maxCached bounds the streams and the keys whose ends are kept in memory.
const maxCached = 1 << 17

func (s *sequencer) run() {
	for {
		select {
		case <-s.log.stop:
			s.drain()
			return
		case w := <-s.log.queue:
			s.serve(s.gather(w))
		}
	}
}

// gather takes what waits now, without waiting for more.
func (s *sequencer) gather(first *waiter) []*waiter {
	ws := []*waiter{first}
	for len(ws) < s.log.opts.Batch {
		select {
		case w := <-s.log.queue:
			ws = append(ws, w)
		default:
			return ws
		}
	}
	return ws
}

// drain finishes what waits when the log closes.
func (s *sequencer) drain() {
	for {
		select {
		case w := <-s.log.queue:
			s.serve(s.gather(w))
		default:
			return
		}
	}
}

// serve commits one batch. Commits take no cancellable context: a commit that
// was cancelled half-way is one whose outcome nobody knows.
func (s *sequencer) serve(ws []*waiter) {
	ctx := context.Background()
	ws = claim(ws)
	if len(ws) == 0 {
		return
	}
	if !s.ready {
		if err := s.take(ctx); err != nil {
			s.log.opts.Logger.Error("cannot take the log", "error", err)
			fail(ws, &fault.Error{Kind: fault.Unavailable, Msg: "the log cannot be written to at the moment; nothing was changed", Err: err})
			return
		}
	}
	b, err := s.build(ctx, ws)
	if err != nil {
		s.ready = false
		fail(ws, &fault.Error{Kind: fault.Unavailable, Msg: "the log cannot be written to at the moment; nothing was changed", Err: err})
		return
	}
	if len(b.members) == 0 {
		return
	}
	if err := s.log.store.Commit(ctx, &b.Batch); err != nil {
		s.ready = false
		s.log.opts.Logger.Error("commit failed", "error", err, "kind", fault.KindOf(err).String())
		fail(b.waiters(), commitFault(err))
		return
	}
	s.publish(b)
}

func claim(ws []*waiter) []*waiter {
	kept := ws[:0]
	for _, w := range ws {
		if w.state.CompareAndSwap(waiting, taken) {
			kept = append(kept, w)
		}
	}
	return kept
}

func fail(ws []*waiter, err error) {
	for _, w := range ws {
		select {
		case <-w.done:
		default:
			w.finish(Appended{}, err)
		}
	}
}

// commitFault tells those who waited what a failed commit means for them. A
// commit refused by fencing stored nothing.
func commitFault(err error) error {
	if fault.Is(err, fault.Unknown) {
		return &fault.Error{Kind: fault.Unknown, Msg: "it is not known whether the change was recorded; repeat it with the same command id to learn the outcome", Err: err}
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: "the change could not be recorded; nothing was changed", Err: err}
}

// take takes the log under a new term and loads the memory afresh.
func (s *sequencer) take(ctx context.Context) error {
	l := s.log
	h, err := l.store.Take(ctx, l.id, l.opts.Holder, l.opts.Term)
	if err != nil {
		return err
	}
	t, err := loadTree(ctx, l.store, l.id, h)
	if err != nil {
		return err
	}
	s.head, s.tree = h, t
	s.streams, s.keys = map[event.Stream]StreamHead{}, map[event.SubjectID]KeyUse{}
	l.mu.Lock()
	l.recent = window{max: l.opts.Window}
	l.setMark(h)
	l.mu.Unlock()
	s.ready = true
	return nil
}

// setMark publishes a head; l.mu is held.
func (l *Log) setMark(h Head) {
	l.mark.Store(&Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term})
	close(l.moved)
	l.moved = make(chan struct{})
}

// publish makes a committed batch readable and wakes those who waited for it.
func (s *sequencer) publish(b *batch) {
	l := s.log
	s.head = b.Next
	l.mu.Lock()
	l.recent.add(b.entries)
	l.setMark(b.Next)
	l.mu.Unlock()
	for _, m := range b.members {
		m.w.finish(m.res, nil)
	}
	if len(s.streams) > maxCached {
		clear(s.streams)
	}
	if len(s.keys) > maxCached {
		clear(s.keys)
	}
}

// now is max(clock, last), in microseconds. A clock that runs far behind the
// last record is refused rather than papered over.
func (s *sequencer) now() (time.Time, error) {
	now := s.log.Now().Truncate(time.Microsecond)
	if now.Before(s.head.Time) {
		if behind := s.head.Time.Sub(now); behind > s.log.opts.MaxSkew {
			return now, fault.New(fault.Unavailable, "the clock is %s behind the last record; set the clock right", behind.Round(time.Second))
		}
		now = s.head.Time
	}
	return now, nil
}

// isVerdict reports whether err is about one append only, so that the rest of
// its batch may go on.
func isVerdict(err error) bool {
	var v *verdict
	return errors.As(err, &v)
}

// verdict marks an error as being about one append.
type verdict struct{ error }

func (v *verdict) Unwrap() error { return v.error }
