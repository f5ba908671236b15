// Package project holds projects: what applications belong to, and the roles
// that people can be granted in them.
package project

import (
	"maps"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
)

// Added says that an organization has a project from now on.
type Added struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
}

// Renamed says that a project is called otherwise from now on.
type Renamed struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
}

// Removed says that a project ended; its applications and grants count no more,
// unless it is restored.
type Removed struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Restored says that a removed project is there again, with the roles, grants
// and applications that it had. Sign-ins that its removal ended stay ended.
type Restored struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Deactivated says that a project is out of use: its applications let nobody
// in, and roles in it stand in no token. Nothing is deleted.
type Deactivated struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Reactivated ends a deactivation. Sign-ins that it ended stay ended.
type Reactivated struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// RoleAdded says that people can be granted a role from now on. It does not
// say that anybody has it.
type RoleAdded struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Key          string   `event:"key,public"`
	Name         string   `event:"name,public"`
}

// RoleRenamed says that a role is called otherwise from now on; its key, which
// stands in tokens, stays.
type RoleRenamed struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Key          string   `event:"key,public"`
	Name         string   `event:"name,public"`
}

// RoleRemoved says that a role ended; grants of it count no more.
type RoleRemoved struct {
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Key          string   `event:"key,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Added]("project.added", 1, "{actor} added the project {name}"),
		event.Describe[Renamed]("project.renamed", 1, "{actor} renamed the project {project} to {name}"),
		event.Describe[Removed]("project.removed", 1, "{actor} removed the project {project}"),
		event.Describe[Restored]("project.restored", 1, "{actor} restored the project {project}"),
		event.Describe[Deactivated]("project.deactivated", 1, "{actor} deactivated the project {project}"),
		event.Describe[Reactivated]("project.reactivated", 1, "{actor} reactivated the project {project}"),
		event.Describe[RoleAdded]("project.role.added", 1, "{actor} added the role {key} to {project}"),
		event.Describe[RoleRenamed]("project.role.renamed", 1, "{actor} renamed the role {key} of {project} to {name}"),
		event.Describe[RoleRemoved]("project.role.removed", 1, "{actor} removed the role {key} from {project}"),
	}
}

// Stream is a project's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "project", ID: id} }

// Types are the events that decide whether a project exists and is active;
// other slices name them in their facts.
var Types = []string{"project.added", "project.removed", "project.restored", "project.deactivated", "project.reactivated"}

// State is what commands need to know of a project.
type State struct {
	Exists       bool // and is not removed
	Removed      bool
	Inactive     bool
	Organization event.ID
	Name         string
	Roles        []string // keys, in the order they were added
	names        map[string]string
	OfInstance   bool // the command line's; known where OfInstance's facts are

	cli  event.ID // the command line's application
	org  org.State
	gone []event.ID // organizations that are removed, where a command asks
}

// Evolve folds one fact of the project's stream.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Added:
		s.Exists, s.Organization, s.Name = true, p.Organization, p.Name
	case Renamed:
		s.Name = p.Name
	case Removed:
		s.Exists, s.Removed = false, true
	case Restored:
		s.Exists, s.Removed = true, false
	case Deactivated:
		s.Inactive = true
	case Reactivated:
		s.Inactive = false
	case RoleAdded:
		s = s.called(p.Key, p.Name)
		s.Roles = append(slices.Clone(s.Roles), p.Key)
	case RoleRenamed:
		s = s.called(p.Key, p.Name)
	case RoleRemoved:
		s.Roles = slices.DeleteFunc(slices.Clone(s.Roles), func(k string) bool { return k == p.Key })
	case instance.Created:
		s.cli = p.CLI
	default:
		s.org = org.Evolve(s.org, f)
	}
	if f.Type == applicationAdded && f.Stream.ID == s.cli {
		s.OfInstance = true
	}
	return s
}

// called notes the name of a role.
func (s State) called(key, name string) State {
	s.names = maps.Clone(s.names)
	if s.names == nil {
		s.names = map[string]string{}
	}
	s.names[key] = name
	return s
}

// Usable returns nil if the project exists and is active.
func (s State) Usable() error {
	switch {
	case !s.Exists:
		return ErrNotFound
	case s.Inactive:
		return ErrInactive
	}
	return nil
}

// Refusals.
var (
	ErrInactive   = fault.New(fault.Refused, "the project is deactivated; reactivate it first")
	ErrActive     = fault.New(fault.Refused, "the project is active already")
	ErrNotFound   = fault.New(fault.NotFound, "there is no such project")
	ErrRemoved    = fault.New(fault.Refused, "the project was removed; restore it first")
	ErrIsThere    = fault.New(fault.Refused, "the project is not removed")
	ErrNoRole     = fault.New(fault.NotFound, "the project has no such role")
	ErrRoleExists = fault.New(fault.Exists, "the project has a role with this key already")
	ErrOfInstance = fault.New(fault.Refused, "this belongs to the instance itself and stays as it is: the command line signs in with it")
)

// Facts are the facts of one project.
func Facts(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

// applicationAdded is a type that package app owns.
const applicationAdded = "application.added"

// ofInstance are the facts that say whether a project is the command line's.
// Tokens of its application open the API for everybody who signs in with it, so
// that it must be nobody's to change who has less authority than all of them.
func ofInstance(id event.ID) []decide.Facts {
	return []decide.Facts{{Types: []string{"instance.created"}}, {Types: []string{applicationAdded}, Tags: []event.Tag{event.NewTag("project", id.String())}}}
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}

func manager[C any](a authz.Authority, s State, _ C) error {
	return a.Need(authz.ManageProjects, authz.Of(s.Organization))
}

// Add adds a project to an organization.
type Add struct {
	Project      event.ID // fresh
	Organization event.ID
	Name         string
}

// Adding decides Add.
var Adding = decide.Decider[State, Add]{
	Name: "add a project",
	Query: func(c Add) []decide.Facts {
		return append(Facts(c.Project), decide.Facts{Types: org.Types, Stream: org.Stream(c.Organization)})
	},
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c Add) error {
		return a.Need(authz.ManageProjects, authz.Of(c.Organization))
	},
	Decide: func(s State, c Add) ([]event.New, error) {
		if s.Exists {
			return nil, fault.New(fault.Exists, "a project with this id exists already")
		}
		if err := org.CheckName(c.Name); err != nil {
			return nil, err
		}
		if err := s.org.Usable(); err != nil {
			return nil, err
		}
		return one(c.Project, Added(c)), nil
	},
}

// Rename renames a project.
type Rename struct {
	Project event.ID
	Name    string
}

// Renaming decides Rename.
var Renaming = change("rename a project", func(c Rename) event.ID { return c.Project }, func(s State, c Rename) (any, error) {
	if err := org.CheckName(c.Name); err != nil || c.Name == s.Name {
		return nil, err
	}
	return Renamed{c.Project, s.Organization, c.Name}, nil
})

// AddRole adds a role that people can be granted.
type AddRole struct {
	Project   event.ID
	Key, Name string
}

// AddingRole decides AddRole.
var AddingRole = change("add a role", func(c AddRole) event.ID { return c.Project }, func(s State, c AddRole) (any, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, err
	}
	if err := org.CheckName(c.Name); err != nil {
		return nil, err
	}
	if slices.Contains(s.Roles, c.Key) {
		return nil, ErrRoleExists
	}
	return RoleAdded{c.Project, s.Organization, c.Key, c.Name}, nil
})

func checkKey(key string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.:-", r)
	}
	if key == "" || len(key) > 100 || strings.ContainsFunc(key, bad) {
		return fault.Field("key", "must be 1 to 100 letters, digits, underscores, dots, colons or dashes")
	}
	return nil
}

// RemoveRole ends a role.
type RemoveRole struct {
	Project event.ID
	Key     string
}

// RemovingRole decides RemoveRole.
var RemovingRole = change("remove a role", func(c RemoveRole) event.ID { return c.Project }, func(s State, c RemoveRole) (any, error) {
	if !slices.Contains(s.Roles, c.Key) {
		return nil, ErrNoRole
	}
	return RoleRemoved{c.Project, s.Organization, c.Key}, nil
})
