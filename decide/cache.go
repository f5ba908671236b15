package decide

import (
	"sync"
	"time"

	"muniment.dev/event"
)

// maxCached bounds the folded states that are kept.
const maxCached = 1 << 16

type cacheKey struct {
	decider string
	query   string
}

// cached is a state folded up to a position.
type cached struct {
	state any
	at    event.Position
}

// cache keeps folded states. They are never trusted without the condition, so
// an old one only costs another round.
type cache struct {
	mu      sync.Mutex
	states  map[cacheKey]cached
	era     int // how often it was cleared
	refused map[refusal]int
	minute  int64
}

type refusal struct {
	actor   event.Actor
	command string
}

// get returns a state, if there is one, and the era in which it is valid.
func (c *cache) get(k cacheKey) (cached, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[k], c.era
}

// put keeps a state that was folded in an era; what was folded before the
// cache was cleared may hold what was erased meanwhile.
func (c *cache) put(k cacheKey, v cached, era int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if c.states == nil || len(c.states) >= maxCached {
		c.states = map[cacheKey]cached{}
	}
	if old, ok := c.states[k]; !ok || old.at < v.at {
		c.states[k] = v
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = nil
	c.era++
}

// refusalsPerMinute bounds how many refusals of one actor and command are
// recorded one by one each minute.
const refusalsPerMinute = 10

func (c *cache) mayRecord(a event.Actor, command string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if minute := now.Unix() / 60; minute != c.minute || c.refused == nil {
		c.refused, c.minute = map[refusal]int{}, minute
	}
	c.refused[refusal{a, command}]++
	return c.refused[refusal{a, command}] <= refusalsPerMinute
}
