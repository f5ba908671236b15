package field

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Stream is the stream of what is decided about an event that was kept, or of
// a pair of possible duplicates.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "field", ID: id} }

// Keep keeps an event of a device without applying it.
type Keep struct{ EventKept }

// Kept is what is known of an event that was kept, or was not.
type Kept struct {
	EventKept
	There   bool
	Decided bool
	Applied bool // by a decision, or because it was recorded meanwhile
}

func evolveKept(s Kept, f event.Fact) Kept {
	switch p := f.Payload.(type) {
	case EventKept:
		s.EventKept, s.There = p, true
	case ConflictDecided:
		s.Decided, s.Applied = true, p.Applied
	}
	return s
}

// KeptFacts are the facts of what was kept of an event.
func KeptFacts(id event.ID) []decide.Facts {
	return []decide.Facts{{Types: []string{typeKept, typeDecided}, Tags: []event.Tag{event.NewTag("kept", id.String())}}}
}

// EvolveKept folds one fact of KeptFacts.
func EvolveKept(s Kept, f event.Fact) Kept { return evolveKept(s, f) }

// Keeping decides Keep. Who may publish an event may have it kept.
var Keeping = decide.Decider[Kept, Keep]{
	Name:   "keep an event of a device",
	Query:  func(c Keep) []decide.Facts { return KeptFacts(c.Event) },
	Evolve: evolveKept,
	Allow: func(a authz.Authority, _ Kept, c Keep) error {
		return a.NeedPublish(c.Type, c.Organization)
	},
	Decide: func(s Kept, c Keep) ([]event.New, error) {
		if s.There {
			return nil, nil
		}
		return []event.New{{Stream: Stream(c.Event), Payload: c.EventKept}}, nil
	},
}

// Settle decides about an event that was kept. If it is applied, it was
// recorded before, under its own id.
type Settle struct {
	Event    event.ID
	Entity   event.Stream // as the event that was kept names it
	Type     string
	Applied  bool
	Recorded bool // the event is in the log under its own id
}

// The refusals.
var (
	ErrNotKept = fault.New(fault.NotFound, "no such event was kept")
	ErrDecided = fault.New(fault.Refused, "somebody has decided about this event already")
	ErrNoAsk   = fault.New(fault.Refused, "nothing is to be decided about this event: it was refused, or its entity is gone")
	ErrApplied = fault.New(fault.Conflict, "the event was applied meanwhile; look at the entity")
)

type settling struct {
	Kept
	event    event.ID
	recorded bool
}

// Settling decides Settle. Who may publish the event may decide about it.
var Settling = decide.Decider[settling, Settle]{
	Name: "decide about a conflict",
	Query: func(c Settle) []decide.Facts {
		return append(KeptFacts(c.Event), decide.Facts{Stream: c.Entity, Types: []string{c.Type}})
	},
	Start: func(c Settle) settling { return settling{event: c.Event} },
	Evolve: func(s settling, f event.Fact) settling {
		s.Kept = evolveKept(s.Kept, f)
		s.recorded = s.recorded || f.ID == s.event
		return s
	},
	Allow: func(a authz.Authority, s settling, c Settle) error {
		if !s.There {
			return a.NeedPublish(c.Type, event.ID{})
		}
		return a.NeedPublish(s.Type, s.Organization)
	},
	Decide: func(s settling, c Settle) ([]event.New, error) {
		switch {
		case !s.There:
			return nil, ErrNotKept
		case s.Decided && s.Applied == c.Applied:
			return nil, nil
		case s.Decided:
			return nil, ErrDecided
		case s.Reason != ReasonAsk:
			return nil, ErrNoAsk
		case s.recorded != c.Applied:
			return nil, ErrApplied
		}
		return []event.New{{Stream: Stream(c.Event), Payload: ConflictDecided{Event: c.Event, Entity: s.Entity, Organization: s.Organization, Applied: c.Applied}}}, nil
	},
}
