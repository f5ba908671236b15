// Package member holds the commands by which people become administrators of
// the instance or of an organization, and by which they and programs come to
// publish, read and unseal events. The events and what they mean for authority
// are in package authz.
package member

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Stream is a membership's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "member", ID: id} }

// State is what commands need to know: the memberships of one user, and how
// many owners the instance has.
type State struct {
	User    event.ID
	held    []authz.MemberAdded
	owners  []event.ID // memberships that own the instance
	exists  bool       // the user
	machine bool       // the user is a program
	inScope bool       // the organization exists, if one is meant
}

func evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case authz.MemberAdded:
		if p.User == s.User {
			s.held = append(slices.Clone(s.held), p)
		}
		if p.Organization.IsZero() && p.Role == string(authz.Owner) {
			s.owners = append(slices.Clone(s.owners), p.Member)
		}
	case authz.MemberRemoved:
		s.held = slices.DeleteFunc(slices.Clone(s.held), func(m authz.MemberAdded) bool { return m.Member == p.Member })
		s.owners = slices.DeleteFunc(slices.Clone(s.owners), func(id event.ID) bool { return id == p.Member })
	}
	switch f.Type {
	case "user.registered":
		s.exists = true
	case "user.machine.created":
		s.exists, s.machine = true, true
	case "user.erased":
		s.exists = false
	case "organization.added":
		s.inScope = true
	}
	return s
}

func facts(u, organization event.ID) []decide.Facts {
	fs := []decide.Facts{
		{Types: []string{"member.added", "member.removed"}},
		{Types: []string{"user.registered", "user.machine.created", "user.erased"}, Stream: event.Stream{Kind: "user", ID: u}},
	}
	if !organization.IsZero() {
		fs = append(fs, decide.Facts{Types: []string{"organization.added"}, Stream: event.Stream{Kind: "organization", ID: organization}})
	}
	return fs
}

func (s State) find(organization event.ID, role authz.Role) (authz.MemberAdded, bool) {
	i := slices.IndexFunc(s.held, func(m authz.MemberAdded) bool { return m.Organization == organization && m.Role == string(role) })
	if i < 0 {
		return authz.MemberAdded{}, false
	}
	return s.held[i], true
}

// Refusals.
var (
	ErrIs        = fault.New(fault.Refused, "the user has this role there already")
	ErrIsNot     = fault.New(fault.Refused, "the user does not have this role there")
	ErrLastOwner = fault.New(fault.Refused, "this is the last owner of the instance; make somebody else an owner first")
	ErrSame      = fault.Field("to", "is the role that is to be changed; name another")
	ErrNoUser    = fault.New(fault.NotFound, "there is no such user")
	ErrNoOrg     = fault.New(fault.NotFound, "there is no such organization")
	// The instance keeps an owner who can sign in, because nobody but an owner can
	// keep an owner out, and not themselves.
	ErrMachineOwner = fault.New(fault.Refused, "a machine user cannot own the instance: its owners are people who can sign in; make it an admin")

	ErrRole = fault.Field("role", "must be owner, admin, viewer or auditor")
)

// Add makes a user a member.
type Add struct {
	Member       event.ID // fresh
	User         event.ID
	Organization event.ID // zero: the instance
	Role         authz.Role
}

// Adding decides Add.
var Adding = decide.Decider[State, Add]{
	Name:   "add a member",
	Start:  func(c Add) State { return State{User: c.User, inScope: c.Organization.IsZero()} },
	Query:  func(c Add) []decide.Facts { return facts(c.User, c.Organization) },
	Evolve: evolve,
	Allow: func(a authz.Authority, _ State, c Add) error {
		return a.Need(authz.ManageMembers, authz.Of(c.Organization))
	},
	Decide: func(s State, c Add) ([]event.New, error) {
		switch _, has := s.find(c.Organization, c.Role); {
		case !slices.Contains(authz.Roles(), c.Role):
			return nil, ErrRole
		case !s.exists:
			return nil, ErrNoUser
		case !s.inScope:
			return nil, ErrNoOrg
		case s.machine && c.Organization.IsZero() && c.Role == authz.Owner:
			return nil, ErrMachineOwner
		case has:
			return nil, ErrIs
		}
		return []event.New{{Stream: Stream(c.Member), Payload: authz.MemberAdded{Member: c.Member, User: c.User, Organization: c.Organization, Role: string(c.Role)}}}, nil
	},
}

// Remove ends a membership.
type Remove struct {
	User         event.ID
	Organization event.ID // zero: the instance
	Role         authz.Role
}

// Removing decides Remove. The last owner of the instance stays, and so does
// whoever takes ownership from others: nobody lets go of their own, or those who
// are left may be people who cannot sign in.
var Removing = decide.Decider[State, Remove]{
	Name:   "remove a member",
	Start:  func(c Remove) State { return State{User: c.User} },
	Query:  func(c Remove) []decide.Facts { return facts(c.User, c.Organization) },
	Evolve: evolve,
	Allow: func(a authz.Authority, _ State, c Remove) error {
		if c.Organization.IsZero() && c.Role == authz.Owner && a.Is(c.User) {
			return authz.Denied("have another owner take the instance from you")
		}
		return a.Need(authz.ManageMembers, authz.Of(c.Organization))
	},
	Decide: func(s State, c Remove) ([]event.New, error) {
		m, has := s.find(c.Organization, c.Role)
		switch {
		case !has:
			return nil, ErrIsNot
		case slices.Contains(s.owners, m.Member) && len(s.owners) == 1:
			return nil, ErrLastOwner
		}
		return []event.New{{Stream: Stream(m.Member), Payload: authz.MemberRemoved(m)}}, nil
	},
}

// ChangeRole makes a member of some role one of another, in one step.
type ChangeRole struct {
	Member       event.ID // fresh
	User         event.ID
	Organization event.ID // zero: the instance
	From, To     authz.Role
}

// ChangingRole decides ChangeRole; what Removing does not allow, it does not.
var ChangingRole = decide.Decider[State, ChangeRole]{
	Name:   "change the role of a member",
	Start:  func(c ChangeRole) State { return State{User: c.User, inScope: c.Organization.IsZero()} },
	Query:  func(c ChangeRole) []decide.Facts { return facts(c.User, c.Organization) },
	Evolve: evolve,
	Allow: func(a authz.Authority, s State, c ChangeRole) error {
		return Removing.Allow(a, s, Remove{c.User, c.Organization, c.From})
	},
	Decide: func(s State, c ChangeRole) ([]event.New, error) {
		if c.From == c.To {
			return nil, ErrSame
		}
		removed, err := Removing.Decide(s, Remove{c.User, c.Organization, c.From})
		if err != nil {
			return nil, err
		}
		added, err := Adding.Decide(s, Add{c.Member, c.User, c.Organization, c.To})
		return append(removed, added...), err
	},
}
