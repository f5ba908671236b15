package oidc

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"muniment.dev/event"
)

// GrantClient is the grant type of machine users, RFC 6749 §4.4.
const GrantClient = "client_credentials"

// Machines records what machine users get.
type Machines interface {
	// IssueMachineToken records that the machine user t.User got t, having
	// proved itself by a secret or key. One append, on the condition that user,
	// organization and secret or key are in use.
	IssueMachineToken(ctx context.Context, t AccessToken, proof event.ID) error
}

// clientToken is the grant type client_credentials: a token of the client's
// own. It is always a JWT; there is no session, no ID token and no refresh token
// (RFC 6749 §4.4.3).
func (p *Provider) clientToken(ctx context.Context, c Client, ps params) (tokenResponse, *refusal) {
	var none tokenResponse
	if c.Type != Machine || p.c.Machines == nil { // RFC 6749 §4.4: MUST only be used by confidential clients
		return none, refuse(codeUnauthorizedClient, "only a machine user gets tokens of its own")
	}
	scopes, e := ownScopes(ps.get("scope"), c)
	if e != nil {
		return none, e
	}
	aud, e := p.audience(c, scopes, nil, ps.resources)
	if e != nil {
		return none, e
	}
	now := p.c.Now()
	t := AccessToken{ID: event.NewID(), User: c.User, Client: c.ID, Audience: aud, Scopes: scopes, Issued: now, Expires: now.Add(cmp.Or(c.AccessTokenLife, p.c.AccessTokenLife))}
	u, err := p.c.Users.Claims(ctx, c.User, c, scopes)
	if err != nil {
		return none, refusalOf(err, codeInvalidClient, "the machine user is not there any more")
	}
	m, err := p.mintAccess(ctx, c, t, addressed(u.Roles, aud))
	if err != nil {
		return none, refusalOf(err, codeServerError, "the token could not be signed")
	}
	// Handed over only after it has been made a fact.
	if err := p.c.Machines.IssueMachineToken(ctx, t, c.Proof); err != nil {
		return none, refusalOf(err, codeInvalidClient, "the machine user, or its secret or key, is out of use")
	}
	return m.resp, nil
}

// ownScopes are the scopes that a machine user gets of those that it asks for.
// It need not ask for any: what it may do in a project is for its roles to say.
func ownScopes(s string, c Client) ([]string, *refusal) {
	var out []string
	asked := strings.Fields(s)
	for _, v := range asked {
		if !scopeToken(v) {
			return nil, refuse(codeInvalidScope, "scope holds a character that RFC 6749 section 3.3 does not allow")
		}
		if slices.Contains(c.Scopes, v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 && len(asked) > 0 {
		return nil, refuse(codeInvalidScope, "no scope was asked for that a machine user may have; those of a person, such as openid, are not")
	}
	return out, nil
}

// addressed are the roles in the projects that a token is meant for: no API
// learns what its caller is elsewhere.
func addressed(roles map[string][]string, audience []string) map[string][]string {
	var out map[string][]string
	for project, keys := range roles {
		if slices.Contains(audience, project) {
			if out == nil {
				out = map[string][]string{}
			}
			out[project] = keys
		}
	}
	return out
}
