package app

import (
	"reflect"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Rename gives an application another name.
type Rename struct {
	Application event.ID
	Name        string
}

// Renaming decides Rename.
var Renaming = change("rename an application", func(c Rename) event.ID { return c.Application },
	func(s State, c Rename) (any, error) {
		if err := org.CheckName(c.Name); err != nil || c.Name == s.Name {
			return nil, err
		}
		return Renamed{s.Application, s.Project, s.Organization, c.Name}, nil
	})

// ChangeRedirectURIs replaces both lists.
type ChangeRedirectURIs struct {
	Application    event.ID
	Redirects      []string
	LogoutRedirect []string
}

// ChangingRedirectURIs decides ChangeRedirectURIs.
var ChangingRedirectURIs = change("change redirect URIs", func(c ChangeRedirectURIs) event.ID { return c.Application },
	func(s State, c ChangeRedirectURIs) (any, error) {
		if err := checkURIs(c.Redirects, c.LogoutRedirect, s.Type); err != nil {
			return nil, err
		}
		if slices.Equal(s.Redirects, c.Redirects) && slices.Equal(s.LogoutRedirect, c.LogoutRedirect) {
			return nil, nil
		}
		return RedirectURIsChanged{s.Application, s.Project, s.Organization, c.Redirects, c.LogoutRedirect}, nil
	})

// ChangeOrigins replaces the allowed origins.
type ChangeOrigins struct {
	Application event.ID
	Origins     []string
}

// ChangingOrigins decides ChangeOrigins.
var ChangingOrigins = change("change allowed origins", func(c ChangeOrigins) event.ID { return c.Application },
	func(s State, c ChangeOrigins) (any, error) {
		if err := checkOrigins(c.Origins, s.Type); err != nil || slices.Equal(s.Origins, c.Origins) {
			return nil, err
		}
		return OriginsChanged{s.Application, s.Project, s.Organization, c.Origins}, nil
	})

// ChangeSettings changes what is not nil.
type ChangeSettings struct {
	Application     event.ID
	GrantTypes      []string
	AccessTokenType *string
	AskConsent      *bool
	Algorithm       *string
	AuthMethod      *string
	APIAccess       *bool
	Now             event.Instant
}

// Refusals of a change that would stop a running application.
var (
	ErrNeedsSecret = fault.New(fault.Refused, "the application has no secret that works; create one first, or it could not prove itself any more")
	ErrNeedsKey    = fault.New(fault.Refused, "the application has no key that works; add one first, or it could not prove itself any more")
)

// ChangingSettings decides ChangeSettings.
var ChangingSettings = func() (d decider[ChangeSettings]) {
	d = change("change the settings of an application", func(c ChangeSettings) event.ID { return c.Application },
		func(s State, c ChangeSettings) (any, error) {
			f := c.applied(s.Flow)
			if err := f.check(s.Type); err != nil || reflect.DeepEqual(f, s.Flow) {
				return nil, err
			}
			if f.AuthMethod != s.AuthMethod && !s.proved(f.AuthMethod, s.Credentials, c.Now) {
				return nil, needs(f.AuthMethod)
			}
			return SettingsChanged{s.Application, s.Project, s.Organization, f.GrantTypes, f.AccessTokenType, f.AskConsent, f.Algorithm, f.AuthMethod, f.APIAccess}, nil
		})
	allow := d.Allow
	d.Allow = func(a authz.Authority, s State, c ChangeSettings) error {
		if err := allow(a, s, c); err != nil {
			return err
		}
		return mayOpenAPI(a, s.APIAccess, c.APIAccess != nil && *c.APIAccess)
	}
	return d
}()

// applied is a flow with the changes.
func (c ChangeSettings) applied(f Flow) Flow {
	if c.GrantTypes != nil {
		f.GrantTypes = c.GrantTypes
	}
	set(&f.AccessTokenType, c.AccessTokenType)
	set(&f.AskConsent, c.AskConsent)
	set(&f.Algorithm, c.Algorithm)
	set(&f.AuthMethod, c.AuthMethod)
	set(&f.APIAccess, c.APIAccess)
	return f
}

func set[T any](to, v *T) {
	if v != nil {
		*to = *v
	}
}

// proved reports whether a client with these credentials can prove itself in a
// way.
func (s State) proved(method string, with credential.Set, now event.Instant) bool {
	switch method {
	case ClientSecret:
		return len(with.LiveSecrets(now)) > 0
	case PrivateKeyJWT:
		return len(with.LiveKeys(now)) > 0
	}
	return true
}

func needs(method string) error {
	if method == PrivateKeyJWT {
		return ErrNeedsKey
	}
	return ErrNeedsSecret
}

// Deactivate takes an application out of use.
type Deactivate struct{ Application event.ID }

// Deactivating decides Deactivate.
var Deactivating = change("deactivate an application", func(c Deactivate) event.ID { return c.Application },
	func(s State, _ Deactivate) (any, error) {
		if s.Inactive {
			return nil, ErrDeactivated
		}
		return Deactivated{s.Application, s.Project, s.Organization}, nil
	})

// Reactivate takes it into use again.
type Reactivate struct{ Application event.ID }

// Reactivating decides Reactivate.
var Reactivating = change("reactivate an application", func(c Reactivate) event.ID { return c.Application },
	func(s State, _ Reactivate) (any, error) {
		if !s.Inactive {
			return nil, ErrNotDeactivated
		}
		return Reactivated{s.Application, s.Project, s.Organization}, nil
	})
