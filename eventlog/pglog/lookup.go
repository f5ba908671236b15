package pglog

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// id is an id as pgx takes it for a uuid, and idp where it puts one.
func id(v event.ID) [16]byte      { return v }
func idp(v *event.ID) *[16]byte   { return (*[16]byte)(v) }
func within(column string) string { return column + ` = (SELECT log FROM log_head WHERE id = $1)` }

// rowFault is readFault for one row: a log that has none does not exist.
func rowFault(op string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such log in this database")
	}
	return readFault(op, err)
}

// find reads one row of a log; false if there is none.
func (s *Store) find(ctx context.Context, what, query string, args []any, into ...any) (bool, error) {
	err := s.reads.QueryRow(ctx, query, args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, readFault("look up "+what, err)
}

const headColumns = `term, holder, size, last, time, frontier`

func scanHead(row pgx.Row) (h eventlog.Head, err error) {
	var term, size, micro int64
	var last, frontier []byte
	if err := row.Scan(&term, idp(&h.Holder), &size, &last, &micro, &frontier); err != nil {
		return h, err
	}
	h.Term, h.Size, h.Time = uint64(term), event.Position(size), timeOf(micro)
	if len(last) != 32 || len(frontier)%32 != 0 {
		return h, fault.New(fault.Corrupt, "the stored head of the log is malformed")
	}
	copy(h.Last[:], last)
	for ; len(frontier) > 0; frontier = frontier[32:] {
		h.Frontier = append(h.Frontier, event.Hash(frontier))
	}
	return h, nil
}

// Head implements eventlog.Store.
func (s *Store) Head(ctx context.Context, log event.LogID) (eventlog.Head, error) {
	h, err := scanHead(s.reads.QueryRow(ctx, `SELECT `+headColumns+` FROM log_head WHERE id = $1`, id(log.ID)))
	return h, rowFault("look up the log's head", err)
}

// Logs implements eventlog.Store.
func (s *Store) Logs(ctx context.Context) ([]event.LogID, error) {
	rows, err := s.reads.Query(ctx, `SELECT id FROM log_head ORDER BY id`)
	if err != nil {
		return nil, readFault("list the logs", err)
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l event.LogID, err error) {
		return l, row.Scan(idp(&l.ID))
	})
	return ids, readFault("list the logs", err)
}

// Stream implements eventlog.Store.
func (s *Store) Stream(ctx context.Context, log event.LogID, stream event.Stream) (h eventlog.StreamHead, ok bool, err error) {
	d := streamDigest(stream)
	if s.state(log).filter.without(ofStream, d) {
		return h, false, nil
	}
	var version int64
	var leaf []byte
	ok, err = s.find(ctx, "a stream", `SELECT version, leaf FROM record WHERE `+within("log")+` AND stream = $2 ORDER BY version DESC LIMIT 1`,
		[]any{id(log.ID), d}, &version, &leaf)
	if !ok || err != nil {
		return h, false, err
	}
	return eventlog.StreamHead{Version: uint64(version), Hash: event.LeafHash(leaf)}, true, nil
}

// Subject implements eventlog.Store.
func (s *Store) Subject(ctx context.Context, log event.LogID, subject event.SubjectID) (u eventlog.KeyUse, ok bool, err error) {
	if s.state(log).filter.without(ofSubject, subject.ID) {
		return u, false, nil
	}
	u.Subject = subject
	ok, err = s.find(ctx, "a subject's key", `SELECT key, erased FROM subject WHERE `+within("log")+` AND subject = $2`,
		[]any{id(log.ID), id(subject.ID)}, idp(&u.Key.ID), &u.Erased)
	return u, ok, err
}

// Key implements eventlog.Store.
func (s *Store) Key(ctx context.Context, log event.LogID, key event.KeyID) (u eventlog.KeyUse, ok bool, err error) {
	if s.state(log).filter.without(ofKey, key.ID) {
		return u, false, nil
	}
	u.Key = key
	ok, err = s.find(ctx, "a key's subject", `SELECT subject, erased FROM key WHERE `+within("log")+` AND key = $2`,
		[]any{id(log.ID), id(key.ID)}, idp(&u.Subject.ID), &u.Erased)
	return u, ok, err
}

// Outcome implements eventlog.Store.
func (s *Store) Outcome(ctx context.Context, log event.LogID, actor event.Actor, command event.ID) (o eventlog.Outcome, ok bool, err error) {
	if s.state(log).filter.without(ofCommand, command) {
		return o, false, nil
	}
	var first, final int64
	var digest []byte
	ok, err = s.find(ctx, "a command", `SELECT first, final, digest FROM outcome WHERE `+within("log")+` AND command = $2 AND actor = $3 AND kind = $4`,
		[]any{id(log.ID), id(command), id(actor.ID), actor.Kind}, &first, &final, &digest)
	o = eventlog.Outcome{Actor: actor, Command: command, First: event.Position(first), Last: event.Position(final)}
	copy(o.Digest[:], digest)
	return o, ok, err
}

// EventPosition implements eventlog.Store.
func (s *Store) EventPosition(ctx context.Context, log event.LogID, e event.ID) (event.Position, bool, error) {
	if s.state(log).filter.without(ofEvent, e) {
		return 0, false, nil
	}
	var p int64
	ok, err := s.find(ctx, "an event id", `SELECT position FROM record WHERE `+within("log")+` AND id = $2`, []any{id(log.ID), id(e)}, &p)
	return event.Position(p), ok, err
}

