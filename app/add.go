package app

import (
	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/project"
)

// Add adds an application.
type Add struct {
	Application event.ID // fresh
	Project     event.ID
	Type        Type
	Name        string
	Settings                         // begin with Defaults; without origins, those of the redirect URIs
	Secret      credential.NewSecret // the first one, if its AuthMethod is client_secret
	Key         credential.NewKey    // the first one, if it is private_key_jwt
	Now         event.Instant
}

// Adding decides Add.
var Adding = decide.Decider[State, Add]{
	Name: "add an application",
	Query: func(c Add) []decide.Facts {
		return append(Facts(c.Application), decide.Facts{Types: project.Types, Stream: project.Stream(c.Project)})
	},
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c Add) error {
		if err := a.Need(authz.ManageProjects, authz.Of(s.project.Organization)); err != nil {
			return err
		}
		return mayOpenAPI(a, false, c.APIAccess)
	},
	Decide: func(s State, c Add) ([]event.New, error) {
		switch {
		case s.Exists:
			return nil, fault.New(fault.Exists, "an application with this id exists already")
		case !s.project.Exists:
			return nil, project.ErrNotFound
		}
		if err := org.CheckName(c.Name); err != nil {
			return nil, err
		}
		if c.Type == SPA && len(c.Origins) == 0 {
			c.Origins = originsOf(c.Redirects)
		}
		if err := c.check(c.Type); err != nil {
			return nil, err
		}
		s.Application, s.Project, s.Organization = c.Application, c.Project, s.project.Organization
		events := one(c.Application, Added{Application: c.Application, Project: c.Project, Organization: s.Organization, Type: string(c.Type), Name: c.Name,
			Redirects: c.Redirects, LogoutRedirect: c.LogoutRedirect, Origins: c.Origins, GrantTypes: c.GrantTypes, AccessTokenType: c.AccessTokenType,
			AskConsent: c.AskConsent, Algorithm: c.Algorithm, AuthMethod: c.AuthMethod, APIAccess: c.APIAccess})
		proof, err := s.firstProof(c)
		if proof == nil || err != nil {
			return events, err
		}
		return append(events, one(c.Application, proof)...), nil
	},
}

// firstProof is the secret or the key that a new application begins with; nil
// if it proves itself by none.
func (s State) firstProof(c Add) (any, error) {
	switch c.AuthMethod {
	case ClientSecret:
		return s.secretAdded(c.Secret, c.Now)
	case PrivateKeyJWT:
		return s.keyAdded(c.Key, c.Now)
	}
	return nil, nil
}

// mayOpenAPI returns nil if the actor may decide that an application's tokens
// open Muniment's own API: they do so for everybody who signs in to it, those
// included who administer the whole instance.
func mayOpenAPI(a authz.Authority, was, will bool) error {
	if will && !was {
		return a.Need(authz.ManageInstance, authz.Instance)
	}
	return nil
}
