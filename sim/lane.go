package sim

import "context"

type laneKey struct{}

// background is the lane of what comes without one: the sequencer and the
// publisher.
const background = "server"

// withLane names a thread of what happens: a client's command, a node's
// erasures. No two things wait in one lane.
func withLane(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, laneKey{}, name)
}

func laneOf(ctx context.Context) string {
	if name, ok := ctx.Value(laneKey{}).(string); ok {
		return name
	}
	return background
}

// reads is a set of kinds of reads. Which of them fail is settled for all
// nodes and clients at once, while nothing moves: so what fails does not depend
// on which goroutine runs first, nor on who finds what in whose cache.
type reads = uint32

// The kinds of reads.
const (
	lookups reads = 1 << iota // by id
	scans                     // of records, postings, tiles and the head
	secrets                   // of keys
	allReads
)
