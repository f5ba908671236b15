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
	size  event.Position // what is acknowledged; others may append behind it
	busy  bool           // nodes are at work on it
	close func()
	gone  func() bool // the server took its snapshot back
}

// openHeld opens the only log of a place for reading.
func openHeld(ctx context.Context, where string) (_ *held, err error) {
	h := &held{gone: func() bool { return false }}
	if pgdb.Is(where) {
		s, err := pglog.Open(ctx, pglog.Options{DSN: where})
		if err != nil {
			return nil, err
		}
		h.Store, h.close = s, func() { s.Close() }
	} else {
		s, err := openLog(ctx, DefaultLayout(where))
		if err != nil {
			return nil, err
		}
		h.Store, h.close, h.gone = s, s.close, s.withdrawn
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	now, err := stateOf(ctx, h.Store)
	if err != nil {
		return nil, err
	}
	if now.IsZero() {
		return nil, fault.New(fault.NotFound, "there is no log in %s", shown(where))
	}
	h.log, h.size = now.Log, now.Size
	shared, ok := h.Store.(eventlog.Shared)
	if !ok {
		return h, nil
	}
	st, err := shared.Standing(ctx, h.log)
	if err != nil {
		return nil, err
	}
	if h.busy = st.Left > 0; h.busy && st.Known {
		h.size = min(h.size, st.Mark.Size)
	}
	return h, nil
}

// shown is a place without what may be a password.
func shown(where string) string {
	if pgdb.Is(where) {
		return "the database"
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
		if st, err := shared.Standing(ctx, log); err == nil && st.Left > 0 {
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
