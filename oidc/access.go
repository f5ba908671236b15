package oidc

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"muniment.dev/fault"
)

// VerifyAccessToken reads an access token meant for audience and asks whether
// it is still good, RFC 9068 §4. Kind Unauthenticated if it is not.
func (p *Provider) VerifyAccessToken(ctx context.Context, raw, audience string) (AccessToken, error) {
	t, err := p.readAccess(ctx, raw)
	if err != nil {
		return AccessToken{}, err
	}
	if !slices.Contains(t.Audience, audience) {
		return AccessToken{}, errNotOurs
	}
	return t, p.active(ctx, t)
}

// readAccess reads an access token of ours, a JWT or opaque. Whether it is good
// is not asked yet. Kind Unauthenticated if it is none.
func (p *Provider) readAccess(ctx context.Context, raw string) (AccessToken, error) {
	if !strings.HasPrefix(raw, prefixAccess) {
		return p.readJWT(ctx, raw)
	}
	hash, ok := secretHash(raw, prefixAccess)
	if !ok {
		return AccessToken{}, errNotOurs
	}
	t, err := p.c.Tokens.Opaque(ctx, hash)
	if fault.Is(err, fault.NotFound) {
		return AccessToken{}, errNotOurs
	}
	return t, fault.Wrap("find an opaque token", err)
}

func (p *Provider) readJWT(ctx context.Context, raw string) (AccessToken, error) {
	t, err := p.verify(ctx, raw, typeAccess)
	if err != nil {
		return AccessToken{}, err
	}
	return t.access()
}

func (p *Provider) parseAccess(payload []byte) (AccessToken, error) {
	var c accessClaims
	if json.Unmarshal(payload, &c) != nil || c.Issuer != p.c.Issuer {
		return AccessToken{}, errNotOurs
	}
	t := AccessToken{ID: c.ID, Grant: c.Grant, Session: c.Session, User: c.Subject, Client: c.Client, Audience: c.Audience,
		Scopes: strings.Fields(c.Scope), AMR: c.AMR, ACR: c.ACR,
		Issued: time.Unix(c.Issued, 0), Expires: time.Unix(c.Expires, 0)}
	if c.AuthTime != 0 { // a machine user's has none
		t.AuthTime = time.Unix(c.AuthTime, 0)
	}
	return t, nil
}

// active returns nil if an access token is good now. Kind Unauthenticated if
// it is not.
func (p *Provider) active(ctx context.Context, t AccessToken) error {
	if !p.c.Now().Before(t.Expires) {
		return fault.New(fault.Unauthenticated, "the token has expired")
	}
	err := p.c.Tokens.Active(ctx, t)
	switch fault.KindOf(err) {
	case fault.Refused, fault.NotFound, fault.Denied, fault.Unauthenticated, fault.Erased:
		return &fault.Error{Kind: fault.Unauthenticated, Msg: "the token has been revoked", Err: err}
	}
	return fault.Wrap("ask whether the token is good", err)
}
