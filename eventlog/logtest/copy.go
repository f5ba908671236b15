package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

var copyTests = []test{
	{"a log is copied to another store and back, whole", copying},
	{"a copy that was interrupted anywhere goes on", copyingAgain},
	{"what is another log is not copied over", copyingRefused},
}

// busy fills a log with everything that there is to copy.
func (f *fixture) busy(records int) {
	f.Helper()
	l := f.open(eventlog.Options{})
	ada, bob := NewSubject(), NewSubject()
	adas, bobs := NewKey(), NewKey()
	for i := range records {
		s := NewStream("user")
		f.append(Request(New(s, "user.noted", Sealed(ada, adas, "/name"), Blind(ada, "email", RandomHash())), New(s, "user.noted", Sealed(bob, bobs, "/name"))))
		if i%50 == 0 {
			f.must(f.store.PutCheckpoint(f.ctx, f.id, l.Mark().Size, fmt.Appendf(nil, "checkpoint %d", i)))
		}
	}
	f.append(Request(Erasure(ada, adas)))
	f.must(l.Erase(f.ctx, ada, nil))
	f.append(Begin(event.LogID{ID: event.NewID()}, f.id))
	f.append(Request(New(NewStream("user"), "user.noted", Sealed(bob, bobs, "/name"))))
	f.must(f.store.PutCursor(f.ctx, f.id, "follower", []byte("7")))
	f.closeLog()
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// copy copies the fixture's log from one store to another.
func (f *fixture) copy(ctx context.Context, dst, src eventlog.Store) error {
	f.Helper()
	from, err := eventlog.SourceOf(f.ctx, src, f.id)
	f.must(err)
	return eventlog.Copy(ctx, dst, f.id, from, nil)
}

// same compares everything that two stores hold of the fixture's log.
func (f *fixture) same(a, b eventlog.Store) {
	f.Helper()
	f.must(Check(f.ctx, b, f.id))
	want, err := contents(f.ctx, a, f.id)
	f.must(err)
	got, err := contents(f.ctx, b, f.id)
	f.must(err)
	if len(want) != len(got) {
		f.Fatalf("%d things were copied, there are %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] {
			f.Fatalf("copied as\n%s\nit is\n%s", got[i], want[i])
		}
	}
}

// contents describes all that a store holds of a log.
func contents(ctx context.Context, s eventlog.Store, id event.LogID) (out []string, err error) {
	h, err := s.Head(ctx, id)
	if err != nil {
		return nil, err
	}
	add := func(format string, args ...any) bool { out = append(out, fmt.Sprintf(format, args...)); return true }
	add("head %d %s %v %v", h.Size, h.Last, h.Time, h.Root())
	src, err := eventlog.SourceOf(ctx, s, id)
	if err != nil {
		return nil, err
	}
	for r, err := range src.Records(ctx, 1) {
		if err != nil {
			return nil, err
		}
		add("record %d %x %x %v", r.Position, r.Leaf, r.Ciphertexts, r.Blind)
	}
	for o, err := range src.Outcomes(ctx, 1) {
		if err != nil {
			return nil, err
		}
		add("outcome %+v", o)
	}
	for c, err := range src.Checkpoints(ctx, 0) {
		if err != nil {
			return nil, err
		}
		add("checkpoint %d %s", c.Size, c.Note)
	}
	uses := s.(interface {
		Subjects(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
		Keys(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
	})
	n := len(out)
	err = errors.Join(
		uses.Subjects(ctx, id, func(u eventlog.KeyUse) bool { return add("subject %+v", u) }),
		uses.Keys(ctx, id, func(u eventlog.KeyUse) bool { return add("key %+v", u) }),
		s.(eventlog.Lister).Cursors(ctx, id, func(name string, value []byte) bool { return add("cursor %s %s", name, value) }))
	slices.Sort(out[n:])
	return out, err
}

func copying(f *fixture) {
	f.busy(150)
	there := memlog.New()
	f.must(f.copy(f.ctx, there, f.store))
	f.same(f.store, there)
	f.must(f.copy(f.ctx, there, f.store)) // there is nothing more
	f.same(f.store, there)
	// Back, under another id of the store's own, is a copy like any other.
	f.store.Close()
	f.store = f.reopenStore()
	f.same(there, f.store)
	l := f.open(eventlog.Options{})
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.must(f.copy(f.ctx, there, f.store))
	f.same(f.store, there)
	if l.Generation() == f.id {
		f.Error("it is not in its second generation any more")
	}
}

// failing is a source that ends with an error at a position.
type failing struct {
	eventlog.Source
	at event.Position
}

var errInterrupted = errors.New("interrupted")

// Records implements eventlog.Source.
func (s failing) Records(ctx context.Context, from event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for r, err := range s.Source.Records(ctx, from) {
			if err == nil && r.Position == s.at {
				err = errInterrupted
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func copyingAgain(f *fixture) {
	g := &fixture{T: f.T, ctx: f.ctx, id: f.id, store: memlog.New()}
	g.reopenStore = func() eventlog.Store { return g.store }
	g.busy(1300)
	src, err := eventlog.SourceOf(f.ctx, g.store, f.id)
	f.must(err)
	for _, at := range []event.Position{1, 700, 1025, 1500, 2050, src.Head().Size} {
		if err := eventlog.Copy(f.ctx, f.store, f.id, failing{src, at}, nil); !errors.Is(err, errInterrupted) {
			f.Fatalf("at %d: %v", at, err)
		}
		f.store.Close()
		f.store = f.reopenStore()
	}
	f.must(eventlog.Copy(f.ctx, f.store, f.id, src, nil))
	f.same(g.store, f.store)
}

func copyingRefused(f *fixture) {
	f.busy(3)
	other := memlog.New()
	g := &fixture{T: f.T, ctx: f.ctx, id: f.id, store: other}
	g.busy(2)
	before, err := contents(f.ctx, f.store, f.id)
	f.must(err)
	if err := g.copy(f.ctx, f.store, other); !fault.Is(err, fault.Conflict) {
		f.Errorf("a shorter one: %v", err)
	}
	if err := f.copy(f.ctx, other, f.store); !fault.Is(err, fault.Conflict) {
		f.Errorf("another one: %v", err)
	}
	after, err := contents(f.ctx, f.store, f.id)
	f.must(err)
	if !slices.Equal(before, after) {
		f.Error("the target was changed")
	}
}
