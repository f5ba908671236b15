package view

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
)

// conn is one connection to a database. It is used by one goroutine at a time.
// It talks to the driver itself: a view runs few statements very often.
type conn interface {
	// run runs statements in their order. It may send them all before it reads
	// what the first one gives.
	run(ctx context.Context, list iter.Seq[statement]) error
	// in runs f in a transaction that begins with the dialect's begin or
	// snapshot, and commits it, or rolls back if anything fails. It takes no
	// context: a transaction is ended, not torn. ending, if not nil, commits.
	in(begin string, ending ending, f func() error) error
	close() error
}

// statement is one on its way to the database. Stored values are its
// parameters, in the order of the question marks in its text.
type statement struct {
	sql     string
	args    []any
	each    func([]any) error // takes the rows; the slice is used again for the next one, the values in it are not
	changed *int64            // if not nil: how many rows it changed
	once    bool              // it will not be run again, and has no parameters
}

// ending runs a commit; tests let commits fail with it, done or not.
type ending func(commit func() error) error

// query runs one statement and gives its rows to each.
func query(ctx context.Context, c conn, sql string, args []any, each func([]any) error) error {
	return c.run(ctx, one(statement{sql: sql, args: args, each: each}))
}

// exec runs one statement and returns how many rows it changed.
func exec(ctx context.Context, c conn, sql string, args ...any) (n int64, err error) {
	err = c.run(ctx, one(statement{sql: sql, args: args, changed: &n}))
	return n, err
}

func one(s statement) iter.Seq[statement] {
	return func(yield func(statement) bool) { yield(s) }
}

// plain are statements without parameters.
func plain(texts []string) iter.Seq[statement] {
	return func(yield func(statement) bool) {
		for _, sql := range texts {
			if !yield(statement{sql: sql, once: true}) {
				return
			}
		}
	}
}

// concat is all statements of several lists.
func concat(lists []iter.Seq[statement]) iter.Seq[statement] {
	return func(yield func(statement) bool) {
		for _, list := range lists {
			for s := range list {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// passes reports whether an error may go away by itself: the machine's or
// another's, not the event's.
func passes(err error) bool {
	switch sqliteCode(err) {
	case codeBusy, codeNoMem, codeReadOnly, codeIOErr, codeFull, codeCantOpen:
		return true
	case 0:
		return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unknown)
	}
	return false
}

// ofDatabase reports whether an error is the database's, not an event's.
func ofDatabase(err error) bool {
	var pg *pgconn.PgError
	return passes(err) || sqliteCode(err) != 0 || errors.As(err, &pg) || errors.Is(err, errElsewhere)
}

// errElsewhere says that the database is not where it was left: another node
// has moved on with it, or put another one in its place. Who gets it looks
// again.
var errElsewhere = errors.New("the views are elsewhere")

// errMoved says that another node has applied something meanwhile.
var errMoved = errors.New("another node has moved the views")

// contains tells whether the layout has a view of that name.
func (l *layout) contains(name string) bool {
	return slices.ContainsFunc(l.views, func(v *View) bool { return v.Name == name })
}
