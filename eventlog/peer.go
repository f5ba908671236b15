package eventlog

import (
	"context"
	"errors"
	"time"

	"muniment.dev/fault"
)

// peer is what a sequencer takes besides, whose log several nodes share. While
// it holds the log, what it committed is published before it is answered; the
// next batch flies meanwhile. While another holds it, what waits is forwarded.
// Its methods do nothing on nil.
type peer struct {
	following *Standing // another holds the log
	vanished  time.Time // since when there is no mark of the holder
	forwards  int       // under way
	parked    []*waiter // for whom there was no holder
	stopping  bool

	landed     []*batch  // durable, but not published
	announcing bool      // a mark is on its way to the store
	asked      time.Time // the last time that it was
	lost       *loss     // the log is not ours any more; waits for what is under way
}

// loss is why a sequencer stopped to hold the log.
type loss struct {
	err   error
	batch *batch // whose commit failed
}

func (p *peer) follows() bool { return p != nil && p.following != nil }
func (p *peer) losing() bool  { return p != nil && p.lost != nil }

// maxForwards bounds how many appends are on their way to the holder.
const maxForwards = 2048

func (p *peer) busy() bool { return p != nil && (p.lost != nil || p.forwards >= maxForwards) }

// idle reports whether nothing is under way.
func (p *peer) idle() bool {
	return p == nil || !p.announcing && p.lost == nil && len(p.landed) == 0 && p.forwards == 0
}

func (p *peer) unpublished() []*batch {
	if p == nil {
		return nil
	}
	return p.landed
}

// fenced reports whether an error says that another has taken the log. Then
// nothing was stored, and the new holder may be asked instead.
func (p *peer) fenced(err error) bool { return p != nil && fault.Is(err, fault.Conflict) }

// loadFree takes the log unless another holds it, and loads the memory.
func (s *sequencer) loadFree(ctx context.Context) error {
	l, n := s.log, s.log.nodes
	asked := time.Now()
	h, err := n.store.TakeFree(ctx, l.id, Holder{l.opts.Holder, l.opts.Address}, l.opts.Term, n.lease)
	var held *Held
	if errors.As(err, &held) {
		s.follow(held.Standing)
	}
	if err != nil {
		return err
	}
	s.peer.following, s.peer.vanished = nil, time.Time{}
	t, err := loadTree(ctx, l.store, l.id, h)
	if m := l.mark.Load(); err == nil && m != nil && h.Size < m.Size {
		err = fault.New(fault.Corrupt, "the log ends at position %d, but %d records were read from it before: it was rolled back", h.Size, m.Size)
	}
	var g []Generation
	if err == nil {
		g, err = generations(ctx, l.store, l.id, h)
	}
	if err == nil && l.opts.Admit != nil {
		var least uint64
		if least, err = l.opts.Admit(ctx, h.mark()); err == nil && least > h.Term && least > l.opts.Term {
			l.opts.Term = least
			return s.loadFree(ctx)
		}
	}
	n.refused.Store(&err)
	if err != nil { // another node may fare better
		_ = n.store.Resign(ctx, l.id, l.opts.Holder)
		return err
	}
	s.begins(h, t, g)
	s.peer.asked = asked
	n.extended(asked)
	n.leads.Store(true)
	l.opts.Logger.Info("this node appends to the log", "log", l.id.String(), "term", h.Term, "size", h.Size)
	return nil
}

// join takes the log for the first time, or begins to follow it.
func (s *sequencer) join(ctx context.Context) error {
	l := s.log
	if err := s.letRunOut(ctx); err != nil {
		return err
	}
	for {
		err := s.take(ctx)
		if !s.peer.follows() {
			return err
		}
		st := s.peer.following
		if st.Known {
			l.mark.Store(&Mark{Root: rootOf(nil)})
			l.nodes.seen.Store(&sighting{*st, time.Now()})
			return l.advance(ctx, st.Mark, nil, 0)
		}
		select {
		case <-time.After(l.nodes.poll()):
		case <-ctx.Done():
			return err
		}
	}
}

