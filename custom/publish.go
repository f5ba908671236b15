package custom

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Publish records events of customers' types, all of them or none. They were
// made ready against the definitions of Defined: valid, with the organization
// that their entity belongs to. Versions that are expected, and that an entity
// is new, are conditions of the envelope.
type Publish struct {
	Defined event.Position // Documents.At that they were made ready against
	Events  []Ready
	Claims  []Claim
}

// Ready is an event that can be recorded.
type Ready struct {
	event.New
	Type         string
	Organization event.ID
	Ends         []string // the types of event after which the entity is gone; nil if there are none
	Makes        []string // those that make it anew after that
}

// Claim is a unique value that an event of the command takes for its entity.
type Claim struct {
	Entity event.ID
	Event  int    // which event of the command, from 0
	Field  string // of the entity
	Name   string // of the blind tag; FormerName is that of values released
	Value  string // with what it is unique within

	FormerName string
	// Holders are the other entities of which a record takes the value: whether
	// they still have it is for their later facts to say.
	Holders []event.Stream
	// Taken and Former are the terms by which records are found that take the
	// value, or release it.
	Taken, Former event.Term

	// Since is the position from which on claims of the field count (see Claims);
	// 0: always. Only if there is one, Claimed is the term of values that were
	// claimed by a ClaimValues, made of ClaimedValue.
	Since        event.Position
	ClaimedValue string
	Claimed      event.Term
}

// The refusals.
var (
	ErrGone           = fault.New(fault.Refused, "the entity was deleted; publish an event that makes it anew, or leave it")
	ErrNoOrganization = fault.New(fault.Refused, "there is no such organization; look at the organization id")
	ErrTaken          = fault.New(fault.Exists, "another entity has this value, which is to be unique; change one of the two")
)

// publishing is what is known of the definitions, the entities and the values.
type publishing struct {
	defined event.Position
	gone    map[event.Stream]bool
	ends    map[event.Stream]Ready
	claims  []Claim
	holder  map[event.Term]hold
	orgs    map[event.ID]org.State
}

// newest is the position of what is about to be recorded.
const newest = ^event.Position(0)

// Publishing decides Publish.
var Publishing = decide.Decider[publishing, Publish]{
	Name: "publish events",
	Query: func(c Publish) []decide.Facts {
		facts := []decide.Facts{{Types: []string{applied}}}
		for s, r := range c.ends() {
			facts = append(facts, decide.Facts{Stream: s, Types: append(slices.Clone(r.Ends), r.Makes...)})
		}
		slices.SortFunc(facts[1:], func(a, b decide.Facts) int { return slices.Compare(a.Stream.ID[:], b.Stream.ID[:]) })
		for _, o := range c.organizations() {
			facts = append(facts, decide.Facts{Types: org.Types, Stream: org.Stream(o)})
		}
		for _, cl := range c.Claims {
			for _, h := range cl.Holders {
				facts = append(facts, decide.Facts{Types: []string{erased}, Stream: h})
			}
			facts = append(facts, decide.Facts{Blind: &decide.Blind{Name: cl.Name, Value: cl.Value, Fold: true}},
				decide.Facts{Blind: &decide.Blind{Name: cl.FormerName, Value: cl.Value, Fold: true}})
			if cl.Since > 0 {
				facts = append(facts, decide.Facts{Blind: &decide.Blind{Name: ClaimedName, Value: cl.ClaimedValue, Fold: true}})
			}
		}
		return facts
	},
	Start:  func(c Publish) publishing { return publishing{ends: c.ends(), claims: c.Claims} },
	Evolve: evolvePublishing,
	Allow: func(a authz.Authority, _ publishing, c Publish) error {
		for i := range c.Events {
			if err := a.NeedPublish(c.Events[i].Type, c.Events[i].Organization); err != nil {
				return err
			}
		}
		return nil
	},
	Decide: func(s publishing, c Publish) ([]event.New, error) {
		if s.defined != c.Defined {
			return nil, ErrMoved
		}
		if err := s.usable(c); err != nil {
			return nil, err
		}
		if err := s.room(c); err != nil {
			return nil, err
		}
		events := make([]event.New, len(c.Events))
		for i := range c.Events {
			events[i] = c.Events[i].New
		}
		return events, nil
	},
}

