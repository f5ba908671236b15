package instance

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Renamed says that an instance is called otherwise from now on. Its log and
// the origin of its checkpoints keep their names.
type Renamed struct {
	Instance event.ID `event:"instance,public"`
	Name     string   `event:"name,public"`
}

// DefaultOrganizationChanged says to which organization people belong who are
// registered without a word about it; zero: it has to be said.
type DefaultOrganizationChanged struct {
	Instance     event.ID `event:"instance,public"`
	Organization event.ID `event:"organization,public"`
}

// LinksChanged says which pages of the operator the sign-in page leads to from
// now on; one that is empty is not shown.
type LinksChanged struct {
	Instance event.ID `event:"instance,public"`
	Privacy  string   `event:"privacy_policy,public"`
	Terms    string   `event:"terms,public"`
	Support  string   `event:"support,public"`
}

// Links are pages of the operator.
type Links struct{ Privacy, Terms, Support string }

// Settings are what can be changed about an instance.
type Settings struct {
	Name                string
	DefaultOrganization event.ID
	Links               Links

	there, removed bool // the organization that a command means
}

// settings are the types that change them.
var settings = []string{"instance.created", "instance.renamed", "instance.default-organization.changed", "instance.links.changed"}

// SettingsFacts are the facts of an instance's settings; EvolveSettings folds
// them.
func SettingsFacts(id event.ID) []decide.Facts {
	return []decide.Facts{{Types: settings, Stream: Stream(id)}}
}

// EvolveSettings folds one fact.
func EvolveSettings(s Settings, f event.Fact) Settings {
	switch p := f.Payload.(type) {
	case Created:
		s.Name = p.Name
	case Renamed:
		s.Name = p.Name
	case DefaultOrganizationChanged:
		s.DefaultOrganization = p.Organization
	case LinksChanged:
		s.Links = Links{p.Privacy, p.Terms, p.Support}
	}
	switch f.Type { // owned by packages to the right
	case "organization.added":
		s.there = true
	case "organization.removed":
		s.removed = true
	case "organization.restored":
		s.removed = false
	}
	return s
}

func administrator[S, C any](a authz.Authority, _ S, _ C) error {
	return a.Need(authz.ManageInstance, authz.Instance)
}

// Rename renames an instance.
type Rename struct {
	Instance event.ID
	Name     string
}

// Renaming decides Rename.
var Renaming = decide.Decider[Settings, Rename]{
	Name:   "rename the instance",
	Query:  func(c Rename) []decide.Facts { return SettingsFacts(c.Instance) },
	Evolve: EvolveSettings,
	Allow:  administrator[Settings, Rename],
	Decide: func(s Settings, c Rename) ([]event.New, error) {
		if c.Name == "" || len(c.Name) > 200 || strings.TrimSpace(c.Name) != c.Name || !utf8.ValidString(c.Name) ||
			strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fault.Field("name", "must have 1 to 200 bytes of text without control characters")
		}
		if c.Name == s.Name {
			return nil, nil
		}
		return []event.New{{Stream: Stream(c.Instance), Payload: Renamed(c)}}, nil
	},
}

// ChangeDefaultOrganization says where new people belong; zero: nowhere.
type ChangeDefaultOrganization struct {
	Instance     event.ID
	Organization event.ID
}

// Refusals.
var (
	ErrNoOrganization      = fault.New(fault.NotFound, "there is no such organization")
	ErrOrganizationRemoved = fault.New(fault.Refused, "the organization was removed; restore it first")
)

// ChangingDefaultOrganization decides ChangeDefaultOrganization.
var ChangingDefaultOrganization = decide.Decider[Settings, ChangeDefaultOrganization]{
	Name: "change the default organization",
	Query: func(c ChangeDefaultOrganization) []decide.Facts {
		facts := SettingsFacts(c.Instance)
		if !c.Organization.IsZero() {
			facts = append(facts, decide.Facts{Types: []string{"organization.added", "organization.removed", "organization.restored"},
				Stream: event.Stream{Kind: "organization", ID: c.Organization}})
		}
		return facts
	},
	Evolve: EvolveSettings,
	Allow:  administrator[Settings, ChangeDefaultOrganization],
	Decide: func(s Settings, c ChangeDefaultOrganization) ([]event.New, error) {
		switch {
		case !c.Organization.IsZero() && !s.there:
			return nil, ErrNoOrganization
		case s.removed:
			return nil, ErrOrganizationRemoved
		case s.DefaultOrganization == c.Organization:
			return nil, nil
		}
		return []event.New{{Stream: Stream(c.Instance), Payload: DefaultOrganizationChanged(c)}}, nil
	},
}

// ChangeLinks replaces all links.
type ChangeLinks struct {
	Instance event.ID
	Links    Links
}

// ChangingLinks decides ChangeLinks.
var ChangingLinks = decide.Decider[Settings, ChangeLinks]{
	Name:   "change the links of the sign-in page",
	Query:  func(c ChangeLinks) []decide.Facts { return SettingsFacts(c.Instance) },
	Evolve: EvolveSettings,
	Allow:  administrator[Settings, ChangeLinks],
	Decide: func(s Settings, c ChangeLinks) ([]event.New, error) {
		for _, l := range []struct{ field, link string }{{"privacy_policy_url", c.Links.Privacy}, {"terms_url", c.Links.Terms}, {"support_url", c.Links.Support}} {
			if err := checkLink(l.field, l.link); err != nil {
				return nil, err
			}
		}
		if c.Links == s.Links {
			return nil, nil
		}
		return []event.New{{Stream: Stream(c.Instance), Payload: LinksChanged{c.Instance, c.Links.Privacy, c.Links.Terms, c.Links.Support}}}, nil
	},
}

// checkLink accepts https addresses, and mailto for somebody to write to.
// Anything else, such as javascript, would be run by who clicks on it.
func checkLink(field, link string) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	https := err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
	mail := err == nil && u.Scheme == "mailto" && strings.Contains(u.Opaque, "@")
	if len(link) > 500 || !utf8.ValidString(link) || !https && !mail {
		return fault.Field(field, "must be an https address, or mailto: and an e-mail address, of at most 500 bytes; empty for none")
	}
	return nil
}
