package seal

import (
	"context"
	"errors"

	"modernc.org/sqlite"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// database is where wrapped keys are kept. What SQLite and PostgreSQL do each
// in its own way stands behind it; pool, caches and states do not.
type database interface {
	// epoch returns the newest epoch; its number is 0 if there is none.
	epoch(ctx context.Context) (epoch, error)

	// begin adds an epoch unless there is one of that number: of several nodes
	// that begin at once one makes it, and all read it again.
	begin(ctx context.Context, e epoch) error

	// add makes keys of a log durable, all or none of them, provided that the
	// epoch under which they are wrapped is in the database still; else it is
	// errEpochGone. The keys are in the order of their ids.
	add(ctx context.Context, log event.LogID, e epoch, keys []wrappedKey) error

	// get tells the wrapped keys of a log that are there, in any order.
	get(ctx context.Context, log event.LogID, ids []event.KeyID, found func(event.KeyID, []byte)) error

	// known tells, of each key in any log, whether it is there or was destroyed.
	known(ctx context.Context, ids []event.KeyID) (there, destroyed map[event.KeyID]bool, err error)

	// destroy deletes keys and remembers that they are destroyed, all or none,
	// and clears their bytes from the files as far as it can. It may be repeated
	// when it failed half-way. It returns how many were there.
	destroy(ctx context.Context, log event.LogID, ids []event.KeyID) (had int, err error)

	// count returns how many keys there are, and how many are destroyed.
	count(ctx context.Context) (keys, destroyed int, err error)

	// read tells everything that was there when it began, but for what was
	// destroyed meanwhile; destroyed keys come last. It holds nobody up for long.
	read(ctx context.Context, row func(row) error) error

	// fill puts rows into a database that has none, all or none of them.
	fill(ctx context.Context, rows func(put func(row) error) error) error

	close() error
}

// epoch is a generation of the key that wraps subject keys, itself wrapped.
type epoch struct {
	n       uint32
	wrapped []byte
}

// wrappedKey is a key as it is stored.
type wrappedKey struct {
	id      event.KeyID
	wrapped []byte
}

// row is an epoch, a key of a log, or the mark of one that was destroyed.
type row struct {
	kind byte // rowEpoch and so on
	log  event.LogID
	key  event.KeyID
	epoch
}

var (
	errEpochGone = fault.New(fault.Refused, "the key database was exchanged: the key over all keys in it is not the one that this server opened; nothing was changed. Look whether it was restored, and start the server again")
	errNotEmpty  = fault.New(fault.Exists, "the key database holds keys already; give one that is empty")
)

// noDatabase says that there is none where one is needed.
func noDatabase(where string, err error) error {
	return &fault.Error{Kind: fault.NotFound, Msg: "there is no key database " + where, Err: err}
}

// openDatabase opens the database at a path, or at postgres://…. Without make
// it must exist.
func openDatabase(ctx context.Context, where string, make bool) (database, error) {
	if pgdb.Is(where) {
		return openPostgres(ctx, where, make)
	}
	return openSQLite(ctx, where, make)
}

// use lends a database that exists.
func use(ctx context.Context, op, where string, f func(database) error) error {
	db, err := openDatabase(ctx, where, false)
	if err == nil {
		err = f(db)
		if e := db.close(); err == nil {
			err = e
		}
	}
	var known *fault.Error
	if err != nil && !errors.As(err, &known) {
		err = &fault.Error{Kind: fault.Unavailable, Msg: "the key database cannot be read; is the file one, and whole?", Err: err}
	}
	return fault.Wrap(op, err)
}

// sqliteFull is SQLite's primary result code for a disk without room
// (sqlite.org/rescode.html).
const sqliteFull = 13

// badly is fault.Wrap; of what the driver or the system says about the database
// it says what to do. A change that failed may be made again, whether it was
// made or not.
func badly(op string, err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return fault.Wrap(op, err)
	}
	f := &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "the key database cannot be read or written; check it, and its disk", Err: err}
	var s *sqlite.Error
	if errors.As(err, &s) && s.Code()&0xff == sqliteFull {
		f.Msg = "the key database cannot be written: the disk is full; make room"
	}
	return f
}
