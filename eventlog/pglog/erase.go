package pglog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// Erase implements eventlog.Store. PostgreSQL keeps deleted rows in their pages
// until something else is written there, so the tables that held them are
// written anew without them: those of the segments concerned, and those of the
// blind tags concerned. Then the write-ahead log is switched and a checkpoint made, if the
// role may, so that the server can let go of the segments that hold them.
//
// What PostgreSQL keeps all the same is not in this store's hands: archived
// write-ahead logs, replicas that lag, backups, and old segments of the log that
// the server keeps for standbys or uses again (wal_recycle). The documents say
// what to set.
func (s *Store) Erase(ctx context.Context, log event.LogID, subject event.SubjectID, progress func(done int)) error {
	const op = "erase a subject from the log store"
	head, err := s.Head(ctx, log)
	if err != nil {
		return err
	}
	conn, err := s.opts.connect(ctx, s.opts.EraseDSN)
	if err != nil {
		return err
	}
	defer closeSoon(conn)
	e := &eraser{conn: conn, log: log, subject: subject}
	done := 0
	for page, err := range s.pages(ctx, log, subject, head.Size) {
		if err == nil {
			err = e.forget(ctx, page)
		}
		if err != nil {
			return fault.Wrap(op, err)
		}
		for range page {
			if done++; progress != nil {
				progress(done)
			}
		}
	}
	return fault.Wrap(op, e.scrub(ctx))
}

// eraserPage is how many records are erased in one transaction.
const eraserPage = 500

// pages yields the positions at which a subject has blocks, those of one
// segment together.
func (s *Store) pages(ctx context.Context, log event.LogID, subject event.SubjectID, upto event.Position) func(func([]event.Position, error) bool) {
	return func(yield func([]event.Position, error) bool) {
		var page []event.Position
		for p, err := range s.Postings(ctx, log, event.SubjectTerm(subject), 0, upto, false) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) > 0 && (len(page) == eraserPage || segmentOf(page[0]) != segmentOf(p)) {
				if !yield(page, nil) {
					return
				}
				page = nil
			}
			page = append(page, p)
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

type eraser struct {
	conn    *pgx.Conn
	log     event.LogID
	subject event.SubjectID
}

// forget deletes what records of one segment have of the subject, and notes
// which tables hold their bytes still.
func (e *eraser) forget(ctx context.Context, page []event.Position) error {
	sealed := fmt.Sprintf("sealed_%d", segmentOf(page[0]))
	positions := make([]int64, len(page))
	for i, p := range page {
		positions[i] = int64(p)
	}
	err := pgx.BeginFunc(ctx, e.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		at, terms, err := e.blind(ctx, tx, sealed, positions)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM `+sealed+` WHERE `+within("log")+` AND position = ANY($2) AND subject = $3`, id(e.log.ID), positions, id(e.subject.ID))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO scrub VALUES ($1, $2) ON CONFLICT DO NOTHING`, sealed, id(e.subject.ID)); err != nil || len(at) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM blind USING unnest($2::bigint[], $3::uuid[]) AS u (p, t) WHERE `+within("log")+` AND term = u.t AND position = u.p`, id(e.log.ID), at, terms)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO scrub SELECT DISTINCT 'blind_' || left(t::text, 1), $2::uuid FROM unnest($1::uuid[]) t ON CONFLICT DO NOTHING`, terms, id(e.subject.ID))
		}
		return err
	})
	return readFault("delete", err)
}

// blind lists the entries of the index that only the subject's blind tags have
// made: another's may have the same value.
func (e *eraser) blind(ctx context.Context, tx pgx.Tx, sealed string, positions []int64) (at []int64, terms [][16]byte, err error) {
	rows, err := tx.Query(ctx, `SELECT position, subject, blind FROM `+sealed+` WHERE `+within("log")+` AND position = ANY($2) AND blind IS NOT NULL`, id(e.log.ID), positions)
	if err != nil {
		return nil, nil, err
	}
	gone, kept := map[int64][]event.Term{}, map[int64][]event.Term{}
	var p int64
	var subject event.SubjectID
	var blind []byte
	_, err = pgx.ForEachRow(rows, []any{&p, idp(&subject.ID), &blind}, func() error {
		tags, err := parseBlind(blind, subject)
		for _, t := range tags {
			side := kept
			if subject == e.subject {
				side = gone
			}
			side[p] = append(side[p], event.BlindTerm(t.Name, t.Version, t.Value))
		}
		return err
	})
	for p, all := range gone {
		for _, t := range all {
			if !slices.Contains(kept[p], t) {
				at, terms = append(at, p), append(terms, t.Digest())
			}
		}
	}
	return at, terms, err
}

