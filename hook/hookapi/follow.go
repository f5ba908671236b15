package hookapi

import (
	"context"
	"strings"

	"muniment.dev/audit"
	"muniment.dev/audit/auditapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/react"
)

// Why a subscription is stopped.
const (
	becauseOwner = "its owner may not read all of these events any more"
	becauseDead  = "it has 1,000 dead letters: something is wrong with all of it"
	becauseGone  = "the receiver answered 410 Gone: it wants no more events"
)

// follow works into a cursor what was said of a subscription since.
func (s *Service) follow(ctx context.Context, id event.ID, c *react.Cursor) error {
	l := s.core.Runner.Log
	upto := l.Mark().Size
	for r, err := range l.ReadTo(ctx, event.OfStream(hook.Stream(id)), c.Applied, upto) {
		if err != nil {
			return fault.Wrap("read what was said of a subscription", err)
		}
		f, err := s.core.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return err
		}
		switch p := f.Payload.(type) {
		case hook.Created:
			c.Seen = event.Position(p.After)
		case hook.Rewound:
			c.Rewind(event.Position(p.After))
		case hook.Redriven:
			c.Redrive(event.Position(p.Position))
		case hook.Discarded:
			c.Discard(event.Position(p.Position))
		}
	}
	c.Applied = max(c.Applied, upto)
	return nil
}

// selection is what a subscription is to get, up to a position.
func (s *Service) selection(st hook.State, upto event.Position) (react.Selection, error) {
	f, err := auditapi.FilterOf(wire(st.Settings.Filter, st.Organization))
	if err != nil {
		return react.Selection{}, fault.Wrap("read a subscription's filter", err)
	}
	sel := react.Selection{Matches: f.Matches, Upto: upto}
	// Types that begin with something are looked for in every record: the list of
	// those that are known may lack one that was just defined.
	for _, t := range f.Types {
		if strings.HasSuffix(t, "*") {
			f.Types = nil
			break
		}
	}
	sel.Query = audit.Query(f, audit.Whole(), s.core.Runner.Sealer.Registry, s.core.Runner.Log.ID())
	return sel, nil
}

// mayGoOn stops a subscription whose owner lost the right to what it selects, or
// which has too many dead letters. What it returns then says why.
func (s *Service) mayGoOn(ctx context.Context, st hook.State, c *react.Cursor) error {
	a, err := s.authority(ctx, event.Actor{Kind: "user", ID: st.Owner})
	if err != nil {
		return err
	}
	if st.Settings.MayRead(a, st.Organization) != nil {
		return s.stop(ctx, st.ID, becauseOwner)
	}
	if _, _, dead := c.Counts(); dead >= react.MaxDead {
		return s.stop(ctx, st.ID, becauseDead)
	}
	return nil
}

// stop records that a subscription is stopped, and returns that as an error.
func (s *Service) stop(ctx context.Context, id event.ID, why string) error {
	if _, err := decide.Run(ctx, s.core.Runner, hook.Stopping, decide.Envelope{Actor: event.System}, hook.Stop{Subscription: id, Reason: why}); err != nil {
		return fault.Wrap("stop a subscription", err)
	}
	return idle(hook.State{Status: hook.IsStopped, Reason: why})
}

// idle says why nothing is delivered; nil if it is.
func idle(st hook.State) error {
	switch st.Status {
	case hook.Active:
		return nil
	case hook.IsPaused:
		return errPaused
	case hook.IsStopped:
		return fault.New(fault.Refused, "the subscription was stopped: %s; resume it when that is mended", st.Reason)
	}
	return hook.ErrNotFound
}

var errPaused = fault.New(fault.Refused, "the subscription is paused")
