// Package app holds applications: the OAuth clients of projects. An
// application's id is its client id. What sort of program it is, its type, is
// settled when it is added and decides what it can have: secrets, redirect
// URIs, origins.
package app

import (
	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/project"
)

// Added says that an application is registered from now on. Where it has a
// secret or a key, the record after it says so.
type Added struct {
	Application     event.ID `event:"application,public,tag=app"`
	Project         event.ID `event:"project,public,tag=project"`
	Organization    event.ID `event:"organization,public,tag=org"`
	Type            string   `event:"type,public"` // a Type
	Name            string   `event:"name,public"`
	Redirects       []string `event:"redirect_uris,public"`
	LogoutRedirect  []string `event:"post_logout_redirect_uris,public"`
	Origins         []string `event:"allowed_origins,public,tag=origin"`
	GrantTypes      []string `event:"grant_types,public"`
	AccessTokenType string   `event:"access_token_type,public"` // jwt or opaque
	AskConsent      bool     `event:"ask_consent,public"`
	Algorithm       string   `event:"id_token_alg,public"` // JWS "alg": ES256 or RS256
	AuthMethod      string   `event:"client_auth_method,public"`
	APIAccess       bool     `event:"api_access,public"`
}

// Renamed says that people see another name when they sign in.
type Renamed struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
}

// RedirectURIsChanged says where people may be sent back to from now on.
type RedirectURIsChanged struct {
	Application    event.ID `event:"application,public,tag=app"`
	Project        event.ID `event:"project,public,tag=project"`
	Organization   event.ID `event:"organization,public,tag=org"`
	Redirects      []string `event:"redirect_uris,public"`
	LogoutRedirect []string `event:"post_logout_redirect_uris,public"`
}

// OriginsChanged says from which web origins a single-page application calls
// from now on.
type OriginsChanged struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Origins      []string `event:"allowed_origins,public,tag=origin"`
}

// SettingsChanged says how the application gets its tokens from now on. Tokens
// that it has stay as they are.
type SettingsChanged struct {
	Application     event.ID `event:"application,public,tag=app"`
	Project         event.ID `event:"project,public,tag=project"`
	Organization    event.ID `event:"organization,public,tag=org"`
	GrantTypes      []string `event:"grant_types,public"`
	AccessTokenType string   `event:"access_token_type,public"`
	AskConsent      bool     `event:"ask_consent,public"`
	Algorithm       string   `event:"id_token_alg,public"`
	AuthMethod      string   `event:"client_auth_method,public"`
	APIAccess       bool     `event:"api_access,public"`
}

// Deactivated says that an application is out of use: nobody can sign in to it,
// its secrets and keys prove nothing, and its tokens are good no more. Nothing
// is deleted.
type Deactivated struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Reactivated takes a deactivated application into use again.
type Reactivated struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Removed says that an application can ask nobody to sign in any more, unless
// it is restored.
type Removed struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Restored says that a removed application is there again as it was, with those
// of its secrets and keys that have not expired. Sign-ins that its removal ended
// stay ended.
type Restored struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Added]("application.added", 1, "{actor} added the application {name}"),
		event.Describe[Renamed]("application.renamed", 1, "{actor} renamed {application} to {name}"),
		event.Describe[RedirectURIsChanged]("application.redirect-uris.changed", 1, "{actor} changed the redirect URIs of {application}"),
		event.Describe[OriginsChanged]("application.origins.changed", 1, "{actor} changed the allowed origins of {application}"),
		event.Describe[SettingsChanged]("application.settings.changed", 1, "{actor} changed the settings of {application}"),
		event.Describe[SecretAdded]("application.secret.added", 1, "{actor} added a secret to {application}"),
		event.Describe[SecretRemoved]("application.secret.removed", 1, "{actor} removed a secret of {application}"),
		event.Describe[KeyAdded]("application.key.added", 1, "{actor} added a key to {application}"),
		event.Describe[KeyRemoved]("application.key.removed", 1, "{actor} removed a key of {application}"),
		event.Describe[Deactivated]("application.deactivated", 1, "{actor} deactivated the application {application}"),
		event.Describe[Reactivated]("application.reactivated", 1, "{actor} reactivated the application {application}"),
		event.Describe[Removed]("application.removed", 1, "{actor} removed the application {application}"),
		event.Describe[Restored]("application.restored", 1, "{actor} restored the application {application}"),
	}
}

// Stream is an application's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "application", ID: id} }

// State is what commands and the OpenID provider need to know of an
// application.
type State struct {
	Exists       bool // and is not removed
	Removed      bool
	Inactive     bool
	Type         Type
	Application  event.ID
	Project      event.ID
	Organization event.ID
	Name         string
	Settings
	Credentials credential.Set

	cli     event.ID // the command line's application, where a command asks for it
	project project.State
	gone    []event.ID // projects that are removed, where a command asks
}

// Evolve folds one fact of the application's stream, or of its project's.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Added:
		s.Exists, s.Type, s.Application, s.Project, s.Organization, s.Name = true, Type(p.Type), p.Application, p.Project, p.Organization, p.Name
		s.Settings = settingsOf(p)
	case Renamed:
		s.Name = p.Name
	case RedirectURIsChanged:
		s.Redirects, s.LogoutRedirect = p.Redirects, p.LogoutRedirect
	case OriginsChanged:
		s.Origins = p.Origins
	case SettingsChanged:
		s.Flow = Flow{p.GrantTypes, p.AccessTokenType, p.AskConsent, p.Algorithm, p.AuthMethod, p.APIAccess}
	case Deactivated:
		s.Inactive = true
	case Reactivated:
		s.Inactive = false
	case Removed:
		s.Exists, s.Removed = false, true
	case Restored:
		s.Exists, s.Removed = true, false
	case instance.Created:
		s.cli = p.CLI
	default:
		s.Credentials = evolveCredentials(s.Credentials, f)
		s.project = project.Evolve(s.project, f)
	}
	return s
}

// Refusals.
var (
	ErrNotFound       = fault.New(fault.NotFound, "there is no such application")
	ErrRemoved        = fault.New(fault.Refused, "the application was removed; restore it first")
	ErrIsThere        = fault.New(fault.Refused, "the application is not removed")
	ErrDeactivated    = fault.New(fault.Refused, "the application is deactivated already")
	ErrNotDeactivated = fault.New(fault.Refused, "the application is not deactivated")
)

// Usable returns nil if the application is there and in use, else ErrNotFound:
// what an application has become does not concern those who present its id.
func (s State) Usable() error {
	if !s.Exists || s.Inactive {
		return ErrNotFound
	}
	return nil
}

// Facts are the facts of one application.
func Facts(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

// Standing are the facts that say whether an application is usable, whatever
// its settings.
func Standing(id event.ID) decide.Facts {
	return decide.Facts{Stream: Stream(id), Types: []string{"application.added", "application.deactivated", "application.reactivated", "application.removed", "application.restored"}}
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}

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
			case s.Removed:
				return nil, ErrRemoved
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
