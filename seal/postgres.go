package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// keyDatabase is what messages call it.
const keyDatabase = "key database"

// postgresKeys keeps keys in a PostgreSQL database that several nodes share.
type postgresKeys struct{ db *pgdb.DB }

// openPostgres opens the database. Without make, the tables must be there.
func openPostgres(ctx context.Context, dsn string, make bool) (_ database, err error) {
	db, err := pgdb.Open(ctx, dsn, keyDatabase)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	if !make {
		var there bool
		if err := db.Pool.QueryRow(ctx, "SELECT to_regclass('muniment_keys.about') IS NOT NULL").Scan(&there); err != nil {
			return nil, db.Fault("open the "+keyDatabase, err)
		}
		if !there {
			return nil, noDatabase("at the address given: there are no tables of keys", nil)
		}
	}
	if err := db.Prepare(ctx, keySchema); err != nil {
		return nil, err
	}
	return &postgresKeys{db}, nil
}

// MigrateKeys makes the tables of a key database on PostgreSQL, or brings them
// to this version, and gives a role the right to serve: to read, add and delete
// keys, and to have a table rewritten after that; not to change, empty or drop
// the tables. It is run by the database's owner.
func MigrateKeys(ctx context.Context, dsn, serve string) error {
	db, err := pgdb.Open(ctx, dsn, keyDatabase)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx, keySchema, serve)
}

// Apart refuses a key database that is the log's: keys must be neither in it nor
// in its backups. Either may be a path. sameCluster tells that they are two
// databases of one cluster, whose backups and write-ahead log hold both.
func Apart(ctx context.Context, keys, log string) (sameCluster bool, err error) {
	if !pgdb.Is(keys) || !pgdb.Is(log) {
		return false, nil
	}
	k, err := pgdb.IdentityOf(ctx, keys, keyDatabase)
	if err != nil {
		return false, err
	}
	l, err := pgdb.IdentityOf(ctx, log, "log's database")
	if err == nil && k == l {
		err = fault.New(fault.Refused, "the key database is the log's own database: whoever has one backup would have the keys and what they open; give the keys a database of their own, best on another server")
	}
	return k.System == l.System, err
}

func (p *postgresKeys) close() error { return p.db.Close() }

func (p *postgresKeys) epoch(ctx context.Context) (e epoch, err error) {
	err = p.db.Pool.QueryRow(ctx, "SELECT n, wrapped FROM muniment_keys.epoch ORDER BY n DESC LIMIT 1").Scan(&e.n, &e.wrapped)
	if errors.Is(err, pgx.ErrNoRows) {
		return epoch{}, nil
	}
	return e, p.db.Fault("read the key epoch", err)
}

func (p *postgresKeys) begin(ctx context.Context, e epoch) error {
	return p.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO muniment_keys.epoch (n, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING", e.n, e.wrapped)
		return err
	})
}

func (p *postgresKeys) add(ctx context.Context, log event.LogID, e epoch, keys []wrappedKey) error {
	ids, wrapped := make([][]byte, len(keys)), make([][]byte, len(keys))
	for i, k := range keys {
		ids[i], wrapped[i] = k.id.ID[:], k.wrapped
	}
	return p.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `INSERT INTO muniment_keys.subject_key (id, log, epoch, wrapped)
			SELECT k.id, $1, $2, k.wrapped FROM unnest($3::bytea[], $4::bytea[]) AS k (id, wrapped)
			WHERE EXISTS (SELECT FROM muniment_keys.epoch WHERE n = $2 AND wrapped = $5)`, log.ID[:], e.n, ids, wrapped, e.wrapped)
		if err == nil && done.RowsAffected() != int64(len(keys)) {
			return errEpochGone
		}
		return err
	})
}

// get asks each partition for the keys that are its own, all in one round trip:
// asked together, every partition would look for all of them.
func (p *postgresKeys) get(ctx context.Context, log event.LogID, ids []event.KeyID, found func(event.KeyID, []byte)) error {
	const query = "SELECT id, wrapped FROM muniment_keys.subject_key_%02d WHERE id = ANY($1) AND log = $2"
	var b pgx.Batch
	for part, ids := range byPart(ids) {
		b.Queue(fmt.Sprintf(query, part), ids, log.ID[:]).Query(func(rows pgx.Rows) error {
			var id, wrapped []byte
			_, err := pgx.ForEachRow(rows, []any{&id, &wrapped}, func() error {
				found(event.KeyID{ID: event.ID(id)}, wrapped)
				return nil
			})
			return err
		})
	}
	return p.db.Fault("read keys", p.db.Pool.SendBatch(ctx, &b).Close())
}

