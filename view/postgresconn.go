package view

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// postgresConn is a connection to PostgreSQL that connects when it is needed,
// and again after it was lost, with the statements that it prepared. A run of
// statements is one round trip.
type postgresConn struct {
	cfg   *pgconn.Config
	limit time.Duration // of one run whose context has no deadline

	raw     *pgconn.PgConn
	stmts   map[string]*pgconn.StatementDescription
	begin   string // goes with the next run
	inside  bool   // a transaction
	lasting bool   // it was connected before the run that is going on
}

func (c *postgresConn) close() error {
	if c.raw == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.raw.Close(ctx) // whatever it says, it is closed
	c.raw = nil
	return nil
}

// connected connects if there is no connection.
func (c *postgresConn) connected(ctx context.Context) error {
	if c.lasting = c.raw != nil && !c.raw.IsClosed(); c.lasting {
		return nil
	}
	raw, err := pgconn.ConnectConfig(ctx, c.cfg)
	if err != nil {
		return translate(err)
	}
	if err := serves(raw); err != nil {
		raw.Close(ctx)
		return err
	}
	c.raw, c.stmts = raw, map[string]*pgconn.StatementDescription{}
	return nil
}

// serves refuses a server that would not do.
func serves(raw *pgconn.PgConn) error {
	version := raw.ParameterStatus("server_version")
	if pgdb.TooOld(version) {
		return fault.New(fault.Refused, "views need PostgreSQL %d or newer, and this is %s", pgdb.Oldest, version)
	}
	if e := raw.ParameterStatus("server_encoding"); e != "UTF8" {
		return fault.New(fault.Refused, "views need a database whose encoding is UTF8, and this one's is %s", e)
	}
	return nil
}

func (c *postgresConn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.limit)
}

// prepare returns nil for what is run once only.
func (c *postgresConn) prepare(ctx context.Context, st *statement) (*pgconn.StatementDescription, error) {
	if st.once {
		return nil, nil
	}
	if d := c.stmts[st.sql]; d != nil {
		return d, nil
	}
	if len(c.stmts) >= maxStatements {
		if err := c.raw.Exec(ctx, "DEALLOCATE ALL").Close(); err != nil {
			return nil, err
		}
		clear(c.stmts)
	}
	d, err := c.raw.Prepare(ctx, "s"+strconv.Itoa(len(c.stmts)), numbered(st.sql), nil)
	if err == nil {
		c.stmts[st.sql] = d
	}
	return d, err
}

