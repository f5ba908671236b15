package eventlog

import "muniment.dev/event"

// cache is a map of bounded size. What was put in the present or the previous
// generation is found; sweep begins a new one when the present is full. Since
// it is swept at most once per commit, what a batch put in is still there when
// that batch is durable.
type cache[K comparable, V any] struct {
	young, old map[K]V
}

// maxCached bounds one generation.
const maxCached = 1 << 16

func (c *cache[K, V]) get(k K) (V, bool) {
	if v, ok := c.young[k]; ok {
		return v, true
	}
	v, ok := c.old[k]
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	if c.young == nil {
		c.young = map[K]V{}
	}
	c.young[k] = v
}

func (c *cache[K, V]) sweep() {
	if len(c.young) > maxCached {
		c.young, c.old = nil, c.young
	}
}

// lately knows the last position of every term since a position, so that most
// conditions are found to hold without looking at a single record.
type lately struct {
	young, old   map[event.Term]event.Position
	since, until event.Position // knows positions > since; young knows those > until
	last         event.Position
}

// maxTerms bounds one generation: some 8,000 records.
const maxTerms = 1 << 16

// forget begins anew after a position.
func (l *lately) forget(p event.Position) {
	*l = lately{young: map[event.Term]event.Position{}, since: p, until: p, last: p}
}

// add notes a record's terms. Positions must rise.
func (l *lately) add(p event.Position, terms []event.Term) {
	if len(l.young) > maxTerms {
		l.old, l.young = l.young, make(map[event.Term]event.Position, maxTerms)
		l.since, l.until = l.until, l.last
	}
	for _, t := range terms {
		l.young[t] = p
	}
	l.last = p
}

// after reports whether a record with that term came after p. It may be asked
// for p >= since only.
func (l *lately) after(p event.Position, t event.Term) bool {
	if last, ok := l.young[t]; ok {
		return last > p
	}
	return p < l.until && l.old[t] > p
}

// rulesOut reports that no record after p is selected. False says nothing.
func (l *lately) rulesOut(q event.Query, p event.Position) bool {
	if p < l.since {
		return false
	}
	if p >= l.last {
		return true
	}
	for _, it := range q {
		if l.mayMatch(it, p) {
			return false
		}
	}
	return true
}

func (l *lately) mayMatch(it event.Item, p event.Position) bool {
	for _, t := range it.All {
		if !l.after(p, t) {
			return false
		}
	}
	for _, typ := range it.Types {
		if l.after(p, event.TypeTerm(typ)) {
			return true
		}
	}
	return len(it.Types) == 0
}
