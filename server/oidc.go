package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/org"
	"muniment.dev/page"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/session/signin"
	"muniment.dev/user"
)

// CLIClient is the client id of the command line, the same in every instance.
const CLIClient = "muniment-cli"

// provider implements what the OpenID provider needs, on the log.
type provider struct {
	core   *Core
	signin *signin.Service
	site   *page.Site
}

// appID finds an application by its client id.
func (p *provider) appID(client string) (event.ID, error) {
	if client == CLIClient {
		return p.core.Instance.CLI, nil
	}
	id, err := event.ParseID(client)
	if err != nil || len(client) != 32 {
		return id, app.ErrNotFound
	}
	return id, nil
}

// clientID is the reverse of appID.
func (p *provider) clientID(id event.ID) string {
	if id == p.core.Instance.CLI {
		return CLIClient
	}
	return id.String()
}

func (p *provider) app(ctx context.Context, client string) (app.State, error) {
	id, err := p.appID(client)
	if err != nil {
		return app.State{}, err
	}
	a, err := decide.Read(ctx, p.core.Runner, "application", app.Facts(id), app.State{}, app.Evolve)
	if err != nil {
		return a, err
	}
	if err := a.Usable(); err != nil {
		return a, err
	}
	pr, err := decide.Read(ctx, p.core.Runner, "project", project.Facts(a.Project), project.State{}, project.Evolve)
	if err != nil {
		return a, err
	}
	if pr.Usable() != nil {
		return a, app.ErrNotFound
	}
	return a, p.homeActive(ctx, a)
}

// homeActive returns nil if the organization of an application is in use. That
// of the command line does not matter: it is the whole instance's.
func (p *provider) homeActive(ctx context.Context, a app.State) error {
	if a.Application == p.core.Instance.CLI {
		return nil
	}
	o, err := decide.Read(ctx, p.core.Runner, "organization", []decide.Facts{{Stream: org.Stream(a.Organization)}}, org.State{}, org.Evolve)
	if err == nil && o.Usable() != nil {
		err = app.ErrNotFound
	}
	return err
}

// Client implements oidc.Clients.
func (p *provider) Client(ctx context.Context, id string) (oidc.Client, error) {
	a, err := p.app(ctx, id)
	if fault.Is(err, fault.NotFound) && len(id) == 32 {
		if machine, failed := event.ParseID(id); failed == nil && a.Application.IsZero() {
			c, _, err := p.machine(ctx, machine)
			return c, err
		}
	}
	if err != nil {
		return oidc.Client{}, err
	}
	c := oidc.Client{ID: id, Name: a.Name, RedirectURIs: a.Redirects, PostLogoutURIs: a.LogoutRedirect,
		Type: clientTypes[a.Type], Project: a.Project.String(), IDTokenAlg: a.Algorithm, AsksConsent: a.AskConsent}
	if err := p.proofs(&c, a.AuthMethod, a.Credentials); err != nil {
		return oidc.Client{}, err
	}
	c.GrantTypes, c.AccessTokenType = append([]string{}, a.GrantTypes...), tokenTypes[a.AccessTokenType]
	if a.APIAccess {
		c.Scopes = []string{oidc.ScopeAPI}
	}
	return c, p.lifetimes(ctx, a.Organization, &c)
}

var tokenTypes = map[string]oidc.TokenType{app.JWT: oidc.JWT, app.Opaque: oidc.Opaque}

var clientTypes = map[app.Type]oidc.ClientType{app.Web: oidc.Web, app.SPA: oidc.SPA, app.Native: oidc.Native, app.API: oidc.API}

// Current implements oidc.Sessions.
func (p *provider) Current(r *http.Request) (oidc.Session, error) {
	s, err := p.signin.Session(r.Context(), p.site.Session(r))
	if err != nil {
		return oidc.Session{}, err
	}
	return oidc.Session{ID: s.Begun.Session, User: s.User, AuthTime: s.AuthTime, AMR: s.AMR, ACR: s.ACR, AskPassword: s.AskPassword}, nil
}

// End implements oidc.Sessions.
func (p *provider) End(w http.ResponseWriter, r *http.Request, s oidc.Session, _ string) error {
	token := p.site.Session(r)
	if err := p.signin.SignOut(r.Context(), token); err != nil {
		return err
	}
	rest := slices.DeleteFunc(p.site.Sessions(r), func(t string) bool { return t == token })
	p.site.SetSessions(w, r, rest, sessionCookieLife)
	return nil
}

// subject names what a grant rests on.
func (p *provider) subject(ctx context.Context, g oidc.CodeGrant) (session.Subject, error) {
	a, err := p.app(ctx, g.Client)
	if err != nil {
		return session.Subject{}, err
	}
	u, err := decide.Read(ctx, p.core.Runner, "user", user.Facts(g.User), user.Start(g.User), user.Evolve)
	if err != nil {
		return session.Subject{}, err
	}
	return session.Subject{Authorization: g.Grant, Session: g.Session, User: g.User, Organization: u.Organization,
		Application: a.Application, Project: a.Project}, nil
}

// IssueCode implements oidc.Grants.
func (p *provider) IssueCode(ctx context.Context, g oidc.CodeGrant) error {
	s, err := p.subject(ctx, g)
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, session.IssuingCode, call.UserEnvelope(ctx, g.User, g.Session), session.IssueCode{
		Subject: s, CodeHash: g.CodeHash, RedirectURI: g.RedirectURI, Challenge: g.Challenge, Nonce: g.Nonce, Scopes: g.Scopes, Resources: g.Resources,
		AuthTime: instant(g.AuthTime), AMR: g.AMR, ACR: g.ACR, Consented: g.Consented, Needs: g.Needs, Now: instant(g.Issued), Expires: instant(g.Expires),
	})
	return err
}

