package member

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// PermissionStream is a permission's stream.
func PermissionStream(id event.ID) event.Stream { return event.Stream{Kind: "permission", ID: id} }

// maxPermissions bounds how many permissions one user holds of one scope, so
// that no organization can take them from another: each of its requests is held
// against them.
const maxPermissions = 200

// Permissions is what commands need to know of the permissions of one user.
type Permissions struct {
	User    event.ID
	held    []authz.PermissionGranted
	exists  bool // the user
	inScope bool // the organization exists, if one is meant
}

func evolvePermissions(s Permissions, f event.Fact) Permissions {
	switch p := f.Payload.(type) {
	case authz.PermissionGranted:
		s.held = append(slices.Clone(s.held), p)
	case authz.PermissionWithdrawn:
		s.held = slices.DeleteFunc(slices.Clone(s.held), func(h authz.PermissionGranted) bool { return h.Permission == p.Permission })
	}
	switch f.Type {
	case "user.registered", "user.machine.created":
		s.exists = true
	case "user.erased":
		s.exists = false
	case "organization.added":
		s.inScope = true
	}
	return s
}

func permissionFacts(u, organization event.ID) []decide.Facts {
	fs := []decide.Facts{
		{Types: []string{"permission.granted", "permission.withdrawn"}, Tags: []event.Tag{event.NewTag("user", u.String())}},
		{Types: []string{"user.registered", "user.machine.created", "user.erased"}, Stream: event.Stream{Kind: "user", ID: u}},
	}
	if !organization.IsZero() {
		fs = append(fs, decide.Facts{Types: []string{"organization.added"}, Stream: event.Stream{Kind: "organization", ID: organization}})
	}
	return fs
}

// of counts those of a scope.
func (s Permissions) of(organization event.ID) (n int) {
	for _, h := range s.held {
		if h.Organization == organization {
			n++
		}
	}
	return n
}

func (s Permissions) find(p authz.Permission) (authz.PermissionGranted, bool) {
	i := slices.IndexFunc(s.held, func(h authz.PermissionGranted) bool { return h.Gives() == p })
	if i < 0 {
		return authz.PermissionGranted{}, false
	}
	return s.held[i], true
}

// Refusals of permissions.
var (
	ErrPermitted    = fault.New(fault.Refused, "the user has this permission already")
	ErrNotPermitted = fault.New(fault.Refused, "the user does not have this permission; it is withdrawn as it was granted, with the same event types and scope")
	ErrTooMany      = fault.New(fault.Refused, "the user has %d permissions there, which is as many as one may have in one organization or in the whole instance; withdraw some, or use a pattern such as order-*", maxPermissions)
)

// Grant permits a user something.
type Grant struct {
	ID   event.ID // of the permission; fresh
	User event.ID
	authz.Permission
}

// Granting decides Grant. Who manages the members of a scope grants what they
// have there themselves.
var Granting = decide.Decider[Permissions, Grant]{
	Name:   "grant a permission",
	Start:  func(c Grant) Permissions { return Permissions{User: c.User, inScope: c.Organization.IsZero()} },
	Query:  func(c Grant) []decide.Facts { return permissionFacts(c.User, c.Organization) },
	Evolve: evolvePermissions,
	Allow: func(a authz.Authority, _ Permissions, c Grant) error {
		if err := a.Need(authz.ManageMembers, authz.Of(c.Organization)); err != nil || c.Check() != nil {
			return err // what is no permission is refused by Decide
		}
		return a.NeedHold(c.Permission)
	},
	Decide: func(s Permissions, c Grant) ([]event.New, error) {
		if err := c.Check(); err != nil {
			return nil, err
		}
		switch _, has := s.find(c.Permission); {
		case !s.exists:
			return nil, ErrNoUser
		case !s.inScope:
			return nil, ErrNoOrg
		case has:
			return nil, ErrPermitted
		case s.of(c.Organization) >= maxPermissions:
			return nil, ErrTooMany
		}
		return []event.New{{Stream: PermissionStream(c.ID), Payload: authz.PermissionGranted{
			Permission: c.ID, User: c.User, Organization: c.Organization, Right: string(c.Right), Types: string(c.Types)}}}, nil
	},
}

// Withdraw takes a permission from a user.
type Withdraw struct {
	User event.ID
	authz.Permission
}

// Withdrawing decides Withdraw. Whatever races with it and comes after it in the
// log is decided without the permission.
var Withdrawing = decide.Decider[Permissions, Withdraw]{
	Name:   "withdraw a permission",
	Start:  func(c Withdraw) Permissions { return Permissions{User: c.User} },
	Query:  func(c Withdraw) []decide.Facts { return permissionFacts(c.User, c.Organization) },
	Evolve: evolvePermissions,
	Allow: func(a authz.Authority, _ Permissions, c Withdraw) error {
		return a.Need(authz.ManageMembers, authz.Of(c.Organization))
	},
	Decide: func(s Permissions, c Withdraw) ([]event.New, error) {
		if err := c.Check(); err != nil {
			return nil, err
		}
		h, has := s.find(c.Permission)
		if !has {
			return nil, ErrNotPermitted
		}
		return []event.New{{Stream: PermissionStream(h.Permission), Payload: authz.PermissionWithdrawn(h)}}, nil
	},
}
