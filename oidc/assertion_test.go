package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// UseAssertion implements oidc.Assertions.
func (w *world) UseAssertion(_ context.Context, c oidc.Client, k oidc.ClientKey, jti string, _ time.Time) error {
	time.Sleep(time.Millisecond) // let racers meet
	w.mu.Lock()
	defer w.mu.Unlock()
	name := c.ID + " " + jti
	if k.ID.IsZero() || w.used[name] {
		return fault.New(fault.Refused, "used")
	}
	w.used[name] = true
	w.writes++
	return nil
}

// signer is a client that signs assertions.
type signer struct {
	w   *world
	key *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}

func newSigner(w *world) *signer {
	s := &signer{w: w}
	s.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	w.clients["signer"] = oidc.Client{ID: "signer", Name: "Signer", RedirectURIs: []string{callback}, Project: "project-1",
		Keys: []oidc.ClientKey{{ID: event.NewID(), KeyID: "old", Algorithm: "ES256", Key: &s.key.PublicKey}, {ID: event.NewID(), KeyID: "new", Algorithm: "RS256", Key: &s.rsa.PublicKey}}}
	return s
}

// claims are those of a good assertion, changed; nil removes one.
func (s *signer) claims(edit map[string]any) map[string]any {
	now := s.w.now()
	c := map[string]any{"iss": "signer", "sub": "signer", "aud": s.w.srv.URL, "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "jti": event.NewID().String()}
	for k, v := range edit {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (s *signer) sign(claims map[string]any, alg jose.SignatureAlgorithm, key any, kid string) string {
	b, _ := json.Marshal(claims)
	opts := &jose.SignerOptions{}
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	j, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		s.w.t.Fatal(err)
	}
	jws, err := j.Sign(b)
	if err != nil {
		s.w.t.Fatal(err)
	}
	out, _ := jws.CompactSerialize()
	return out
}

// with is a request by which the client proves itself with an assertion.
func (s *signer) with(v url.Values, assertion string) url.Values {
	return with(v, "client_assertion_type", assertionType, "client_assertion", assertion)
}

// TestAssertions: RFC 7523 §2.2 and §3, OpenID Connect Core §9, RFC 8725 §3.
func TestAssertions(t *testing.T) {
	w := newWorld(t)
	s := newSigner(w)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	now := w.now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	spent := s.claims(nil)
	for _, c := range []struct {
		name  string
		edit  map[string]any
		alg   jose.SignatureAlgorithm
		key   any
		kid   string
		pairs []string
		auth  func(*http.Request)
		want  string // error; empty: accepted
	}{
		{name: "aud is the issuer"},
		{name: "aud is the token endpoint", edit: map[string]any{"aud": w.srv.URL + oidc.PathToken}},
		{name: "aud is a list of one", edit: map[string]any{"aud": []string{w.srv.URL}}},
		{name: "client_id, too (§2.2)", pairs: []string{"client_id", "signer"}},
		{name: "by kid", kid: "old"},
		{name: "RSA", alg: jose.RS256, key: s.rsa, kid: "new"},
		{name: "without iat", edit: map[string]any{"iat": nil}},
		{name: "exp has a fraction (RFC 7519 §2)", edit: map[string]any{"exp": float64(at(time.Minute)) + 0.5}},
		{name: "just expired, clocks differ", edit: map[string]any{"exp": at(-10 * time.Second)}},

		{name: "aud is another server", edit: map[string]any{"aud": "https://evil.example"}, want: "invalid_client"},
		{name: "aud is two servers", edit: map[string]any{"aud": []string{w.srv.URL, "https://evil.example"}}, want: "invalid_client"},
		{name: "no aud", edit: map[string]any{"aud": nil}, want: "invalid_client"},
		{name: "no exp", edit: map[string]any{"exp": nil}, want: "invalid_client"},
		{name: "exp is far away", edit: map[string]any{"exp": at(time.Hour)}, want: "invalid_client"},
		{name: "exp is at the end of time", edit: map[string]any{"exp": 1e300}, want: "invalid_client"},
		{name: "exp is text", edit: map[string]any{"exp": "tomorrow"}, want: "invalid_client"},
		{name: "expired", edit: map[string]any{"exp": at(-time.Minute)}, want: "invalid_client"},
		{name: "not valid yet", edit: map[string]any{"nbf": at(time.Minute + time.Second)}, want: "invalid_client"},
		{name: "issued in the future", edit: map[string]any{"iat": at(time.Minute + time.Second)}, want: "invalid_client"},
		{name: "no jti", edit: map[string]any{"jti": nil}, want: "invalid_client"},
		{name: "iss is another", edit: map[string]any{"iss": "web"}, want: "invalid_client"},
		{name: "sub is another", edit: map[string]any{"sub": "web"}, want: "invalid_client"},
		{name: "sub is unknown", edit: map[string]any{"sub": "nobody", "iss": "nobody"}, want: "invalid_client"},
		{name: "no sub", edit: map[string]any{"sub": nil}, want: "invalid_client"},
		{name: "another's key", key: other, want: "invalid_client"},
		{name: "another's key by the kid of a good one", key: other, kid: "old", want: "invalid_client"},
		{name: "an unknown kid", kid: "nowhere", want: "invalid_client"},
		{name: "an algorithm that the key is not for (RFC 8725 §3.1)", alg: jose.PS256, key: s.rsa, want: "invalid_client"},
		{name: "symmetric, with the public key (RFC 8725 §2.1)", alg: jose.HS256, key: s.key.X.Bytes(), want: "invalid_client"},
		{name: "client_id differs", pairs: []string{"client_id", "web"}, want: "invalid_request"},
		{name: "a secret, too", pairs: []string{"client_secret", "x"}, want: "invalid_request"},
		{name: "Basic, too", auth: func(r *http.Request) { r.SetBasicAuth("web", webSecret) }, want: "invalid_request"},
		{name: "another type of assertion", pairs: []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, want: "invalid_client"},
		{name: "no type", pairs: []string{"client_assertion_type", ""}, want: "invalid_client"},
		{name: "no assertion", pairs: []string{"client_assertion", ""}, want: "invalid_client"},
		{name: "not a JWT", pairs: []string{"client_assertion", "abc"}, want: "invalid_client"},
		{name: "unsigned", pairs: []string{"client_assertion", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzaWduZXIifQ."}, want: "invalid_client"},
		{name: "first use", edit: spent},
		{name: "used before", edit: spent, want: "invalid_client"},
	} {
		if c.alg == "" {
			c.alg = jose.ES256
		}
		if c.key == nil {
			c.key = s.key
		}
		if c.auth == nil {
			c.auth = noAuth
		}
		v := s.with(exchangeUnknown(), s.sign(s.claims(c.edit), c.alg, c.key, c.kid))
		want := c.want
		if want == "" {
			want = "invalid_grant" // the client is known, the code is not
		}
		if a := w.token(with(v, c.pairs...), c.auth); a.Error != want {
			t.Errorf("%s: %d %q, want %q", c.name, a.status, a.Error, want)
		}
	}
	// A client that signs is not believed a secret, nor nothing.
	for _, edit := range []func(*http.Request){func(r *http.Request) { r.SetBasicAuth("signer", webSecret) }} {
		if a := w.token(exchangeUnknown(), edit); a.Error != "invalid_client" {
			t.Errorf("%q", a.Error)
		}
	}
	if a := w.token(with(exchangeUnknown(), "client_id", "signer"), noAuth); a.Error != "invalid_client" {
		t.Errorf("%q", a.Error)
	}
	// A client with a secret signs nothing.
	if a := w.token(s.with(exchangeUnknown(), s.sign(s.claims(map[string]any{"iss": "web", "sub": "web"}), jose.ES256, s.key, "")), noAuth); a.Error != "invalid_client" {
		t.Errorf("%q", a.Error)
	}
}

func exchangeUnknown() url.Values { return exchange("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") }

// TestEightAssertions: of any number of requests at once with one assertion,
// one is from the client.
func TestEightAssertions(t *testing.T) {
	w := newWorld(t)
	s := newSigner(w)
	v := s.with(exchangeUnknown(), s.sign(s.claims(nil), jose.ES256, s.key, ""))
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 8 {
		wg.Go(func() {
			a := w.token(v, noAuth)
			mu.Lock()
			defer mu.Unlock()
			answers[a.Error]++
		})
	}
	wg.Wait()
	if answers["invalid_grant"] != 1 || answers["invalid_client"] != 7 {
		t.Errorf("%v", answers)
	}
}
