package org

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// LockPeopleOut and EndProjects name what the removal of an organization that
// is not empty brings about.
const (
	LockPeopleOut = "lock-people-out"
	EndProjects   = "end-projects"
)

// Remove takes an organization away, until somebody restores it.
type Remove struct {
	Organization event.ID
	Acknowledge  []string
}

// Removing decides Remove. Whoever may deactivate an organization may remove
// it; that people and projects go out of use with it has to be acknowledged.
var Removing = decide.Decider[State, Remove]{
	Name: "remove an organization",
	Query: func(c Remove) []decide.Facts {
		return append(withPeople(c.Organization),
			decide.Facts{Types: []string{"project.added", "project.removed", "project.restored"}, Tags: []event.Tag{event.NewTag("org", c.Organization.String())}})
	},
	Evolve: evolvePeople,
	Allow:  func(a authz.Authority, s State, _ Remove) error { return s.shuttable(a) },
	Decide: func(s State, c Remove) ([]event.New, error) {
		if err := s.There(); err != nil {
			return nil, err
		}
		if s.count > 0 && !slices.Contains(c.Acknowledge, LockPeopleOut) {
			return nil, unacknowledged(LockPeopleOut, "%d people are at home in this organization, and none of them can sign in any more", s.count)
		}
		if s.projects > 0 && !slices.Contains(c.Acknowledge, EndProjects) {
			return nil, unacknowledged(EndProjects, "the applications of %d projects of this organization let nobody in any more", s.projects)
		}
		return one(c.Organization, authz.OrganizationRemoved{Organization: c.Organization}), nil
	},
}

func unacknowledged(name, format string, args ...any) error {
	f := fault.New(fault.Refused, format+`; if that is meant, acknowledge "`+name+`"`, args...)
	f.Field = "acknowledge"
	return f
}

// Restore brings a removed organization back.
type Restore struct{ Organization event.ID }

// Restoring decides Restore.
var Restoring = decide.Decider[State, Restore]{
	Name:   "restore an organization",
	Query:  func(c Restore) []decide.Facts { return own(c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, _ Restore) error {
		return a.Need(authz.ManageInstance, authz.Instance)
	},
	Decide: func(s State, c Restore) ([]event.New, error) {
		switch {
		case !s.Exists:
			return nil, ErrNotFound
		case !s.Removed:
			return nil, ErrIsThere
		}
		return one(c.Organization, authz.OrganizationRestored(c)), nil
	},
}
