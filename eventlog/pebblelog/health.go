package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/fault"
)

// health is what is known of the state of the disk.
type health struct {
	failed chan struct{} // closed when the store cannot go on

	mu     sync.Mutex
	dead   error     // why the store cannot go on
	behind error     // files cannot be written at the moment; memory must not fill up
	free   uint64    // bytes, when last asked
	asked  time.Time // when that was
	spoke  time.Time // when background trouble was last logged
}

// err says why nothing more may be written, if so.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

const errDead = "the disk failed under the log store; nothing more can be written until the process is started again"

// die stops the store for good. The first cause counts.
func (s *Store) die(cause error) {
	s.health.mu.Lock()
	first := s.health.dead == nil
	if first {
		s.health.dead = &fault.Error{Kind: fault.Unavailable, Msg: errDead, Err: cause}
		close(s.health.failed)
	}
	s.health.mu.Unlock()
	if !first {
		return
	}
	s.opts.Logger.Error("the log store cannot go on", "error", cause)
	if s.opts.Fatal != nil && s.opened.Load() { // else Open says it
		go s.opts.Fatal(cause)
	}
}

// await runs what may wait for the disk, and no longer once the store cannot go
// on: what of Pebble met the error never returns, and whoever waits for that
// would not either. Its locks may be held for ever, too.
func (s *Store) await(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-s.health.failed:
		return s.health.err()
	}
}

// awaitDisk is await for what leaves nothing half-done.
func (s *Store) awaitDisk(do func() error) error {
	err := s.await(do)
	if dead := s.health.err(); dead != nil {
		return dead
	}
	if err != nil {
		return diskFault(err)
	}
	return nil
}

// Ready implements eventlog.Readiness.
func (s *Store) Ready(context.Context) error { return s.ready() }

// ready says whether a commit may be begun. It refuses while a failure would
// still be a clean one: nothing was written yet.
func (s *Store) ready() error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead != nil {
		return h.dead
	}
	if h.behind != nil {
		return diskFault(h.behind)
	}
	if s.opts.Reserve < 0 {
		return nil
	}
	if now := time.Now(); h.asked.IsZero() || now.Sub(h.asked) > time.Second || h.free < uint64(s.opts.Reserve)*4 {
		usage, err := s.fs.GetDiskUsage(s.dir)
		if err != nil {
			usage.AvailBytes = ^uint64(0) // not every file system can tell
		}
		h.free, h.asked = usage.AvailBytes, now
	}
	if h.free < uint64(s.opts.Reserve) {
		return fault.New(fault.Unavailable, "the disk is full: less than %d MiB are free; make room and try again", s.opts.Reserve>>20)
	}
	return nil
}

// diskFault is a failure that left nothing half-written.
func diskFault(err error) error {
	msg := "the disk cannot be written to; check it and try again"
	if errors.Is(err, syscall.ENOSPC) {
		msg = "the disk is full; make room and try again"
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: msg, Err: err}
}

// flushed notes how the last flush of memory to a table went.
func (h *health) flushed(i pebble.FlushInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind = i.Err
	if i.Err != nil && len(i.Output) == 0 && i.Err.Error() == "pebble: empty table" { // nothing was to be written
		h.behind = nil
	}
}

// told reports whether trouble was logged within the last second.
func (h *health) told(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	lately := now.Sub(h.spoke) < time.Second
	if !lately {
		h.spoke = now
	}
	return lately
}

// logger gives Pebble's messages to ours. It does not end the process: after
// Fatalf the store refuses further work, and the commit under way is unknown.
type logger Store

// Infof implements pebble.Logger.
func (l *logger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l *logger) Errorf(format string, args ...any) {
	l.opts.Logger.Log(context.Background(), 4, "pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. Pebble takes it for granted that it never
// returns, and would go on with a broken state: so the goroutine that failed is
// stopped for good, unless it is the one that commits, which write waits for.
func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if e, ok := a.(error); ok {
			err = e
		}
	}
	(*Store)(l).die(err)
	if !strings.HasPrefix(format, "pebble: fatal commit error") {
		select {}
	}
}

func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if !s.opened.Load() { // Open waits for it, and it would be tried for ever
				s.die(err)
				select {}
			}
			if !s.health.told(time.Now()) { // it tries again at once, and again
				s.opts.Logger.Error("pebble background work failed", "error", err)
			}
		},
		FlushEnd: func(i pebble.FlushInfo) { s.health.flushed(i) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.opts.Logger.Error("a file of the log store is damaged; restore it from the mirror or a backup", "path", i.Path, "error", i.Details)
		},
		ManifestCreated: func(i pebble.ManifestCreateInfo) {
			if i.Err == nil {
				name := s.fs.PathBase(i.Path)
				s.names.Store(&name)
			}
		},
		DiskSlow: func(i pebble.DiskSlowInfo) {
			s.opts.Logger.Warn("the disk is slow", "path", i.Path, "duration", i.Duration)
		},
	}
}

// ofDisk reports whether an error is one of a system call.
func ofDisk(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}
