package react_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/faultlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/react"
)

// world is a log with events of some streams, one of which is poisoned.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	log     *eventlog.Log
	streams []event.Stream

	mu     sync.Mutex
	wanted map[event.Stream][]event.Position // that match, in order
	done   map[event.Stream][]event.Position // settled by the receiver, in order, with repetitions
	poison map[event.Position]bool
	busy   map[event.Stream]int
}

func newWorld(t *testing.T, rng *rand.Rand, store eventlog.Store) *world {
	l, err := eventlog.Open(t.Context(), store, event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rng: rng, log: l, wanted: map[event.Stream][]event.Position{}, done: map[event.Stream][]event.Position{},
		poison: map[event.Position]bool{}, busy: map[event.Stream]int{}}
	for range 3 + rng.IntN(6) {
		w.streams = append(w.streams, logtest.NewStream("order"))
	}
	return w
}

// grow appends some events. Of every type but thing.ignored is wanted.
func (w *world) grow(n int) {
	for range n {
		s := w.streams[w.rng.IntN(len(w.streams))]
		typ := []string{"thing.done", "thing.undone", "thing.ignored"}[w.rng.IntN(3)]
		got, err := w.log.Append(context.Background(), logtest.Request(logtest.New(s, typ)))
		if err != nil {
			w.t.Fatal(err)
		}
		if typ != "thing.ignored" {
			w.mu.Lock()
			w.wanted[s] = append(w.wanted[s], got.First)
			w.poison[got.First] = w.rng.IntN(25) == 0
			w.mu.Unlock()
		}
	}
}

func (w *world) selection() react.Selection {
	q := event.Query{{Types: []string{"thing.done", "thing.undone"}}}
	return react.Selection{Query: q, Upto: w.log.Mark().Size, Matches: func(r *event.Record) bool { return r.Type != "thing.ignored" }}
}

// next is the first event of a stream that the receiver has not settled.
func (w *world) next(s event.Stream) event.Position {
	for _, p := range w.wanted[s] {
		if !slices.Contains(w.done[s], p) {
			return p
		}
	}
	return 0
}

// receive is what the receiver does: it fails sometimes, always for what is
// poison, and checks what is promised of each stream.
func (w *world) receive(ctx context.Context, d react.Delivery) error {
	s, p := d.Record.Stream, d.Record.Position
	w.mu.Lock()
	w.busy[s]++
	if w.busy[s] > 1 {
		w.t.Errorf("two events of %s are out at once", s)
	}
	if next := w.next(s); p > next && next > 0 {
		w.t.Errorf("%d of %s was handed out before %d was settled", p, s, next)
	}
	pause, fails := time.Duration(w.rng.IntN(300))*time.Millisecond, w.poison[p] || w.rng.IntN(4) == 0
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.busy[s]--; w.mu.Unlock() }()
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fails {
		return &react.Refusal{Failure: react.Failure{Reason: react.Answered, Status: 500}}
	}
	w.mu.Lock()
	w.done[s] = append(w.done[s], p)
	w.mu.Unlock()
	return nil
}

var retry = react.Retry{Attempts: 12, First: 50 * time.Millisecond, Most: 2 * time.Second, Jitter: rand.Float64}

func (w *world) pump(plan func(*react.Cursor) error) *react.Pump {
	p := &react.Pump{Book: react.Book{Log: w.log, Name: "subscription/test"}, Send: w.receive}
	p.Plan = func(_ context.Context, c *react.Cursor) (react.Job, error) {
		return react.Job{Selection: w.selection(), Retry: retry, Max: 4, Window: 5}, plan(c)
	}
	return p
}

// Whatever fails and however often the pump is killed: each event that matches
// is delivered at least once, those of a stream in order, and what is poisoned is
// a dead letter that holds up its own stream only; discarded, the rest of it
// comes. (E20, P14)
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { loseNothing(t, seed) }) })
	}
}

func loseNothing(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, rng, memlog.New())
	defer w.log.Close()
	w.grow(rng.IntN(60))
	var mend map[event.Position]bool // to be discarded, or redriven
	pump := w.pump(func(c *react.Cursor) error {
		for p, redrive := range mend {
			if redrive {
				c.Redrive(p)
			} else {
				c.Discard(p)
			}
		}
		return nil
	})
	for range 1 + rng.IntN(8) { // killed so often
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(4000))*time.Millisecond)
		ended := make(chan error)
		go func() { ended <- pump.Run(ctx) }()
		w.grow(rng.IntN(30))
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	// Half of the dead letters are given up, the other half mended and tried anew;
	// those that come up meanwhile, too.
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := pump.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
		c, _, err := pump.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mend = map[event.Position]bool{}
		for _, l := range c.Dead() {
			if l.Attempts != retry.Attempts || l.Failure.Status != 500 {
				t.Fatalf("a dead letter after %d attempts: %v", l.Attempts, l.Failure)
			}
			mend[l.Position] = l.Position%2 == 0
			if w.poison[l.Position] = false; !mend[l.Position] {
				w.done[l.Stream] = append(w.done[l.Stream], l.Position)
			}
		}
		if out, waiting, dead := c.Counts(); out+waiting+dead == 0 && c.Seen == w.log.Mark().Size {
			break
		}
	}
	for s, list := range w.wanted {
		for _, p := range list {
			if !slices.Contains(w.done[s], p) {
				t.Errorf("%d of %s was lost", p, s)
			}
		}
		if !slices.IsSorted(w.done[s]) { // it was killed: some came twice, one after the other
			t.Errorf("%s: %v", s, w.done[s])
		}
	}
}

