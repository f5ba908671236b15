package pglog

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
)

// querier is what reading needs of connections.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Close()
}

// OpenSnapshot opens the store for reading, as it is now: whatever nodes append
// meanwhile, it shows one state of it. An erasure is not complete before the
// snapshot is closed, so that is to be soon. Everything that writes is refused.
func OpenSnapshot(ctx context.Context, o Options) (*Store, error) {
	o.defaults()
	o.readOnly = true
	if err := o.made(ctx); err != nil {
		return nil, err
	}
	s := newStore(o)
	f, err := o.freeze(ctx)
	if err == nil {
		s.reads = f
		s.writes, err = o.pool(ctx, o.DSN, 1, true)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// made refuses a schema that is not there, or not of this version, without
// changing anything.
func (o *Options) made(ctx context.Context) error {
	const op = "open a snapshot of the log"
	conn, err := o.connect(ctx, o.DSN)
	if err != nil {
		return err
	}
	defer closeSoon(conn)
	if err := checkVersion(ctx, conn); err != nil {
		return fault.Wrap(op, err)
	}
	m := &migrator{conn: conn, opts: o}
	if m.all, err = migrations(o.Schema); err != nil {
		return fault.Wrap(op, err)
	}
	switch _, err := m.look(ctx); {
	case err != nil:
		return fault.Wrap(op, err)
	case m.made == 0:
		return fault.New(fault.NotFound, "there is no log in this database")
	case m.made < Version:
		return fault.New(fault.Refused, "the schema of the log is of version %d, and this program reads %d; start the server once, which migrates it", m.made, Version)
	}
	return nil
}

// frozen are connections that all see one state.
type frozen struct {
	first *pgx.Conn // whose transaction exported the snapshot
	free  chan *pgx.Conn
	all   []*pgx.Conn
}

// sights is how many connections a snapshot has: what is read while something
// else is being read takes another.
const sights = 8

func (o *Options) freeze(ctx context.Context) (*frozen, error) {
	f := &frozen{free: make(chan *pgx.Conn, sights)}
	var name string
	var err error
	if f.first, err = o.still(ctx, ""); err == nil {
		err = readFault("export a snapshot", f.first.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&name))
	}
	for range sights {
		if err != nil {
			f.Close()
			return nil, err
		}
		var c *pgx.Conn
		if c, err = o.still(ctx, name); err == nil {
			f.all = append(f.all, c)
			f.free <- c
		}
	}
	return f, err
}

// still makes a connection in a transaction that sees a snapshot, or its own.
func (o *Options) still(ctx context.Context, snapshot string) (*pgx.Conn, error) {
	conn, err := o.connect(ctx, o.DSN)
	if err != nil {
		return nil, err
	}
	sql := `SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	if snapshot != "" { // a name that PostgreSQL made, of digits, letters and dashes
		sql += `; SET TRANSACTION SNAPSHOT '` + snapshot + `'`
	}
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		closeSoon(conn)
		return nil, readFault("open a snapshot", err)
	}
	return conn, nil
}

// Close ends the transactions. Nothing may be read any more.
func (f *frozen) Close() {
	for _, c := range f.all {
		closeSoon(c)
	}
	if f.first != nil {
		closeSoon(f.first)
	}
}

func (f *frozen) take(ctx context.Context) (*pgx.Conn, error) {
	select {
	case c := <-f.free:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Query implements querier.
func (f *frozen) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c, err := f.take(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		f.free <- c
		return nil, err
	}
	return &heldRows{Rows: rows, release: sync.OnceFunc(func() { f.free <- c })}, nil
}

// heldRows give their connection back when they are closed.
type heldRows struct {
	pgx.Rows
	release func()
}

// Next implements pgx.Rows.
func (r *heldRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.release()
	return false
}

// Close implements pgx.Rows.
func (r *heldRows) Close() {
	r.Rows.Close()
	r.release()
}

// QueryRow implements querier.
func (f *frozen) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := f.Query(ctx, sql, args...)
	return heldRow{rows, err}
}

type heldRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements pgx.Row.
func (r heldRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// SendBatch implements querier.
func (f *frozen) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	c, err := f.take(ctx)
	if err != nil {
		return failedBatch{err: err}
	}
	return &heldBatch{BatchResults: c.SendBatch(ctx, b), release: sync.OnceFunc(func() { f.free <- c })}
}

// heldBatch gives its connection back when it is closed.
type heldBatch struct {
	pgx.BatchResults
	release func()
}

// Close implements pgx.BatchResults.
func (b *heldBatch) Close() error {
	defer b.release()
	return b.BatchResults.Close()
}

// failedBatch is a batch that was not sent.
type failedBatch struct {
	pgx.BatchResults
	err error
}

// Exec implements pgx.BatchResults.
func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }

// Query implements pgx.BatchResults.
func (b failedBatch) Query() (pgx.Rows, error) { return nil, b.err }

// QueryRow implements pgx.BatchResults.
func (b failedBatch) QueryRow() pgx.Row { return heldRow{err: b.err} }

// Close implements pgx.BatchResults.
func (b failedBatch) Close() error { return b.err }

// Exec implements querier.
func (f *frozen) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	c, err := f.take(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer func() { f.free <- c }()
	return c.Exec(ctx, sql, args...)
}
