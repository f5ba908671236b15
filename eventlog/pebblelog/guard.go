package pebblelog

import (
	"errors"
	"io/fs"
	"strings"
	"time"

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
}

// check returns err, which pebble.Open then answers with, or, once that is done,
// stops the store and does not return.
func (g *guard) check(err error) error {
	if err == nil || !g.store.begun.Load() {
		return err
	}
	g.store.die(err)
	select {}
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// Create implements vfs.FS.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.settle(name); err != nil {
		return nil, err
	}
	f, err := g.FS.Create(name, category)
	if !strings.HasSuffix(name, ".log") {
		return f, err
	}
	if err := g.check(err); err != nil {
		return nil, err
	}
	return &guardedFile{f, g}, nil
}

// Remove implements vfs.FS.
func (g *guard) Remove(name string) error {
	if err := g.settle(name); err != nil {
		return err
	}
	// Pebble does not try again before the next start, and an erasure waits for
	// the file to be gone.
	for tries := 1; ; tries++ {
		err := g.FS.Remove(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) || tries == removeTries {
			return err
		}
		time.Sleep(removePause)
	}
}

// How often a file is removed that cannot be, and how long is waited between.
const (
	removeTries = 5
	removePause = 20 * time.Millisecond
)

// settle makes the names in a directory durable before a marker comes or goes.
// A marker's name says which manifest is the current one. Pebble makes the
// manifest, then the new marker, removes the old one, and syncs the directory
// once: a disk that does not keep that order may be left with a marker to a
// manifest that is not there, or with none.
func (g *guard) settle(name string) error {
	if !strings.HasPrefix(g.PathBase(name), "marker.") {
		return nil
	}
	dir, err := g.FS.OpenDir(g.PathDir(name))
	if err != nil {
		return g.check(err)
	}
	return g.check(errors.Join(dir.Sync(), dir.Close()))
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
