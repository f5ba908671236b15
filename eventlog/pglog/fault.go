package pglog

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// errStandby and errWaits are what only a log suffers from.
var (
	errStandby = &pgdb.Cause{Kind: fault.Unavailable, Text: "the server is a read-only standby; name the primary in the DSN, or both with target_session_attrs=read-write"}
	errWaits   = &pgdb.Cause{Kind: fault.Unavailable, Text: "{} waits for a standby before it acknowledges anything; start one that synchronous_standby_names names, or look why it is slow: everything goes on by itself then"}
)

// postgreSQL is what the log's database is called.
const postgreSQL = "PostgreSQL"

func because(c *pgdb.Cause, op string, err error) error { return c.Because(postgreSQL, op, err) }

// says reports whether a fault was because of something.
func says(err error, c *pgdb.Cause) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Msg == c.Says(postgreSQL)
}

// causeOf tells what an error of pgx is about.
func causeOf(err error) *pgdb.Cause {
	if pgdb.IsCode(err, "0A000") { // a table without a write-ahead log cannot be read there
		return errStandby
	}
	return pgdb.CauseOf(err)
}

// readFault says what a failed read, or another statement that changes nothing,
// means.
func readFault(op string, err error) error {
	var f *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return fault.Wrap(op, err)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "PostgreSQL did not answer in time; try again", Err: err}
	}
	return because(causeOf(err), op, bare(err))
}

// bare is an error as operators may see it: the server's own words, and nothing
// of how it was reached.
func bare(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return errors.New(pe.Severity + ": " + pe.Message + " (SQLSTATE " + pe.Code + ")")
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		inner := errors.Unwrap(ce)
		for _, e := range []error{context.DeadlineExceeded, context.Canceled} {
			if errors.Is(err, e) {
				return e
			}
		}
		if inner != nil {
			return errors.New("cannot connect")
		}
	}
	return err
}

// writeFault is readFault for a write: whatever the server said no to is not
// stored; whatever it did not answer is unknown.
func writeFault(op string, err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && !farewell(pe) || errors.Is(err, pgx.ErrNoRows) || pgconn.SafeToRetry(err) {
		return readFault(op, err)
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		return readFault(op, err)
	}
	return unknown(op, bare(err))
}

// farewell reports whether an error is of a server that ends the connection,
// which it may do after the commit was made.
func farewell(pe *pgconn.PgError) bool {
	return pe.SeverityUnlocalized == "FATAL" || pe.SeverityUnlocalized == "PANIC"
}

func unknown(op string, err error) error {
	return &fault.Error{Kind: fault.Unknown, Op: op, Msg: "PostgreSQL did not say whether it stored this; it will be found out", Err: err}
}