// usable says whether the organization of each event is there and in use.
func (s publishing) usable(c Publish) error {
	for i := range c.Events {
		o := c.Events[i].Organization
		if o.IsZero() {
			continue
		}
		err := s.orgs[o].Usable()
		if errors.Is(err, org.ErrNotFound) {
			err = ErrNoOrganization
		}
		if f := (*fault.Error)(nil); errors.As(err, &f) {
			e := *f
			e.Field = "events[" + strconv.Itoa(i) + "].organization_id"
			return &e
		}
	}
	return nil
}

// organizations are those that the events belong to.
func (c *Publish) organizations() (out []event.ID) {
	for i := range c.Events {
		if o := c.Events[i].Organization; !o.IsZero() && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// room says whether each event finds its entity there, and each unique value
// free, the events before it in the same command counted.
func (s publishing) room(c Publish) error {
	gone, holder := maps.Clone(s.gone), maps.Clone(s.holder)
	for i := range c.Events {
		r := &c.Events[i]
		if gone[r.Stream] && !slices.Contains(r.Makes, r.Type) {
			return at(i, "", ErrGone)
		}
		if len(r.Ends) > 0 {
			gone = with(gone, r.Stream, slices.Contains(r.Ends, r.Type))
		}
	}
	for _, cl := range c.Claims {
		if h := holder[cl.Taken]; h.at > cl.Since && !h.entity.IsZero() && h.entity != cl.Entity {
			if !cl.knows(h.entity) && !c.claimed(cl.Taken, h.entity) { // it took the value meanwhile
				return ErrMoved
			}
			return at(cl.Event, cl.Field, ErrTaken)
		}
		holder = with(holder, cl.Taken, hold{cl.Entity, newest})
	}
	return nil
}

// knows reports whether an entity's later facts were asked for.
func (cl Claim) knows(holder event.ID) bool {
	return slices.ContainsFunc(cl.Holders, func(s event.Stream) bool { return s.ID == holder })
}

// claimed reports whether an entity takes a value by the command itself.
func (c *Publish) claimed(taken event.Term, entity event.ID) bool {
	return slices.ContainsFunc(c.Claims, func(cl Claim) bool { return cl.Taken == taken && cl.Entity == entity })
}

// at says which event of a batch, and which field, a refusal is about.
func at(i int, field string, f *fault.Error) error {
	e := *f
	e.Field = "events[" + strconv.Itoa(i) + "]"
	if field != "" {
		e.Field += ".data/" + event.EscapePointer(field)
	}
	return &e
}

// ends are the entities whose end matters, with the types that say so.
func (c *Publish) ends() map[event.Stream]Ready {
	out := map[event.Stream]Ready{}
	for i := range c.Events {
		if r := c.Events[i]; len(r.Ends) > 0 {
			out[r.Stream] = Ready{Ends: r.Ends, Makes: r.Makes}
		}
	}
	return out
}

func evolvePublishing(s publishing, f event.Fact) publishing {
	if f.Type == applied {
		s.defined = f.Position
		return s
	}
	if slices.Contains(org.Types, f.Type) {
		s.orgs = with(s.orgs, f.Stream.ID, org.Evolve(s.orgs[f.Stream.ID], f))
		return s
	}
	if f.Type == erased {
		for value, holder := range s.holder {
			if holder.entity == f.Stream.ID {
				s.holder = with(s.holder, value, hold{})
			}
		}
		return s
	}
	if r, ok := s.ends[f.Stream]; ok {
		switch {
		case slices.Contains(r.Ends, f.Type):
			s.gone = with(s.gone, f.Stream, true)
		case slices.Contains(r.Makes, f.Type):
			s.gone = with(s.gone, f.Stream, false)
		}
	}
	if len(s.claims) == 0 || len(f.Blind) == 0 {
		return s
	}
	terms := f.Terms()
	for _, cl := range s.claims {
		holder, held := s.holder[cl.Taken]
		if has(terms, cl.Taken) || cl.Since > 0 && has(terms, cl.Claimed) {
			s.holder = with(s.holder, cl.Taken, hold{f.Stream.ID, f.Position})
		} else if has(terms, cl.Former) && held && holder.entity == f.Stream.ID {
			s.holder = with(s.holder, cl.Taken, hold{})
		}
	}
	return s
}
