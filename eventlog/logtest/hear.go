package logtest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// away is a store of which a follower can read no marks and no records any more.
type away struct {
	eventlog.Shared
	gone atomic.Bool
}

func (s *away) Standing(ctx context.Context, id event.LogID) (eventlog.Standing, error) {
	if s.gone.Load() {
		return eventlog.Standing{}, fault.New(fault.Unavailable, "the store is away")
	}
	return s.Shared.Standing(ctx, id)
}

// What the holder published is read on a node that does not ask the store, what
// that node forwarded itself as well.
func hearing(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	f.append(a, Request(noted()))
	store := &away{Shared: f.Another(f.T)}
	b := ns.Open(f.T, store, f.id, eventlog.Options{Lease: time.Hour})
	f.append(b, Request(noted()))
	f.soon("it hears", func() bool { // and so many looks at the store are over
		f.append(a, Request(noted()))
		store.gone.Store(true)
		p := f.append(a, Request(noted())).Last
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		if b.Wait(ctx, p-1) == nil {
			return true
		}
		store.gone.Store(false)
		return false
	})
	for range 20 {
		f.append(a, Request(noted()))
		if p := f.append(b, Request(noted())).Last; b.Mark().Size < p {
			f.Fatalf("what it appended at %d it reads up to %d", p, b.Mark().Size)
		}
	}
	next := event.Position(1)
	for r, err := range b.Read(f.Context(), event.Everything(), 0) {
		if err != nil || r.Position != next {
			f.Fatalf("read %+v, %v; want position %d", r, err, next)
		}
		next++
	}
	if b.Mark() != a.Mark() || next != a.Mark().Size+1 {
		f.Fatalf("the follower reads up to %+v, the holder to %+v", b.Mark(), a.Mark())
	}
}

// A node that hands out what does not continue the log, or less than it says,
// does no harm.
func misheard(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	f.append(a, Request(noted()))
	var wrong atomic.Int64
	b, err := eventlog.Open(f.Context(), f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour, Forward: ns.forward,
		Hear: func(ctx context.Context, held eventlog.Held, after event.Position) (eventlog.Handed, error) {
			h, err := ns.hear(ctx, held, after)
			if err != nil || len(h.Records) == 0 {
				return h, err
			}
			h.Records = slices.Clone(h.Records)
			switch wrong.Add(1) % 4 {
			case 0:
				h.Records = h.Records[1:]
			case 1:
				r := *h.Records[0]
				r.Leaf = slices.Clone(r.Leaf)
				r.Leaf[len(r.Leaf)-1]++
				h.Records[0] = &r
			case 2:
				h.Records = append(h.Records, h.Records[0])
			case 3:
				h.Records = nil
			}
			return h, nil
		}})
	if err != nil {
		f.Fatal(err)
	}
	defer b.Close()
	f.soon("much was misheard", func() bool {
		r := Request(noted())
		at := f.append(a, r).Last
		if err := b.CatchUp(f.Context()); err != nil {
			f.Fatal(err)
		}
		if got, err := b.Record(f.Context(), at); err != nil || got.ID != r.Events[0].ID {
			f.Fatalf("at %d stands %+v (%v)", at, got, err)
		}
		return wrong.Load() > 12
	})
	var last event.Hash
	for r, err := range b.Read(f.Context(), event.Everything(), 0) {
		if err != nil || r.Prev != last {
			f.Fatal(r, err)
		}
		last = r.Hash()
	}
	if last != b.Mark().Last {
		f.Fatal("not all was read")
	}
}

// What was handed out before somebody was erased, and comes after this node has
// forgotten them, is not kept.
func unheard(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	var b *eventlog.Log
	var gone atomic.Pointer[person]
	var late, forgotten atomic.Bool
	b, err := eventlog.Open(f.Context(), f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour, Forward: ns.forward,
		Hear: func(ctx context.Context, held eventlog.Held, after event.Position) (eventlog.Handed, error) {
			h, err := ns.hear(ctx, held, after)
			p := gone.Load()
			if err == nil && p != nil && len(h.Records) > 0 && h.Records[0].Position == p.at && !late.Swap(true) {
				f.append(a, Request(Erasure(p.subject, p.key)))
				err = a.Erase(ctx, p.subject, nil)
				b.Forget(p.subject)
				forgotten.Store(true)
			}
			return h, err
		}})
	if err != nil {
		f.Fatal(err)
	}
	defer b.Close()
	f.soon("it hears of somebody", func() bool {
		if err := b.CatchUp(f.Context()); err != nil {
			f.Fatal(err)
		}
		p := person{subject: NewSubject(), key: NewKey(), at: a.Mark().Size + 1}
		gone.Store(&p)
		f.append(a, Request(New(NewStream("user"), "user.noted", Sealed(p.subject, p.key, "email"))))
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		_ = b.Wait(ctx, p.at)
		return late.Load()
	})
	f.soon("it has forgotten them", forgotten.Load)
	f.soon("it reads on", func() bool { return b.Mark().Size > gone.Load().at })
	at := gone.Load().at
	for r, err := range b.Read(f.Context(), event.Everything(), at-1) {
		if err != nil || r.Position == at && r.Ciphertexts[0] != nil {
			f.Fatalf("what was erased is still read (%v)", err)
		}
	}
}