// letRunOut waits for a lease if the store does not know any more what another
// node published last, for then it may not know of its lease either: that node
// may still answer reads without asking. Either it publishes again meanwhile, or
// its lease is over.
func (s *sequencer) letRunOut(ctx context.Context) error {
	l, n := s.log, s.log.nodes
	for end := time.Now().Add(n.lease); time.Now().Before(end); {
		st, err := n.store.Standing(ctx, l.id)
		switch {
		case fault.Is(err, fault.NotFound):
			return nil
		case err != nil:
			return err
		case st.Known || st.Holder.ID.IsZero() || st.Holder.ID == l.opts.Holder:
			return nil
		}
		select {
		case <-time.After(n.poll()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// follow notes who holds the log.
func (s *sequencer) follow(st Standing) {
	p := s.peer
	if p.following == nil || p.following.Holder != st.Holder {
		s.log.opts.Logger.Info("another node appends to the log; this one follows", "log", s.log.id.String(), "holder", st.Holder.ID.String(), "address", st.Holder.Address)
	}
	p.following = &st
	s.log.nodes.leads.Store(false)
}

// observe deals with what the store says of who holds the log, if that is not
// this node for certain. A holder whose mark vanished may not know yet, and
// still believe in its lease.
func (s *sequencer) observe(st Standing) {
	p, n := s.peer, s.log.nodes
	if s.ready || p.lost != nil {
		return
	}
	switch {
	case st.Known:
		p.vanished = time.Time{}
	case p.vanished.IsZero():
		p.vanished = time.Now()
	}
	changed := p.following == nil || p.following.Holder != st.Holder
	if st.Holder.ID == s.log.opts.Holder || st.Left <= 0 && (st.Known || time.Since(p.vanished) > n.lease) {
		p.following = nil
		_ = s.take(n.ctx)
		changed = true
	} else {
		s.follow(st)
		if st.Left > 0 && st.Left < n.poll() { // not only when it would look anyway
			time.AfterFunc(st.Left+time.Millisecond, func() { s.log.look() })
		}
	}
	if changed {
		s.unpark()
	}
}

// tick prolongs the lease when it is time, or looks who holds the log.
func (s *sequencer) tick() {
	p, n := s.peer, s.log.nodes
	s.unpark()
	if s.ready {
		if time.Since(p.asked) > n.lease/3 {
			s.announce()
		}
		return
	}
	s.log.look()
}

// announce publishes how far the log is durable; with nothing new, it prolongs
// the lease.
func (s *sequencer) announce() {
	p, l := s.peer, s.log
	if p.announcing || p.lost != nil || !s.ready {
		return
	}
	m, count := l.Mark(), len(p.landed)
	if count > 0 {
		m = p.landed[count-1].Next.mark()
	}
	p.announcing, p.asked = true, time.Now()
	go func() {
		err := l.nodes.store.Publish(context.Background(), l.id, l.opts.Holder, m, l.nodes.lease)
		l.nodes.happened <- func(s *sequencer) { s.announced(count, err) }
	}()
}

// announced answers those whose batches were published.
func (s *sequencer) announced(count int, err error) {
	p, n := s.peer, s.log.nodes
	p.announcing = false
	switch {
	case err == nil:
		n.extended(p.asked)
		for _, b := range p.landed[:count] {
			s.publish(b)
		}
		p.landed = p.landed[count:]
	case count == 0 && len(p.landed) == 0 && !fault.Is(err, fault.Conflict):
		s.log.opts.Logger.Warn("the lease on the log cannot be prolonged, trying again", "error", err)
	default:
		s.log.opts.Logger.Error("what was committed cannot be published", "error", err)
		s.lose(err, nil)
	}
	s.lostAll()
	if len(p.landed) > 0 {
		s.announce()
	}
}

// durable deals with a batch that was committed.
func (s *sequencer) durable(b *batch) {
	s.peer.landed = append(s.peer.landed, b)
	s.lostAll()
	s.announce()
}

// lose gives up the hold on the log, as soon as nothing is under way.
func (s *sequencer) lose(err error, b *batch) {
	if s.peer == nil {
		s.drop(err, b)
		return
	}
	s.log.nodes.leads.Store(false)
	if s.peer.lost == nil {
		s.peer.lost = &loss{err: err}
	}
	if b != nil {
		s.peer.lost.batch = b
		s.peer.lost.err = err
	}
	s.lostAll()
}

// lostAll drops what is left once nothing is under way.
func (s *sequencer) lostAll() {
	p := s.peer
	if p.lost == nil || p.announcing || s.flying != nil {
		return
	}
	l := p.lost
	p.lost = nil
	s.drop(l.err, l.batch)
}

// drop returns those who have to be considered again whose batches are durable
// but were not published. If another has taken the log it finds them there;
// else nobody knows before the log was taken again.
func (p *peer) drop(err error) (again []*waiter) {
	if p == nil {
		return nil
	}
	for _, b := range p.landed {
		for _, m := range b.members {
			if m.writes && !p.fenced(err) {
				m.w.finish(Appended{}, commitFault(&fault.Error{Kind: fault.Unknown, Err: err}))
				continue
			}
			m.w.begun = m.writes
			again = append(again, m.w)
		}
	}
	p.landed = nil
	return again
}

// answerWith answers those of a batch that stores nothing, together with what
// their answers rest on.
func (s *sequencer) answerWith(b *batch) {
	landed := s.peer.unpublished()
	if len(landed) == 0 {
		b.answer()
		return
	}
	last := landed[len(landed)-1]
	last.members = append(last.members, b.members...)
}

// stops turns away those for whom there was no holder.
func (s *sequencer) stops() {
	if s.peer == nil {
		return
	}
	s.peer.stopping = true
	s.unpark()
}

// resigns lets another take the log at once.
func (s *sequencer) resigns() {
	if s.peer == nil || !s.ready {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.log.nodes.store.Resign(ctx, s.log.id, s.log.opts.Holder); err != nil {
		s.log.opts.Logger.Warn("the lease on the log could not be ended; other nodes wait until it runs out", "error", err)
	}
}
