// Package pebblelog is the default log engine: Pebble, embedded, in one
// directory of one process.
//
// A commit is one synced batch. Fencing is checked in memory: the directory's
// lock keeps other processes out. What was synced survives the end of the
// process or the machine; the write-ahead log's format tells a damaged tail
// from a torn one, and a damaged one is refused rather than cut off.
//
// When the disk fails under a commit nobody knows what is stored. The store
// then refuses all further work (fault.Unavailable) and calls Options.Fatal;
// the process must end and start again. A disk that is merely full is noticed
// before that, and nothing is lost.
package pebblelog

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Options of a store. The zero value is usable.
type Options struct {
	// Cache is the size of the block cache in bytes; by default a quarter of
	// the memory that the process may use, from 32 MiB to 1 GiB. It fills as
	// blocks are read.
	Cache int64
	// Shared is a block cache for several stores, instead of one of their own.
	Shared *Cache
	// Filter is how many bytes of memory a busy log may spend on knowing which
	// ids are new; by default 64 MiB, enough for some ten million records.
	// Larger logs ask the tables' own filters. -1 for none.
	Filter int64
	// Reserve is how many bytes of the disk must stay free; with less, commits
	// are refused before they are begun. Default 64 MiB; -1 for none.
	Reserve int64
	// Fatal is called once, from a goroutine of its own, when the store cannot
	// go on: the process should end.
	Fatal func(error)
	// FS is the file system; by default the machine's.
	FS     vfs.FS
	Logger *slog.Logger

	memTable    uint64 // bytes
	filterAfter int64  // how many misses make a filter
	filterRoom  int64  // for how many keys it is made at least
}

// Store is a directory with logs. Make it with Open.
type Store struct {
	db    *pebble.DB
	dir   string
	fs    vfs.FS
	opts  Options
	lock  *pebble.Lock
	cache *pebble.Cache

	users  users
	health health
	opened atomic.Bool
	begun  atomic.Bool            // Pebble is open: an error of its write-ahead log has nobody to return to
	names  atomic.Pointer[string] // name of the current manifest

	mu   sync.Mutex                // guards logs
	logs map[event.LogID]*logState // those that were taken

	moving  sync.Mutex // one at a time: a cursor is compared, then put
	erasing sync.Mutex // one at a time: each is a lot of work for the disk
}

// Open opens the store in a directory, which is made if it does not exist.
func Open(dir string, opts Options) (*Store, error) {
	return open(dir, opts, false)
}

// OpenReadOnly opens a store that no process has open, a snapshot for example,
// without changing a byte of it. Everything that writes is refused.
func OpenReadOnly(dir string, opts Options) (*Store, error) {
	return open(dir, opts, true)
}

func open(dir string, opts Options, readOnly bool) (*Store, error) {
	watched := opts.FS == nil
	if watched {
		opts.FS = vfs.Default
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Cache == 0 {
		opts.Cache = DefaultCache()
	}
	if opts.Filter == 0 {
		opts.Filter = 64 << 20
	}
	if opts.Reserve == 0 {
		opts.Reserve = 64 << 20
	}
	if opts.filterAfter == 0 {
		opts.filterAfter = 1000
	}
	if opts.filterRoom == 0 {
		opts.filterRoom = 1 << 18
	}
	if opts.memTable == 0 {
		opts.memTable = 16 << 20
	}
	s := &Store{dir: dir, fs: opts.FS, opts: opts, logs: map[event.LogID]*logState{}}
	s.health.failed = make(chan struct{})
	if !readOnly {
		if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
			return nil, openFault(dir, err)
		}
	}
	lock, err := pebble.LockDirectory(dir, opts.FS)
	if err != nil {
		if _, missing := opts.FS.Stat(dir); missing != nil {
			return nil, openFault(dir, missing)
		}
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "open the log store", Msg: "another process has this data directory open; stop it, or work on a snapshot", Err: err}
	}
	s.lock = lock
	there, err := s.files("MANIFEST-")
	if err != nil {
		return nil, errors.Join(openFault(dir, err), lock.Close())
	}
	s.cache = opts.newCache()
	g := &guard{FS: opts.FS, store: s}
	po := s.pebbleOptions(g, readOnly)
	if watched {
		po.WithFSDefaults() // says when the disk does not answer for seconds
	}
	err = s.await(func() error { return s.openPebble(dir, po) })
	if dead := s.health.err(); dead != nil { // the rest of it holds the lock until the process ends
		return nil, openFault(dir, dead)
	}
	if err != nil {
		s.cache.Unref()
		return nil, errors.Join(openFault(dir, err), lock.Close())
	}
	s.begun.Store(true)
	if len(there) == 0 && !readOnly {
		// Pebble began the first write-ahead log of a new store before it went to
		// the newest format: begin another, in which damage can be told.
		if err := s.await(s.db.Flush); err != nil {
			return nil, errors.Join(openFault(dir, err), s.Close())
		}
	}
	s.opened.Store(true)
	return s, nil
}

