package view

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// place is how far a database has come in a log.
type place struct {
	log      event.LogID
	position event.Position
	leaf     event.Hash // of the record at that position
}

// database is one file of views: one connection that writes, several that
// read. In memory there is one connection for both.
type database struct {
	path    string
	lay     *layout
	readers chan *conn // nil in memory

	mu     sync.Mutex // held while writing
	w      *conn
	at     place
	closed bool

	erasures atomic.Uint64 // that it has taken in
}

// The settings of the writing connection: of a file that serves, and of one
// that nobody depends on before it is finished and synced.
var (
	serving  = []string{"journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(33554432)", "cache_size(-32000)"}
	building = []string{"journal_mode(MEMORY)", "synchronous(OFF)", "cache_size(-64000)"}
	reading  = []string{"query_only(1)", "cache_size(-8000)"}
)

// create makes a new, empty database at path, where no file may be.
func create(path string, views []*View, log event.LogID, pragmas []string) (*database, error) {
	if path != inMemory {
		if err := createPrivate(path); err != nil {
			return nil, err
		}
	}
	d, err := open(path, views, pragmas)
	if err != nil {
		return nil, err
	}
	err = d.w.in(sqlBegin, func() error { return d.initialize(log) })
	if err != nil {
		d.close()
		return nil, err
	}
	d.at = place{log: log}
	return d, nil
}

// open opens a file for writing. Its place must be read before it is used.
func open(path string, views []*View, pragmas []string) (*database, error) {
	lay, err := newLayout(views)
	if err != nil {
		return nil, err
	}
	w, err := connect(path, pragmas...)
	if err != nil {
		return nil, err
	}
	return &database{path: path, lay: lay, w: w}, nil
}

func (d *database) initialize(log event.LogID) error {
	ctx := context.Background()
	create := ourTables
	for _, v := range d.lay.views {
		for i := range v.Tables {
			create = append(create[:len(create):len(create)], d.lay.tables[v.Tables[i].Name].sql.create...)
		}
	}
	for _, sql := range create {
		if _, err := d.w.exec(ctx, sql); err != nil {
			return err
		}
	}
	for _, v := range d.lay.views {
		if _, err := d.w.exec(ctx, sqlAddView, v.Name, v.fingerprint()); err != nil {
			return err
		}
	}
	var none event.Hash
	_, err := d.w.exec(ctx, sqlInit, log.ID[:], none[:])
	return err
}

