package logtest

import (
	"context"
	"sync"

	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// gate is a store whose commits can be held back, before they are stored or
// between being stored and being reported.
type gate struct {
	eventlog.Store
	mu            sync.Mutex
	before, after chan struct{} // nil: open
	held          int           // commits that stand before or after
	refuse        bool          // commits fail after they were held before
}

func (g *gate) set(before, after chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
}

// fail makes commits fail from now on, or not.
func (g *gate) fail(refuse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = refuse
}

// waiting is how many commits are held.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

func (g *gate) hold(ch chan struct{}) {
	if ch == nil {
		return
	}
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	<-ch
	g.mu.Lock()
	g.held--
	g.mu.Unlock()
}

// Commit implements eventlog.Store.
func (g *gate) Commit(ctx context.Context, b *eventlog.Batch) error {
	g.mu.Lock()
	before, after := g.before, g.after
	g.mu.Unlock()
	g.hold(before)
	g.mu.Lock()
	refuse := g.refuse
	g.mu.Unlock()
	if refuse {
		return fault.New(fault.Unavailable, "refused by the gate")
	}
	err := g.Store.Commit(ctx, b)
	g.hold(after)
	return err
}

func contextWithCancel(f *fixture) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(f.ctx)
	f.Cleanup(cancel)
	return ctx, cancel
}
