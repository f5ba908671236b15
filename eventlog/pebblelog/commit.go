package pebblelog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// logState is what the store remembers of a log.
type logState struct {
	lookups lookups
	exists  existence

	mu    sync.Mutex     // held through commits; guards what follows
	head  *eventlog.Head // as stored; nil if it must be read
	value []byte         // for building values
	key   key
}

func (s *Store) state(log event.LogID) *logState {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	if l == nil {
		l = &logState{}
		s.logs[log] = l
	}
	return l
}

// Take implements eventlog.Store.
func (s *Store) Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (eventlog.Head, error) {
	l := s.state(log)
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := s.Head(ctx, log)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return eventlog.Head{}, err
	}
	h.Term, h.Holder = max(h.Term+1, atLeast), holder
	l.head = nil
	err = s.write("take the log", func(b *pebble.Batch) {
		put(b, l.key.head(log), appendHead(nil, h))
	})
	if err != nil {
		return eventlog.Head{}, err
	}
	l.lookups.drop()
	l.head = &h
	return h, nil
}

// Commit implements eventlog.Store.
func (s *Store) Commit(ctx context.Context, b *eventlog.Batch) error {
	l := s.state(b.Log)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == nil {
		h, err := s.Head(ctx, b.Log)
		if err != nil {
			return err
		}
		l.head = &h
	}
	if h := l.head; h.Term != b.Prev.Term || h.Holder != b.Prev.Holder || h.Size != b.Prev.Size || h.Last != b.Prev.Last {
		return fault.New(fault.Conflict, "the log is held by another (term %d)", h.Term)
	}
	l.head = nil
	if err := s.write("append to the log", func(w *pebble.Batch) { l.fill(w, b) }); err != nil {
		return err
	}
	l.lookups.drop()
	next := b.Next
	l.head = &next
	return nil
}

// fill puts a batch's keys and values into a write. l.mu is held.
func (l *logState) fill(w *pebble.Batch, b *eventlog.Batch) {
	l.fillRecords(w, b)
	l.fillHead(w, b)
}

func (l *logState) fillRecords(w *pebble.Batch, b *eventlog.Batch) {
	for i, r := range b.Records {
		put(w, l.key.record(b.Log, r.Position), r.Leaf)
		for j := range r.Blocks {
			if r.Ciphertexts[j] != nil {
				l.value = appendBlock(l.value[:0], r.Ciphertexts[j], r.Blocks[j].Subject, r.Blind)
				put(w, l.key.block(b.Log, r.Position, j), l.value)
			}
		}
		for _, t := range b.Terms[i] {
			k := l.key.posting(b.Log, t, r.Position)
			l.exists.add(k[:termKeyLen])
			put(w, k, nil)
		}
		l.value = appendStream(l.value[:0], eventlog.StreamHead{Version: r.Version, Hash: b.Hashes[i]})
		l.putID(w, l.key.stream(b.Log, r.Stream))
		l.value = binary.BigEndian.AppendUint64(l.value[:0], uint64(r.Position))
		l.putID(w, l.key.id(b.Log, kindEvent, r.ID))
	}
	for _, t := range b.Tiles {
		put(w, l.key.tile(b.Log, t.Level, t.Index), t.Data)
	}
	for _, o := range b.Outcomes {
		l.value = appendOutcome(l.value[:0], o)
		l.putID(w, l.key.outcome(b.Log, o.Actor, o.Command))
	}
	for _, u := range b.Keys {
		l.value = appendUse(l.value[:0], u.Key.ID, u.Erased)
		l.putID(w, l.key.id(b.Log, kindSubject, u.Subject.ID))
		if !u.Key.IsZero() {
			l.value = appendUse(l.value[:0], u.Subject.ID, u.Erased)
			l.putID(w, l.key.id(b.Log, kindKey, u.Key.ID))
		}
	}
}

func (l *logState) fillHead(w *pebble.Batch, b *eventlog.Batch) {
	l.value = appendHead(l.value[:0], b.Next)
	put(w, l.key.head(b.Log), l.value)
}

// putID puts l.value under a key that the filter knows.
func (l *logState) putID(w *pebble.Batch, k []byte) {
	l.exists.add(k)
	put(w, k, l.value)
}

// put never fails: a batch that is not indexed only grows.
func put(w *pebble.Batch, k, v []byte) { _ = w.Set(k, v, nil) }

// maxRetained is up to which size the memory of a batch is used again.
const maxRetained = 4 << 20

// write makes a write durable. A fault of another kind than Unknown means that
// nothing of it is stored or ever will be.
func (s *Store) write(op string, fill func(*pebble.Batch)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.users.leave()
	if err := s.ready(); err != nil {
		return fault.Wrap(op, err)
	}
	b := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(maxRetained))
	fill(b)
	done := make(chan error, 1)
	go func() { done <- s.apply(b) }()
	select {
	case err := <-done:
		if errors.Is(err, pebble.ErrReadOnly) {
			return fault.New(fault.Unavailable, "the log store is open for reading only")
		}
		if err != nil {
			s.die(err)
		}
		// A failed sync is told to the logger only.
		if err := s.health.err(); err != nil {
			return &fault.Error{Kind: fault.Unknown, Op: op, Msg: errDead, Err: err}
		}
	case <-s.health.failed: // it may never return
		return &fault.Error{Kind: fault.Unknown, Op: op, Msg: errDead, Err: s.health.err()}
	}
	_ = b.Close() // gives its memory back
	return nil
}

// apply turns Pebble's panics about failing disks into errors.
func (s *Store) apply(b *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble: %v", r)
		}
	}()
	return s.db.Apply(b, pebble.Sync)
}

// PutCheckpoint implements eventlog.Store.
func (s *Store) PutCheckpoint(_ context.Context, log event.LogID, size event.Position, note []byte) error {
	var k key
	err := s.write("keep a checkpoint", func(b *pebble.Batch) { put(b, k.checkpoint(log, size), note) })
	if err == nil {
		s.state(log).lookups.drop()
	}
	return err
}

// PutCursor implements eventlog.Store.
func (s *Store) PutCursor(_ context.Context, log event.LogID, name string, value []byte) error {
	var k key
	err := s.write("keep a cursor", func(b *pebble.Batch) { put(b, k.cursor(log, name), value) })
	if err == nil {
		s.state(log).lookups.drop()
	}
	return err
}

// SwapCursor implements eventlog.Store. One process has the store open, so that
// a mutex makes it one step.
func (s *Store) SwapCursor(ctx context.Context, log event.LogID, name string, was, value []byte) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	now, err := s.Cursor(ctx, log, name)
	if err != nil {
		return err
	}
	if (now == nil) != (was == nil) || !bytes.Equal(now, was) {
		return eventlog.ErrCursorMoved
	}
	return s.PutCursor(ctx, log, name, value)
}
