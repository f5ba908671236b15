package view_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

var ctx = context.Background()

func open(t testing.TB, l *viewtest.Log, in view.Backend, opts view.Options, views ...view.View) *view.Set {
	t.Helper()
	if views == nil {
		views = []view.View{people()}
	}
	set, err := view.Open(ctx, in, l, l.Decode, views, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// record appends payloads in batches of random length.
func record(l *viewtest.Log, r *rand.Rand, payloads []any) {
	for len(payloads) > 0 {
		n := 1 + r.IntN(min(len(payloads), 7))
		var events []event.New
		for _, p := range payloads[:n] {
			if e, ok := p.(event.SubjectErased); ok {
				if len(events) > 0 {
					l.Append(events...)
					events = nil
				}
				l.Erase(e.Subject)
				continue
			}
			events = append(events, of(event.NewID(), p))
		}
		if len(events) > 0 {
			l.Append(events...)
		}
		payloads = payloads[n:]
	}
}

func selectAll(t testing.TB, set *view.Set, table string, at event.Position) []view.Row {
	t.Helper()
	rows, next, _, err := set.Select(ctx, view.Query{Table: table, Limit: view.MaxLimit, Read: view.Read{At: at}})
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	return rows
}

// State at position p equals the fold of the first p events, however the events
// were batched, and before and after a rebuild; erased subjects are erased at
// all positions (design, "Views": time travel is a predicate).
func TestStateIsTheFold(t *testing.T) {
	seeds := uint64(12)
	if database != "" {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			l := newLog(t)
			payloads := history(r, 150)
			m := newModel()
			for _, p := range payloads {
				m.apply(p)
			}
			in := passing(t)
			if seed%3 == 0 {
				in = stored(t)
			}
			var set *view.Set
			if seed%2 == 0 { // follow as it grows
				set = open(t, l, in, view.Options{Batch: 1 + r.IntN(20)})
				record(l, r, payloads)
			} else { // catch up
				record(l, r, payloads)
				set = open(t, l, in, view.Options{Batch: 1 + r.IntN(20)})
			}
			compare := func() {
				t.Helper()
				for range 25 {
					at := event.Position(1 + r.IntN(len(payloads)))
					rows := selectAll(t, set, "people", at)
					if got, want := show(rows), m.lines(at); !slices.Equal(got, want) {
						t.Fatalf("at %d\ngot  %q\nwant %q", at, got, want)
					}
					for _, row := range rows {
						if row.Since > at || row.Until != 0 && row.Until <= at {
							t.Fatalf("%v at %d", row, at)
						}
					}
					var seats []string
					for k := range m.seats[at] {
						seats = append(seats, k)
					}
					slices.Sort(seats)
					if got := showSeats(selectAll(t, set, "seats", at)); !slices.Equal(got, seats) {
						t.Fatalf("at %d\ngot  %q\nwant %q", at, got, seats)
					}
				}
				last := event.Position(len(payloads))
				if got, want := show(selectAll(t, set, "people", 0)), m.lines(last); !slices.Equal(got, want) {
					t.Fatalf("got  %q\nwant %q", got, want)
				}
			}
			compare()
			viewtest.Check(t, set)
			if err := set.Rebuild(ctx, nil); err != nil {
				t.Fatal(err)
			}
			compare()
		})
	}
}

// The file does not depend on where batches begin and end, and a set that is
// opened again goes on where it was.
func TestBatchesDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	l := newLog(t)
	payloads := history(r, 300)
	in := stored(t)
	for len(payloads) > 0 {
		n := min(40, len(payloads))
		record(l, r, payloads[:n])
		payloads = payloads[n:]
		set := open(t, l, in, view.Options{Batch: 3})
		if err := set.Fresh(ctx, l.Mark().Size); err != nil {
			t.Fatal(err)
		}
		set.Close()
	}
	want := dump(t, open(t, l, in, view.Options{}))
	for _, batch := range []int{1, 2, 17, 1000} {
		if got := dump(t, open(t, l, passing(t), view.Options{Batch: batch})); !slices.Equal(got, want) {
			t.Fatalf("batches of %d\ngot  %q\nwant %q", batch, got, want)
		}
	}
}