// openPebble opens Pebble, which panics if a directory cannot be synced behind a
// marker that it moved. Nobody may try again in this process.
func (s *Store) openPebble(dir string, po *pebble.Options) (err error) {
	defer func() {
		if r := recover(); r != nil {
			cause, _ := r.(error)
			if !ofDisk(cause) {
				panic(r)
			}
			s.die(cause)
			err = cause
		}
	}()
	s.db, err = pebble.Open(dir, po)
	return err
}

// format is the newest of the linked Pebble; it includes WAL sync chunks,
// which tell a damaged write-ahead log from one that ended with the process.
const format = pebble.FormatNewest

func (s *Store) pebbleOptions(fs vfs.FS, readOnly bool) *pebble.Options {
	o := &pebble.Options{
		Cache:                       s.cache,
		FS:                          fs,
		Lock:                        s.lock,
		ReadOnly:                    readOnly,
		ErrorIfNotExists:            readOnly,
		FormatMajorVersion:          format,
		MemTableSize:                s.opts.memTable,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		// Every erased byte must leave every file: no write-ahead log is used
		// again, and manifests, which hold keys, are rotated early.
		Cleaner:             cleaner{},
		MaxManifestFileSize: 1,
		Logger:              (*logger)(s),
		EventListener:       s.listener(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// cleaner deletes files. By what it holds Pebble takes it for one that needs
// their contents, and so hands it old write-ahead logs instead of writing over
// them later.
type cleaner struct {
	pebble.DeleteCleaner
	keepsContents
}

type keepsContents struct{ pebble.ArchiveCleaner }

func openFault(dir string, err error) error {
	f := &fault.Error{Op: "open the log store", Err: err}
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		f.Kind, f.Msg = fault.NotFound, fmt.Sprintf("there is no log store in %s", dir)
	case pebble.IsCorruptionError(err):
		f.Kind, f.Msg = fault.Corrupt, "the files of the log store are damaged; restore them from the mirror or a backup, do not delete any"
	case errors.Is(err, syscall.ENOSPC):
		f.Kind, f.Msg = fault.Unavailable, fmt.Sprintf("the log store in %s cannot be opened: the disk is full; make room and try again", dir)
	default:
		f.Kind, f.Msg = fault.Unavailable, fmt.Sprintf("the log store in %s cannot be opened; check that the disk is there and writable", dir)
	}
	return f
}

// Snapshot makes a consistent copy of the store, as of now, in a directory
// that must not exist yet, on the same file system: files are shared where
// they never change. What is erased later stays in it; delete it when it has
// served.
func (s *Store) Snapshot(dest string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.users.leave()
	if err := s.health.err(); err != nil {
		return err
	}
	err := s.await(func() error { return s.db.Checkpoint(dest, pebble.WithFlushedWAL()) })
	if dead := s.health.err(); dead != nil {
		return dead
	}
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: "make a snapshot of the log store", Msg: "the copy could not be made; the directory must not exist and must be on the same disk, with room", Err: err}
	}
	return nil
}

// Close waits for the operations that run and closes the store. A store that
// failed is not closed: its files stay as they are, and locked, until the
// process ends.
func (s *Store) Close() error {
	const op = "close the log store"
	if err := s.health.err(); err != nil {
		return fault.Wrap(op, err)
	}
	if !s.users.close() {
		return nil
	}
	s.dropLookups()
	err := s.await(s.db.Close)
	if dead := s.health.err(); dead != nil {
		return fault.Wrap(op, dead)
	}
	s.cache.Unref()
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return &fault.Error{Kind: fault.Internal, Op: op, Msg: "what was acknowledged is stored, but the files could not be closed in order", Err: err}
	}
	return nil
}

// enter counts an operation in; users.leave counts it out.
func (s *Store) enter() error {
	if !s.users.enter() {
		return fault.New(fault.Unavailable, "the log store is closed")
	}
	return nil
}

// users counts the operations under way, so that closing waits for them.
type users struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{}
}

func (u *users) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.n++
	return true
}

func (u *users) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n--
	if u.n == 0 && u.idle != nil {
		close(u.idle)
		u.idle = nil
	}
}

// close refuses newcomers and waits for the last to leave; false if it was
// closed before.
func (u *users) close() bool {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return false
	}
	u.closed = true
	var idle chan struct{}
	if u.n > 0 {
		idle = make(chan struct{})
		u.idle = idle
	}
	u.mu.Unlock()
	if idle != nil {
		<-idle
	}
	return true
}
