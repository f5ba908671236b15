package stats

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"muniment.dev/event"
)

// Statistics returns what was counted so far.
func (c *Counter) Statistics() *Statistics {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statistics(c.log.Mark().Size, c.log.Now())
}

func (c *Counter) statistics(size event.Position, now time.Time) *Statistics {
	k := &c.sums
	s := &Statistics{Events: uint64(size), Counted: k.Position, Bytes: k.Bytes, Streams: k.Streams,
		Types: maps.Clone(k.Types), First: k.First, Last: k.Last, Hours: periods(k.Hours, hour), Days: periods(k.Days, day)}
	c.tick(now.Unix())
	for _, n := range c.recent {
		s.Minute += n
	}
	return s
}

// Of counts records that do not grow, as of a time.
func Of(records iter.Seq2[*event.Record, error], now time.Time) (*Statistics, error) {
	c := &Counter{sums: empty(event.LogID{})}
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		if c.add(r); r.Position%chunk == 0 {
			c.trim()
		}
	}
	c.trim()
	return c.statistics(c.sums.Position, now), nil
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
