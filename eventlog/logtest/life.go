package logtest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var lifeTests = []test{
	{"only the holder of the term commits", fencing},
	{"terms rise above the register's", terms},
	{"a log that was closed goes on", reopening},
	{"checkpoints are kept by size", checkpoints},
	{"cursors are kept by name", cursors},
	{"a cursor is moved by one of those who would", swaps},
}

// Rule 1 of storage beyond one machine: fencing.
func fencing(f *fixture) {
	old := f.open(eventlog.Options{})
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.log = nil // keep the old one open
	f.Cleanup(func() { old.Close() })
	stale, err := f.store.Head(f.ctx, f.id)
	if err != nil {
		f.Fatal(err)
	}
	f.open(eventlog.Options{})
	if now := f.log.Mark(); now.Term <= stale.Term || now.Size != 1 {
		f.Fatalf("the new holder has term %d after %d, size %d", now.Term, stale.Term, now.Size)
	}
	if err := f.store.Commit(f.ctx, &eventlog.Batch{Log: f.id, Prev: stale, Next: stale}); !fault.Is(err, fault.Conflict) {
		f.Fatalf("a commit of the old term: %v", err)
	}
	lost := Request(New(NewStream("user"), "user.lost"))
	if _, err := old.Append(f.ctx, lost); !fault.Is(err, fault.Unavailable) {
		f.Fatalf("an append through the old holder: %v", err)
	}
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.equal(f.read(event.Everything(), 0), []event.Position{1, 2})
	f.equal(f.read(event.OfTerm(event.TypeTerm("user.lost")), 0), nil)
	// The old holder takes the log again; it has missed nothing.
	if a, err := old.Append(f.ctx, lost); err != nil || a.Last != 3 {
		f.Fatalf("after taking the log again: %+v, %v", a, err)
	}
	f.check()
}

func terms(f *fixture) {
	holder := event.NewID()
	for _, c := range []struct{ atLeast, want uint64 }{{0, 1}, {0, 2}, {2, 3}, {10, 10}, {5, 11}, {11, 12}} {
		h, err := f.store.Take(f.ctx, f.id, holder, c.atLeast)
		if err != nil || h.Term != c.want || h.Holder != holder || h.Size != 0 {
			f.Fatalf("take at least %d: %+v, %v; want term %d", c.atLeast, h, err, c.want)
		}
	}
	f.store = f.reopenStore()
	if h, err := f.store.Head(f.ctx, f.id); err != nil || h.Term != 12 || h.Holder != holder {
		f.Fatalf("after reopening: %+v, %v", h, err)
	}
}

func reopening(f *fixture) {
	f.open(eventlog.Options{})
	s := NewStream("user")
	for i := range 5 {
		for range 3 {
			f.append(Request(New(s, "user.noted"), New(NewStream("org"), "org.named")))
		}
		before := f.log.Mark()
		after := f.reopen().Mark()
		if after.Size != before.Size || after.Root != before.Root || after.Last != before.Last || !after.Time.Equal(before.Time) {
			f.Fatalf("round %d: %+v became %+v", i, before, after)
		}
	}
	if r, err := f.log.Record(f.ctx, f.log.Mark().Size-1); err != nil || r.Version != 15 {
		f.Fatalf("the stream's last record: %+v, %v", r, err)
	}
	f.check()
}

func checkpoints(f *fixture) {
	f.open(eventlog.Options{})
	sizes := func(from event.Position) (out []event.Position) {
		for c, err := range f.store.Checkpoints(f.ctx, f.id, from) {
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, c.Size)
		}
		return out
	}
	f.equal(sizes(0), nil)
	for _, size := range []event.Position{300, 1, 70000, 256} {
		if err := f.store.PutCheckpoint(f.ctx, f.id, size, []byte{byte(size)}); err != nil {
			f.Fatal(err)
		}
	}
	if err := f.store.PutCheckpoint(f.ctx, f.id, 300, []byte("cosigned")); err != nil {
		f.Fatal(err)
	}
	f.reopen()
	f.equal(sizes(0), []event.Position{1, 256, 300, 70000})
	f.equal(sizes(2), []event.Position{256, 300, 70000})
	f.equal(sizes(70001), nil)
	for c := range f.store.Checkpoints(f.ctx, f.id, 300) {
		if string(c.Note) != "cosigned" {
			f.Fatalf("the checkpoint of size 300: %q", c.Note)
		}
		break
	}
}

func cursors(f *fixture) {
	f.open(eventlog.Options{})
	if v, err := f.store.Cursor(f.ctx, f.id, "mail"); v != nil || err != nil {
		f.Fatalf("a cursor that was never put: %x, %v", v, err)
	}
	for _, v := range []string{"one", "two"} {
		for _, name := range []string{"mail", "mailing"} {
			if err := f.store.PutCursor(f.ctx, f.id, name, []byte(name+v)); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.reopen()
	for _, name := range []string{"mail", "mailing"} {
		if v, err := f.store.Cursor(f.ctx, f.id, name); err != nil || !slices.Equal(v, []byte(name+"two")) {
			f.Fatalf("cursor %s: %q, %v", name, v, err)
		}
	}
}

func swaps(f *fixture) {
	f.open(eventlog.Options{})
	swap := func(was, value []byte) error { return f.store.SwapCursor(f.ctx, f.id, "mail", was, value) }
	if err := swap([]byte("none"), []byte("one")); !errors.Is(err, eventlog.ErrCursorMoved) {
		f.Fatalf("one that was never put: %v", err)
	}
	if err := swap(nil, []byte("0")); err != nil {
		f.Fatal(err)
	}
	if err := swap(nil, []byte("1")); !errors.Is(err, eventlog.ErrCursorMoved) {
		f.Fatalf("put twice: %v", err)
	}
	var work sync.WaitGroup
	var moved atomic.Int64
	for range 4 { // each counts to 5 further; together that is 20 steps
		work.Go(func() {
			for n := 0; n < 5; {
				was, err := f.store.Cursor(f.ctx, f.id, "mail")
				if err != nil {
					f.Error(err)
					return
				}
				i, _ := strconv.Atoi(string(was))
				switch err := swap(was, strconv.AppendInt(nil, int64(i+1), 10)); {
				case err == nil:
					n++
					moved.Add(1)
				case !errors.Is(err, eventlog.ErrCursorMoved):
					f.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	f.reopen()
	if v, err := f.store.Cursor(f.ctx, f.id, "mail"); err != nil || string(v) != "20" || moved.Load() != 20 {
		f.Fatalf("after %d steps: %q, %v", moved.Load(), v, err)
	}
}