func dump(t testing.TB, set *view.Set) []string {
	t.Helper()
	if err := set.Fresh(ctx, set.Status().Mark); err != nil {
		t.Fatal(err)
	}
	lines, err := set.Dump()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// A row's history is its ranges: contiguous while it exists, one change per
// position.
func TestHistory(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	ada, org := event.NewID(), event.NewID()
	l.Append(of(ada, added{User: ada, Org: org, Name: event.Seal("Ada")})) // 1
	l.Append(of(ada, noise{User: ada}))                                    // 2
	l.Append(of(ada, changed{User: ada, Logins: 1}))                       // 3
	l.Append(of(ada, removed{User: ada}))                                  // 4
	l.Append(of(ada, noise{User: ada}))                                    // 5
	l.Append(of(ada, added{User: ada, Org: org}))                          // 6
	ranges, err := set.History(ctx, "people", view.Values{"user": ada}, view.Read{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range ranges {
		got = append(got, fmt.Sprintf("%d-%d %d %s", r.Since, r.Until, r.Int("logins"), r.State("name")))
	}
	if want := []string{"1-3 0 present", "3-4 1 present", "6-0 0 absent"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for at, want := range map[event.Position]bool{1: true, 3: true, 4: false, 5: false, 6: true} {
		_, ok, err := set.Get(ctx, "people", view.Values{"user": ada}, view.Read{At: at})
		if err != nil || ok != want {
			t.Fatalf("at %d: %v %v", at, ok, err)
		}
	}
	if _, _, err := set.Get(ctx, "people", view.Values{"user": ada}, view.Read{At: 7}); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a position behind the end of the log: %v", err)
	}
}

// When the subject of a personal column changes, the value does not become the
// new subject's.
func TestValueStaysWithItsSubject(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	ada, eve, bob := event.NewID(), event.NewID(), event.NewID()
	l.Append(of(ada, added{User: ada, Org: bob}), of(ada, changed{User: ada, Manager: eve, Note: event.Seal("by Eve")}), of(ada, changed{User: ada, Manager: bob}))
	row, _, err := set.Get(ctx, "people", view.Values{"user": ada}, view.Read{})
	if err != nil || row.State("note") != event.Absent {
		t.Fatal(row.State("note"), err)
	}
	l.Erase(event.SubjectID{ID: eve})
	ranges, err := set.History(ctx, "people", view.Values{"user": ada}, view.Read{})
	if err != nil || len(ranges) != 3 || ranges[1].State("note") != event.Erased || ranges[2].State("note") != event.Absent {
		t.Fatal(ranges, err)
	}
}

// A read waits for what was acknowledged before it came in.
func TestReadYourWrites(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	for i := range 200 {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id, Email: event.Seal(fmt.Sprint(i))}))
		rows, _, at, err := set.Select(ctx, view.Query{Table: "people", Where: []view.Cond{view.Eq("email", fmt.Sprint(i))}})
		if err != nil || len(rows) != 1 || rows[0].ID("user") != id || at != l.Mark().Size {
			t.Fatal(i, rows, at, err)
		}
	}
	if lag := set.Lag(); lag != 0 {
		t.Fatalf("not behind, but lag %v", lag)
	}
}

// What comes right after a batch may wait for more; whoever reads has it applied
// at once.
func TestPace(t *testing.T) {
	l := newLog(t)
	set := open(t, l, stored(t), view.Options{Pace: time.Hour})
	for p := event.Position(1); p <= 3; p++ {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id}))
		if p > 1 && set.Status().Applied != p-1 {
			t.Fatalf("position %d was not waited for: %+v", p, set.Status())
		}
		if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); !ok || err != nil {
			t.Fatal(p, ok, err)
		}
	}
}

// caughtUp waits until the views have reached a position, however little
// patience reads have with them on a machine that has other work to do.
func caughtUp(t testing.TB, set *view.Set, p event.Position) {
	t.Helper()
	for {
		err := set.Fresh(ctx, p)
		if err == nil {
			return
		}
		if !fault.Is(err, fault.Unavailable) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// A view that cannot catch up in time is unavailable, unless stale is fine, or
// what was asked for is there.
func TestBehind(t *testing.T) {
	l := newLog(t)
	set := open(t, l, stored(t), view.Options{Patience: 50 * time.Millisecond})
	ada := event.NewID()
	first := l.Append(of(ada, added{User: ada, Org: ada}))
	caughtUp(t, set, first)
	set.OnCommit(func(func() error) error { return fault.New(fault.Unavailable, "the disk is full") })
	l.Append(of(ada, removed{User: ada}))
	key := view.Values{"user": ada}
	if _, _, err := set.Get(ctx, "people", key, view.Read{}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("read a view that is behind: %v", err)
	}
	for _, r := range []view.Read{{Stale: true}, {AtLeast: first}, {At: first, Stale: true}} {
		if _, ok, err := set.Get(ctx, "people", key, r); !ok || err != nil {
			t.Fatal(r, ok, err)
		}
	}
	if lag := set.Lag(); lag <= 0 {
		t.Fatalf("lag %v", lag)
	}
	if st := set.Status(); st.Retrying == nil || st.Stopped != nil || st.Applied != first {
		t.Fatalf("%+v", st)
	}
	set.OnCommit(nil)
	caughtUp(t, set, 2)
	if _, ok, err := set.Get(ctx, "people", key, view.Read{}); ok || err != nil || set.Lag() != 0 || set.Status().Retrying != nil {
		t.Fatal(ok, err, set.Status())
	}
}
