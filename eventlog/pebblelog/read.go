package pebblelog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// span is how many keys an iterator reads before it is made anew: one that
// stays open keeps old files, and what was erased in them, from being deleted.
const span = 4096

// scan yields the keys and values from low to high (exclusive), or back. The
// slices are valid until the next step.
func (s *Store) scan(low, high []byte, down bool) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		low, high := bytes.Clone(low), bytes.Clone(high)
		for {
			n, last, err := s.scanSpan(low, high, down, yield)
			switch {
			case err != nil:
				yield(pair{}, err)
				return
			case n < span:
				return
			case down:
				high = last
			default:
				low = append(last, 0)
			}
		}
	}
}

type pair struct{ key, value []byte }

// scanSpan yields at most one span and returns how many keys it yielded, and
// the last one; fewer than a span if there are no more or no more are wanted.
func (s *Store) scanSpan(low, high []byte, down bool, yield func(pair, error) bool) (n int, last []byte, err error) {
	if err := s.enter(); err != nil {
		return 0, nil, err
	}
	defer s.users.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return 0, nil, err
	}
	defer it.Close()
	step, ok := it.Next, it.First
	if down {
		step, ok = it.Prev, it.Last
	}
	for valid := ok(); valid && n < span; valid = step() {
		v, err := it.ValueAndErr()
		if err != nil {
			return n, nil, err
		}
		n++
		if n == span {
			last = bytes.Clone(it.Key())
		}
		if !yield(pair{it.Key(), v}, nil) {
			return 0, nil, nil
		}
	}
	return n, last, it.Error()
}

// Logs implements eventlog.Store.
func (s *Store) Logs(context.Context) ([]event.LogID, error) {
	var ids []event.LogID
	for kv, err := range s.scan([]byte{spaceHead}, []byte{spaceHead + 1}, false) {
		if err != nil {
			return nil, readFault("list the logs", err)
		}
		var id event.LogID
		copy(id.ID[:], kv.key[1:])
		ids = append(ids, id)
	}
	return ids, nil
}

// Records implements eventlog.Store.
func (s *Store) Records(_ context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		if from > to {
			return
		}
		var k key
		low, next := bytes.Clone(k.record(log, from)), from
		high := successor(k.in(log, kindRecord))
		if to < math.MaxUint64 {
			high = k.record(log, to+1)
		}
		a := assembler{log: log}
		for kv, err := range s.scan(low, high, false) {
			if err != nil {
				yield(nil, recordFault(next, readFault("read the log", err)))
				return
			}
			done, err := a.add(kv)
			if err != nil {
				yield(nil, recordFault(next, err))
				return
			}
			if done == nil {
				continue
			}
			if done.Position != next {
				yield(nil, missing(next))
				return
			}
			if !yield(done, nil) {
				return
			}
			next++
		}
		if a.rec != nil && a.rec.Position == next {
			if !yield(a.rec, nil) {
				return
			}
			next++
		}
		if next <= to {
			yield(nil, missing(next))
		}
	}
}

func missing(p event.Position) error {
	return fault.New(fault.Corrupt, "the record at position %d is not stored", p)
}

func recordFault(p event.Position, err error) error {
	return fault.Wrap(fmt.Sprintf("read the record at position %d", p), err)
}

// assembler puts records together from their leaf and blocks, which follow one
// another.
type assembler struct {
	log event.LogID
	rec *event.Record
}

// add takes the next key and returns the record before it, if that is complete.
func (a *assembler) add(kv pair) (done *event.Record, err error) {
	switch len(kv.key) {
	case recordKeyLen:
		done = a.rec
		p := event.Position(binary.BigEndian.Uint64(kv.key[recordKeyLen-8:]))
		a.rec, err = event.ParseLeaf(bytes.Clone(kv.value))
		if err == nil && a.rec.Position != p { // the log id in it may be that of a later generation
			err = fault.New(fault.Corrupt, "position %d holds the record of position %d of log %s", p, a.rec.Position, a.rec.Log)
		}
		return done, err
	case blockKeyLen:
		i := int(binary.BigEndian.Uint16(kv.key[recordKeyLen:]))
		if a.rec == nil || i >= len(a.rec.Blocks) || uint64(a.rec.Position) != binary.BigEndian.Uint64(kv.key[recordKeyLen-8:]) {
			return nil, fault.New(fault.Corrupt, "a sealed block belongs to no record")
		}
		ciphertext, blind, err := parseBlock(kv.value, a.rec.Blocks[i].Subject)
		a.rec.Ciphertexts[i] = ciphertext
		a.rec.Blind = append(a.rec.Blind, blind...)
		return nil, err
	}
	return nil, fault.New(fault.Corrupt, "a key among the records is malformed")
}

// Postings implements eventlog.Store.
func (s *Store) Postings(_ context.Context, log event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	return func(yield func(event.Position, error) bool) {
		if after >= upto {
			return
		}
		if s.unknown(log, term) {
			return
		}
		var k key
		low := bytes.Clone(k.posting(log, term, after+1))
		high := append(bytes.Clone(k.posting(log, term, upto)), 0)
		for kv, err := range s.scan(low, high, down) {
			if err != nil {
				yield(0, readFault("search the log", err))
				return
			}
			if !yield(event.Position(binary.BigEndian.Uint64(kv.key[len(kv.key)-8:])), nil) {
				return
			}
		}
	}
}

// unknown reports whether a log certainly has no record with a term.
func (s *Store) unknown(log event.LogID, term event.Term) bool {
	if !term.IsBlind() {
		return false
	}
	s.mu.Lock()
	l := s.logs[log]
	s.mu.Unlock()
	var k key
	return l != nil && l.exists.without(k.term(log, term))
}

// Checkpoints implements eventlog.Store.
func (s *Store) Checkpoints(_ context.Context, log event.LogID, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return func(yield func(eventlog.Checkpoint, error) bool) {
		var k key
		high := successor(k.in(log, kindCheckpoint))
		for kv, err := range s.scan(k.checkpoint(log, from), high, false) {
			if err != nil {
				yield(eventlog.Checkpoint{}, readFault("read the checkpoints", err))
				return
			}
			size := event.Position(binary.BigEndian.Uint64(kv.key[len(kv.key)-8:]))
			if !yield(eventlog.Checkpoint{Size: size, Note: bytes.Clone(kv.value)}, nil) {
				return
			}
		}
	}
}
