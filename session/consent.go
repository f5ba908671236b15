package session

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/user"
)

// ConsentGiven says that a person agreed that an application may have scopes:
// these and no others from now on, until they agree to more or withdraw.
type ConsentGiven struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Application  event.ID `event:"application,public,tag=app"`
	Scopes       []string `event:"scopes,public"`
}

// ConsentWithdrawn says that an application may have nothing of a person any
// more. It ends all that was authorized before.
type ConsentWithdrawn struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Application  event.ID `event:"application,public,tag=app"`
}

// Refusals.
var (
	ErrConsentNeeded = fault.New(fault.Refused, "the person must be asked for consent")
	ErrNoConsent     = fault.New(fault.NotFound, "this application holds nothing of this person that could be ended")
)

// ConsentStream is the stream of what a person agreed to.
func ConsentStream(u event.ID) event.Stream { return event.Stream{Kind: "consent", ID: u} }

// ConsentFacts are the facts that say what a person agreed to for one
// application.
func ConsentFacts(u, application event.ID) decide.Facts {
	return decide.Facts{Types: []string{"consent.given", "consent.withdrawn"}, Stream: ConsentStream(u), Tags: []event.Tag{event.NewTag("app", application.String())}}
}

// Consent is what a person agreed to for one application.
type Consent struct {
	Scopes []string
	open   bool // something was authorized or agreed to since it was last withdrawn
	user   user.State
}

// EvolveConsent folds one fact.
func EvolveConsent(s Consent, f event.Fact) Consent {
	switch p := f.Payload.(type) {
	case ConsentGiven:
		s.Scopes, s.open = p.Scopes, true
	case ConsentWithdrawn:
		s.Scopes, s.open = nil, false
	case CodeIssued:
		s.open = true
	default:
		s.user = user.Evolve(s.user, f)
	}
	return s
}

// Covers reports whether the person agreed to all of these scopes.
func (s Consent) Covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(v string) bool { return !slices.Contains(s.Scopes, v) })
}

// with is what the person has agreed to after agreeing to more.
func (s Consent) with(scopes []string) []string {
	out := slices.Clone(s.Scopes)
	for _, v := range scopes {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// WithdrawConsent ends what an application holds of a person.
type WithdrawConsent struct {
	User, Organization, Application event.ID
}

// WithdrawingConsent decides WithdrawConsent. The person gives it, or who may
// end their sessions.
var WithdrawingConsent = decide.Decider[Consent, WithdrawConsent]{
	Name:  "withdraw consent",
	Start: func(c WithdrawConsent) Consent { return Consent{user: user.Start(c.User)} },
	Query: func(c WithdrawConsent) []decide.Facts {
		return append(standing(c.User, c.Organization), user.Roles(c.User), ConsentFacts(c.User, c.Application), decide.Facts{Types: []string{"authorization.code.issued"},
			Tags: []event.Tag{event.NewTag("user", c.User.String()), event.NewTag("app", c.Application.String())}})
	},
	Evolve: EvolveConsent,
	Allow: func(a authz.Authority, s Consent, c WithdrawConsent) error {
		if a.Is(c.User) {
			return nil
		}
		return s.user.Excludable(a)
	},
	Decide: func(s Consent, c WithdrawConsent) ([]event.New, error) {
		if !s.open {
			return nil, ErrNoConsent
		}
		return []event.New{{Stream: ConsentStream(c.User), Payload: ConsentWithdrawn(c)}}, nil
	},
}
