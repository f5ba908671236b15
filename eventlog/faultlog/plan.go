package faultlog

import (
	"math/rand/v2"
	"sync"
)

// Plan decides what happens at each effect.
type Plan interface {
	// next is called at each effect, in the order of the effects.
	next(Point) Failure
}

// Script fails at chosen effects: at the n-th of a point, from 1.
type Script struct {
	mu    sync.Mutex
	count map[Point]int
	at    map[step]Failure
	met   int
}

type step struct {
	point Point
	n     int
}

// Scripted returns an empty script, which never fails.
func Scripted() *Script { return &Script{count: map[Point]int{}, at: map[step]Failure{}} }

// At makes the n-th effect of a point fail, and returns the script.
func (s *Script) At(p Point, n int, f Failure) *Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[step{p, n}] = f
	return s
}

// Count is how many effects of a point there were.
func (s *Script) Count(p Point) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[p]
}

// Met is how many of the failures took place.
func (s *Script) Met() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

func (s *Script) next(p Point) Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[p]++
	f := s.at[step{p, s.count[p]}]
	if f != None {
		s.met++
	}
	return f
}

// Chance fails at random, the same way for the same seed and order of effects.
type Chance struct {
	mu   sync.Mutex
	rng  *rand.Rand
	odds map[Point]float64
}

// Seeded returns a plan that fails at each effect with the odds of its point,
// from 0 to 1.
func Seeded(seed uint64, odds map[Point]float64) *Chance {
	return &Chance{rng: rand.New(rand.NewPCG(seed, 0)), odds: odds}
}

// Heal ends all failing.
func (c *Chance) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odds = nil
}

func (c *Chance) next(p Point) Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	roll, kind := c.rng.Float64(), 1+c.rng.IntN(3)
	if roll >= c.odds[p] {
		return None
	}
	return Failure(kind)
}
