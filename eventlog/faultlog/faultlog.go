// Package faultlog is a log engine that fails when it is told to: it wraps
// another engine and, at each effect on it, may fail and lose the effect, or
// fail although the effect took place. It watches both sides and notes what
// must never happen: a record that changes, a gap, a commit by a holder that
// was fenced off, a read past what is durable and acknowledged.
//
// It is for tests and simulation. Failing is decided by a Plan, so that a run
// can be repeated.
package faultlog

import (
	"context"
	"iter"
	"sync"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Point is a kind of effect on a store.
type Point string

// The effect points.
const (
	Take       Point = "take"
	Commit     Point = "commit"
	Checkpoint Point = "checkpoint"
	Erase      Point = "erase"
	Cursor     Point = "cursor"
	Read       Point = "read"
)

// Points lists the effect points.
var Points = []Point{Take, Commit, Checkpoint, Erase, Cursor, Read}

// Failure says what happens at an effect point.
type Failure uint8

const (
	None   Failure = iota // nothing unusual
	Refuse                // no effect, and the error says so (fault.Unavailable)
	Lose                  // no effect, but the error does not say so (fault.Unknown)
	Keep                  // the effect takes place, but the error does not say so (fault.Unknown)
)

// String returns the failure's name.
func (f Failure) String() string { return [...]string{"none", "refuse", "lose", "keep"}[f&3] }

// Store is the failing engine. Make it with New.
type Store struct {
	lists // which fail as they do below: they are for looking at, not for serving

	inner eventlog.Store
	plan  Plan
	order sync.Mutex // so that the witness sees commits and takings as they happen
	witness
}

// lists are what engines offer beside Store, for copying all of a log and for
// checking it.
type lists interface {
	eventlog.Lister
	Leaf(ctx context.Context, log event.LogID, p event.Position) ([]byte, bool, error)
	Indexed(ctx context.Context, log event.LogID, yield func(term [16]byte, p event.Position) bool) error
	Events(ctx context.Context, log event.LogID, yield func(event.ID, event.Position) bool) error
	Streams(ctx context.Context, log event.LogID, yield func(event.Stream, eventlog.StreamHead) bool) error
	Subjects(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
	Keys(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
}

// New wraps a store, which must be new to the witness: empty, or given to no
// other Store before.
func New(inner eventlog.Store, plan Plan) *Store {
	l, _ := inner.(lists)
	return &Store{lists: l, inner: inner, plan: plan, witness: witness{logs: map[event.LogID]*seen{}}}
}

// Inner returns the engine below, which never fails.
func (s *Store) Inner() eventlog.Store { return s.inner }

// lost is the error for an effect that is reported as failed.
func lost(p Point, f Failure) error {
	if f == Refuse || p == Read {
		return fault.New(fault.Unavailable, "planned failure: %s, nothing was done", p)
	}
	return fault.New(fault.Unknown, "planned failure: %s, the outcome is not known", p)
}

// effect runs do, or not, as the plan wants it.
func (s *Store) effect(p Point, do func() error) error {
	f := s.plan.next(p)
	if f == Refuse || f == Lose {
		return lost(p, f)
	}
	if err := do(); err != nil {
		return err
	}
	if f == Keep {
		return lost(p, f)
	}
	return nil
}

// Take implements eventlog.Store.
func (s *Store) Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (h eventlog.Head, err error) {
	err = s.effect(Take, func() (err error) {
		s.order.Lock()
		defer s.order.Unlock()
		if h, err = s.inner.Take(ctx, log, holder, atLeast); err == nil {
			s.taken(log, h)
		}
		return err
	})
	if err != nil {
		return eventlog.Head{}, err
	}
	s.acknowledged(log, h.Size)
	return h, nil
}

// Commit implements eventlog.Store.
func (s *Store) Commit(ctx context.Context, b *eventlog.Batch) error {
	err := s.effect(Commit, func() error {
		s.order.Lock()
		defer s.order.Unlock()
		if err := s.inner.Commit(ctx, b); err != nil {
			return err
		}
		s.committed(b)
		return nil
	})
	if err == nil {
		s.acknowledged(b.Log, b.Next.Size)
	}
	return err
}

// PutCheckpoint implements eventlog.Store.
func (s *Store) PutCheckpoint(ctx context.Context, log event.LogID, size event.Position, note []byte) error {
	return s.effect(Checkpoint, func() error { return s.inner.PutCheckpoint(ctx, log, size, note) })
}

// PutCursor implements eventlog.Store.
func (s *Store) PutCursor(ctx context.Context, log event.LogID, name string, value []byte) error {
	return s.effect(Cursor, func() error { return s.inner.PutCursor(ctx, log, name, value) })
}

// SwapCursor implements eventlog.Store.
func (s *Store) SwapCursor(ctx context.Context, log event.LogID, name string, was, value []byte) error {
	return s.effect(Cursor, func() error { return s.inner.SwapCursor(ctx, log, name, was, value) })
}

// Erase implements eventlog.Store.
func (s *Store) Erase(ctx context.Context, log event.LogID, subject event.SubjectID, progress func(done int)) error {
	return s.effect(Erase, func() error { return s.inner.Erase(ctx, log, subject, progress) })
}

// Records implements eventlog.Store. Kept failures come after the first record.
func (s *Store) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	s.asked(log, to)
	return failing(s, s.inner.Records(ctx, log, from, to), func(r *event.Record) { s.read(log, r) })
}

// Postings implements eventlog.Store.
func (s *Store) Postings(ctx context.Context, log event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	s.asked(log, upto)
	return failing(s, s.inner.Postings(ctx, log, term, after, upto, down), func(event.Position) {})
}

// Checkpoints implements eventlog.Store.
func (s *Store) Checkpoints(ctx context.Context, log event.LogID, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return failing(s, s.inner.Checkpoints(ctx, log, from), func(eventlog.Checkpoint) {})
}

func failing[V any](s *Store, seq iter.Seq2[V, error], watch func(V)) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var none V
		f := s.plan.next(Read)
		if f == Refuse || f == Lose {
			yield(none, lost(Read, f))
			return
		}
		for v, err := range seq {
			if err == nil {
				watch(v)
			}
			if !yield(v, err) || err != nil {
				return
			}
			if f == Keep {
				yield(none, lost(Read, f))
				return
			}
		}
	}
}

