package memlog

import (
	"context"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// hold is what nodes know of a log's holder.
type hold struct {
	address string
	until   time.Time      // the lease runs out
	mark    *eventlog.Mark // published; nil: lost, or taken by one who publishes nothing
}

// attendance is a node that is there, and what it has forgotten.
type attendance struct {
	until     time.Time
	forgotten event.Position
}

// SetClock makes leases run by another clock than time.Now.
func (s *Store) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// LoseMark forgets what the holder of a log published, as a store may that
// failed over. The lease goes on.
func (s *Store) LoseMark(id event.LogID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[id]; l != nil {
		l.hold.mark = nil
	}
}

// TakeFree implements eventlog.Shared.
func (s *Store) TakeFree(_ context.Context, id event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration) (eventlog.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[id]; l != nil && l.head.Holder != by.ID && s.now().Before(l.hold.until) {
		held := &eventlog.Held{Standing: s.standing(l)}
		return eventlog.Head{}, &fault.Error{Kind: fault.Unavailable, Msg: held.Error(), Err: held}
	}
	l := s.take(id, by.ID, atLeast)
	mark := eventlog.Mark{Size: l.head.Size, Root: l.head.Root(), Last: l.head.Last, Time: l.head.Time, Term: l.head.Term}
	l.hold = hold{by.Address, s.now().Add(lease), &mark}
	l.ring()
	return l.head, nil
}

// Publish implements eventlog.Shared.
func (s *Store) Publish(_ context.Context, id event.LogID, by event.ID, m eventlog.Mark, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return err
	}
	if l.head.Holder != by || l.head.Term != m.Term {
		return fault.New(fault.Conflict, "the log is held by another (term %d)", l.head.Term)
	}
	grown := l.hold.mark == nil || l.hold.mark.Size < m.Size
	l.hold.until, l.hold.mark = s.now().Add(lease), &m
	if grown {
		l.ring()
	}
	return nil
}

// Standing implements eventlog.Shared.
func (s *Store) Standing(_ context.Context, id event.LogID) (eventlog.Standing, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.log(id)
	if err != nil {
		return eventlog.Standing{}, err
	}
	return s.standing(l), nil
}

func (s *Store) standing(l *log) eventlog.Standing {
	st := eventlog.Standing{Holder: eventlog.Holder{ID: l.head.Holder, Address: l.hold.address}, Left: l.hold.until.Sub(s.now())}
	if m := l.hold.mark; m != nil {
		st.Mark, st.Known = *m, true
	}
	return st
}

// Resign implements eventlog.Shared.
func (s *Store) Resign(_ context.Context, id event.LogID, by event.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err == nil && l.head.Holder == by {
		l.hold.until = time.Time{}
		l.ring()
	}
	return err
}

// Bell implements eventlog.Shared.
func (s *Store) Bell(ctx context.Context, id event.LogID) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	bell := make(chan struct{}, 1)
	if l := s.logs[id]; l != nil {
		l.bells[bell] = struct{}{}
		context.AfterFunc(ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(l.bells, bell)
		})
	}
	return bell
}

// ring signals that the log may have grown.
func (l *log) ring() {
	for bell := range l.bells {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}

// Attend implements eventlog.Shared.
func (s *Store) Attend(_ context.Context, id event.LogID, node event.ID, forgotten event.Position, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err == nil {
		l.nodes[node] = attendance{s.now().Add(lease), forgotten}
	}
	return err
}

// Attending implements eventlog.Shared.
func (s *Store) Attending(_ context.Context, id event.LogID) (least event.Position, any bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.log(id)
	if err != nil {
		return 0, false, err
	}
	for node, a := range l.nodes {
		if !s.now().Before(a.until) {
			delete(l.nodes, node)
			continue
		}
		if !any || a.forgotten < least {
			least, any = a.forgotten, true
		}
	}
	return least, any, nil
}
