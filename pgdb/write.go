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

// Fault makes a fault of what pgx returned; faults stay as they are. Nothing
// was changed by what failed.
func (db *DB) Fault(op string, err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	said := CauseOf(err).Because("the "+db.what, op, err)
	if said.Kind == fault.Internal { // what was refused may be another version's; it is tried again
		said.Kind = fault.Unavailable
	}
	return said
}
