package pglog

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// How much is read at once. A page is fetched whole before any of it is handed
// on, so that nobody keeps a connection while doing something else.
const (
	recordsPage  = 512
	postingsPage = 4096
)

// Records implements eventlog.Store.
func (s *Store) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		size := event.Position(64)
		for next := max(from, 1); next <= to; size = min(2*size, recordsPage) {
			// A page stays within one segment.
			last := min(to, next+size-1, event.Position(segmentOf(next)+1)*segmentSize-1)
			page, err := s.page(ctx, log, next, last)
			if err != nil {
				yield(nil, fault.Wrap(fmt.Sprintf("read the records from position %d", next), err))
				return
			}
			for _, r := range page {
				if r.Position != next {
					yield(nil, missing(next))
					return
				}
				if !yield(r, nil) {
					return
				}
				next++
			}
			if next <= last {
				yield(nil, missing(next))
				return
			}
		}
	}
}

func missing(p event.Position) error {
	return fault.New(fault.Corrupt, "the record at position %d is not stored", p)
}

// page reads records of one segment with their blocks, in one round trip.
func (s *Store) page(ctx context.Context, log event.LogID, from, to event.Position) ([]*event.Record, error) {
	b := &pgx.Batch{}
	b.Queue(`SELECT position, leaf FROM record WHERE `+within("log")+` AND position BETWEEN $2 AND $3 ORDER BY position`, id(log.ID), int64(from), int64(to))
	b.Queue(fmt.Sprintf(`SELECT position, block, ciphertext, blind FROM sealed_%d WHERE `, segmentOf(from))+within("log")+` AND position BETWEEN $2 AND $3 ORDER BY position, block`,
		id(log.ID), int64(from), int64(to))
	results := s.reads.SendBatch(ctx, b)
	page, err := collect(results, log)
	if e := results.Close(); err == nil {
		err = e
	}
	if isMissing(readFault("", err)) {
		if err := s.growSealed(segmentOf(from)); err != nil {
			return nil, err
		}
		return s.page(ctx, log, from, to)
	}
	return page, readFault("read the log", err)
}

func collect(results pgx.BatchResults, log event.LogID) ([]*event.Record, error) {
	page, err := collectLeaves(results)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := 0
	for rows.Next() {
		v := rows.RawValues()
		p, block := event.Position(binary.BigEndian.Uint64(v[0])), int(binary.BigEndian.Uint16(v[1]))
		for at < len(page) && page[at].Position < p {
			at++
		}
		if at == len(page) || page[at].Position != p || block >= len(page[at].Blocks) {
			return nil, fault.New(fault.Corrupt, "a sealed block of position %d belongs to no record", p)
		}
		r := page[at]
		r.Ciphertexts[block] = append([]byte{}, v[2]...)
		blind, err := parseBlind(v[3], r.Blocks[block].Subject)
		if err != nil {
			return nil, err
		}
		r.Blind = append(r.Blind, blind...)
	}
	return page, rows.Err()
}

func collectLeaves(results pgx.BatchResults) ([]*event.Record, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []*event.Record
	for rows.Next() {
		v := rows.RawValues()
		p := event.Position(binary.BigEndian.Uint64(v[0]))
		r, err := event.ParseLeaf(append([]byte{}, v[1]...))
		if err != nil {
			return nil, fault.Wrap(fmt.Sprintf("read the record at position %d", p), err)
		}
		if r.Position != p { // the log id in it may be that of a later generation
			return nil, fault.New(fault.Corrupt, "position %d holds the record of position %d of log %s", p, r.Position, r.Log)
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// postings is where the positions of a term stand.
func postings(t event.Term, d [digestLen]byte) (from string) {
	if t == "" {
		return "posting WHERE term"
	}
	switch t[0] {
	case 's':
		return "record WHERE stream"
	case 't':
		return "record WHERE type"
	case 'a':
		return "record WHERE actor"
	case 'b':
		return fmt.Sprintf("blind_%x WHERE term", d[0]>>4)
	}
	return "posting WHERE term"
}

// Postings implements eventlog.Store. A stream's records are ordered by version
// as by position, and its index has the version.
func (s *Store) Postings(ctx context.Context, log event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	order := "position"
	if term != "" && term[0] == 's' {
		order = "version"
	}
	if down {
		order += " DESC"
	}
	d := term.Digest()
	query := `SELECT position FROM ` + postings(term, d) + ` = $2 AND ` + within("log") + ` AND position > $3 AND position <= $4 ORDER BY ` + order + ` LIMIT $5`
	return func(yield func(event.Position, error) bool) {
		if term.IsBlind() && s.state(log).filter.without(ofBlind, d) {
			return
		}
		for size := 32; after < upto; size = min(4*size, postingsPage) {
			page, err := s.positions(ctx, query, id(log.ID), d, int64(after), int64(upto), size)
			if err != nil {
				yield(0, err)
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			if len(page) < size {
				return
			}
			if down {
				upto = page[len(page)-1] - 1
			} else {
				after = page[len(page)-1]
			}
		}
	}
}

func (s *Store) positions(ctx context.Context, query string, args ...any) ([]event.Position, error) {
	rows, err := s.reads.Query(ctx, query, args...)
	if err != nil {
		return nil, readFault("search the log", err)
	}
	defer rows.Close()
	var page []event.Position
	for rows.Next() {
		page = append(page, event.Position(binary.BigEndian.Uint64(rows.RawValues()[0])))
	}
	return page, readFault("search the log", rows.Err())
}

// Checkpoints implements eventlog.Store.
func (s *Store) Checkpoints(ctx context.Context, log event.LogID, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return func(yield func(eventlog.Checkpoint, error) bool) {
		const page = 256
		for {
			rows, err := s.reads.Query(ctx, `SELECT size, note FROM checkpoint WHERE `+within("log")+` AND size >= $2 ORDER BY size LIMIT $3`, id(log.ID), int64(from), page)
			var all []eventlog.Checkpoint
			if err == nil {
				all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c eventlog.Checkpoint, err error) {
					var size int64
					err = row.Scan(&size, &c.Note)
					c.Size = event.Position(size)
					return c, err
				})
			}
			if err != nil {
				yield(eventlog.Checkpoint{}, readFault("read the checkpoints", err))
				return
			}
			for _, c := range all {
				if !yield(c, nil) {
					return
				}
			}
			if len(all) < page {
				return
			}
			from = all[len(all)-1].Size + 1
		}
	}
}

// appendBlind writes the blind tags of a subject: name, number, version, value.
func appendBlind(dst []byte, subject event.SubjectID, blind []event.BlindTag) []byte {
	for _, t := range blind {
		if t.Subject != subject {
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(t.Name))), t.Name...)
		dst = binary.AppendUvarint(dst, uint64(t.N))
		dst = binary.AppendUvarint(dst, uint64(t.Version))
		dst = append(dst, t.Value[:]...)
	}
	return dst
}

func parseBlind(b []byte, subject event.SubjectID) (blind []event.BlindTag, err error) {
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			bad = true
			return nil
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	for len(b) > 0 && !bad {
		t := event.BlindTag{Subject: subject, Name: string(take(number())), N: int(number()), Version: uint32(number())}
		copy(t.Value[:], take(32))
		blind = append(blind, t)
	}
	if bad {
		return nil, fault.New(fault.Corrupt, "stored blind tags are malformed")
	}
	return blind, nil
}
