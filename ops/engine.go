package ops

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// held is a log that is read: in a data directory, beside a running server or
// without one, or in a database that nodes may be using.
type held struct {
	eventlog.Store
	log   event.LogID
	busy  bool // a server is at work on it
	close func()
}

// openHeld opens the only log of a place for reading.
func openHeld(ctx context.Context, where string) (_ *held, err error) {
	l := layoutOf(where)
	s, err := openLog(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	now, err := stateOf(ctx, s)
	if err != nil {
		return nil, err
	}
	if now.IsZero() {
		return nil, fault.New(fault.NotFound, "there is no log in %s", l.Dir)
	}
	h := &held{Store: s, log: now.Log, close: s.close, busy: s.live}
	if shared, ok := s.readable.(eventlog.Shared); ok {
		h.busy, err = atWork(ctx, shared, h.log)
	}
	return h, err
}

// atWork reports whether a node holds a log.
func atWork(ctx context.Context, s eventlog.Shared, log event.LogID) (bool, error) {
	st, err := s.Standing(ctx, log)
	return st.Left > 0, err
}

// layoutOf is the layout of a data directory, or of a database with nothing
// beside it.
func layoutOf(where string) Layout {
	if pgdb.Is(where) {
		return Layout{Dir: shown(where), Log: where}
	}
	return DefaultLayout(where)
}

// inDatabase is where a log is that is in no directory.
const inDatabase = "the database"

// shown is a place without what may be a password.
func shown(where string) string {
	if pgdb.Is(where) {
		return inDatabase
	}
	return where
}

// openTarget opens a place for writing, which is made if it does not exist.
func openTarget(ctx context.Context, where string) (eventlog.Store, error) {
	if pgdb.Is(where) {
		return pglog.Open(ctx, pglog.Options{DSN: where})
	}
	if err := os.MkdirAll(where, 0o700); err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the folder " + where + " cannot be made", Err: err}
	}
	return pebblelog.Open(filepath.Join(where, "log"), pebblelog.Options{})
}

// Copied is what a move or a load came to.
type Copied struct {
	Log  event.LogID    `json:"log"`
	Size event.Position `json:"size"`
	Root tlog.Hash      `json:"root"`
	Took time.Duration  `json:"took"` // in nanoseconds
	Keys int            `json:"keys"` // that were copied with it
}

// copyTo copies all of a log into a place, and sees that it holds the same tree.
// Interrupted, it goes on when it is called again.
func copyTo(ctx context.Context, to string, log event.LogID, src eventlog.Source, progress func(eventlog.CopyProgress)) (*Copied, error) {
	began := time.Now()
	dst, err := openTarget(ctx, to)
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	logs, err := dst.Logs(ctx)
	if err != nil {
		return nil, err
	}
	for _, other := range logs {
		if other != log {
			return nil, fault.New(fault.Exists, "%s holds another log (%s); nothing was copied", shown(to), other)
		}
	}
	if shared, ok := dst.(eventlog.Shared); ok && len(logs) > 0 {
		if busy, err := atWork(ctx, shared, log); err == nil && busy {
			return nil, fault.New(fault.Refused, "a node is at work on the log in the database; stop all of them")
		}
	}
	if err := eventlog.Copy(ctx, dst, log, src, progress); err != nil {
		return nil, err
	}
	h, err := dst.Head(ctx, log)
	if err != nil {
		return nil, err
	}
	return &Copied{Log: log, Size: h.Size, Root: tlog.Hash(h.Root()), Took: time.Since(began)}, nil
}
