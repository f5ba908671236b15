package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// registerFormat names the format of a register file.
const registerFormat = "muniment.dev/register/v1"

// FileRegister keeps the register in a small JSON file, which belongs on
// another disk than the log. A change goes to a temporary file that is synced
// and then renamed, and the folder is synced; a lock file keeps others out
// meanwhile. It is safe for concurrent use, by several processes too.
type FileRegister struct {
	path string
	disk disk
	mu   sync.Mutex
}

// NewFileRegister returns the register at path. The file need not exist.
func NewFileRegister(path string) *FileRegister { return &FileRegister{path: path, disk: osDisk{}} }

// Close does nothing: the file is open only while it is read or written.
func (r *FileRegister) Close() error { return nil }

// Load implements Register.
func (r *FileRegister) Load(context.Context) (State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read()
}

func (r *FileRegister) read() (State, error) {
	b, err := r.disk.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, &fault.Error{Kind: fault.Unavailable, Msg: "the register file cannot be read; check its disk and permissions", Err: err}
	}
	return parseState(b)
}

// CompareAndSwap implements Register.
func (r *FileRegister) CompareAndSwap(_ context.Context, old, new State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	unlock, err := r.disk.Lock(r.path + ".lock")
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the register file is locked by another process, or its folder cannot be written to", Err: err}
	}
	defer unlock.Close()
	now, err := r.read()
	if err != nil {
		return err
	}
	if now != old {
		return fault.New(fault.Conflict, "the register was changed by somebody else: it is about log %s, term %d, %d records", now.Log, now.Term, now.Size)
	}
	return r.write(new)
}

// write replaces the file. Until the rename nothing has changed; from then on,
// until the folder is synced, a crash may leave either state.
func (r *FileRegister) write(s State) error {
	if s.IsZero() {
		return unsure(r.disk.Remove(r.path))
	}
	tmp := r.path + ".tmp"
	if err := r.disk.WriteFile(tmp, formatState(s)); err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the register file cannot be written; check its disk", Err: err}
	}
	return unsure(r.disk.Rename(tmp, r.path))
}

func unsure(err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Kind: fault.Unknown, Msg: "it is not known whether the register file was replaced; check its disk", Err: err}
}

// stateFile is a State as JSON.
type stateFile struct {
	Format string         `json:"format"`
	Log    event.LogID    `json:"log"`
	Term   uint64         `json:"term"`
	Size   event.Position `json:"size"`
	Root   tlog.Hash      `json:"root"`
}

func formatState(s State) []byte {
	b, err := json.MarshalIndent(stateFile{registerFormat, s.Log, s.Term, s.Size, tlog.Hash(s.Root)}, "", "  ")
	if err != nil {
		panic(err) // strings and numbers
	}
	return append(b, '\n')
}

// parseState reads a register file. Only the very bytes that formatState writes
// are accepted, so that every damage shows.
func parseState(b []byte) (State, error) {
	var f stateFile
	if err := json.Unmarshal(b, &f); err == nil && f.Format == registerFormat {
		s := State{Log: f.Log, Term: f.Term, Tree: Tree{f.Size, event.Hash(f.Root)}}
		if !s.Log.IsZero() && bytes.Equal(b, formatState(s)) {
			return s, nil
		}
	}
	return State{}, fault.New(fault.Corrupt, "the register is damaged, or of a version that is not known here; restore it; or, if you are certain, remove it and run `muniment register adopt`")
}
