package view

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"iter"
	"net/url"
	"os"
	"path/filepath"

	moderncsqlite "modernc.org/sqlite"

	"muniment.dev/fault"
)

// sqliteConn is a connection to a database file, with the statements it
// prepared. None of database/sql's services are wanted on its path.
type sqliteConn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	named []driver.NamedValue // of the statement that runs
}

// maxStatements bounds what a connection keeps prepared. Queries are made from
// conditions in code, so there are not many.
const maxStatements = 512

// inMemory is the path of a database that is no file.
const inMemory = ""

// connect opens a connection with the settings that every one of ours has, and
// more of them.
func connect(path string, pragmas ...string) (*sqliteConn, error) {
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
	return &sqliteConn{raw: raw, stmts: map[string]driver.Stmt{}}, nil
}

func (c *sqliteConn) close() error {
	c.forgetStatements()
	return c.raw.Close()
}

func (c *sqliteConn) forgetStatements() {
	for _, s := range c.stmts {
		s.Close()
	}
	clear(c.stmts)
}

func (c *sqliteConn) prepare(ctx context.Context, sql string) (driver.Stmt, error) {
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

// run runs one statement after the other.
func (c *sqliteConn) run(ctx context.Context, list iter.Seq[statement]) error {
	for st := range list {
		var err error
		if st.each != nil {
			err = c.query(ctx, st)
		} else {
			err = c.exec(ctx, st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *sqliteConn) exec(ctx context.Context, st statement) error {
	s, err := c.prepare(ctx, st.sql)
	if err != nil {
		return err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(ctx, c.name(st.args))
	if err != nil || st.changed == nil {
		return err
	}
	*st.changed, err = res.RowsAffected()
	return err
}

func (c *sqliteConn) query(ctx context.Context, st statement) (err error) {
	s, err := c.prepare(ctx, st.sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.name(st.args))
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
		if err := st.each(vals); err != nil {
			return err
		}
	}
}

// name makes parameters of values, until the next statement. The driver binds
// them before it returns.
func (c *sqliteConn) name(args []any) []driver.NamedValue {
	c.named = c.named[:0]
	for i, a := range args {
		c.named = append(c.named, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.named
}

func (c *sqliteConn) in(begin string, ending ending, f func() error) error {
	ctx := context.Background()
	if err := c.exec(ctx, statement{sql: begin}); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			c.exec(ctx, statement{sql: sqlRollback}) // fails if SQLite has rolled back by itself
		}
	}()
	if err := f(); err != nil {
		return err
	}
	commit := func() error { return c.exec(ctx, statement{sql: sqlCommit}) }
	err := error(nil)
	if ending != nil {
		err = ending(commit)
	} else {
		err = commit()
	}
	committed = err == nil
	return err
}

// SQLite's primary result codes (sqlite.org/rescode.html).
const (
	codeBusy     = 5
	codeNoMem    = 7
	codeReadOnly = 8 // the file could be opened for reading only
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

func sqliteCode(err error) int {
	var e *moderncsqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
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
