// Package app holds applications: the OAuth clients of projects. An
// application's id is its client id.
package app

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/project"
)

// WebAdded says that a web application, which can keep a secret, may ask
// people to sign in from now on.
type WebAdded struct {
	Application    event.ID             `event:"application,public,subject,tag=app"`
	Project        event.ID             `event:"project,public,tag=project"`
	Organization   event.ID             `event:"organization,public,tag=org"`
	Name           string               `event:"name,public"`
	Redirects      []string             `event:"redirect_uris,public"`
	LogoutRedirect []string             `event:"post_logout_redirect_uris,public"`
	Algorithm      string               `event:"id_token_alg,public"` // JWS "alg": ES256 or RS256
	Secret         event.Sealed[[]byte] `event:"secret,secret"`       // SHA-256 of it
}

// NativeAdded says that an application that cannot keep a secret, on people's
// own machines, may ask them to sign in from now on.
type NativeAdded struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
	Redirects    []string `event:"redirect_uris,public"`
}

// RedirectURIsChanged says where people may be sent back to from now on.
type RedirectURIsChanged struct {
	Application    event.ID `event:"application,public,tag=app"`
	Project        event.ID `event:"project,public,tag=project"`
	Organization   event.ID `event:"organization,public,tag=org"`
	Redirects      []string `event:"redirect_uris,public"`
	LogoutRedirect []string `event:"post_logout_redirect_uris,public"`
}

