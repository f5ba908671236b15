package hookapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
)

// Progress is how far a subscription is.
type Progress struct {
	ID       event.ID
	Settled  event.Position
	Behind   uint64 // records between the first event that is not settled and the end; 0: there is none
	Oldest   time.Time
	Out      int
	Retrying int
	Dead     int
	Status   hook.Status
}

// Progresses are those of all subscriptions, for metrics.
func (s *Service) Progresses(ctx context.Context) ([]Progress, error) {
	all, err := decide.Read(ctx, s.core.Runner, "all subscriptions", hook.Every(), hook.All{}, hook.EvolveAll)
	if err != nil {
		return nil, err
	}
	var out []Progress
	for id, st := range all {
		if st.Exists() != nil {
			continue
		}
		p, err := s.progressOf(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// progress is a subscription's progress for an answer.
func (s *Service) progress(ctx context.Context, id event.ID) (*munimentv1.SubscriptionProgress, error) {
	p, err := s.progressOf(ctx, id)
	if fault.Is(err, fault.NotFound) { // removed meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &munimentv1.SubscriptionProgress{LogId: s.core.Runner.Log.GenerationAt(p.Settled).String(), Position: uint64(p.Settled), Behind: p.Behind, Oldest: adapter.Time(p.Oldest),
		InFlight: int32(p.Out), Retrying: int32(p.Retrying), DeadLetters: int32(p.Dead)}, nil
}

func (s *Service) progressOf(ctx context.Context, id event.ID) (Progress, error) {
	c, err := s.cursor(ctx, id)
	if err != nil {
		return Progress{}, err
	}
	st, err := s.state(ctx, id)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{ID: id, Settled: c.Settled(), Status: st.Status}
	p.Out, p.Retrying, p.Dead = c.Counts()
	mark := s.core.Runner.Log.Mark().Size
	sel, err := s.selection(st, mark)
	if err != nil {
		return p, err
	}
	first, err := c.Oldest(ctx, s.core.Runner.Log, sel)
	if err != nil || first == nil {
		p.Settled = max(p.Settled, mark)
		return p, err
	}
	p.Settled, p.Behind, p.Oldest = min(p.Settled, first.Position-1), uint64(mark-first.Position+1), first.Time
	return p, nil
}
