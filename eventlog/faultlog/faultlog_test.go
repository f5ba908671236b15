package faultlog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/faultlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
)

// Without failures the wrapper is an engine like any other.
func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T) (eventlog.Store, func() eventlog.Store) {
		s := faultlog.New(memlog.New(), faultlog.Scripted())
		return s, func() eventlog.Store { return s }
	})
}

// history is a fixed run of one client: every append is repeated until its
// outcome is known. Since drafts and clock are fixed, what is stored in the
// end must be the same bytes, whatever failed on the way.
type history struct {
	id       event.LogID
	requests []eventlog.Request
	ada      event.SubjectID
}

func newHistory() *history {
	h := &history{id: event.LogID{ID: event.NewID()}, ada: logtest.NewSubject()}
	key, email := logtest.NewKey(), logtest.RandomHash()
	claim := event.Condition{Query: event.OfTerm(event.BlindTerm("email", 1, email))}
	stream := logtest.NewStream("user")
	add := func(c event.Condition, events ...*event.Draft) {
		h.requests = append(h.requests, logtest.If(c, events...))
	}
	add(claim, logtest.New(stream, "user.made", logtest.Sealed(h.ada, key, "/email"), logtest.Blind(h.ada, "email", email)))
	add(claim, logtest.New(logtest.NewStream("user"), "user.made")) // refused: the address is taken
	add(event.Condition{Streams: map[event.Stream]uint64{stream: 1}}, logtest.New(stream, "user.noted"), logtest.New(stream, "user.noted"))
	for range 3 {
		add(event.Condition{}, logtest.New(logtest.NewStream("org"), "org.named", logtest.Tags("org:1")))
	}
	add(event.Condition{Query: event.OfStream(stream), After: 3}, logtest.Erasure(h.ada, key))
	return h
}

