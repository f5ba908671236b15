package pebblelog

import (
	"bytes"
	"context"
	"encoding/binary"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// Leaf returns the bytes stored as the leaf at a position, whatever they are;
// false if there are none. It is for verifying what Records cannot read.
func (s *Store) Leaf(_ context.Context, log event.LogID, p event.Position) (leaf []byte, ok bool, err error) {
	ok, err = s.find(log, "a leaf", func(k *key) []byte { return k.record(log, p) }, func(v []byte) error {
		leaf = bytes.Clone(v)
		return nil
	})
	return leaf, ok, err
}

// Indexed calls yield with every posting of a log's index, for checking it
// against the records: the term's digest, and the position. It stops when yield
// returns false.
func (s *Store) Indexed(_ context.Context, log event.LogID, yield func(term [16]byte, p event.Position) bool) error {
	return s.list(log, kindPosting, digestLen+8, func(rest, value []byte) (bool, error) {
		if len(value) != 0 {
			return false, errMalformed
		}
		return yield([16]byte(rest[:digestLen]), event.Position(binary.BigEndian.Uint64(rest[digestLen:]))), nil
	})
}

// Events is Indexed for the ids of events.
func (s *Store) Events(_ context.Context, log event.LogID, yield func(id event.ID, p event.Position) bool) error {
	return s.list(log, kindEvent, 16, func(rest, value []byte) (bool, error) {
		if len(value) != 8 {
			return false, errMalformed
		}
		return yield(event.ID(rest), event.Position(binary.BigEndian.Uint64(value))), nil
	})
}

// Streams is Indexed for the heads of streams.
func (s *Store) Streams(_ context.Context, log event.LogID, yield func(event.Stream, eventlog.StreamHead) bool) error {
	return s.list(log, kindStream, 0, func(rest, value []byte) (bool, error) {
		h, err := parseStream(value)
		if err != nil || len(rest) < 17 {
			return false, errMalformed
		}
		return yield(event.Stream{ID: event.ID(rest), Kind: string(rest[16:])}, h), nil
	})
}

// Subjects is Indexed for the keys that subjects use, and Keys for the subjects
// that keys belong to.
func (s *Store) Subjects(_ context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error {
	return s.list(log, kindSubject, 16, func(rest, value []byte) (bool, error) {
		key, erased, err := parseUse(value)
		return err == nil && yield(eventlog.KeyUse{Subject: event.SubjectID{ID: event.ID(rest)}, Key: event.KeyID{ID: key}, Erased: erased}), err
	})
}

// Keys lists whose each key is; see Subjects.
func (s *Store) Keys(_ context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error {
	return s.list(log, kindKey, 16, func(rest, value []byte) (bool, error) {
		subject, erased, err := parseUse(value)
		return err == nil && yield(eventlog.KeyUse{Subject: event.SubjectID{ID: subject}, Key: event.KeyID{ID: event.ID(rest)}, Erased: erased}), err
	})
}

// list calls each with what follows the kind in the keys of a log's entries of
// that kind, and their values; n is its length, 0 if that varies.
func (s *Store) list(log event.LogID, kind byte, n int, each func(rest, value []byte) (more bool, err error)) error {
	var k key
	low := bytes.Clone(k.in(log, kind))
	for kv, err := range s.scan(low, successor(low), false) {
		if err == nil && n != 0 && len(kv.key) != len(low)+n {
			err = errMalformed
		}
		more := false
		if err == nil {
			more, err = each(kv.key[len(low):], kv.value)
		}
		if err != nil {
			return readFault("list what the store keeps beside its records", err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// Outcomes implements eventlog.Lister.
func (s *Store) Outcomes(_ context.Context, log event.LogID, yield func(eventlog.Outcome) bool) error {
	return s.list(log, kindOutcome, 0, func(rest, value []byte) (bool, error) {
		if len(rest) < 33 {
			return false, errMalformed
		}
		o, err := parseOutcome(value, event.Actor{Kind: string(rest[32:]), ID: event.ID(rest[16:32])}, event.ID(rest[:16]))
		return err == nil && yield(o), err
	})
}

// Cursors implements eventlog.Lister.
func (s *Store) Cursors(_ context.Context, log event.LogID, yield func(name string, value []byte) bool) error {
	var k key
	low := bytes.Clone(k.cursor(log, ""))
	for kv, err := range s.scan(low, successor(low), false) {
		if err != nil {
			return readFault("list the cursors", err)
		}
		if !yield(string(kv.key[len(low):]), bytes.Clone(kv.value)) {
			return nil
		}
	}
	return nil
}
