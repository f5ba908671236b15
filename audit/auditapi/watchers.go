package auditapi

import (
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// maxWatches bounds how many streams of events one caller has open: each looks
// at the log whenever it grows.
const maxWatches = 16

// watchers counts streams by who watches. The zero value has none.
type watchers struct {
	mu sync.Mutex
	n  map[event.Actor]int
}

// enter counts one more; leave takes it back.
func (w *watchers) enter(a event.Actor) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n[a] >= maxWatches {
		return nil, fault.New(fault.Exhausted, "you have %d streams of events open; close one of them first", maxWatches)
	}
	if w.n == nil {
		w.n = map[event.Actor]int{}
	}
	w.n[a]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.n[a]--; w.n[a] == 0 {
			delete(w.n, a)
		}
	}, nil
}
