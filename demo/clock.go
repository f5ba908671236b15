package demo

import (
	"sync"
	"time"
)

// clock is a clock that is moved through the past by hand and then runs.
type clock struct {
	mu   sync.Mutex
	past time.Time // zero: the real time
}

// Now is the clock's time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.past.IsZero() {
		return time.Now()
	}
	return c.past
}

// set moves the clock to a time in the past; it never goes back.
func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.past) {
		c.past = t
	}
}

// release lets the clock run.
func (c *clock) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past = time.Time{}
}
