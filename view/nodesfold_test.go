package view_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// What a node remembers of states does not outlive what another has applied:
// nodes that take turns, and all apply, come to the rows of one.
func TestNodesFold(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	r := rand.New(rand.NewPCG(1, 1))
	turns := make([]atomic.Bool, 3)
	var sets []*view.Set
	for i := range turns {
		applies := &turns[i]
		if i == 2 {
			applies = nil // whenever it can
		}
		sets = append(sets, open(t, l, place(applies), view.Options{Batch: 1 + r.IntN(5)}, tallies(1)))
	}
	payloads := history(r, 300)
	for len(payloads) > 0 {
		n := min(len(payloads), 1+r.IntN(20))
		turns[r.IntN(2)].Store(r.IntN(2) == 0)
		record(l, r, payloads[:n])
		payloads = payloads[n:]
		caughtUp(t, sets[r.IntN(3)], l.Mark().Size)
	}
	want := dump(t, open(t, l, view.File(""), view.Options{}, tallies(1)))
	for i, set := range sets {
		if got := dump(t, set); !slices.Equal(got, want) {
			t.Fatalf("node %d\ngot  %q\nwant %q", i, got, want)
		}
	}
	viewtest.Check(t, sets[1])
}

// The node that applies replaces a view; the others serve what it has put in
// place, once they have its declaration, and can then take over. Until then they
// answer nothing wrong, and put nothing back.
func TestNodesReplace(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	var first, second atomic.Bool
	first.Store(true)
	a, b := open(t, l, place(&first), view.Options{}, people(), tallies(1)), open(t, l, place(&second), view.Options{Progress: func(view.Progress) { t.Error("built by the wrong node") }}, people(), tallies(1))
	crowd(l, rand.New(rand.NewPCG(1, 1)), 50)
	shows := func(set *view.Set, prefix string) {
		t.Helper()
		ada := event.NewID()
		l.Append(of(ada, added{User: ada, Org: ada}))
		row, ok, err := set.Get(ctx, "tallies", view.Values{"user": ada}, view.Read{})
		if err != nil || !ok || !strings.HasPrefix(row.Text("trail"), prefix) {
			t.Fatal(row, ok, err)
		}
	}
	shows(b, "1:")
	replaced := make(chan error, 1)
	go func() { replaced <- b.Replace(ctx, tallies(2)) }()
	time.Sleep(20 * time.Millisecond)
	shows(b, "1:")
	shows(a, "1:")
	if err := a.Replace(ctx, tallies(2)); err != nil {
		t.Fatal(err)
	}
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	shows(b, "2:")
	shows(a, "2:")

	if err := a.Replace(ctx, tallies(3)); err != nil {
		t.Fatal(err)
	}
	shows(a, "3:")
	until(t, func() bool { return len(b.Status().Missing) > 0 })
	if _, _, err := b.Count(ctx, view.Query{Table: "tallies"}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "later definitions") {
		t.Fatal("read a view of a later epoch:", err)
	}
	late := open(t, l, place(&second), view.Options{Progress: func(view.Progress) { t.Error("an earlier epoch was built") }}, people(), tallies(2))
	shows(a, "3:")
	late.Close()
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := b.Replace(soon, tallies(4)); !fault.Is(err, fault.Unavailable) { // nobody builds that
		t.Fatal(err)
	}
	if err := b.Replace(ctx, tallies(3)); err != nil {
		t.Fatal(err)
	}
	first.Store(false)
	second.Store(true)
	shows(b, "3:")
	shows(a, "3:")
	viewtest.Check(t, b)
}