// byPart sorts ids by the partition that they are in.
func byPart(ids []event.KeyID) map[int][][]byte {
	parts := map[int][][]byte{}
	for _, id := range ids {
		n := partOf(id)
		parts[n] = append(parts[n], id.ID[:])
	}
	return parts
}

func (p *postgresKeys) known(ctx context.Context, ids []event.KeyID) (there, destroyed map[event.KeyID]bool, err error) {
	there, destroyed = map[event.KeyID]bool{}, map[event.KeyID]bool{}
	note := func(in map[event.KeyID]bool) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var id []byte
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { in[event.KeyID{ID: event.ID(id)}] = true; return nil })
			return err
		}
	}
	var b pgx.Batch
	for part, ids := range byPart(ids) {
		b.Queue(fmt.Sprintf("SELECT id FROM muniment_keys.subject_key_%02d WHERE id = ANY($1)", part), ids).Query(note(there))
		b.Queue("SELECT id FROM muniment_keys.destroyed WHERE id = ANY($1)", ids).Query(note(destroyed))
	}
	return there, destroyed, p.db.Fault("look for keys", p.db.Pool.SendBatch(ctx, &b).Close())
}

func (p *postgresKeys) count(ctx context.Context) (keys, destroyed int, err error) {
	err = p.db.Pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM muniment_keys.subject_key), (SELECT count(*) FROM muniment_keys.destroyed)").Scan(&keys, &destroyed)
	return keys, destroyed, p.db.Fault("count keys", err)
}

// read takes one partition after the other, since a transaction over all would
// keep what is destroyed meanwhile in the files.
func (p *postgresKeys) read(ctx context.Context, each func(row) error) error {
	queries := []string{"SELECT '\\x00000000000000000000000000000000'::bytea, '\\x00000000000000000000000000000000'::bytea, n, wrapped FROM muniment_keys.epoch ORDER BY n"}
	kinds := []byte{rowEpoch}
	for part := range parts {
		queries = append(queries, fmt.Sprintf("SELECT log, id, epoch, wrapped FROM muniment_keys.subject_key_%02d", part))
		kinds = append(kinds, rowKey)
	}
	queries = append(queries, "SELECT log, id, 0, NULL::bytea FROM muniment_keys.destroyed")
	kinds = append(kinds, rowDestroyed)
	for i, query := range queries {
		rows, err := p.db.Pool.Query(ctx, query)
		if err != nil {
			return p.db.Fault(readOp, err)
		}
		for rows.Next() && err == nil {
			err = scanRow(kinds[i], rows.Scan, each)
		}
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			return p.db.Fault(readOp, err)
		}
	}
	return nil
}

func (p *postgresKeys) fill(ctx context.Context, rows func(put func(row) error) error) error {
	return p.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// Nobody else may begin to use the database meanwhile.
		if _, err := tx.Exec(ctx, "LOCK TABLE muniment_keys.epoch IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var any bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM muniment_keys.epoch) OR EXISTS (SELECT FROM muniment_keys.subject_key) OR EXISTS (SELECT FROM muniment_keys.destroyed)").Scan(&any)
		if err != nil || any {
			return errors.Join(err, notEmpty(any))
		}
		f := filler{ctx: ctx, tx: tx}
		if err := rows(f.put); err != nil {
			return err
		}
		return f.flush()
	})
}

// filler copies rows in, many of a kind at once.
type filler struct {
	ctx  context.Context
	tx   pgx.Tx
	kind byte
	rows [][]any
}

func (f *filler) put(r row) error {
	if r.kind != f.kind || len(f.rows) == readAtOnce {
		if err := f.flush(); err != nil {
			return err
		}
		f.kind = r.kind
	}
	switch r.kind {
	case rowEpoch:
		f.rows = append(f.rows, []any{int64(r.n), r.wrapped})
	case rowKey:
		f.rows = append(f.rows, []any{r.key.ID[:], r.log.ID[:], int64(r.n), r.wrapped})
	case rowDestroyed:
		f.rows = append(f.rows, []any{r.key.ID[:], r.log.ID[:]})
	}
	return nil
}

func (f *filler) flush() error {
	if len(f.rows) == 0 {
		return nil
	}
	table, columns := "epoch", []string{"n", "wrapped"}
	switch f.kind {
	case rowKey:
		table, columns = "subject_key", []string{"id", "log", "epoch", "wrapped"}
	case rowDestroyed:
		table, columns = "destroyed", []string{"id", "log"}
	}
	_, err := f.tx.CopyFrom(f.ctx, pgx.Identifier{"muniment_keys", table}, columns, pgx.CopyFromRows(f.rows))
	f.rows = f.rows[:0]
	return err
}
