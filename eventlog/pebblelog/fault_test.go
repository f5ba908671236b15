package pebblelog

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
)

// disk is a file system that can be made to fail, and to crash.
type disk struct {
	mem  *vfs.MemFS
	vfs  vfs.FS
	fail atomic.Pointer[func(errorfs.Op) error]
}

func newDisk() *disk {
	d := &disk{mem: vfs.NewCrashableMem()}
	d.vfs = errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := d.fail.Load(); f != nil {
			return (*f)(op)
		}
		return nil
	}))
	return d
}

// after makes operations fail that match, from the n-th on.
func (d *disk) after(n int, err error, match func(errorfs.Op) bool) {
	var seen atomic.Int64
	f := func(op errorfs.Op) error {
		if match(op) && seen.Add(1) > int64(n) {
			return err
		}
		return nil
	}
	d.fail.Store(&f)
}

func onFile(part string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, k := range kinds {
			if op.Kind == k && strings.Contains(op.Path, part) {
				return true
			}
		}
		return false
	}
}

// tally is what appends were told.
type tally struct {
	mu                      sync.Mutex
	acked, unknown, refused []eventlog.Request
}

// run appends from some goroutines until each was refused a few times, or for
// a limited number of appends.
func (y *tally) run(t *testing.T, l *eventlog.Log, appends int) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			stream := logtest.NewStream("user")
			for n, failures := 0, 0; failures < 3 && n < appends; n++ {
				r := logtest.Request(logtest.New(stream, "user.noted", logtest.Sealed(logtest.NewSubject(), logtest.NewKey(), "/a")), logtest.New(stream, "user.noted"))
				_, err := l.Append(t.Context(), r)
				y.mu.Lock()
				switch {
				case err == nil:
					y.acked = append(y.acked, r)
				case fault.Is(err, fault.Unknown):
					y.unknown = append(y.unknown, r)
					failures++
				case fault.Is(err, fault.Unavailable):
					y.refused = append(y.refused, r)
					failures++
				default:
					t.Errorf("append: %v", err)
				}
				y.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// check opens what is left on a disk and compares it with what was told.
func (y *tally) check(t *testing.T, fs vfs.FS, id event.LogID) {
	t.Helper()
	opts := testOptions(t)
	opts.FS = fs
	s := mustOpen(t, "data", opts)
	defer s.Close()
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := logtest.Check(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
	has := func(r eventlog.Request) bool {
		_, ok, err := l.Outcome(t.Context(), r.Actor, r.Command, r.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for _, r := range y.acked {
		if !has(r) {
			t.Fatalf("%d were acknowledged; at least one of them is lost", len(y.acked))
		}
	}
	for _, r := range y.refused {
		if has(r) {
			t.Fatal("an append that was refused is stored")
		}
	}
	for _, r := range y.unknown { // repeating gives certainty, and does it once
		before := has(r)
		if a, err := l.Append(t.Context(), r); err != nil || a.Replayed != before {
			t.Fatalf("repeating an unknown append: %+v, %v; stored before: %v", a, err, before)
		}
	}
	if err := logtest.Check(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
}

// Each sync fails in turn while a store is made: that is an error, and whoever
// starts again has a store.
func TestDiskFailsWhileOpening(t *testing.T) {
	for n := 0; ; n++ {
		d, seen, opts := newDisk(), 0, testOptions(t)
		opts.FS = d.vfs
		fail := func(op errorfs.Op) error {
			if !slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind) {
				return nil
			}
			if seen++; seen-1 != n {
				return nil
			}
			return syscall.EIO
		}
		d.fail.Store(&fail)
		s, err := Open("data", opts)
		if err == nil {
			d.fail.Store(nil)
			s.Close()
			if seen <= n {
				return
			}
			continue // it was told where it does no harm
		}
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("sync %d: %v", n, err)
		}
		opts.FS = d.mem.CrashClone(vfs.CrashCloneCfg{})
		mustOpen(t, "data", opts).Close()
	}
}

// The disk fails for good: the commit under way is unknown, the store refuses
// further work and says so, and after a crash all that was acknowledged is
// there.
func TestDiskFails(t *testing.T) {
	eio := error(syscall.EIO)
	for name, c := range map[string]struct {
		err   error
		match func(errorfs.Op) bool
	}{
		"sync of the write-ahead log":     {eio, onFile(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)},
		"write to the write-ahead log":    {eio, onFile(".log", errorfs.OpFileWrite)},
		"no room for the write-ahead log": {syscall.ENOSPC, onFile(".log", errorfs.OpFileWrite)},
		"a new write-ahead log":           {eio, onFile(".log", errorfs.OpCreate)},
		"sync of the manifest":            {eio, onFile("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData)},
		"a new manifest":                  {syscall.ENOSPC, onFile("MANIFEST", errorfs.OpCreate)},
		"sync of the directory":           {eio, func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileSync && op.Path == "data" }},
	} {
		for _, after := range []int{0, 9} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d, id, told := newDisk(), event.LogID{ID: event.NewID()}, make(chan error, 1)
				opts := testOptions(t)
				opts.FS, opts.memTable, opts.Logger = d.vfs, 256<<10, nil
				opts.Fatal = func(err error) { told <- err }
				s := mustOpen(t, "data", opts)
				l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
				if err != nil {
					t.Fatal(err)
				}
				y := &tally{}
				y.run(t, l, 100)
				if len(y.unknown)+len(y.refused) > 0 {
					t.Fatal("appends failed on a good disk")
				}
				d.after(after, c.err, c.match)
				y.run(t, l, 20_000)
				if len(y.refused) == 0 {
					t.Fatal("nothing was refused: the fault was not met")
				}
				select {
				case <-told:
				case <-time.After(5 * time.Second):
					t.Fatal("nobody was told that the store cannot go on")
				}
				if _, err := s.Take(t.Context(), id, event.NewID(), 0); !fault.Is(err, fault.Unavailable) {
					t.Fatalf("taking the log of a store that failed: %v", err)
				}
				for _, unsynced := range []int{0, 50, 100} {
					y.check(t, d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(1, uint64(after)))}), id)
				}
				l.Close()
				_ = s.Close() // it may or may not be able to
			})
		}
	}
}

