package erasure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"muniment.dev/cell"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// List keeps the erasures of a log apart from it, beside the register: a log
// that is restored from a backup made before an erasure does not know of it. It
// is a file to which a line of JSON is added for each, before the key is
// destroyed; or, in another system, a value for each (package cell). It holds
// random ids only.
type List struct {
	path string
	log  event.LogID
	mu   sync.Mutex

	kept cell.Store // instead of the file
	name string
}

// ListPath is where the list belongs of a log whose register is at that place.
func ListPath(register string) string {
	if cell.Is(register) {
		return register
	}
	return register + ".erased"
}

// NewList returns the list of a log at a path. The file need not exist.
func NewList(path string, log event.LogID) *List { return &List{path: path, log: log} }

// OpenList opens the list of a log at a place that ListPath gave.
func OpenList(ctx context.Context, where string, log event.LogID) (*List, error) {
	if !cell.Is(where) {
		return NewList(where, log), nil
	}
	store, name, err := cell.Open(ctx, where)
	if err != nil {
		return nil, err
	}
	return &List{log: log, kept: store, name: listName(name, log)}, nil
}

// Close closes the connections, if there are any.
func (l *List) Close() error {
	if l.kept == nil {
		return nil
	}
	return l.kept.Close()
}

// listName is what the names of a log's erasures begin with.
func listName(name string, log event.LogID) string { return name + "/erased/" + log.String() + "/" }

// listed is a line.
type listed struct {
	Log      event.LogID     `json:"log"`
	Position event.Position  `json:"position"`
	Subject  event.SubjectID `json:"subject"`
	Keys     []event.KeyID   `json:"keys"`
}

// Add notes an erasure durably. It may be repeated.
func (l *List) Add(ctx context.Context, p event.Position, s event.SubjectID, keys []event.KeyID) error {
	const op = "note the erasure apart from the log"
	if l.kept != nil {
		return fault.Wrap(op, l.keep(ctx, listed{l.log, p, s, keys}))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, err := readListed(l.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Wrap(op, err)
	}
	for _, e := range lines {
		if e.Log == l.log && e.Position == p {
			return nil
		}
	}
	b, err := json.Marshal(listed{l.log, p, s, keys})
	if err == nil {
		err = appendSynced(l.path, append(b, '\n'))
	}
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "the list of erasures cannot be written; check the register's disk", Err: err}
	}
	return nil
}

// keep writes a value. It writes it again if it is there already: what was only
// found there need not have outlived a fail-over.
func (l *List) keep(ctx context.Context, e listed) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s%020d", l.name, e.Position)
	for {
		v, err := l.kept.Get(ctx, name)
		if err == nil {
			v.Bytes = b
			_, err = l.kept.Put(ctx, v)
		}
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
}

// appendSynced appends a line to a file. The rest of a line that was cut short
// before, by a crash, is ended first.
func appendSynced(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if err == nil {
		_, err = f.Write(line)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil || end > 0 {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can
	return dir.Close()
}

// ReadList returns the keys that the list at a place says are to be destroyed of
// a log. A file must exist.
func ReadList(ctx context.Context, where string, log event.LogID) ([]event.KeyID, error) {
	lines, err := readAt(ctx, where, log)
	if err != nil {
		return nil, err
	}
	var keys []event.KeyID
	for _, e := range lines {
		if e.Log == log {
			keys = append(keys, e.Keys...)
		}
	}
	return keys, nil
}

func readAt(ctx context.Context, where string, log event.LogID) ([]listed, error) {
	if !cell.Is(where) {
		return readListed(where)
	}
	store, name, err := cell.Open(ctx, where)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	values, err := store.List(ctx, listName(name, log))
	var out []listed
	for _, v := range values {
		var e listed
		if json.Unmarshal(v.Bytes, &e) != nil || e.Log != log {
			return nil, fault.New(fault.Corrupt, "an entry in the list of erasures is damaged: %s", v.Name)
		}
		out = append(out, e)
	}
	return out, err
}

// readListed reads the lines of a list. What was cut short by a crash was not
// acknowledged, and is passed over.
func readListed(path string) ([]listed, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []listed
	for line := range bytes.Lines(b) {
		var e listed
		if json.Unmarshal(line, &e) == nil && !e.Log.IsZero() {
			out = append(out, e)
		}
	}
	return out, nil
}
