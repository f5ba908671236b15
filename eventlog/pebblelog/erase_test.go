package pebblelog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
)

// canaries are byte strings that must, or must not, stand in any file.
type canaries map[string][]byte

func (c canaries) addDraft(i int, d *event.Draft, s event.SubjectID) {
	for j, b := range d.Blocks {
		if b.Subject == s {
			c[fmt.Sprintf("ciphertext %d", i)] = d.Ciphertexts[j]
		}
	}
	for _, b := range d.Blind {
		if b.Subject != s {
			continue
		}
		sum := sha256.Sum256([]byte(event.BlindTerm(b.Name, b.Version, b.Value)))
		c[fmt.Sprintf("blind value %d", i)] = b.Value[:]
		c[fmt.Sprintf("blind value in hexadecimal %d", i)] = []byte(hex.EncodeToString(b.Value[:]))
		c[fmt.Sprintf("index key %d", i)] = sum[:digestLen]
	}
}

// found lists the canaries that stand in a file of the directory, whole or by
// any 12 bytes of their middle.
func (c canaries) found(t *testing.T, dir string) (names []string) {
	t.Helper()
	var all []byte
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for name, b := range c {
		if bytes.Contains(all, b) || bytes.Contains(all, b[len(b)/2-6:len(b)/2+6]) {
			names = append(names, name)
		}
	}
	return names
}

// erasable is a log with one person to be erased among others.
type erasable struct {
	*testing.T
	dir      string
	store    *Store
	log      *eventlog.Log
	id       event.LogID
	ada, bob event.SubjectID
	adaKey   event.KeyID
	bobKey   event.KeyID
	gone     canaries
	kept     canaries
	n        int
}

func newErasable(t *testing.T, opts Options) *erasable {
	e := &erasable{T: t, dir: t.TempDir(), id: event.LogID{ID: event.NewID()}, gone: canaries{}, kept: canaries{},
		ada: logtest.NewSubject(), bob: logtest.NewSubject(), adaKey: logtest.NewKey(), bobKey: logtest.NewKey()}
	e.open(opts)
	t.Cleanup(func() { e.close() })
	return e
}

func (e *erasable) open(opts Options) {
	e.Helper()
	e.store = mustOpen(e, e.dir, opts)
	l, err := eventlog.Open(e.Context(), e.store, e.id, eventlog.Options{})
	if err != nil {
		e.Fatal(err)
	}
	e.log = l
}

func (e *erasable) close() {
	e.log.Close()
	if err := e.store.Close(); err != nil {
		e.Error(err)
	}
}

// fill appends n records; every fifth holds something of ada.
func (e *erasable) fill(n int) {
	e.Helper()
	for range n {
		e.n++
		parts := []logtest.Part{logtest.Tags("a:1"), logtest.Sealed(e.bob, e.bobKey, "/note"), logtest.Blind(e.bob, "note", logtest.RandomHash())}
		if e.n%5 == 0 {
			parts = append(parts, logtest.Sealed(e.ada, e.adaKey, "/email", "/name"), logtest.Blind(e.ada, "email", logtest.RandomHash()))
		}
		d := logtest.New(logtest.NewStream("user"), "user.noted", parts...)
		if _, err := e.log.Append(e.Context(), logtest.Request(d)); err != nil {
			e.Fatal(err)
		}
		if e.n%5 == 0 {
			e.gone.addDraft(e.n, d, e.ada)
		} else if e.n%7 == 0 {
			e.kept.addDraft(e.n, d, e.bob)
		}
	}
}

func (e *erasable) erase() {
	e.Helper()
	if there := e.gone.found(e.T, e.dir); len(there) < len(e.gone)/3 {
		e.Fatalf("before: only %d of %d canaries are found; the test is blind", len(there), len(e.gone))
	}
	if _, err := e.log.Append(e.Context(), logtest.Request(logtest.Erasure(e.ada, e.adaKey))); err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.Context(), 20*time.Second)
	defer cancel()
	if err := e.log.Erase(ctx, e.ada, nil); err != nil {
		e.Fatal(err)
	}
	e.mustNotBeFound()
}

