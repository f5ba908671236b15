package oidc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"muniment.dev/fault"
)

// introspection is RFC 7662 §2.2. Of a token that is not good, or does not
// concern who asks, it says active: false and nothing else.
type introspection struct {
	Active   bool                `json:"active"`
	Scope    string              `json:"scope,omitempty"`
	Client   string              `json:"client_id,omitempty"`
	Username string              `json:"username,omitempty"`
	Type     string              `json:"token_type,omitempty"`
	Expires  int64               `json:"exp,omitempty"`
	Issued   int64               `json:"iat,omitempty"`
	Subject  string              `json:"sub,omitempty"`
	Audience []string            `json:"aud,omitempty"`
	Issuer   string              `json:"iss,omitempty"`
	ID       string              `json:"jti,omitempty"`
	AuthTime int64               `json:"auth_time,omitempty"`
	ACR      string              `json:"acr,omitempty"`
	AMR      []string            `json:"amr,omitempty"`
	Session  string              `json:"sid,omitempty"`
	Roles    map[string][]string `json:"urn:muniment:roles,omitempty"`
}

// serveIntrospect is the introspection endpoint, RFC 7662 §2.
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	c, ps, e := p.tokenRequest(w, r)
	if e == nil && c.Type.Public() {
		// RFC 7662 §2.1: some authorization is required; a public client has none.
		e = refuse(codeInvalidClient, "only a client that proves who it is may ask about tokens")
	}
	var answer introspection
	if e == nil {
		answer, e = p.introspect(r.Context(), c, ps.get("token"))
	}
	if e != nil {
		p.clientError(w, r, "introspect", c.ID, e)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// tokenRequest reads a request about a token, RFC 7662 §2.1 and RFC 7009 §2.1.
// token_type_hint is not needed: tokens tell by themselves what they are.
func (p *Provider) tokenRequest(w http.ResponseWriter, r *http.Request) (Client, params, *refusal) {
	private(w)
	if e := onlyPost(w, r); e != nil {
		return Client{}, params{}, e
	}
	c, ps, e := p.clientRequest(r)
	if e == nil && ps.get("token") == "" {
		e = refuse(codeInvalidRequest, "token is required")
	}
	return c, ps, e
}

func (p *Provider) introspect(ctx context.Context, c Client, raw string) (introspection, *refusal) {
	if strings.HasPrefix(raw, prefixRefresh) {
		return p.introspectRefresh(ctx, c, raw)
	}
	t, err := p.readAccess(ctx, raw)
	if err == nil && !concerns(t, c) {
		err = errNotOurs
	}
	if err == nil {
		err = p.active(ctx, t)
	}
	if err != nil {
		return introspection{}, inactive(err)
	}
	out := introspection{Active: true, Scope: strings.Join(t.Scopes, " "), Client: t.Client, Type: "Bearer", Expires: t.Expires.Unix(), Issued: t.Issued.Unix(),
		Subject: t.User.String(), Audience: t.Audience, Issuer: p.c.Issuer, ID: t.ID.String(), AuthTime: unix(t.AuthTime), ACR: t.ACR, AMR: t.AMR}
	if !t.Session.IsZero() {
		out.Session = t.Session.String()
	}
	u, err := p.c.Users.Claims(ctx, t.User, c, t.Scopes)
	if err != nil {
		return introspection{}, inactive(err)
	}
	out.Roles = u.Roles // as of now, of the project of who asks
	if slices.Contains(t.Scopes, ScopeProfile) {
		out.Username = u.Username
	}
	return out, nil
}

// concerns reports whether a client may know of a token: it was issued to it,
// or is meant for its project.
func concerns(t AccessToken, c Client) bool {
	return t.Client == c.ID || c.Project != "" && slices.Contains(t.Audience, c.Project)
}

// introspectRefresh answers about a refresh token, which concerns nobody but
// whom it was issued to. Asking does not use it.
func (p *Provider) introspectRefresh(ctx context.Context, c Client, raw string) (introspection, *refusal) {
	hash, ok := secretHash(raw, prefixRefresh)
	if !ok {
		return introspection{}, nil
	}
	g, err := p.c.Refresh.RefreshToken(ctx, hash)
	if err != nil {
		return introspection{}, inactive(err)
	}
	now := p.c.Now()
	if g.Client != c.ID || g.Ended || g.Number != g.Last || !now.Before(g.Expires) || !now.Before(p.grantExpires(c, g.CodeGrant)) {
		return introspection{}, nil
	}
	return introspection{Active: true, Scope: strings.Join(g.Scopes, " "), Client: c.ID, Expires: g.Expires.Unix(), Subject: g.User.String(), Issuer: p.c.Issuer,
		AuthTime: unix(g.AuthTime), ACR: g.ACR, AMR: g.AMR}, nil
}

// inactive is nil for errors that say that a token is not good: that is an
// answer, RFC 7662 §2.2.
func inactive(err error) *refusal {
	if err == nil {
		return nil
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.NotFound, fault.Refused, fault.Denied, fault.Erased:
		return nil
	}
	return refusalOf(err, codeInvalidToken, "the token could not be looked up")
}

// unix is a time in seconds; 0 if it was never set.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
