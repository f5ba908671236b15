package view

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	moderncsqlite "modernc.org/sqlite"

	"muniment.dev/fault"
)

// conn is one connection to a database file, with the statements it prepared.
// It is used by one goroutine at a time. It talks to the driver itself: a view
// runs few statements very often, and none of database/sql's services are
// wanted on that path.
type conn struct {
	raw    driver.Conn
	stmts  map[string]driver.Stmt
	ending func(commit func() error) error // tests let commits fail with it, done or not
}

// maxStatements bounds what a connection keeps prepared. Queries are made from
// conditions in code, so there are not many.
const maxStatements = 512

// inMemory is the path of a database that is no file.
const inMemory = ""

// connect opens a connection with the settings that every one of ours has, and
// more of them.
func connect(path string, pragmas ...string) (*conn, error) {
	dsn := ":memory:"
	if path != inMemory {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fault.Wrap("open "+path, err)
		}
		dsn = (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs)}).String()
	}
	q := url.Values{"_dqs": {"0"}}
	for _, p := range append([]string{"busy_timeout(10000)", "secure_delete(1)", "temp_store(2)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	c, err := moderncsqlite.NewConnector(dsn + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	raw, err := c.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	c.forgetStatements()
	return c.raw.Close()
}

func (c *conn) forgetStatements() {
	for _, s := range c.stmts {
		s.Close()
	}
	clear(c.stmts)
}

func (c *conn) prepare(ctx context.Context, sql string) (driver.Stmt, error) {
	if s, ok := c.stmts[sql]; ok {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		c.forgetStatements()
	}
	s, err := c.raw.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
	if err == nil {
		c.stmts[sql] = s
	}
	return s, err
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(ctx, named(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query runs a statement and gives each row to each. The slice is used again
// for the next row; the values in it are not.
func (c *conn) query(ctx context.Context, sql string, args []any, each func([]any) error) (err error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	raw := make([]driver.Value, len(rows.Columns()))
	vals := make([]any, len(raw))
	for {
		switch err := rows.Next(raw); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		for i, v := range raw {
			if b, ok := v.([]byte); ok && b == nil {
				v = []byte{} // the driver's empty blob
			}
			vals[i] = v
		}
		if err := each(vals); err != nil {
			return err
		}
	}
}

func named(args []any) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}

// in runs f between begin and COMMIT, or ROLLBACK if anything fails. It takes
// no context: a transaction is ended, not torn.
func (c *conn) in(begin string, f func() error) error {
	ctx := context.Background()
	if _, err := c.exec(ctx, begin); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			c.exec(ctx, sqlRollback) // fails if SQLite has rolled back by itself
		}
	}()
	if err := f(); err != nil {
		return err
	}
	commit := func() error { _, err := c.exec(ctx, sqlCommit); return err }
	err := error(nil)
	if c.ending != nil {
		err = c.ending(commit)
	} else {
		err = commit()
	}
	committed = err == nil
	return err
}

// SQLite's primary result codes (sqlite.org/rescode.html).
const (
	codeBusy    = 5
	codeNoMem   = 7
	codeIOErr   = 10
	codeCorrupt = 11
	codeFull    = 13
	codeNotADB  = 26
)

func sqliteCode(err error) int {
	var e *moderncsqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// passes reports whether an error may go away by itself: the machine's or
// another's, not the event's.
func passes(err error) bool {
	switch sqliteCode(err) {
	case codeBusy, codeNoMem, codeIOErr, codeFull:
		return true
	case 0:
		return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unknown)
	}
	return false
}

// createPrivate makes an empty file that only its owner reads, if there is
// none. SQLite gives its other files the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
