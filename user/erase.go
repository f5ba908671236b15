package user

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// Erase ends an account and everything personal of its owner, for good. Keys
// are the key ids that the person's sealed fields use; none if there are none.
type Erase struct {
	User event.ID
	Keys []event.KeyID
}

// Erasing decides Erase. The two events stand in one append: the account ends
// exactly where the key does.
var Erasing = decide.Decider[State, Erase]{
	Name:   "erase a user",
	Start:  func(c Erase) State { return Start(c.User) },
	Query:  func(c Erase) []decide.Facts { return managed(c.User) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c Erase) error {
		if a.Is(c.User) {
			return authz.DeniedIn(s.Organization, "have somebody else erase your own account")
		}
		return s.Excludable(a)
	},
	Decide: func(s State, c Erase) ([]event.New, error) {
		if err := s.Exists(); err != nil {
			return nil, err
		}
		subject := event.SubjectID{ID: s.User}
		return append(one(s.User, Erased{User: s.User, Organization: s.Organization, Email: s.Email}),
			event.New{Stream: SubjectStream(s.User), Payload: event.SubjectErased{Subject: subject, Keys: c.Keys}}), nil
	},
}

// CompleteErasure reports that nothing personal is left in any file.
type CompleteErasure struct{ User event.ID }

// CompletingErasure decides CompleteErasure; only Muniment itself may.
var CompletingErasure = decide.Decider[erasure, CompleteErasure]{
	Name:  "complete an erasure",
	Query: func(c CompleteErasure) []decide.Facts { return own(c.User) },
	Evolve: func(s erasure, f event.Fact) erasure {
		switch p := f.Payload.(type) {
		case Erased:
			s.organization, s.pending = p.Organization, true
		case ErasureCompleted:
			s.pending = false
		}
		return s
	},
	Allow: func(a authz.Authority, _ erasure, _ CompleteErasure) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	Decide: func(s erasure, c CompleteErasure) ([]event.New, error) {
		if !s.pending {
			return nil, nil
		}
		return one(c.User, ErasureCompleted{c.User, s.organization}), nil
	},
}

type erasure struct {
	organization event.ID
	pending      bool
}
