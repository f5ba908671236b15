package pglog

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
)

// cause is what PostgreSQL, or the way to it, may suffer from. Its message says
// what to do; nothing of a DSN stands in it.
type cause struct {
	kind fault.Kind
	msg  string
}

func (c cause) because(op string, err error) error {
	return &fault.Error{Kind: c.kind, Op: op, Msg: c.msg, Err: err}
}

var (
	errAway       = cause{fault.Unavailable, "PostgreSQL does not answer; check that it runs and that host and port of the DSN are right"}
	errRestarting = cause{fault.Unavailable, "PostgreSQL is starting or stopping; wait, it will be tried again"}
	errStandby    = cause{fault.Unavailable, "the server is a read-only standby; name the primary in the DSN, or both with target_session_attrs=read-write"}
	errReadOnly   = cause{fault.Unavailable, "PostgreSQL lets us read only: a read-only standby, or default_transaction_read_only is on for the database or the role; name the primary in the DSN, or switch that off"}
	errWaits      = cause{fault.Unavailable, "PostgreSQL waits for a standby before it acknowledges anything; start one that synchronous_standby_names names, or look why it is slow: everything goes on by itself then"}
	errFull       = cause{fault.Unavailable, "the disk of PostgreSQL is full; make room on it, nothing was lost"}
	errMemory     = cause{fault.Unavailable, "PostgreSQL is out of memory; give it more, or lower max_connections or work_mem"}
	errCrowded    = cause{fault.Unavailable, "PostgreSQL has no connection left; raise max_connections, or use fewer connections elsewhere"}
	errPassword   = cause{fault.Unavailable, "PostgreSQL refuses the user or the password of the DSN; check both, and pg_hba.conf"}
	errDatabase   = cause{fault.Unavailable, "the database of the DSN does not exist; create it, or name another"}
	errPrivilege  = cause{fault.Unavailable, "the role of the DSN lacks a privilege on Muniment's tables; run the migration with the roles that serve and erase named, see docs/how-to/postgresql.md"}
	errTables     = cause{fault.Unavailable, "Muniment's tables are not in this database; check the database and the schema, or migrate it"}
	errBusy       = cause{fault.Unavailable, "something else holds a lock on Muniment's tables; end it, or wait"}
	errTLS        = cause{fault.Unavailable, "no TLS connection to PostgreSQL can be made; check sslmode and sslrootcert of the DSN, and the server's certificate"}
	errDamaged    = cause{fault.Corrupt, "PostgreSQL reports damaged data; restore it from a standby or a backup, and do not delete anything"}
	errForeign    = cause{fault.Internal, "PostgreSQL refused a statement of ours"}
)

// states maps SQLSTATEs, whole ones before classes.
var states = map[string]cause{
	"53100": errFull, "53200": errMemory, "53300": errCrowded, "53400": errCrowded,
	"25006": errReadOnly, "0A000": errStandby, // a table without a write-ahead log cannot be read there
	"57P01": errRestarting, "57P02": errRestarting, "57P03": errRestarting, "57P05": errRestarting,
	"42501": errPrivilege, "28P01": errPassword, "28000": errPassword, "3D000": errDatabase, "3F000": errTables, "42P01": errTables,
	"55P03": errBusy, "40P01": errBusy, "57014": errBusy, "58030": errAway,
	"XX001": errDamaged, "XX002": errDamaged,
	"08": errAway, "53": errCrowded, "57": errRestarting,
}

// causeOf tells what an error of pgx is about.
func causeOf(err error) cause {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		if c, ok := states[pe.Code]; ok {
			return c
		}
		if c, ok := states[pe.Code[:min(2, len(pe.Code))]]; ok {
			return c
		}
		return errForeign
	}
	if text := err.Error(); strings.Contains(text, "tls") || strings.Contains(text, "x509") || strings.Contains(text, "TLS") {
		return errTLS
	}
	return errAway
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
	return causeOf(err).because(op, bare(err))
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
