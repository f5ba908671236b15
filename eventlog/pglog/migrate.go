package pglog

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/fault"
)

// Progress is what migrating the schema tells.
type Progress struct {
	Version   int           // of the schema, being made now
	Of        int           // the last one
	Resumed   bool          // an attempt before this one did not come to its end
	Waiting   bool          // another node migrates at the moment
	Done      bool          // this version is made
	Took      time.Duration // if Done
	FromEmpty bool          // there was nothing before
}

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Version is the schema's version that this program works with.
const Version = 2

// migration makes one version of the schema out of the one before. It never
// reads the records: a large log is migrated as quickly as a small one.
type migration struct {
	version int
	sql     string
	digest  string // of the file
}

func migrations(schema string) ([]migration, error) {
	ident := pgx.Identifier{schema}.Sanitize()
	literal := "'" + strings.ReplaceAll(schema, "'", "''") + "'"
	var all []migration
	for v := 1; v <= Version; v++ {
		body, err := migrationFiles.ReadFile(fmt.Sprintf("migrations/%d.sql", v))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		text := strings.NewReplacer("{{schema}}", ident, "{{literal}}", literal).Replace(string(body))
		all = append(all, migration{v, text, hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// Migrate makes the schema what this program needs. Nodes that start at once
// wait for the first; a lock is held for the migration only. Each version is
// noted before and after it is made, in a table of its own, with the digest of
// what made it. A version that was begun and not finished is finished.
func Migrate(ctx context.Context, o Options) error {
	const op = "migrate the schema of the log"
	o.defaults()
	if o.Roles == (Roles{}) {
		var err error
		if o.Roles, err = o.rolesOf(); err != nil {
			return err
		}
	}
	conn, err := o.connect(ctx, o.MigrateDSN)
	if err != nil {
		return err
	}
	defer closeSoon(conn)
	if err := checkVersion(ctx, conn); err != nil {
		return fault.Wrap(op, err)
	}
	m := &migrator{conn: conn, opts: &o}
	if m.all, err = migrations(o.Schema); err != nil {
		return fault.Wrap(op, err)
	}
	if done, err := m.look(ctx); err != nil || done {
		return fault.Wrap(op, err)
	}
	if err := m.writable(ctx); err != nil {
		return fault.Wrap(op, err)
	}
	if err := m.lock(ctx); err != nil {
		return fault.Wrap(op, err)
	}
	if done, err := m.look(ctx); err != nil || done { // another was quicker
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, m.run(ctx))
}

// migrator migrates over one connection.
type migrator struct {
	conn *pgx.Conn
	opts *Options
	all  []migration

	exists  bool // the schema
	made    int  // versions that are made
	begun   bool // the next one was begun
	granted bool // the roles have what they need
}

// look finds out what there is, and whether nothing is to be done. It refuses
// what is not ours, and changes nothing.
func (m *migrator) look(ctx context.Context) (done bool, err error) {
	m.exists, m.made, m.begun, m.granted = false, 0, false, false
	var ours, anything bool
	err = m.conn.QueryRow(ctx, `SELECT n.oid IS NOT NULL,
		(SELECT count(*) FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid
		  WHERE c.relnamespace = n.oid AND c.relname = 'migration' AND a.attname IN ('version', 'digest', 'begun', 'done')) = 4,
		EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid) OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = n.oid)
		FROM (SELECT to_regnamespace($1)::oid AS oid) n`, pgx.Identifier{m.opts.Schema}.Sanitize()).Scan(&m.exists, &ours, &anything)
	switch {
	case err != nil:
		return false, readFault("look at the schema", err)
	case anything && !ours:
		return false, fault.New(fault.Refused, "the schema %q of this database belongs to something else; name another schema or another database, nothing was changed", m.opts.Schema)
	case !ours:
		return false, nil
	}
	if err := m.versions(ctx); err != nil {
		return false, err
	}
	return m.made == Version && m.granted, nil
}

// versions reads which were made, and compares them with those that are known.
func (m *migrator) versions(ctx context.Context) error {
	rows, err := m.conn.Query(ctx, `SELECT version, digest, done IS NOT NULL FROM migration ORDER BY version`)
	if err != nil {
		return readFault("read the schema's versions", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v int
		var digest string
		var done bool
		if err := rows.Scan(&v, &digest, &done); err != nil {
			return readFault("read the schema's versions", err)
		}
		switch {
		case v > Version:
			return fault.New(fault.Refused, "the database has version %d of the schema, and this program knows %d; start the newer program that migrated it", v, Version)
		case v != m.made+1:
			return fault.New(fault.Corrupt, "the database lacks version %d of the schema, though it has a later one; restore it from a backup", m.made+1)
		case done && digest != m.all[v-1].digest:
			return fault.New(fault.Refused, "version %d of the schema was made by a program that differs from this one; start the one that made it", v)
		case done:
			m.made = v
		default:
			m.begun = true
		}
	}
	if err := rows.Err(); err != nil {
		return readFault("read the schema's versions", err)
	}
	return m.checkGrants(ctx)
}

// writable refuses a standby before anything is tried on it.
func (m *migrator) writable(ctx context.Context) error {
	var standby bool
	if err := m.conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return readFault("look at the server", err)
	}
	if standby {
		return because(errStandby, "", nil)
	}
	return nil
}

// lock lets one node migrate at a time. It ends with the connection.
func (m *migrator) lock(ctx context.Context) error {
	const key = `hashtextextended($1 || '.migration', 0)`
	var free bool
	err := m.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+key+`)`, m.opts.Schema).Scan(&free)
	if err == nil && !free {
		m.tell(Progress{Waiting: true})
		_, err = m.conn.Exec(ctx, `SELECT pg_advisory_lock(`+key+`)`, m.opts.Schema)
	}
	return readFault("wait for another node that migrates", err)
}

func (m *migrator) tell(p Progress) {
	p.Of = Version
	p.FromEmpty = !m.exists
	if m.opts.Progress != nil {
		m.opts.Progress(p)
	}
	m.opts.Logger.Info("migrating the schema of the log", "version", p.Version, "of", p.Of, "done", p.Done, "waiting", p.Waiting)
}

func (m *migrator) run(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	for _, next := range m.all[m.made:] {
		start := time.Now()
		m.tell(Progress{Version: next.version, Resumed: m.begun})
		if err := m.make(ctx, next); err != nil {
			return err
		}
		m.begun = false
		m.tell(Progress{Version: next.version, Done: true, Took: time.Since(start)})
	}
	return m.grant(ctx)
}

// begin makes the schema and the table of its versions.
func (m *migrator) begin(ctx context.Context) error {
	schema := pgx.Identifier{m.opts.Schema}.Sanitize()
	return m.tx(ctx, "make the schema", func(tx pgx.Tx) error {
		if !m.exists {
			if _, err := tx.Exec(ctx, `CREATE SCHEMA `+schema); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+schema+`.migration (
			version integer PRIMARY KEY, digest text NOT NULL, begun timestamptz NOT NULL DEFAULT clock_timestamp(), done timestamptz)`)
		if err == nil {
			_, err = tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+schema+`.setting (name text PRIMARY KEY, value text NOT NULL)`)
		}
		return err
	})
}

// make makes one version in one transaction. That it was begun is noted before,
// so that an attempt that came to no end shows.
func (m *migrator) make(ctx context.Context, next migration) error {
	op := fmt.Sprintf("make version %d of the schema", next.version)
	_, err := m.conn.Exec(ctx, `INSERT INTO migration (version, digest) VALUES ($1, $2)
		ON CONFLICT (version) DO UPDATE SET digest = excluded.digest, begun = clock_timestamp()`, next.version, next.digest)
	if err != nil {
		return readFault(op, err)
	}
	return m.tx(ctx, op, func(tx pgx.Tx) error {
		if _, err := tx.Conn().PgConn().Exec(ctx, next.sql).ReadAll(); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE migration SET done = clock_timestamp() WHERE version = $1`, next.version)
		return err
	})
}

// tx runs f in a transaction that is durable when it returns nil.
func (m *migrator) tx(ctx context.Context, op string, f func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		return f(tx)
	})
	return readFault(op, err)
}
