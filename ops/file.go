package ops

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"muniment.dev/fault"
)

// pendingFile is a file that gets its name when it is whole and on the disk.
type pendingFile struct {
	*os.File
	path string
}

// partial is what the name of a file ends with that is being written, or was
// when the program was killed.
const partial = ".partial"

// newFile begins the file at a path where nothing may be yet.
func newFile(path string) (*pendingFile, error) {
	if exists(path) {
		return nil, fault.New(fault.Exists, "%s exists already; nothing is ever overwritten", path)
	}
	f, err := os.OpenFile(path+partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the file " + path + " cannot be made; check the folder and its permissions", Err: err}
	}
	return &pendingFile{f, path}, nil
}

// commit makes the file durable and gives it its name.
func (f *pendingFile) commit() error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil && exists(f.path) {
		err = fault.New(fault.Exists, "%s was made by somebody else meanwhile; nothing is ever overwritten", f.path)
	}
	if err == nil {
		err = os.Rename(f.path+partial, f.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	return writeFault(err)
}

// drop removes what is not committed; after commit it does nothing.
func (f *pendingFile) drop() {
	f.Close()
	os.Remove(f.path + partial)
}

// syncFolder makes what was made or renamed in a folder durable.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // has no such thing
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
