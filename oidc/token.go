package oidc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"muniment.dev/fault"
)

// tokenResponse is RFC 6749 §5.1 with id_token, OpenID Connect Core §3.1.3.3.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token,omitempty"`
}

// serveToken is the token endpoint, RFC 6749 §3.2.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	private(w)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, refuse(codeInvalidRequest, "use POST"))
		return
	}
	client, resp, e := p.token(r)
	if e != nil {
		if e.code == codeInvalidClient { // RFC 6749 §5.2
			w.Header().Set("WWW-Authenticate", `Basic realm="muniment", charset="UTF-8"`)
		}
		p.apiError(w, r, "token", client, e)
		return
	}
	writeJSON(w, http.StatusOK, resp)
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
	GrantCode = "authorization_code" // RFC 6749 §4.1
)

// issuer answers a token request of one grant type. The client is
// authenticated and may use the type.
type issuer func(ctx context.Context, c Client, ps params) (tokenResponse, *refusal)

// issuers are all grant types. Discovery announces what stands here.
func (p *Provider) issuers() map[string]issuer {
	return map[string]issuer{
		GrantCode: p.redeemCode,
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

func (p *Provider) mint(ctx context.Context, c Client, g CodeGrant, u UserClaims, rd Redemption) (tokenResponse, error) {
	access, err := p.mintAccess(ctx, c, g, u, rd)
	if err != nil {
		return tokenResponse{}, err
	}
	resp := tokenResponse{AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(rd.Expires.Sub(rd.Issued) / time.Second),
		Scope: strings.Join(g.Scopes, " ")}
	if slices.Contains(g.Scopes, ScopeOpenID) {
		resp.IDToken, err = p.mintID(ctx, c, g, u, rd.Issued, access)
	}
	return resp, err
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
	writeJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.code, e.desc})
}
