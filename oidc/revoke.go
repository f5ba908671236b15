package oidc

import (
	"context"
	"net/http"
	"strings"

	"muniment.dev/fault"
)

// serveRevoke is the revocation endpoint, RFC 7009 §2. A refresh token takes
// the whole grant with it, an access token only itself (§2.1).
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	c, ps, e := p.tokenRequest(w, r)
	if e == nil {
		e = p.revoke(r.Context(), c, ps.get("token"))
	}
	if e != nil {
		p.clientError(w, r, "revoke", c.ID, e)
		return
	}
	w.WriteHeader(http.StatusOK) // RFC 7009 §2.2: also if there was nothing to revoke
}

func (p *Provider) revoke(ctx context.Context, c Client, raw string) *refusal {
	if strings.HasPrefix(raw, prefixRefresh) {
		return p.revokeRefresh(ctx, c, raw)
	}
	t, err := p.readAccess(ctx, raw)
	if err != nil {
		return inactive(err)
	}
	if t.Client != c.ID {
		return othersToken()
	}
	if !p.c.Now().Before(t.Expires) {
		return nil
	}
	return revoked(p.c.Tokens.Revoke(ctx, t))
}

// revokeRefresh ends the grant of a refresh token. A spent one counts, too: who
// shows it had it.
func (p *Provider) revokeRefresh(ctx context.Context, c Client, raw string) *refusal {
	hash, ok := secretHash(raw, prefixRefresh)
	if !ok {
		return nil
	}
	g, err := p.c.Refresh.RefreshToken(ctx, hash)
	switch {
	case err != nil:
		return inactive(err)
	case g.Client != c.ID:
		return othersToken()
	case g.Ended:
		return nil
	}
	return revoked(p.c.Grants.End(ctx, g.Grant, EndRevoked, c.ID))
}

// othersToken is RFC 7009 §2.1: refused if it was not issued to this client.
func othersToken() *refusal {
	return refuse(codeInvalidGrant, "the token was issued to another client")
}

// revoked is what to answer after an attempt to revoke. What is gone is
// revoked; whatever cannot be told to be is not (RFC 7009 §2.2.1).
func revoked(err error) *refusal {
	if fault.KindOf(err) == fault.Unknown {
		return &refusal{code: codeUnavailable, desc: "the outcome is not known, revoke the token again", cause: err}
	}
	return inactive(err)
}
