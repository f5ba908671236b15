package pglog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Take implements eventlog.Store.
func (s *Store) Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (eventlog.Head, error) {
	return s.take(ctx, log, taking{by: eventlog.Holder{ID: holder}, atLeast: atLeast, always: true})
}

// TakeFree implements eventlog.Shared.
func (s *Store) TakeFree(ctx context.Context, log event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration) (eventlog.Head, error) {
	return s.take(ctx, log, taking{by: by, atLeast: atLeast, lease: lease})
}

// taking is how a log is taken.
type taking struct {
	by      eventlog.Holder
	atLeast uint64
	lease   time.Duration
	always  bool // whoever has a lease
}

// take commits a new term and returns the head as that commit made it durable.
// Only then, when the commit was answered without a warning, the head is
// published as the mark: nobody reads what was not replicated. Taking by force
// publishes nothing.
func (s *Store) take(ctx context.Context, log event.LogID, t taking) (eventlog.Head, error) {
	const op = "take the log"
	l := s.state(log)
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return eventlog.Head{}, readFault(op, err)
	}
	defer conn.Release()
	asked := time.Now()
	var h eventlog.Head
	err = s.within(conn.Conn(), func() error {
		var err error
		if h, err = takeOn(conn.Conn(), log, t, s.opts.Patience); err != nil {
			return err
		}
		if t.always {
			return nil
		}
		m := eventlog.Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term}
		return publish(conn.Conn(), log, t.by, m, t.lease)
	})
	if err != nil {
		l.filter.lose()
		if fault.Is(err, fault.Unknown) { // a term more or less harms nobody
			err = &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "PostgreSQL did not answer while the log was taken; it will be taken again", Err: err}
		}
		return eventlog.Head{}, err
	}
	l.by.Store(&t.by)
	l.leased = t.lease > 0
	l.filter.took(s, log, h, ending(asked, t.lease))
	l.followed.end()
	return h, nil
}

// takeOn is the transaction. It uses no context: a commit is never cancelled.
func takeOn(conn *pgx.Conn, log event.LogID, t taking, patience time.Duration) (h eventlog.Head, err error) {
	const op = "take the log"
	ctx := context.Background()
	warning(conn.PgConn())
	tx, err := conn.Begin(ctx)
	if err != nil {
		return h, writeFault(op, err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback(ctx)
		}
	}()
	// Whoever holds the row is in the middle of a commit. One that waits for a
	// standby in vain must not collect waiters without an end.
	_, err = tx.Exec(ctx, fmt.Sprintf(`SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = %d`, max(patience.Milliseconds()/2, 1)))
	if err != nil {
		return h, writeFault(op, err)
	}
	if err := ensure(ctx, tx, log); err != nil {
		return h, writeFault(op, err)
	}
	if h, err = lockHead(ctx, tx, log); err != nil {
		return h, writeFault(op, err)
	}
	if err = refuseHeld(ctx, tx, log, t); err != nil {
		return h, err
	}
	h.Term, h.Holder = max(h.Term+1, t.atLeast), t.by.ID
	_, err = tx.Exec(ctx, `UPDATE log_head SET term = $2, holder = $3 WHERE id = $1`, id(log.ID), int64(h.Term), id(h.Holder))
	if err == nil {
		// The lease stands at once, so that no other takes the log meanwhile;
		// the mark is not known yet.
		_, err = tx.Exec(ctx, `INSERT INTO standing
			SELECT log, $2, $3, $4, clock_timestamp() + $5::bigint * interval '1 microsecond', false, 0, '', '', 0 FROM log_head WHERE id = $1
			ON CONFLICT (log) DO UPDATE SET term = excluded.term, holder = excluded.holder, address = excluded.address,
			until = excluded.until, known = false`, id(log.ID), int64(h.Term), id(h.Holder), t.by.Address, t.lease.Microseconds())
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return h, writeFault(op, err)
	}
	return h, warnedFault(op, conn.PgConn())
}

