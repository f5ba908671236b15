package server

import (
	"context"
	"slices"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/app"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/oidc"
	"muniment.dev/org"
	"muniment.dev/session"
	"muniment.dev/user"
)

// proofs tells the provider by what a client proves itself, with one method:
// the secrets of one that signs assertions are not accepted.
func (p *provider) proofs(c *oidc.Client, method string, set credential.Set) error {
	now := instant(p.core.Log.Now())
	switch method {
	case app.ClientSecret:
		for _, s := range set.LiveSecrets(now) {
			if d, ok := s.Digest.Get(); ok && len(d) == 32 {
				c.Secrets, c.SecretIDs = append(c.Secrets, [32]byte(d)), append(c.SecretIDs, s.ID)
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

// machine is the client that a machine user is, and its organization. Its
// client id is its id.
func (p *provider) machine(ctx context.Context, id event.ID) (oidc.Client, event.ID, error) {
	u, err := decide.Read(ctx, p.core.Runner, "user", user.Facts(id), user.Start(id), user.Evolve)
	if err != nil {
		return oidc.Client{}, event.ID{}, err
	}
	if !u.Machine || u.Status != user.Active {
		return oidc.Client{}, event.ID{}, app.ErrNotFound
	}
	o, err := decide.Read(ctx, p.core.Runner, "organization", []decide.Facts{{Stream: org.Stream(u.Organization)}}, org.State{}, org.Evolve)
	if err == nil && o.Usable() != nil {
		err = app.ErrNotFound
	}
	if err != nil {
		return oidc.Client{}, event.ID{}, err
	}
	held, err := p.held(ctx, id)
	if err != nil {
		return oidc.Client{}, event.ID{}, err
	}
	c := oidc.Client{ID: id.String(), User: id, Name: u.DisplayName.Value, Type: oidc.Machine, GrantTypes: []string{oidc.GrantClient}, Scopes: []string{oidc.ScopeAPI}}
	for project := range held {
		if len(held.Roles(project)) > 0 {
			c.Resources = append(c.Resources, project.String())
		}
	}
	slices.Sort(c.Resources)
	for _, method := range []string{app.ClientSecret, app.PrivateKeyJWT} {
		if err := p.proofs(&c, method, u.Credentials); err != nil {
			return oidc.Client{}, event.ID{}, err
		}
	}
	return c, u.Organization, p.lifetimes(ctx, u.Organization, &c)
}

// held are the roles of a user, by project.
func (p *provider) held(ctx context.Context, u event.ID) (grant.Held, error) {
	return decide.Read(ctx, p.core.Runner, "held roles", grant.HeldFacts(u), grant.Held{}, grant.EvolveHeld)
}

// UseAssertion implements oidc.Assertions.
func (p *provider) UseAssertion(ctx context.Context, c oidc.Client, k oidc.ClientKey, jti string, expires time.Time) error {
	used := credential.AssertionUsed{Key: k.ID, Expires: instant(expires)}
	actor := event.Actor{Kind: "user", ID: c.User}
	if c.Type == oidc.Machine {
		_, home, err := p.machine(ctx, c.User)
		if err != nil {
			return err
		}
		used.User, used.Organization = c.User, home
	} else {
		a, err := p.app(ctx, c.ID)
		if err != nil {
			return err
		}
		used.Application, used.Organization = a.Application, a.Organization
		actor = event.Actor{Kind: "application", ID: a.Application}
	}
	_, err := decide.Run(ctx, p.core.Runner, credential.UsingAssertion, decide.Envelope{Actor: actor},
		credential.UseAssertion{Assertion: credential.Assertion(c.ID, jti), AssertionUsed: used})
	return err
}

// IssueMachineToken implements oidc.Machines.
func (p *provider) IssueMachineToken(ctx context.Context, t oidc.AccessToken, proof event.ID) error {
	_, home, err := p.machine(ctx, t.User)
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, session.IssuingMachineToken, call.UserEnvelope(ctx, t.User, event.ID{}), session.IssueMachineToken{
		User: t.User, Organization: home, Credential: proof, Access: access(t, nil), Now: instant(t.Issued)})
	return err
}

// machineToken reads what is known of a token of a machine user.
func (p *provider) machineToken(ctx context.Context, t oidc.AccessToken) (session.MachineToken, error) {
	_, home, err := p.machine(ctx, t.User)
	if err != nil {
		return session.MachineToken{}, err
	}
	return decide.Read(ctx, p.core.Runner, "token of a machine user", session.MachineTokenFacts(t.ID, t.User, home), session.StartMachineToken(t.User), session.EvolveMachineToken)
}

// ofMachine reports whether a token is a machine user's own.
func ofMachine(t oidc.AccessToken) bool { return t.Grant.IsZero() && t.Client == t.User.String() }
