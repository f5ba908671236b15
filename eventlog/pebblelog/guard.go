package pebblelog

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the file system as Pebble sees it. When the write-ahead log cannot
// be written Pebble panics, here and there with its locks in a state in which
// Go ends the process without asking anybody. So an error of a write-ahead log
// or of the directory stops the store first and then never returns; whoever
// waits for the commit is told by the store. The first error of a sync is the
// only one that can be trusted: nothing is tried again.
type guard struct {
	vfs.FS
	store *Store
	armed atomic.Bool // the store is open; before that, errors go to Open
}

// check returns err, or stops the store and does not return.
func (g *guard) check(err error) error {
	if err == nil || !g.armed.Load() {
		return err
	}
	g.store.die(err)
	select {}
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// Create implements vfs.FS.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	if !strings.HasSuffix(name, ".log") {
		return f, err
	}
	if err := g.check(err); err != nil {
		return nil, err
	}
	return &guardedFile{f, g}, nil
}

// OpenDir implements vfs.FS.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{f, g}, nil
}

type guardedFile struct {
	vfs.File
	guard *guard
}

// Write implements vfs.File.
func (f *guardedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	return n, f.guard.check(err)
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error { return f.guard.check(f.File.Sync()) }

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error { return f.guard.check(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.guard.check(err)
}

// Close implements vfs.File.
func (f *guardedFile) Close() error { return f.guard.check(f.File.Close()) }
