package app

import (
	"slices"

	"muniment.dev/fault"
)

// Type is what sort of program an application is. It never changes: what is a
// secret on a server is none on a telephone.
type Type string

// The types of applications.
const (
	Web    Type = "web"    // runs on a server and keeps a secret: confidential, RFC 6749 §2.1
	SPA    Type = "spa"    // runs in the browser: public, PKCE, calls from its own origins
	Native Type = "native" // runs on people's own machines: public, PKCE, RFC 8252
	API    Type = "api"    // a resource server: asks what tokens are good for, RFC 7662; nobody signs in to it
)

// Confidential reports whether applications of the type can keep a secret, RFC
// 6749 §2.1.
func (t Type) Confidential() bool { return t == Web || t == API }

// SignsIn reports whether people sign in to applications of the type.
func (t Type) SignsIn() bool { return t != API }

// How a client proves itself. RFC 7591 §2 tells client_secret_basic from
// client_secret_post; here they are one, since both send the same secret over
// the same connection.
const (
	ClientSecret  = "client_secret"
	PrivateKeyJWT = "private_key_jwt" // OpenID Connect Core §9, RFC 7523
	NoAuth        = "none"
)

// The grant types that people's sign-in uses, RFC 7591 §2. Machine users have
// client_credentials; there is no implicit and no password (RFC 9700 §2.1.2,
// §2.4).
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
)

// The types of access tokens.
const (
	JWT    = "jwt"    // RFC 9068: whoever has the keys can read it
	Opaque = "opaque" // says nothing; has to be introspected
)

// Settings are what can be set of an application.
type Settings struct {
	Redirects      []string
	LogoutRedirect []string
	Origins        []string // of a single-page application: scheme://host[:port]
	Flow
}

// Flow is how an application gets tokens, and which.
type Flow struct {
	GrantTypes      []string
	AccessTokenType string
	AskConsent      bool   // people are asked before they are let in for the first time
	Algorithm       string // of ID tokens
	AuthMethod      string
	APIAccess       bool // its tokens may open Muniment's own API
}

func settingsOf(p Added) Settings {
	return Settings{Redirects: p.Redirects, LogoutRedirect: p.LogoutRedirect, Origins: p.Origins,
		Flow: Flow{p.GrantTypes, p.AccessTokenType, p.AskConsent, p.Algorithm, p.AuthMethod, p.APIAccess}}
}

// Defaults are the settings of a new application of a type, which a command
// may then change.
func Defaults(t Type) Flow {
	f := Flow{AccessTokenType: JWT, Algorithm: "ES256", AuthMethod: NoAuth, AskConsent: t == Native} // RFC 8252 §8.6
	if t.Confidential() {
		f.AuthMethod = ClientSecret
	}
	if t.SignsIn() {
		f.GrantTypes = []string{AuthorizationCode, RefreshToken} // the second only if it asks for offline_access
	}
	return f
}

// Refusals.
var (
	ErrType         = fault.Field("kind", "there is no such kind of application")
	ErrAlgorithm    = fault.Field("id_token_alg", "must be ES256 or RS256")
	ErrTokenType    = fault.Field("access_token_type", "must be JWT or opaque")
	ErrPublic       = fault.Field("client_auth_method", "an application in a browser or on people's own machines cannot keep a secret or a private key; it is protected by PKCE alone")
	ErrConfidential = fault.Field("client_auth_method", "an application on a server must prove itself: by a secret or a private key")
	ErrNoCode       = fault.Field("grant_types", "must include authorization_code: without it nobody could sign in")
	ErrNoGrants     = fault.Field("grant_types", "an API gets no tokens; it only asks whether they are good")
	ErrGrantType    = fault.Field("grant_types", "must be authorization_code or refresh_token, each once")
)

// check says why an application of a type may not have these, or nil.
func (f Flow) check(t Type) error {
	switch {
	case !slices.Contains([]Type{Web, SPA, Native, API}, t):
		return ErrType
	case f.Algorithm != "ES256" && f.Algorithm != "RS256":
		return ErrAlgorithm
	case f.AccessTokenType != JWT && f.AccessTokenType != Opaque:
		return ErrTokenType
	case !t.Confidential() && f.AuthMethod != NoAuth:
		return ErrPublic
	case t.Confidential() && f.AuthMethod != ClientSecret && f.AuthMethod != PrivateKeyJWT:
		return ErrConfidential
	case t.SignsIn():
		return checkGrants(f.GrantTypes)
	case len(f.GrantTypes) > 0 || f.APIAccess:
		return ErrNoGrants
	}
	return nil
}

func checkGrants(types []string) error {
	for i, g := range types {
		if g != AuthorizationCode && g != RefreshToken || slices.Contains(types[:i], g) {
			return ErrGrantType
		}
	}
	if !slices.Contains(types, AuthorizationCode) {
		return ErrNoCode
	}
	return nil
}

// check says why an application of a type may not have these, or nil.
func (s Settings) check(t Type) error {
	if err := s.Flow.check(t); err != nil {
		return err
	}
	if err := checkURIs(s.Redirects, s.LogoutRedirect, t); err != nil {
		return err
	}
	return checkOrigins(s.Origins, t)
}
