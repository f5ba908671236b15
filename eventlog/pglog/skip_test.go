package pglog

import (
	"crypto/sha256"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// skipTo makes a log whose head says that it is so long, without the records:
// enough for an engine, which does what it is told.
func skipTo(t *testing.T, s *Store, id event.LogID, size event.Position) {
	t.Helper()
	if _, err := s.Take(t.Context(), id, event.NewID(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.Exec(t.Context(), `UPDATE log_head SET size = $2 WHERE id = $1`, [16]byte(id.ID), int64(size)); err != nil {
		t.Fatal(err)
	}
}

// commitAfter commits drafts as one batch behind the head.
func commitAfter(t *testing.T, s *Store, id event.LogID, drafts ...*event.Draft) {
	t.Helper()
	head, err := s.Head(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b := &eventlog.Batch{Log: id, Prev: head, Next: head}
	for _, d := range drafts {
		at := event.Place{Log: id, Position: b.Next.Size + 1, Version: 1, Time: time.Now().Truncate(time.Microsecond), Prev: b.Next.Last}
		leaf := d.AppendLeaf(nil, at)
		b.Records = append(b.Records, d.Record(at, leaf))
		b.Terms = append(b.Terms, d.Terms())
		hash := event.Hash(sha256.Sum256(append([]byte{0}, leaf...)))
		b.Hashes = append(b.Hashes, hash)
		b.Next.Size, b.Next.Last, b.Next.Time = at.Position, hash, at.Time
	}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}