// numbered writes parameters as PostgreSQL does. There are no question marks
// in our SQL but those of parameters.
func numbered(sql string) string {
	var b strings.Builder
	for i, part := range strings.Split(sql, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

var binaryFormat = []int16{1}

func (c *postgresConn) run(ctx context.Context, list iter.Seq[statement]) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if !c.inside || c.begin != "" {
		if err := c.connected(ctx); err != nil {
			return err
		}
	} else if c.lasting = true; c.raw == nil || c.raw.IsClosed() {
		return errLost
	}
	var sent []statement
	var descs []*pgconn.StatementDescription
	if c.begin != "" {
		sent, descs = append(sent, statement{sql: c.begin, once: true}), append(descs, nil)
	}
	begins := len(sent)
	for st := range list {
		d, err := c.prepare(ctx, &st)
		if err != nil {
			return translate(err)
		}
		sent, descs = append(sent, st), append(descs, d)
	}
	if len(sent) == begins {
		return nil
	}
	c.begin = ""
	p := c.raw.StartPipeline(ctx)
	for i := range sent {
		send(p, &sent[i], descs[i])
	}
	err := p.Sync()
	for i := range sent {
		if err == nil {
			err = c.receive(p, &sent[i])
		}
	}
	if e := p.Close(); err == nil {
		err = e
	}
	return translate(err)
}

func send(p *pgconn.Pipeline, st *statement, d *pgconn.StatementDescription) {
	if d == nil {
		p.SendQueryParams(st.sql, nil, nil, nil, binaryFormat)
		return
	}
	params, formats := make([][]byte, len(st.args)), make([]int16, len(st.args))
	for i, arg := range st.args {
		switch v := arg.(type) {
		case nil:
		case string:
			params[i] = []byte(escape(v))
		case column:
			params[i], formats[i] = v.encode(), 1
		default:
			params[i], formats[i] = appendStored([]byte{}, v), 1
		}
	}
	p.SendQueryStatement(d, params, formats, binaryFormat)
}

// receive reads what a statement gave.
func (c *postgresConn) receive(p *pgconn.Pipeline, st *statement) (err error) {
	got, err := p.GetResults()
	if err != nil {
		return err
	}
	rr, ok := got.(*pgconn.ResultReader)
	if !ok {
		return fault.New(fault.Internal, "PostgreSQL answered out of turn: %T", got)
	}
	var vals []any
	for rr.NextRow() {
		if st.each == nil || err != nil {
			continue
		}
		if vals == nil {
			vals = make([]any, len(rr.Values()))
		}
		for i, v := range rr.Values() {
			vals[i] = stored(rr.FieldDescriptions()[i].DataTypeOID, v)
		}
		err = st.each(vals)
	}
	tag, e := rr.Close()
	if e != nil {
		return e
	}
	if st.changed != nil {
		*st.changed = tag.RowsAffected()
	}
	if st.sql == sqlCommit && tag.String() != sqlCommit {
		err = errLost // it was rolled back
	}
	return err
}

// stored makes a stored value of PostgreSQL's binary form; one of a type that
// we do not use gives nil, which does not pass for what is wanted.
func stored(oid uint32, v []byte) any {
	switch {
	case v == nil:
		return nil
	case oid == oidInt8 && len(v) == 8:
		return int64(binary.BigEndian.Uint64(v))
	case oid == oidInt4 && len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case oid == oidBool && len(v) == 1:
		return int64(v[0])
	case oid == oidText || oid == oidName:
		return unescape(string(v))
	case oid == oidBytea:
		return append([]byte{}, v...)
	}
	return nil
}

func (c *postgresConn) in(begin string, ending ending, f func() error) error {
	c.start(begin)
	defer c.end(sqlRollback) // unless it has ended
	if err := f(); err != nil {
		return err
	}
	if ending != nil {
		return ending(func() error { return c.end(sqlCommit) })
	}
	return c.end(sqlCommit)
}

// start begins a transaction with the next run.
func (c *postgresConn) start(begin string) { c.inside, c.begin = true, begin }

// end ends the transaction, if anything was run in it. A connection that cannot
// is closed, so that what was begun is not there the next time.
func (c *postgresConn) end(how string) error {
	if c.begin != "" || !c.inside {
		c.begin, c.inside = "", false
		return nil
	}
	err := c.run(context.Background(), one(statement{sql: how, once: true}))
	if err != nil {
		c.close()
	}
	c.inside = false
	return err
}

var errLost = fault.New(fault.Unavailable, "the connection to PostgreSQL was lost; try again in a moment")

// translate makes an error of ours of one of PostgreSQL's or of the network. What may pass is unavailable; what is left as it
// is stops the views.
func translate(err error) error {
	var ours *fault.Error
	switch {
	case err == nil || errors.Is(err, errElsewhere) || errors.Is(err, errEnough) || errors.As(err, &ours):
		return err
	}
	const what = "PostgreSQL"
	switch c := pgdb.CauseOf(err); c {
	case pgdb.NoTables:
		return errors.Join(errElsewhere, err)
	case pgdb.Privilege:
		return &fault.Error{Kind: c.Kind, Msg: "the database role may not do this; it needs its schema of views, or the right to make it", Err: err}
	case pgdb.Damaged:
		return &fault.Error{Kind: c.Kind, Msg: "PostgreSQL finds the views damaged; rebuild them", Err: err}
	default:
		return c.Because(what, "", err)
	}
}
