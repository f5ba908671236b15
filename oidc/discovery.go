package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"muniment.dev/fault"
)

// metadata is what OpenID Connect Discovery §3 and RFC 8414 §2 publish.
type metadata struct {
	Issuer           string   `json:"issuer"`
	Authorization    string   `json:"authorization_endpoint"`
	Token            string   `json:"token_endpoint"`
	Userinfo         string   `json:"userinfo_endpoint"`
	Keys             string   `json:"jwks_uri"`
	EndSession       string   `json:"end_session_endpoint"` // RP-Initiated Logout §2.1
	Introspection    string   `json:"introspection_endpoint"`
	Revocation       string   `json:"revocation_endpoint"`
	Scopes           []string `json:"scopes_supported"`
	ResponseTypes    []string `json:"response_types_supported"`
	ResponseModes    []string `json:"response_modes_supported"`
	GrantTypes       []string `json:"grant_types_supported"`
	ACRs             []string `json:"acr_values_supported,omitempty"`
	Subjects         []string `json:"subject_types_supported"`
	IDTokenAlgs      []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth        []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectAuth   []string `json:"introspection_endpoint_auth_methods_supported"`
	RevokeAuth       []string `json:"revocation_endpoint_auth_methods_supported"`
	TokenAuthAlgs    []string `json:"token_endpoint_auth_signing_alg_values_supported"` // RFC 8414 §2: "none" MUST NOT be used
	Claims           []string `json:"claims_supported"`
	Challenges       []string `json:"code_challenge_methods_supported"`
	Prompts          []string `json:"prompt_values_supported"`
	ClaimsParameter  bool     `json:"claims_parameter_supported"`
	RequestParameter bool     `json:"request_parameter_supported"`
	RequestURI       bool     `json:"request_uri_parameter_supported"` // true if omitted, Discovery §3
	IssuerInAnswer   bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimTypes       []string `json:"claim_types_supported"`
}

func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return p.c.Issuer + path }
	public(w)
	writeJSON(w, http.StatusOK, metadata{
		Issuer: p.c.Issuer, Authorization: at(PathAuthorize), Token: at(PathToken), Userinfo: at(PathUserinfo),
		Keys: at(PathKeys), EndSession: at(PathLogout), Introspection: at(PathIntrospect), Revocation: at(PathRevoke),
		Scopes:        []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline},
		ResponseTypes: []string{"code"}, ResponseModes: []string{modeQuery, modeFormPost}, GrantTypes: slices.Sorted(maps.Keys(p.issuers())),
		ACRs: p.c.ACRs, Subjects: []string{"public"},
		IDTokenAlgs: []string{ES256, RS256}, // Discovery §3: RS256 MUST be included
		TokenAuth:   append(authMethods(), "none"), IntrospectAuth: authMethods(), RevokeAuth: append(authMethods(), "none"), TokenAuthAlgs: assertionAlgNames(),
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "roles",
			"name", "given_name", "family_name", "nickname", "preferred_username", "picture", "locale", "zoneinfo", "updated_at",
			"email", "email_verified"},
		Challenges: []string{"S256"}, Prompts: promptValues(), ClaimTypes: []string{"normal"}, IssuerInAnswer: true,
	})
}

// authMethods are the ways in which clients prove who they are.
func authMethods() []string {
	return []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
}

func (p *Provider) serveKeys(w http.ResponseWriter, r *http.Request) {
	keys, err := p.c.Keys.PublicKeys(r.Context())
	if err != nil {
		p.apiError(w, r, "keys", "", refusalOf(err, codeServerError, "the keys could not be read"))
		return
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		// Named types only: a private key must not slip into a public document.
		switch k.Key.(type) {
		case *ecdsa.PublicKey, *rsa.PublicKey:
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Key, KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
		}
	}
	public(w)
	tagged(w, r, set)
}

// tagged answers a document with a tag by which it is told whether it is still
// the same (RFC 9110 §8.8.3, §13.1.2).
func tagged(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeJSON(w, http.StatusOK, v) // says so
		return
	}
	sum := sha256.Sum256(b)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", tag)
	if slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, json.RawMessage(b))
}

// KeyID names a public key after itself, RFC 7638 §3 (SHA-256, base64url).
func KeyID(pub crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fault.New(fault.Invalid, "a signing key must be ECDSA P-256 or RSA")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// public lets anybody, on any site, read and cache a document.
func public(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types only: a programmer's error
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client went away: nobody to tell
}
