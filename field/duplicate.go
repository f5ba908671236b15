package field

import (
	"cmp"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Flag says that two entities may be the same. Ends are the types of event after
// which an entity of their type is gone, and Makes those that make it anew.
type Flag struct {
	Pair event.ID // of the stream; fresh
	DuplicateFound
	Ends, Makes []string
}

// Resolve says whether two entities are the same.
type Resolve struct {
	Entity, Other event.ID
	Same          bool
	Kept          event.ID // of two that are the same, the one that goes on being used; zero: nobody says
	Type          string   // of event by which that is published; empty: resolve-duplicate
	// Of two that were not flagged, as a device may know what nothing here found;
	// only Muniment itself records it, for somebody who published it.
	Pair         event.ID       // of the stream; fresh. Zero: they must have been flagged
	At           event.Position // where it was published: what was resolved since stands
	Kind         string
	Organization event.ID
}

// Close says that one of two entities that may be the same is gone.
type Close struct{ Entity, Other, Gone event.ID }

// Pair is what is known of two entities that may be the same.
type Pair struct {
	stream        event.Stream
	entity, other event.ID
	ends          []string
	found         DuplicateFound
	there         bool
	resolved      bool
	same          bool
	kept          event.ID
	at            event.Position // where it was said that they are, or are not
	closed        bool
	gone, erased  [2]bool // the entity, and the other
}

func (s Pair) is(a, b event.ID) bool {
	return a == s.entity && b == s.other || a == s.other && b == s.entity
}

func evolvePair(s Pair, f event.Fact) Pair {
	switch p := f.Payload.(type) {
	case DuplicateFound:
		if s.is(p.Entity, p.Other) {
			s.found, s.there, s.stream = p, true, f.Stream
		}
	case DuplicateResolved:
		if s.is(p.Entity, p.Other) {
			s.resolved, s.same, s.kept, s.at, s.stream = true, p.Same, p.Kept, f.Position, f.Stream
			if p.Said > 0 {
				s.at = event.Position(p.Said)
			}
			s.found.Entity, s.found.Other, s.found.Kind, s.found.Organization = p.Entity, p.Other, p.Kind, p.Organization
		}
	case DuplicateClosed:
		if s.is(p.Entity, p.Other) {
			s.closed = true
		}
	default:
		s = s.ended(f)
	}
	return s
}

// ended notes whether an event is the end of one of the two.
func (s Pair) ended(f event.Fact) Pair {
	for i, id := range []event.ID{s.entity, s.other} {
		if f.Stream.ID == id {
			s.erased[i] = s.erased[i] || f.Type == erased
			s.gone[i] = slices.Contains(s.ends, f.Type)
		}
	}
	return s
}

const erased = "entity.erased"

func pairFacts(a, b event.ID) []decide.Facts {
	var out []decide.Facts
	for _, p := range [][2]event.ID{{a, b}, {b, a}} {
		out = append(out, decide.Facts{Types: []string{typeFound, typeResolved, typeClosed},
			Tags: []event.Tag{event.NewTag("entity", p[0].String()), event.NewTag("other", p[1].String())}})
	}
	return out
}

// PairFacts are the facts of whether two entities may be the same.
func PairFacts(a, b event.ID) []decide.Facts { return pairFacts(a, b) }

// PairOf begins the fold of PairFacts.
func PairOf(a, b event.ID) Pair { return Pair{entity: a, other: b} }

// EvolvePair folds one fact of PairFacts.
func EvolvePair(s Pair, f event.Fact) Pair { return evolvePair(s, f) }

// Known is what was found of a pair, or resolved; false if neither was.
func (s Pair) Known() (DuplicateFound, bool) { return s.found, s.there || s.resolved }

// endFacts are the facts of whether the two are there.
func (c *Flag) endFacts() (out []decide.Facts) {
	for _, id := range []event.ID{c.Entity, c.Other} {
		out = append(out, decide.Facts{Stream: event.Stream{Kind: c.Kind, ID: id}, Types: append(append([]string{erased}, c.Ends...), c.Makes...)})
	}
	return out
}

func system(a authz.Authority) error {
	if !a.IsSystem() {
		return authz.Denied("be Muniment itself")
	}
	return nil
}

// Flagging decides Flag; only Muniment itself does. A pair is flagged once: not
// again after it was resolved or closed, whatever is found then.
var Flagging = decide.Decider[Pair, Flag]{
	Name:   "flag a possible duplicate",
	Start:  func(c Flag) Pair { return Pair{entity: c.Entity, other: c.Other, ends: c.Ends} },
	Query:  func(c Flag) []decide.Facts { return append(pairFacts(c.Entity, c.Other), c.endFacts()...) },
	Evolve: evolvePair,
	Allow:  func(a authz.Authority, _ Pair, _ Flag) error { return system(a) },
	Decide: func(s Pair, c Flag) ([]event.New, error) {
		if s.there || s.resolved || s.gone[0] || s.gone[1] || s.erased[0] || s.erased[1] || c.Entity == c.Other {
			return nil, nil
		}
		found := c.DuplicateFound
		found.Fields = slices.Sorted(slices.Values(found.Fields))
		return []event.New{{Stream: Stream(c.Pair), Payload: found}}, nil
	},
}

// The refusals.
var (
	ErrNoPair = fault.New(fault.NotFound, "these two were not flagged as possible duplicates")
	ErrKept   = fault.New(fault.Invalid, "the one that goes on being used must be one of the two, and only of two that are the same")
)

// Resolving decides Resolve. Who manages the people of an organization may, and
// who may publish resolve-duplicate there. It may be resolved otherwise later.
var Resolving = decide.Decider[Pair, Resolve]{
	Name:   "resolve a possible duplicate",
	Start:  func(c Resolve) Pair { return Pair{entity: c.Entity, other: c.Other} },
	Query:  func(c Resolve) []decide.Facts { return pairFacts(c.Entity, c.Other) },
	Evolve: evolvePair,
	Allow: func(a authz.Authority, s Pair, c Resolve) error {
		if !c.Pair.IsZero() {
			return system(a)
		}
		if a.May(authz.ManageUsers, authz.Of(s.found.Organization)) {
			return nil
		}
		return a.NeedPublish(cmp.Or(c.Type, TypeResolveDuplicate), s.found.Organization)
	},
	Decide: func(s Pair, c Resolve) ([]event.New, error) {
		if !c.Kept.IsZero() && (!c.Same || c.Kept != c.Entity && c.Kept != c.Other) {
			return nil, ErrKept
		}
		found := s.found
		switch {
		case s.resolved && s.same == c.Same && (s.kept == c.Kept || c.Kept.IsZero()):
			return nil, nil
		case s.resolved && c.At > 0 && s.at > c.At:
			return nil, nil
		case s.there || s.resolved:
		case c.Pair.IsZero():
			return nil, ErrNoPair
		default:
			s.stream, found = Stream(c.Pair), DuplicateFound{Entity: c.Entity, Other: c.Other, Kind: c.Kind, Organization: c.Organization}
		}
		return []event.New{{Stream: s.stream, Payload: DuplicateResolved{Entity: found.Entity, Other: found.Other, Kind: found.Kind, Organization: found.Organization, Same: c.Same, Kept: c.Kept, Said: int64(c.At)}}}, nil
	},
}

// Closing decides Close; only Muniment itself does.
var Closing = decide.Decider[Pair, Close]{
	Name:   "close a possible duplicate",
	Start:  func(c Close) Pair { return Pair{entity: c.Entity, other: c.Other} },
	Query:  func(c Close) []decide.Facts { return pairFacts(c.Entity, c.Other) },
	Evolve: evolvePair,
	Allow:  func(a authz.Authority, _ Pair, _ Close) error { return system(a) },
	Decide: func(s Pair, c Close) ([]event.New, error) {
		if !s.there || s.resolved || s.closed {
			return nil, nil
		}
		return []event.New{{Stream: s.stream, Payload: DuplicateClosed{Entity: s.found.Entity, Other: s.found.Other, Kind: s.found.Kind, Organization: s.found.Organization, Gone: c.Gone}}}, nil
	},
}
