package react_test

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/react"
)

// list is a log of records that lie in memory; record p is list[p-1].
type list []*event.Record

// ReadTo implements react.Reader.
func (l list) ReadTo(_ context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for _, r := range l[min(after, upto):upto] {
			if q.Matches(r.Type, r.Terms()) && !yield(r, nil) {
				return
			}
		}
	}
}

// Record implements react.Reader.
func (l list) Record(_ context.Context, p event.Position) (*event.Record, error) { return l[p-1], nil }

// of makes a log of one record for each letter, in the stream that it names.
func of(letters string) (l list) {
	for i := range len(letters) {
		l = append(l, &event.Record{Position: event.Position(i + 1), Type: "thing.done", Stream: event.Stream{Kind: "thing", ID: event.ID{letters[i]}}})
	}
	return l
}

func (l list) all() react.Selection {
	return react.Selection{Query: event.Everything(), Upto: event.Position(len(l)), Matches: func(*event.Record) bool { return true }}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// take hands out, and answers the positions.
func take(t *testing.T, c *react.Cursor, l list, a react.Ask) (out []event.Position) {
	t.Helper()
	if a.Until.IsZero() {
		a.Until = epoch.Add(time.Minute)
	}
	if a.Now.IsZero() {
		a.Now = epoch
	}
	if a.Window == 0 {
		a.Window = 100
	}
	got, _, err := c.Take(t.Context(), l, l.all(), a)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		out = append(out, d.Record.Position)
	}
	return out
}

func want(t *testing.T, what string, got []event.Position, want ...event.Position) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var twice = react.Retry{Attempts: 2, First: time.Second, Most: time.Minute}

// One event of each stream is out at a time; what was settled goes on, what
// failed waits, what nobody answered for is taken back.
func TestOneOfEachStream(t *testing.T) {
	l := of("aabab")
	c := react.Begin(event.LogID{}, 0)
	want(t, "at first", take(t, c, l, react.Ask{Max: 10}), 1, 3)
	want(t, "while they are out", take(t, c, l, react.Ask{Max: 10}))
	if !c.Done(1) || c.Done(1) || c.Done(2) {
		t.Error("an event is settled once, by who has it")
	}
	want(t, "behind 1", take(t, c, l, react.Ask{Max: 10}), 2)
	c.Fail(3, react.Failure{Reason: react.Rejected}, epoch, 0, twice)
	want(t, "before its time", take(t, c, l, react.Ask{Max: 10, Now: epoch.Add(999 * time.Millisecond)}))
	want(t, "3 again", take(t, c, l, react.Ask{Max: 10, Now: epoch.Add(time.Second)}), 3)
	if c.Settled() != 1 {
		t.Errorf("settled up to %d", c.Settled())
	}
	c.Done(3)
	c.Expire(epoch.Add(time.Minute), twice)
	want(t, "2 was taken back", take(t, c, l, react.Ask{Max: 10, Now: epoch.Add(2 * time.Minute), Until: epoch.Add(3 * time.Minute)}), 2, 5)
	c.Expire(epoch.Add(3*time.Minute), react.Retry{Attempts: 2})
	if dead := c.Dead(); len(dead) != 1 || dead[0].Position != 2 || dead[0].Attempts != 2 || dead[0].Failure.Reason != react.TimedOut {
		t.Errorf("dead letters: %v", dead)
	}
	c.Done(5)
	want(t, "4 behind a dead letter", take(t, c, l, react.Ask{Max: 10, Now: epoch.Add(time.Hour), Until: epoch.Add(2 * time.Hour)}), 5)
	if c.Discard(4) || !c.Discard(2) || c.Redrive(2) {
		t.Error("what is no dead letter was discarded")
	}
	want(t, "behind what was discarded", take(t, c, l, react.Ask{Max: 10, Now: epoch.Add(time.Hour), Until: epoch.Add(2 * time.Hour)}), 4)
}

// Streams that do not get on keep a bounded number of others from being begun.
func TestWindow(t *testing.T) {
	l := of("abcdefab")
	c := react.Begin(event.LogID{}, 0)
	want(t, "two streams", take(t, c, l, react.Ask{Max: 10, Window: 2}), 1, 2)
	want(t, "no third", take(t, c, l, react.Ask{Max: 10, Window: 2}))
	c.Done(1)
	want(t, "a third", take(t, c, l, react.Ask{Max: 10, Window: 2}), 3)
	if c.Seen != 3 {
		t.Errorf("looked at %d", c.Seen)
	}
}

