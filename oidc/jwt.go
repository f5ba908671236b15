package oidc

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Signature algorithms, RFC 7518 §3.1.
const (
	ES256 = "ES256"
	RS256 = "RS256"
)

// Types in a token's header, which keep one kind from being taken for another
// (RFC 8725 §3.11).
const (
	typeID     = "JWT"
	typeAccess = "at+jwt" // RFC 9068 §2.1
)

// AccessToken is what an access token of ours says, RFC 9068 §2.2.
type AccessToken struct {
	ID       event.ID // jti
	Grant    event.ID
	Session  event.ID
	User     event.ID
	Client   string
	Audience []string // the issuer (for userinfo), projects, the API
	Scopes   []string
	AuthTime time.Time
	AMR      []string
	ACR      string
	Issued   time.Time
	Expires  time.Time
}

// APIAudience is the audience of tokens for Muniment's own API.
func (p *Provider) APIAudience() string { return p.c.Issuer + "/api" }

type accessClaims struct {
	Issuer   string              `json:"iss"`
	Subject  event.ID            `json:"sub"`
	Audience []string            `json:"aud"`
	Expires  int64               `json:"exp"`
	Issued   int64               `json:"iat"`
	ID       event.ID            `json:"jti"`
	Client   string              `json:"client_id"`
	Scope    string              `json:"scope"`
	AuthTime int64               `json:"auth_time,omitempty"`
	ACR      string              `json:"acr,omitempty"`
	AMR      []string            `json:"amr,omitempty"`
	Session  event.ID            `json:"sid,omitzero"` // none of a machine user's; nor is the next
	Grant    event.ID            `json:"urn:muniment:grant,omitzero"`
	Roles    map[string][]string `json:"urn:muniment:roles,omitempty"` // "roles" is a list in RFC 9068 §2.2.3.1
}

