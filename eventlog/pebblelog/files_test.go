package pebblelog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
)

// One process has the directory; the other is told so.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, testOptions(t))
	defer s.Close()
	for name, open := range map[string]func(string, Options) (*Store, error){"open": Open, "read only": OpenReadOnly} {
		if _, err := open(dir, testOptions(t)); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "another process has this data directory open") {
			t.Errorf("%s, a second time: %v", name, err)
		}
	}
}

// A snapshot of a running store is consistent and can be read beside it; what
// comes later is not in it.
func TestSnapshot(t *testing.T) {
	e := newErasable(t, testOptions(t))
	e.fill(300)
	dest := filepath.Join(t.TempDir(), "snapshot")
	if err := e.store.Snapshot(dest); err != nil {
		t.Fatal(err)
	}
	mark := e.log.Mark()
	e.fill(20)
	if err := e.store.Snapshot(dest); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a snapshot over another: %v", err)
	}
	before := listing(t, dest)
	s, err := OpenReadOnly(dest, testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if h, err := s.Head(t.Context(), e.id); err != nil || h.Size != mark.Size || h.Root() != mark.Root {
		t.Fatalf("the snapshot's head is %+v, %v; want %+v", h, err, mark)
	}
	if err := logtest.Check(t.Context(), s, e.id); err != nil {
		t.Fatal(err)
	}
	if _, err := eventlog.Open(t.Context(), s, e.id, eventlog.Options{}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("taking a log of a store that is open for reading: %v", err)
	}
	if err := s.Erase(t.Context(), e.id, e.ada, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("erasing in a store that is open for reading: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := listing(t, dest); after != before {
		t.Fatalf("reading changed the files:\n%s\n%s", before, after)
	}
	if _, err := OpenReadOnly(t.TempDir(), testOptions(t)); !fault.Is(err, fault.NotFound) {
		t.Fatalf("reading a store that is not there: %v", err)
	}
	if _, err := OpenReadOnly(filepath.Join(t.TempDir(), "no"), testOptions(t)); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.NotFound) {
		t.Fatalf("reading a directory that is not there: %v", err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && e.Name() != "LOCK" {
			b.WriteString(e.Name() + " " + i.ModTime().String() + "\n")
		}
	}
	return b.String()
}

// Damage in a table is named by position; nothing else is given for it.
func TestDamagedTable(t *testing.T) {
	e := newErasable(t, testOptions(t))
	e.fill(400)
	e.compact()
	e.log.Close()
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(e.dir, "*.sst"))
	met := 0
	for _, name := range tables {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(good); at += len(good)/40 + 1 {
			bad := append([]byte(nil), good...)
			bad[at] ^= 0x40
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			met += readDamaged(t, e.dir, e.id)
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if met == 0 {
		t.Fatal("no damage was met; the test is blind")
	}
	e.open(testOptions(t))
}

// readDamaged returns 1 if reading all records failed, as it should.
func readDamaged(t *testing.T, dir string, id event.LogID) int {
	t.Helper()
	s, err := OpenReadOnly(dir, Options{Reserve: -1})
	if err != nil {
		if !fault.Is(err, fault.Corrupt) {
			t.Fatalf("opening damaged files: %v", err)
		}
		return 1
	}
	defer s.Close()
	next := event.Position(1)
	for r, err := range s.Records(t.Context(), id, 1, 400) {
		if err != nil {
			if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "position") {
				t.Fatalf("reading a damaged record: %v", err)
			}
			return 1
		}
		if r.Position != next {
			t.Fatalf("read position %d, want %d", r.Position, next)
		}
		next++
	}
	if next != 401 {
		t.Fatalf("reading ended at %d without an error", next-1)
	}
	return 0
}

// A write-ahead log that was damaged is refused; one whose end is torn, as a
// power cut leaves it, is read up to there.
func TestDamagedWriteAheadLog(t *testing.T) {
	e := newErasable(t, testOptions(t))
	e.fill(50)
	e.log.Close()
	wal := e.wal()
	whole, err := os.ReadFile(wal)
	if err != nil {
		t.Fatal(err)
	}
	// A copy as it is while the process runs, not as closing leaves it.
	copied := filepath.Join(t.TempDir(), "copy")
	if err := e.store.Snapshot(copied); err != nil {
		t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(copied, "*.log"))
	if len(logs) != 1 {
		t.Fatalf("write-ahead logs of the copy: %v", logs)
	}
	used := len(whole)
	for used > 0 && whole[used-1] == 0 {
		used--
	}
	refused := 0
	for _, at := range []int{100, used / 4, used / 2, used * 3 / 4} {
		bad := append([]byte(nil), whole...)
		bad[at] ^= 1
		if err := os.WriteFile(logs[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenReadOnly(copied, Options{Reserve: -1})
		if err == nil {
			t.Errorf("damage at byte %d of %d was taken for a torn end", at, used)
			s.Close()
			continue
		}
		if !fault.Is(err, fault.Corrupt) {
			t.Errorf("damage at byte %d: %v", at, err)
		}
		refused++
	}
	if err := os.WriteFile(logs[0], whole[:used-100], 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenReadOnly(copied, testOptions(t))
	if err != nil {
		t.Fatalf("a torn end: %v", err)
	}
	defer s.Close()
	if h, err := s.Head(t.Context(), e.id); err != nil || h.Size != 49 {
		t.Fatalf("after a torn end the head is %+v, %v; want size 49", h, err)
	}
	if err := logtest.Check(t.Context(), s, e.id); err != nil {
		t.Fatal(err)
	}
	e.open2()
}

func (e *erasable) wal() string {
	e.Helper()
	logs, _ := filepath.Glob(filepath.Join(e.dir, "*.log"))
	if len(logs) == 0 {
		e.Fatal("no write-ahead log")
	}
	return logs[len(logs)-1]
}

// open2 opens the log again on the store that is open.
func (e *erasable) open2() {
	e.Helper()
	l, err := eventlog.Open(e.Context(), e.store, e.id, eventlog.Options{})
	if err != nil {
		e.Fatal(err)
	}
	e.log = l
}
