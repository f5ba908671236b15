// Package memlog is a log engine in memory: for tests, simulation, and as the
// plainest statement of what an engine does. It keeps nothing when the process
// ends.
package memlog

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Store keeps logs in memory. Make it with New.
type Store struct {
	mu   sync.RWMutex
	logs map[event.LogID]*log
	now  func() time.Time // by which leases run
}

type log struct {
	head        eventlog.Head
	records     []*event.Record // by position - 1
	postings    map[event.Term][]event.Position
	streams     map[event.Stream]eventlog.StreamHead
	subjects    map[event.SubjectID]eventlog.KeyUse
	keys        map[event.KeyID]eventlog.KeyUse
	outcomes    map[outcomeKey]eventlog.Outcome
	ids         map[event.ID]event.Position
	tiles       map[tileKey][]byte
	checkpoints []eventlog.Checkpoint
	cursors     map[string][]byte

	hold  hold
	bells map[chan struct{}]struct{}
	nodes map[event.ID]attendance
}

type outcomeKey struct {
	actor   event.Actor
	command event.ID
}

type tileKey struct {
	level int
	index uint64
}

// New returns an empty store.
func New() *Store { return &Store{logs: map[event.LogID]*log{}, now: time.Now} }

func newLog() *log {
	return &log{
		postings: map[event.Term][]event.Position{}, streams: map[event.Stream]eventlog.StreamHead{},
		subjects: map[event.SubjectID]eventlog.KeyUse{}, keys: map[event.KeyID]eventlog.KeyUse{},
		outcomes: map[outcomeKey]eventlog.Outcome{}, ids: map[event.ID]event.Position{},
		tiles: map[tileKey][]byte{}, cursors: map[string][]byte{},
		bells: map[chan struct{}]struct{}{}, nodes: map[event.ID]attendance{},
	}
}

// Logs implements eventlog.Store.
func (s *Store) Logs(context.Context) ([]event.LogID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ids []event.LogID
	for id := range s.logs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b event.LogID) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return ids, nil
}

// Take implements eventlog.Store.
func (s *Store) Take(_ context.Context, id event.LogID, holder event.ID, atLeast uint64) (eventlog.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(id, holder, atLeast).head, nil
}

// take begins a term of a holder who publishes nothing.
func (s *Store) take(id event.LogID, holder event.ID, atLeast uint64) *log {
	l := s.logs[id]
	if l == nil {
		l = newLog()
		s.logs[id] = l
	}
	l.head.Term, l.head.Holder = max(l.head.Term+1, atLeast), holder
	l.hold = hold{}
	return l
}

// Commit implements eventlog.Store.
func (s *Store) Commit(_ context.Context, b *eventlog.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[b.Log]
	if l == nil {
		return fault.New(fault.NotFound, "there is no log %s", b.Log)
	}
	if h := l.head; h.Term != b.Prev.Term || h.Holder != b.Prev.Holder || h.Size != b.Prev.Size || h.Last != b.Prev.Last {
		return fault.New(fault.Conflict, "the log is held by another (term %d)", h.Term)
	}
	for i, r := range b.Records {
		l.add(r, b.Terms[i], b.Hashes[i])
	}
	for _, t := range b.Tiles {
		l.tiles[tileKey{t.Level, t.Index}] = t.Data
	}
	for _, o := range b.Outcomes {
		l.outcomes[outcomeKey{o.Actor, o.Command}] = o
	}
	for _, k := range b.Keys {
		l.subjects[k.Subject] = k
		if !k.Key.IsZero() {
			l.keys[k.Key] = k
		}
	}
	l.head = b.Next
	return nil
}

func (l *log) add(r *event.Record, terms []event.Term, hash event.Hash) {
	stored := *r
	stored.Ciphertexts = slices.Clone(r.Ciphertexts)
	l.records = append(l.records, &stored)
	for _, t := range terms {
		l.postings[t] = append(l.postings[t], r.Position)
	}
	l.streams[r.Stream] = eventlog.StreamHead{Version: r.Version, Hash: hash}
	l.ids[r.ID] = r.Position
}

func (s *Store) log(id event.LogID) (*log, error) {
	if l := s.logs[id]; l != nil {
		return l, nil
	}
	return nil, fault.New(fault.NotFound, "there is no log %s", id)
}

// Head implements eventlog.Store.
func (s *Store) Head(_ context.Context, id event.LogID) (eventlog.Head, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.log(id)
	if err != nil {
		return eventlog.Head{}, err
	}
	return l.head, nil
}

