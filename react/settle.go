package react

import (
	"time"

	"muniment.dev/event"
)

// Failure says why an event was not taken, in words of a closed list: nothing
// that a receiver said.
type Failure struct {
	Reason Reason
	Status int // of HTTP, if the receiver answered one
}

// Reason is the class of a failure.
type Reason string

// The reasons.
const (
	Rejected    Reason = "rejected"    // the receiver said so, without a status
	Answered    Reason = "answered"    // with a status that is no success
	Unreachable Reason = "unreachable" // no connection, or it broke
	TimedOut    Reason = "timed-out"   // no answer in time, or no acknowledgement
	Forbidden   Reason = "forbidden"   // the address is one that must not be called
	Unreadable  Reason = "unreadable"  // the event could not be made ready
)

// Retry is when a failed event is tried again.
type Retry struct {
	Attempts int           // after so many it is a dead letter
	First    time.Duration // the pause behind the first; each further one is twice as long
	Most     time.Duration // but no longer than this
	// Jitter draws a number in [0, 1): pauses are that much shorter, up to half,
	// so that what failed together is not tried together. nil: as they are.
	Jitter func() float64
}

// pause is how long to wait after so many failed attempts, or as long as the
// receiver asked for, within the bound.
func (r Retry) pause(attempts int, asked time.Duration) time.Duration {
	d := r.First
	for i := 1; i < attempts && d < r.Most; i++ {
		d *= 2
	}
	d = min(d, r.Most)
	if r.Jitter != nil {
		d -= time.Duration(r.Jitter() * float64(d) / 2)
	}
	return max(d, min(asked, r.Most))
}

// Done settles an event. It answers false if nobody has it: it was settled
// before, or was taken back.
func (c *Cursor) Done(p event.Position) bool {
	l, i := c.holder(p)
	if l == nil {
		return false
	}
	l.out[i].done = true
	for len(l.out) > 0 && l.out[0].done {
		l.settle(l.out[0].position)
		l.out = l.out[1:]
	}
	c.tidy(l)
	return true
}

// settle moves the lane behind a position.
func (l *lane) settle(p event.Position) {
	l.after, l.head, l.tries, l.why = p, 0, 0, Failure{}
}

// tidy removes a lane in which nothing is left.
func (c *Cursor) tidy(l *lane) {
	if len(l.out) > 0 {
		return
	}
	l.at = time.Time{}
	if l.head == 0 && !l.more {
		delete(c.lanes, l.stream)
	}
}

// Fail takes an event back that was not taken. The last attempt makes it a dead
// letter. It answers false if nobody has it.
func (c *Cursor) Fail(p event.Position, why Failure, now time.Time, asked time.Duration, r Retry) bool {
	l, i := c.holder(p)
	if l == nil {
		return false
	}
	if i > 0 { // those before it are first; what is behind comes again in its turn
		l.out, l.more = l.out[:i], true
		return true
	}
	l.more = l.more || len(l.out) > 1
	l.out, l.head, l.why = nil, p, why
	l.tries++
	l.at = now.Add(r.pause(l.tries, asked))
	if l.tries >= r.Attempts {
		l.at, l.dead = time.Time{}, now
	}
	return true
}

// Expire takes back what has been out for too long.
func (c *Cursor) Expire(now time.Time, r Retry) {
	for _, l := range c.lanes {
		if len(l.out) > 0 && !l.at.After(now) {
			c.Fail(l.out[0].position, Failure{Reason: TimedOut}, now, 0, r)
		}
	}
}

// Prolong lets receivers keep what they have for so long from now on, where less
// than half of that is left.
func (c *Cursor) Prolong(now time.Time, d time.Duration) {
	for _, l := range c.lanes {
		if len(l.out) > 0 && l.at.Before(now.Add(d/2)) {
			l.at = now.Add(d)
		}
	}
}

// Release takes everything back without blame, to be handed out again at once:
// whoever had it is gone.
func (c *Cursor) Release() {
	for _, l := range c.lanes {
		if len(l.out) == 0 {
			continue
		}
		l.more = l.more || len(l.out) > 1
		l.head, l.out, l.at = l.out[0].position, nil, time.Time{}
	}
}

// Resume is what a receiver says that got everything that was sent to it up to
// an event, and has lost the connection then. The next one behind it counts as
// an attempt: it may be what broke the receiver.
func (c *Cursor) Resume(last event.Position, now time.Time, r Retry) {
	if l, i := c.holder(last); l != nil {
		upto := l.out[i].sent
		for _, p := range c.Out() {
			if l, i := c.holder(p); l != nil && l.out[i].sent <= upto {
				c.Done(p)
			}
		}
	}
	next, sent := event.Position(0), uint64(0)
	for _, l := range c.lanes {
		if len(l.out) > 0 && (next == 0 || l.out[0].sent < sent) {
			next, sent = l.out[0].position, l.out[0].sent
		}
	}
	if next > 0 {
		r.First, r.Most = 0, 0
		c.Fail(next, Failure{Reason: TimedOut}, now, 0, r)
	}
	c.Release()
}

// Redrive tries a dead letter anew. It answers false if it is none.
func (c *Cursor) Redrive(p event.Position) bool {
	l := c.letter(p)
	if l == nil {
		return false
	}
	l.dead, l.tries, l.why, l.at = time.Time{}, 0, Failure{}, time.Time{}
	return true
}

// Discard gives a dead letter up; what waits behind it goes on. It answers
// false if it is none.
func (c *Cursor) Discard(p event.Position) bool {
	l := c.letter(p)
	if l == nil {
		return false
	}
	l.dead = time.Time{}
	l.settle(p)
	c.tidy(l)
	return true
}

func (c *Cursor) letter(p event.Position) *lane {
	for _, l := range c.lanes {
		if !l.dead.IsZero() && l.head == p {
			return l
		}
	}
	return nil
}

// Rewind goes on behind another position. Dead letters up to it stay; all that
// comes after it is handed out again, or for the first time.
func (c *Cursor) Rewind(after event.Position) {
	c.Repeats = max(c.Repeats, c.Seen)
	for s, l := range c.lanes {
		if l.dead.IsZero() || l.head > after {
			delete(c.lanes, s)
		}
	}
	c.Seen = after
	c.rewinds++
}

// cut forgets everything behind a position: records that were lost with it.
func (c *Cursor) cut(last event.Position) {
	for s, l := range c.lanes {
		if l.first() > last {
			delete(c.lanes, s)
			continue
		}
		for i, o := range l.out {
			if o.position > last {
				l.out = l.out[:i]
				break
			}
		}
	}
	c.Seen, c.Applied, c.Repeats = min(c.Seen, last), min(c.Applied, last), min(c.Repeats, last)
}
