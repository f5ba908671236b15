package external

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Settle says what becomes of events that did not come over: by position those
// that the external system refused, by id those of it that were refused here.
type Settle struct {
	Directed
	Positions []event.Position
	Events    []event.ID
}

// MostAtOnce is how many events one Settle may name.
const MostAtOnce = 1000

func settling(name string, each func(State, Settle) []any) decide.Decider[State, Settle] {
	return of(name, func(c Settle) event.ID { return c.Adapter },
		func(a authz.Authority, s State, c Settle) error { return directing(a, s, c.Directed) },
		func(s State, c Settle) ([]any, error) {
			if n := len(c.Positions) + len(c.Events); n == 0 || n > MostAtOnce {
				return nil, fault.Field("positions", "name 1 to %d events that did not come over", MostAtOnce)
			}
			for _, id := range c.Events {
				if _, has := s.Refused[id]; !has {
					return nil, ErrRefused
				}
			}
			return each(s, c), nil
		})
}

// Redriving decides that events are tried anew. What the external system offered
// is with it: it is asked for everything again, and what is recorded already is
// not recorded again.
var Redriving = settling("redrive events of an adapter", func(s State, c Settle) (out []any) {
	for _, p := range c.Positions {
		out = append(out, Redriven{s.ID, s.Organization, int64(p)})
	}
	if len(c.Events) > 0 {
		out = append(out, PullRewound{s.ID, s.Organization})
	}
	return out
})

// Discarding decides that events are given up. If some are of the external
// system, everything is pulled again: others of their entities waited for them.
var Discarding = settling("discard events of an adapter", func(s State, c Settle) (out []any) {
	for _, p := range c.Positions {
		out = append(out, Discarded{s.ID, s.Organization, int64(p)})
	}
	for _, id := range c.Events {
		out = append(out, EventDiscarded{s.ID, s.Organization, id})
	}
	if len(c.Events) > 0 {
		out = append(out, PullRewound{s.ID, s.Organization})
	}
	return out
})

// Why an event of the external system was not recorded.
const (
	Invalid = "invalid" // it is malformed, or breaks its schema
	Denied  = "denied"  // the adapter's owner may not publish it, or it is of another organization
	Absent  = "absent"  // its entity is not there
	Waits   = "waits"   // another event of its entity was refused before
)

// Refuse records that an event which the external system offered was not
// recorded.
type Refuse struct {
	Adapter event.ID
	Refusal
}

// Refusing decides Refuse; only Muniment itself gives it. What was refused is
// said once, until everything is pulled again.
var Refusing = of("refuse an event of an external system", func(c Refuse) event.ID { return c.Adapter }, system[Refuse],
	func(s State, c Refuse) ([]any, error) {
		if _, has := s.Refused[c.Event]; has || s.GivenUp[c.Event] {
			return nil, nil
		}
		return []any{EventRefused{s.ID, s.Organization, c.Event, c.Entity, c.Reason, c.Field}}, nil
	})
