package react

import (
	"slices"
	"time"

	"muniment.dev/event"
)

// Cursor is how far a subscriber is: everything up to Seen was looked at, and is
// settled but for the streams that have a lane, each of which is behind for a
// reason of its own. It is not safe for concurrent use.
type Cursor struct {
	Log     event.LogID    // the generation of the log that Seen is of
	Applied event.Position // what was said of the subscriber up to here is worked in
	Seen    event.Position
	Repeats event.Position // what is handed out up to here may have been before: the subscriber was rewound
	Session event.ID       // of whoever streams; zero: nobody
	Sent    uint64         // counts what was handed out

	lanes   map[event.Stream]*lane
	rewinds int // since it was loaded
}

// lane is a stream of which not everything up to Seen is settled.
type lane struct {
	stream event.Stream
	after  event.Position // settled up to here
	head   event.Position // what comes next, if that is known; else it has to be looked up
	more   bool           // there may be more between what is out, or head, and Seen
	out    []out          // handed out and not settled, in order
	at     time.Time      // when out is taken back; or, if nothing is out, when head is tried again
	tries  int            // of head that failed
	why    Failure        // of the last
	dead   time.Time      // since when head is a dead letter; zero: it is none
}

// out is an event that somebody has.
type out struct {
	position event.Position
	done     bool   // settled, but one before it is not
	sent     uint64 // Cursor.Sent by then
}

// Begin is the cursor of a subscriber for whom nothing up to a position counts.
func Begin(log event.LogID, after event.Position) *Cursor {
	return &Cursor{Log: log, Seen: after, lanes: map[event.Stream]*lane{}}
}

// Letter is an event that is not delivered any more until somebody says so.
type Letter struct {
	Stream   event.Stream
	Position event.Position
	Attempts int
	Failure  Failure
	Since    time.Time
}

// Dead lists the dead letters, by position.
func (c *Cursor) Dead() []Letter {
	var list []Letter
	for _, l := range c.lanes {
		if !l.dead.IsZero() {
			list = append(list, Letter{l.stream, l.head, l.tries, l.why, l.dead})
		}
	}
	slices.SortFunc(list, func(a, b Letter) int { return order(a.Position, b.Position) })
	return list
}

// Counts says how many events are with receivers, how many streams wait for
// another try, and how many dead letters there are.
func (c *Cursor) Counts() (out, waiting, dead int) {
	for _, l := range c.lanes {
		switch {
		case !l.dead.IsZero():
			dead++
		case l.tries > 0 && len(l.out) == 0:
			waiting++
		}
		out += len(l.out)
	}
	return out, waiting, dead
}

// Settled is the position up to which everything is settled, dead letters and
// what waits behind them aside.
func (c *Cursor) Settled() event.Position {
	low := c.Seen
	for _, l := range c.lanes {
		if l.dead.IsZero() {
			low = min(low, l.first()-1)
		}
	}
	return low
}

// Passed reports whether an event of a stream is settled.
func (c *Cursor) Passed(s event.Stream, p event.Position) bool {
	l := c.lanes[s]
	return p <= c.Seen && (l == nil || p <= l.after)
}

// first is the least position that may not be settled.
func (l *lane) first() event.Position {
	switch {
	case l.head > 0:
		return l.head
	case len(l.out) > 0:
		return l.out[0].position
	}
	return l.after + 1
}

// Out lists the positions that are with receivers.
func (c *Cursor) Out() []event.Position {
	var list []event.Position
	for _, l := range c.lanes {
		for _, o := range l.out {
			if !o.done {
				list = append(list, o.position)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Next is the first time at which something will be tried again or taken back;
// zero if nothing waits.
func (c *Cursor) Next() (next time.Time) {
	for _, l := range c.lanes {
		if l.dead.IsZero() && !l.at.IsZero() && (next.IsZero() || l.at.Before(next)) {
			next = l.at
		}
	}
	return next
}

// ordered are the lanes by what comes next in each.
func (c *Cursor) ordered() []*lane {
	list := make([]*lane, 0, len(c.lanes))
	for _, l := range c.lanes {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *lane) int { return order(a.first(), b.first()) })
	return list
}

// order compares positions; two lanes never have the same.
func order(a, b event.Position) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// busy counts the lanes that hold up the others if there are many.
func (c *Cursor) busy() (n int) {
	for _, l := range c.lanes {
		if l.dead.IsZero() {
			n++
		}
	}
	return n
}

// holder is the lane in which a position is out, and where in it.
func (c *Cursor) holder(p event.Position) (*lane, int) {
	for _, l := range c.lanes {
		if i := slices.IndexFunc(l.out, func(o out) bool { return o.position == p }); i >= 0 {
			return l, i
		}
	}
	return nil, 0
}
