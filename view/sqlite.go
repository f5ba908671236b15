package view

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// file is a file of views: one connection that writes, several that read. In memory
// there is one connection for both.
type file struct {
	path    string
	readers chan *sqliteConn // nil in memory
}

// The settings of the writing connection: of a file that serves, and of one
// that nobody depends on before it is finished and synced. The write-ahead log is
// brought into the file when it is as long as it may stay, 32 MiB: pages that are
// written again and again are copied and synced once then.
var (
	serving  = []string{"journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(33554432)", "wal_autocheckpoint(8000)", "cache_size(-32000)"}
	building = []string{"journal_mode(MEMORY)", "synchronous(OFF)", "cache_size(-64000)"}
	reading  = []string{"query_only(1)", "cache_size(-8000)"}
)

// fileTables are those that tell what the file is. Names with an underscore in
// front cannot be declared.
var fileTables = []string{
	`CREATE TABLE "_state" ("id" INTEGER PRIMARY KEY CHECK ("id" = 1), "log" BLOB NOT NULL, "position" INTEGER NOT NULL, "leaf" BLOB NOT NULL)`,
	`CREATE TABLE "_views" ("name" TEXT PRIMARY KEY, "fingerprint" TEXT NOT NULL)`,
}

const (
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`
	sqlInit     = `INSERT INTO "_state" VALUES (1, ?, 0, ?)`
	sqlState    = `SELECT "log", "position", "leaf" FROM "_state"`
	sqlPosition = `SELECT "position" FROM "_state"`
	sqlAdvance  = `UPDATE "_state" SET "position" = ?, "leaf" = ? WHERE "log" = ? AND "position" = ? AND "leaf" = ?`
	sqlAddView  = `INSERT INTO "_views" VALUES (?, ?)`
	sqlViews    = `SELECT "name", "fingerprint" FROM "_views"`
	sqlTruncate = `PRAGMA wal_checkpoint(TRUNCATE)`
	sqlCopy     = `VACUUM INTO ?`
	sqlOurs     = `SELECT count(*) FROM sqlite_schema WHERE name = '_state'`
	sqlTables   = `SELECT name FROM sqlite_schema WHERE type = 'table' AND (substr(name, 1, 4) = 'now_' OR substr(name, 1, 5) = 'past_')`
	sqlDropView = `DELETE FROM "_views" WHERE "name" = ?`
)

var fileGround = &ground{dialect: &sqlite}

// createFile makes a new, empty database at path, where no file may be.
func createFile(path string, views []*View, log event.LogID, pragmas []string) (*database, error) {
	if path != inMemory {
		if err := createPrivate(path); err != nil {
			return nil, err
		}
	}
	d, err := openFile(path, views, pragmas)
	if err != nil {
		return nil, err
	}
	err = d.w.in(sqlite.begin, nil, func() error { return d.initialize(log) })
	if err != nil {
		d.close()
		return nil, err
	}
	d.at = place{log: log}
	return d, nil
}

// openFile opens a file for writing. Its place must be read before it is used.
func openFile(path string, views []*View, pragmas []string) (*database, error) {
	lay, err := newLayout(fileGround, views)
	if err != nil {
		return nil, err
	}
	w, err := connect(path, pragmas...)
	if err != nil {
		return nil, err
	}
	// Where a file cannot be opened for writing, SQLite opens it for reading, and
	// every later commit would fail.
	if err := w.in(sqlite.begin, nil, func() error { return nil }); err != nil {
		w.close()
		return nil, err
	}
	return &database{kept: &file{path: path}, lay: lay, w: w}, nil
}

func (d *database) initialize(log event.LogID) error {
	ctx := context.Background()
	if err := d.w.run(ctx, plain(slices.Concat(fileTables, d.lay.creates(d.lay.views...)))); err != nil {
		return err
	}
	for _, v := range d.lay.views {
		if _, err := exec(ctx, d.w, sqlAddView, v.Name, v.fingerprint()); err != nil {
			return err
		}
	}
	var none event.Hash
	_, err := exec(ctx, d.w, sqlInit, log.ID[:], none[:])
	return err
}

// survey reads what the file is: its place, and the fingerprints of its views
// by name. ours is false if it is no file of views.
func (f *file) survey(w conn) (at place, prints map[string]string, ours bool, err error) {
	ctx := context.Background()
	known := int64(0)
	err = query(ctx, w, sqlOurs, nil, func(vals []any) error { known = vals[0].(int64); return nil })
	if err != nil || known == 0 {
		return at, nil, false, err
	}
	err = query(ctx, w, sqlState, nil, func(vals []any) error {
		at, ours = readPlace(vals)
		if !ours {
			return fault.New(fault.Corrupt, "the file's place in the log is malformed")
		}
		return nil
	})
	if err != nil {
		return at, nil, false, err
	}
	prints = map[string]string{}
	err = query(ctx, w, sqlViews, nil, func(vals []any) error {
		name, _ := vals[0].(string)
		prints[name], _ = vals[1].(string)
		return nil
	})
	return at, prints, ours, err
}

// readPlace reads log, position and leaf.
func readPlace(vals []any) (place, bool) {
	log, ok := vals[0].([]byte)
	position, ok2 := vals[1].(int64)
	leaf, ok3 := vals[2].([]byte)
	if !ok || !ok2 || !ok3 || len(log) != 16 || len(leaf) != 32 {
		return place{}, false
	}
	return place{event.LogID{ID: event.ID(log)}, event.Position(position), event.Hash(leaf)}, true
}

func (f *file) inspect(w conn) (place, error) {
	at, _, ours, err := f.survey(w)
	if err == nil && !ours {
		err = fault.New(fault.Corrupt, "the file is no file of views any more")
	}
	return at, err
}

func (f *file) advance(w conn, from, to place) error {
	n, err := exec(context.Background(), w, sqlAdvance, int64(to.position), to.leaf[:], from.log.ID[:], int64(from.position), from.leaf[:])
	if err == nil && n != 1 {
		err = fault.New(fault.Unavailable, "the file of views is not where we left it: a commit of unknown outcome, or another process")
	}
	return err
}

// keep leaves the given views in the file and drops what belongs to others, so
// that no table stands there that nobody follows and nobody clears.
func (d *database) keep(views []*View, prints map[string]string) error {
	lay, err := newLayout(d.lay.ground, views)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for name := range lay.tables {
		wanted["now_"+name], wanted["past_"+name] = true, true
	}
	ctx := context.Background()
	err = d.w.in(sqlite.begin, nil, func() error {
		var drop []string
		err := query(ctx, d.w, sqlTables, nil, func(vals []any) error {
			if name, _ := vals[0].(string); !wanted[name] {
				drop = append(drop, "DROP TABLE "+quote(name))
			}
			return nil
		})
		if err == nil {
			err = d.w.run(ctx, plain(drop))
		}
		for name := range prints {
			if err == nil && !lay.contains(name) {
				_, err = exec(ctx, d.w, sqlDropView, name)
			}
		}
		return err
	})
	d.lay = lay
	return err
}

// addReaders opens the connections that queries use.
func (f *file) addReaders(n int) error {
	if f.path == inMemory {
		return nil
	}
	readers := make(chan *sqliteConn, n)
	for range n {
		c, err := connect(f.path, reading...)
		if err != nil {
			close(readers)
			for c := range readers {
				c.close()
			}
			return err
		}
		readers <- c
	}
	f.readers = readers
	return nil
}

func (f *file) read(ctx context.Context, d *database, do func(context.Context, *snapshot) error) error {
	if f.path == inMemory {
		d.mu.Lock()
		defer d.mu.Unlock()
		return snap(ctx, d.w, do)
	}
	if f.readers == nil {
		return errClosing
	}
	select {
	case c := <-f.readers:
		defer func() { f.readers <- c }()
		return snap(ctx, c, do)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// snap runs do on one state.
func snap(ctx context.Context, c conn, do func(context.Context, *snapshot) error) error {
	return c.in(sqlite.snapshot, nil, func() error {
		sn := &snapshot{c: c}
		err := query(context.WithoutCancel(ctx), c, sqlPosition, nil, func(vals []any) error { sn.at = event.Position(vals[0].(int64)); return nil })
		if err != nil {
			return err
		}
		return do(ctx, sn)
	})
}

// scrub leaves no old page in the write-ahead log, once the readers who need
// one are done: it empties it into the file. Readers hold it up.
func (f *file) scrub(ctx context.Context, w conn) error {
	for f.readers != nil {
		busy := int64(1)
		err := query(ctx, w, sqlTruncate, nil, func(vals []any) error { busy = vals[0].(int64); return nil })
		switch {
		case err == nil && busy == 0:
			return nil
		case err != nil && sqliteCode(err) != codeBusy:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}

func (f *file) close() (err error) {
	for range cap(f.readers) {
		c := <-f.readers
		if e := c.close(); err == nil {
			err = e
		}
	}
	f.readers = nil
	return err
}
