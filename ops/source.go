package ops

import (
	"context"
	"fmt"
	"iter"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

// leafReader is what an engine offers to tell a damaged record from a missing
// one: the leaf's bytes as they are stored, without reading them.
type leafReader interface {
	Leaf(ctx context.Context, log event.LogID, p event.Position) (leaf []byte, stored bool, err error)
}

// giveUp is how many records in a row may be missing before the rest of the log
// is taken to be lost.
const giveUp = 10_000

// source feeds the verifier from a store, and the audit of what the store keeps
// beside its records in the same pass. Damage that keeps a record from being
// read is a finding, not an error: the verifier goes on behind it.
type source struct {
	store eventlog.Store
	log   event.LogID
	head  eventlog.Head
	audit *audit
}

// Entries implements verify.Source.
func (s *source) Entries(ctx context.Context, from uint64) iter.Seq2[verify.Entry, error] {
	return func(yield func(verify.Entry, error) bool) {
		next, missing := event.Position(from), 0
		for next <= s.head.Size && missing <= giveUp {
			for r, err := range ahead(s.store.Records(ctx, s.log, next, s.head.Size)) {
				if err != nil && isDamage(err) {
					break // this record or the one behind it: see below
				}
				if err == nil {
					err = s.audit.record(ctx, r)
				}
				if err != nil {
					yield(verify.Entry{}, err)
					return
				}
				if !yield(entry(r), nil) {
					return
				}
				next, missing = next+1, 0
			}
			if next > s.head.Size {
				return
			}
			e, ok, err := s.alone(ctx, next)
			if err != nil {
				yield(e, err)
				return
			}
			if missing++; ok {
				missing = 0
				if !yield(e, nil) {
					return
				}
			}
			next++
		}
	}
}

// alone reads one record at which, or behind which, reading on failed; false if
// nothing is stored there.
func (s *source) alone(ctx context.Context, p event.Position) (verify.Entry, bool, error) {
	for r, err := range s.store.Records(ctx, s.log, p, p) {
		switch {
		case err == nil:
			return entry(r), true, s.audit.record(ctx, r)
		case !isDamage(err):
			return verify.Entry{}, false, err
		}
		e, ok := s.damaged(ctx, p, err)
		return e, ok, nil
	}
	return verify.Entry{}, false, nil
}

// isDamage tells bytes that are wrong from a store that cannot be read just now.
func isDamage(err error) bool { return fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) }

// damaged returns what is left of a record that cannot be read; false if
// nothing is stored at its position.
func (s *source) damaged(ctx context.Context, p event.Position, cause error) (verify.Entry, bool) {
	e := verify.Entry{Position: uint64(p)}
	raw, ok := s.store.(leafReader)
	if !ok {
		s.audit.add(StoreDamaged, p, "record %d cannot be read: %v", p, cause)
		return e, true
	}
	leaf, stored, err := raw.Leaf(ctx, s.log, p)
	if err == nil && !stored {
		return e, false // the verifier reports the gap
	}
	s.audit.add(StoreDamaged, p, "record %d cannot be read: %v", p, cause)
	e.Leaf = leaf
	return e, true
}

func entry(r *event.Record) verify.Entry {
	e := verify.Entry{Position: uint64(r.Position), Leaf: r.Leaf, Ciphertexts: r.Ciphertexts, Blind: make([]verify.BlindTag, len(r.Blind))}
	for i, t := range r.Blind {
		e.Blind[i] = verify.BlindTag{Subject: verify.ID(t.Subject.ID), Name: t.Name, N: uint32(t.N), Version: uint64(t.Version), Value: t.Value}
	}
	return e
}

// Checkpoints implements verify.Source.
func (s *source) Checkpoints(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for c, err := range s.store.Checkpoints(ctx, s.log, 0) {
			if err != nil && isDamage(err) {
				s.audit.add(StoreDamaged, 0, "a stored checkpoint cannot be read: %v", err)
				return
			}
			if err == nil {
				if cp, bad := verify.ParseCheckpoint(c.Note); bad == nil && cp.Size != uint64(c.Size) {
					s.audit.add(StoreDamaged, 0, "the checkpoint of size %d is stored as that of size %d", cp.Size, c.Size)
				}
			}
			if !yield(c.Note, err) || err != nil {
				return
			}
		}
	}
}

// The codes of what ledger/verify cannot see, because it opens no store.
const (
	StoreDamaged  verify.Code = "store.damaged"    // the engine cannot read what it stored
	StoreHead     verify.Code = "store.head"       // the log's head is not that of its records
	StoreTile     verify.Code = "store.tile"       // a tile is missing or not that of the records
	StoreStream   verify.Code = "store.stream"     // the head of a stream is not that of its records
	StoreKey      verify.Code = "store.key"        // the assignment of keys is not that of the records
	StoreEvent    verify.Code = "store.event"      // an event id leads elsewhere than to its record
	IndexMissing  verify.Code = "index.missing"    // the index does not find a record by something that it has
	IndexExtra    verify.Code = "index.extra"      // the index finds a record by something that it has not
	RegisterError verify.Code = "register.damaged" // the register cannot be read
)

// finding is a verify.Finding of ours.
func finding(code verify.Code, p event.Position, format string, args ...any) verify.Finding {
	return verify.Finding{Code: code, Position: uint64(p), Msg: fmt.Sprintf(format, args...)}
}
