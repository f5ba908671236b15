package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"muniment.dev/fault"
)

// verdict is what becomes of an effect.
type verdict int

const (
	proceed verdict = iota
	lose            // it fails, and nothing happened
	keep            // it fails, but it happened
)

// String returns the verdict as it stands in traces.
func (v verdict) String() string { return [...]string{"", " fails", " fails but is kept"}[v] }

// permit is the driver's answer to a waiting effect.
type permit struct {
	verdict
	coin bool // for what else is left to chance
}

// effect is something that waits to happen.
type effect struct {
	node *node
	lane string // who waits; no two wait under one lane
	what string
	ok   chan permit
}

// String names the effect in traces.
func (e *effect) String() string { return e.node.name + " " + e.lane + " " + e.what }

// bus is where effects wait for the driver.
type bus struct {
	mu      sync.Mutex
	waiting []*effect
}

// wait returns when the driver has granted the effect, or with the context's
// error, in which case it must not happen.
func (b *bus) wait(ctx context.Context, n *node, what string) (permit, error) {
	e := &effect{node: n, lane: laneOf(ctx), what: what, ok: make(chan permit, 1)}
	b.mu.Lock()
	if n.dead.Load() {
		b.mu.Unlock()
		return permit{}, errDead
	}
	b.waiting = append(b.waiting, e)
	b.mu.Unlock()
	select {
	case g := <-e.ok:
		return g, nil
	case <-ctx.Done():
		b.remove(e)
		return permit{}, ctx.Err()
	}
}

func (b *bus) remove(e *effect) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(x *effect) bool { return x == e })
}

// list returns what waits, in an order that does not depend on who came first.
func (b *bus) list() []*effect {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.waiting, func(x, y *effect) int { return strings.Compare(x.String(), y.String()) })
	for i := range len(b.waiting) - 1 {
		if x := b.waiting[i].String(); x == b.waiting[i+1].String() {
			panic(fmt.Sprintf("sim: %s waits twice", x))
		}
	}
	return slices.Clone(b.waiting)
}

// let grants an effect that waits.
func (b *bus) let(e *effect, g permit) {
	b.remove(e)
	e.ok <- g
}

var errDead = fault.New(fault.Unavailable, "the node is dead")
