package logtest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// acked is an event that some node acknowledged.
type acked struct {
	at      event.Position
	command event.ID
}

// Three nodes append under load while one after the other is killed and
// another takes its place. Positions are gapless, nothing acknowledged is lost,
// nothing is there twice, and no node that is asked afterwards is stale.
func killing(f *sharing) {
	const writers = 8
	kills, err := strconv.Atoi(os.Getenv("MUNIMENT_KILLS"))
	if err != nil {
		kills = 8
	}
	var ns Nodes
	o := eventlog.Options{Lease: max(f.Lease, 100*time.Millisecond), Window: 32, Batch: 8}
	for range 3 {
		ns.Open(f.T, f.Another(f.T), f.id, o)
	}
	ctx, stop := context.WithCancel(f.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	found := map[event.ID]acked{} // by event
	for range writers {
		wg.Go(func() {
			stream := NewStream("user")
			for ctx.Err() == nil {
				d := New(stream, "user.noted")
				r := Request(d)
				at, ok := f.insist(&ns, r)
				if !ok {
					return
				}
				mu.Lock()
				found[d.ID] = acked{at, r.Command}
				mu.Unlock()
				f.notStale(&ns, at, d.ID)
			}
		})
	}
	for i := range kills {
		time.Sleep(o.Lease + time.Duration(rand.IntN(int(o.Lease))))
		n := ns.Any()
		for range 10 {
			if i%4 == 0 || n.Leads() {
				break
			}
			n = ns.Any()
		}
		n.Kill()
		ns.Open(f.T, f.Another(f.T), f.id, o)
	}
	f.soon("something is appended after the last one", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(found) > 0
	})
	stop()
	wg.Wait()
	f.allThere(&ns, found)
}

// insist appends through whichever nodes live until one acknowledges it.
func (f *sharing) insist(ns *Nodes, r eventlog.Request) (event.Position, bool) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		n := ns.Any()
		a, err := n.Append(f.Context(), r)
		switch {
		case err == nil && ns.find(n.address) != nil:
			return a.Last, true
		case err == nil: // killed before it could say so
		case !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown):
			f.Errorf("append: %v", err)
			return 0, false
		}
	}
	f.Error("an append was not acknowledged within a minute")
	return 0, false
}

// notStale asserts that a node reads what was acknowledged by some node before.
func (f *sharing) notStale(ns *Nodes, at event.Position, id event.ID) {
	n := ns.Any()
	if err := n.CatchUp(f.Context()); err != nil {
		return // it was killed, or says that it does not know
	}
	r, err := n.Record(f.Context(), at)
	switch {
	case fault.Is(err, fault.NotFound):
		f.Errorf("a node is stale: it reads up to %d, %d was acknowledged", n.Mark().Size, at)
	case err == nil && r.ID != id:
		f.Errorf("another event stands at position %d than the one acknowledged", at)
	}
}

func (f *sharing) allThere(ns *Nodes, found map[event.ID]acked) {
	if err := Check(f.Context(), f.Store, f.id); err != nil {
		f.Fatal(err)
	}
	h, err := f.Store.Head(f.Context(), f.id)
	if err != nil {
		f.Fatal(err)
	}
	if int(h.Size) != len(found) { // each was insisted on
		f.Errorf("%d events were acknowledged, the log holds %d", len(found), h.Size)
	}
	seen := map[event.ID]bool{}
	for r, err := range f.Store.Records(f.Context(), f.id, 1, h.Size) {
		if err != nil {
			f.Fatal(err)
		}
		if seen[r.ID] || found[r.ID].at != r.Position {
			f.Errorf("the event at position %d was acknowledged at %d, or is there twice", r.Position, found[r.ID].at)
		}
		seen[r.ID] = true
	}
	f.Logf("%d events, term %d", h.Size, h.Term)
}
