package react_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/react"
)

// reader deals with what is sent to it, one after the other, and loses the
// connection again and again.
type reader struct {
	rng  *rand.Rand
	sent []react.Delivery // over this connection, and not dealt with
	last event.Position   // that was dealt with; 0: nothing was, over this connection
	done map[event.Stream][]event.Position
}

// deal deals with some of what was sent, and acknowledges some of that.
func (r *reader) deal(c *react.Cursor) {
	for n := r.rng.IntN(len(r.sent) + 1); n > 0; n-- {
		d := r.sent[0]
		r.sent, r.last = r.sent[1:], d.Record.Position
		r.done[d.Record.Stream] = append(r.done[d.Record.Stream], r.last)
		if r.rng.IntN(3) == 0 {
			c.Done(r.last)
		}
	}
}

// However often a stream breaks, is resumed behind what was dealt with last,
// begun anew without saying where, or rejected in part, with the cursor written
// and read at every step: everything is dealt with, nothing before what is before
// it in its stream.
func TestStreamingLosesNothing(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		letters := make([]byte, 5+rng.IntN(60))
		for i := range letters {
			letters[i] = "abcde"[rng.IntN(5)]
		}
		all := of(string(letters))
		r := &reader{rng: rng, done: map[event.Stream][]event.Position{}}
		c, now := react.Begin(event.LogID{ID: event.ID{1}}, 0), epoch
		retry := react.Retry{Attempts: 1 << 20, First: time.Second, Most: time.Minute}
		for step := 0; ; step++ {
			now = now.Add(time.Second)
			visible := all[:min(len(all), 1+step)] // the log grows meanwhile
			switch rng.IntN(6) {
			case 0: // it breaks, and begins again
				if r.last > 0 && rng.IntN(4) > 0 {
					c.Resume(r.last, now, retry)
				}
				c.Release()
				r.sent, r.last = nil, 0
			case 1: // rejected: what is behind it in its stream comes again, too
				if len(r.sent) > 0 {
					p := r.sent[0].Record.Position
					c.Fail(p, react.Failure{Reason: react.Rejected}, now, 0, retry)
					s := r.sent[0].Record.Stream
					r.sent = slices.DeleteFunc(r.sent, func(d react.Delivery) bool { return d.Record.Stream == s })
				}
			default:
				list, _, err := c.Take(t.Context(), visible, visible.all(), react.Ask{Max: 1 + rng.IntN(6), Window: 1 + rng.IntN(6), Now: now, Until: now.Add(time.Hour), Several: true})
				if err != nil {
					t.Fatal(err)
				}
				r.sent = append(r.sent, list...)
				r.deal(c)
			}
			b, err := c.Encode()
			if err == nil {
				c, err = react.Decode(b)
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if out, waiting, _ := c.Counts(); len(visible) == len(all) && c.Seen == event.Position(len(all)) && out+waiting == 0 && c.Settled() == c.Seen {
				break
			}
			if step > 20_000 {
				t.Fatalf("seed %d does not come to an end", seed)
			}
		}
		r.check(t, seed, all)
	}
}

func (r *reader) check(t *testing.T, seed uint64, all list) {
	want := map[event.Stream][]event.Position{}
	for _, rec := range all {
		want[rec.Stream] = append(want[rec.Stream], rec.Position)
	}
	for s, positions := range want {
		next := 0
		for _, p := range r.done[s] {
			i := slices.Index(positions, p)
			if i > next {
				t.Fatalf("seed %d: %v of %v", seed, r.done[s], positions)
			}
			next = max(next, i+1)
		}
		if next != len(positions) {
			t.Fatalf("seed %d: %v of %v were dealt with", seed, r.done[s], positions)
		}
	}
}
