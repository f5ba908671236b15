package custom

import (
	"encoding/hex"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// Claims is how far the values are claimed that entities held in a field before
// it became unique, or before what it holds was computed in another way.
type Claims struct {
	// Since is the change of definitions by which that came about. What was
	// claimed before does not count any more.
	Since   event.Position
	Through event.Position // entities that came to be up to there are done
	Indexed int64          // how many those are, of Of
	Of      int64
	// Complete says that all are. Until then the values of those that are not are
	// found in the view.
	Complete bool
	Held     []event.ID // entities whose value another one had claimed; see ValuesIndexed
}

// FieldName names a field of an entity type, as Documents.Claims does.
func FieldName(entity, field string) string { return entity + "/" + field }

func evolveClaims(all map[string]Claims, f event.Fact) map[string]Claims {
	switch p := f.Payload.(type) {
	case SchemaApplied:
		for _, name := range p.Claims {
			all = with(all, name, Claims{Since: f.Position})
		}
	case ValuesIndexed:
		name := FieldName(p.Entity, p.Field)
		if was := all[name]; was.Since == event.Position(p.Since) {
			all = with(all, name, Claims{Since: was.Since, Through: event.Position(p.Through), Indexed: p.Indexed, Of: p.Of, Complete: p.Complete,
				Held: append(slices.Clip(was.Held), p.Held...)})
		}
	}
	return all
}

// ClaimedName is the name of the blind tags of ValueClaimed.
const ClaimedName = "entity.value"

// ClaimedValue is what such a tag is made of: the value of a unique field, which
// holds what it is unique within. Names are written so that capitals count.
func ClaimedValue(entity, field, value string) string {
	return hex.EncodeToString([]byte(schema.BlindName(entity, field))) + "\x00" + value
}

// IsClaim reports whether events of a type are ValueClaimed.
func IsClaim(typ string) bool { return typ == claimed }

// UniqueValue is the value of an entity's unique field, with what it is unique
// within; false if it keeps no other from having it.
func UniqueValue(t *schema.Entity, e *Entity, field string) (string, bool) {
	if e == nil || e.Deleted || e.Erased || slices.Contains(e.Gone, e.ID) {
		return "", false
	}
	value, ok := t.UniqueValues(e.Organization, e.Fields)[field]
	return value, ok
}

// ClaimValues claims the values of entities, some at a time, that held them before
// they had to be unique.
type ClaimValues struct {
	Schema        event.ID       // as in Apply
	Defined       event.Position // Documents.At by which the entities were computed
	Type, Field   string
	Since         event.Position
	From, Through event.Position // entities that came to be behind From, up to Through
	At            event.Position // when they held those values
	Values        []Value
	Indexed, Of   int64 // as in Claims, once this is done
	Complete      bool
}

// Value is what an entity holds in a unique field.
type Value struct {
	Entity, Organization event.ID
	Value                string // with what it is unique within
	// Terms by which records are found that take the value, release it, or claim
	// it by a ClaimValues.
	Taken, Former, Claimed event.Term
}

// indexing is what is known of the values.
type indexing struct {
	defined  event.Position
	claims   map[string]Claims
	values   []Value
	holder   map[event.Term]hold
	released map[event.Term]map[event.ID]event.Position
	erased   map[event.ID]event.Position
}

// hold is who took a value last, and at which position.
type hold struct {
	entity event.ID
	at     event.Position
}

// Claiming decides ClaimValues; only Muniment itself may. What became of a value since
// it was read is looked at value by value, so that it does not matter how busy
// the entities are.
var Claiming = decide.Decider[indexing, ClaimValues]{
	Name: "claim the values that entities hold",
	Query: func(c ClaimValues) []decide.Facts {
		facts := []decide.Facts{{Types: []string{applied, indexed}}}
		for i := range c.Values {
			v := &c.Values[i]
			name := schema.BlindName(c.Type, c.Field)
			facts = append(facts, decide.Facts{Types: []string{erased}, Stream: event.Stream{Kind: c.Type, ID: v.Entity}},
				decide.Facts{Blind: &decide.Blind{Name: name, Value: v.Value, Fold: true}},
				decide.Facts{Blind: &decide.Blind{Name: schema.FormerName(c.Type, c.Field), Value: v.Value, Fold: true}},
				decide.Facts{Blind: &decide.Blind{Name: ClaimedName, Value: ClaimedValue(c.Type, c.Field, v.Value), Fold: true}})
		}
		return facts
	},
	Start:  func(c ClaimValues) indexing { return indexing{values: c.Values} },
	Evolve: evolveIndexing,
	Allow: func(a authz.Authority, _ indexing, _ ClaimValues) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	Decide: func(s indexing, c ClaimValues) ([]event.New, error) {
		was := s.claims[FieldName(c.Type, c.Field)]
		if was.Since != c.Since || s.defined != c.Defined {
			return nil, ErrMoved
		}
		if was.Complete || was.Through != c.From { // another has done it
			return nil, nil
		}
		out, held := s.claim(c)
		return append(out, event.New{Stream: event.Stream{Kind: "schema", ID: c.Schema}, Payload: ValuesIndexed{Entity: c.Type, Field: c.Field, Since: int64(c.Since),
			Through: int64(c.Through), Indexed: c.Indexed, Of: c.Of, Complete: c.Complete, Held: held[:min(len(held), max(0, maxHeld-len(was.Held)))]}}), nil
	},
}

// maxHeld is how many entities are named whose value another one had claimed.
const maxHeld = 100

// claim are the claims of the values that entities still hold and nobody claimed.
func (s indexing) claim(c ClaimValues) (out []event.New, held []event.ID) {
	holder := s.holder
	for i := range c.Values {
		v := &c.Values[i]
		h := holder[v.Taken]
		taken := h.at > c.Since && !h.entity.IsZero()
		switch {
		case s.released[v.Taken][v.Entity] > c.At || s.erased[v.Entity] > 0 || taken && h.entity == v.Entity:
		case taken:
			held = append(held, v.Entity)
		default:
			holder = with(holder, v.Taken, hold{v.Entity, newest})
			out = append(out, event.New{Stream: event.Stream{Kind: "claim", ID: v.Entity}, Payload: ValueClaimed{Entity: v.Entity, Organization: v.Organization,
				Type: c.Type, Field: c.Field, Value: event.Seal(ClaimedValue(c.Type, c.Field, v.Value))}})
		}
	}
	return out, held
}

func evolveIndexing(s indexing, f event.Fact) indexing {
	s.claims = evolveClaims(s.claims, f)
	if f.Type == applied {
		s.defined = f.Position
	}
	if f.Type == erased {
		s.erased = with(s.erased, f.Stream.ID, f.Position)
		return s
	}
	if len(f.Blind) == 0 {
		return s
	}
	terms := f.Terms()
	for i := range s.values {
		v := &s.values[i]
		h, held := s.holder[v.Taken]
		if has(terms, v.Taken) || has(terms, v.Claimed) {
			s.holder = with(s.holder, v.Taken, hold{f.Stream.ID, f.Position})
		} else if has(terms, v.Former) {
			s.released = with(s.released, v.Taken, with(s.released[v.Taken], f.Stream.ID, f.Position))
			if held && h.entity == f.Stream.ID {
				s.holder = with(s.holder, v.Taken, hold{})
			}
		}
	}
	return s
}

func has(terms []event.Term, t event.Term) bool {
	_, ok := slices.BinarySearch(terms, t)
	return ok
}
