package pebblelog

import (
	"encoding/binary"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
)

// A filter never denies what was added, and rarely affirms what was not.
func TestFilter(t *testing.T) {
	const n = 20_000
	f := newFilter(n)
	k := func(i uint64) []byte { return binary.BigEndian.AppendUint64([]byte("key"), i) }
	for i := range uint64(n) {
		f.add(k(i))
	}
	wrong := 0
	for i := range uint64(n) {
		if !f.has(k(i)) {
			t.Fatalf("key %d was added and is denied", i)
		}
		if f.has(k(n + i)) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Fatalf("%d of %d keys that were not added are affirmed", wrong, n)
	}
}

// Filters that are made and grow while appends go on deny nothing that is
// stored: every command repeated then is known, every blind tag finds its record,
// and hardly another is searched for.
func TestFilterGrowsBesideAppends(t *testing.T) {
	opts := testOptions(t)
	opts.filterAfter, opts.filterRoom, opts.memTable = 10, 16, 256<<10
	s := mustOpen(t, t.TempDir(), opts)
	defer s.Close()
	id := event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var all []eventlog.Request
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 {
				subject := logtest.NewSubject()
				r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(subject, logtest.NewKey(), "/a"), logtest.Blind(subject, "email", logtest.RandomHash())))
				if _, err := l.Append(t.Context(), r); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				all = append(all, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	f := s.state(id).exists.ready.Load()
	if f == nil || f.room < 1000 {
		t.Fatalf("the filter did not grow: %+v", f)
	}
	for _, r := range all {
		if a, err := l.Append(t.Context(), r); err != nil || !a.Replayed {
			t.Fatalf("a command that was carried out is not known: %+v, %v", a, err)
		}
	}
	if err := logtest.Check(t.Context(), s, id); err != nil { // asks for every term of every record
		t.Fatal(err)
	}
	searched := 0
	for range 1000 {
		if !s.unknown(id, event.BlindTerm("email", 1, logtest.RandomHash())) {
			searched++
		}
	}
	if searched > 50 {
		t.Fatalf("%d of 1000 blind tags that nobody has are searched for", searched)
	}
}
