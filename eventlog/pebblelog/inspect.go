package pebblelog

import (
	"bytes"
	"context"
	"encoding/binary"

	"muniment.dev/event"
	"muniment.dev/fault"
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
// against the records: the first 16 bytes of the term's SHA-256, and the
// position. It stops when yield returns false.
func (s *Store) Indexed(_ context.Context, log event.LogID, yield func(term [digestLen]byte, p event.Position) bool) error {
	var k key
	low := bytes.Clone(k.in(log, kindPosting))
	for kv, err := range s.scan(low, successor(low), false) {
		if err != nil {
			return readFault("list the index", err)
		}
		rest := kv.key[len(low):]
		if len(rest) != digestLen+8 || len(kv.value) != 0 {
			return fault.New(fault.Corrupt, "an entry of the index is malformed")
		}
		if !yield([digestLen]byte(rest), event.Position(binary.BigEndian.Uint64(rest[digestLen:]))) {
			return nil
		}
	}
	return nil
}
