package seal

import (
	"context"
	"database/sql"
	"net/url"
	"os"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Copied is a consistent copy of a key database, in memory, so that no second
// file of keys is left behind that an erasure would not find.
type Copied struct {
	DB        []byte // the database file; the keys in it stay wrapped
	Destroyed map[event.KeyID]bool
	Keys      int // how many there are
}

// Copy copies the key database at path, which a server may be using. It needs
// no root key.
func Copy(ctx context.Context, path string) (c Copied, err error) {
	err = look(ctx, path, func(conn *sql.Conn) error {
		if c.Keys, c.Destroyed, err = countKeys(ctx, conn); err != nil {
			return err
		}
		return conn.Raw(func(driver any) error {
			c.DB, err = driver.(interface{ Serialize() ([]byte, error) }).Serialize()
			return err
		})
	})
	return c, err
}

// Count returns how many keys a key database holds, and how many it remembers
// as destroyed. It needs no root key.
func Count(ctx context.Context, path string) (keys, destroyed int, err error) {
	err = look(ctx, path, func(conn *sql.Conn) error {
		n, gone, err := countKeys(ctx, conn)
		keys, destroyed = n, len(gone)
		return err
	})
	return keys, destroyed, err
}

// Missing returns those of the given keys that a key database neither holds nor
// remembers as destroyed. It needs no root key.
func Missing(ctx context.Context, path string, keys []event.KeyID) (missing []event.KeyID, err error) {
	err = look(ctx, path, func(conn *sql.Conn) error {
		for _, k := range keys {
			known := false
			if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM subject_key WHERE id = ?1) OR EXISTS (SELECT 1 FROM destroyed WHERE id = ?1)", k.ID[:]).Scan(&known); err != nil {
				return err
			}
			if !known {
				missing = append(missing, k)
			}
		}
		return nil
	})
	return missing, err
}

// look runs f within one state of a key database that exists.
func look(ctx context.Context, path string, f func(*sql.Conn) error) error {
	const op = "read the key database"
	if _, err := os.Stat(path); err != nil {
		return &fault.Error{Kind: fault.NotFound, Op: op, Msg: "there is no key database " + path, Err: err}
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(10000)")
	if err != nil {
		return fault.Wrap(op, err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "the key database cannot be opened; check the file and its permissions", Err: err}
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "BEGIN")
	if err == nil {
		err = f(conn)
		conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // nothing was written
	}
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "the key database cannot be read; is the file one, and whole?", Err: err}
	}
	return nil
}

func countKeys(ctx context.Context, conn *sql.Conn) (keys int, destroyed map[event.KeyID]bool, err error) {
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM subject_key").Scan(&keys); err != nil {
		return 0, nil, err
	}
	rows, err := conn.QueryContext(ctx, "SELECT id FROM destroyed")
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	destroyed = map[event.KeyID]bool{}
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return 0, nil, err
		}
		if len(b) != len(event.ID{}) {
			return 0, nil, fault.New(fault.Corrupt, "the id of a destroyed key is malformed")
		}
		destroyed[event.KeyID{ID: event.ID(b)}] = true
	}
	return keys, destroyed, rows.Err()
}

// Destroy destroys keys in a key database that no server is using, and returns
// how many of them it still had. It needs no root key.
func Destroy(ctx context.Context, path string, log event.LogID, ids ...event.KeyID) (had int, err error) {
	before, _, err := Count(ctx, path)
	if err != nil {
		return 0, err
	}
	db, err := openDB(path)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	k := &Keys{db: db}
	if err := k.destroy(ctx, log, ids); err != nil {
		return 0, fault.Wrap("destroy keys", err)
	}
	after, _, err := Count(ctx, path)
	return before - after, err
}
