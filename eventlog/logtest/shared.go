package logtest

import (
	"errors"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// SharedEngine is an engine under test that several nodes share.
type SharedEngine struct {
	Store   eventlog.Shared                    // empty, as one node has it open
	Another func(t *testing.T) eventlog.Shared // the same data, as a further node has it open
	Lease   time.Duration                      // a short one
	Pass    func(time.Duration)                // lets the store's clock pass
	Lose    func(t *testing.T, id event.LogID) // loses what was published; nil: this engine cannot
}

// RunShared runs every conformance test of eventlog.Shared on engines made by
// open, each made for one test, and those of the log's life on several nodes.
func RunShared(t *testing.T, open func(t *testing.T) SharedEngine) {
	for _, c := range append(sharedTests, nodeTests...) {
		t.Run(c.name, func(t *testing.T) {
			f := &sharing{T: t, SharedEngine: open(t), id: event.LogID{ID: event.NewID()}}
			c.run(f)
		})
	}
}

type sharedTest struct {
	name string
	run  func(*sharing)
}

// sharing is one engine and the name of one log in it.
type sharing struct {
	*testing.T
	SharedEngine
	id event.LogID
}

var sharedTests = []sharedTest{
	{"a log is taken by one node for as long as its lease lasts", takingFree},
	{"a lease runs out, is prolonged and given back", leases},
	{"taking a log by force ends the lease", takingByForce},
	{"only the holder publishes", publishing},
	{"a mark that was lost is not known", losing},
	{"the bell rings", ringing},
	{"nodes attend until their lease runs out", attending},
}

func (f *sharing) take(s eventlog.Shared, by event.ID) (eventlog.Head, error) {
	return s.TakeFree(f.Context(), f.id, eventlog.Holder{ID: by, Address: "http://" + by.String()}, 0, f.Lease)
}

func (f *sharing) taken(s eventlog.Shared, by event.ID) eventlog.Head {
	f.Helper()
	h, err := f.take(s, by)
	if err != nil || h.Holder != by {
		f.Fatalf("take: %+v, %v", h, err)
	}
	return h
}

func (f *sharing) standing(s eventlog.Shared) eventlog.Standing {
	f.Helper()
	st, err := s.Standing(f.Context(), f.id)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

// long lets more than a lease pass.
func (f *sharing) long() { f.Pass(f.Lease + f.Lease/2) }

func markOf(h eventlog.Head) eventlog.Mark {
	return eventlog.Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term}
}

func same(a, b eventlog.Mark) bool {
	return a.Size == b.Size && a.Root == b.Root && a.Last == b.Last && a.Term == b.Term && a.Time.Equal(b.Time)
}

func takingFree(f *sharing) {
	other := f.Another(f.T)
	if _, err := f.Store.Standing(f.Context(), f.id); !fault.Is(err, fault.NotFound) {
		f.Fatalf("the standing of no log: %v", err)
	}
	a, b := event.NewID(), event.NewID()
	first := f.taken(f.Store, a)
	if _, err := f.Store.Head(f.Context(), f.id); err != nil {
		f.Fatal(err)
	}
	_, err := f.take(other, b)
	var held *eventlog.Held
	if !fault.Is(err, fault.Unavailable) || !errors.As(err, &held) || held.Holder.ID != a || held.Holder.Address != "http://"+a.String() || held.Left <= 0 || !held.Known || !same(held.Mark, markOf(first)) {
		f.Fatalf("taking what is held: %v, %+v", err, held)
	}
	if h, err := other.Head(f.Context(), f.id); err != nil || h.Term != first.Term || h.Holder != a {
		f.Fatalf("it changed something: %+v, %v", h, err)
	}
	if again := f.taken(f.Store, a); again.Term <= first.Term {
		f.Fatalf("the holder takes it again: term %d after %d", again.Term, first.Term)
	}
	f.long()
	if h := f.taken(other, b); h.Term <= first.Term+1 {
		f.Fatalf("term %d after the lease", h.Term)
	}
	if st := f.standing(f.Store); st.Holder.ID != b || st.Left <= 0 {
		f.Fatalf("the standing is %+v", st)
	}
}

func leases(f *sharing) {
	other := f.Another(f.T)
	a, b := event.NewID(), event.NewID()
	h := f.taken(f.Store, a)
	if err := f.Store.Resign(f.Context(), f.id, b); err != nil {
		f.Fatalf("resigning what another holds: %v", err)
	}
	if _, err := f.take(other, b); err == nil {
		f.Fatal("a stranger ended the lease")
	}
	f.long()
	if st := f.standing(other); st.Left > 0 || st.Holder.ID != a || !st.Known {
		f.Fatalf("after the lease: %+v", st)
	}
	if err := f.Store.Publish(f.Context(), f.id, a, markOf(h), time.Hour); err != nil {
		f.Fatalf("prolonging a lease that has run out, though nobody took the log: %v", err)
	}
	f.long()
	if _, err := f.take(other, b); err == nil {
		f.Fatal("the lease was not prolonged")
	}
	if err := f.Store.Resign(f.Context(), f.id, a); err != nil {
		f.Fatal(err)
	}
	if st := f.standing(other); st.Left > 0 || !st.Known || !same(st.Mark, markOf(h)) {
		f.Fatalf("after resigning: %+v", st)
	}
	f.taken(other, b)
}

func takingByForce(f *sharing) {
	other := f.Another(f.T)
	a, b := event.NewID(), event.NewID()
	h := f.taken(f.Store, a)
	if _, err := other.Take(f.Context(), f.id, b, 0); err != nil {
		f.Fatal(err)
	}
	if err := f.Store.Publish(f.Context(), f.id, a, markOf(h), f.Lease); !fault.Is(err, fault.Conflict) {
		f.Fatalf("the one who lost it publishes: %v", err)
	}
	if st := f.standing(f.Store); st.Holder.ID != b || st.Left > 0 || st.Known {
		f.Fatalf("the standing is %+v", st)
	}
}

func publishing(f *sharing) {
	other := f.Another(f.T)
	a, b := event.NewID(), event.NewID()
	l, err := eventlog.Open(f.Context(), f.Store, f.id, eventlog.Options{Holder: a, Lease: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(f.Context(), Request(New(NewStream("user"), "user.noted"))); err != nil {
			f.Fatal(err)
		}
		if st := f.standing(other); !st.Known || !same(st.Mark, l.Mark()) {
			f.Fatalf("after an append: %+v, the log's mark is %+v", st, l.Mark())
		}
	}
	old := l.Mark()
	l.Close()
	if err := other.Publish(f.Context(), f.id, b, old, f.Lease); !fault.Is(err, fault.Conflict) {
		f.Fatalf("a stranger publishes: %v", err)
	}
	h := f.taken(other, b)
	if h.Size != 3 {
		f.Fatalf("taken at %d", h.Size)
	}
	if err := f.Store.Publish(f.Context(), f.id, a, old, f.Lease); !fault.Is(err, fault.Conflict) {
		f.Fatalf("one who held it publishes: %v", err)
	}
	if st := f.standing(f.Store); st.Holder.ID != b || !same(st.Mark, markOf(h)) {
		f.Fatalf("the standing is %+v", st)
	}
	if again := f.taken(other, b); again.Term > h.Term {
		h.Term = again.Term - 1
	}
	if err := other.Publish(f.Context(), f.id, b, markOf(h), f.Lease); !fault.Is(err, fault.Conflict) {
		f.Fatalf("the holder publishes under an earlier term: %v", err)
	}
}

func losing(f *sharing) {
	if f.Lose == nil {
		f.Skip("this engine loses no mark")
	}
	a := event.NewID()
	h := f.taken(f.Store, a)
	f.Lose(f.T, f.id)
	if st := f.standing(f.Store); st.Known || st.Holder.ID != a {
		f.Fatalf("after it was lost: %+v", st)
	}
	if err := f.Store.Publish(f.Context(), f.id, a, markOf(h), f.Lease); err != nil {
		f.Fatalf("publishing again: %v", err)
	}
	if st := f.standing(f.Store); !st.Known || !same(st.Mark, markOf(h)) || st.Left <= 0 {
		f.Fatalf("after it was published again: %+v", st)
	}
}

func ringing(f *sharing) {
	l, err := eventlog.Open(f.Context(), f.Store, f.id, eventlog.Options{Lease: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	bell := f.Another(f.T).Bell(f.Context(), f.id)
	for end := time.After(20 * time.Second); ; { // a signal may be lost
		if _, err := l.Append(f.Context(), Request(New(NewStream("user"), "user.noted"))); err != nil {
			f.Fatal(err)
		}
		select {
		case <-bell:
			return
		case <-time.After(50 * time.Millisecond):
		case <-end:
			f.Fatal("it never rang")
		}
	}
}

func attending(f *sharing) {
	other := f.Another(f.T)
	a, b := event.NewID(), event.NewID()
	f.taken(f.Store, a)
	least := func(want event.Position, there bool) {
		f.Helper()
		if p, ok, err := other.Attending(f.Context(), f.id); err != nil || p != want || ok != there {
			f.Fatalf("attending: %d, %v, %v; want %d, %v", p, ok, err, want, there)
		}
	}
	attend := func(node event.ID, p event.Position, lease time.Duration) {
		f.Helper()
		if err := f.Store.Attend(f.Context(), f.id, node, p, lease); err != nil {
			f.Fatal(err)
		}
	}
	least(0, false)
	attend(a, 7, f.Lease)
	least(7, true)
	attend(b, 3, time.Hour)
	least(3, true)
	attend(b, 9, time.Hour)
	least(7, true)
	f.long()
	least(9, true)
}
