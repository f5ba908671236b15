package memlog

import (
	"context"
	"maps"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// Leaf returns the leaf at a position; false if there is none.
func (s *Store) Leaf(_ context.Context, id event.LogID, p event.Position) ([]byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.log(id)
	if err != nil || p == 0 || int(p) > len(l.records) {
		return nil, false, err
	}
	return l.records[p-1].Leaf, true, nil
}

// Indexed calls yield with every posting of a log's index: the term's
// digest, and the position. It stops when yield returns false.
func (s *Store) Indexed(_ context.Context, id event.LogID, yield func(term [16]byte, p event.Position) bool) error {
	postings, err := table(s, id, func(l *log) map[event.Term][]event.Position { return l.postings })
	for term, list := range postings {
		d := term.Digest()
		for _, p := range list {
			if !yield(d, p) {
				return nil
			}
		}
	}
	return err
}

// Events is Indexed for the ids of events.
func (s *Store) Events(_ context.Context, id event.LogID, yield func(event.ID, event.Position) bool) error {
	ids, err := table(s, id, func(l *log) map[event.ID]event.Position { return l.ids })
	maps.All(ids)(yield)
	return err
}

// Streams is Indexed for the heads of streams.
func (s *Store) Streams(_ context.Context, id event.LogID, yield func(event.Stream, eventlog.StreamHead) bool) error {
	streams, err := table(s, id, func(l *log) map[event.Stream]eventlog.StreamHead { return l.streams })
	maps.All(streams)(yield)
	return err
}

// Subjects is Indexed for the keys that subjects use.
func (s *Store) Subjects(_ context.Context, id event.LogID, yield func(eventlog.KeyUse) bool) error {
	uses, err := table(s, id, func(l *log) map[event.SubjectID]eventlog.KeyUse { return l.subjects })
	maps.Values(uses)(yield)
	return err
}

// Keys is Indexed for the subjects that keys belong to.
func (s *Store) Keys(_ context.Context, id event.LogID, yield func(eventlog.KeyUse) bool) error {
	uses, err := table(s, id, func(l *log) map[event.KeyID]eventlog.KeyUse { return l.keys })
	maps.Values(uses)(yield)
	return err
}

// table copies one of a log's tables under the lock.
func table[K comparable, V any](s *Store, id event.LogID, of func(*log) map[K]V) (map[K]V, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.log(id)
	if err != nil {
		return nil, err
	}
	return maps.Clone(of(l)), nil
}

// Outcomes implements eventlog.Lister.
func (s *Store) Outcomes(_ context.Context, id event.LogID, yield func(eventlog.Outcome) bool) error {
	outcomes, err := table(s, id, func(l *log) map[outcomeKey]eventlog.Outcome { return l.outcomes })
	maps.Values(outcomes)(yield)
	return err
}

// Cursors implements eventlog.Lister.
func (s *Store) Cursors(_ context.Context, id event.LogID, yield func(name string, value []byte) bool) error {
	cursors, err := table(s, id, func(l *log) map[string][]byte { return l.cursors })
	maps.All(cursors)(yield)
	return err
}
