package react

import (
	"context"
	"iter"
	"time"

	"muniment.dev/event"
)

// Reader is the log as it is read here; *eventlog.Log.
type Reader interface {
	ReadTo(ctx context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error]
	Record(ctx context.Context, p event.Position) (*event.Record, error)
}

// Selection is what a subscriber is to get at the moment.
type Selection struct {
	Query   event.Query // finds all of it, and perhaps more
	Matches func(*event.Record) bool
	Upto    event.Position // nothing behind it is handed out yet
}

// Delivery is an event that is handed out.
type Delivery struct {
	Record  *event.Record
	Attempt int  // from 1
	Repeat  bool // it may have been handed out before the subscriber was rewound
}

// Ask is how much is to be handed out, to whom.
type Ask struct {
	Max    int       // at most so many
	Window int       // so many streams may have something unsettled before no others are begun
	Until  time.Time // when what is handed out is taken back
	Now    time.Time
	// Several of one stream are handed out before the first is settled: to a
	// receiver who takes them in the order in which they are sent.
	Several bool
}

// looks bounds how many records one Take looks at; the next one goes on there.
const looks = 4096

// Take hands out what comes next: first of the streams that are behind, then of
// what is new. more says that it has to be called again to look at the rest.
func (c *Cursor) Take(ctx context.Context, log Reader, s Selection, a Ask) (list []Delivery, more bool, err error) {
	t := &taking{c: c, log: log, s: s, a: a}
	if err := t.behind(ctx); err != nil {
		return nil, false, err
	}
	more, err = t.scan(ctx)
	return t.list, more, err
}

// taking is one Take.
type taking struct {
	c    *Cursor
	log  Reader
	s    Selection
	a    Ask
	list []Delivery
}

func (t *taking) full() bool { return len(t.list) >= t.a.Max }

// behind hands out of streams that have a lane.
func (t *taking) behind(ctx context.Context) error {
	for _, l := range t.c.ordered() {
		for !t.full() && t.ready(l) {
			r, err := t.next(ctx, l)
			if err != nil {
				return err
			}
			if r == nil {
				t.c.tidy(l)
				break
			}
			if r.Position > t.s.Upto {
				break
			}
			t.give(l, r)
		}
	}
	return nil
}

// ready reports whether the next event of a lane may be handed out.
func (t *taking) ready(l *lane) bool {
	switch {
	case !l.dead.IsZero(), l.head > t.s.Upto: // the latter on a node that does not read as far yet
		return false
	case len(l.out) > 0:
		return t.a.Several && l.more
	}
	return !l.at.After(t.a.Now)
}

// next is the record that comes next in a lane; nil if there is none.
func (t *taking) next(ctx context.Context, l *lane) (*event.Record, error) {
	if l.head > 0 {
		r, err := t.log.Record(ctx, l.head)
		if err != nil || t.s.Matches(r) {
			return r, err
		}
		l.settle(l.head) // the subscriber does not want it any more
	}
	if !l.more {
		return nil, nil
	}
	after := l.after
	if n := len(l.out); n > 0 {
		after = l.out[n-1].position
	}
	for r, err := range t.log.ReadTo(ctx, t.ofStream(l.stream), after, t.c.Seen) {
		if err != nil || t.s.Matches(r) {
			return r, err
		}
	}
	l.more = false
	return nil, nil
}

// ofStream finds a stream's records of the types that are selected.
func (t *taking) ofStream(s event.Stream) event.Query {
	var types []string
	for _, it := range t.s.Query {
		if len(it.Types) == 0 {
			return event.OfStream(s)
		}
		types = append(types, it.Types...)
	}
	return event.OfStream(s, types...)
}

// give hands out the next record of a lane.
func (t *taking) give(l *lane, r *event.Record) {
	t.c.Sent++
	attempt := 1
	if len(l.out) == 0 {
		attempt += l.tries
	}
	l.out = append(l.out, out{position: r.Position, sent: t.c.Sent})
	l.head, l.at = 0, t.a.Until
	t.list = append(t.list, Delivery{r, attempt, r.Position <= t.c.Repeats})
}

// scan looks at what is new. It answers true if it looked at as much as one Take
// may, and there is more.
func (t *taking) scan(ctx context.Context) (bool, error) {
	c, looked, busy := t.c, 0, t.c.busy()
	if t.full() {
		return false, nil
	}
	for r, err := range t.log.ReadTo(ctx, t.s.Query, c.Seen, t.s.Upto) {
		if err != nil {
			return false, err
		}
		l := c.lanes[r.Stream]
		fits := t.s.Matches(r)
		if looked == looks || fits && (t.full() || l == nil && busy >= t.a.Window) {
			c.Seen = r.Position - 1
			return looked == looks, nil
		}
		looked++
		switch {
		case !fits:
		case l == nil:
			l = &lane{stream: r.Stream, after: r.Position - 1}
			c.lanes[r.Stream] = l
			busy++
			t.give(l, r)
		case t.a.Several && len(l.out) > 0 && !l.more:
			t.give(l, r)
		default:
			l.more = true
		}
		c.Seen = r.Position
	}
	c.Seen = max(c.Seen, t.s.Upto)
	return false, nil
}

// Oldest is the first record that is not settled, dead letters and what waits
// behind them aside; nil if there is none, as far as one Take would look.
func (c *Cursor) Oldest(ctx context.Context, log Reader, s Selection) (*event.Record, error) {
	t := &taking{c: c, log: log, s: s}
	var first *event.Record
	for _, l := range c.ordered() {
		if !l.dead.IsZero() || first != nil && l.first() >= first.Position {
			continue
		}
		r, err := t.unsettled(ctx, l)
		if err != nil {
			return nil, err
		}
		if r != nil && (first == nil || r.Position < first.Position) {
			first = r
		}
	}
	if first != nil {
		return first, nil
	}
	looked := 0
	for r, err := range log.ReadTo(ctx, s.Query, c.Seen, s.Upto) {
		if err != nil {
			return nil, err
		}
		if l := c.lanes[r.Stream]; s.Matches(r) && (l == nil || l.dead.IsZero()) {
			return r, nil
		}
		if looked++; looked == looks {
			break
		}
	}
	return nil, nil
}

// unsettled is the first record of a lane that is not settled; nil if there is
// none.
func (t *taking) unsettled(ctx context.Context, l *lane) (*event.Record, error) {
	if len(l.out) > 0 {
		return t.log.Record(ctx, l.out[0].position)
	}
	return t.next(ctx, l)
}
