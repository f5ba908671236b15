package logtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var readTests = []test{
	{"queries select, forwards and backwards", queries},
	{"reading along with appends misses nothing", readAlong},
	{"reads stop at the mark", readsToMark},
	{"wait wakes when the mark moves", waits},
	{"records are read back as they were written", readBack},
	{"postings within bounds, both ways", postings},
}

func queries(f *fixture) {
	f.open(eventlog.Options{})
	d, s, subject, blind := f.subject()
	again := New(s, "user.noted", Tags("a:1", "b:2"))
	again.Blocks, again.Ciphertexts, again.Blind = d.Blocks, d.Ciphertexts, d.Blind
	for i := range 6 {
		switch i {
		case 2:
			f.append(Request(d))
		case 4:
			f.append(Request(again))
		default:
			f.append(Request(New(NewStream("org"), "org.named", Tags("z:9"))))
		}
	}
	for _, reopened := range []bool{false, true} {
		if reopened {
			f.reopen()
		}
		for _, c := range selectingTable(s, subject, blind) {
			want := []event.Position{3, 5}
			switch {
			case c.name == "everything" || c.name == "its actor":
				want = []event.Position{1, 2, 3, 4, 5, 6}
			case !c.selects:
				want = nil
			}
			for after := range event.Position(7) {
				later := slices.DeleteFunc(slices.Clone(want), func(p event.Position) bool { return p <= after })
				if got := f.read(c.query, after); !slices.Equal(got, later) {
					f.Errorf("%s after %d (reopened: %v): %v, want %v", c.name, after, reopened, got, later)
				}
				earlier := slices.DeleteFunc(slices.Clone(want), func(p event.Position) bool { return after > 0 && p >= after })
				slices.Reverse(earlier)
				if got := f.readBackwards(c.query, after); !slices.Equal(got, earlier) {
					f.Errorf("%s before %d (reopened: %v): %v, want %v", c.name, after, reopened, got, earlier)
				}
			}
		}
	}
}

func (f *fixture) readBackwards(q event.Query, before event.Position) []event.Position {
	f.Helper()
	var out []event.Position
	for r, err := range f.log.ReadBack(f.ctx, q, before) {
		if err != nil {
			f.Fatalf("read back: %v", err)
		}
		out = append(out, r.Position)
	}
	return out
}

