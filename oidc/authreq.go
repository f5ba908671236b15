package oidc

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// Scopes that every client may ask for.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
)

// ScopeOffline asks for a refresh token, and for access that outlives the
// browser's session (OpenID Connect Core §11). A client needs the grant type
// refresh_token.
const ScopeOffline = "offline_access"

// ScopeAPI asks for access tokens that Muniment's own API accepts. A client
// needs it among its Scopes: other applications must not act as administrators
// only because an administrator signed in to them.
const ScopeAPI = "urn:muniment:scope:api"

const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// authorizeRequest is a request to the authorization endpoint that was found
// good, RFC 6749 §4.1.1 and OpenID Connect Core §3.1.2.1. It travels in the
// flow cookie, hence the short names.
type authorizeRequest struct {
	Client    string   `json:"c"`
	Redirect  string   `json:"r"`
	Mode      string   `json:"m,omitempty"`
	State     string   `json:"s,omitempty"`
	Nonce     string   `json:"n,omitempty"`
	Challenge string   `json:"p"`
	Scopes    []string `json:"o"`
	Prompt    []string `json:"q,omitempty"`
	MaxAge    *int64   `json:"a,omitempty"` // seconds
	LoginHint string   `json:"l,omitempty"`
	ACRs      []string `json:"v,omitempty"`
	Locales   []string `json:"u,omitempty"`
	Resources []string `json:"x,omitempty"` // audiences
	hint      string   // id_token_hint, checked by the caller and not kept
}

func (q authorizeRequest) asks(prompt string) bool { return slices.Contains(q.Prompt, prompt) }

// target is where, and how, the answer to an authorization request goes.
type target struct {
	redirect, mode, state string
}

// targetOf finds the client's address for the answer. Only with it may errors
// leave by redirect (RFC 6749 §4.1.2.1); without it they are shown to the
// person.
func targetOf(p params, c Client) (target, *refusal) {
	uri := p.get("redirect_uri")
	switch {
	case p.repeated["redirect_uri"] || uri == "":
		// OpenID Connect Core §3.1.2.1: REQUIRED, even if only one is registered.
		return target{}, refuse(codeInvalidRequest, "redirect_uri is required, once")
	case !matchRedirectURI(c, uri):
		return target{}, refuse(codeInvalidRequest, "redirect_uri is not registered for this client; it must match exactly")
	}
	t := target{redirect: uri, mode: modeQuery, state: p.get("state")}
	if p.get("response_mode") == modeFormPost && isHTTP(uri) {
		t.mode = modeFormPost
	}
	return t, nil
}

func isHTTP(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}

// parseAuthorize checks everything but client_id and redirect_uri, which the
// caller has resolved to c and t.
func parseAuthorize(p params, c Client, t target) (authorizeRequest, *refusal) {
	q := authorizeRequest{Client: c.ID, Redirect: t.redirect, Mode: t.mode, State: t.state,
		Nonce: p.get("nonce"), Challenge: p.get("code_challenge"), LoginHint: p.get("login_hint"), hint: p.get("id_token_hint")}
	if e := p.once(); e != nil {
		return q, e
	}
	if e := unsupported(p); e != nil {
		return q, e
	}
	if e := responseType(p, t); e != nil {
		return q, e
	}
	if e := pkce(p); e != nil {
		return q, e
	}
	if len(q.Nonce) > 512 || len(q.LoginHint) > 320 {
		return q, refuse(codeInvalidRequest, "nonce or login_hint is too long")
	}
	var e *refusal
	if q.Scopes, e = grantable(p.get("scope"), c); e != nil {
		return q, e
	}
	if q.Prompt, e = prompts(p.get("prompt")); e != nil {
		return q, e
	}
	if q.MaxAge, e = maxAge(p.get("max_age")); e != nil {
		return q, e
	}
	// Preferences: what does not fit is left out, not refused.
	q.ACRs = firstFew(strings.Fields(p.get("acr_values")))
	q.Locales = firstFew(strings.Fields(p.get("ui_locales")))
	return q, nil
}

func firstFew(s []string) []string {
	s = slices.DeleteFunc(s, func(v string) bool { return len(v) > 64 })
	return s[:min(len(s), 8)]
}

// unsupported refuses the parameters that change the meaning of all others if
// they were ignored, OpenID Connect Core §3.1.2.6.
func unsupported(p params) *refusal {
	switch {
	case p.get("request") != "":
		return refuse(codeNoRequest, "request objects are not supported")
	case p.get("request_uri") != "":
		return refuse(codeNoRequestURI, "request_uri is not supported")
	case p.get("registration") != "":
		return refuse(codeNoRegistration, "self-issued registration is not supported")
	}
	return nil
}

func responseType(p params, t target) *refusal {
	switch p.get("response_type") {
	case "code":
	case "":
		return refuse(codeInvalidRequest, "response_type is required")
	default: // RFC 9700 §2.1.2: no tokens through the browser
		return refuse(codeUnsupportedType, "the only response_type is code")
	}
	if m := p.get("response_mode"); m != "" && m != t.mode {
		return refuse(codeInvalidRequest, "response_mode is query, or form_post where redirect_uri is an http address")
	}
	return nil
}

// pkce wants S256 of everybody, RFC 7636 §4.4.1 and RFC 9700 §2.1.1. Without
// code_challenge_method the client means plain (RFC 7636 §4.3), which is not
// supported.
func pkce(p params) *refusal {
	ch := p.get("code_challenge")
	if ch == "" {
		return refuse(codeInvalidRequest, "code_challenge is required (PKCE)")
	}
	if p.get("code_challenge_method") != "S256" {
		return refuse(codeInvalidRequest, "code_challenge_method must be S256")
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(ch); err != nil || len(b) != 32 {
		return refuse(codeInvalidRequest, "code_challenge must be the base64url of a SHA-256, 43 characters")
	}
	return nil
}

// grantable returns the scopes that c gets of those that it asks for, in
// order. Unknown ones are ignored, OpenID Connect Core §3.1.2.1.
func grantable(s string, c Client) ([]string, *refusal) {
	var out []string
	for _, v := range strings.Split(s, " ") {
		if v == "" {
			continue
		}
		if !scopeToken(v) {
			return nil, refuse(codeInvalidScope, "scope holds a character that RFC 6749 section 3.3 does not allow")
		}
		if c.mayAsk(v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, refuse(codeInvalidScope, "no scope was asked for that this client may have; ask for openid")
	}
	return out, nil
}

// mayAsk reports whether the client may have a scope.
func (c Client) mayAsk(scope string) bool {
	switch scope {
	case ScopeOpenID, ScopeProfile, ScopeEmail:
		return true
	case ScopeOffline:
		return c.May(GrantRefresh)
	}
	return slices.Contains(c.Scopes, scope)
}

// scopeToken is RFC 6749 §3.3: 1*( %x21 / %x23-5B / %x5D-7E ).
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

func prompts(s string) ([]string, *refusal) {
	list := strings.Fields(s)
	for _, v := range list {
		if !slices.Contains(promptValues(), v) {
			return nil, refuse(codeInvalidRequest, "prompt knows none, login, consent and select_account")
		}
	}
	if len(list) > 1 && slices.Contains(list, "none") {
		return nil, refuse(codeInvalidRequest, "prompt none excludes all others")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func promptValues() []string { return []string{"none", "login", "consent", "select_account"} }

func maxAge(s string) (*int64, *refusal) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil, refuse(codeInvalidRequest, "max_age must be a number of seconds")
	}
	v := int64(n)
	return &v, nil
}
