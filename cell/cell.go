// Package cell keeps a few small values where the log is not: in another
// PostgreSQL, or in etcd. Each has a revision, and is replaced only by whoever
// knows the present one, in one atomic step. The register and the list of
// erasures are such values.
//
// A place is written
//
//	postgres://user@host/database#name
//	etcd://host:2379,host:2379/name, or etcds:// for TLS
//
// where name keeps what several logs have in one system apart.
package cell

import (
	"context"
	"strings"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// Value is a value as it is or was.
type Value struct {
	Name     string
	Revision int64 // rises with each change; 0: it was never there
	Bytes    []byte
}

// Store keeps values by name; names and prefixes are ASCII and not empty. It is safe for concurrent use.
type Store interface {
	// Get returns the newest value; one of revision 0 if there is none.
	Get(ctx context.Context, name string) (Value, error)

	// Put durably replaces the value that has that name and revision (0: there
	// must be none) by these bytes, and returns the new revision.
	// fault.Conflict: it has another revision, nothing was changed.
	// fault.Unknown: it was replaced or not, or will be within moments, unless
	// somebody replaces it first. Any other error: nothing was changed.
	Put(ctx context.Context, v Value) (revision int64, err error)

	// List returns the values whose names begin so, by name.
	List(ctx context.Context, prefix string) ([]Value, error)

	// Remove removes the values whose names begin so.
	Remove(ctx context.Context, prefix string) error

	Close() error
}

// anonymous is the name of a place that gives none.
const anonymous = "muniment"

// Is reports whether a place is in another system, rather than a file.
func Is(where string) bool { return pgdb.Is(where) || isEtcd(where) }

// Open opens the store that a place is in, and returns the name that it gives.
func Open(ctx context.Context, where string) (_ Store, name string, err error) {
	where, name = split(where)
	switch {
	case pgdb.Is(where):
		s, err := openPostgres(ctx, where)
		return s, name, err
	case isEtcd(where):
		s, err := openEtcd(ctx, where)
		return s, name, err
	}
	return nil, "", fault.New(fault.Invalid, "a place is postgres://…, etcd://… or etcds://…")
}

// split takes the name off a place.
func split(where string) (rest, name string) {
	if pgdb.Is(where) {
		rest, name, _ = strings.Cut(where, "#")
	} else {
		rest, name = splitEtcd(where)
	}
	if name = strings.Trim(name, "/"); name == "" {
		name = anonymous
	}
	return rest, name
}

// Beside is a place in the same system, for what has another name.
func Beside(where, name string) string {
	rest, own := split(where)
	if pgdb.Is(where) {
		return rest + "#" + own + "/" + name
	}
	address, query, found := strings.Cut(rest, "?")
	if found {
		query = "?" + query
	}
	return address + "/" + own + "/" + name + query
}

// Advise says what an operator should know about a place. It changes nothing.
func Advise(ctx context.Context, where string) ([]pgdb.Advice, error) {
	rest, _ := split(where)
	if pgdb.Is(where) {
		db, err := pgdb.Open(ctx, rest, register)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		return db.Advise(ctx)
	}
	e, err := parseEtcd(rest)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range e.endpoints {
		if host, clear := strings.CutPrefix(endpoint, "http://"); clear && !isLocal(host) {
			return []pgdb.Advice{{Serious: true, Is: "etcd is reached in clear: whoever is on the way can say what the register holds", Do: "Use etcds://, with ca=FILE if its certificate is not from a public authority."}}, nil
		}
	}
	return nil, nil
}