// A tail that waits and reads sees every record once, in order.
func readAlong(f *fixture) {
	f.open(eventlog.Options{Window: 8, Batch: 5})
	const writers, each = 4, 60
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			s := NewStream("user")
			for range each {
				if _, err := f.log.Append(f.ctx, Request(New(s, "user.noted"))); err != nil {
					f.Errorf("append: %v", err)
				}
			}
		})
	}
	for _, q := range []event.Query{event.Everything(), event.OfTerm(event.TypeTerm("user.noted"))} {
		wg.Go(func() {
			last := event.Position(0)
			for last < writers*each {
				if err := f.log.Wait(f.ctx, last); err != nil {
					f.Errorf("wait: %v", err)
					return
				}
				before := last
				for r, err := range f.log.Read(f.ctx, q, last) {
					if err != nil || r.Position != last+1 {
						f.Errorf("after %d: %v, %v", last, r, err)
						return
					}
					last = r.Position
				}
				if last == before {
					f.Errorf("woken at %d with nothing to read", last)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A record that is stored but not acknowledged must not be seen: the commit
// may yet turn out not to be durable.
func readsToMark(f *fixture) {
	g := &gate{Store: f.store}
	f.openOn(g, eventlog.Options{})
	s := NewStream("user")
	f.append(Request(New(s, "user.noted")))
	hold := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { g.set(nil, nil); close(hold) }) }
	f.Cleanup(release)
	g.set(nil, hold)
	r := Request(New(s, "user.noted"))
	done := make(chan error, 1)
	go func() { _, err := f.log.Append(f.ctx, r); done <- err }()
	f.soon("the commit is stored and held", func() bool { return g.waiting() == 1 })
	if h, err := f.store.Head(f.ctx, f.id); err != nil || h.Size != 2 {
		f.Fatalf("the store's head is %+v, %v", h, err)
	}
	f.equal(f.read(event.Everything(), 0), []event.Position{1})
	f.equal(f.read(event.OfStream(s), 0), []event.Position{1})
	f.equal(f.readBackwards(event.OfStream(s), 0), []event.Position{1})
	if _, err := f.log.Record(f.ctx, 2); !fault.Is(err, fault.NotFound) {
		f.Fatalf("the record past the mark: %v", err)
	}
	if _, ok, err := f.log.Outcome(f.ctx, r.Actor, r.Command, r.Digest); ok || err != nil {
		f.Fatalf("the outcome past the mark: %v, %v", ok, err)
	}
	release()
	if err := <-done; err != nil {
		f.Fatal(err)
	}
	f.equal(f.read(event.OfStream(s), 0), []event.Position{1, 2})
}

func waits(f *fixture) {
	f.open(eventlog.Options{})
	ctx, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer cancel()
	if err := f.log.Wait(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		f.Fatalf("wait on an empty log: %v", err)
	}
	woken := make(chan error, 1)
	go func() { woken <- f.log.Wait(f.ctx, 2) }()
	f.append(Request(New(NewStream("user"), "user.noted"), New(NewStream("user"), "user.noted")))
	select {
	case err := <-woken:
		f.Fatalf("woken before position 3: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	f.append(Request(New(NewStream("user"), "user.noted")))
	if err := <-woken; err != nil {
		f.Fatal(err)
	}
}

func readBack(f *fixture) {
	f.open(eventlog.Options{})
	d, _, _, blind := f.subject()
	Sealed(NewSubject(), NewKey(), "/x", "/y")(d)
	Public(map[string]any{"n": 1})(d)
	Context(map[string]any{"request": "r"})(d)
	a := f.append(Request(d))
	for _, reopened := range []bool{false, true} {
		if reopened {
			f.reopen()
		}
		r, err := f.log.Record(f.ctx, a.Last)
		if err != nil {
			f.Fatal(err)
		}
		if r.ID != d.ID || string(r.Public) != string(d.Public) || string(r.Context) != string(d.Context) || !r.Time.Equal(a.Time) || r.Hash() != f.log.Mark().Last {
			f.Fatalf("read back: %+v", r)
		}
		if len(r.Ciphertexts) != 2 || string(r.Ciphertexts[0]) != string(d.Ciphertexts[0]) || string(r.Ciphertexts[1]) != string(d.Ciphertexts[1]) {
			f.Fatalf("ciphertexts: %x", r.Ciphertexts)
		}
		if len(r.Blind) != 1 || r.Blind[0] != d.Blind[0] || r.Blind[0].Value != blind {
			f.Fatalf("blind tags: %+v", r.Blind)
		}
	}
	for _, p := range []event.Position{0, 2} {
		if _, err := f.log.Record(f.ctx, p); !fault.Is(err, fault.NotFound) {
			f.Fatalf("the record at %d: %v", p, err)
		}
	}
	var got error
	for _, err := range f.store.Records(f.ctx, f.id, 1, 2) {
		got = err
	}
	if !fault.Is(got, fault.Corrupt) {
		f.Fatalf("reading over the end of the store: %v", got)
	}
}

func postings(f *fixture) {
	f.open(eventlog.Options{})
	for i := range 300 {
		tag := event.Tag("n:odd")
		if i%2 == 1 {
			tag = "n:even"
		}
		f.append(Request(New(NewStream("user"), "user.noted", Tags(tag))))
	}
	for _, c := range []struct{ after, upto, first, last event.Position }{
		{0, 300, 2, 300}, {1, 3, 2, 2}, {2, 3, 0, 0}, {2, 4, 4, 4}, {255, 257, 256, 256}, {298, 1 << 40, 300, 300}, {300, 300, 0, 0}, {9, 5, 0, 0},
	} {
		var want []event.Position
		for p := c.first; p != 0 && p <= c.last; p += 2 {
			want = append(want, p)
		}
		for _, down := range []bool{false, true} {
			var got []event.Position
			for p, err := range f.store.Postings(f.ctx, f.id, event.TagTerm("n:even"), c.after, c.upto, down) {
				if err != nil {
					f.Fatal(err)
				}
				got = append(got, p)
			}
			f.equal(got, want)
			slices.Reverse(want)
		}
	}
}