// Records implements eventlog.Store.
func (s *Store) Records(_ context.Context, id event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for p := from; p <= to; p++ {
			r, err := s.record(id, p)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func (s *Store) record(id event.LogID, p event.Position) (*event.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.log(id)
	if err != nil {
		return nil, err
	}
	if p == 0 || int(p) > len(l.records) {
		return nil, fault.New(fault.Corrupt, "position %d is not stored", p)
	}
	return l.records[p-1], nil
}

// Postings implements eventlog.Store.
func (s *Store) Postings(_ context.Context, id event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	return func(yield func(event.Position, error) bool) {
		s.mu.RLock()
		l, err := s.log(id)
		var list []event.Position
		if err == nil {
			list = l.postings[term]
		}
		s.mu.RUnlock()
		if err != nil {
			yield(0, err)
			return
		}
		from, _ := slices.BinarySearch(list, after+1)
		to, _ := slices.BinarySearch(list, upto+1)
		list = slices.Clone(list[from:max(from, to)])
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

// lookup reads one thing of a log under the lock.
func lookup[K comparable, V any](s *Store, id event.LogID, table func(*log) map[K]V, key K) (V, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var none V
	l, err := s.log(id)
	if err != nil {
		return none, false, err
	}
	v, ok := table(l)[key]
	return v, ok, nil
}

// Stream implements eventlog.Store.
func (s *Store) Stream(_ context.Context, id event.LogID, stream event.Stream) (eventlog.StreamHead, bool, error) {
	return lookup(s, id, func(l *log) map[event.Stream]eventlog.StreamHead { return l.streams }, stream)
}

// Subject implements eventlog.Store.
func (s *Store) Subject(_ context.Context, id event.LogID, subject event.SubjectID) (eventlog.KeyUse, bool, error) {
	return lookup(s, id, func(l *log) map[event.SubjectID]eventlog.KeyUse { return l.subjects }, subject)
}

// Key implements eventlog.Store.
func (s *Store) Key(_ context.Context, id event.LogID, key event.KeyID) (eventlog.KeyUse, bool, error) {
	return lookup(s, id, func(l *log) map[event.KeyID]eventlog.KeyUse { return l.keys }, key)
}

// Outcome implements eventlog.Store.
func (s *Store) Outcome(_ context.Context, id event.LogID, actor event.Actor, command event.ID) (eventlog.Outcome, bool, error) {
	return lookup(s, id, func(l *log) map[outcomeKey]eventlog.Outcome { return l.outcomes }, outcomeKey{actor, command})
}

// EventPosition implements eventlog.Store.
func (s *Store) EventPosition(_ context.Context, id event.LogID, e event.ID) (event.Position, bool, error) {
	return lookup(s, id, func(l *log) map[event.ID]event.Position { return l.ids }, e)
}

// Tile implements eventlog.Store.
func (s *Store) Tile(_ context.Context, id event.LogID, level int, index uint64) ([]byte, bool, error) {
	return lookup(s, id, func(l *log) map[tileKey][]byte { return l.tiles }, tileKey{level, index})
}

// PutCheckpoint implements eventlog.Store.
func (s *Store) PutCheckpoint(_ context.Context, id event.LogID, size event.Position, note []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return err
	}
	i, found := slices.BinarySearchFunc(l.checkpoints, size, func(c eventlog.Checkpoint, size event.Position) int { return int(c.Size) - int(size) })
	if found {
		l.checkpoints[i].Note = slices.Clone(note)
		return nil
	}
	l.checkpoints = slices.Insert(slices.Clone(l.checkpoints), i, eventlog.Checkpoint{Size: size, Note: slices.Clone(note)})
	return nil
}

// Checkpoints implements eventlog.Store.
func (s *Store) Checkpoints(_ context.Context, id event.LogID, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return func(yield func(eventlog.Checkpoint, error) bool) {
		s.mu.RLock()
		l, err := s.log(id)
		var list []eventlog.Checkpoint
		if err == nil {
			list = slices.Clone(l.checkpoints)
		}
		s.mu.RUnlock()
		if err != nil {
			yield(eventlog.Checkpoint{}, err)
			return
		}
		for _, c := range list {
			if c.Size >= from && !yield(c, nil) {
				return
			}
		}
	}
}

// Erase implements eventlog.Store.
func (s *Store) Erase(_ context.Context, id event.LogID, subject event.SubjectID, progress func(int)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return err
	}
	for done, p := range l.postings[event.SubjectTerm(subject)] {
		r := *l.records[p-1] // readers may hold the old one
		r.Ciphertexts = slices.Clone(r.Ciphertexts)
		for i, b := range r.Blocks {
			if b.Subject == subject {
				r.Ciphertexts[i] = nil
			}
		}
		before := r.Terms()
		r.Blind = slices.DeleteFunc(slices.Clone(r.Blind), func(b event.BlindTag) bool { return b.Subject == subject })
		after := r.Terms()
		for _, t := range before {
			if _, stays := slices.BinarySearch(after, t); !stays {
				l.postings[t] = slices.DeleteFunc(slices.Clone(l.postings[t]), func(q event.Position) bool { return q == p })
			}
		}
		l.records[p-1] = &r
		if progress != nil {
			progress(done + 1)
		}
	}
	return nil
}

// Cursor implements eventlog.Store.
func (s *Store) Cursor(_ context.Context, id event.LogID, name string) ([]byte, error) {
	v, _, err := lookup(s, id, func(l *log) map[string][]byte { return l.cursors }, name)
	return v, err
}

// PutCursor implements eventlog.Store.
func (s *Store) PutCursor(_ context.Context, id event.LogID, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return err
	}
	l.cursors[name] = slices.Clone(value)
	return nil
}

// SwapCursor implements eventlog.Store.
func (s *Store) SwapCursor(_ context.Context, id event.LogID, name string, was, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return err
	}
	if now, put := l.cursors[name]; put != (was != nil) || !slices.Equal(now, was) {
		return eventlog.ErrCursorMoved
	}
	l.cursors[name] = slices.Clone(value)
	return nil
}

// Close implements eventlog.Store.
func (s *Store) Close() error { return nil }
