package seal

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the database/sql driver

	"muniment.dev/event"
	"muniment.dev/fault"
)

// sqliteKeys keeps keys in one file, of one process (and of whoever looks at it
// meanwhile).
type sqliteKeys struct{ db *sql.DB }

// Keys stand in the order in which they were made, so that a batch of them is
// written in one place; only their ids are scattered over an index.
const sqliteSchema = `
CREATE TABLE IF NOT EXISTS epoch (n INTEGER PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subject_key (n INTEGER PRIMARY KEY, id BLOB NOT NULL, log BLOB NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS subject_key_id ON subject_key (id);
CREATE TABLE IF NOT EXISTS destroyed (id BLOB PRIMARY KEY, log BLOB NOT NULL) WITHOUT ROWID;`

// sqliteVersion is that of the schema, as the file's user_version; files of
// before there was one have 0.
const sqliteVersion = 1

const idLen = len(event.ID{})

// openSQLite opens or makes the file (mode 0600), so that what is deleted is
// gone: secure_delete, and a journal that is removed.
func openSQLite(ctx context.Context, path string, make bool) (database, error) {
	if make {
		if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil { // SQLite would let others read it
			f.Close()
		}
	} else if _, err := os.Stat(path); err != nil {
		return nil, noDatabase(path, err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=rw&_pragma=busy_timeout(10000)&_pragma=secure_delete(ON)&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault.Wrap("open the key database", err)
	}
	db.SetMaxOpenConns(1)
	s := &sqliteKeys{db}
	if err := s.prepare(ctx, make); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// prepare sees that the file is ours, and makes the tables.
func (s *sqliteKeys) prepare(ctx context.Context, make bool) error {
	unusable := func(err error) error {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the key database cannot be opened; is the file one, and whole, and ours to write?", Err: err}
	}
	var tables, own, version int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE name IN ('epoch', 'subject_key', 'destroyed')) FROM sqlite_master WHERE type = 'table'").Scan(&tables, &own); err != nil {
		return unusable(err)
	}
	if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return unusable(err)
	}
	switch {
	case version > sqliteVersion:
		return fault.New(fault.Refused, "the key database was made by a newer version of Muniment (%d, this one knows %d); use that version", version, sqliteVersion)
	case tables > own:
		return fault.New(fault.Refused, "the file given as key database belongs to something else: it holds tables that are not ours. Nothing was changed")
	case own == 3 && version == sqliteVersion:
		return nil
	case !make && own < 3:
		return fault.New(fault.Unavailable, "the file given as key database is none")
	case !make:
		return nil
	}
	if _, err := s.db.ExecContext(ctx, "PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE;"+sqliteSchema+"PRAGMA user_version = 1; COMMIT"); err != nil {
		return unusable(err)
	}
	return nil
}

func (s *sqliteKeys) close() error { return s.db.Close() }

func (s *sqliteKeys) epoch(ctx context.Context) (e epoch, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT n, wrapped FROM epoch ORDER BY n DESC LIMIT 1").Scan(&e.n, &e.wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return epoch{}, nil
	}
	return e, err
}

func (s *sqliteKeys) begin(ctx context.Context, e epoch) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO epoch (n, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING", e.n, e.wrapped)
	return err
}

// add: one statement takes the rows out of one value, so that the index is
// walked through once.
func (s *sqliteKeys) add(ctx context.Context, log event.LogID, e epoch, keys []wrappedKey) error {
	var rows []byte
	for _, k := range keys {
		rows = append(append(rows, k.id.ID[:]...), k.wrapped...)
	}
	wrappedLen := len(keys[0].wrapped) // of all
	done, err := s.db.ExecContext(ctx, `WITH RECURSIVE row(at) AS (SELECT 0 UNION ALL SELECT at + ?4 + ?5 FROM row WHERE at + ?4 + ?5 < length(?3))
		INSERT INTO subject_key (id, log, epoch, wrapped) SELECT substr(?3, at + 1, ?4), ?1, ?2, substr(?3, at + 1 + ?4, ?5) FROM row
		WHERE EXISTS (SELECT 1 FROM epoch WHERE n = ?2 AND wrapped = ?6)`,
		log.ID[:], e.n, rows, idLen, wrappedLen, e.wrapped)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != int64(len(keys)) {
		return errEpochGone
	}
	return nil
}

// packed are ids one behind the other, from which a statement takes them.
func packed(ids []event.KeyID) []byte {
	b := make([]byte, 0, len(ids)*idLen)
	for _, id := range ids {
		b = append(b, id.ID[:]...)
	}
	return b
}

// fromPacked selects the ids that are packed in parameter 1.
const fromPacked = `WITH RECURSIVE want(at) AS (SELECT 0 UNION ALL SELECT at + 16 FROM want WHERE at + 16 < length(?1))`