// inspect reads what the file is: its place, and the fingerprints of its views
// by name. ours is false if it is no file of views.
func (d *database) inspect() (prints map[string]string, ours bool, err error) {
	ctx := context.Background()
	known := int64(0)
	err = d.w.query(ctx, sqlOurs, nil, func(vals []any) error { known = vals[0].(int64); return nil })
	if err != nil || known == 0 {
		return nil, false, err
	}
	err = d.w.query(ctx, sqlState, nil, func(vals []any) error {
		log, ok := vals[0].([]byte)
		leaf, ok2 := vals[2].([]byte)
		position, ok3 := vals[1].(int64)
		if !ok || !ok2 || !ok3 || len(log) != 16 || len(leaf) != 32 {
			return fault.New(fault.Corrupt, "the file's place in the log is malformed")
		}
		d.at, ours = place{event.LogID{ID: event.ID(log)}, event.Position(position), event.Hash(leaf)}, true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	prints = map[string]string{}
	err = d.w.query(ctx, sqlViews, nil, func(vals []any) error {
		name, _ := vals[0].(string)
		prints[name], _ = vals[1].(string)
		return nil
	})
	return prints, ours, err
}

// keep leaves the given views in the file and drops what belongs to others, so
// that no table stands there that nobody follows and nobody clears.
func (d *database) keep(views []*View, prints map[string]string) error {
	lay, err := newLayout(views)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for name := range lay.tables {
		wanted["now_"+name], wanted["past_"+name] = true, true
	}
	ctx := context.Background()
	err = d.w.in(sqlBegin, func() error {
		var drop []string
		err := d.w.query(ctx, sqlTables, nil, func(vals []any) error {
			if name, _ := vals[0].(string); !wanted[name] {
				drop = append(drop, dropTable(name))
			}
			return nil
		})
		for _, sql := range drop {
			if err == nil {
				_, err = d.w.exec(ctx, sql)
			}
		}
		for name := range prints {
			if err == nil && !slices.ContainsFunc(views, func(v *View) bool { return v.Name == name }) {
				_, err = d.w.exec(ctx, sqlDropView, name)
			}
		}
		return err
	})
	d.lay = lay
	return err
}

// addReaders opens the connections that queries use.
func (d *database) addReaders(n int) error {
	if d.path == inMemory {
		return nil
	}
	readers := make(chan *conn, n)
	for range n {
		c, err := connect(d.path, reading...)
		if err != nil {
			close(readers)
			for c := range readers {
				c.close()
			}
			return err
		}
		readers <- c
	}
	d.readers = readers
	return nil
}

// read runs f on a connection that sees one state of the database.
func (d *database) read(ctx context.Context, f func(*conn) error) error {
	if d.readers == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.w.in(sqlSnapshot, func() error { return f(d.w) })
	}
	select {
	case c := <-d.readers:
		defer func() { d.readers <- c }()
		return c.in(sqlSnapshot, func() error { return f(c) })
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply applies facts in one transaction that also moves the place, from what
// it is to what is given. The caller holds d.mu. A *Failure leaves everything
// as it was; after another error d.at tells whether it was done.
func (d *database) apply(facts []event.Fact, to place) error {
	err := d.w.in(sqlBegin, func() error {
		ctx := context.Background()
		n, err := d.w.exec(ctx, sqlAdvance, int64(to.position), to.leaf[:], d.at.log.ID[:], int64(d.at.position), d.at.leaf[:])
		if err != nil {
			return err
		}
		if n != 1 {
			return fault.New(fault.Unavailable, "the file of views is not where we left it: a commit of unknown outcome, or another process")
		}
		b := &batch{db: d, tables: map[*table]*overlay{}}
		for i, f := range facts {
			if err := b.add(i, f); err != nil {
				return err
			}
		}
		return b.flush()
	})
	var bad *Failure
	switch {
	case err == nil:
		d.at = to
	case !errors.As(err, &bad):
		d.inspect() // a commit that failed may have been one; the next attempt finds out if this cannot
	}
	return err
}

// clear empties everything that is a subject's, at all positions. The caller
// is in a transaction.
func (d *database) clear(s event.SubjectID) error {
	for _, t := range d.lay.tables {
		for _, both := range t.sql.clear {
			for _, sql := range both {
				if _, err := d.w.exec(context.Background(), sql, s.ID[:]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// forget is clear in a transaction of its own. It leaves no old page in the
// write-ahead log, once the readers who need one are done.
func (d *database) forget(ctx context.Context, subjects []event.SubjectID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	err := d.w.in(sqlBegin, func() error {
		for _, s := range subjects {
			if err := d.clear(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || d.readers == nil {
		return err
	}
	return d.truncate(ctx)
}

// truncate empties the write-ahead log into the file. Readers hold it up.
func (d *database) truncate(ctx context.Context) error {
	for {
		busy := int64(1)
		err := d.w.query(ctx, sqlTruncate, nil, func(vals []any) error { busy = vals[0].(int64); return nil })
		switch {
		case err == nil && busy == 0:
			return nil
		case err != nil && sqliteCode(err) != codeBusy:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// close closes all connections. Readers must be done.
func (d *database) close() error {
	d.closed = true
	err := d.w.close()
	for range cap(d.readers) {
		c := <-d.readers
		if e := c.close(); err == nil {
			err = e
		}
	}
	d.readers = nil
	return err
}

// remains are the files that SQLite keeps beside a database.
var remains = []string{"-wal", "-shm", "-journal"}

// remove deletes a database's files, if there are any.
func remove(path string) error {
	for _, suffix := range slices.Concat([]string{""}, remains) {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
