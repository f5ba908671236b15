package user

import (
	"maps"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
)

// Status is whether a person may sign in.
type Status string

// The statuses of a user.
const (
	Active        Status = "active"
	IsLocked      Status = "locked"
	IsDeactivated Status = "deactivated"
	IsErased      Status = "erased"
)

// State is what commands need to know of one user.
type State struct {
	User         event.ID
	Organization event.ID
	Status       Status // "" if there is no such user
	locked       bool   // under a deactivation
	Email        event.Sealed[string]
	GivenName    event.Sealed[string]
	FamilyName   event.Sealed[string]
	DisplayName  event.Sealed[string]
	Hash         event.Sealed[string] // of the password
	HashSet      event.Instant        // when it was set
	Link         event.Sealed[[]byte] // digest of the live set-up link
	LinkExpires  event.Instant
	linkBy       event.Actor // who made it
	lockouts     lockouts
	formers      []string       // hashes of the last passwords, the present one last
	Machine      bool           // it is a program; DisplayName is its name then
	Description  string         // of a machine user
	Credentials  credential.Set // of a machine user

	org      org.State           // of the organization, where a command asks for it
	policies policy.State        // that hold in it, where a command asks for them
	roles    []authz.MemberAdded // what the user administers, where a command asks for it
	// what the user may do with events, where a command asks for roles
	permissions []authz.PermissionGranted

	emails map[event.ID]string // normalized addresses by owner, where a command asks for one
}

// Start is the state of a user of whom nothing is known.
func Start(id event.ID) State { return State{User: id} }

// Evolve folds one fact into the state of s.User. Facts of others count only
// towards who has which address.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Registered:
		s = s.withEmail(p.User, p.Email)
		if p.User == s.User {
			s.Organization, s.Status = p.Organization, Active
			s.Email, s.GivenName, s.FamilyName, s.DisplayName = p.Email, p.GivenName, p.FamilyName, p.DisplayName
		}
	case EmailChanged:
		s = s.withEmail(p.User, p.Email)
		if p.User == s.User {
			s.Email = p.Email
		}
	case Erased:
		s = s.withEmail(p.User, event.Sealed[string]{})
		if p.User == s.User {
			s.Status = IsErased
		}
	default:
		s = s.evolveOwn(f)
	}
	return s
}

func (s State) evolveOwn(f event.Fact) State {
	switch p := f.Payload.(type) {
	case ProfileChanged:
		s.GivenName, s.FamilyName, s.DisplayName = p.GivenName.Or(s.GivenName), p.FamilyName.Or(s.FamilyName), p.DisplayName.Or(s.DisplayName)
	case PasswordSet:
		s.Hash, s.HashSet, s.Link, s.lockouts = p.Hash, timeOf(f), event.Sealed[[]byte]{}, lockouts{}
		s = s.withFormer(p.Hash)
	case SetupLinkCreated:
		s.Link, s.LinkExpires, s.linkBy = p.Digest, p.Expires, f.Actor
	case SetupLinkUsed:
		s.Link = event.Sealed[[]byte]{}
	case Locked:
		s.Status, s.locked = IsLocked, true
	case Unlocked:
		s.Status, s.locked = Active, false
	case Deactivated:
		s.Status = IsDeactivated
	case Reactivated:
		s.Status = Active
		if s.locked {
			s.Status = IsLocked
		}
	case authz.MemberAdded:
		s.roles = append(slices.Clone(s.roles), p)
		if f.Actor != s.linkBy { // who holds the link might not have been given the role
			s.Link = event.Sealed[[]byte]{}
		}
	case authz.MemberRemoved:
		s.roles = slices.DeleteFunc(slices.Clone(s.roles), func(m authz.MemberAdded) bool { return m.Member == p.Member })
	case authz.PermissionGranted:
		s.permissions = append(slices.Clone(s.permissions), p)
		if f.Actor != s.linkBy {
			s.Link = event.Sealed[[]byte]{}
		}
	case authz.PermissionWithdrawn:
		s.permissions = slices.DeleteFunc(slices.Clone(s.permissions), func(h authz.PermissionGranted) bool { return h.Permission == p.Permission })
	case LockoutBegun:
		if p.Known {
			s.lockouts.known = p.Until
		} else {
			s.lockouts.unknown = p.Until
		}
	case LockoutEnded:
		s.lockouts = lockouts{}
	default:
		s = s.evolveMachine(f)
		s.org = org.Evolve(s.org, f)
		s.policies = policy.Evolve(s.policies, f)
	}
	return s
}

// timeOf is when a fact was recorded.
func timeOf(f event.Fact) event.Instant { return event.Instant(f.Time.UnixMicro()) }

