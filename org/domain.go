package org

import (
	"crypto/subtle"
	"maps"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// DomainAdded says that an organization claims a domain. It does not say that
// the domain is its own: that is verified.
type DomainAdded struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Domain       string   `event:"domain,public,tag=domain"`
	Token        string   `event:"token,public"` // to be published in the domain's DNS; no secret
}

// DomainVerified says that the domain is the organization's: its token stood in
// the DNS, or somebody who manages the instance gave their word.
type DomainVerified struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Domain       string   `event:"domain,public,tag=domain"`
	Method       string   `event:"method,public"` // "dns" or "word"
}

// DomainRemoved says that the organization claims the domain no more.
type DomainRemoved struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Domain       string   `event:"domain,public,tag=domain"`
}

// PrimaryDomainChanged says by which of its domains the organization goes.
type PrimaryDomainChanged struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Domain       string   `event:"domain,public,tag=domain"`
}

// Domain is what is known of one domain of an organization.
type Domain struct {
	Name, Token string
	Verified    bool
}

// Domains is what commands about an organization's domains need to know.
type Domains struct {
	org     State
	Primary string
	own     map[event.ID]map[string]Domain // by organization: those of others, too, where a command asks for them
}

// Refusals.
var (
	ErrNoDomain     = fault.New(fault.NotFound, "the organization has no such domain")
	ErrDomainTaken  = fault.New(fault.Exists, "this domain is verified as another organization's")
	ErrHasDomain    = fault.New(fault.Exists, "the organization has this domain already")
	ErrDomain       = fault.Field("domain", "must be a domain name such as example.org, in lower case; write other letters as in the DNS (xn--…)")
	ErrNotPublished = fault.New(fault.Refused, "the token was not found in the DNS; publish the TXT record, wait until it can be seen, and try again")
	ErrVerified     = fault.New(fault.Refused, "the domain is verified already")
	ErrNotVerified  = fault.New(fault.Refused, "the domain is not verified; verify it first")
	ErrManyDomains  = fault.New(fault.Refused, "an organization has at most 1000 domains; remove one first")
)

const maxDomains = 1000

// Challenge is the name at which the DNS has to hold a domain's token, and the
// text of the record.
func (d Domain) Challenge() (name, text string) {
	return "_muniment-challenge." + d.Name, "muniment-domain-verification=" + d.Token
}

// EvolveDomains folds one fact.
func EvolveDomains(s Domains, f event.Fact) Domains {
	switch p := f.Payload.(type) {
	case DomainAdded:
		return s.with(p.Organization, Domain{Name: p.Domain, Token: p.Token})
	case DomainVerified:
		d := s.own[p.Organization][p.Domain]
		d.Name, d.Verified = p.Domain, true
		return s.with(p.Organization, d)
	case DomainRemoved:
		s = s.with(p.Organization, Domain{Name: p.Domain})
		delete(s.own[p.Organization], p.Domain)
		if s.Primary == p.Domain {
			s.Primary = ""
		}
		return s
	case PrimaryDomainChanged:
		s.Primary = p.Domain
		return s
	}
	s.org = Evolve(s.org, f)
	return s
}

// with returns a copy in which an organization has a domain.
func (s Domains) with(organization event.ID, d Domain) Domains {
	s.own = maps.Clone(s.own)
	if s.own == nil {
		s.own = map[event.ID]map[string]Domain{}
	}
	of := maps.Clone(s.own[organization])
	if of == nil {
		of = map[string]Domain{}
	}
	of[d.Name] = d
	s.own[organization] = of
	return s
}

// Of returns a domain of an organization.
func (s Domains) Of(organization event.ID, name string) (Domain, bool) {
	d, ok := s.own[organization][name]
	return d, ok
}

// takenFrom reports whether a domain is verified as another organization's.
func (s Domains) takenFrom(organization event.ID, name string) bool {
	for other, domains := range s.own {
		if other != organization && domains[name].Verified {
			return true
		}
	}
	return false
}

// DomainFacts are the facts of an organization with its domains, and of who has
// one domain.
func DomainFacts(organization event.ID, domain string) []decide.Facts {
	return append(own(organization), decide.Facts{Types: []string{"organization.domain.added", "organization.domain.verified", "organization.domain.removed"},
		Tags: []event.Tag{event.NewTag("domain", domain)}})
}

// CheckDomain refuses what is no domain name of two labels or more (RFC 1035
// §2.3.1, RFC 1123 §2.1), or not in lower case.
func CheckDomain(name string) error {
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return ErrDomain
	}
	for _, l := range labels {
		bad := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, bad) {
			return ErrDomain
		}
	}
	if last := labels[len(labels)-1]; !strings.ContainsFunc(last, func(r rune) bool { return r >= 'a' }) { // an address
		return ErrDomain
	}
	return nil
}

