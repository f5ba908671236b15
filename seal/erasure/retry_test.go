package erasure_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/seal/erasure"
)

// deaf is a store that finds nothing, and counts how often it was asked.
type deaf struct {
	eventlog.Store
	asked atomic.Int64
}

func (d *deaf) Postings(context.Context, event.LogID, event.Term, event.Position, event.Position, bool) iter.Seq2[event.Position, error] {
	d.asked.Add(1)
	return func(yield func(event.Position, error) bool) { yield(0, fault.New(fault.Unavailable, "away")) }
}

// A store that is away is asked ever more seldom, though the log has grown
// since it was last read.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &deaf{Store: memlog.New()}
		log, err := eventlog.Open(t.Context(), store, event.LogID{ID: event.NewID()}, eventlog.Options{Window: 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 { // more than the window holds
			if _, err := log.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
				t.Fatal(err)
			}
		}
		p := &erasure.Process{Log: log}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := store.asked.Load(); n < 5 || n > 20 {
			t.Errorf("asked %d times within a minute", n)
		}
		stop()
		<-done
		log.Close()
	})
}