// withEmail notes that a user has an address now, or none.
func (s State) withEmail(user event.ID, email event.Sealed[string]) State {
	s.emails = maps.Clone(s.emails)
	if s.emails == nil {
		s.emails = map[event.ID]string{}
	}
	delete(s.emails, user)
	if v, ok := email.Get(); ok {
		s.emails[user] = event.Normalize(v, true)
	}
	return s
}

// emailFree reports whether nobody but the user has the address.
func (s State) emailFree(user event.ID, email string) bool {
	email = event.Normalize(email, true)
	for owner, e := range s.emails {
		if e == email && owner != user {
			return false
		}
	}
	return true
}

// Refusals.
var (
	ErrNotFound       = fault.New(fault.NotFound, "there is no such user")
	ErrErased         = fault.New(fault.Erased, "the user was erased")
	ErrEmailTaken     = fault.New(fault.Exists, "this e-mail address belongs to somebody else")
	ErrLocked         = fault.New(fault.Refused, "the user is locked already")
	ErrNotLocked      = fault.New(fault.Refused, "the user is not locked")
	ErrDeactivated    = fault.New(fault.Refused, "the user is deactivated; reactivate them first")
	ErrNotDeactivated = fault.New(fault.Refused, "the user is not deactivated")
	ErrLink           = fault.New(fault.Refused, "this link was used already, has expired, or was replaced by a newer one; ask for a new one")
)

// Exists returns nil if there is such a user and they are not erased.
func (s State) Exists() error {
	switch s.Status {
	case "":
		return ErrNotFound
	case IsErased:
		return ErrErased
	}
	return nil
}

// own are the facts of one user's stream.
func own(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

// Facts are the facts of one user, for folding with Evolve outside of a
// command.
func Facts(id event.ID) []decide.Facts { return own(id) }

// withAddress adds the facts that say who has an e-mail address.
func withAddress(facts []decide.Facts, email string) []decide.Facts {
	return append(facts, decide.Facts{
		Types: []string{"user.registered", "user.email.changed", "user.erased"},
		Blind: &decide.Blind{Name: "email", Value: email, Fold: true},
	})
}

// ByEmail are the facts that say who has an e-mail address; Owner reads them.
func ByEmail(email string) []decide.Facts { return withAddress(nil, email) }

// Owners is who has which normalized e-mail address, among the facts of one.
type Owners struct{ s State }

// EvolveOwners folds the facts of ByEmail.
func EvolveOwners(o Owners, f event.Fact) Owners {
	switch p := f.Payload.(type) {
	case Registered:
		o.s = o.s.withEmail(p.User, p.Email)
	case EmailChanged:
		o.s = o.s.withEmail(p.User, p.Email)
	case Erased:
		o.s = o.s.withEmail(p.User, event.Sealed[string]{})
	}
	return o
}

// Of returns who has the address; false if nobody.
func (o Owners) Of(email string) (event.ID, bool) {
	email = event.Normalize(email, true)
	for owner, e := range o.s.emails {
		if e == email {
			return owner, true
		}
	}
	return event.ID{}, false
}

// one is a single event of a user's stream.
func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}

// managed are the facts of a user for a command that Manageable or Excludable
// allows.
func managed(id event.ID) []decide.Facts { return append(own(id), Roles(id)) }

// Roles are the facts of what a user administers and may do with events, by
// which both go.
func Roles(id event.ID) decide.Facts {
	return decide.Facts{Types: authz.HeldTypes(), Tags: []event.Tag{event.NewTag("user", id.String())}}
}

// Manageable returns nil for those who may look after the user's account: who
// manage the users of the user's organization and have every right that the
// user has, wherever it is, over events too. Or an administrator of one
// organization could become the owner of the instance.
func (s State) Manageable(a authz.Authority) error {
	if err := s.over(a, func(event.ID) bool { return true }); err != nil {
		return err
	}
	for _, p := range s.permissions {
		if err := a.NeedHold(p.Gives()); err != nil {
			return err
		}
	}
	return nil
}

// Excludable returns nil for those who may keep the user out. What the user
// administers in organizations other than their own does not count: nobody there
// may take away from those here that they let people go. What it may do with
// events does not either: keeping it out gives nobody that.
func (s State) Excludable(a authz.Authority) error {
	return s.over(a, func(organization event.ID) bool { return organization.IsZero() || organization == s.Organization })
}

func (s State) over(a authz.Authority, counts func(organization event.ID) bool) error {
	if err := a.Need(authz.ManageUsers, authz.Of(s.Organization)); err != nil {
		return err
	}
	for _, m := range s.roles {
		if counts(m.Organization) && !a.Covers(authz.Role(m.Role), authz.Of(m.Organization)) {
			return authz.DeniedIn(s.Organization, "administer all that this person administers")
		}
	}
	return nil
}

func manager[C any](a authz.Authority, s State, _ C) error { return s.Manageable(a) }
