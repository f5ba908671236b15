package view

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"muniment.dev/event"
)

// place is how far a database has come in a log.
type place struct {
	log      event.LogID
	position event.Position
	leaf     event.Hash // of the record at that position
}

// database is one set of tables at one place in a log, with the connection that
// writes to them.
type database struct {
	lay  *layout
	kept keeper

	mu     sync.Mutex // held while writing
	w      conn
	ending ending // of what w writes
	at     place
	closed bool
	newer  bool   // it holds views of a later revision or epoch than this program knows
	memory memory // of states of folds

	rest     *rest   // what it holds besides, while views in it are built alone
	declares *layout // of all declared views, once it serves; nil: no others

	erasures atomic.Uint64 // that it has taken in
}

// keeper is what a database is in: a file, or tables of a schema.
type keeper interface {
	// inspect reads where the database stands.
	inspect(w conn) (place, error)
	// advance moves the place, from what it was left at, in a transaction of w.
	advance(w conn, from, to place) error
	// read runs f on one state of d. errElsewhere: d does not serve any more.
	read(ctx context.Context, d *database, f func(context.Context, *snapshot) error) error
	// scrub removes what an erasure left behind in passing.
	scrub(ctx context.Context, w conn) error
	// close closes what reads; readers must be done.
	close() error
}

// home is where the databases of a set are: files beside each other, or a
// schema.
type home interface {
	// live opens the database that serves, or makes one. It may lack views that
	// were declared otherwise when it was made.
	live(ctx context.Context) (*database, error)
	// shadow makes an empty database of views beside the one that serves.
	shadow(ctx context.Context, purpose string, views []*View) (*database, error)
	// copy makes a copy of one state of live, from which nothing that was
	// emptied can be read; nil if live itself is such. Of views that live does not
	// hold as they are given there are empty tables in it, and none of others.
	copy(ctx context.Context, live *database, views []*View) (*database, error)
	// install brings d to where live is, puts it in its place, and returns what
	// is live then. The caller holds the locks of live. After an error
	// live is closed if it does not serve any more.
	install(live, d *database, catchUp func(event.Position) error) (*database, error)
	// discard removes what is left of a database that was made beside live, and
	// of one that was replaced.
	discard(d *database) error
	// claim waits until no other process works on the whole of it, as this one
	// will until it calls release.
	claim(ctx context.Context) (release func(), err error)
	close()
}

// apply applies facts in one transaction that also moves the place, from what
// it is to what is given. The caller holds d.mu. A *Failure leaves everything
// as it was; after another error d.at tells whether it was done.
func (d *database) apply(facts []event.Fact, to place, verify bool) error {
	if d.memory.at != d.at { // another has applied something
		d.memory.clear()
	}
	b := newBatch(d, facts, verify)
	err := d.w.in(d.lay.ground.begin, d.ending, func() error {
		if err := d.kept.advance(d.w, d.at, to); err != nil {
			return err
		}
		for i, f := range facts {
			if err := b.add(i, f); err != nil {
				return err
			}
		}
		return b.flush()
	})
	if err != nil {
		d.memory.clear()
	}
	var bad *Failure
	switch {
	case err == nil:
		d.at = to
		b.remember()
	case !errors.As(err, &bad):
		// A commit that failed may have been one; the next attempt finds out if
		// this cannot.
		if lost := d.find(); errors.Is(err, errElsewhere) {
			err = cmp.Or(lost, errMoved)
		}
	}
	return err
}

// find looks where the database is. The caller holds d.mu.
func (d *database) find() error {
	at, err := d.kept.inspect(d.w)
	if err == nil {
		d.at = at
	}
	return err
}

func (d *database) place() place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// read runs f on one state of the database.
func (d *database) read(ctx context.Context, f func(context.Context, *snapshot) error) error {
	return d.kept.read(ctx, d, f)
}

// clear empties everything that is a subject's, at all positions. The caller
// is in a transaction.
func (d *database) clear(s event.SubjectID) error {
	return d.w.run(context.Background(), func(yield func(statement) bool) {
		for _, t := range d.lay.tables {
			for _, both := range t.sql.clear {
				for _, sql := range both {
					if !yield(statement{sql: sql, args: []any{s.ID[:]}}) {
						return
					}
				}
			}
		}
	})
}

// forget is clear in a transaction of its own.
func (d *database) forget(ctx context.Context, subjects []event.SubjectID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.memory.clear()
	err := d.w.in(d.lay.ground.begin, nil, func() error {
		for _, s := range subjects {
			if err := d.clear(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.kept.scrub(ctx, d.w)
}

// close closes all connections. Readers must be done.
func (d *database) close() error {
	d.closed = true
	return errors.Join(d.w.close(), d.kept.close())
}

// shut closes a database that others may be writing to.
func (d *database) shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	return d.close()
}