// Who takes a stream of events in the order in which they are sent gets several
// of one stream, and settles by the last: whatever was sent before it.
func TestResume(t *testing.T) {
	l := of("aabab")
	c := react.Begin(event.LogID{}, 0)
	want(t, "everything", take(t, c, l, react.Ask{Max: 10, Several: true}), 1, 2, 3, 4, 5)
	c.Resume(3, epoch, twice)
	want(t, "behind 3", take(t, c, l, react.Ask{Max: 10, Several: true}), 4, 5)
	c.Resume(0, epoch, twice)
	if dead := c.Dead(); len(dead) != 1 || dead[0].Position != 4 {
		t.Fatalf("what breaks the receiver again and again: %v", dead)
	}
	want(t, "the other stream", take(t, c, l, react.Ask{Max: 10, Several: true}), 5)
	c.Resume(5, epoch, twice)
	c.Redrive(4)
	l = append(l, of("aabab?a")[6:]...)
	l[5].Position = 6
	want(t, "redriven, an old one comes after new ones", take(t, c, l, react.Ask{Max: 1, Several: true}), 4)
	c.Done(4)
	want(t, "and then", take(t, c, l, react.Ask{Max: 10, Several: true}), 6)
}

// An event that was not acknowledged is not taken for settled because a later
// one, sent before it, was.
func TestResumeByTheOrderOfSending(t *testing.T) {
	l := of("ab")
	c := react.Begin(event.LogID{}, 0)
	take(t, c, l, react.Ask{Max: 2, Several: true})
	c.Fail(1, react.Failure{Reason: react.Rejected}, epoch, 0, react.Retry{Attempts: 9})
	want(t, "1 is sent after 2", take(t, c, l, react.Ask{Max: 2, Several: true}), 1)
	c.Resume(2, epoch, react.Retry{Attempts: 9})
	want(t, "1 again", take(t, c, l, react.Ask{Max: 2, Several: true}), 1)
}

// Rewound, everything comes again and says that it may have been there before.
func TestRewind(t *testing.T) {
	l := of("abab")
	c := react.Begin(event.LogID{}, 0)
	for range 2 {
		for _, p := range take(t, c, l, react.Ask{Max: 10}) {
			c.Done(p)
		}
	}
	c.Rewind(2)
	l = append(l, of("ababa")[4])
	got, _, err := c.Take(t.Context(), l, l.all(), react.Ask{Max: 10, Window: 10, Now: epoch, Until: epoch.Add(time.Minute)})
	if err != nil || len(got) != 2 || !got[0].Repeat || got[0].Record.Position != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	c.Done(3)
	got, _, _ = c.Take(t.Context(), l, l.all(), react.Ask{Max: 10, Window: 10, Now: epoch, Until: epoch.Add(time.Minute)})
	if len(got) != 1 || got[0].Repeat {
		t.Errorf("the first that was not there before: %v", got)
	}
}

// Pauses double up to a bound, are no shorter than asked for, and differ.
func TestPauses(t *testing.T) {
	l := of("a")
	after := func(failures int, asked time.Duration, jitter func() float64) time.Duration {
		c, r := react.Begin(event.LogID{}, 0), react.Retry{Attempts: 99, First: time.Second, Most: time.Minute, Jitter: jitter}
		for range failures {
			take(t, c, l, react.Ask{Max: 1, Now: epoch.Add(time.Hour)})
			c.Fail(1, react.Failure{}, epoch, asked, r)
		}
		return c.Next().Sub(epoch)
	}
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 7: time.Minute, 60: time.Minute} {
		if got := after(failures, 0, nil); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
	if got := after(1, 5*time.Second, nil); got != 5*time.Second {
		t.Errorf("the receiver asked for 5 s: %v", got)
	}
	if got := after(1, time.Hour, nil); got != time.Minute {
		t.Errorf("the receiver asked for an hour: %v", got)
	}
	if got := after(2, 0, func() float64 { return 0.5 }); got != 1500*time.Millisecond {
		t.Errorf("with jitter: %v", got)
	}
}

// Whatever bytes are kept as a cursor: they are refused, or are read and written
// again as the same.
func FuzzDecode(f *testing.F) {
	l := of("aabab")
	c := react.Begin(event.LogID{ID: event.ID{1}}, 0)
	for range 3 {
		b, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		list, _, _ := c.Take(context.Background(), l, l.all(), react.Ask{Max: 3, Window: 9, Now: epoch, Until: epoch.Add(time.Minute), Several: true})
		c.Fail(list[0].Record.Position, react.Failure{Reason: react.Answered, Status: 500}, epoch, 0, react.Retry{Attempts: 2})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := react.Decode(b)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		one, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := react.Decode(one)
		if err != nil {
			t.Fatal(err)
		}
		two, err := again.Encode()
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%x, then %x (%v)", one, two, err)
		}
	})
}
