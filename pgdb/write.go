package pgdb

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"muniment.dev/fault"
)

// Write runs f in a transaction and commits that. With fault.Unknown it may or
// may not have happened, or be undone by a fail-over; whatever else fails, it
// has not. Errors of f are returned as they are.
//
// A context that ends stops f, but not the commit, which goes on alone: pgx
// would cancel it, and PostgreSQL makes a commit that was cancelled while it
// waited for a standby visible although it is not replicated.
func (db *DB) Write(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	return db.WriteHearing(ctx, nil, f)
}

// WriteHearing is Write that tells what else the server says (INFO, NOTICE).
func (db *DB) WriteHearing(ctx context.Context, hear func(*pgconn.Notice), f func(context.Context, pgx.Tx) error) error {
	op := "write to the " + db.what
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return db.Fault(op, err)
	}
	w := conn.Conn().PgConn().CustomData()[warnings].(*warned)
	w.info = hear
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{})
	if err == nil {
		err = f(ctx, tx)
	}
	if err != nil {
		if tx != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx)) // a connection that cannot is thrown away
		}
		w.info = nil
		conn.Release()
		return db.Fault(op, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- db.commit(conn, tx, w) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return &fault.Error{Kind: fault.Unknown, Op: op, Msg: "the " + db.what + " does not answer, so it is not known whether it was written; is PostgreSQL waiting for a standby?", Err: ctx.Err()}
	}
}

func (db *DB) commit(conn *pgxpool.Conn, tx pgx.Tx, w *warned) error {
	defer conn.Release()
	w.last.Store(nil)
	err := tx.Commit(context.Background())
	w.info = nil
	n := w.last.Load()
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback), rolledBack(err):
		return db.Fault("write to the "+db.what, err)
	case err == nil && n == nil:
		return nil
	case err == nil:
		err = (*pgconn.PgError)(n)
	}
	return &fault.Error{Kind: fault.Unknown, Op: "write to the " + db.what, Msg: "it is not known whether the " + db.what + " keeps what was written; look at its log, and at its standbys", Err: err}
}

// rolledBack reports whether a commit failed such that nothing is left of it.
func rolledBack(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.SeverityUnlocalized == "ERROR" && !strings.HasPrefix(pe.Code, "57") && !strings.HasPrefix(pe.Code, "08") && !strings.HasPrefix(pe.Code, "XX")
}

// explained is what an SQLSTATE, or its class, means to an operator.
var explained = []struct{ code, msg string }{
	{"3D000", "the database of the %s does not exist; create it, empty"},
	{"28", "PostgreSQL does not let us in to the %s; check user, password and pg_hba.conf"},
	{"42501", "the role has not the right that the %s needs; let its owner run the migration, which grants it"},
	{"25006", "the %s cannot be written to: it is a standby, or read-only; give the primary"},
	{"53300", "PostgreSQL has no connection left for the %s; raise max_connections"},
	{"53100", "the disk of the %s is full; nothing was changed"},
	{"53", "PostgreSQL has not the resources that the %s needs; look at its log"},
	{"57P03", "the %s is starting or stopping; nothing was changed"},
	{"57", "PostgreSQL stopped what was asked of the %s"},
	{"55P03", "the %s is in use by something that takes long, such as a dump; it is tried again"},
	{"40", "the %s was changed by others at the same moment; try again"},
}

// Fault makes a fault of what pgx returned; faults stay as they are. Nothing
// was changed by what failed.
func (db *DB) Fault(op string, err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	msg := "the %s cannot be reached; check its address, and that PostgreSQL runs there"
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		msg = "the %s refused what was asked of it; look at PostgreSQL's log"
		for _, e := range explained {
			if strings.HasPrefix(pe.Code, e.code) {
				msg = e.msg
				break
			}
		}
	} else if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		msg = explained[3].msg
	}
	return &fault.Error{Kind: fault.Unavailable, Op: op, Msg: strings.Replace(msg, "%s", db.what, 1), Err: err}
}

// IsCode reports whether PostgreSQL answered with an SQLSTATE.
func IsCode(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}
