package eventlog

import (
	"context"
	"errors"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// forwardFor bounds how long the holder is waited for.
const forwardFor = 10 * time.Second

// turnAway deals with an append while this node does not hold the log.
func (s *sequencer) turnAway(w *waiter, err error) {
	p, l := s.peer, s.log
	switch {
	case !p.follows():
		w.finish(Appended{}, unavailable(err))
	case w.here:
		w.finish(Appended{}, ErrMoved)
	case l.opts.Forward == nil || p.following.Holder.Address == "":
		w.finish(Appended{}, unavailable(&Held{*p.following}))
	default:
		p.forwards++
		held := Held{*p.following}
		go func() {
			moved := l.forward(w, held)
			l.nodes.happened <- func(s *sequencer) { s.forwarded(w, moved) }
		}()
	}
}

// forward has the holder append, and answers when what it did, or what came
// between, can be read here. It reports whether the holder is none any more.
func (l *Log) forward(w *waiter, held Held) (moved bool) {
	n := l.nodes
	ctx, cancel := context.WithTimeout(n.ctx, forwardFor)
	defer cancel()
	n.forwarded.Add(1)
	res, err := l.opts.Forward(ctx, held, w.req)
	if errors.Is(err, ErrMoved) && !fault.Is(err, fault.Unknown) { // not only why nobody knows
		n.failed.Add(1)
		return true
	}
	var b *Between
	switch {
	case err == nil:
		l.reach(ctx, res.Last)
	case errors.As(err, &b):
		l.reach(ctx, b.Position)
	case errors.Is(err, ErrKeyTaken), errors.Is(err, ErrKeyUnnamed): // whoever decides again is to know which
		_ = l.CatchUp(ctx)
	case fault.Is(err, fault.Unknown):
		n.failed.Add(1)
	}
	w.finish(res, err)
	return false
}

// reach waits until the mark is there, as far as that can be: what was appended
// was appended, whether it can be read here or not.
func (l *Log) reach(ctx context.Context, p event.Position) {
	for !l.comes(ctx, p) {
		if l.CatchUp(ctx) != nil || l.Leads() && l.Mark().Size < p {
			return
		}
	}
}

// forwarded notes that a forwarded append was answered, or has to be again.
func (s *sequencer) forwarded(w *waiter, moved bool) {
	s.peer.forwards--
	if moved {
		s.park(w)
		s.log.look()
	}
}

// park keeps an append until it is known who holds the log. It may be withdrawn
// meanwhile, unless it may stand in the log already.
func (s *sequencer) park(w *waiter) {
	p := s.peer
	if w.parked.IsZero() {
		w.parked = time.Now()
	}
	switch {
	case p.stopping:
		w.finish(Appended{}, errStopping)
	case time.Since(w.parked) > 2*s.log.nodes.lease+2*time.Second:
		w.finish(Appended{}, fault.New(fault.Unavailable, "no node that can be reached appends to the log at the moment; nothing was changed"))
	default:
		if !w.begun {
			w.state.Store(waiting)
		}
		p.parked = append(p.parked, w)
	}
}

// unpark considers those again who wait for a holder.
func (s *sequencer) unpark() {
	p := s.peer
	if p.lost != nil {
		return
	}
	parked := p.parked
	p.parked = nil
	for _, w := range parked {
		if w.begun || w.state.CompareAndSwap(waiting, taken) {
			if p.stopping {
				w.finish(Appended{}, errStopping)
				continue
			}
			s.consider(w)
		}
	}
}
