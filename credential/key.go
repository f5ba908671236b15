package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"muniment.dev/fault"
)

// Algorithms are those of keys, RFC 7518 §3.1 and RFC 8037 §3.1. Symmetric ones
// are not among them (RFC 8725 §3.1): who can check must not be able to sign.
func Algorithms() []string { return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} }

// Bounds of what is read as a key.
const (
	maxKeyText = 8 << 10
	maxRSA     = 4096 // bits: checking a signature with more is work that a stranger could cause
)

// members are what a JWK of a public key may say, RFC 7517 §4 and RFC 7518 §6.
var members = []string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"}

// ParseKey reads a public key: a JWK (RFC 7517), or PEM as openssl writes it. It
// wants EC P-256 or P-384, RSA of 2048 to 4096 bits, or Ed25519. The JWK of the
// result has one form for each key.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxKeyText {
		return Key{}, invalid("must be a public key: a JWK, or PEM")
	}
	in, err := read(text)
	if err != nil {
		return Key{}, err
	}
	alg, err := algorithmOf(in.Key)
	if err != nil {
		return Key{}, err
	}
	// RFC 7517 §4.4. A key is used with one algorithm only (RFC 8725 §3.2).
	if in.Algorithm == "PS256" && alg == "RS256" {
		alg = "PS256"
	}
	if in.Algorithm != "" && in.Algorithm != alg {
		return Key{}, invalid("the key is for the algorithm " + alg + "; its JWK names another")
	}
	return normal(in.Key, in.KeyID, alg)
}

func invalid(what string) error { return fault.Field("public_key", "%s", what) }

func read(text string) (jose.JSONWebKey, error) {
	if strings.HasPrefix(text, "-----BEGIN ") {
		return readPEM(text)
	}
	return readJWK(text)
}

// readJWK reads strictly: a member that a public key does not have may be the
// private half of it.
func readJWK(text string) (k jose.JSONWebKey, err error) {
	all := map[string]json.RawMessage{}
	d := json.NewDecoder(strings.NewReader(text))
	if d.Decode(&all) != nil || !atEnd(d) || twice(text) {
		return k, invalid("must be one JSON object, a JWK, or PEM")
	}
	for name := range all {
		switch {
		case slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, name):
			return k, invalid("this is a private key, which belongs to the client alone: take another pair, and register its public half")
		case !slices.Contains(members, name):
			return k, invalid("the JWK has a member that a public key does not have; leave kty, crv, x, y, n, e, kid, alg and use")
		}
	}
	var use struct {
		Use string `json:"use"`
	}
	if json.Unmarshal([]byte(text), &use) != nil || use.Use != "" && use.Use != "sig" { // RFC 7517 §4.2
		return k, invalid("the key is not for signatures")
	}
	if k.UnmarshalJSON([]byte(text)) != nil || !k.Valid() || !k.IsPublic() {
		return k, invalid("is not a public key that can be read: EC P-256 or P-384, RSA of at least 2048 bits, or Ed25519")
	}
	if len(k.KeyID) > 200 || strings.ContainsFunc(k.KeyID, func(r rune) bool { return r < ' ' || r > '~' }) {
		return k, invalid("its key id must be at most 200 characters of ASCII")
	}
	return k, nil
}

func atEnd(d *json.Decoder) bool {
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// twice reports whether a member of the object stands there twice: readers
// differ about which of them counts (RFC 7517 §4).
func twice(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.Token() // the brace
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		s, _ := name.(string)
		var value json.RawMessage
		if err != nil || seen[s] || d.Decode(&value) != nil {
			return true
		}
		seen[s] = true
	}
	return false
}

func readPEM(text string) (jose.JSONWebKey, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || len(bytes.TrimSpace(rest)) > 0:
		return jose.JSONWebKey{}, invalid("is not PEM of one key")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return jose.JSONWebKey{}, invalid("this is a private key, which belongs to the client alone: take another pair, and register its public half")
	case block.Type != "PUBLIC KEY":
		return jose.JSONWebKey{}, invalid("must be PEM of a PUBLIC KEY, such as openssl pkey -pubout writes")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return jose.JSONWebKey{}, invalid("is not a public key that can be read")
	}
	return jose.JSONWebKey{Key: key}, nil
}

// algorithmOf is the algorithm of a key's signatures.
func algorithmOf(key any) (string, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return "ES256", nil
		case elliptic.P384():
			return "ES384", nil
		}
	case *rsa.PublicKey: // RFC 7518 §3.3: 2048 bits or larger
		if n := k.N.BitLen(); n >= 2048 && n <= maxRSA && k.E >= 3 && k.E&1 == 1 {
			return "RS256", nil
		}
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", invalid("must be EC P-256 or P-384, RSA of 2048 to 4096 bits, or Ed25519")
}

// normal is a key in its one form.
func normal(key any, id, alg string) (Key, error) {
	j := jose.JSONWebKey{Key: key}
	sum, err := j.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return Key{}, invalid("is not a public key that can be read")
	}
	text, err := j.MarshalJSON()
	if err != nil {
		return Key{}, invalid("is not a public key that can be read")
	}
	if id == "" {
		id = base64.RawURLEncoding.EncodeToString(sum)
	}
	return Key{KeyID: id, Algorithm: alg, JWK: string(text)}, nil
}

// Public is the key itself, to check signatures with.
func (k Key) Public() (crypto.PublicKey, error) {
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON([]byte(k.JWK)); err != nil {
		return nil, fault.New(fault.Corrupt, "a public key in the log cannot be read")
	}
	return j.Key, nil
}
