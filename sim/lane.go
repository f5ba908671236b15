package sim

import (
	"context"
	"math/rand/v2"
)

// lane is one thread of what happens: a client's command, a node's erasures.
// Its reads fail at random by a source of its own, so that what fails does not
// depend on which goroutine runs first.
type lane struct {
	name   string
	rng    *rand.Rand
	faulty float64 // share of reads that fail
}

type laneKey struct{}

// background is the lane of what comes without one: the sequencer and the
// publisher.
var background = &lane{name: "server"}

func withLane(ctx context.Context, l *lane) context.Context {
	return context.WithValue(ctx, laneKey{}, l)
}

func laneOf(ctx context.Context) *lane {
	if l, ok := ctx.Value(laneKey{}).(*lane); ok {
		return l
	}
	return background
}

// fails reports whether a read of the lane fails.
func (l *lane) fails() bool { return l.rng != nil && l.faulty > 0 && l.rng.Float64() < l.faulty }
