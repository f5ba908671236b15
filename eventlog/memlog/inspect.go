package memlog

import (
	"context"
	"crypto/sha256"
	"maps"

	"muniment.dev/event"
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

// Indexed calls yield with every posting of a log's index: the first 16 bytes
// of the term's SHA-256, and the position. It stops when yield returns false.
func (s *Store) Indexed(_ context.Context, id event.LogID, yield func(term [16]byte, p event.Position) bool) error {
	s.mu.RLock()
	l, err := s.log(id)
	if err != nil {
		s.mu.RUnlock()
		return err
	}
	postings := maps.Clone(l.postings)
	s.mu.RUnlock()
	for term, list := range postings {
		sum := sha256.Sum256([]byte(term))
		for _, p := range list {
			if !yield([16]byte(sum[:16]), p) {
				return nil
			}
		}
	}
	return nil
}
