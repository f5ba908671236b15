package eventlog

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Generation is a run of records under one log id. A log that goes on after
// records were lost begins a new one: the tree and the positions go on, the id
// that stands in the leaves is another from then on. The first generation's id
// is the log's own: stores, keys and lists of erasures name the log by it for
// ever, whatever generation it is in (docs/adr/0017).
type Generation struct {
	ID    event.LogID
	First event.Position // its first record
}

const typeContinued = "log.continued"

// continuation is the payload of log.continued (record format, "Leaf").
type continuation struct {
	Previous   event.LogID `cbor:"1,keyasint"`
	Checkpoint string      `cbor:"2,keyasint,omitempty"`
}

// Generation returns the id that the next record's leaf carries.
func (l *Log) Generation() event.LogID {
	g := l.Generations()
	return g[len(g)-1].ID
}

// Generations lists the log's generations, oldest first; there is at least one.
// It is not to be changed.
func (l *Log) Generations() []Generation { return *l.generations.Load() }

// GenerationAt returns the id in the leaf at a position, or that of the newest
// generation for one past the end.
func (l *Log) GenerationAt(p event.Position) event.LogID {
	g := l.Generations()
	for i := len(g) - 1; i > 0; i-- {
		if p >= g[i].First {
			return g[i].ID
		}
	}
	return g[0].ID
}

// Holds reports whether a place, a position in the log of that id, is one of
// this log: a place that a generation did not reach before another took over is
// of records that were lost.
func (l *Log) Holds(id event.LogID, p event.Position) bool {
	g := l.Generations()
	i := slices.IndexFunc(g, func(g Generation) bool { return g.ID == id })
	return i >= 0 && (i == len(g)-1 || p < g[i+1].First)
}

// CheckPlace says, with fault.Invalid, why a place is none of this log.
func (l *Log) CheckPlace(id event.LogID, p event.Position) error {
	if l.Holds(id, p) {
		return nil
	}
	g := l.Generations()
	for i := range g[:len(g)-1] {
		if g[i].ID == id {
			return fault.New(fault.Invalid, "position %d is of records that were lost: the log was restored from a backup and goes on behind position %d as log %s", p, g[i+1].First-1, g[i+1].ID)
		}
	}
	return fault.New(fault.Invalid, "this place is in another log than this instance's")
}

// GenerationsOf lists the generations of a log in a store, as it is now.
func GenerationsOf(ctx context.Context, s Store, log event.LogID) ([]Generation, error) {
	h, err := s.Head(ctx, log)
	if err != nil {
		return nil, err
	}
	return generations(ctx, s, log, h)
}

func generations(ctx context.Context, s Store, log event.LogID, h Head) ([]Generation, error) {
	list := []Generation{{log, 1}}
	for r, err := range s.Records(ctx, log, max(h.Size, 1), h.Size) {
		if err != nil {
			return nil, fault.Wrap("read the last record", err)
		}
		if r.Log == log { // ids do not come back
			return list, nil
		}
	}
	if h.Size == 0 {
		return list, nil
	}
	for p, err := range s.Postings(ctx, log, event.TypeTerm(typeContinued), 0, h.Size, false) {
		if err != nil {
			return nil, fault.Wrap("find the generations", err)
		}
		if p == 1 { // a log that took over from one with other records
			continue
		}
		for r, err := range s.Records(ctx, log, p, p) {
			if err != nil {
				return nil, fault.Wrap("read where a generation begins", err)
			}
			list = append(list, Generation{r.Log, p})
		}
	}
	return list, nil
}

// generationsWith lists the generations up to a position behind which a follower
// read entries; it reads them from the store if some records were left out.
func (l *Log) generationsWith(ctx context.Context, entries []entry, from, upto event.Position) ([]Generation, error) {
	known := l.generations.Load()
	if known == nil || entries == nil && upto > from {
		return generations(ctx, l.store, l.id, Head{Size: upto})
	}
	g := *known
	for _, e := range entries {
		if e.rec.Type == typeContinued && e.rec.Position > max(1, g[len(g)-1].First) {
			g = append(slices.Clip(g), Generation{e.rec.Log, e.rec.Position})
		}
	}
	return g, nil
}

// generationOf is GenerationAt that knows what is not durable yet.
func (s *sequencer) generationOf(p event.Position) event.LogID {
	id := s.log.GenerationAt(p)
	for _, b := range s.pending() {
		for _, g := range b.began {
			if p >= g.First {
				id = g.ID
			}
		}
	}
	return id
}

// checkContinued refuses a log.continued that does not begin a generation, and
// a generation without one.
func (s *sequencer) checkContinued(r *Request, events []prepared) error {
	is := func(p prepared) bool { return p.Type == typeContinued }
	switch {
	case r.Generation.IsZero() && !slices.ContainsFunc(events, is):
		return nil
	case r.Generation.IsZero() && s.next.Next.Size == 0 && is(events[0]) && !slices.ContainsFunc(events[1:], is):
		return nil // the record format allows it at position 1, too
	case r.Generation.IsZero() || len(events) != 1 || !is(events[0]):
		return &verdict{fault.New(fault.Invalid, "a generation begins with a record of type %s and nothing else", typeContinued)}
	case s.next.Next.Size == 0:
		return &verdict{fault.New(fault.Invalid, "an empty log has nothing to continue")}
	}
	var c continuation
	if err := event.Strict.Unmarshal(events[0].Public, &c); err != nil || c.Previous != s.generation || events[0].Revision != 1 {
		return &verdict{&fault.Error{Kind: fault.Invalid, Msg: "the continuation must name the generation before it", Err: err}}
	}
	if r.Generation == s.generation || slices.ContainsFunc(s.log.Generations(), func(g Generation) bool { return g.ID == r.Generation }) {
		return &verdict{fault.New(fault.Invalid, "the log was in generation %s already", r.Generation)}
	}
	return nil
}