// scrub writes anew what is noted, also by an attempt before this one that came
// to no end or by another node, and lets the write-ahead log go. What is noted
// meanwhile stays noted.
func (e *eraser) scrub(ctx context.Context) error {
	rows, err := e.conn.Query(ctx, `SELECT name, subject FROM scrub ORDER BY name`)
	if err != nil {
		return readFault("list what is to be written anew", err)
	}
	var names []string
	var subjects [][16]byte
	var name string
	var subject [16]byte
	_, err = pgx.ForEachRow(rows, []any{&name, &subject}, func() error {
		names, subjects = append(names, name), append(subjects, subject)
		return nil
	})
	if err != nil || len(names) == 0 {
		return readFault("list what is to be written anew", err)
	}
	for _, name := range slices.Compact(slices.Clone(names)) {
		if err := e.rewrite(ctx, name); err != nil {
			return err
		}
	}
	if err := e.letGo(ctx); err != nil {
		return err
	}
	_, err = e.conn.Exec(ctx, `DELETE FROM scrub USING unnest($1::text[], $2::uuid[]) AS u (n, s) WHERE name = u.n AND subject = u.s`, names, subjects)
	return readFault("note what was written anew", err)
}

// shortWait is how long a rewrite waits for a table that somebody reads. While
// it waits, and while it writes, appends to that table wait too.
const shortWait = 200 * time.Millisecond

// rewrite writes a table anew without what was deleted. Whoever reads it for
// long is waited for in short turns, so that appends go on between; so is who
// might still want to see what was deleted: PostgreSQL keeps it for transactions
// that are older, in this database or on a standby that tells of its own.
func (e *eraser) rewrite(ctx context.Context, name string) error {
	if _, err := e.conn.Exec(ctx, fmt.Sprintf(`SET lock_timeout = %d`, shortWait.Milliseconds())); err != nil {
		return readFault("write a table anew", err)
	}
	for wait := shortWait / 10; ; wait = min(2*wait, 5*time.Second) {
		why, err := e.rewriteOnce(ctx, name)
		if err != nil || why == "" {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Unavailable, Msg: "the bytes are not yet gone from all files, because " + why + "; erase again", Err: ctx.Err()}
		}
	}
}

// rewriteOnce tries it, and says why it has to be tried again.
func (e *eraser) rewriteOnce(ctx context.Context, name string) (why string, err error) {
	const op = "write a table anew"
	c := e.conn.PgConn()
	warning(c)
	delete(c.CustomData(), kept)
	_, err = e.conn.Exec(ctx, `VACUUM (FULL, VERBOSE) `+pgx.Identifier{name}.Sanitize())
	switch {
	case pgdb.IsCode(err, "55P03"):
		return "something reads the table " + name + " all the time", nil
	case err != nil:
		return "", readFault(op, err)
	}
	if w := warning(c); w != "" { // it skips what is another's
		return "", because(pgdb.Privilege, op, fmt.Errorf("WARNING: %s", w))
	}
	if c.CustomData()[kept] != nil {
		return "a transaction is open that is older, such as a dump (see pg_stat_activity, pg_replication_slots, hot_standby_feedback)", nil
	}
	return "", nil
}

// letGo makes the server drop the old files, and the segments of the
// write-ahead log that it needs no more.
func (e *eraser) letGo(ctx context.Context) error {
	var may bool
	err := e.conn.QueryRow(ctx, `SELECT has_function_privilege('pg_switch_wal()', 'EXECUTE') AND pg_has_role('pg_checkpoint', 'USAGE')`).Scan(&may)
	if err != nil || !may {
		return readFault("look at privileges", err)
	}
	for _, q := range []string{`SELECT pg_switch_wal()`, `CHECKPOINT`, `SELECT pg_switch_wal()`, `CHECKPOINT`} {
		if _, err := e.conn.Exec(ctx, q); err != nil {
			return readFault("let the write-ahead log go", err)
		}
	}
	return nil
}