func (s *sqliteKeys) get(ctx context.Context, log event.LogID, ids []event.KeyID, found func(event.KeyID, []byte)) error {
	return s.rows(ctx, func(scan func(...any) error) error {
		var id, wrapped []byte
		err := scan(&id, &wrapped)
		if err == nil {
			found(event.KeyID{ID: event.ID(id)}, wrapped)
		}
		return err
	}, fromPacked+`SELECT k.id, k.wrapped FROM want CROSS JOIN subject_key AS k ON k.id = substr(?1, at + 1, 16) WHERE k.log = ?2`, packed(ids), log.ID[:])
}

// rows gives each row of a query to f.
func (s *sqliteKeys) rows(ctx context.Context, f func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *sqliteKeys) known(ctx context.Context, ids []event.KeyID) (there, destroyed map[event.KeyID]bool, err error) {
	there, destroyed = map[event.KeyID]bool{}, map[event.KeyID]bool{}
	if len(ids) == 0 {
		return there, destroyed, nil
	}
	err = s.rows(ctx, func(scan func(...any) error) error {
		var id []byte
		var is, was bool
		err := scan(&id, &is, &was)
		if err == nil && is {
			there[event.KeyID{ID: event.ID(id)}] = true
		}
		if err == nil && was {
			destroyed[event.KeyID{ID: event.ID(id)}] = true
		}
		return err
	}, fromPacked+`SELECT substr(?1, at + 1, 16) AS i, EXISTS (SELECT 1 FROM subject_key WHERE id = substr(?1, at + 1, 16)),
		EXISTS (SELECT 1 FROM destroyed WHERE id = substr(?1, at + 1, 16)) FROM want`, packed(ids))
	return there, destroyed, err
}

func (s *sqliteKeys) destroy(ctx context.Context, log event.LogID, ids []event.KeyID) (had int, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	for _, id := range ids {
		done, err := tx.ExecContext(ctx, "DELETE FROM subject_key WHERE id = ?", id.ID[:])
		if err != nil {
			return 0, err
		}
		if n, err := done.RowsAffected(); err == nil {
			had += int(n)
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO destroyed (id, log) VALUES (?, ?)", id.ID[:], log.ID[:]); err != nil {
			return 0, err
		}
	}
	return had, tx.Commit()
}

func (s *sqliteKeys) count(ctx context.Context) (keys, destroyed int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM subject_key), (SELECT count(*) FROM destroyed)").Scan(&keys, &destroyed)
	return keys, destroyed, err
}

// readAtOnce is how many keys are read before others may write again.
const readAtOnce = 10_000

func (s *sqliteKeys) read(ctx context.Context, each func(row) error) error {
	err := s.rows(ctx, func(scan func(...any) error) error {
		r := row{kind: rowEpoch}
		if err := scan(&r.n, &r.wrapped); err != nil {
			return err
		}
		return each(r)
	}, "SELECT n, wrapped FROM epoch ORDER BY n")
	var last, after int64
	if err == nil {
		err = s.db.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) FROM subject_key").Scan(&last)
	}
	for more := true; more && err == nil; {
		more = false
		err = s.rows(ctx, func(scan func(...any) error) error {
			more = true
			return scanRow(rowKey, scan, each, &after)
		}, "SELECT log, id, epoch, wrapped, n FROM subject_key WHERE n > ? AND n <= ? ORDER BY n LIMIT ?", after, last, readAtOnce)
	}
	if err != nil {
		return err
	}
	return s.rows(ctx, func(scan func(...any) error) error { return scanRow(rowDestroyed, scan, each) }, "SELECT log, id, 0, NULL FROM destroyed")
}

// scanRow reads log, id, epoch and wrapped key, and what else is asked for.
func scanRow(kind byte, scan func(...any) error, each func(row) error, more ...any) error {
	var log, id []byte
	r := row{kind: kind}
	if err := scan(append([]any{&log, &id, &r.n, &r.wrapped}, more...)...); err != nil {
		return err
	}
	if len(log) != idLen || len(id) != idLen {
		return fault.New(fault.Corrupt, "the key database holds an id that is malformed")
	}
	r.log.ID, r.key.ID = event.ID(log), event.ID(id)
	return each(r)
}

func (s *sqliteKeys) fill(ctx context.Context, rows func(put func(row) error) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var any bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM epoch) OR EXISTS (SELECT 1 FROM subject_key) OR EXISTS (SELECT 1 FROM destroyed)").Scan(&any); err != nil || any {
		return errors.Join(err, notEmpty(any))
	}
	err = rows(func(r row) (err error) {
		switch r.kind {
		case rowEpoch:
			_, err = tx.ExecContext(ctx, "INSERT INTO epoch (n, wrapped) VALUES (?, ?)", r.n, r.wrapped)
		case rowKey:
			_, err = tx.ExecContext(ctx, "INSERT INTO subject_key (id, log, epoch, wrapped) VALUES (?, ?, ?, ?)", r.key.ID[:], r.log.ID[:], r.n, r.wrapped)
		case rowDestroyed:
			_, err = tx.ExecContext(ctx, "INSERT INTO destroyed (id, log) VALUES (?, ?)", r.key.ID[:], r.log.ID[:])
		}
		return err
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

func notEmpty(is bool) error {
	if is {
		return errNotEmpty
	}
	return nil
}