// onto is what a crash left of the disk, with one that fails in its place.
func onto(opts Options, err error, match func(errorfs.Op) bool) Options {
	mem := opts.FS.(interface{ Unwrap() vfs.FS }).Unwrap().(*vfs.MemFS)
	opts.FS = errorfs.Wrap(mem.CrashClone(vfs.CrashCloneCfg{}), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if match(op) {
			return err
		}
		return nil
	}))
	return opts
}

// Whoever waits for the disk when the store finds that it cannot go on is told
// so, and does not wait for ever: erasing, closing, opening.
func TestNobodyWaits(t *testing.T) {
	manifest := onFile("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData)
	for name, c := range map[string]struct {
		match func(errorfs.Op) bool
		do    func(*Store, event.LogID, event.SubjectID, Options) error
	}{
		"erase": {manifest, func(s *Store, id event.LogID, ada event.SubjectID, _ Options) error {
			return s.Erase(t.Context(), id, ada, nil)
		}},
		"snapshot": {onFile(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo), func(s *Store, _ event.LogID, _ event.SubjectID, _ Options) error {
			return s.Snapshot("snapshot")
		}},
		"close": {onFile(".log", errorfs.OpFileClose, errorfs.OpFileWrite, errorfs.OpFileSyncData), func(s *Store, _ event.LogID, _ event.SubjectID, _ Options) error {
			return s.Close()
		}},
		"open with too little room": {onFile("nothing"), func(_ *Store, _ event.LogID, _ event.SubjectID, opts Options) error {
			_, err := Open("data", onto(opts, syscall.ENOSPC, onFile(".sst", errorfs.OpFileWrite)))
			if !strings.Contains(err.Error(), "the disk is full; make room") {
				t.Errorf("a start on a full disk: %v", err)
			}
			return err
		}},
		"open": {manifest, func(_ *Store, _ event.LogID, _ event.SubjectID, opts Options) error {
			_, err := Open("data", onto(opts, syscall.EIO, manifest))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, id, ada := newDisk(), event.LogID{ID: event.NewID()}, logtest.NewSubject()
			opts := testOptions(t)
			opts.FS, opts.Logger, opts.Fatal = d.vfs, nil, func(error) {}
			s := mustOpen(t, "data", opts)
			l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(ada, logtest.NewKey(), "/a")))); err != nil {
				t.Fatal(err)
			}
			l.Close()
			d.after(0, syscall.EIO, c.match)
			told := make(chan error, 1)
			go func() { told <- c.do(s, id, ada, opts) }()
			select {
			case err := <-told:
				if !fault.Is(err, fault.Unavailable) {
					t.Fatalf("on a disk that failed: %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it waits for ever")
			}
		})
	}
}

