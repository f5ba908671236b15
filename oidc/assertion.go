package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// assertionType is RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of assertions. A client makes one for each request, so it need not
// live for longer than the request takes; clocks differ by a little.
const (
	maxAssertion     = 4 << 10
	maxAssertionLife = 5 * time.Minute
	clockSkew        = 30 * time.Second
)

// assertionAlgs are accepted; which of them, a key says. Symmetric ones and
// "none" are not among them (RFC 8725 §3.1).
var assertionAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA}

// assertionAlgNames are the names of assertionAlgs, RFC 8414 §2.
func assertionAlgNames() (names []string) {
	for _, a := range assertionAlgs {
		names = append(names, string(a))
	}
	return names
}

// assertionClaims are RFC 7523 §3.
type assertionClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  oneOf    `json:"aud"`
	Expires   *seconds `json:"exp"`
	NotBefore *seconds `json:"nbf"`
	Issued    *seconds `json:"iat"`
	ID        string   `json:"jti"`
}

// oneOf is an audience: a text, or a list with one (RFC 7519 §4.1.3). One that
// is meant for several servers could be used at each of them.
type oneOf string

func (o *oneOf) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		if len(list) != 1 {
			return fault.New(fault.Invalid, "one audience")
		}
		*o = oneOf(list[0])
		return nil
	}
	return json.Unmarshal(b, (*string)(o))
}

// seconds is a NumericDate, RFC 7519 §2: it may have a fraction.
type seconds float64

func (s seconds) time() time.Time {
	return time.UnixMicro(int64(min(max(float64(s), -1e11), 1e11) * 1e6))
}

// assertionCredentials reads who an assertion is said to be of, RFC 7523 §2.2
// and §3. Its signature is not checked yet.
func assertionCredentials(r *http.Request, ps params) (credentials, *refusal) {
	in := credentials{id: ps.get("client_id"), assertion: ps.get("client_assertion")}
	switch {
	case ps.get("client_assertion_type") != assertionType:
		return in, refuse(codeInvalidClient, "client_assertion_type must be "+assertionType)
	case len(r.Header.Values("Authorization")) > 0 || ps.get("client_secret") != "":
		return in, refuse(codeInvalidRequest, "the client used two ways to authenticate at once")
	}
	c, ok := readAssertion(in.assertion)
	switch {
	case !ok || c.Subject == "" || !clean(c.Subject):
		return in, refuse(codeInvalidClient, "client_assertion is not a signed JWT with iss, sub, aud, exp and jti")
	case in.id != "" && in.id != c.Subject: // RFC 7523 §2.2
		return in, refuse(codeInvalidRequest, "client_id differs from the sub of client_assertion")
	}
	in.id = c.Subject
	return in, nil
}

// readAssertion reads what an assertion says, whoever signed it.
func readAssertion(raw string) (c assertionClaims, ok bool) {
	if len(raw) > maxAssertion {
		return c, false
	}
	jws, err := jose.ParseSignedCompact(raw, assertionAlgs)
	if err != nil || len(jws.Signatures) != 1 {
		return c, false
	}
	return c, json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c) == nil
}

// proved checks an assertion of a client and spends it. A stranger learns
// nothing from the refusal but that it is no good. The id is that of the key.
func (p *Provider) proved(r *http.Request, c Client, raw string) (event.ID, *refusal) {
	no := refuse(codeInvalidClient, "the client is unknown or its authentication is not good")
	k, claims, ok := verifyAssertion(c, raw)
	if !ok {
		return k.ID, no
	}
	// The client has proved itself, so it is told what else is wrong.
	expires, e := p.timely(claims)
	if e != nil {
		return k.ID, e
	}
	switch {
	case claims.Issuer != c.ID || claims.Subject != c.ID: // OpenID Connect Core §9
		return k.ID, refuse(codeInvalidClient, "iss and sub of client_assertion must be the client_id")
	case string(claims.Audience) != p.c.Issuer && string(claims.Audience) != p.c.Issuer+PathToken: // RFC 7523 §3
		return k.ID, refuse(codeInvalidClient, "aud of client_assertion must be the issuer or the token endpoint, and nothing else")
	case claims.ID == "" || len(claims.ID) > 256:
		return k.ID, refuse(codeInvalidClient, "jti of client_assertion must have between 1 and 256 characters")
	case p.c.Assertions == nil:
		return k.ID, refuse(codeInvalidClient, "client assertions are not supported")
	}
	if err := p.c.Assertions.UseAssertion(r.Context(), c, k, claims.ID, expires); err != nil {
		return k.ID, refusalOf(err, codeInvalidClient, "this client_assertion was used before; sign a new one, with another jti, for each request")
	}
	return k.ID, nil
}

// verifyAssertion finds the key by which an assertion is signed.
func verifyAssertion(c Client, raw string) (ClientKey, assertionClaims, bool) {
	var claims assertionClaims
	if len(raw) > maxAssertion || len(c.Keys) == 0 {
		return ClientKey{}, claims, false
	}
	jws, err := jose.ParseSignedCompact(raw, assertionAlgs)
	if err != nil || len(jws.Signatures) != 1 {
		return ClientKey{}, claims, false
	}
	h := jws.Signatures[0].Protected
	for _, k := range c.Keys {
		// RFC 8725 §3.1: the key says with which algorithm it is used.
		if k.Algorithm != h.Algorithm || h.KeyID != "" && h.KeyID != k.KeyID {
			continue
		}
		if payload, err := jws.Verify(k.Key); err == nil {
			return k, claims, json.Unmarshal(payload, &claims) == nil
		}
	}
	return ClientKey{}, claims, false
}

// timely checks the times of an assertion, RFC 7523 §3.
func (p *Provider) timely(c assertionClaims) (time.Time, *refusal) {
	now := p.c.Now()
	if c.Expires == nil {
		return now, refuse(codeInvalidClient, "client_assertion has no exp")
	}
	expires := c.Expires.time()
	switch {
	case !now.Before(expires.Add(clockSkew)):
		return now, refuse(codeInvalidClient, "client_assertion has expired")
	case expires.After(now.Add(maxAssertionLife + clockSkew)):
		return now, refuse(codeInvalidClient, "exp of client_assertion is too far away; at most five minutes")
	case slices.ContainsFunc([]*seconds{c.NotBefore, c.Issued}, func(s *seconds) bool { return s != nil && s.time().After(now.Add(clockSkew)) }):
		return now, refuse(codeInvalidClient, "client_assertion is not valid yet")
	}
	return expires, nil
}