// warnedFault makes a warning an unknown outcome.
func warnedFault(op string, conn *pgconn.PgConn) error {
	if w := warning(conn); w != "" {
		return &fault.Error{Kind: fault.Unknown, Op: op, Msg: "PostgreSQL warned while it stored this; it will be found out", Err: fmt.Errorf("WARNING: %s", w)}
	}
	return nil
}

// ensure makes a log that does not exist.
func ensure(ctx context.Context, tx pgx.Tx, log event.LogID) error {
	for range 10 {
		tag, err := tx.Exec(ctx, `INSERT INTO log_head
			SELECT coalesce(max(log), 0) + 1, $1, 0, $1, 0, $2, 0, '' FROM log_head
			HAVING NOT EXISTS (SELECT FROM log_head WHERE id = $1) ON CONFLICT DO NOTHING`, id(log.ID), make([]byte, 32))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM log_head WHERE id = $1)`, id(log.ID)).Scan(&there); err != nil || there {
			return err
		} // else another log took the number: again
	}
	return fault.New(fault.Unavailable, "many logs are being made at once; try again")
}

func lockHead(ctx context.Context, tx pgx.Tx, log event.LogID) (eventlog.Head, error) {
	return scanHead(tx.QueryRow(ctx, `SELECT `+headColumns+` FROM log_head WHERE id = $1 FOR UPDATE`, id(log.ID)))
}

// refuseHeld refuses to take what another has a lease on. The head's row is
// locked, so nobody takes the log meanwhile.
func refuseHeld(ctx context.Context, tx pgx.Tx, log event.LogID, t taking) error {
	if t.always {
		return nil
	}
	st, err := scanStanding(tx.QueryRow(ctx, standingQuery, id(log.ID)))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Holder.ID == t.by.ID || st.Left <= 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "take the log", Msg: "the log is held by another node", Err: &eventlog.Held{Standing: st}}
}

// Publish implements eventlog.Shared. It is a transaction of its own that waits
// for no disk: the table that it writes to has no write-ahead log.
func (s *Store) Publish(ctx context.Context, log event.LogID, by event.ID, m eventlog.Mark, lease time.Duration) error {
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return readFault("publish the mark", err)
	}
	defer conn.Release()
	l := s.state(log)
	holder := eventlog.Holder{ID: by}
	if h := l.by.Load(); h != nil && h.ID == by {
		holder = *h
	}
	asked := time.Now()
	err = s.within(conn.Conn(), func() error { return publish(conn.Conn(), log, holder, m, lease) })
	switch {
	case err == nil:
		l.filter.extend(ending(asked, lease))
	case fault.Is(err, fault.Conflict):
		l.filter.lose()
	}
	return err
}

// publishStatement takes the doorbell along; it rings at the commit, which is
// at once.
const publishStatement = `WITH done AS (UPDATE standing SET known = true, size = $4, root = $5, last = $6, time = $7,
	until = clock_timestamp() + $8::bigint * interval '1 microsecond'
	WHERE log = (SELECT log FROM log_head WHERE id = $1) AND term = $2 AND holder = $3 RETURNING 1)
	SELECT pg_notify($9, $10) FROM done`

// restateStatement is for when PostgreSQL has lost the row, by a crash or a
// fail-over. The holder's mark is still true if the head has its term and is not
// before the mark: a head that was rolled back goes forward again only under
// another term. Whoever takes the log meanwhile has locked the row, or makes it.
const restateStatement = `INSERT INTO standing SELECT log, $2, $3, $9, clock_timestamp() + $8::bigint * interval '1 microsecond', true, $4, $5, $6, $7
	FROM log_head WHERE id = $1 AND term = $2 AND holder = $3 AND size >= $4 ON CONFLICT (log) DO NOTHING`

func publish(conn *pgx.Conn, log event.LogID, by eventlog.Holder, m eventlog.Mark, lease time.Duration) error {
	args := []any{id(log.ID), int64(m.Term), id(by.ID), int64(m.Size), m.Root[:], m.Last[:], micros(m.Time), lease.Microseconds()}
	done, err := quickly(conn, publishStatement, append(args, channel, log.String())...)
	if err == nil && !done {
		done, err = quickly(conn, restateStatement, append(args, by.Address)...)
	}
	if err == nil && !done {
		return fault.New(fault.Conflict, "the log is held by another; take it again")
	}
	return err
}

// quickly runs a statement in a transaction that waits for no disk, and reports
// whether it did anything. Whether a mark was stored or not, it is true, and may
// be published again: so no outcome is unknown.
func quickly(conn *pgx.Conn, statement string, args ...any) (bool, error) {
	b := &pgx.Batch{}
	b.Queue(`SET LOCAL synchronous_commit = off`)
	b.Queue(statement, args...)
	results := conn.SendBatch(context.Background(), b)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return tag.RowsAffected() > 0, readFault("publish the mark", err)
}

// Standing implements eventlog.Shared.
func (s *Store) Standing(ctx context.Context, log event.LogID) (eventlog.Standing, error) {
	return scanStanding(s.reads.QueryRow(ctx, standingQuery, id(log.ID)))
}

// Without a row in standing the log is there, but nobody has it.
const standingQuery = `SELECT h.holder, coalesce(s.address, ''), coalesce(extract(epoch FROM s.until - clock_timestamp()), 0)::float8,
	coalesce(s.known, false), h.term, coalesce(s.size, 0), coalesce(s.root, ''), coalesce(s.last, ''), coalesce(s.time, 0)
	FROM log_head h LEFT JOIN standing s ON s.log = h.log AND s.term = h.term AND s.holder = h.holder WHERE h.id = $1`

func scanStanding(row pgx.Row) (st eventlog.Standing, err error) {
	var left float64
	var term, size, micro int64
	var root, last []byte
	err = row.Scan(idp(&st.Holder.ID), &st.Holder.Address, &left, &st.Known, &term, &size, &root, &last, &micro)
	if err != nil {
		return st, rowFault("look who holds the log", err)
	}
	st.Left = time.Duration(left * float64(time.Second))
	if st.Known {
		st.Mark = eventlog.Mark{Size: event.Position(size), Time: timeOf(micro), Term: uint64(term)}
		copy(st.Mark.Root[:], root)
		copy(st.Mark.Last[:], last)
	}
	return st, nil
}

// Resign implements eventlog.Shared.
func (s *Store) Resign(ctx context.Context, log event.LogID, by event.ID) error {
	s.state(log).filter.lose()
	_, err := s.writes.Exec(ctx, `UPDATE standing SET until = clock_timestamp()
		WHERE log = (SELECT log FROM log_head WHERE id = $1) AND holder = $2 AND until > clock_timestamp()`, id(log.ID), id(by))
	return readFault("resign from the log", err)
}

// Attend implements eventlog.Shared. It waits for no standby, or nothing would be
// read anywhere while none answers. A fail-over may lose it; then the node is
// taken to be away a little early, and by then it has read of the erasure.
func (s *Store) Attend(ctx context.Context, log event.LogID, node event.ID, forgotten event.Position, lease time.Duration) error {
	_, err := s.writes.Exec(ctx, `INSERT INTO node SELECT log, $2, $3, clock_timestamp() + $4::bigint * interval '1 microsecond'
		FROM log_head, (SELECT set_config('synchronous_commit', 'local', true)) locally WHERE id = $1
		ON CONFLICT (log, node) DO UPDATE SET forgotten = excluded.forgotten, until = excluded.until`,
		id(log.ID), id(node), int64(forgotten), lease.Microseconds())
	return readFault("note that a node is there", err)
}

// Attending implements eventlog.Shared. Nodes that have not been there for a
// day are forgotten.
func (s *Store) Attending(ctx context.Context, log event.LogID) (event.Position, bool, error) {
	var least *int64
	err := s.writes.QueryRow(ctx, `WITH old AS (DELETE FROM node WHERE until < clock_timestamp() - interval '1 day')
		SELECT min(forgotten) FROM node WHERE log = (SELECT log FROM log_head WHERE id = $1) AND until > clock_timestamp()`, id(log.ID)).Scan(&least)
	if err != nil || least == nil {
		return 0, false, readFault("look which nodes are there", err)
	}
	return event.Position(*least), true, nil
}
