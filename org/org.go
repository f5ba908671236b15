// Package org holds organizations: groups of people and projects with members
// of their own who administer them. Whether an organization is active is
// authority's business and stands in package authz; the commands are here.
package org

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Added says that an organization exists from now on, with nobody in it.
type Added struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
}

// Renamed says that an organization is called otherwise from now on.
type Renamed struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Added]("organization.added", 1, "{actor} added the organization {name}"),
		event.Describe[Renamed]("organization.renamed", 1, "{actor} renamed the organization {organization} to {name}"),
		event.Describe[DomainAdded]("organization.domain.added", 1, "{actor} claimed the domain {domain} for {organization}"),
		event.Describe[DomainVerified]("organization.domain.verified", 1, "{actor} verified that the domain {domain} is of {organization}"),
		event.Describe[DomainRemoved]("organization.domain.removed", 1, "{actor} removed the domain {domain} from {organization}"),
		event.Describe[PrimaryDomainChanged]("organization.primary-domain.changed", 1, "{actor} made {domain} the primary domain of {organization}"),
	}
}

// Stream is an organization's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "organization", ID: id} }

// Types are the events that decide whether an organization exists and is
// active; other slices name them in their facts.
var Types = []string{"organization.added", "organization.deactivated", "organization.reactivated", "organization.removed", "organization.restored"}

// State is what commands need to know of an organization.
type State struct {
	Exists   bool
	Inactive bool
	Removed  bool
	Name     string

	count    int                              // of people who are not erased, where a command asks for them
	projects int                              // where a command asks for them
	people   *people                          // at home in it, where a command asks for them
	members  map[event.ID][]authz.MemberAdded // of the instance, by user, where a command asks for them
}

// people is a list that grows without touching what was shared of it.
type people struct {
	id   event.ID
	rest *people
}

// Evolve folds one fact of the organization's stream.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Added:
		s.Exists, s.Name = true, p.Name
	case Renamed:
		s.Name = p.Name
	case authz.OrganizationDeactivated:
		s.Inactive = true
	case authz.OrganizationReactivated:
		s.Inactive = false
	case authz.OrganizationRemoved:
		s.Removed = true
	case authz.OrganizationRestored:
		s.Removed = false
	}
	return s
}

// Refusals.
var (
	ErrNotFound = fault.New(fault.NotFound, "there is no such organization")
	ErrInactive = fault.New(fault.Refused, "the organization is deactivated; reactivate it first")
	ErrRemoved  = fault.New(fault.Refused, "the organization was removed; restore it first")
	ErrIsThere  = fault.New(fault.Refused, "the organization is not removed")
	ErrActive   = fault.New(fault.Refused, "the organization is active already")
	ErrName     = fault.Field("name", "must have 1 to 200 bytes of text without control characters")
)

// CheckName reports whether a display name of a thing is acceptable.
func CheckName(name string) error {
	if name == "" || len(name) > 200 || strings.TrimSpace(name) != name || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ErrName
	}
	return nil
}

// There returns nil if the organization exists and is not removed.
func (s State) There() error {
	switch {
	case !s.Exists:
		return ErrNotFound
	case s.Removed:
		return ErrRemoved
	}
	return nil
}

// Usable returns nil if the organization exists and is active.
func (s State) Usable() error {
	switch {
	case s.There() != nil:
		return s.There()
	case s.Inactive:
		return ErrInactive
	}
	return nil
}

// Add adds an organization.
type Add struct {
	Organization event.ID
	Name         string
}

