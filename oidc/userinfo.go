package oidc

import (
	"net/http"
	"slices"
	"strings"

	"muniment.dev/fault"
)

// userinfo is OpenID Connect Core §5.3.2.
type userinfo struct {
	Subject string `json:"sub"`
	personClaims
}

// serveUserinfo is the userinfo endpoint, OpenID Connect Core §5.3.
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	private(w)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		p.apiError(w, r, "userinfo", "", refuse(codeMethod, "use GET or POST"))
		return
	}
	raw, e := bearer(r)
	if e == nil && raw == "" {
		// RFC 6750 §3.1: without any token, no error code either.
		w.Header().Set("WWW-Authenticate", bearerRealm)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	client, info := "", userinfo{}
	if e == nil {
		client, info, e = p.userinfo(r, raw)
	}
	if e != nil {
		if s := e.status(); s < http.StatusInternalServerError {
			w.Header().Set("WWW-Authenticate", challenge(e))
		}
		p.apiError(w, r, "userinfo", client, e)
		return
	}
	writeJSON(w, http.StatusOK, info)
}

const bearerRealm = `Bearer realm="muniment"`

// challenge is RFC 6750 §3. A refusal's text holds neither quotes nor
// backslashes.
func challenge(e *refusal) string {
	s := bearerRealm + `, error="` + e.code + `", error_description="` + e.desc + `"`
	if e.code == codeInsufficientScope {
		s += `, scope="` + ScopeOpenID + `"`
	}
	return s
}

// bearer reads the access token from the Authorization header (RFC 6750 §2.1)
// or the body of a form (§2.2), one of them only. In the address (§2.3) it is
// not looked for: addresses are logged.
func bearer(r *http.Request) (string, *refusal) {
	var body string
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		ps, e := formParams(r)
		if e == nil {
			e = ps.once()
		}
		if e != nil {
			return "", e
		}
		body = ps.get("access_token")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return body, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	switch {
	case len(headers) > 1 || body != "":
		return "", refuse(codeInvalidRequest, "the access token was sent more than once")
	case !strings.EqualFold(scheme, "Bearer"):
		return "", nil
	case token == "":
		return "", refuse(codeInvalidRequest, "the Authorization header holds no token")
	}
	return token, nil
}

func (p *Provider) userinfo(r *http.Request, raw string) (string, userinfo, *refusal) {
	ctx := r.Context()
	t, err := p.VerifyAccessToken(ctx, raw, p.c.Issuer)
	if err != nil {
		return "", userinfo{}, refusalOf(err, codeInvalidToken, "the access token is not one of this server, has expired or was revoked")
	}
	if !slices.Contains(t.Scopes, ScopeOpenID) {
		return t.Client, userinfo{}, refuse(codeInsufficientScope, "the access token lacks the scope openid")
	}
	c, err := p.c.Clients.Client(ctx, t.Client)
	if err == nil {
		var u UserClaims
		if u, err = p.c.Users.Claims(ctx, t.User, c, t.Scopes); err == nil {
			return c.ID, userinfo{Subject: t.User.String(), personClaims: claimsOf(u, t.Scopes)}, nil
		}
	}
	if fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Erased {
		return t.Client, userinfo{}, &refusal{code: codeInvalidToken, desc: "the application or the person is not there any more", cause: err}
	}
	return t.Client, userinfo{}, refusalOf(err, codeInvalidToken, "the claims may not be read")
}
