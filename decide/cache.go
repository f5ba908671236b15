package decide

import (
	"sync"
	"time"

	"muniment.dev/event"
)

// maxCached bounds one generation of what is kept: what was used lately is in
// the present one or in the one before.
const maxCached = 1 << 13

type cacheKey struct {
	decider string // "" for the facts of one item
	query   string
}

// cached is a state folded up to a position, or the facts of one item.
type cached struct {
	state any
	at    event.Position
}

// cache keeps folded states and facts. They are never trusted without the
// condition, so an old one only costs another round.
type cache struct {
	mu         sync.Mutex
	young, old map[cacheKey]cached
	era        int // how often it was cleared
	refused    map[refusal]int
	minute     int64
}

type refusal struct {
	actor   event.Actor
	command string
}

// get returns what is kept, if anything is, and the era in which it is valid.
func (c *cache) get(k cacheKey) (cached, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[k]
	if !ok {
		if v, ok = c.old[k]; ok {
			c.keep(k, v)
		}
	}
	return v, c.era
}

// put keeps what was read in an era; what was read before the cache was
// cleared may hold what was erased meanwhile.
func (c *cache) put(k cacheKey, v cached, era int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if old, ok := c.young[k]; !ok || old.at < v.at {
		c.keep(k, v)
	}
}

func (c *cache) keep(k cacheKey, v cached) {
	if c.young == nil || len(c.young) >= maxCached {
		c.young, c.old = map[cacheKey]cached{}, c.young
	}
	c.young[k] = v
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = nil, nil
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
