package external

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Bounds of what an adapter may be told.
const (
	LeastInterval = 10 // seconds
	MostInterval  = 7 * 24 * 60 * 60
	MostBatch     = 500
	MostAttempts  = 50
	MostTypes     = 50
	longestURL    = 2000
	longestSecret = 4000
)

// Check reports what is wrong with settings, or nil.
func (s Settings) Check() error {
	if err := org.CheckName(s.Name); err != nil {
		return err
	}
	switch {
	case s.Interval < LeastInterval || s.Interval > MostInterval:
		return fault.Field("interval_seconds", "must be %d to %d, which is a week", LeastInterval, MostInterval)
	case s.Batch < 1 || s.Batch > MostBatch:
		return fault.Field("batch_size", "must be 1 to %d", MostBatch)
	case s.Attempts < 1 || s.Attempts > MostAttempts:
		return fault.Field("max_attempts", "must be 1 to %d", MostAttempts)
	}
	return checkURL(s.URL)
}

// checkURL reports what is wrong with the address of an external system, or nil.
// Whether it leads where nothing may be sent is seen when it is called.
func checkURL(text string) error {
	const field = "endpoint_url"
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fault.Field(field, "say where the external system is, such as https://example.com/events")
	case err != nil || len(text) > longestURL || u.Host == "" || u.Hostname() == "" || strings.ContainsAny(text, " \t\r\n"):
		return fault.Field(field, "must be an address such as https://example.com/events, of at most %d bytes", longestURL)
	case u.User != nil:
		return fault.Field(field, "must be without name and password: set a credential")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return fault.Field(field, "must be without a fragment: it would not be sent")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fault.Field(field, "must begin with https://: events would travel in clear")
}

// origin is scheme, host and port of an address (RFC 6454 §4).
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// check reports what is wrong with a credential, or nil. What is wrong with the
// secret is said without it.
func (c Credential) check() error {
	const field = "credential"
	secret := c.Secret.Value
	name, _, pair := strings.Cut(secret, ":")
	switch {
	case c.Kind != Signature && c.Kind != Bearer && c.Kind != Basic:
		return fault.Field(field, "must be a signature, a bearer token, or a name and password")
	case secret == "" || len(secret) > longestSecret:
		return fault.Field(field, "the secret must have 1 to %d bytes", longestSecret)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fault.Field(field, "the secret must hold no control characters")
	case c.Kind == Bearer && strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fault.Field(field, "a bearer token is letters, digits and signs without spaces (RFC 6750 §2.1)")
	case c.Kind == Basic && (!pair || name == ""):
		return fault.Field(field, "give a name without a colon, and a password (RFC 7617 §2)")
	}
	return nil
}

// Create sets an adapter up.
type Create struct {
	Adapter      event.ID // fresh
	Organization event.ID // zero: of the whole instance
	Owner        event.ID // who gives the command
	Direction    Direction
	EntityTypes  []string
	Types        []string // of events of those entities, by the definitions in force
	Settings     Settings
	Credential   Credential
	After        event.Position
}

// Creating decides Create.
var Creating = decide.Decider[All, Create]{
	Name:   "create an adapter",
	Query:  func(Create) []decide.Facts { return Every() },
	Evolve: EvolveAll,
	Allow: func(a authz.Authority, _ All, c Create) error {
		return direct(a, c.Organization, c.Direction, c.Types, c.Settings.Unsealed)
	},
	Decide: func(a All, c Create) ([]event.New, error) {
		if err := c.check(); err != nil {
			return nil, err
		}
		switch all, of := a.there(c.Organization); {
		case all >= Most:
			return nil, ErrMany
		case !c.Organization.IsZero() && of >= MostOfOne:
			return nil, ErrManyOfOne
		}
		s, kinds := c.Settings, slices.Compact(slices.Sorted(slices.Values(c.EntityTypes)))
		return append(one(c.Adapter, Created{c.Adapter, c.Organization, c.Owner, s.Name, string(c.Direction), event.Seal(s.URL), kinds, s.Interval, s.Batch, s.Attempts, s.Unsealed, int64(c.After)}),
			one(c.Adapter, CredentialSet{c.Adapter, c.Organization, c.Credential.Kind, c.Credential.Secret})...), nil
	},
}

func (c Create) check() error {
	if !c.Direction.Pushes() && !c.Direction.Pulls() {
		return fault.Field("direction", "must be push, pull or both")
	}
	if n := len(c.EntityTypes); n == 0 || n > MostTypes {
		return fault.Field("entity_types", "name 1 to %d types of entities", MostTypes)
	}
	if err := c.Settings.Check(); err != nil {
		return err
	}
	return c.Credential.check()
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}
