package server

import (
	"context"
	"time"

	"muniment.dev/app"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/oidc"
)

// proofs tells the provider by what a client proves itself, with one method:
// the secrets of one that signs assertions are not accepted.
func (p *provider) proofs(c *oidc.Client, method string, set credential.Set) error {
	now := instant(p.core.Log.Now())
	switch method {
	case app.ClientSecret:
		for _, s := range set.LiveSecrets(now) {
			if d, ok := s.Digest.Get(); ok && len(d) == 32 {
				c.Secrets = append(c.Secrets, [32]byte(d))
			}
		}
	case app.PrivateKeyJWT:
		for _, k := range set.LiveKeys(now) {
			public, err := k.Public()
			if err != nil {
				return err
			}
			c.Keys = append(c.Keys, oidc.ClientKey{ID: k.ID, KeyID: k.KeyID, Algorithm: k.Algorithm, Key: public})
		}
	}
	return nil
}

// UseAssertion implements oidc.Assertions.
func (p *provider) UseAssertion(ctx context.Context, c oidc.Client, k oidc.ClientKey, jti string, expires time.Time) error {
	a, err := p.app(ctx, c.ID)
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, credential.UsingAssertion, decide.Envelope{Actor: event.Actor{Kind: "application", ID: a.Application}},
		credential.UseAssertion{Assertion: credential.Assertion(c.ID, jti), AssertionUsed: credential.AssertionUsed{
			Application: a.Application, Organization: a.Organization, Key: k.ID, Expires: instant(expires)}})
	return err
}
