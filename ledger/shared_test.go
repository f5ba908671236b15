package ledger

import (
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// team opens a log on several nodes over one register.
type team struct {
	*testing.T
	store  *memlog.Store
	id     event.LogID
	reg    MemoryRegister
	signer *Signer
}

func newTeam(t *testing.T) *team {
	f := &team{T: t, store: memlog.New(), id: event.LogID{ID: event.NewID()}}
	secret, _, err := GenerateKey("id.example", f.id)
	if err == nil {
		f.signer, err = NewSigner(secret)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *team) open() (*eventlog.Log, *Publisher) {
	f.Helper()
	l, err := OpenLog(f.Context(), f.store, f.id, &f.reg, eventlog.Options{Lease: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	p, err := StartPublisher(f.Context(), l, f.signer, &f.reg, PublisherOptions{Every: time.Millisecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	return l, p
}

func (f *team) state() State {
	f.Helper()
	s, err := f.reg.Load(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func (f *team) covers(p *Publisher, at event.Position) {
	f.Helper()
	c, err := p.WaitFor(f.Context(), at)
	if err != nil || c.Size < at {
		f.Fatalf("waiting for a checkpoint: %d, %v", c.Size, err)
	}
	opens(f.T, f.signer, c)
}

// leads waits until a node holds the log.
func (f *team) leads(l *eventlog.Log) {
	f.Helper()
	for end := time.Now().Add(20 * time.Second); !l.Leads(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.Fatal("the log is not taken over")
		}
	}
}

// The holder signs, a follower passes on what it signed and leaves the register
// alone. When the holder stops the other goes on, under a greater term.
func TestPublishersOfSeveralNodes(t *testing.T) {
	f := newTeam(t)
	a, pa := f.open()
	grow(t, a, 5)
	f.covers(pa, 5)
	before := f.state()
	b, pb := f.open()
	if now := f.state(); now != before || b.Leads() {
		t.Fatalf("a follower changed the register from %+v to %+v", before, now)
	}
	f.covers(pb, 5)
	at := grow(t, a, 700)
	f.covers(pb, at)
	a.Close()
	f.leads(b)
	at = grow(t, b, 3)
	f.covers(pb, at)
	if now := f.state(); now.Term <= before.Term || now.Size != at || now.Term != b.Mark().Term {
		t.Fatalf("the register says %+v", now)
	}
	if err := pa.Close(); err != nil { // its last checkpoint is another's by now
		t.Fatalf("the one who held it closes: %v", err)
	}
	c, pc := f.open()
	f.covers(pc, at)
	b.Close()
	f.leads(c)
	f.covers(pc, grow(t, c, 1))
}

// A store that was rolled back is noticed when the log is taken over, and not
// only when a server starts.
func TestTakeOverAsksTheRegister(t *testing.T) {
	f := newTeam(t)
	a, _ := f.open()
	grow(t, a, 2)
	b, _ := f.open()
	for {
		now := f.state()
		ahead := State{Log: f.id, Term: now.Term, Tree: Tree{Size: 100, Root: event.Hash{1}}}
		if f.reg.CompareAndSwap(t.Context(), now, ahead) == nil {
			break
		}
	}
	a.Close()
	for end := time.Now().Add(20 * time.Second); !fault.Is(b.Role().Refused, fault.Refused); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it was taken over: %+v", b.Role())
		}
	}
	if _, err := b.Append(t.Context(), eventlog.Request{Actor: event.System, Command: event.NewID(), Events: []*event.Draft{{ID: event.NewID(),
		Stream: event.Stream{Kind: "thing", ID: event.NewID()}, Type: "thing.happened", Revision: 1, Actor: event.System}}}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("an append: %v", err)
	}
}

// A store that lost terms, but no records, is taken above what the register
// knows.
func TestTakeOverAboveTheRegister(t *testing.T) {
	f := newTeam(t)
	a, _ := f.open()
	grow(t, a, 2)
	a.Close()
	for s := f.state(); ; s = f.state() {
		s.Term = 50
		if f.reg.CompareAndSwap(t.Context(), f.state(), s) == nil {
			break
		}
	}
	b, _ := f.open()
	if !b.Leads() || b.Mark().Term != 51 {
		t.Fatalf("taken under term %d", b.Mark().Term)
	}
}
