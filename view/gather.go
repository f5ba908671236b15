package view

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// decodeChunk is how many records are decoded together; alone is how many are
// too few for several goroutines.
const (
	decodeChunk = 512
	alone       = 64
)

// gather reads and decodes what follows d's place, up to a position or the
// first error, and says how far it came.
func (s *Set) gather(ctx context.Context, d *database, upto event.Position) (facts []event.Fact, to place, err error) {
	to = d.at
	wanted := make([]*event.Record, 0, decodeChunk)
	var last *event.Record
	for r, err := range s.log.ReadTo(ctx, event.Everything(), d.at.position, upto) {
		if err == nil && (r.Position != to.position+1 || last == nil && r.Prev != d.at.leaf) {
			err = errOtherLog
		} else {
			err = fault.Wrap("read the log for the views", err)
		}
		if err != nil {
			more, at, bad := s.decodeAll(ctx, d, wanted, placeOf(to, last))
			if bad != nil {
				err = bad
			}
			return append(facts, more...), at, err
		}
		if len(d.lay.consumers(r.Type)) > 0 || r.Type == erasedType {
			wanted = append(wanted, r)
		}
		to.position, last = r.Position, r
		if len(wanted) == decodeChunk {
			more, at, err := s.decodeAll(ctx, d, wanted, place{})
			facts, wanted = append(facts, more...), wanted[:0]
			if err != nil {
				return facts, at, err
			}
		}
	}
	more, to, err := s.decodeAll(ctx, d, wanted, placeOf(to, last))
	return append(facts, more...), to, err
}

// placeOf is a place with the leaf of its record, if one was read.
func placeOf(at place, last *event.Record) place {
	if last != nil {
		at.leaf = last.Hash()
	}
	return at
}

// decodeAll decodes records in their order, up to the first error; it returns
// the place before that record, else the one that is given.
func (s *Set) decodeAll(ctx context.Context, d *database, records []*event.Record, end place) ([]event.Fact, place, error) {
	if s.opts.Prepare != nil && len(records) > 1 {
		if err := s.opts.Prepare(ctx, records); err != nil && !passes(err) {
			s.opts.Logger.Warn("what many events need could not be read at once, and is read for each", "error", err)
		}
	}
	facts, errs := make([]event.Fact, len(records)), make([]error, len(records))
	s.decodeEach(ctx, records, facts, errs)
	for i, err := range errs {
		if err != nil {
			r := records[i]
			return facts[:i], place{d.at.log, r.Position - 1, r.Prev}, undecoded(d.lay.consumers(r.Type), r, err)
		}
	}
	return facts, end, nil
}

// decodeEach decodes records on all cores. What comes behind one that fails may
// be left out.
func (s *Set) decodeEach(ctx context.Context, records []*event.Record, facts []event.Fact, errs []error) {
	workers := runtime.GOMAXPROCS(0)
	if len(records) < alone {
		workers = 1
	}
	var next atomic.Int64
	var failed atomic.Bool
	decode := func() {
		const stride = 16
		for !failed.Load() {
			from := int(next.Add(stride)) - stride
			if from >= len(records) {
				return
			}
			for i := from; i < min(from+stride, len(records)); i++ {
				if facts[i], errs[i] = s.decode(ctx, records[i]); errs[i] != nil {
					failed.Store(true)
					break
				}
			}
		}
	}
	var working sync.WaitGroup
	for range workers - 1 {
		working.Go(decode)
	}
	decode()
	working.Wait()
}
