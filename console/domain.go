package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// addDomain claims a domain for an organization.
func (v *visit) addDomain() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	back := path("console", "organizations", id)
	if _, err := v.c.API.Organization.AddDomain(v.ctx, &munimentv1.AddDomainRequest{OrganizationId: id, Domain: v.form("domain"), CommandId: v.command()}); err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The domain is claimed. Publish the TXT record that is shown with it, then verify it.")
}

// actDomain does something with a domain.
func (v *visit) actDomain() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	api, back, name, cmd := v.c.API.Organization, path("console", "organizations", id), v.form("domain"), v.command()
	said := ""
	switch v.r.PathValue("a") {
	case "verify":
		said = "The domain is verified."
		_, err = api.VerifyDomain(v.ctx, &munimentv1.VerifyDomainRequest{OrganizationId: id, Domain: name, Vouch: v.form("vouch") != "", CommandId: cmd})
	case "primary":
		said = "The organization goes by this domain."
		_, err = api.SetPrimaryDomain(v.ctx, &munimentv1.SetPrimaryDomainRequest{OrganizationId: id, Domain: name, CommandId: cmd})
	case "remove":
		said = "The domain is given up."
		_, err = api.RemoveDomain(v.ctx, &munimentv1.RemoveDomainRequest{OrganizationId: id, Domain: name, CommandId: cmd})
	default:
		return v.nothing()
	}
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, said)
}
