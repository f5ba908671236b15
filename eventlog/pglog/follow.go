package pglog

import (
	"context"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

var _ eventlog.Absences = (*Store)(nil)

// followed is what a node that follows a log knows from memory: the streams,
// subjects and blind tags of all records up to a position. Unlike existence it
// rests on no lease: it answers for what was read, not for what is stored.
type followed struct {
	mu   sync.Mutex
	f    *filter
	upto event.Position // all up to there is in f, once it is full
	full bool           // what was stored before is in f
	made time.Time
	stop context.CancelFunc
}

// remade is how soon at the earliest a filter is made again, which reads through
// the log's ids.
const remade = 10 * time.Second

// Followed implements eventlog.Absences.
func (s *Store) Followed(log event.LogID, from, to event.Position, terms []event.Term) {
	if s.opts.Filter < 0 {
		return
	}
	x := &s.state(log).followed
	x.mu.Lock()
	defer x.mu.Unlock()
	grown := x.f != nil && x.f.n.Load() > x.f.room && s.opts.room(to) > x.f.room
	if x.f == nil || x.upto != from || len(terms) == 0 && to > from || grown {
		x.begin(s, log, to)
		return
	}
	for _, t := range terms {
		if kind, v, ok := named(t); ok {
			x.f.add(kind, v)
		}
	}
	x.upto = to
}

// Absent implements eventlog.Absences.
func (s *Store) Absent(log event.LogID, t event.Term, upto event.Position) bool {
	kind, v, ok := named(t)
	if !ok {
		return false
	}
	x := &s.state(log).followed
	x.mu.Lock()
	f := x.f
	ok = x.full && x.upto >= upto
	x.mu.Unlock()
	return ok && !f.has(kind, v)
}

// named is how a filter names what a term is of.
func named(t event.Term) (kind byte, v [16]byte, ok bool) {
	switch {
	case t.IsBlind():
		return ofBlind, t.Digest(), true
	case len(t) > 2 && t[:2] == "s:":
		return ofStream, t.Digest(), true
	case len(t) > 2 && t[:2] == "u:":
		id, err := event.ParseID(string(t[2:]))
		return ofSubject, id, err == nil
	}
	return 0, v, false
}

// begin makes the filter anew, beside, for the records up to a position; what
// comes behind is added meanwhile.
func (x *followed) begin(s *Store, log event.LogID, upto event.Position) {
	x.forget()
	room := s.opts.room(upto)
	if room == 0 || time.Since(x.made) < remade {
		return
	}
	f := newFilter(room)
	x.f, x.upto, x.made = f, upto, time.Now()
	if x.full = upto == 0; x.full {
		return
	}
	ctx, stop := context.WithCancel(s.life)
	x.stop = stop
	s.beside(func() {
		if !fill(ctx, s, log, f, followedIDs) {
			return
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.f == f {
			x.full = true
		}
	})
}

// end is called when this node holds the log itself.
func (x *followed) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget()
	x.made = time.Time{}
}

func (x *followed) forget() {
	if x.stop != nil {
		x.stop()
	}
	x.f, x.full, x.stop = nil, false, nil
}

// room is how many ids a filter is made for over a log of that size; 0: there
// are too many for it to be of use.
func (o *Options) room(size event.Position) int64 {
	if room := 8*int64(size) + 1<<20; room*bitsPerID/8 <= o.Filter {
		return room
	}
	if room := o.Filter * 8 / bitsPerID; room > 4*int64(size) {
		return room
	}
	return 0
}
