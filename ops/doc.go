// Package ops holds what an operator does to a data directory: verify the log
// in it, make receipts and check them, look at the register and adopt a log.
//
// It opens stores, so it sees more than ledger/verify, which it feeds: beside
// the records it checks the index, the tiles, the heads of streams and the
// assignment of keys against them. Offline it opens the store for reading only;
// beside a running server it works on a snapshot, which the server makes over a
// socket that only its own user can reach.
//
// What it says is written for a person at three in the morning: first the
// answer, then where it is wrong and what shows it, then what to do. Without a
// key from outside it never says "verified".
package ops

import (
	"os"
	"path/filepath"

	"muniment.dev/pgdb"
	"muniment.dev/view"
)

// Layout says where the parts of a data directory are.
type Layout struct {
	Dir       string
	Log       string // the log store
	Keys      string // subject keys
	Root      string // the key that wraps them
	Views     string // derived, may be deleted
	Register  string // belongs on another disk
	Socket    string // of a running server
	Snapshots string // made for those who ask over the socket; on the disk of Log
}

// DefaultLayout is that of a directory in which nothing was put elsewhere.
func DefaultLayout(dir string) Layout {
	in := func(name string) string { return filepath.Join(dir, name) }
	return Layout{Dir: dir, Log: in("log"), Keys: in("keys.db"), Root: in("root.key"), Views: in("views.db"),
		Register: in("register.json"), Socket: in("admin.sock"), Snapshots: in("snapshots")}
}

// ViewsIn is where views are, by a place: a file, or a PostgreSQL database that
// nodes share. Applies says whether this node is the one that applies events;
// nil if there is one.
func ViewsIn(place string, applies func() bool) view.Backend {
	if pgdb.Is(place) {
		return view.Postgres{DSN: place, Applies: applies}
	}
	return view.File(place)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