// run plays the history on a store and returns the mark that it ends with.
func (h *history) run(t *testing.T, s eventlog.Store) eventlog.Mark {
	t.Helper()
	now := time.UnixMicro(1_800_000_000_000_000) // one instant, so that the bytes are the same
	opts := eventlog.Options{Clock: func() time.Time { return now }, Window: 2}
	l := until(t, "open", func() (*eventlog.Log, error) { return eventlog.Open(t.Context(), s, h.id, opts) })
	defer l.Close()
	for i, r := range h.requests {
		for attempt := 0; ; attempt++ {
			_, err := l.Append(t.Context(), r)
			if fault.Is(err, fault.Conflict) && i == 1 {
				break
			}
			if err == nil {
				break
			}
			if attempt > 100 || !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
				t.Fatalf("append %d: %v", i, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if i == 3 { // reopen in the middle
			l.Close()
			l = until(t, "open again", func() (*eventlog.Log, error) { return eventlog.Open(t.Context(), s, h.id, opts) })
		}
	}
	until(t, "checkpoint", func() (int, error) { return 0, s.PutCheckpoint(t.Context(), h.id, l.Mark().Size, []byte("note")) })
	until(t, "cursor", func() (int, error) { return 0, s.PutCursor(t.Context(), h.id, "mail", []byte("7")) })
	until(t, "erase", func() (int, error) { return 0, l.Erase(t.Context(), h.ada, nil) })
	until(t, "read", func() (int, error) { return h.read(t.Context(), l) })
	return l.Mark()
}

func (h *history) read(ctx context.Context, l *eventlog.Log) (n int, err error) {
	for _, q := range []event.Query{event.Everything(), event.OfTerm(event.TagTerm("org:1"))} {
		n = 0
		for r, err := range l.Read(ctx, q, 0) {
			if err != nil {
				return n, err
			}
			if len(r.Ciphertexts) > 0 && r.Ciphertexts[0] != nil {
				return n, errors.New("a ciphertext was not erased")
			}
			n++
		}
	}
	if n != 3 {
		return n, fmt.Errorf("read %d records of a tag, want 3", n)
	}
	return n, nil
}

func until[V any](t *testing.T, what string, do func() (V, error)) V {
	t.Helper()
	for attempt := 0; ; attempt++ {
		v, err := do()
		if err == nil {
			return v
		}
		if attempt > 50 || !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond) // the sequencer lets a failing store rest
	}
}

// At each effect point, each kind of failure; afterwards the log is what it
// would have been.
func TestEveryFailureAtEveryPoint(t *testing.T) {
	h := newHistory()
	calm := faultlog.Scripted()
	want := h.run(t, faultlog.New(memlog.New(), calm))
	if want.Size != 7 {
		t.Fatalf("the history has %d records, want 7", want.Size)
	}
	for _, p := range faultlog.Points {
		n := calm.Count(p)
		if n == 0 {
			t.Errorf("the history has no %s", p)
		}
		for i := 1; i <= n; i++ {
			for _, f := range []faultlog.Failure{faultlog.Refuse, faultlog.Lose, faultlog.Keep} {
				t.Run(fmt.Sprintf("%s/%d/%s", p, i, f), func(t *testing.T) {
					t.Parallel()
					plan := faultlog.Scripted().At(p, i, f)
					s := faultlog.New(memlog.New(), plan)
					got := h.run(t, s)
					if plan.Met() != 1 {
						t.Fatalf("%d failures took place, want 1", plan.Met())
					}
					h.check(t, s, got, want)
				})
			}
		}
	}
}

func (h *history) check(t *testing.T, s *faultlog.Store, got, want eventlog.Mark) {
	t.Helper()
	if err := errors.Join(s.Err(), logtest.Check(t.Context(), s.Inner(), h.id)); err != nil {
		t.Fatal(err)
	}
	if got.Size != want.Size || got.Root != want.Root {
		t.Fatalf("the log ended with %d records and root %s, without the failure with %d and %s", got.Size, got.Root, want.Size, want.Root)
	}
	for i, r := range h.requests {
		_, ok, err := s.Inner().Outcome(t.Context(), h.id, r.Actor, r.Command)
		if err != nil || ok == (i == 1) {
			t.Fatalf("the outcome of append %d: %v, %v", i, ok, err)
		}
	}
}

// Two failures in a row, at the commit and at what follows it.
func TestFailuresInARow(t *testing.T) {
	h := newHistory()
	want := h.run(t, faultlog.New(memlog.New(), faultlog.Scripted()))
	for _, first := range []faultlog.Failure{faultlog.Refuse, faultlog.Lose, faultlog.Keep} {
		for _, second := range []faultlog.Failure{faultlog.Refuse, faultlog.Lose, faultlog.Keep} {
			for commit := 1; commit <= 6; commit++ {
				t.Run(fmt.Sprintf("%s, then %s/%d", first, second, commit), func(t *testing.T) {
					t.Parallel()
					plan := faultlog.Scripted().At(faultlog.Commit, commit, first).At(faultlog.Commit, commit+1, second).
						At(faultlog.Take, 2, second).At(faultlog.Take, 3, first)
					s := faultlog.New(memlog.New(), plan)
					h.check(t, s, h.run(t, s), want)
				})
			}
		}
	}
}

// Many clients at once while everything fails now and then: what was
// acknowledged is there once, what was refused is not, what is unknown becomes
// known by repeating. MUNIMENT_FAULT_SEEDS is how many runs.
func TestManyClients(t *testing.T) {
	seeds := uint64(30)
	if v := os.Getenv("MUNIMENT_FAULT_SEEDS"); v != "" {
		fmt.Sscan(v, &seeds)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("memory/", seed), func(t *testing.T) { t.Parallel(); storm(t, memlog.New(), seed) })
	}
	t.Run("pebble", func(t *testing.T) {
		s, err := pebblelog.Open(t.TempDir(), pebblelog.Options{Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		storm(t, s, seeds)
	})
}

func storm(t *testing.T, inner eventlog.Store, seed uint64) {
	plan := faultlog.Seeded(seed, map[faultlog.Point]float64{faultlog.Commit: 0.2, faultlog.Take: 0.2, faultlog.Read: 0.01})
	s := faultlog.New(inner, plan)
	id := event.LogID{ID: event.NewID()}
	opts := eventlog.Options{Window: 16, Batch: 4}
	l := until(t, "open", func() (*eventlog.Log, error) { return eventlog.Open(t.Context(), s, id, opts) })
	defer l.Close()
	var mu sync.Mutex
	var acked, refused, unknown []eventlog.Request
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			stream, version := logtest.NewStream("user"), uint64(0)
			for range 25 {
				r := logtest.Request(logtest.New(stream, "user.noted", logtest.Tags("all:1")), logtest.New(stream, "user.noted"))
				_, err := l.Append(t.Context(), r)
				mu.Lock()
				switch {
				case err == nil:
					acked = append(acked, r)
					version += 2
				case fault.Is(err, fault.Unavailable):
					refused = append(refused, r)
				case fault.Is(err, fault.Unknown):
					unknown = append(unknown, r)
				default:
					t.Errorf("append: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	plan.Heal()
	for _, r := range unknown {
		until(t, "repeat", func() (eventlog.Appended, error) { return l.Append(t.Context(), r) })
	}
	for _, r := range refused {
		if _, ok, err := l.Outcome(t.Context(), r.Actor, r.Command, r.Digest); ok || err != nil {
			t.Fatalf("an append that was refused is stored: %v", err)
		}
	}
	for _, r := range acked {
		if _, ok, err := l.Outcome(t.Context(), r.Actor, r.Command, r.Digest); !ok || err != nil {
			t.Fatalf("an append that was acknowledged is lost: %v", err)
		}
	}
	if want := event.Position(2 * (len(acked) + len(unknown))); l.Mark().Size != want {
		t.Fatalf("the log has %d records, want %d", l.Mark().Size, want)
	}
	if err := errors.Join(s.Err(), logtest.Check(t.Context(), inner, id)); err != nil {
		t.Fatal(err)
	}
	if len(unknown) == 0 || len(refused) == 0 || len(acked) == 0 {
		t.Logf("seed %d: %d acknowledged, %d refused, %d unknown", seed, len(acked), len(refused), len(unknown))
	}
}

// The witness is not blind: it notes what it is there to note.
func TestWitness(t *testing.T) {
	inner := memlog.New()
	s := faultlog.New(inner, faultlog.Scripted())
	id := event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for range s.Records(t.Context(), id, 1, 2) {
	}
	if s.Err() == nil {
		t.Fatal("a read past the mark was not noted")
	}
}
