package orgapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/view"
)

// AddDomain claims a domain for an organization.
func (s *Service) AddDomain(ctx context.Context, req *munimentv1.AddDomainRequest) (*munimentv1.AddDomainResponse, error) {
	id, err := adapter.ID(idField, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	token := make([]byte, 16)
	rand.Read(token)
	c := org.AddDomain{Organization: id, Domain: strings.ToLower(req.GetDomain()), Token: hex.EncodeToString(token)}
	res, err := adapter.Run(ctx, s.core, org.AddingDomain, req, c)
	if err != nil {
		return nil, err
	}
	d, err := s.claimed(ctx, id, c.Domain)
	return &munimentv1.AddDomainResponse{Change: adapter.Change(res), Domain: d}, err
}

// claimed is a domain as the log has it: when a request is repeated, with the
// token that it got first.
func (s *Service) claimed(ctx context.Context, id event.ID, name string) (*munimentv1.Domain, error) {
	st, err := s.domains(ctx, id, name)
	if err != nil {
		return nil, err
	}
	d, ok := st.Of(id, name)
	if !ok {
		return nil, nil
	}
	return domain(id, d, st.Primary), nil
}

func (s *Service) domains(ctx context.Context, id event.ID, name string) (org.Domains, error) {
	return decide.Read(ctx, s.core.Runner, "domain of an organization", org.DomainFacts(id, name), org.Domains{}, org.EvolveDomains)
}

func domain(id event.ID, d org.Domain, primary string) *munimentv1.Domain {
	name, text := d.Challenge()
	return &munimentv1.Domain{OrganizationId: id.String(), Name: d.Name, Verified: d.Verified, Primary: primary == d.Name, ChallengeName: name, ChallengeText: text}
}

// lookup is how long the DNS is waited for.
const lookup = 5 * time.Second

// VerifyDomain makes a domain the organization's whose token stands in the DNS.
func (s *Service) VerifyDomain(ctx context.Context, req *munimentv1.VerifyDomainRequest) (*munimentv1.VerifyDomainResponse, error) {
	id, err := adapter.ID(idField, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	c := org.VerifyDomain{Organization: id, Domain: strings.ToLower(req.GetDomain()), Vouched: req.GetVouch()}
	if !c.Vouched {
		if c.Published, err = s.published(ctx, c); err != nil {
			return nil, err
		}
	}
	res, err := adapter.Run(ctx, s.core, org.VerifyingDomain, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.VerifyDomainResponse{Change: adapter.Change(res)}, nil
}

// published are the TXT records that stand where a claimed domain's token has
// to. For callers who may not ask, and domains that are not claimed, nothing is
// looked up: the decider refuses them.
func (s *Service) published(ctx context.Context, c org.VerifyDomain) ([]string, error) {
	st, err := s.domains(ctx, c.Organization, c.Domain)
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, nil)
	if err != nil {
		return nil, err
	}
	d, ok := st.Of(c.Organization, c.Domain)
	if !ok || !r.Who.May(authz.ManageInstance, authz.Of(c.Organization)) {
		return nil, nil
	}
	name, _ := d.Challenge()
	ctx, cancel := context.WithTimeout(ctx, lookup)
	defer cancel()
	txt, err := s.resolver.LookupTXT(ctx, name+".") // absolute: no search domain of this machine
	var none *net.DNSError
	switch {
	case errors.As(err, &none) && none.IsNotFound:
		return nil, nil
	case err != nil:
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the DNS did not answer; nothing was changed, try again in a moment", Err: err}
	}
	return txt, nil
}

// RemoveDomain gives a domain up.
func (s *Service) RemoveDomain(ctx context.Context, req *munimentv1.RemoveDomainRequest) (*munimentv1.RemoveDomainResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.RemovingDomain, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.RemoveDomain {
			return org.RemoveDomain{Organization: id, Domain: strings.ToLower(req.GetDomain())}
		})
	return &munimentv1.RemoveDomainResponse{Change: ch}, err
}

// SetPrimaryDomain says by which domain the organization goes.
func (s *Service) SetPrimaryDomain(ctx context.Context, req *munimentv1.SetPrimaryDomainRequest) (*munimentv1.SetPrimaryDomainResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.SettingPrimaryDomain, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.SetPrimaryDomain {
			return org.SetPrimaryDomain{Organization: id, Domain: strings.ToLower(req.GetDomain())}
		})
	return &munimentv1.SetPrimaryDomainResponse{Change: ch}, err
}

// ListDomains answers the domains of an organization.
func (s *Service) ListDomains(ctx context.Context, req *munimentv1.ListDomainsRequest) (*munimentv1.ListDomainsResponse, error) {
	id, err := adapter.ID(idField, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	home, ok, err := r.Get(ctx, org.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(id, event.ID{}) {
		return nil, org.ErrNotFound
	}
	rows, next, err := r.Page(ctx, view.Query{Table: org.DomainTable, Where: []view.Cond{view.Eq("organization", id)}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListDomainsResponse{NextPageToken: next}
	for _, row := range rows {
		out.Domains = append(out.Domains, domain(id, org.Domain{Name: row.Text("domain"), Token: row.Text("token"), Verified: row.Bool("verified")}, primary(home)))
	}
	return out, nil
}
