package erasure

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Note is a file in which a node keeps up to where it has forgotten what was
// erased, beside the views that it has of its own.
type Note struct {
	path string
	log  event.LogID
}

type noted struct {
	Log       event.LogID    `json:"log"`
	Forgotten event.Position `json:"forgotten"`
}

// NewNote returns the note of a log at a path. The file need not exist: then
// nothing was forgotten yet.
func NewNote(path string, log event.LogID) *Note { return &Note{path, log} }

// Begin notes that there is nothing to forget up to a position, unless there is
// a note already: a node whose views are new keeps nothing of anybody yet.
func (n *Note) Begin(p event.Position) error {
	if _, err := os.Stat(n.path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return n.save(p)
}

func (n *Note) load() (event.Position, error) {
	var v noted
	b, err := os.ReadFile(n.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, &fault.Error{Kind: fault.Unavailable, Op: "read what was forgotten", Msg: "the note of what this node has forgotten cannot be read; check the file and its permissions", Err: err}
	}
	if json.Unmarshal(b, &v) != nil || v.Log != n.log { // forgetting twice is harmless
		return 0, nil
	}
	return v.Forgotten, nil
}

// save writes the file whole or not at all.
func (n *Note) save(p event.Position) error {
	b, err := json.Marshal(noted{n.log, p})
	if err == nil {
		err = writeWhole(n.path, b)
	}
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: "note what was forgotten", Msg: "the note of what this node has forgotten cannot be written; check the disk", Err: err}
	}
	return nil
}

func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
