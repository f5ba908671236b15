// Package grant holds which roles people have in projects.
package grant

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/project"
	"muniment.dev/user"
)

// RolesGranted says that a user has roles in a project from now on, besides
// those they had.
type RolesGranted struct {
	Grant        event.ID `event:"grant,public"`
	User         event.ID `event:"user,public,tag=user"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"` // the project's
	Roles        []string `event:"roles,public"`
}

// RolesWithdrawn says that a user does not have the roles any more. Tokens
// that were issued before keep saying so until they expire.
type RolesWithdrawn struct {
	Grant        event.ID `event:"grant,public"`
	User         event.ID `event:"user,public,tag=user"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Roles        []string `event:"roles,public"`
}

// Deactivated says that a user's roles in a project are out of use: they stand
// in no token and no answer about tokens. None of them is withdrawn.
type Deactivated struct {
	Grant        event.ID `event:"grant,public"`
	User         event.ID `event:"user,public,tag=user"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Reactivated ends a deactivation.
type Reactivated struct {
	Grant        event.ID `event:"grant,public"`
	User         event.ID `event:"user,public,tag=user"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[RolesGranted]("grant.roles.granted", 1, "{actor} granted {user} the role {roles} in {project}"),
		event.Describe[RolesWithdrawn]("grant.roles.withdrawn", 1, "{actor} withdrew the role {roles} in {project} from {user}"),
		event.Describe[Deactivated]("grant.deactivated", 1, "{actor} deactivated the roles of {user} in {project}"),
		event.Describe[Reactivated]("grant.reactivated", 1, "{actor} reactivated the roles of {user} in {project}"),
	}
}

// Stream is a grant's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "grant", ID: id} }

// types are this slice's own facts.
var types = []string{"grant.roles.granted", "grant.roles.withdrawn", "grant.deactivated", "grant.reactivated"}

// State is what commands need to know of one user's roles in one project.
type State struct {
	Grant    event.ID // zero if the user never had a role in the project
	Roles    []string // sorted
	Inactive bool

	user    user.State
	project project.State
}

// Evolve folds one fact.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case RolesGranted:
		s.Grant = p.Grant
		s.Roles = union(s.Roles, p.Roles)
	case RolesWithdrawn:
		s.Roles = minus(s.Roles, p.Roles)
	case Deactivated:
		s.Inactive = true
	case Reactivated:
		s.Inactive = false
	default:
		s.user = user.Evolve(s.user, f)
		s.project = project.Evolve(s.project, f)
		s.Roles = minus(s.Roles, removedRoles(f))
	}
	return s
}

func removedRoles(f event.Fact) []string {
	if p, ok := f.Payload.(project.RoleRemoved); ok {
		return []string{p.Key}
	}
	return nil
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(r string) bool { return slices.Contains(b, r) })
}

func facts(u, p event.ID) []decide.Facts {
	return []decide.Facts{
		{Types: types, Tags: []event.Tag{event.NewTag("project", p.String()), event.NewTag("user", u.String())}},
		{Types: append([]string{"user.erased"}, user.Began...), Stream: user.Stream(u)},
		{Types: []string{"project.added", "project.removed", "project.restored", "project.role.added", "project.role.removed"}, Stream: project.Stream(p)},
	}
}

// Refusals.
var (
	ErrHas         = fault.New(fault.Refused, "the user has these roles already")
	ErrHasNone     = fault.New(fault.Refused, "the user has none of these roles")
	ErrNone        = fault.New(fault.NotFound, "the user has no roles in this project")
	ErrDeactivated = fault.New(fault.Refused, "the user's roles in this project are deactivated; reactivate them first")
	ErrActive      = fault.New(fault.Refused, "the user's roles in this project are active already")
	ErrRoles       = fault.Field("role_keys", "name 1 to 100 roles of the project")
)

// Grant gives a user roles in a project.
type Grant struct {
	Grant   event.ID // fresh; used if the user has no grant in the project yet
	User    event.ID
	Project event.ID
	Roles   []string
}

// Granting decides Grant.
var Granting = decide.Decider[State, Grant]{
	Name:   "grant a role",
	Start:  func(c Grant) State { return State{user: user.Start(c.User)} },
	Query:  func(c Grant) []decide.Facts { return facts(c.User, c.Project) },
	Evolve: Evolve,
	Allow:  func(a authz.Authority, s State, _ Grant) error { return s.manager(a) },
	Decide: func(s State, c Grant) ([]event.New, error) {
		if err := s.check(c.Roles); err != nil {
			return nil, err
		}
		fresh := minus(union(nil, c.Roles), s.Roles)
		switch {
		case s.Inactive && len(s.Roles) > 0:
			return nil, ErrDeactivated
		case len(fresh) == 0:
			return nil, ErrHas
		}
		id := s.Grant
		if id.IsZero() {
			id = c.Grant
		}
		granted := one(id, RolesGranted{id, c.User, c.Project, s.project.Organization, fresh})
		if s.Inactive { // of what was deactivated, nothing is left
			return append(one(id, Reactivated{id, c.User, c.Project, s.project.Organization}), granted...), nil
		}
		return granted, nil
	},
}

// Withdraw takes roles from a user.
type Withdraw struct {
	User    event.ID
	Project event.ID
	Roles   []string
}

// Withdrawing decides Withdraw.
var Withdrawing = decide.Decider[State, Withdraw]{
	Name:   "withdraw a role",
	Start:  func(c Withdraw) State { return State{user: user.Start(c.User)} },
	Query:  func(c Withdraw) []decide.Facts { return facts(c.User, c.Project) },
	Evolve: Evolve,
	Allow:  func(a authz.Authority, s State, _ Withdraw) error { return s.manager(a) },
	Decide: func(s State, c Withdraw) ([]event.New, error) {
		switch {
		case s.user.Status == "":
			return nil, user.ErrNotFound
		case !s.project.Exists:
			return nil, project.ErrNotFound
		}
		if len(c.Roles) == 0 || len(c.Roles) > 100 {
			return nil, ErrRoles
		}
		gone := minus(s.Roles, minus(s.Roles, c.Roles))
		if len(gone) == 0 {
			return nil, ErrHasNone
		}
		return one(s.Grant, RolesWithdrawn{s.Grant, c.User, c.Project, s.project.Organization, gone}), nil
	},
}

func (s State) manager(a authz.Authority) error {
	return a.Need(authz.ManageGrants, authz.Of(s.project.Organization))
}

func (s State) check(roles []string) error {
	if err := s.user.Exists(); err != nil {
		return err
	}
	if !s.project.Exists {
		return project.ErrNotFound
	}
	if len(roles) == 0 || len(roles) > 100 {
		return ErrRoles
	}
	for _, r := range roles {
		if !slices.Contains(s.project.Roles, r) {
			return fault.New(fault.NotFound, "the project has no role %q", r)
		}
	}
	return nil
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}
