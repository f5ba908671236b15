package cell

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// register is what messages call it.
const register = "register's database"

var schema = pgdb.Schema{Name: "muniment_register",
	Steps:  []string{`CREATE TABLE {}.cell (name text COLLATE "C" PRIMARY KEY, revision bigint NOT NULL, value bytea NOT NULL)`},
	Grants: `GRANT SELECT, INSERT, UPDATE, DELETE ON {}.cell TO {role}`}

// server keeps values as rows of a PostgreSQL table.
type server struct{ db *pgdb.DB }

func openPostgres(ctx context.Context, dsn string) (Store, error) {
	db, err := pgdb.Open(ctx, dsn, register)
	if err != nil {
		return nil, err
	}
	if err := db.Prepare(ctx, schema); err != nil {
		db.Close()
		return nil, err
	}
	return &server{db}, nil
}

// Migrate makes the table in a PostgreSQL database, or brings it to this
// version, and gives a role the right to use it. The database's owner runs it.
func Migrate(ctx context.Context, where, serve string) error {
	dsn, _ := split(where)
	db, err := pgdb.Open(ctx, dsn, register)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx, schema, serve)
}

// Apart refuses a place in the cluster that a log is in: what takes the one
// back takes the other along. Places elsewhere are apart.
func Apart(ctx context.Context, where, log string) error {
	if !pgdb.Is(where) || !pgdb.Is(log) {
		return nil
	}
	dsn, _ := split(where)
	own, err := pgdb.IdentityOf(ctx, dsn, register)
	if err != nil {
		return err
	}
	l, err := pgdb.IdentityOf(ctx, log, "log's database")
	if err == nil && own.System == l.System {
		err = fault.New(fault.Refused, "the register is in the PostgreSQL cluster of the log, or in a copy of it: whatever takes the log back takes the register along, and nobody would notice. Give it a cluster of its own, made by initdb, or etcd, or a file")
	}
	return err
}

func (s *server) Close() error { return s.db.Close() }

func (s *server) Get(ctx context.Context, name string) (Value, error) {
	v := Value{Name: name}
	var standby bool
	var revision *int64
	// A primary that became a standby under us may be behind.
	err := s.db.Pool.QueryRow(ctx, "SELECT pg_is_in_recovery(), c.revision, c.value FROM (SELECT 1) AS one LEFT JOIN muniment_register.cell AS c ON c.name = $1", name).Scan(&standby, &revision, &v.Bytes)
	if err == nil && standby {
		err = fault.New(fault.Unavailable, "the register's database is a standby, which may be behind; give the primary")
	}
	if revision != nil {
		v.Revision = *revision
	}
	return v, s.db.Fault("read the register", err)
}

var errChanged = fault.New(fault.Conflict, "the value was changed by somebody else")

// Put is one statement, which compares and sets.
func (s *server) Put(ctx context.Context, v Value) (revision int64, err error) {
	query := "UPDATE muniment_register.cell SET value = $2, revision = revision + 1 WHERE name = $1 AND revision = $3 RETURNING revision"
	if v.Revision == 0 {
		query = "INSERT INTO muniment_register.cell (name, value, revision) VALUES ($1, $2, $3 + 1) ON CONFLICT DO NOTHING RETURNING revision"
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, query, v.Name, v.Bytes, v.Revision).Scan(&revision)
		if errors.Is(err, pgx.ErrNoRows) {
			return errChanged
		}
		return err
	})
	return revision, err
}

func (s *server) List(ctx context.Context, prefix string) ([]Value, error) {
	rows, err := s.db.Pool.Query(ctx, "SELECT name, revision, value FROM muniment_register.cell WHERE starts_with(name, $1) ORDER BY name", prefix)
	if err != nil {
		return nil, s.db.Fault("read the register", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Value])
	return all, s.db.Fault("read the register", err)
}

func (s *server) Remove(ctx context.Context, prefix string) error {
	return s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM muniment_register.cell WHERE starts_with(name, $1)", prefix)
		return err
	})
}
