package pglog

import (
	"context"
	"errors"
	"net"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// config reads a DSN and adds what every connection of ours needs.
func (o *Options) config(dsn string) (*pgx.ConnConfig, error) {
	if dsn == "" {
		return nil, fault.New(fault.Invalid, "no database is named; give its DSN, for example postgres://muniment_serve@db.internal/muniment")
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil { // the text of this error may hold parts of the DSN
		return nil, fault.New(fault.Invalid, "the DSN cannot be read; it is written postgres://user@host:port/database?sslmode=verify-full, or as keywords: host=… user=… dbname=…")
	}
	settings := map[string]string{
		"search_path":                         pgx.Identifier{o.Schema}.Sanitize(),
		"default_transaction_isolation":       "read committed",
		"client_min_messages":                 "warning", // a commit that was not replicated comes with a warning
		"jit":                                 "off",     // our statements are short
		"idle_in_transaction_session_timeout": "60s",
		"lock_timeout":                        "0",
		"statement_timeout":                   "0",
	}
	if o.readOnly {
		settings["default_transaction_read_only"] = "on"
	}
	pgdb.Reach(&c.Config, settings)
	if c.ValidateConnect == nil && len(c.Fallbacks) > 0 && !o.readOnly { // of several hosts the one that writes
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	c.OnNotice = note
	return c, nil
}

// pool makes a pool of connections, without connecting yet. Those that write
// plan each statement once and never send a cancel request.
func (o *Options) pool(ctx context.Context, dsn string, size int32, writes bool) (*pgxpool.Pool, error) {
	c, err := o.config(dsn)
	if err != nil {
		return nil, err
	}
	pc, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fault.New(fault.Invalid, "the environment's settings for PostgreSQL (PG…) cannot be read; unset them")
	}
	pc.ConnConfig = c
	pc.MaxConns = size
	pc.MaxConnIdleTime = 5 * time.Minute
	if writes {
		c.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		c.RuntimeParams["work_mem"] = "32MB" // a batch must not spill into files of its own
		pc.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { neverCancel(c); return nil }
	}
	p, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, readFault("connect to PostgreSQL", err)
	}
	return p, nil
}

// neverCancel keeps pgx from sending a cancel request when a connection ends in
// the middle of something: a commit that waits for a standby would then become
// visible without being replicated. A cancel request is sent over a connection
// of its own, so once this one is made, no further one may be dialled.
func neverCancel(c *pgx.ConnConfig) {
	var made atomic.Bool
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if made.Load() {
			return nil, errors.New("a commit is not to be cancelled")
		}
		return dial(ctx, network, addr)
	}
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		made.Store(true)
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

// warned is where a connection notes that the server warned, and kept that a
// table which was written anew has dead rows all the same.
const (
	warned = "muniment: the server warned"
	kept   = "muniment: dead rows were kept"
)

// deadRows begins what VACUUM FULL says in detail of a table, in any language.
var deadRows = regexp.MustCompile(`^\D*(\d+)`)

// note notes warnings: a commit that was not replicated comes with one.
func note(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		c.CustomData()[warned] = n.Message
	}
	if m := deadRows.FindStringSubmatch(n.Detail); n.SeverityUnlocalized == "INFO" && m != nil && m[1] != "0" {
		c.CustomData()[kept] = n.Detail
	}
}

// warning takes the last warning off a connection; empty if there was none.
func warning(c *pgconn.PgConn) string {
	w, _ := c.CustomData()[warned].(string)
	delete(c.CustomData(), warned)
	return w
}

// connect makes a connection outside of the pools.
func (o *Options) connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	c, err := o.config(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, readFault("connect to PostgreSQL", err)
	}
	return conn, nil
}

// checkVersion refuses servers that are too old.
func checkVersion(ctx context.Context, conn *pgx.Conn) error {
	var version string
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version')`).Scan(&version); err != nil {
		return readFault("ask PostgreSQL for its version", err)
	}
	if pgdb.TooOld(version) {
		return fault.New(fault.Refused, "the server is PostgreSQL %s; Muniment needs %d or newer: upgrade it, or name another", version, pgdb.Oldest)
	}
	return nil
}

// closeSoon ends a connection that is of no use any more.
func closeSoon(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
