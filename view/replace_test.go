package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// Random events, batches, restarts, rebuilds, erasures and replacements: the rows
// are always those of a fold in memory with the old functions or, once Replace
// has returned, with the new ones.
func TestReplaceAmidEverything(t *testing.T) {
	for seed := range seeds(9) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			l, in := newLog(t), stored(t)
			payloads := history(r, 300)
			epoch := uint64(1)
			opened := func() *view.Set {
				return open(t, l, in, view.Options{Batch: 1 + r.IntN(40), Verify: r.IntN(2) == 0}, people(), tallies(epoch))
			}
			set := opened()
			said := 0
			grow := func() {
				n := min(1+r.IntN(30), len(payloads)-said)
				record(l, r, payloads[said:said+n])
				said += n
			}
			compare := func(epochs ...uint64) {
				t.Helper()
				at := event.Position(1 + r.IntN(said))
				rows, _, _, err := set.Select(ctx, view.Query{Table: "tallies", Limit: view.MaxLimit, Read: view.Read{At: at}})
				if err != nil {
					t.Fatal(err)
				}
				got := showTallies(rows)
				for _, epoch := range epochs {
					states, erased := talliesAt(epoch, payloads[:said])
					if slices.Equal(got, talliesLines(states[at], erased)) {
						return
					}
				}
				t.Fatalf("at %d: %q are the rows of none of the epochs %v", at, got, epochs)
			}
			for said < len(payloads) {
				grow()
				switch r.IntN(8) {
				case 0, 1:
					replaced := make(chan error, 1)
					go func() { replaced <- set.Replace(ctx, tallies(epoch+1)) }()
					for range r.IntN(4) {
						compare(epoch, epoch+1)
						if said < len(payloads) {
							grow()
						}
					}
					if err := <-replaced; err != nil {
						t.Fatal(err)
					}
					epoch++
				case 2:
					set.Close()
					if r.IntN(2) == 0 {
						epoch++
					}
					set = opened()
					until(t, func() bool { return len(set.Status().Missing) == 0 })
				case 3:
					if err := set.Rebuild(ctx, nil); err != nil {
						t.Fatal(err)
					}
				case 4:
					if err := set.Forget(ctx); err != nil {
						t.Fatal(err)
					}
				case 5:
					ctx, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(5))*time.Millisecond)
					if err := set.Replace(ctx, tallies(epoch+1)); err == nil {
						epoch++
					}
					cancel()
				}
				compare(epoch)
			}
			viewtest.Check(t, set)
			want := dump(t, open(t, l, passing(t), view.Options{}, people(), tallies(epoch)))
			if got := dump(t, set); !slices.Equal(got, want) {
				t.Fatalf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// While a view is replaced the old one serves with its old functions and follows
// the log; then the new one does, with its own tables. The others are taken over
// as they are, not computed again.
func TestReplaceWhileServing(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 100)
	var set *view.Set
	served := 0
	set = open(t, l, in, view.Options{Progress: func(view.Progress) {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id}))
		row, ok, err := set.Get(ctx, "marks", view.Values{"user": id}, view.Read{})
		if err != nil || !ok || row.Int("revision") != 1 {
			t.Error("the old view does not serve", row, ok, err)
		}
		if set.Status().Rebuilding == nil {
			t.Error("no progress in the status")
		}
		served++
	}}, people(), counts(1))
	caughtUp(t, set, l.Mark().Size)
	if err := set.Tamper(`UPDATE now_people SET logins = 77`); err != nil {
		t.Fatal(err)
	}
	next := counts(2)
	next.Tables = append(slices.Clone(next.Tables), view.Table{Name: "more", Key: []string{"user"}, Columns: []view.Column{{Name: "user", Kind: event.IDRef}}})
	if err := set.Replace(ctx, next); err != nil {
		t.Fatal(err)
	}
	rows := selectAll(t, set, "marks", 0)
	if served == 0 || len(rows) != 100+served || rows[0].Int("revision") != 2 || len(selectAll(t, set, "more", 0)) != 0 {
		t.Fatal(served, rows)
	}
	if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 100+served || err != nil {
		t.Fatal(n, err)
	}
	mine := view.Query{Table: "people", Where: []view.Cond{view.Eq("logins", 77)}}
	if n, _, err := set.Count(ctx, mine); n != 100 || err != nil {
		t.Fatal("the rows of another view:", n, err)
	}
	was := served
	if err := set.Replace(ctx, next); err != nil || served != was {
		t.Fatal("built again what is there", err)
	}
	if err := set.Rebuild(ctx, nil); err != nil {
		t.Fatal(err)
	}
	viewtest.Check(t, set)
	if n, _, err := set.Count(ctx, mine); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if rows := selectAll(t, set, "marks", 0); rows[0].Int("revision") != 2 {
		t.Fatal(rows)
	}
	set.Close()
	set = open(t, l, in, view.Options{Progress: func(view.Progress) { t.Error("built again") }}, people(), next)
	if rows := selectAll(t, set, "marks", 0); len(rows) != 100+served {
		t.Fatal(rows)
	}
}

