package logtest

import (
	"context"
	"sync"

	"muniment.dev/eventlog"
)

// gate is a store whose commits can be held back, before they are stored or
// between being stored and being reported.
type gate struct {
	eventlog.Store
	mu            sync.Mutex
	before, after chan struct{} // nil: open
	held          int           // commits that stand before or after
}

func (g *gate) set(before, after chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
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
	err := g.Store.Commit(ctx, b)
	g.hold(after)
	return err
}

func contextWithCancel(f *fixture) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(f.ctx)
	f.Cleanup(cancel)
	return ctx, cancel
}
