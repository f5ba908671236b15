package hook

import (
	"net/netip"
	"net/url"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Bounds of what a subscription may ask for.
const (
	MostConcurrent = 1000 // events with whoever pulls
	MostCalls      = 64   // of a webhook at once
	MostAttempts   = 50
	longestURL     = 2000
)

// Check reports what is wrong with the settings of a subscription, or nil. The
// filter is checked by whoever reads it from a request.
func (s Settings) Check(d Delivery) error {
	if err := org.CheckName(s.Name); err != nil {
		return err
	}
	most := int64(MostConcurrent)
	if d == Webhook {
		most = MostCalls
		if err := CheckURL(s.URL); err != nil {
			return err
		}
	} else if s.URL != "" {
		return fault.Field("endpoint_url", "is only for a webhook")
	}
	switch {
	case s.Concurrency < 1 || s.Concurrency > most:
		return fault.Field("max_in_flight", "must be 1 to %d", most)
	case s.Attempts < 1 || s.Attempts > MostAttempts:
		return fault.Field("max_attempts", "must be 1 to %d", MostAttempts)
	}
	return nil
}

// CheckURL reports what is wrong with the address of a webhook, or nil. Whether
// it leads where nothing may be sent is seen when it is called.
func CheckURL(text string) error {
	const field = "endpoint_url"
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fault.Field(field, "say where events are to be sent, such as https://example.com/hooks")
	case err != nil || len(text) > longestURL || u.Host == "" || u.Hostname() == "" || strings.ContainsAny(text, " \t\r\n"):
		return fault.Field(field, "must be an address such as https://example.com/hooks, of at most %d bytes", longestURL)
	case u.User != nil:
		return fault.Field(field, "must be without name and password: deliveries prove themselves by their signature")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return fault.Field(field, "must be without a fragment: it would not be sent")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fault.Field(field, "must begin with https://: events would travel in clear")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// NewSecret is a secret that was just made.
type NewSecret struct {
	ID  event.ID
	Key [32]byte
}

// Create subscribes to events.
type Create struct {
	Subscription event.ID // fresh
	Organization event.ID // zero: events of the whole instance
	Owner        event.ID // who gives the command
	Delivery     Delivery
	Settings     Settings
	After        event.Position
	Secret       NewSecret // of a webhook
}

// Creating decides Create.
var Creating = decide.Decider[All, Create]{
	Name:   "create a subscription",
	Query:  func(Create) []decide.Facts { return Every() },
	Evolve: EvolveAll,
	Allow:  func(a authz.Authority, _ All, c Create) error { return direct(a, c.Organization, c.Settings) },
	Decide: func(a All, c Create) ([]event.New, error) {
		if c.Delivery != Webhook && c.Delivery != Pull {
			return nil, fault.Field("delivery", "must be webhook or pull")
		}
		if err := c.Settings.Check(c.Delivery); err != nil {
			return nil, err
		}
		switch all, of := a.there(c.Organization); {
		case all >= Most:
			return nil, ErrMany
		case !c.Organization.IsZero() && of >= MostOfOne:
			return nil, ErrManyOfOne
		}
		s, f := c.Settings, c.Settings.Filter
		events := one(c.Subscription, Created{c.Subscription, c.Organization, c.Owner, s.Name, string(c.Delivery), sealed(s.URL), f.Types, f.Streams, f.Actors, f.Tags,
			f.Within, f.Users, s.Concurrency, s.Attempts, s.Unsealed, s.Verify, int64(c.After)})
		if c.Delivery == Webhook {
			events = append(events, one(c.Subscription, SecretAdded{c.Subscription, c.Organization, c.Secret.ID, event.Seal(c.Secret.Key[:])})...)
		}
		return events, nil
	},
}

// sealed seals what is there.
func sealed(text string) event.Sealed[string] {
	if text == "" {
		return event.Sealed[string]{}
	}
	return event.Seal(text)
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}

// Change changes a subscription.
type Change struct {
	Subscription event.ID
	Owner        event.ID // who gives the command
	Settings     Settings
}

// Changing decides Change. Whoever directs events somewhere else has them read
// with their own rights from then on.
var Changing = of("change a subscription", func(c Change) event.ID { return c.Subscription },
	func(a authz.Authority, s State, c Change) error {
		if err := s.Settings.MayRead(a, s.Organization); err != nil {
			return err
		}
		return direct(a, s.Organization, c.Settings)
	},
	func(s State, c Change) (any, error) {
		if err := c.Settings.Check(s.Delivery); err != nil {
			return nil, err
		}
		if s.Settings.same(c.Settings) {
			return nil, nil
		}
		x, f := c.Settings, c.Settings.Filter
		return Changed{s.ID, s.Organization, c.Owner, x.Name, sealed(x.URL), f.Types, f.Streams, f.Actors, f.Tags, f.Within, f.Users, x.Concurrency, x.Attempts, x.Unsealed, x.Verify}, nil
	})
