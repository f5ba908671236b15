package oidc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// badRefresh is said of every refresh token that is no good, whatever the
// reason.
const badRefresh = "the refresh token is unknown, expired, spent, revoked, or was issued to another client"

// refresh is the grant type refresh_token, RFC 6749 §6. Refresh tokens are
// rotated at every use (RFC 9700 §4.14.2). Tokens are made first and handed over
// only after Refresh has made the exchange a fact.
func (p *Provider) refresh(ctx context.Context, c Client, ps params) (tokenResponse, *refusal) {
	var none tokenResponse
	raw := ps.get("refresh_token")
	if raw == "" {
		return none, refuse(codeInvalidRequest, "refresh_token is required")
	}
	g, hash, e := p.refreshable(ctx, c, raw)
	if e != nil {
		return none, e
	}
	scopes, e := narrowed(ps.get("scope"), g.Scopes, c)
	if e != nil {
		return none, e
	}
	aud, e := p.audience(c, scopes, g.Resources, ps.resources)
	if e != nil {
		return none, e
	}
	u, err := p.c.Users.Claims(ctx, g.User, c, scopes)
	if err != nil {
		return none, refusalOf(err, codeInvalidGrant, "the person is not there any more")
	}
	g.Nonce = "" // OpenID Connect Core §12.2: SHOULD NOT have a nonce
	m, err := p.mint(ctx, c, g.CodeGrant, p.newAccess(c, g.CodeGrant, scopes, aud), u)
	if err != nil {
		return none, refusalOf(err, codeServerError, "the tokens could not be signed")
	}
	return p.rotate(ctx, g, m, hash)
}

// refreshable finds the grant of a refresh token, which must be this client's
// (RFC 6749 §6: bound to the client to which it was issued).
func (p *Provider) refreshable(ctx context.Context, c Client, raw string) (RefreshGrant, [32]byte, *refusal) {
	no := refuse(codeInvalidGrant, badRefresh)
	hash, ok := secretHash(raw, prefixRefresh)
	if !ok {
		return RefreshGrant{}, hash, no
	}
	g, err := p.c.Refresh.RefreshToken(ctx, hash)
	switch {
	case err != nil:
		return g, hash, refusalOf(err, codeInvalidGrant, badRefresh)
	case g.Client != c.ID: // nobody may end what another client holds
		return g, hash, no
	case g.Ended:
		return g, hash, no
	case g.Number != g.Last && !p.unclaimed.has(hash):
		return g, hash, p.reused(ctx, g)
	case g.Number == g.Last && !p.c.Now().Before(g.Expires), !p.c.Now().Before(p.grantExpires(c, g.CodeGrant)):
		return g, hash, no
	}
	return g, hash, nil
}

// rotate makes the exchange a fact, and ends the grant if the refresh token was
// used before.
func (p *Provider) rotate(ctx context.Context, g RefreshGrant, m minted, hash [32]byte) (tokenResponse, *refusal) {
	rf := Refreshing{Hash: hash, Number: g.Number, Unclaimed: p.unclaimed.take(hash), Access: m.access, Opaque: m.opaque, Next: *m.refresh}
	err := p.c.Refresh.Refresh(ctx, rf)
	switch {
	case err == nil:
		return m.resp, nil
	case errors.Is(err, ErrRefreshSpent):
		return tokenResponse{}, p.reused(ctx, g)
	case fault.Is(err, fault.Unknown):
		p.unclaimed.put(hash, append(rf.Unclaimed, m.access.ID))
		return tokenResponse{}, &refusal{code: codeUnavailable, desc: "the outcome is not known, send the same refresh token again", cause: err}
	}
	p.unclaimed.put(hash, rf.Unclaimed)
	return tokenResponse{}, refusalOf(err, codeInvalidGrant, badRefresh)
}

// reused ends the grant: of two who use the same refresh token one has no
// right to it, and nobody can tell which (RFC 9700 §4.14.2).
func (p *Provider) reused(ctx context.Context, g RefreshGrant) *refusal {
	p.endGrant(ctx, g.Grant, EndReuse)
	return refuse(codeInvalidGrant, badRefresh)
}

// narrowed are the scopes of a refreshed access token: those asked for, or all,
// of those granted (RFC 6749 §6) that the client may still have.
func narrowed(asked string, granted []string, c Client) ([]string, *refusal) {
	out := slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !c.mayAsk(s) })
	if asked == "" {
		return out, nil
	}
	wanted := strings.Fields(asked)
	for _, s := range wanted {
		if !slices.Contains(granted, s) {
			return nil, refuse(codeInvalidScope, "scope holds more than was granted")
		}
	}
	if out = slices.DeleteFunc(out, func(s string) bool { return !slices.Contains(wanted, s) }); len(out) == 0 {
		return nil, refuse(codeInvalidScope, "nothing is left of scope that this client may have")
	}
	return out, nil
}

// grantExpires is when the refresh tokens of a grant are good no more, however
// often they are used.
func (p *Provider) grantExpires(c Client, g CodeGrant) time.Time {
	return g.Issued.Add(cmp.Or(c.RefreshLife, p.c.RefreshLife))
}

// refreshExpires is when a refresh token that is issued now expires unless it
// is used.
func (p *Provider) refreshExpires(c Client, g CodeGrant, now time.Time) time.Time {
	idle, end := now.Add(cmp.Or(c.RefreshIdleLife, p.c.RefreshIdleLife)), p.grantExpires(c, g)
	if end.Before(idle) {
		return end
	}
	return idle
}

// unclaimed remembers exchanges of refresh tokens of which it is not known
// whether they happened. Nothing of them was handed out, so whoever tries again
// has not been overtaken by a thief. It is in memory: after a restart such an
// attempt counts as reuse.
type unclaimed struct {
	mu sync.Mutex
	m  map[[32]byte][]event.ID // by hash of the refresh token: ids of access tokens
}

// maxUnclaimed bounds what is remembered; outcomes are not known rarely.
const maxUnclaimed = 4096

func (u *unclaimed) has(hash [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.m[hash]) > 0
}

// take returns what is remembered, and forgets it: of several who try again at
// once, one does so rightfully.
func (u *unclaimed) take(hash [32]byte) []event.ID {
	u.mu.Lock()
	defer u.mu.Unlock()
	ids := u.m[hash]
	delete(u.m, hash)
	return ids
}

func (u *unclaimed) put(hash [32]byte, ids []event.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(ids) == 0 || len(u.m) >= maxUnclaimed {
		return
	}
	if u.m == nil {
		u.m = map[[32]byte][]event.ID{}
	}
	u.m[hash] = append(u.m[hash], ids...)
}