// A poisoned event holds up its own stream, and only that.
func TestADeadLetterHoldsUpItsOwnStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rand.New(rand.NewPCG(1, 1)), memlog.New())
		defer w.log.Close()
		w.grow(200)
		bad := w.streams[0]
		for p := range w.poison {
			w.poison[p] = p == w.wanted[bad][1]
		}
		var redrive event.Position
		pump := w.pump(func(c *react.Cursor) error { c.Redrive(redrive); return nil })
		run := func() *react.Cursor {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			pump.Run(ctx)
			c, _, err := pump.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := run()
		if dead := c.Dead(); len(dead) != 1 || dead[0].Position != w.wanted[bad][1] || dead[0].Stream != bad || c.Settled() != c.Seen {
			t.Fatalf("dead letters: %v; settled up to %d of %d", dead, c.Settled(), c.Seen)
		}
		for _, s := range w.streams {
			want := w.wanted[s]
			if s == bad {
				want = want[:1]
			}
			if !slices.Equal(w.done[s], want) {
				t.Errorf("%s: %v, want %v", s, w.done[s], want)
			}
		}
		redrive = w.wanted[bad][1]
		w.poison[redrive] = false
		if c = run(); len(c.Dead()) != 0 || !slices.Equal(w.done[bad], w.wanted[bad]) {
			t.Errorf("mended and redriven: %v, want %v", w.done[bad], w.wanted[bad])
		}
	})
}

// What was under way when a subscriber was rewound says nothing of what is handed
// out again: that fails, and is tried again.
func TestRewoundWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rand.New(rand.NewPCG(3, 3)), memlog.New())
		defer w.log.Close()
		add := func() event.Position {
			got, err := w.log.Append(t.Context(), logtest.Request(logtest.New(w.streams[0], "thing.done")))
			if err != nil {
				t.Fatal(err)
			}
			return got.First
		}
		first := add()
		rewind, again := false, make(chan struct{})
		pump := w.pump(func(c *react.Cursor) error {
			if rewind {
				c.Rewind(0)
			}
			rewind = false
			return nil
		})
		var mu sync.Mutex
		var ends []string
		pump.Send = func(ctx context.Context, d react.Delivery) (err error) {
			mu.Lock()
			defer mu.Unlock()
			if d.Record.Position != first {
				return nil
			}
			switch ends = slices.Concat(ends, []string{""}); len(ends) {
			case 1: // is under way until the second begins, and then says that all is well
				rewind = true
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-again:
				}
				mu.Lock()
			case 2:
				close(again)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				return errors.New("not yet")
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- pump.Run(ctx) }()
		synctest.Wait()
		add() // has the pump ask what is to be done
		<-done
		if len(ends) != 3 {
			t.Errorf("it was sent %d times, want 3: the one that was under way, one that fails, one that does not", len(ends))
		}
	})
}

// Two nodes that pump at once do not both go on: whoever keeps the cursor second
// is refused.
func TestOneOfTwoPumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rand.New(rand.NewPCG(2, 2)), memlog.New())
		defer w.log.Close()
		w.grow(50)
		w.poison = map[event.Position]bool{}
		one, two := w.pump(func(*react.Cursor) error { return nil }), w.pump(func(*react.Cursor) error { return nil })
		one.Send = func(context.Context, react.Delivery) error { time.Sleep(time.Second); return nil }
		two.Send = one.Send
		errs := make(chan error, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, p := range []*react.Pump{one, two} {
			go func() { errs <- p.Run(ctx) }()
		}
		first, second := <-errs, <-errs
		if !errors.Is(first, eventlog.ErrCursorMoved) || !errors.Is(second, context.DeadlineExceeded) {
			t.Errorf("they end with %v and %v", first, second)
		}
	})
}

// A store that fails, or does not say what it did, stops the pump; whether it
// kept what it was given or not, nothing is lost.
func TestAStoreThatFails(t *testing.T) {
	for _, how := range []faultlog.Failure{faultlog.Refuse, faultlog.Lose, faultlog.Keep} {
		synctest.Test(t, func(t *testing.T) {
			script := faultlog.Scripted()
			for n := range 10 {
				script.At(faultlog.Cursor, 1+3*n, how)
			}
			w := newWorld(t, rand.New(rand.NewPCG(3, 3)), faultlog.New(memlog.New(), script))
			defer w.log.Close()
			w.grow(60)
			w.poison = map[event.Position]bool{}
			pump := w.pump(func(*react.Cursor) error { return nil })
			for range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				pump.Run(ctx) //nolint:errcheck // it fails as it is made to
				cancel()
			}
			for s, list := range w.wanted {
				if got := slices.Compact(slices.Clone(w.done[s])); !slices.Equal(got, list) {
					t.Errorf("%v: %s got %v, want %v", how, s, w.done[s], list)
				}
			}
			if script.Met() < 5 {
				t.Errorf("only %d writes failed", script.Met())
			}
		})
	}
}
