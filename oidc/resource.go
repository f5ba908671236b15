package oidc

import (
	"slices"
	"strings"
)

// resourceProject is what the resource indicator of a project begins with; its
// id follows. The audience that it stands for is the id alone (RFC 8707 §2).
const resourceProject = "urn:muniment:project:"

// maxResources bounds how many resources a request names.
const maxResources = 8

// addressable are the audiences that a client's tokens may have: userinfo, its
// project and those that it was given, and with the scope for it our API.
func (p *Provider) addressable(c Client, scopes []string) []string {
	out := []string{p.c.Issuer}
	if c.Project != "" {
		out = append(out, c.Project)
	}
	out = append(out, c.Resources...)
	if slices.Contains(scopes, ScopeAPI) {
		out = append(out, p.APIAudience())
	}
	return out
}

// audience is the audience of an access token: what is asked for, within what
// was granted, within what the client may address; all of it if nothing is
// asked for (RFC 8707 §2.2).
func (p *Provider) audience(c Client, scopes, granted, asked []string) ([]string, *refusal) {
	may := p.addressable(c, scopes)
	if len(granted) > 0 {
		may = slices.DeleteFunc(may, func(a string) bool { return !slices.Contains(granted, a) })
	}
	if len(asked) == 0 && len(may) > 0 {
		return may, nil
	}
	return targets(asked, may)
}

// requested are the audiences that an authorization request asks for; none if
// it does not say.
func (p *Provider) requested(c Client, scopes, asked []string) ([]string, *refusal) {
	if len(asked) == 0 {
		return nil, nil
	}
	return targets(asked, p.addressable(c, scopes))
}

// targets are the audiences that resource indicators stand for; what is not in
// may is refused.
func targets(asked, may []string) ([]string, *refusal) {
	if len(asked) > maxResources {
		return nil, refuse(codeInvalidTarget, "at most 8 resources can be named")
	}
	var out []string
	for _, r := range asked {
		a, project := strings.CutPrefix(r, resourceProject)
		if !slices.Contains(may, a) || project == isHTTP(a) {
			return nil, refuse(codeInvalidTarget, "resource names something that this client may not address, or that was not granted")
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, refuse(codeInvalidTarget, "nothing is left that this client may address")
	}
	return out, nil
}
