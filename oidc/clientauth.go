package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// credentials are how a client says who it is, RFC 6749 §2.3.1.
type credentials struct {
	id        string
	secret    string // empty if none was sent
	assertion string // RFC 7523 §2.2; empty if none was sent
}

// clientCredentials reads them: HTTP Basic, client_id with or without
// client_secret in the body, or an assertion. Only one way at a time, RFC 6749
// §2.3.
func clientCredentials(r *http.Request, ps params) (credentials, *refusal) {
	in := credentials{id: ps.get("client_id"), secret: ps.get("client_secret")}
	if ps.get("client_assertion") != "" || ps.get("client_assertion_type") != "" {
		return assertionCredentials(r, ps)
	}
	if len(r.Header.Values("Authorization")) == 0 {
		if in.id == "" {
			return in, refuse(codeInvalidClient, "the client did not say who it is; send client_id, or HTTP Basic")
		}
		return in, nil
	}
	basic, e := basicCredentials(r.Header.Values("Authorization"))
	switch {
	case e != nil:
		return basic, e
	case in.secret != "":
		return basic, refuse(codeInvalidRequest, "the client used two ways to authenticate at once")
	case in.id != "" && in.id != basic.id:
		return basic, refuse(codeInvalidRequest, "client_id differs from the one in the Authorization header")
	}
	return basic, nil
}

// basicCredentials reads RFC 7617 with the encoding that RFC 6749 §2.3.1 puts
// on top: both parts are form-urlencoded first.
func basicCredentials(headers []string) (credentials, *refusal) {
	bad := refuse(codeInvalidClient, "the Authorization header is not HTTP Basic with form-urlencoded client_id and client_secret")
	scheme, b64, _ := strings.Cut(headers[0], " ")
	if len(headers) != 1 || !strings.EqualFold(scheme, "Basic") || len(b64) > 4096 {
		return credentials{}, bad
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimLeft(b64, " "))
	if err != nil {
		return credentials{}, bad
	}
	user, pass, ok := strings.Cut(string(b), ":")
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(pass)
	if !ok || err1 != nil || err2 != nil || id == "" || secret == "" || !clean(id) || !clean(secret) {
		return credentials{}, bad
	}
	return credentials{id: id, secret: secret}, nil
}

// authenticate finds the client and checks its secret. Unknown client, wrong
// secret and missing secret get the same answer after the same work.
func (p *Provider) authenticate(r *http.Request, cr credentials) (Client, *refusal) {
	no := refuse(codeInvalidClient, "the client is unknown or its authentication is not good")
	if len(cr.id) > 256 {
		return Client{}, no
	}
	c, err := p.c.Clients.Client(r.Context(), cr.id)
	if err != nil {
		c = Client{}
		if fault.KindOf(err) != fault.NotFound {
			return c, refusalOf(err, codeInvalidClient, no.desc)
		}
	}
	proof, match := secretMatches(c, cr.secret)
	switch {
	case err != nil:
		return Client{}, no
	case cr.assertion != "":
		c.Proof, no = p.proved(r, c, cr.assertion)
		return c, no
	case c.Type.Public():
		// A public client has no secret; one that sends it is not that client.
		if cr.secret != "" {
			return c, no
		}
		return c, nil
	case !match || len(c.Keys) > 0 && c.Type != Machine:
		return c, no
	}
	c.Proof = proof
	return c, nil
}

// secretMatches compares SHA-256 values in constant time, all of them, and
// names the one that matches.
func secretMatches(c Client, secret string) (which event.ID, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	match := subtle.ConstantTimeCompare(sum[:], make([]byte, len(sum))) // a comparison also where there is no secret
	at := 0
	for i, s := range c.Secrets {
		same := subtle.ConstantTimeCompare(sum[:], s[:])
		match |= same
		at = subtle.ConstantTimeSelect(same, i, at)
	}
	if match != 1 || secret == "" {
		return which, false
	}
	if at < len(c.SecretIDs) {
		which = c.SecretIDs[at]
	}
	return which, true
}
