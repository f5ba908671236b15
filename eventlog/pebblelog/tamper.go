package pebblelog

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Tamper changes one bit of the leaf at a position, through the engine, so that
// everything below it looks right: what somebody does who has the machine. It
// is for showing that verifying finds it. The store must be open for nothing
// else.
func (s *Store) Tamper(ctx context.Context, log event.LogID, p event.Position) error {
	leaf, ok, err := s.Leaf(ctx, log, p)
	if err != nil {
		return err
	}
	if !ok || len(leaf) == 0 {
		return fault.New(fault.NotFound, "there is no record at position %d", p)
	}
	leaf = bytes.Clone(leaf)
	leaf[len(leaf)/2] ^= 1
	var k key
	return fault.Wrap("change a leaf", s.db.Set(k.record(log, p), leaf, pebble.Sync))
}