// domainCommand makes the decider of a command about a domain.
func domainCommand[C any](name string, of func(C) (event.ID, string), next func(Domains, C) (any, error)) decide.Decider[Domains, C] {
	return decide.Decider[Domains, C]{
		Name:   name,
		Query:  func(c C) []decide.Facts { return DomainFacts(of(c)) },
		Evolve: EvolveDomains,
		Allow: func(a authz.Authority, _ Domains, c C) error {
			o, _ := of(c)
			return a.Need(authz.ManageInstance, authz.Of(o))
		},
		Decide: func(s Domains, c C) ([]event.New, error) {
			if err := s.org.Usable(); err != nil {
				return nil, err
			}
			e, err := next(s, c)
			if e == nil || err != nil {
				return nil, err
			}
			o, _ := of(c)
			return one(o, e), nil
		},
	}
}

// AddDomain claims a domain for an organization.
type AddDomain struct {
	Organization event.ID
	Domain       string
	Token        string // fresh
}

// AddingDomain decides AddDomain.
var AddingDomain = domainCommand("add a domain", func(c AddDomain) (event.ID, string) { return c.Organization, c.Domain }, func(s Domains, c AddDomain) (any, error) {
	if err := CheckDomain(c.Domain); err != nil {
		return nil, err
	}
	switch _, has := s.Of(c.Organization, c.Domain); {
	case has:
		return nil, ErrHasDomain
	case s.takenFrom(c.Organization, c.Domain):
		return nil, ErrDomainTaken
	case len(s.own[c.Organization]) >= maxDomains:
		return nil, ErrManyDomains
	}
	return DomainAdded(c), nil
})

// VerifyDomain makes a claimed domain the organization's.
type VerifyDomain struct {
	Organization event.ID
	Domain       string
	Published    []string // TXT records that stand at the challenge's name
	Vouched      bool     // somebody who manages the instance gives their word
}

// VerifyingDomain decides VerifyDomain: of several organizations that claim a
// domain, one has it.
var VerifyingDomain = vouchable(domainCommand("verify a domain", func(c VerifyDomain) (event.ID, string) { return c.Organization, c.Domain }, func(s Domains, c VerifyDomain) (any, error) {
	d, has := s.Of(c.Organization, c.Domain)
	_, want := d.Challenge()
	switch {
	case !has:
		return nil, ErrNoDomain
	case d.Verified:
		return nil, ErrVerified
	case s.takenFrom(c.Organization, c.Domain):
		return nil, ErrDomainTaken
	case c.Vouched:
		return DomainVerified{c.Organization, c.Domain, "word"}, nil
	case !slices.ContainsFunc(c.Published, func(txt string) bool { return subtle.ConstantTimeCompare([]byte(txt), []byte(want)) == 1 }):
		return nil, ErrNotPublished
	}
	return DomainVerified{c.Organization, c.Domain, "dns"}, nil
}))

// vouchable lets only those give their word who manage the instance.
func vouchable(d decide.Decider[Domains, VerifyDomain]) decide.Decider[Domains, VerifyDomain] {
	allow := d.Allow
	d.Allow = func(a authz.Authority, s Domains, c VerifyDomain) error {
		if c.Vouched {
			return a.Need(authz.ManageInstance, authz.Instance)
		}
		return allow(a, s, c)
	}
	return d
}

// RemoveDomain gives up a domain.
type RemoveDomain struct {
	Organization event.ID
	Domain       string
}

// RemovingDomain decides RemoveDomain.
var RemovingDomain = domainCommand("remove a domain", func(c RemoveDomain) (event.ID, string) { return c.Organization, c.Domain }, func(s Domains, c RemoveDomain) (any, error) {
	if _, has := s.Of(c.Organization, c.Domain); !has {
		return nil, ErrNoDomain
	}
	return DomainRemoved(c), nil
})

// SetPrimaryDomain says by which domain an organization goes.
type SetPrimaryDomain struct {
	Organization event.ID
	Domain       string
}

// SettingPrimaryDomain decides SetPrimaryDomain.
var SettingPrimaryDomain = domainCommand("set a primary domain", func(c SetPrimaryDomain) (event.ID, string) { return c.Organization, c.Domain }, func(s Domains, c SetPrimaryDomain) (any, error) {
	switch d, has := s.Of(c.Organization, c.Domain); {
	case !has:
		return nil, ErrNoDomain
	case !d.Verified:
		return nil, ErrNotVerified
	case s.Primary == c.Domain:
		return nil, nil
	}
	return PrimaryDomainChanged(c), nil
})
