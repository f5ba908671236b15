package pglog

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
)

// load is writers that insist on each of their appends until it is acknowledged.
type load struct {
	t    *testing.T
	log  func() *eventlog.Log
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	acked    map[event.ID]event.Position // by event
	unknowns int
	refused  int // nothing was appended, and asked again
	resolved int // of those that were unknown, by repeating
}

func startLoad(t *testing.T, log func() *eventlog.Log) *load {
	ctx, stop := context.WithCancel(t.Context())
	w := &load{t: t, log: log, stop: stop, acked: map[event.ID]event.Position{}}
	for range 16 {
		w.wg.Go(func() {
			stream := logtest.NewStream("user")
			for ctx.Err() == nil {
				d := logtest.New(stream, "user.noted")
				w.insist(logtest.Request(d), d.ID)
			}
		})
	}
	return w
}

// insist repeats an append until it is acknowledged, also past the end of the
// load, so that in the end the log holds exactly what was acknowledged.
func (w *load) insist(r eventlog.Request, id event.ID) {
	unknown := false
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		a, err := w.log().Append(context.Background(), r)
		w.mu.Lock()
		switch {
		case err == nil:
			w.acked[id] = a.Last
			if unknown {
				w.resolved++
			}
			w.mu.Unlock()
			return
		case fault.Is(err, fault.Unknown):
			w.unknowns++
			unknown = true
		case !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Exhausted):
			w.mu.Unlock()
			w.t.Errorf("append: %v", err)
			return
		default:
			w.refused++
		}
		w.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Error("an append was not acknowledged within two minutes")
}

func (w *load) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// more waits until n more appends were acknowledged.
func (w *load) more(n int) {
	w.t.Helper()
	want := w.count() + n
	for end := time.Now().Add(2 * time.Minute); w.count() < want; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("nothing is acknowledged any more")
		}
	}
}

// end stops the load and holds the log against what was acknowledged: nothing
// lost, nothing twice, no gap.
func (w *load) end(s eventlog.Store, id event.LogID) {
	w.t.Helper()
	w.stop()
	w.wg.Wait()
	if err := logtest.Check(context.Background(), s, id); err != nil {
		w.t.Fatal(err)
	}
	h, err := s.Head(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if int(h.Size) != len(w.acked) {
		w.t.Errorf("%d appends were acknowledged, the log has %d records", len(w.acked), h.Size)
	}
	for r, err := range s.Records(context.Background(), id, 1, h.Size) {
		if err != nil {
			w.t.Fatal(err)
		}
		if w.acked[r.ID] != r.Position {
			w.t.Errorf("the event at position %d was acknowledged at %d", r.Position, w.acked[r.ID])
		}
	}
	w.t.Logf("%d records, term %d, %d answers were unknown", h.Size, h.Term, w.unknowns)
}

// outcome counts what a log lacks of what was acknowledged, and what it has
// twice or besides.
func (w *load) outcome(s eventlog.Store, id event.LogID) string {
	w.t.Helper()
	h, err := s.Head(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	seen, last := map[event.ID]int{}, event.Position(0)
	twice, gaps := 0, 0
	for r, err := range s.Records(context.Background(), id, 1, h.Size) {
		if err != nil {
			w.t.Fatal(err)
		}
		gaps += int(r.Position - last - 1)
		last = r.Position
		if seen[r.ID]++; seen[r.ID] == 2 {
			twice++
		}
	}
	lost := 0
	for e := range w.acked {
		if seen[e] == 0 {
			lost++
		}
	}
	return fmt.Sprintf("lost %d, twice %d, gaps %d; %d answers were unknown, of %d appends, which were resolved by repeating; %d asked to try again",
		lost, twice, gaps, w.unknowns, w.resolved, w.refused)
}

// times is how often something is killed.
func times(n int) int {
	if v, err := strconv.Atoi(os.Getenv("MUNIMENT_KILLS")); err == nil {
		return v
	}
	return n
}

func openTestLog(t *testing.T, s eventlog.Store, id event.LogID) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
