package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"muniment.dev/event"
)

// codeRequest is a request to exchange a code, RFC 6749 §4.1.3 and RFC 7636
// §4.5.
type codeRequest struct {
	code, redirect, verifier string
	resources                []string
}

func parseCodeRequest(ps params, c Client) (codeRequest, *refusal) {
	q := codeRequest{code: ps.get("code"), redirect: ps.get("redirect_uri"), verifier: ps.get("code_verifier"), resources: ps.resources}
	switch {
	case len(c.RedirectURIs) == 0:
		return q, refuse(codeUnauthorizedClient, "this client has no redirect_uri and cannot use authorization_code")
	case q.code == "":
		return q, refuse(codeInvalidRequest, "code is required")
	case q.redirect == "":
		return q, refuse(codeInvalidRequest, "redirect_uri is required, as it was in the authorization request")
	case !isVerifier(q.verifier):
		return q, refuse(codeInvalidRequest, "code_verifier is required, 43 to 128 characters of RFC 7636 section 4.1")
	}
	return q, nil
}

// isVerifier is RFC 7636 §4.1: 43*128unreserved.
func isVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return true
}

// redeemCode is the grant type authorization_code.
func (p *Provider) redeemCode(ctx context.Context, c Client, ps params) (tokenResponse, *refusal) {
	q, e := parseCodeRequest(ps, c)
	if e != nil {
		return tokenResponse{}, e
	}
	return p.exchange(ctx, c, q)
}

// exchange turns a code into tokens, once. The tokens are made first and
// handed over only after Redeem has made the exchange a fact.
func (p *Provider) exchange(ctx context.Context, c Client, q codeRequest) (tokenResponse, *refusal) {
	var none tokenResponse
	g, e := p.presented(ctx, c, q, p.c.Now())
	if e != nil {
		return none, e
	}
	aud, e := p.audience(c, g.Scopes, g.Resources, q.resources)
	if e != nil {
		return none, e
	}
	u, err := p.c.Users.Claims(ctx, g.User, c, g.Scopes)
	if err != nil {
		return none, refusalOf(err, codeInvalidGrant, "the person is not there any more")
	}
	m, err := p.mint(ctx, c, g, p.newAccess(c, g, g.Scopes, aud), u)
	if err != nil {
		return none, refusalOf(err, codeServerError, "the tokens could not be signed")
	}
	if err := p.c.Grants.Redeem(ctx, Redemption{CodeHash: g.CodeHash, Access: m.access, Opaque: m.opaque, Refresh: m.refresh}); err != nil {
		if errors.Is(err, ErrCodeSpent) {
			return none, p.misused(ctx, g, EndReplay)
		}
		return none, refusalOf(err, codeInvalidGrant, badCode)
	}
	return m.resp, nil
}

// badCode is said of every code that is no good: which reason it is does not
// concern whoever may have stolen it.
const badCode = "the code is unknown, expired, spent, or was issued for another client, redirect_uri or code_verifier"

// presented finds the grant and checks that this client may have it with what
// it presents. All it compares was fixed when the code was issued, so it need
// not be part of Redeem's condition.
func (p *Provider) presented(ctx context.Context, c Client, q codeRequest, now time.Time) (CodeGrant, *refusal) {
	no := refuse(codeInvalidGrant, badCode)
	if b, err := base64.RawURLEncoding.Strict().DecodeString(q.code); err != nil || len(b) != 32 {
		return CodeGrant{}, no
	}
	g, spent, err := p.c.Grants.Code(ctx, sha256.Sum256([]byte(q.code)))
	switch {
	case err != nil:
		return g, refusalOf(err, codeInvalidGrant, badCode)
	case g.Client != c.ID:
		return g, no // and no more: nobody may end another client's sign-in
	case spent:
		return g, p.misused(ctx, g, EndReplay)
	case g.RedirectURI != q.redirect:
		return g, p.misused(ctx, g, EndRedirect)
	case !verified(q.verifier, g.Challenge):
		return g, p.misused(ctx, g, EndVerifier)
	case !now.Before(g.Expires):
		return g, no
	}
	return g, nil
}

// verified is RFC 7636 §4.6 for S256.
func verified(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

// misused ends the grant, RFC 6749 §4.1.2: a code that is used twice, or
// without what belongs to it, has been in the wrong hands. It does so even if
// the client has hung up.
func (p *Provider) misused(ctx context.Context, g CodeGrant, why EndReason) *refusal {
	p.endGrant(ctx, g.Grant, why)
	return refuse(codeInvalidGrant, badCode)
}

// endGrant ends a grant whose code or refresh token was misused.
func (p *Provider) endGrant(ctx context.Context, grant event.ID, why EndReason) {
	if err := p.c.Grants.End(context.WithoutCancel(ctx), grant, why, ""); err != nil {
		p.c.Log.ErrorContext(ctx, "a grant whose code or refresh token was misused could not be ended; its tokens stay good until they expire",
			slog.String("grant", grant.String()), slog.String("reason", string(why)), slog.Any("error", err))
	}
}