// FindEvents implements eventlog.Many.
func (s *Store) FindEvents(ctx context.Context, log event.LogID, ids []event.ID) (map[event.ID]event.Position, error) {
	filter := &s.state(log).filter
	var asked [][16]byte
	for _, e := range ids {
		if !filter.without(ofEvent, e) {
			asked = append(asked, id(e))
		}
	}
	found := map[event.ID]event.Position{}
	if len(asked) == 0 {
		return found, nil
	}
	rows, err := s.reads.Query(ctx, `SELECT id, position FROM record WHERE `+within("log")+` AND id = ANY($2)`, id(log.ID), asked)
	if err == nil {
		var e event.ID
		var p int64
		_, err = pgx.ForEachRow(rows, []any{idp(&e), &p}, func() error { found[e] = event.Position(p); return nil })
	}
	return found, readFault("look up event ids", err)
}

// FindStreams implements eventlog.Many.
func (s *Store) FindStreams(ctx context.Context, log event.LogID, streams []event.Stream) (map[event.Stream]eventlog.StreamEnds, error) {
	filter := &s.state(log).filter
	of := map[[digestLen]byte]event.Stream{}
	var asked [][digestLen]byte
	for _, stream := range streams {
		if d := streamDigest(stream); !filter.without(ofStream, d) {
			of[d] = stream
			asked = append(asked, d)
		}
	}
	found := map[event.Stream]eventlog.StreamEnds{}
	if len(asked) == 0 {
		return found, nil
	}
	end := func(order string) string {
		return `LATERAL (SELECT version, leaf FROM record WHERE ` + within("log") + ` AND stream = s.stream ORDER BY version ` + order + ` LIMIT 1)`
	}
	rows, err := s.reads.Query(ctx, `SELECT s.stream, h.version, h.leaf, f.leaf FROM unnest($2::uuid[]) AS s(stream), `+end("DESC")+` h, `+end("ASC")+` f`, id(log.ID), asked)
	if err == nil {
		var d [digestLen]byte
		var version int64
		var last, first []byte
		_, err = pgx.ForEachRow(rows, []any{&d, &version, &last, &first}, func() error {
			found[of[d]] = eventlog.StreamEnds{Head: eventlog.StreamHead{Version: uint64(version), Hash: event.LeafHash(last)}, First: slices.Clone(first)}
			return nil
		})
	}
	return found, readFault("look up streams", err)
}

// Tile implements eventlog.Store.
func (s *Store) Tile(ctx context.Context, log event.LogID, level int, index uint64) (data []byte, ok bool, err error) {
	ok, err = s.find(ctx, "a tile", `SELECT data FROM tile WHERE `+within("log")+` AND level = $2 AND index = $3`, []any{id(log.ID), level, int64(index)}, &data)
	return data, ok, err
}

// Cursor implements eventlog.Store.
func (s *Store) Cursor(ctx context.Context, log event.LogID, name string) (value []byte, err error) {
	_, err = s.find(ctx, "a cursor", `SELECT value FROM cursor WHERE `+within("log")+` AND name = $2`, []any{id(log.ID), name}, &value)
	return value, err
}

// PutCursor implements eventlog.Store.
func (s *Store) PutCursor(ctx context.Context, log event.LogID, name string, value []byte) error {
	return s.put(ctx, "keep a cursor", `INSERT INTO cursor SELECT log, $2, $3 FROM log_head WHERE id = $1
		ON CONFLICT (log, name) DO UPDATE SET value = excluded.value`, id(log.ID), name, value)
}

// SwapCursor implements eventlog.Store. A row that another transaction holds is
// waited for and compared again (read committed).
func (s *Store) SwapCursor(ctx context.Context, log event.LogID, name string, was, value []byte) error {
	query, args := `UPDATE cursor SET value = $3 WHERE `+within("log")+` AND name = $2 AND value = $4`, []any{id(log.ID), name, value, was}
	if was == nil {
		query, args = `INSERT INTO cursor SELECT log, $2, $3 FROM log_head WHERE id = $1 ON CONFLICT (log, name) DO NOTHING`, []any{id(log.ID), name, value}
	}
	err := s.put(ctx, "move a cursor", query, args...)
	if fault.Is(err, fault.NotFound) { // or there is no such log
		if _, err := s.Head(ctx, log); err != nil {
			return err
		}
		return eventlog.ErrCursorMoved
	}
	return err
}

// PutCheckpoint implements eventlog.Store.
func (s *Store) PutCheckpoint(ctx context.Context, log event.LogID, size event.Position, note []byte) error {
	return s.put(ctx, "keep a checkpoint", `INSERT INTO checkpoint SELECT log, $2, $3 FROM log_head WHERE id = $1
		ON CONFLICT (log, size) DO UPDATE SET note = excluded.note`, id(log.ID), int64(size), note)
}

// put writes one row, durably.
func (s *Store) put(ctx context.Context, op, query string, args ...any) error {
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return readFault(op, err)
	}
	defer conn.Release()
	return s.within(conn.Conn(), func() error {
		warning(conn.Conn().PgConn())
		b := &pgx.Batch{}
		b.Queue(`BEGIN`)
		b.Queue(`SET LOCAL synchronous_commit = on`)
		b.Queue(query, args...)
		b.Queue(`COMMIT`)
		results := conn.Conn().SendBatch(context.Background(), b)
		var rows int64
		var err error
		for range 4 {
			tag, e := results.Exec()
			if e != nil {
				err = e
				break
			}
			if tag.Insert() || tag.Update() {
				rows = tag.RowsAffected()
			}
		}
		if e := results.Close(); err == nil {
			err = e
		}
		if err != nil {
			rollBack(conn.Conn().PgConn())
			return writeFault(op, err)
		}
		if err := warnedFault(op, conn.Conn().PgConn()); err != nil {
			return err
		}
		if rows == 0 {
			return rowFault(op, pgx.ErrNoRows)
		}
		return nil
	})
}