// person is somebody of whom one record stands in the log.
type person struct {
	at      event.Position
	stream  event.Stream
	subject event.SubjectID
	key     event.KeyID
	email   event.Term
}

func (f *sharing) person(n *Node) person {
	f.Helper()
	p := person{stream: NewStream("user"), subject: NewSubject(), key: NewKey()}
	value := RandomHash()
	p.email = event.BlindTerm("email", 1, value)
	p.at = f.append(n, Request(New(p.stream, "user.noted", Sealed(p.subject, p.key, "email"), Blind(p.subject, "email", value)))).Last
	return p
}

// finds asserts that a node finds somebody in every way.
func (f *sharing) finds(n *Node, p person) {
	f.Helper()
	for _, t := range []event.Term{p.email, event.StreamTerm(p.stream), event.SubjectTerm(p.subject)} {
		var got []event.Position
		for r, err := range n.ReadBack(f.Context(), event.OfTerm(t), 0) {
			if err != nil {
				f.Fatal(err)
			}
			got = append(got, r.Position)
		}
		if !slices.Equal(got, []event.Position{p.at}) {
			f.Fatalf("by %q it finds %v, want %d; it reads up to %d", t, got, p.at, n.Mark().Size)
		}
	}
	if ok, err := n.Started(f.Context(), p.stream); !ok || err != nil {
		f.Fatalf("a stream that has a record: %v, %v", ok, err)
	}
	if key, state, err := n.AssignedKey(f.Context(), p.subject); key != p.key || state != event.Present || err != nil {
		f.Fatalf("the key of a subject is %v, %v, %v", key, state, err)
	}
}

// knows waits until a node knows from memory that nobody has a term; nothing if
// its engine knows no such things.
func (f *sharing) knows(n *Node) {
	f.Helper()
	s, ok := n.Link.Shared.(eventlog.Absences)
	if !ok {
		return
	}
	f.soon("it knows from memory what is new", func() bool {
		f.append(n, Request(noted()))
		return s.Absent(f.id, event.StreamTerm(NewStream("user")), n.Mark().Size) && s.Absent(f.id, event.SubjectTerm(NewSubject()), n.Mark().Size) &&
			s.Absent(f.id, event.BlindTerm("email", 1, RandomHash()), n.Mark().Size)
	})
}

// What stands in the log is found on a follower as soon as it may be read there,
// though it knows much of what does not from memory.
func absent(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	old := f.person(a)
	b := ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour, Window: 64})
	f.finds(b, old)
	f.knows(b)
	for i := range 40 {
		if i == 20 { // more than it has room for
			many := make([]*event.Draft, 200)
			for i := range many {
				many[i] = noted()
			}
			f.append(a, Request(many...))
		}
		p := f.person([]*Node{a, b}[i%2])
		f.sees(b, p.at)
		f.finds(b, p)
		f.finds(b, old)
	}
	erased := NewSubject()
	at := f.append(a, Request(Erasure(erased))).Last
	f.sees(b, at)
	if _, state, err := b.AssignedKey(f.Context(), erased); err != nil || state != event.Erased {
		f.Fatalf("a subject that was erased before it had a record: %v, %v", state, err)
	}
	p := f.person(a) // not seen on b yet, or just so
	_, err := b.Append(f.Context(), Request(New(NewStream("user"), "user.noted", Sealed(p.subject, NewKey(), "name"))))
	if !errors.Is(err, eventlog.ErrKeyTaken) {
		f.Fatalf("another key for a subject: %v", err)
	}
	f.finds(b, p)
}
