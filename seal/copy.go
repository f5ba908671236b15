package seal

import (
	"context"
	"io"

	"muniment.dev/event"
	"muniment.dev/fault"
)

const readOp = "read the key database"

// Count returns how many keys a key database holds, and how many it remembers
// as destroyed. It needs no root key.
func Count(ctx context.Context, where string) (keys, destroyed int, err error) {
	err = use(ctx, readOp, where, func(db database) error {
		keys, destroyed, err = db.count(ctx)
		return err
	})
	return keys, destroyed, err
}

// Missing returns those of the given keys that a key database neither holds nor
// remembers as destroyed. It needs no root key.
func Missing(ctx context.Context, where string, keys []event.KeyID) (missing []event.KeyID, err error) {
	err = use(ctx, readOp, where, func(db database) error {
		for rest := keys; len(rest) > 0; rest = rest[min(maxPrefetch, len(rest)):] {
			some := rest[:min(maxPrefetch, len(rest))]
			there, destroyed, err := db.known(ctx, some)
			if err != nil {
				return err
			}
			for _, k := range some {
				if !there[k] && !destroyed[k] {
					missing = append(missing, k)
				}
			}
		}
		return nil
	})
	return missing, err
}

// Destroy destroys keys in a key database that no server is using, and returns
// how many of them it still had. It needs no root key.
func Destroy(ctx context.Context, where string, log event.LogID, ids ...event.KeyID) (had int, err error) {
	err = use(ctx, "destroy keys", where, func(db database) error {
		had, err = db.destroy(ctx, log, ids)
		return err
	})
	return had, err
}

// Copied is a copy of a key database, in memory, so that no second file of keys
// is left behind that an erasure would not find.
type Copied struct {
	Stream    []byte // as [Restore] reads it; the keys in it stay wrapped
	Destroyed map[event.KeyID]bool
	Keys      int // how many there are
}

// Copy copies a key database, which servers may be using: it has every key that
// was there when it began, but for those that were destroyed meanwhile. It
// needs no root key.
func Copy(ctx context.Context, where string) (c Copied, err error) {
	err = use(ctx, readOp, where, func(db database) error {
		c, err = copyOf(ctx, db)
		return err
	})
	return c, err
}

// copyOf makes the stream. Keys that turn out to be destroyed are taken out
// again.
func copyOf(ctx context.Context, db database) (Copied, error) {
	var s streamWriter
	c := Copied{Destroyed: map[event.KeyID]bool{}}
	err := db.read(ctx, func(r row) error {
		switch r.kind {
		case rowKey:
			c.Keys++
		case rowDestroyed:
			c.Destroyed[r.key] = true
		}
		return s.put(r)
	})
	if err == nil {
		var dropped int
		c.Stream, dropped, err = s.end(c.Destroyed)
		c.Keys -= dropped
	}
	return c, err
}

// Restore puts a copy into a key database that holds nothing, of either kind,
// making it if need be: so keys move from SQLite to PostgreSQL and back. If it
// fails, nothing is in it. It needs no root key.
func Restore(ctx context.Context, where string, r io.Reader) error {
	const op = "restore the keys"
	db, err := openDatabase(ctx, where, true)
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = db.fill(ctx, func(put func(row) error) error { return readStream(r, put) })
	if e := db.close(); err == nil {
		err = e
	}
	return fault.Wrap(op, err)
}
