package server

import (
	"context"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/oidc"
	"muniment.dev/policy"
	"muniment.dev/session"
	"muniment.dev/session/signin"
)

// cliTokenLife is how long a sign-in of the command line lasts. The API asks for
// every call whether the session goes on, so that ending it ends the token.
const cliTokenLife = time.Hour

// maxTokenLife bounds what signed tokens live: the keys that signed them must
// be there as long.
const maxTokenLife = 24 * time.Hour

// lifetimes sets how long what a client gets is good: as the policy of the
// application's organization says, but for the access tokens of the command
// line, which are only ever checked here.
func (p *provider) lifetimes(ctx context.Context, organization event.ID, c *oidc.Client) error {
	st, err := decide.Read(ctx, p.core.Runner, "token policy", policy.Facts(organization, policy.OfTokens), policy.State{}, policy.Evolve)
	if err != nil {
		return err
	}
	t, _ := st.Token()
	seconds := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	c.AccessTokenLife, c.IDTokenLife = seconds(t.Access), seconds(t.ID)
	c.RefreshIdleLife, c.RefreshLife = seconds(t.RefreshIdle), seconds(t.RefreshLifetime)
	if c.ID == CLIClient {
		c.AccessTokenLife = cliTokenLife
	}
	c.AccessTokenLife, c.IDTokenLife = min(c.AccessTokenLife, maxTokenLife), min(c.IDTokenLife, maxTokenLife)
	return nil
}

// access is an access token as the session slice records it.
func access(t oidc.AccessToken, opaque *[32]byte) session.Access {
	return session.Access{Token: t.ID, Digest: opaque, Scopes: t.Scopes, Audience: t.Audience, Expires: instant(t.Expires)}
}

func refreshing(n *oidc.NewRefresh) *session.Refreshing {
	if n == nil {
		return nil
	}
	return &session.Refreshing{Digest: n.Hash, Expires: instant(n.Expires)}
}

// Consented implements oidc.Consents.
func (p *provider) Consented(ctx context.Context, u event.ID, c oidc.Client) ([]string, error) {
	id, err := p.appID(c.ID)
	if err != nil {
		return nil, err
	}
	given, err := decide.Read(ctx, p.core.Runner, "consent", []decide.Facts{session.ConsentFacts(u, id)}, session.Consent{}, session.EvolveConsent)
	return given.Scopes, err
}

// alone is what is known of an authorization by its own records.
func (p *provider) alone(ctx context.Context, id event.ID) (session.Authorization, error) {
	own := []decide.Facts{{Stream: session.AuthorizationStream(id)}}
	return decide.Read(ctx, p.core.Runner, "authorization alone", own, session.Authorization{}, session.EvolveAuthorization)
}

// issuedAt finds when an authorization was given.
func (p *provider) issued(ctx context.Context, id event.ID) (session.CodeIssued, time.Time, error) {
	type found struct {
		issued session.CodeIssued
		at     time.Time
	}
	first := []decide.Facts{{Types: []string{"authorization.code.issued"}, Stream: session.AuthorizationStream(id)}}
	f, err := decide.Read(ctx, p.core.Runner, "code of an authorization", first, found{}, func(_ found, f event.Fact) found {
		issued, _ := f.Payload.(session.CodeIssued)
		return found{issued, f.Time}
	})
	if err == nil && f.issued.Authorization.IsZero() {
		err = session.ErrNoToken
	}
	return f.issued, f.at, err
}

// byRefreshToken finds a refresh token by its SHA-256.
func (p *provider) byRefreshToken(ctx context.Context, hash [32]byte) (session.RefreshTokenIssued, error) {
	t, err := decide.Read(ctx, p.core.Runner, "refresh token", session.ByRefreshToken(hash), session.RefreshTokenIssued{},
		func(_ session.RefreshTokenIssued, f event.Fact) session.RefreshTokenIssued {
			t, _ := f.Payload.(session.RefreshTokenIssued)
			return t
		})
	if err == nil && t.Authorization.IsZero() {
		err = session.ErrNoRefreshToken
	}
	return t, err
}