// idClaims are those of OpenID Connect Core §2. azp is left out: it is for
// extensions that we do not use.
type idClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Nonce    string   `json:"nonce,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	ATHash   string   `json:"at_hash,omitempty"`
	personClaims
}

// personClaims are those of OpenID Connect Core §5.1, and roles.
type personClaims struct {
	Name          string              `json:"name,omitempty"`
	GivenName     string              `json:"given_name,omitempty"`
	FamilyName    string              `json:"family_name,omitempty"`
	Nickname      string              `json:"nickname,omitempty"`
	Username      string              `json:"preferred_username,omitempty"`
	Picture       string              `json:"picture,omitempty"`
	Locale        string              `json:"locale,omitempty"`
	Zoneinfo      string              `json:"zoneinfo,omitempty"`
	UpdatedAt     int64               `json:"updated_at,omitempty"`
	Email         string              `json:"email,omitempty"`
	EmailVerified *bool               `json:"email_verified,omitempty"`
	Roles         map[string][]string `json:"roles,omitempty"`
}

// audience is written as a string and read as a string or a list, RFC 7519
// §4.1.3.
type audience string

func (a *audience) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil && len(list) == 1 {
		*a = audience(list[0])
		return nil
	}
	return json.Unmarshal(b, (*string)(a))
}

// claimsOf filters what is known of a person by the scopes granted, OpenID
// Connect Core §5.4. Roles in the client's own project need no scope.
func claimsOf(u UserClaims, scopes []string) personClaims {
	out := personClaims{Roles: u.Roles}
	if slices.Contains(scopes, ScopeProfile) {
		out.Name, out.GivenName, out.FamilyName, out.Nickname = u.Name, u.GivenName, u.FamilyName, u.Nickname
		out.Username, out.Picture, out.Locale, out.Zoneinfo = u.Username, u.Picture, u.Locale, u.Zoneinfo
		if !u.UpdatedAt.IsZero() {
			out.UpdatedAt = u.UpdatedAt.Unix()
		}
	}
	if slices.Contains(scopes, ScopeEmail) && u.Email != "" {
		out.Email, out.EmailVerified = u.Email, &u.EmailVerified
	}
	return out
}

// signAccess makes the access token as a JWT, RFC 9068.
func (p *Provider) signAccess(ctx context.Context, t AccessToken, roles map[string][]string) (string, error) {
	return p.sign(ctx, ES256, typeAccess, accessClaims{
		Issuer: p.c.Issuer, Subject: t.User, Audience: t.Audience, Expires: t.Expires.Unix(), Issued: t.Issued.Unix(),
		ID: t.ID, Client: t.Client, Scope: strings.Join(t.Scopes, " "), AuthTime: unix(t.AuthTime), ACR: t.ACR, AMR: t.AMR,
		Session: t.Session, Grant: t.Grant, Roles: roles,
	})
}

// mintID makes the ID token that goes with an access token.
func (p *Provider) mintID(ctx context.Context, c Client, t AccessToken, nonce string, u UserClaims, access string) (string, error) {
	claims := idClaims{Issuer: p.c.Issuer, Subject: t.User.String(), Audience: audience(c.ID), Expires: t.Issued.Add(cmp.Or(c.IDTokenLife, p.c.IDTokenLife)).Unix(),
		Issued: t.Issued.Unix(), AuthTime: unix(t.AuthTime), Nonce: nonce, ACR: t.ACR, AMR: t.AMR, Session: t.Session.String(),
		ATHash: halfHash(access), personClaims: personClaims{Roles: u.Roles}}
	if c.FullIDToken {
		claims.personClaims = claimsOf(u, t.Scopes)
	}
	return p.sign(ctx, cmp.Or(c.IDTokenAlg, ES256), typeID, claims)
}

// halfHash is at_hash, OpenID Connect Core §3.1.3.6: the left half of the
// SHA-256 that ES256 and RS256 use.
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (p *Provider) sign(ctx context.Context, alg, typ string, claims any) (string, error) {
	if alg != ES256 && alg != RS256 {
		return "", fault.New(fault.Internal, "no signature algorithm %q", alg)
	}
	k, err := p.c.Keys.SigningKey(ctx, alg)
	if err != nil {
		return "", fault.Wrap("find the signing key", err)
	}
	opts := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", k.ID)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: cryptosigner.Opaque(k.Signer)}, opts)
	if err != nil {
		return "", fault.Wrap("sign a token", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fault.Wrap("encode a token", err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		return "", fault.Wrap("sign a token", err)
	}
	return jws.CompactSerialize()
}

var errNotOurs = fault.New(fault.Unauthenticated, "the token is not one of this issuer's")

// verify checks a token's signature, type and algorithm and returns its
// payload. The kind is Unauthenticated if the token is no good.
func (p *Provider) verify(ctx context.Context, raw, typ string) (none verifiedToken, _ error) {
	if len(raw) > maxTokenBytes {
		return none, errNotOurs
	}
	keys, err := p.c.Keys.PublicKeys(ctx)
	if err != nil {
		return none, fault.Wrap("find the public keys", err)
	}
	if t, ok := p.signatures.get(raw); ok && t.typ == typ && slices.ContainsFunc(keys, t.by) {
		return t, nil
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{ES256, RS256})
	if err != nil || len(jws.Signatures) != 1 {
		return none, errNotOurs
	}
	h := jws.Signatures[0].Protected
	if t, _ := h.ExtraHeaders[jose.HeaderType].(string); t != typ {
		return none, errNotOurs
	}
	for _, k := range keys {
		if k.ID != h.KeyID || k.Alg != h.Algorithm {
			continue
		}
		if payload, err := jws.Verify(k.Key); err == nil {
			t := verifiedToken{typ, k.ID, k.Alg, k.Key, payload, sync.OnceValues(func() (AccessToken, error) { return p.parseAccess(payload) })}
			p.signatures.put(raw, t)
			return t, nil
		}
	}
	return none, errNotOurs
}

// verifyHint reads an id_token_hint. It may have expired: it tells who is
// meant, and proves nothing.
func (p *Provider) verifyHint(ctx context.Context, raw string) (idClaims, error) {
	var c idClaims
	t, err := p.verify(ctx, raw, typeID)
	if err != nil {
		return c, err
	}
	if json.Unmarshal(t.payload, &c) != nil || c.Issuer != p.c.Issuer || c.Subject == "" || c.Audience == "" {
		return c, errNotOurs
	}
	return c, nil
}
