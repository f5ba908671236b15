package pglog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// logState is what the store remembers of a log.
type logState struct {
	mu       sync.Mutex                      // held through commits and takings
	by       atomic.Pointer[eventlog.Holder] // as whom it was taken last
	leased   bool                            // guarded by mu
	filter   existence
	followed followed
	out      encoder // guarded by mu
}

// Commit implements eventlog.Store. It uses no context, so that nothing cancels
// it: see neverCancel.
func (s *Store) Commit(_ context.Context, b *eventlog.Batch) error {
	l := s.state(b.Log)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filter.committing(b)
	begun := time.Now()
	err := s.noted(s.commit(l, b))
	if isMissing(err) { // a table of sealed blocks: it is made ahead, but a batch may be quicker
		if err = s.growSealed(segmentOf(b.Next.Size)); err == nil {
			err = s.noted(s.commit(l, b))
		}
	}
	if err != nil {
		l.filter.lose()
		return err
	}
	if !l.leased {
		l.filter.extend(ending(begun, 0))
	}
	if at := segmentOf(b.Next.Size); at != segmentOf(b.Prev.Size) || b.Next.Size%1024 < event.Position(len(b.Records)) {
		s.beside(func() { _ = s.growSealed(at + 1) }) // whoever needs it makes it otherwise
	}
	return nil
}

// beside runs f in a goroutine that Close waits for.
func (s *Store) beside(f func()) {
	if s.life.Err() == nil {
		s.work.Go(f)
	}
}

func (s *Store) commit(l *logState, b *eventlog.Batch) error {
	const op = "append to the log"
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Patience)
	defer cancel() // it bounds the wait for a connection, nothing else
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return readFault(op, err)
	}
	defer conn.Release()
	return s.within(conn.Conn(), func() error { return l.send(conn.Conn().PgConn(), b) })
}

// within runs f, which talks over a connection without a context, for as long
// as patience lasts. Then the connection is cut, and the outcome is unknown:
// the server may still be at it.
func (s *Store) within(conn *pgx.Conn, f func() error) error {
	var cut atomic.Bool
	t := time.AfterFunc(s.opts.Patience, func() {
		cut.Store(true)
		_ = conn.PgConn().Conn().Close()
	})
	err := f()
	t.Stop()
	if err != nil && cut.Load() && !fault.Is(err, fault.Conflict) {
		return unknown("wait for PostgreSQL", fmt.Errorf("no answer for %s", s.opts.Patience))
	}
	return err
}

// send writes a batch: four statements, one round trip.
func (l *logState) send(c *pgconn.PgConn, b *eventlog.Batch) error {
	const op = "append to the log"
	segments := segmentsOf(b)
	statement, err := prepared(c, segments)
	if err != nil {
		return err
	}
	warning(c) // of something before
	l.out.fill(b, segments)
	ctx := context.Background()
	p := c.StartPipeline(ctx)
	p.SendQueryParams(`BEGIN`, nil, nil, nil, nil)
	p.SendQueryParams(`SET LOCAL synchronous_commit = on`, nil, nil, nil, nil)
	p.SendQueryPrepared(statement, l.out.params, binaryFormat, binaryFormat)
	p.SendQueryParams(`COMMIT`, nil, nil, nil, nil)
	if err := p.Sync(); err != nil {
		return errors.Join(unknown(op, bare(err)), ignore(p.Close()))
	}
	fenced, tag, err := receive(p)
	if e := p.Close(); err == nil {
		err = e
	}
	if err != nil {
		rollBack(c)
		return writeFault(op, err)
	}
	if err := warnedFault(op, c); err != nil {
		return err
	}
	switch {
	case fenced != 1:
		return fault.New(fault.Conflict, "the log is held by another (term %d is over)", b.Prev.Term)
	case tag != "COMMIT":
		return fault.New(fault.Unavailable, "PostgreSQL rolled the append back; nothing was stored")
	}
	return nil
}

func ignore(error) error { return nil }

// receive reads the four answers: how many heads were updated, and what the
// last one calls itself.
func receive(p *pgconn.Pipeline) (fenced int, tag string, err error) {
	for i := range 4 {
		res, e := p.GetResults()
		if e != nil {
			return fenced, tag, e
		}
		rr, ok := res.(*pgconn.ResultReader)
		if !ok {
			return fenced, tag, fmt.Errorf("answer %d is a %T", i, res)
		}
		for rr.NextRow() {
			if i == 2 && len(rr.Values()) == 1 && len(rr.Values()[0]) == 8 {
				fenced = int(rr.Values()[0][7])
			}
		}
		t, e := rr.Close()
		if e != nil {
			return fenced, tag, e
		}
		tag = t.String()
	}
	return fenced, tag, nil
}

// rollBack ends a transaction in which a statement failed, so that the
// connection can be used again.
func rollBack(c *pgconn.PgConn) {
	if c.IsClosed() || c.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = c.Close(ctx)
	}
}

// A segment is a table of sealed blocks.
const segmentSize = 1 << 16

// segmentOf is the segment of a position.
func segmentOf(p event.Position) int { return int(p / segmentSize) }

// segmentsOf lists those that a batch has records in: one, nearly always.
func segmentsOf(b *eventlog.Batch) []int {
	first := segmentOf(b.Prev.Size + 1)
	all := []int{first}
	for n := first + 1; n <= segmentOf(b.Next.Size); n++ {
		all = append(all, n)
	}
	return all
}

// growSealed makes the tables of sealed blocks up to one.
func (s *Store) growSealed(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Patience)
	defer cancel()
	_, err := s.reads.Exec(ctx, `SELECT sealed_grow($1) WHERE to_regclass('sealed_' || $1) IS NULL`, n)
	return readFault("make a table of sealed blocks", err)
}

// isMissing reports whether a table was not there, and so nothing was stored.
func isMissing(err error) bool {
	return says(err, pgdb.NoTables)
}