// The disk is full where tables are written: appends are refused before any is
// in doubt, and go on when there is room again, in the same process.
func TestDiskFull(t *testing.T) {
	d, id := newDisk(), event.LogID{ID: event.NewID()}
	opts := testOptions(t)
	opts.FS, opts.memTable, opts.Logger = d.vfs, 256<<10, nil
	s := mustOpen(t, "data", opts)
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.after(0, syscall.ENOSPC, onFile(".sst", errorfs.OpCreate, errorfs.OpFileWrite))
	y := &tally{}
	y.run(t, l, 20_000)
	if len(y.refused) == 0 || len(y.unknown) > 0 {
		t.Fatalf("%d appends were refused, %d in doubt", len(y.refused), len(y.unknown))
	}
	_, err = l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted")))
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full; make room") {
		t.Fatalf("append on a full disk: %v", err)
	}
	d.fail.Store(nil)
	r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = l.Append(t.Context(), r); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("append with room again: %v", err)
		}
	}
	y.acked = append(y.acked, r)
	l.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	y.check(t, d.mem.CrashClone(vfs.CrashCloneCfg{}), id)
}

// A crash may keep some of the names that were not synced yet and lose others:
// whichever they are, there is a current manifest. Looked at before each sync of
// the directory, when the most can be lost.
func TestPowerCutAmongNames(t *testing.T) {
	d, id := newDisk(), event.LogID{ID: event.NewID()}
	opts := testOptions(t)
	opts.FS, opts.memTable = d.vfs, 256<<10
	s := mustOpen(t, "data", opts)
	defer s.Close()
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var left []vfs.FS
	look := func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == errorfs.OpFileSync && op.Path == "data" && len(left) < 60 {
			for seed := range uint64(4) {
				left = append(left, d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(3, seed))}))
			}
		}
		return nil
	}
	d.fail.Store(&look)
	(&tally{}).run(t, l, 1000)
	mu.Lock()
	defer mu.Unlock()
	if len(left) < 20 {
		t.Fatalf("the directory was synced %d times", len(left)/4)
	}
	for _, fs := range left {
		(&tally{}).check(t, fs, id)
	}
}

// With less room left than is kept in reserve, appends are refused early.
func TestReserve(t *testing.T) {
	opts := testOptions(t)
	opts.Reserve = 1 << 62
	s := mustOpen(t, t.TempDir(), opts)
	defer s.Close()
	_, err := eventlog.Open(t.Context(), s, event.LogID{ID: event.NewID()}, eventlog.Options{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("open a log without room: %v", err)
	}
}

// A crash at any moment of a healthy disk loses nothing that was acknowledged.
func TestPowerCut(t *testing.T) {
	d, id := newDisk(), event.LogID{ID: event.NewID()}
	opts := testOptions(t)
	opts.FS, opts.memTable = d.vfs, 256<<10
	s := mustOpen(t, "data", opts)
	defer s.Close()
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	y := &tally{}
	for round := range 6 {
		done := make(chan struct{})
		go func() { y.run(t, l, 100); close(done) }()
		time.Sleep(time.Duration(10*round) * time.Millisecond)
		y.mu.Lock()
		acked := &tally{acked: append([]eventlog.Request(nil), y.acked...)}
		y.mu.Unlock()
		clone := d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 20 * round, RNG: rand.New(rand.NewPCG(2, uint64(round)))})
		acked.check(t, clone, id)
		<-done
	}
}
