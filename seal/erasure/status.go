package erasure

import (
	"cmp"
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Status returns how far a subject's erasure has come; false if this process
// knows of none.
func (p *Process) Status(s event.SubjectID) (Status, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st, ok := p.status[s]; ok {
		return *st, true
	}
	return Status{}, false
}

// Pending lists the erasures that are not complete, oldest first.
func (p *Process) Pending() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Status
	for _, s := range p.status {
		if s.Step != Completed {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Position, b.Position) })
	return out
}

// Wait returns when a subject's erasure is complete. Run or Resume must be at
// work. It does not return for errors, which are tried again: see [Process.Status].
func (p *Process) Wait(ctx context.Context, s event.SubjectID) error {
	for {
		p.mu.Lock()
		st, ok := p.status[s]
		done := ok && st.Step == Completed
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// set changes the status of an erasure and wakes those who wait.
func (p *Process) set(e erasure, f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status == nil {
		p.status = map[event.SubjectID]*Status{}
	}
	s := p.status[e.subject]
	if s == nil {
		s = &Status{Subject: e.subject, Position: e.position, Step: Recorded, Since: e.time}
		p.status[e.subject] = s
	}
	f(s)
	if p.moved != nil {
		close(p.moved)
	}
	p.moved = make(chan struct{})
}

func (p *Process) isDone(e erasure) bool {
	s, ok := p.Status(e.subject)
	return ok && s.Step == Completed
}

// ByEvent returns an IsComplete for erasures whose completion is an event of
// that type with the tag `name:<subject>`.
func ByEvent(l *eventlog.Log, typ, name string) func(context.Context, event.SubjectID) (bool, error) {
	return func(ctx context.Context, s event.SubjectID) (bool, error) {
		for _, err := range l.Read(ctx, event.OfTerm(event.TagTerm(event.NewTag(name, s.String())), typ), 0) {
			return err == nil, fault.Wrap("look for a completed erasure", err)
		}
		return false, nil
	}
}
