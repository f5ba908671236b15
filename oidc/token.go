package oidc

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// tokenResponse is RFC 6749 §5.1 with id_token, OpenID Connect Core §3.1.3.3.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token,omitempty"`
	Refresh     string `json:"refresh_token,omitempty"`
}

// serveToken is the token endpoint, RFC 6749 §3.2.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	private(w)
	if e := onlyPost(w, r); e != nil {
		p.clientError(w, r, "token", "", e)
		return
	}
	client, resp, e := p.token(r)
	if e != nil {
		p.clientError(w, r, "token", client, e)
		return
	}
	writeJSON(w, http.StatusOK, resp)
}

// onlyPost refuses other methods, RFC 6749 §3.2.
func onlyPost(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method == http.MethodPost {
		return nil
	}
	w.Header().Set("Allow", http.MethodPost)
	return refuse(codeMethod, "use POST")
}

// clientError answers a client that has to say who it is.
func (p *Provider) clientError(w http.ResponseWriter, r *http.Request, endpoint, client string, e *refusal) {
	if e.code == codeInvalidClient { // RFC 6749 §5.2
		w.Header().Set("WWW-Authenticate", `Basic realm="muniment", charset="UTF-8"`)
	}
	p.apiError(w, r, endpoint, client, e)
}

// token answers a token request; the first result names the client, if it is
// known, for the record.
func (p *Provider) token(r *http.Request) (string, tokenResponse, *refusal) {
	c, ps, e := p.clientRequest(r)
	if e != nil {
		return c.ID, tokenResponse{}, e
	}
	g, e := p.grantType(c, ps)
	if e != nil {
		return c.ID, tokenResponse{}, e
	}
	resp, e := g(r.Context(), c, ps)
	return c.ID, resp, e
}

// clientRequest reads what a client sends to an endpoint that is for clients,
// and finds out which client it is.
func (p *Provider) clientRequest(r *http.Request) (Client, params, *refusal) {
	ps, e := formParams(r)
	if e == nil {
		e = ps.once()
	}
	if e != nil {
		return Client{}, ps, e
	}
	cr, e := clientCredentials(r, ps)
	if e != nil {
		return Client{}, ps, e
	}
	c, e := p.authenticate(r, cr)
	return c, ps, e
}

// The grant types, RFC 6749 §4.
const (
	GrantCode    = "authorization_code" // RFC 6749 §4.1
	GrantRefresh = "refresh_token"      // RFC 6749 §6
)

// issuer answers a token request of one grant type. The client is
// authenticated and may use the type.
type issuer func(ctx context.Context, c Client, ps params) (tokenResponse, *refusal)

// issuers are all grant types. Discovery announces what stands here.
func (p *Provider) issuers() map[string]issuer {
	return map[string]issuer{
		GrantCode:    p.redeemCode,
		GrantRefresh: p.refresh,
		GrantClient:  p.clientToken,
	}
}

// grantType finds what answers a request.
func (p *Provider) grantType(c Client, ps params) (issuer, *refusal) {
	name := ps.get("grant_type")
	g, ok := p.issuers()[name]
	switch {
	case name == "":
		return nil, refuse(codeInvalidRequest, "grant_type is required")
	case !ok:
		return nil, refuse(codeUnsupportedGrant, "this server does not know the grant_type; its metadata lists those that it knows")
	case !c.May(name):
		return nil, refuse(codeUnauthorizedClient, "this client may not use this grant_type")
	}
	return g, nil
}

// minted are tokens that have been made and not been handed over.
type minted struct {
	access  AccessToken
	opaque  *[32]byte // SHA-256 of the access token, if it is opaque
	refresh *NewRefresh
	resp    tokenResponse
}

// newAccess is an access token of a grant, before it is made.
func (p *Provider) newAccess(c Client, g CodeGrant, scopes, audience []string) AccessToken {
	now := p.c.Now()
	return AccessToken{ID: event.NewID(), Grant: g.Grant, Session: g.Session, User: g.User, Client: c.ID, Audience: audience, Scopes: scopes,
		AuthTime: g.AuthTime, AMR: g.AMR, ACR: g.ACR, Issued: now, Expires: now.Add(cmp.Or(c.AccessTokenLife, p.c.AccessTokenLife))}
}

// mintAccess makes an access token of the client's type, and the answer that
// brings it.
func (p *Provider) mintAccess(ctx context.Context, c Client, t AccessToken, roles map[string][]string) (minted, error) {
	m := minted{access: t, resp: tokenResponse{TokenType: "Bearer", ExpiresIn: int64(t.Expires.Sub(t.Issued) / time.Second), Scope: strings.Join(t.Scopes, " ")}}
	if c.AccessTokenType == Opaque {
		var hash [32]byte
		m.resp.AccessToken, hash = newSecret(prefixAccess)
		m.opaque = &hash
		return m, nil
	}
	var err error
	m.resp.AccessToken, err = p.signAccess(ctx, t, roles)
	return m, err
}

// mint makes all tokens that a grant gives.
func (p *Provider) mint(ctx context.Context, c Client, g CodeGrant, t AccessToken, u UserClaims) (minted, error) {
	m, err := p.mintAccess(ctx, c, t, u.Roles)
	if err == nil && slices.Contains(t.Scopes, ScopeOpenID) {
		m.resp.IDToken, err = p.mintID(ctx, c, t, g.Nonce, u, m.resp.AccessToken)
	}
	if slices.Contains(g.Scopes, ScopeOffline) && c.May(GrantRefresh) {
		m.refresh = &NewRefresh{Expires: p.refreshExpires(c, g, t.Issued)}
		m.resp.Refresh, m.refresh.Hash = newSecret(prefixRefresh)
	}
	return m, err
}

// apiError answers a client directly, RFC 6749 §5.2.
func (p *Provider) apiError(w http.ResponseWriter, r *http.Request, endpoint, client string, e *refusal) {
	p.note(r.Context(), endpoint, client, e)
	status := e.status()
	if status == http.StatusServiceUnavailable && fault.KindOf(e.cause) != fault.Unknown {
		w.Header().Set("Retry-After", "1")
	}
	writeError(w, status, e)
}

func writeError(w http.ResponseWriter, status int, e *refusal) {
	code := e.code
	if code == codeMethod {
		code = codeInvalidRequest
	}
	writeJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, e.desc})
}