// Adding decides Add.
var Adding = decide.Decider[State, Add]{
	Name:   "add an organization",
	Query:  func(c Add) []decide.Facts { return own(c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, _ Add) error {
		return a.Need(authz.ManageInstance, authz.Instance)
	},
	Decide: func(s State, c Add) ([]event.New, error) {
		if s.Exists {
			return nil, fault.New(fault.Exists, "an organization with this id exists already")
		}
		if err := CheckName(c.Name); err != nil {
			return nil, err
		}
		return one(c.Organization, Added(c)), nil
	},
}

// Rename renames an organization.
type Rename struct {
	Organization event.ID
	Name         string
}

// Renaming decides Rename.
var Renaming = decide.Decider[State, Rename]{
	Name:   "rename an organization",
	Query:  func(c Rename) []decide.Facts { return own(c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c Rename) error {
		return a.Need(authz.ManageInstance, authz.Of(c.Organization))
	},
	Decide: func(s State, c Rename) ([]event.New, error) {
		if err := s.There(); err != nil {
			return nil, err
		}
		if err := CheckName(c.Name); err != nil || s.Name == c.Name {
			return nil, err
		}
		return one(c.Organization, Renamed(c)), nil
	},
}

// Deactivate keeps an organization's people and members out.
type Deactivate struct{ Organization event.ID }

// Deactivating decides Deactivate. It locks everybody out who is at home in the
// organization: so nobody does it to their own, and to one in which somebody
// administers the instance only who has every right that they have.
var Deactivating = decide.Decider[State, Deactivate]{
	Name:   "deactivate an organization",
	Query:  func(c Deactivate) []decide.Facts { return withPeople(c.Organization) },
	Evolve: evolvePeople,
	Allow:  func(a authz.Authority, s State, _ Deactivate) error { return s.shuttable(a) },
	Decide: func(s State, c Deactivate) ([]event.New, error) {
		if err := s.Usable(); err != nil {
			return nil, err
		}
		return one(c.Organization, authz.OrganizationDeactivated(c)), nil
	},
}

// withPeople are the facts of an organization and of who is at home in it.
func withPeople(id event.ID) []decide.Facts {
	return append(own(id),
		decide.Facts{Types: []string{"user.registered", "user.machine.created", "user.erased"}, Tags: []event.Tag{event.NewTag("org", id.String())}},
		decide.Facts{Types: []string{"member.added", "member.removed"}})
}

// shuttable returns nil for those who may keep everybody out who is at home in
// the organization.
func (s State) shuttable(a authz.Authority) error {
	if err := a.Need(authz.ManageInstance, authz.Instance); err != nil {
		return err
	}
	for p := s.people; p != nil; p = p.rest {
		if a.Is(p.id) {
			return authz.Denied("have somebody of another organization do this to your own")
		}
		for _, m := range s.members[p.id] {
			if !a.Covers(authz.Role(m.Role), authz.Instance) {
				return authz.Denied("administer all that the people of this organization administer in the instance")
			}
		}
	}
	return nil
}

// evolvePeople is Evolve, and who is at home in the organization and who
// administers the instance.
func evolvePeople(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case authz.MemberAdded:
		if p.Organization.IsZero() {
			s = s.withMembers(p.User, append(slices.Clone(s.members[p.User]), p))
		}
		return s
	case authz.MemberRemoved:
		left := slices.DeleteFunc(slices.Clone(s.members[p.User]), func(m authz.MemberAdded) bool { return m.Member == p.Member })
		return s.withMembers(p.User, left)
	}
	switch f.Type { // owned by packages to the right
	case "user.registered", "user.machine.created":
		s.people, s.count = &people{f.Stream.ID, s.people}, s.count+1
		return s
	case "user.erased":
		s.count--
		return s
	case "project.added", "project.restored":
		s.projects++
		return s
	case "project.removed":
		s.projects--
		return s
	}
	return Evolve(s, f)
}

func (s State) withMembers(user event.ID, held []authz.MemberAdded) State {
	s.members = maps.Clone(s.members)
	if s.members == nil {
		s.members = map[event.ID][]authz.MemberAdded{}
	}
	s.members[user] = held
	return s
}

// Reactivate ends a deactivation.
type Reactivate struct{ Organization event.ID }

// Reactivating decides Reactivate.
var Reactivating = decide.Decider[State, Reactivate]{
	Name:   "reactivate an organization",
	Query:  func(c Reactivate) []decide.Facts { return own(c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, _ Reactivate) error {
		return a.Need(authz.ManageInstance, authz.Instance)
	},
	Decide: func(s State, c Reactivate) ([]event.New, error) {
		switch {
		case s.There() != nil:
			return nil, s.There()
		case !s.Inactive:
			return nil, ErrActive
		}
		return one(c.Organization, authz.OrganizationReactivated(c)), nil
	},
}

func own(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}
