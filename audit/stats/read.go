package stats

import (
	"context"
	"maps"
	"slices"
	"time"

	"muniment.dev/event"
)

// Statistics returns what was counted so far.
func (c *Counter) Statistics() *Statistics {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.sums
	s := &Statistics{Events: uint64(c.log.Mark().Size), Counted: k.Position, Bytes: k.Bytes, Streams: k.Streams,
		Types: maps.Clone(k.Types), First: k.First, Last: k.Last, Hours: periods(k.Hours, hour), Days: periods(k.Days, day)}
	c.tick(c.log.Now().Unix())
	for _, n := range c.recent {
		s.Minute += n
	}
	return s
}

// Wait returns when everything up to a position was counted.
func (c *Counter) Wait(ctx context.Context, upto event.Position) error {
	for {
		c.mu.Lock()
		at, moved := c.sums.Position, c.moved
		c.mu.Unlock()
		if at >= upto {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// periods lists periods by time. What they hold is copied.
func periods(m map[int64]map[string]uint64, length int64) []Period {
	out := make([]Period, 0, len(m))
	for _, n := range slices.Sorted(maps.Keys(m)) {
		p := Period{Start: time.Unix(n*length, 0).UTC(), Types: maps.Clone(m[n])}
		for _, count := range p.Types {
			p.Events += count
		}
		out = append(out, p)
	}
	return out
}