// authorization reads all that is known of one.
func (p *provider) authorization(ctx context.Context, s session.Subject) (session.Authorization, error) {
	return decide.Read(ctx, p.core.Runner, "authorization", session.AuthorizationFacts(s), session.StartAuthorization(s), session.EvolveAuthorization)
}

// byCode finds an authorization by its code.
func (p *provider) byCode(ctx context.Context, hash [32]byte) (session.CodeIssued, time.Time, error) {
	type found struct {
		issued session.CodeIssued
		at     time.Time
	}
	f, err := decide.Read(ctx, p.core.Runner, "code", session.ByCode(hash), found{}, func(_ found, f event.Fact) found {
		issued, _ := f.Payload.(session.CodeIssued)
		return found{issued, f.Time}
	})
	if err == nil && f.issued.Authorization.IsZero() {
		err = session.ErrNoCode
	}
	return f.issued, f.at, err
}

// Code implements oidc.Grants.
func (p *provider) Code(ctx context.Context, hash [32]byte) (oidc.CodeGrant, bool, error) {
	i, at, err := p.byCode(ctx, hash)
	if err != nil {
		return oidc.CodeGrant{}, false, err
	}
	st, err := p.alone(ctx, i.Authorization)
	if err != nil {
		return oidc.CodeGrant{}, false, err
	}
	g := p.codeGrant(i, at)
	g.CodeHash = hash
	return g, st.Spent, nil
}

// codeGrant is an authorization as the OpenID provider knows it.
func (p *provider) codeGrant(i session.CodeIssued, at time.Time) oidc.CodeGrant {
	return oidc.CodeGrant{Grant: i.Authorization, Client: p.clientID(i.Application), RedirectURI: i.RedirectURI,
		Challenge: i.Challenge.Value, Nonce: i.Nonce.Value, Scopes: i.Scopes, Resources: i.Resources, User: i.User, Session: i.Session,
		AuthTime: i.AuthTime.Time(), AMR: i.AMR, ACR: i.ACR, Consented: i.Consented, Issued: at, Expires: i.Expires.Time()}
}

// Redeem implements oidc.Grants.
func (p *provider) Redeem(ctx context.Context, rd oidc.Redemption) error {
	i, _, err := p.byCode(ctx, rd.CodeHash)
	if err != nil {
		return err
	}
	s, err := p.subject(ctx, oidc.CodeGrant{Grant: i.Authorization, Client: p.clientID(i.Application), User: i.User, Session: i.Session})
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, p.core.Runner, session.Redeeming, p.byApplication(ctx, i), session.Redeem{
		Subject: s, Access: access(rd.Access, rd.Opaque), Refresh: refreshing(rd.Refresh), Now: instant(rd.Access.Issued)})
	return err
}

// byApplication surrounds what an application does with a code. Where it calls
// from is sealed under the person whose code it is.
func (p *provider) byApplication(ctx context.Context, i session.CodeIssued) decide.Envelope {
	f, _ := call.FactsOf(ctx)
	c := call.Context(f, call.Caller{ID: i.User, ClientID: p.clientID(i.Application)})
	return decide.Envelope{Actor: event.Actor{Kind: "application", ID: i.Application}, Context: c}
}

// Claims implements oidc.Users.
func (p *provider) Claims(ctx context.Context, id event.ID, c oidc.Client, _ []string) (oidc.UserClaims, error) {
	u, err := decide.Read(ctx, p.core.Runner, "user", user.Facts(id), user.Start(id), user.Evolve)
	if err != nil {
		return oidc.UserClaims{}, err
	}
	if err := u.Exists(); err != nil {
		return oidc.UserClaims{}, err
	}
	held, err := p.held(ctx, id)
	if err != nil {
		return oidc.UserClaims{}, err
	}
	claims := oidc.UserClaims{Name: u.DisplayName.Value, GivenName: u.GivenName.Value, FamilyName: u.FamilyName.Value,
		Username: u.Email.Value, Email: u.Email.Value}
	if pid, err := event.ParseID(c.Project); err == nil && len(held.Roles(pid)) > 0 {
		claims.Roles = map[string][]string{c.Project: held.Roles(pid)}
	}
	if c.Type == oidc.Machine { // what it is in each project that its token may be meant for
		claims.Roles = map[string][]string{}
		for project := range held {
			if roles := held.Roles(project); len(roles) > 0 {
				claims.Roles[project.String()] = roles
			}
		}
	}
	return claims, nil
}

func instant(t time.Time) event.Instant { return event.Instant(t.UnixMicro()) }

// Authenticate implements api.Authenticator.
func (p *provider) authenticate(ctx context.Context, op *oidc.Provider, bearer string) (call.Caller, error) {
	t, err := op.VerifyAccessToken(ctx, bearer, op.APIAudience())
	if err != nil {
		if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Internal) {
			return call.Caller{}, err
		}
		return call.Caller{}, fault.New(fault.Unauthenticated, "the access token is not good: it is malformed, expired, revoked or not meant for this API; sign in again")
	}
	return call.Caller{Kind: "user", ID: t.User, SessionID: t.Session, ClientID: t.Client}, nil
}
