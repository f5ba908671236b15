package eventlog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"muniment.dev/event"
)

// What lately rules out did not happen; and it rules out nearly all that did
// not. Enough records for several generations.
func TestLately(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var l lately
	l.forget(100)
	type rec struct {
		typ   string
		terms []event.Term
	}
	var recs []rec
	word := func(kind string, n int) string { return fmt.Sprintf("%s:%d", kind, rng.IntN(n)) }
	for i := range 100_000 {
		typ := word("type", 5)
		terms := []event.Term{event.TypeTerm(typ), event.Term(word("rare", 3000)), event.Term(word("often", 4)), event.Term(fmt.Sprint("only:", i)), event.Term(fmt.Sprint("also:", i))}
		recs = append(recs, rec{typ, terms})
		l.add(event.Position(101+i), terms)
	}
	if l.since <= 100 {
		t.Fatal("nothing was forgotten; the test is blind")
	}
	asked, ruledOut, none := 0, 0, 0
	for range 4000 {
		back := rng.IntN(300)
		if rng.IntN(4) == 0 {
			back = rng.IntN(len(recs))
		}
		p := event.Position(100 + len(recs) - back)
		it := event.Item{}
		for range rng.IntN(3) {
			it.All = append(it.All, event.Term(word("rare", 3000)), event.Term(word("often", 4)))
		}
		for range rng.IntN(3) {
			it.Types = append(it.Types, word("type", 6))
		}
		happened := false
		for _, r := range recs[len(recs)-back:] {
			happened = happened || matches(it, r.typ, r.terms)
		}
		out := l.rulesOut(event.Query{it}, p)
		if out && happened {
			t.Fatalf("%+v after %d was ruled out but happened", it, p)
		}
		if p >= l.since && back < 300 {
			asked++
			if out {
				ruledOut++
			}
			if !happened {
				none++
			}
		}
	}
	if ruledOut < none*8/10 {
		t.Fatalf("of %d conditions %d hold, but only %d were seen to at once", asked, none, ruledOut)
	}
}

// matches is the definition, without any sorting.
func matches(it event.Item, typ string, terms []event.Term) bool {
	has := func(want event.Term) bool {
		for _, t := range terms {
			if t == want {
				return true
			}
		}
		return false
	}
	for _, want := range it.All {
		if !has(want) {
			return false
		}
	}
	for _, want := range it.Types {
		if want == typ {
			return true
		}
	}
	return len(it.Types) == 0
}

// What a cache was told last survives one sweep, and is gone after two.
func TestCache(t *testing.T) {
	var c cache[int, int]
	for i := range maxCached + 1 {
		c.put(i, i)
	}
	c.sweep()
	c.put(0, 7)
	if v, ok := c.get(0); !ok || v != 7 {
		t.Fatalf("a newer value: %d, %v", v, ok)
	}
	if _, ok := c.get(5); !ok {
		t.Fatal("gone after one sweep")
	}
	for i := range maxCached + 1 {
		c.put(-i, i)
	}
	c.sweep()
	if _, ok := c.get(5); ok {
		t.Fatal("kept after two sweeps")
	}
}