// A replacement that fails, or makes no sense, leaves the old view as it was.
func TestReplaceLeavesTheOld(t *testing.T) {
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 20)
	set := open(t, l, stored(t), view.Options{}, people(), tallies(1))
	caughtUp(t, set, l.Mark().Size)
	want := dump(t, set)
	bad := tallies(2)
	bad.Fold.Apply = func(any, event.Fact) (any, []view.Change, error) { return nil, nil, errors.New("no such thing") }
	var f *view.Failure
	if err := set.Replace(ctx, bad); !errors.As(err, &f) || !strings.Contains(err.Error(), "no such thing") {
		t.Fatal(err)
	}
	unknown, clash := tallies(2), tallies(2)
	unknown.Name, clash.Tables[1].Name = "unknown", "people"
	for _, v := range []view.View{unknown, clash, {Name: "tallies"}} {
		if err := set.Replace(ctx, v); !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	}
	stopping, cancel := context.WithCancel(ctx)
	cancel()
	if err := set.Replace(stopping, tallies(2)); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	if got := dump(t, set); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	ada := event.NewID()
	caughtUp(t, set, l.Append(of(ada, added{User: ada, Org: ada})))
	row, ok, err := set.Get(ctx, "tallies", view.Values{"user": ada}, view.Read{})
	if err != nil || !ok || !strings.HasPrefix(row.Text("trail"), "1:") {
		t.Fatal(row, ok, err)
	}
	viewtest.Check(t, set)
}

// A set that stopped at an event goes on with a declaration that takes it.
func TestReplaceMends(t *testing.T) {
	l := newLog(t)
	bad := tallies(1)
	bad.Fold.Apply = func(any, event.Fact) (any, []view.Change, error) { panic("oh no") }
	set := open(t, l, stored(t), view.Options{}, bad)
	ada := event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada}))
	until(t, func() bool { return set.Status().Stopped != nil })
	if err := set.Replace(ctx, tallies(2)); err != nil {
		t.Fatal(err)
	}
	l.Append(of(ada, noise{User: ada}))
	if rows := selectAll(t, set, "tallies", 0); len(rows) != 1 || rows[0].Int("n") != 2 {
		t.Fatal(rows)
	}
}

// A newer declaration makes the one that is being built give up, also where it
// is built because the set was opened with it.
func TestReplaceIsSuperseded(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 20)
	set := open(t, l, in, view.Options{}, people(), tallies(1))
	caughtUp(t, set, l.Mark().Size)
	set.Close()
	hold := make(chan struct{})
	reached := make(chan struct{}, 100)
	var once sync.Once
	release := func() { once.Do(func() { close(hold) }) }
	defer release()
	set = open(t, l, in, view.Options{Progress: func(view.Progress) { reached <- struct{}{}; <-hold }}, people(), tallies(2))
	<-reached
	replaced := make([]chan error, 3)
	for i := range replaced {
		replaced[i] = make(chan error, 1)
		go func() { replaced[i] <- set.Replace(ctx, tallies(uint64(3+i))) }()
		until(t, func() bool { return set.Coming(uint64(3 + i)) })
	}
	release()
	for i, c := range replaced {
		if err := <-c; i < 2 && !fault.Is(err, fault.Conflict) || i == 2 && err != nil {
			t.Fatal(i, err)
		}
	}
	rows := selectAll(t, set, "tallies", 0)
	if len(rows) != 20 || !strings.HasPrefix(rows[0].Text("trail"), "5:") || set.Status().RebuildErr != nil {
		t.Fatal(rows, set.Status().RebuildErr)
	}
	viewtest.Check(t, set)
}