// SecretRotated says that the application has another secret; the one before
// does not work any more.
type SecretRotated struct {
	Application  event.ID             `event:"application,public,subject,tag=app"`
	Project      event.ID             `event:"project,public,tag=project"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Secret       event.Sealed[[]byte] `event:"secret,secret"`
}

// Removed says that an application can ask nobody to sign in any more.
type Removed struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[WebAdded]("application.added", 1, "{actor} added the web application {name}"),
		event.Describe[NativeAdded]("application.native.added", 1, "{actor} added the native application {name}"),
		event.Describe[RedirectURIsChanged]("application.redirect-uris.changed", 1, "{actor} changed the redirect URIs of {application}"),
		event.Describe[SecretRotated]("application.secret.rotated", 1, "{actor} rotated the secret of {application}"),
		event.Describe[Removed]("application.removed", 1, "{actor} removed the application {application}"),
	}
}

// Stream is an application's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "application", ID: id} }

// State is what commands and the OpenID provider need to know of an
// application.
type State struct {
	Exists         bool
	Native         bool
	Application    event.ID
	Project        event.ID
	Organization   event.ID
	Name           string
	Redirects      []string
	LogoutRedirect []string
	Algorithm      string
	Secret         event.Sealed[[]byte] // SHA-256

	cli     event.ID // the command line's application, where a command asks for it
	project project.State
}

// Evolve folds one fact of the application's stream, or of its project's.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case WebAdded:
		s.Exists, s.Application, s.Project, s.Organization, s.Name = true, p.Application, p.Project, p.Organization, p.Name
		s.Redirects, s.LogoutRedirect, s.Algorithm, s.Secret = p.Redirects, p.LogoutRedirect, p.Algorithm, p.Secret
	case NativeAdded:
		s.Exists, s.Native, s.Application, s.Project, s.Organization, s.Name = true, true, p.Application, p.Project, p.Organization, p.Name
		s.Redirects, s.Algorithm = p.Redirects, "ES256"
	case RedirectURIsChanged:
		s.Redirects, s.LogoutRedirect = p.Redirects, p.LogoutRedirect
	case SecretRotated:
		s.Secret = p.Secret
	case Removed:
		s.Exists = false
	case instance.Created:
		s.cli = p.CLI
	default:
		s.project = project.Evolve(s.project, f)
	}
	return s
}

// Refusals.
var (
	ErrNotFound  = fault.New(fault.NotFound, "there is no such application")
	ErrNoSecret  = fault.New(fault.Refused, "a native application has no secret")
	ErrAlgorithm = fault.Field("id_token_alg", "must be ES256 or RS256")
)

// Facts are the facts of one application.
func Facts(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}

func inProject(application, proj event.ID) []decide.Facts {
	return append(Facts(application), decide.Facts{Types: []string{"project.added", "project.removed"}, Stream: project.Stream(proj)})
}

// AddWeb adds a web application.
type AddWeb struct {
	Application    event.ID // fresh
	Project        event.ID
	Name           string
	Redirects      []string
	LogoutRedirect []string
	Algorithm      string
	Secret         [32]byte // SHA-256 of it
}

// AddingWeb decides AddWeb.
var AddingWeb = decide.Decider[State, AddWeb]{
	Name:   "add a web application",
	Query:  func(c AddWeb) []decide.Facts { return inProject(c.Application, c.Project) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, _ AddWeb) error {
		return a.Need(authz.ManageProjects, authz.Of(s.project.Organization))
	},
	Decide: func(s State, c AddWeb) ([]event.New, error) {
		if err := s.addable(c.Name); err != nil {
			return nil, err
		}
		if c.Algorithm != "ES256" && c.Algorithm != "RS256" {
			return nil, ErrAlgorithm
		}
		if err := checkURIs(c.Redirects, c.LogoutRedirect, false); err != nil {
			return nil, err
		}
		return one(c.Application, WebAdded{c.Application, c.Project, s.project.Organization, c.Name,
			c.Redirects, c.LogoutRedirect, c.Algorithm, event.Seal(c.Secret[:])}), nil
	},
}

// AddNative adds a native application.
type AddNative struct {
	Application event.ID
	Project     event.ID
	Name        string
	Redirects   []string
}

// AddingNative decides AddNative.
var AddingNative = decide.Decider[State, AddNative]{
	Name:   "add a native application",
	Query:  func(c AddNative) []decide.Facts { return inProject(c.Application, c.Project) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, _ AddNative) error {
		return a.Need(authz.ManageProjects, authz.Of(s.project.Organization))
	},
	Decide: func(s State, c AddNative) ([]event.New, error) {
		if err := s.addable(c.Name); err != nil {
			return nil, err
		}
		if err := checkURIs(c.Redirects, nil, true); err != nil {
			return nil, err
		}
		return one(c.Application, NativeAdded{c.Application, c.Project, s.project.Organization, c.Name, c.Redirects}), nil
	},
}

func (s State) addable(name string) error {
	switch {
	case s.Exists:
		return fault.New(fault.Exists, "an application with this id exists already")
	case !s.project.Exists:
		return project.ErrNotFound
	}
	return org.CheckName(name)
}

// ChangeRedirectURIs replaces both lists.
type ChangeRedirectURIs struct {
	Application    event.ID
	Redirects      []string
	LogoutRedirect []string
}

// ChangingRedirectURIs decides ChangeRedirectURIs.
var ChangingRedirectURIs = change("change redirect URIs", func(c ChangeRedirectURIs) event.ID { return c.Application },
	func(s State, c ChangeRedirectURIs) (any, error) {
		if err := checkURIs(c.Redirects, c.LogoutRedirect, s.Native); err != nil {
			return nil, err
		}
		if slices.Equal(s.Redirects, c.Redirects) && slices.Equal(s.LogoutRedirect, c.LogoutRedirect) {
			return nil, nil
		}
		return RedirectURIsChanged{s.Application, s.Project, s.Organization, c.Redirects, c.LogoutRedirect}, nil
	})

// RotateSecret replaces the secret.
type RotateSecret struct {
	Application event.ID
	Secret      [32]byte // SHA-256 of it
}

// RotatingSecret decides RotateSecret.
var RotatingSecret = change("rotate a client secret", func(c RotateSecret) event.ID { return c.Application },
	func(s State, c RotateSecret) (any, error) {
		if s.Native {
			return nil, ErrNoSecret
		}
		return SecretRotated{s.Application, s.Project, s.Organization, event.Seal(c.Secret[:])}, nil
	})

// Remove ends an application.
type Remove struct{ Application event.ID }

// Removing decides Remove.
var Removing = change("remove an application", func(c Remove) event.ID { return c.Application },
	func(s State, c Remove) (any, error) {
		return Removed{s.Application, s.Project, s.Organization}, nil
	})

// change makes the decider of a command that changes an existing application.
func change[C any](name string, id func(C) event.ID, next func(State, C) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name: name,
		Query: func(c C) []decide.Facts {
			return append(Facts(id(c)), decide.Facts{Types: []string{"instance.created"}})
		},
		Evolve: Evolve,
		Allow: func(a authz.Authority, s State, _ C) error {
			return a.Need(authz.ManageProjects, authz.Of(s.Organization))
		},
		Decide: func(s State, c C) ([]event.New, error) {
			switch {
			case !s.Exists:
				return nil, ErrNotFound
			case s.Application == s.cli:
				return nil, project.ErrOfInstance
			}
			e, err := next(s, c)
			if e == nil || err != nil {
				return nil, err
			}
			return one(s.Application, e), nil
		},
	}
}
