package custom

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Erase destroys what is sealed under an entity. Keys are the key ids that its
// sealed fields use; none if there are none. Organization is that of the
// entity, which never changes.
//
// A key is that of an id, whatever bears the id: Others are the organizations of
// entities that were there before and of which something is sealed under it, and
// BuiltIn says that something of Muniment's own is, such as a person. Both were
// looked up, and the envelope makes a condition of them.
type Erase struct {
	Entity       event.Stream
	Organization event.ID
	Keys         []event.KeyID
	Others       []event.ID
	BuiltIn      bool
}

// The refusals of an erasure.
var (
	ErrErased = fault.New(fault.Erased, "the entity was erased already")
	ErrShared = fault.New(fault.Refused, "something else than an entity has this id too, such as a person, and what is sealed under it would be erased with it; erase that instead")
)

// Erasing decides Erase. Both events stand in one append.
var Erasing = decide.Decider[bool, Erase]{
	Name: "erase an entity",
	Query: func(c Erase) []decide.Facts {
		return []decide.Facts{{Stream: c.Entity, Types: []string{"entity.erased"}}}
	},
	Evolve: func(erased bool, _ event.Fact) bool { return true },
	Allow: func(a authz.Authority, _ bool, c Erase) error {
		for _, o := range append([]event.ID{c.Organization}, c.Others...) {
			if err := a.Need(authz.ManageUsers, authz.Of(o)); err != nil {
				return err
			}
		}
		return nil
	},
	Decide: func(erased bool, c Erase) ([]event.New, error) {
		if erased {
			return nil, ErrErased
		}
		if c.BuiltIn {
			return nil, ErrShared
		}
		subject := event.SubjectID{ID: c.Entity.ID}
		return []event.New{
			{Stream: c.Entity, Payload: EntityErased{Entity: c.Entity.ID, Organization: c.Organization}},
			{Stream: event.Stream{Kind: "subject", ID: c.Entity.ID}, Payload: event.SubjectErased{Subject: subject, Keys: c.Keys}},
		}, nil
	},
}

// CompleteErasure reports that nothing sealed under an entity is left in any
// file.
type CompleteErasure struct{ Entity event.ID }

type erasing struct {
	stream       event.Stream
	organization event.ID
	pending      bool
}

// CompletingErasure decides CompleteErasure; only Muniment itself may. Of what
// is no entity there is nothing to complete.
var CompletingErasure = decide.Decider[erasing, CompleteErasure]{
	Name: "complete the erasure of an entity",
	Query: func(c CompleteErasure) []decide.Facts {
		return []decide.Facts{{Types: []string{"entity.erased", "entity.erasure.completed"}, Tags: []event.Tag{event.NewTag("entity", c.Entity.String())}}}
	},
	Evolve: func(s erasing, f event.Fact) erasing {
		switch p := f.Payload.(type) {
		case EntityErased:
			return erasing{f.Stream, p.Organization, true}
		case EntityErasureCompleted:
			s.pending = false
		}
		return s
	},
	Allow: func(a authz.Authority, _ erasing, _ CompleteErasure) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	Decide: func(s erasing, c CompleteErasure) ([]event.New, error) {
		if !s.pending {
			return nil, nil
		}
		return []event.New{{Stream: event.Stream{Kind: "subject", ID: c.Entity}, Payload: EntityErasureCompleted{c.Entity, s.organization}}}, nil
	},
}
