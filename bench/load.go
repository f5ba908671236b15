package bench

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// operation is one thing that a client does and waits for.
type operation func(context.Context) error

// timed is what became of many operations.
type timed struct {
	n         int
	elapsed   time.Duration
	cpu       time.Duration   // of this process, all threads, until it is at rest; 0 where it cannot be told
	latencies []time.Duration // sorted
}

// rate is in operations per second.
func (t timed) rate() float64 { return float64(t.n) / t.elapsed.Seconds() }

// cpuEach is the CPU time of one operation.
func (t timed) cpuEach() time.Duration { return t.cpu / time.Duration(max(t.n, 1)) }

// quantile returns the latency that a share of the operations stayed below.
func (t timed) quantile(share float64) time.Duration { return quantile(t.latencies, share) }

func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// together lets clients share operations: each takes the next one when its last
// is done. The first error ends it.
func together(ctx context.Context, clients int, ops []operation) (timed, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	latencies := make([]time.Duration, len(ops))
	var next atomic.Int64
	var wg sync.WaitGroup
	runtime.GC() // what was made in preparation is not part of it
	cpu, began := processTime(), time.Now()
	for range clients {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ops)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				start := time.Now()
				if err := ops[i](ctx); err != nil {
					stop(err)
					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	t := timed{n: len(ops), elapsed: time.Since(began), latencies: latencies}
	rest(ctx)
	t.cpu = processTime() - cpu
	slices.Sort(t.latencies)
	return t, context.Cause(ctx)
}

// rest waits until this process is at rest: what operations leave behind for
// later, such as the engine's compactions, must not fall into the time of those
// that come next. Their CPU time counts as that of the operations.
func rest(ctx context.Context) {
	const look, quiet, longest = 25 * time.Millisecond, 2 * time.Millisecond, 10 * time.Second
	for start := time.Now(); time.Since(start) < longest && ctx.Err() == nil; {
		before := processTime()
		time.Sleep(look)
		if processTime()-before < quiet {
			return
		}
	}
}

// median of some numbers; 0 of none.
func median[T float64 | time.Duration](of []T) T {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