// get is a point read.
func get[V any](s *Store, do func() (V, bool, error)) (V, bool, error) {
	if f := s.plan.next(Read); f != None {
		var none V
		return none, false, lost(Read, f)
	}
	return do()
}

// Logs implements eventlog.Store.
func (s *Store) Logs(ctx context.Context) ([]event.LogID, error) { return s.inner.Logs(ctx) }

// Head implements eventlog.Store.
func (s *Store) Head(ctx context.Context, log event.LogID) (eventlog.Head, error) {
	h, _, err := get(s, func() (eventlog.Head, bool, error) { h, err := s.inner.Head(ctx, log); return h, true, err })
	return h, err
}

// Stream implements eventlog.Store.
func (s *Store) Stream(ctx context.Context, log event.LogID, stream event.Stream) (eventlog.StreamHead, bool, error) {
	return get(s, func() (eventlog.StreamHead, bool, error) { return s.inner.Stream(ctx, log, stream) })
}

// Subject implements eventlog.Store.
func (s *Store) Subject(ctx context.Context, log event.LogID, subject event.SubjectID) (eventlog.KeyUse, bool, error) {
	return get(s, func() (eventlog.KeyUse, bool, error) { return s.inner.Subject(ctx, log, subject) })
}

// Key implements eventlog.Store.
func (s *Store) Key(ctx context.Context, log event.LogID, key event.KeyID) (eventlog.KeyUse, bool, error) {
	return get(s, func() (eventlog.KeyUse, bool, error) { return s.inner.Key(ctx, log, key) })
}

// Outcome implements eventlog.Store.
func (s *Store) Outcome(ctx context.Context, log event.LogID, actor event.Actor, command event.ID) (eventlog.Outcome, bool, error) {
	return get(s, func() (eventlog.Outcome, bool, error) { return s.inner.Outcome(ctx, log, actor, command) })
}

// EventPosition implements eventlog.Store.
func (s *Store) EventPosition(ctx context.Context, log event.LogID, id event.ID) (event.Position, bool, error) {
	return get(s, func() (event.Position, bool, error) { return s.inner.EventPosition(ctx, log, id) })
}

// Tile implements eventlog.Store.
func (s *Store) Tile(ctx context.Context, log event.LogID, level int, index uint64) ([]byte, bool, error) {
	return get(s, func() ([]byte, bool, error) { return s.inner.Tile(ctx, log, level, index) })
}

// Cursor implements eventlog.Store.
func (s *Store) Cursor(ctx context.Context, log event.LogID, name string) ([]byte, error) {
	v, _, err := get(s, func() ([]byte, bool, error) { v, err := s.inner.Cursor(ctx, log, name); return v, true, err })
	return v, err
}

// Close implements eventlog.Store.
func (s *Store) Close() error { return s.inner.Close() }
