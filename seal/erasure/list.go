package erasure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// List keeps the erasures of a log apart from it, best beside the register: a
// log that is restored from a backup made before an erasure does not know of
// it. It is a file to which a line of JSON is added for each, before the key is
// destroyed. It holds random ids only.
type List struct {
	path string
	log  event.LogID
	mu   sync.Mutex
}

// ListPath is where the list belongs of a log whose register is that file.
func ListPath(register string) string { return register + ".erased" }

// NewList returns the list of a log at a path. The file need not exist.
func NewList(path string, log event.LogID) *List { return &List{path: path, log: log} }

// listed is a line.
type listed struct {
	Log      event.LogID     `json:"log"`
	Position event.Position  `json:"position"`
	Subject  event.SubjectID `json:"subject"`
	Keys     []event.KeyID   `json:"keys"`
}

// Add notes an erasure durably. One that stands there already is not repeated.
func (l *List) Add(p event.Position, s event.SubjectID, keys []event.KeyID) error {
	const op = "note the erasure apart from the log"
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

// ReadList returns the keys that a list says are to be destroyed of a log.
func ReadList(path string, log event.LogID) ([]event.KeyID, error) {
	lines, err := readListed(path)
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
