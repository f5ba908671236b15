package credential_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/event/eventtest"
	"muniment.dev/fault"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, credential.Events()) }

func jwk(t testing.TB, key any, id, alg string) string {
	b, err := jose.JSONWebKey{Key: key, KeyID: id, Algorithm: alg}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func public(t testing.TB) (p256, p384, p521, rsa2048, rsa1024 any, ed ed25519.PublicKey, private *ecdsa.PrivateKey) {
	ec := func(c elliptic.Curve) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small := rsa.PublicKey{N: new(big.Int).Rsh(r.N, 1024), E: r.E}
	ed, _, _ = ed25519.GenerateKey(rand.Reader)
	private = ec(elliptic.P256())
	return &private.PublicKey, &ec(elliptic.P384()).PublicKey, &ec(elliptic.P521()).PublicKey, &r.PublicKey, &small, ed, private
}

// Keys are public ones of the kinds that are safe (RFC 7517, RFC 7518 §3, RFC
// 8037), each used with one algorithm (RFC 8725 §3.2).
func TestParseKey(t *testing.T) {
	p256, p384, p521, large, small, ed, private := public(t)
	der, _ := x509.MarshalPKIXPublicKey(p256)
	secret, _ := x509.MarshalPKCS8PrivateKey(private)
	enc := func(typ string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}))
	}
	good := jwk(t, p256, "", "")
	for name, c := range map[string]struct{ text, alg string }{
		"P-256":             {good, "ES256"},
		"P-384":             {jwk(t, p384, "", ""), "ES384"},
		"RSA":               {jwk(t, large, "", ""), "RS256"},
		"RSA, PS256":        {jwk(t, large, "", "PS256"), "PS256"},
		"Ed25519":           {jwk(t, ed, "", ""), "EdDSA"},
		"PEM":               {enc("PUBLIC KEY", der), "ES256"},
		"P-521":             {jwk(t, p521, "", ""), ""},
		"small RSA":         {jwk(t, small, "", ""), ""},
		"another algorithm": {jwk(t, p256, "", "ES384"), ""},
		"none":              {jwk(t, p256, "", "none"), ""},
		"RSA with HS256":    {jwk(t, large, "", "HS256"), ""},
		"symmetric":         {`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`, ""},
		"private":           {jwk(t, private, "", ""), ""},
		"private, PEM":      {enc("PRIVATE KEY", secret), ""},
		"certificate":       {enc("CERTIFICATE", der), ""},
		"two in PEM":        {enc("PUBLIC KEY", der) + enc("PUBLIC KEY", der), ""},
		"with x5c":          {good[:len(good)-1] + `,"x5c":[]}`, ""},
		"with x5u":          {good[:len(good)-1] + `,"x5u":"https://evil.example/"}`, ""},
		"for encryption":    {good[:len(good)-1] + `,"use":"enc"}`, ""},
		"twice a member":    {good[:len(good)-1] + `,"crv":"P-384"}`, ""},
		"more behind":       {good + "{}", ""},
		"a set":             {`{"keys":[` + good + `]}`, ""},
		"a list":            {"[" + good + "]", ""},
		"off the curve":     {`{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}`, ""},
		"empty":             {"", ""},
		"flood":             {strings.Repeat(" ", 9<<10) + "{" + strings.Repeat("x", 9<<10), ""},
	} {
		k, err := credential.ParseKey(c.text)
		if (err == nil) != (c.alg != "") || k.Algorithm != c.alg {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
		if err != nil && (!fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "AyM1")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	named, _ := credential.ParseKey(jwk(t, p256, "mine", "ES256"))
	plain, _ := credential.ParseKey(enc("PUBLIC KEY", der))
	if named.KeyID != "mine" || plain.KeyID == "" || named.JWK != plain.JWK {
		t.Errorf("%+v\n%+v", named, plain)
	}
}

// Whatever is read as a key is public and has one form.
func FuzzParseKey(f *testing.F) {
	p256, _, _, large, _, ed, private := public(f)
	for _, k := range []any{p256, large, ed, private} {
		f.Add(jwk(f, k, "k", ""))
	}
	f.Add(`{"kty":"EC","kty":"RSA"}`)
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := credential.ParseKey(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := credential.ParseKey(k.JWK)
		if err != nil || again.JWK != k.JWK || strings.Contains(k.JWK, `"d"`) {
			t.Fatalf("%q reads as %q, %v", text, again.JWK, err)
		}
		if _, err := k.Public(); err != nil {
			t.Fatal(err)
		}
	})
}

// An assertion proves something once (RFC 7523 §3, OpenID Connect Core §9).
func TestUsingAssertion(t *testing.T) {
	registry := event.NewRegistry(authz.Events(), credential.Events())
	client := event.MustID("0e000000000000000000000000000001")
	c := credential.UseAssertion{Assertion: credential.Assertion("a", "j"), AssertionUsed: credential.AssertionUsed{Application: client, Expires: 5}}
	type is = decidetest.Case[credential.UseAssertion]
	used := func(id event.ID) []event.New {
		return []event.New{{Stream: credential.AssertionStream(id), Payload: c.AssertionUsed}}
	}
	decidetest.Run(t, registry, credential.UsingAssertion,
		is{Name: "once", When: c, Then: []any{c.AssertionUsed}},
		is{Name: "again", Given: used(c.Assertion), When: c, Err: credential.ErrUsed},
		is{Name: "another jti", Given: used(credential.Assertion("a", "k")), When: c, Then: []any{c.AssertionUsed}},
		is{Name: "another client's", Given: used(credential.Assertion("b", "j")), When: c, Then: []any{c.AssertionUsed}},
	)
}

// What has expired does not work, and the instant itself is past.
func TestExpiry(t *testing.T) {
	id := event.MustID("0f000000000000000000000000000001")
	s := credential.Set{}.WithSecret(credential.Secret{ID: id, Expires: 10, Digest: event.Seal(make([]byte, 32))})
	for now, live := range map[event.Instant]bool{9: true, 10: false, 11: false} {
		if s.Live(id, now) != live || len(s.LiveSecrets(now)) == 1 != live {
			t.Errorf("at %d: %v", now, s.Live(id, now))
		}
	}
	if s.Without(id).Live(id, 1) || !s.Secrets[0].Proves([32]byte{}) || s.Secrets[0].Proves([32]byte{1}) || (credential.Secret{}).Proves([32]byte{}) {
		t.Error("a secret proves what it should not, or does not what it should")
	}
}
