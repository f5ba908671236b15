// Package pgdb opens a PostgreSQL database in which something is kept apart
// from the log: the subjects' keys, a register. It says by name what keeps it
// from being opened, brings the tables to the version that this program knows,
// and commits such that the outcome is known, or said not to be.
//
// What is promised: a [DB.Write] that returns nil is durable, on as many
// servers as the operator had PostgreSQL wait for. What is not: that somebody
// with the rights of the database's owner leaves it alone.
package pgdb

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"muniment.dev/fault"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	Pool *pgxpool.Pool // for reading; what is written goes through Write
	what string        // "key database", for messages
}

// Is reports whether a place is a PostgreSQL database rather than a file.
func Is(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// Open connects to a database and sees that the server is one to write to. It
// changes nothing. What is what it is to us, for messages: "key database".
func Open(ctx context.Context, dsn, what string) (*DB, error) {
	c, err := config(dsn)
	if err != nil {
		// The parser's text leaves passwords out, but not everything else.
		return nil, fault.New(fault.Invalid, "the address of the %s cannot be read; give one such as postgres://user@host/database", what)
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fault.Wrap("open the "+what, err)
	}
	db := &DB{Pool: pool, what: what}
	if err := db.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// config is how we connect: no commit is acknowledged before it is durable, and
// no warning is kept from us, whatever is set for the role or the database.
func config(dsn string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cc := c.ConnConfig
	Reach(&cc.Config, map[string]string{
		"synchronous_commit": "on", "client_min_messages": "notice", "search_path": "pg_catalog",
		"statement_timeout": "0", // it would cancel a commit that waits for a standby
	})
	// Of several hosts the one that writes: a standby may be behind.
	cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	cc.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if w, ok := c.CustomData()[warnings].(*warned); ok {
			w.note(n)
		}
	}
	c.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[warnings] = &warned{}
		return nil
	}
	return c, nil
}

// check asks the server what it is.
func (db *DB) check(ctx context.Context) error {
	var version, commit string
	err := db.Pool.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('synchronous_commit')").Scan(&version, &commit)
	switch {
	case err != nil:
		return db.Fault("open the "+db.what, err)
	case TooOld(version):
		return fault.New(fault.Refused, "the %s is on PostgreSQL %s; version %d or newer is needed", db.what, version, Oldest)
	case commit != "on":
		return fault.New(fault.Refused, "the %s is reached through something that does not hand on settings (synchronous_commit is %s); connect to PostgreSQL directly, or let the pooler hand them on", db.what, commit)
	}
	return nil
}

// Close ends the connections. A commit that waits for a standby is left to the
// server after a while.
func (db *DB) Close() error {
	closed := make(chan struct{})
	go func() { db.Pool.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
	}
	return nil
}

// Identity tells databases apart, whatever they are called.
type Identity struct {
	System   int64  // of the cluster; its replicas and copies have the same
	Database uint32 // within it
}

// Identity returns which database this is.
func (db *DB) Identity(ctx context.Context) (id Identity, err error) {
	err = db.Pool.QueryRow(ctx, "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()").Scan(&id.System, &id.Database)
	return id, db.Fault("ask which database the "+db.what+" is", err)
}

// IdentityOf returns which database an address leads to.
func IdentityOf(ctx context.Context, dsn, what string) (Identity, error) {
	db, err := Open(ctx, dsn, what)
	if err != nil {
		return Identity{}, err
	}
	defer db.Close()
	return db.Identity(ctx)
}

// warnings is where a connection has its warned.
const warnings = "muniment.dev/pgdb"

// warned collects what the server said on one connection.
type warned struct {
	last atomic.Pointer[pgconn.Notice]
	info func(*pgconn.Notice) // of what was asked to be told; may be nil
}

func (w *warned) note(n *pgconn.Notice) {
	switch {
	case n.SeverityUnlocalized == "WARNING":
		w.last.Store(n)
	case w.info != nil:
		w.info(n)
	}
}
