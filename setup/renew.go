package setup

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/user"
)

// RenewLink gives the owner whom an instance was set up for another one-time
// set-up link, because the first was lost.
type RenewLink struct {
	Owner   event.ID // as FirstOwner found them
	Digest  [32]byte
	Expires event.Instant
}

// FirstOwner is what is known of the owner whom an instance was set up for.
type FirstOwner struct {
	User, Organization event.ID
	Gone               bool
	Inhabited          bool // somebody has chosen a password or signed in
}

// ErrInhabited refuses to make links for somebody else's instance.
var ErrInhabited = fault.New(fault.Refused, "somebody has signed in to this instance already; now its own administrators make set-up links")

// FirstOwnerFacts are the facts that FirstOwner is folded from.
func FirstOwnerFacts() []decide.Facts {
	return []decide.Facts{{Types: []string{"user.registered", "user.erased", "user.password.set", "user.setup-link.used", "session.begun"}}}
}

// EvolveFirstOwner folds one fact of FirstOwnerFacts.
func EvolveFirstOwner(o FirstOwner, f event.Fact) FirstOwner {
	switch p := f.Payload.(type) {
	case user.Registered:
		if o.User.IsZero() {
			o.User, o.Organization = p.User, p.Organization
		}
	case user.Erased:
		o.Gone = o.Gone || p.User == o.User
	default: // a password or a session, of whomever
		o.Inhabited = true
	}
	return o
}

// RenewingLink decides RenewLink; only Muniment itself gives it, on behalf of
// whoever hosts the instance. As long as nobody was ever in, that is no more
// than the first link was. Afterwards it would be a way into somebody else's
// instance.
var RenewingLink = decide.Decider[FirstOwner, RenewLink]{
	Name:   "renew the first owner's set-up link",
	Query:  func(RenewLink) []decide.Facts { return FirstOwnerFacts() },
	Evolve: EvolveFirstOwner,
	Allow: func(a authz.Authority, _ FirstOwner, _ RenewLink) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	Decide: func(o FirstOwner, c RenewLink) ([]event.New, error) {
		switch {
		case o.User.IsZero() || o.User != c.Owner:
			return nil, user.ErrNotFound
		case o.Inhabited:
			return nil, ErrInhabited
		case o.Gone:
			return nil, user.ErrErased
		}
		return []event.New{{Stream: user.Stream(o.User), Payload: user.SetupLinkCreated{User: o.User, Organization: o.Organization,
			Digest: event.Seal(c.Digest[:]), Expires: c.Expires}}}, nil
	},
}