// RefreshToken implements oidc.RefreshTokens.
func (p *provider) RefreshToken(ctx context.Context, hash [32]byte) (oidc.RefreshGrant, error) {
	t, err := p.byRefreshToken(ctx, hash)
	if err != nil {
		return oidc.RefreshGrant{}, err
	}
	i, at, err := p.issued(ctx, t.Authorization)
	if err != nil {
		return oidc.RefreshGrant{}, err
	}
	g := oidc.RefreshGrant{CodeGrant: p.codeGrant(i, at), Number: t.Number, Expires: t.Expires.Time()}
	s, err := p.subject(ctx, g.CodeGrant)
	if err != nil {
		return oidc.RefreshGrant{}, err
	}
	st, err := p.authorization(ctx, s)
	g.Last, g.Ended = st.Refresh.Number, st.Live(instant(p.core.Log.Now())) != nil
	return g, err
}

// Refresh implements oidc.RefreshTokens.
func (p *provider) Refresh(ctx context.Context, rf oidc.Refreshing) error {
	i, _, err := p.issued(ctx, rf.Access.Grant)
	if err != nil {
		return err
	}
	s, err := p.subject(ctx, p.codeGrant(i, time.Time{}))
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, session.RefreshingTokens, p.byApplication(ctx, i), session.Refresh{
		Subject: s, Number: rf.Number, Unclaimed: rf.Unclaimed, Access: access(rf.Access, rf.Opaque), Next: *refreshing(&rf.Next), Now: instant(rf.Access.Issued)})
	return err
}

// grants is provider as oidc.Grants, whose End is another than that of
// oidc.Sessions.
type grants struct{ *provider }

// End implements oidc.Grants.
func (g grants) End(ctx context.Context, id event.ID, why oidc.EndReason, by string) error {
	env := bySystem("oidc")
	if by != "" {
		i, _, err := g.issued(ctx, id)
		if err != nil {
			return err
		}
		env = g.byApplication(ctx, i)
	}
	_, err := decide.Run(ctx, g.core.Runner, session.EndingAuthorization, env, session.EndAuthorization{Authorization: id, Reason: string(why)})
	return err
}

// tokenSubject names what an access token rests on.
func (p *provider) tokenSubject(ctx context.Context, t oidc.AccessToken) (session.Subject, error) {
	return p.subject(ctx, oidc.CodeGrant{Grant: t.Grant, Client: t.Client, User: t.User, Session: t.Session})
}

// Active implements oidc.Tokens.
func (p *provider) Active(ctx context.Context, t oidc.AccessToken) error {
	if ofMachine(t) {
		m, err := p.machineToken(ctx, t)
		if err != nil {
			return err
		}
		return m.Live(instant(p.core.Log.Now()))
	}
	s, err := p.tokenSubject(ctx, t)
	if err != nil {
		return err
	}
	st, err := p.authorization(ctx, s)
	if err != nil {
		return err
	}
	now := instant(p.core.Log.Now())
	if err := st.TokenLive(t.ID, now); err != nil {
		return err
	}
	signin.Use(ctx, p.core.Runner, st.Session, now)
	return nil
}

// Opaque implements oidc.Tokens.
func (p *provider) Opaque(ctx context.Context, hash [32]byte) (oidc.AccessToken, error) {
	t, err := decide.Read(ctx, p.core.Runner, "access token", session.ByAccessToken(hash), session.TokenIssued{},
		func(_ session.TokenIssued, f event.Fact) session.TokenIssued {
			t, _ := f.Payload.(session.TokenIssued)
			return t
		})
	if err == nil && t.Authorization.IsZero() {
		err = session.ErrNoToken
	}
	if err != nil {
		return oidc.AccessToken{}, err
	}
	i, _, err := p.issued(ctx, t.Authorization)
	return oidc.AccessToken{ID: t.Token, Grant: t.Authorization, Session: t.Session, User: t.User, Client: p.clientID(t.Application), Audience: t.Audience,
		Scopes: t.Scopes, AuthTime: i.AuthTime.Time(), AMR: i.AMR, ACR: i.ACR, Issued: t.Issued.Time(), Expires: t.Expires.Time()}, err
}

// Revoke implements oidc.Tokens.
func (p *provider) Revoke(ctx context.Context, t oidc.AccessToken) error {
	if ofMachine(t) {
		_, err := decide.Run(ctx, p.core.Runner, session.RevokingMachineToken, call.UserEnvelope(ctx, t.User, event.ID{}), session.RevokeMachineToken{Token: t.ID})
		return err
	}
	s, err := p.tokenSubject(ctx, t)
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, session.RevokingToken, p.byApplication(ctx, session.CodeIssued{User: t.User, Application: s.Application}),
		session.RevokeToken{Subject: s, Token: t.ID, Expires: instant(t.Expires), Now: instant(p.core.Log.Now())})
	return err
}