func (e *erasable) mustNotBeFound() {
	e.Helper()
	if left := e.gone.found(e.T, e.dir); len(left) > 0 {
		e.Fatalf("still in some file: %d of %d, for example %s", len(left), len(e.gone), left[0])
	}
}

// mustBeGone also checks the whole log, which must stand still.
func (e *erasable) mustBeGone() {
	e.Helper()
	e.mustNotBeFound()
	if err := logtest.Check(e.Context(), e.store, e.id); err != nil {
		e.Fatal(err)
	}
	for r, err := range e.log.Read(e.Context(), event.OfTerm(event.SubjectTerm(e.bob)), 0) {
		if err != nil || r.Ciphertexts[len(r.Ciphertexts)-1] == nil && r.Ciphertexts[0] == nil {
			e.Fatalf("what is another's was lost: %v", err)
		}
	}
}

// Requirement P01: done means that the bytes stand in no file. Whatever state
// the tables are in.
func TestEraseLeavesNoBytes(t *testing.T) {
	states := map[string]func(*erasable){
		"in memory":         func(e *erasable) { e.fill(50) },
		"in one table":      func(e *erasable) { e.fill(50); e.flush() },
		"memory and tables": func(e *erasable) { e.fill(40); e.flush(); e.fill(40); e.flush(); e.fill(30) },
		"lowest level":      func(e *erasable) { e.fill(80); e.compact() },
		"every level": func(e *erasable) {
			e.fill(80)
			e.compact()
			e.fill(40)
			e.flush()
			e.fill(20)
			e.flush()
			e.fill(20)
		},
		"after reopening": func(e *erasable) { e.fill(60); e.close(); e.open(testOptions(e)); e.fill(20) },
	}
	for name, fill := range states {
		t.Run(name, func(t *testing.T) {
			e := newErasable(t, testOptions(t))
			fill(e)
			e.erase()
			e.close()
			e.open(testOptions(t))
			e.mustBeGone()
			if there := e.kept.found(t, e.dir); len(there) < len(e.kept)/3 {
				t.Fatalf("only %d of %d canaries of another are found", len(there), len(e.kept))
			}
		})
	}
}

func (e *erasable) flush() {
	e.Helper()
	if err := e.store.db.Flush(); err != nil {
		e.Fatal(err)
	}
}

func (e *erasable) compact() {
	e.Helper()
	e.flush()
	if err := e.store.db.Compact(e.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		e.Fatal(err)
	}
}

// With small tables, compactions under way, appends and readers going on.
func TestEraseUnderLoad(t *testing.T) {
	opts := testOptions(t)
	opts.memTable = 256 << 10
	e := newErasable(t, opts)
	e.fill(1000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var once sync.Once
	end := func() { once.Do(func() { close(stop) }); wg.Wait() }
	t.Cleanup(end)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(e.bob, e.bobKey, "/x")))
				if _, err := e.log.Append(t.Context(), r); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			for _, err := range e.log.Read(t.Context(), event.Everything(), 0) {
				if err != nil {
					t.Errorf("read: %v", err)
				}
			}
		}
	})
	e.erase()
	end()
	e.mustBeGone()
}

// An erasure that a reader holds up says so, and is finished by repeating it:
// also in the next life of the process.
func TestEraseHeldUp(t *testing.T) {
	e := newErasable(t, testOptions(t))
	e.fill(100)
	e.compact()
	it, err := e.store.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	it.First()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := e.store.Erase(ctx, e.id, e.ada, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("erase while a reader holds the files: %v", err)
	}
	if len(e.gone.found(t, e.dir)) == 0 {
		t.Fatal("the reader held nothing; the test is blind")
	}
	it.Close()
	e.close()
	e.open(testOptions(t))
	if err := e.store.Erase(t.Context(), e.id, e.ada, nil); err != nil {
		t.Fatal(err)
	}
	e.mustBeGone()
}
