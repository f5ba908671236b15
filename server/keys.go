package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync"

	"muniment.dev/decide"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/oidc"
)

// keyring gives the OpenID provider the instance's signing keys, which stand
// in the log. It implements oidc.Keys.
type keyring struct {
	core *Core

	mu     sync.Mutex
	parsed map[string]crypto.Signer // private keys by id
}

// SigningKey implements oidc.Keys: a key is made when it is first needed.
func (k *keyring) SigningKey(ctx context.Context, alg string) (oidc.SigningKey, error) {
	st, err := k.core.ReadInstance(ctx)
	if err != nil {
		return oidc.SigningKey{}, err
	}
	key, ok := st.Key(alg)
	if !ok {
		if err := k.create(ctx, alg); err != nil {
			return oidc.SigningKey{}, fault.Wrap("create a signing key", err)
		}
		if st, err = k.core.ReadInstance(ctx); err != nil {
			return oidc.SigningKey{}, err
		}
		if key, ok = st.Key(alg); !ok {
			return oidc.SigningKey{}, fault.New(fault.Internal, "a signing key was created and is not there")
		}
	}
	signer, err := k.parse(key)
	return oidc.SigningKey{ID: key.Key, Alg: alg, Signer: signer}, err
}

func (k *keyring) parse(key instance.SigningKeyCreated) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.parsed[key.Key]; ok {
		return s, nil
	}
	der, ok := key.Private.Get()
	if !ok {
		return nil, fault.New(fault.Unavailable, "the signing key cannot be opened")
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fault.Wrap("parse a signing key", err)
	}
	s, ok := private.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Corrupt, "a stored signing key does not sign")
	}
	if k.parsed == nil {
		k.parsed = map[string]crypto.Signer{}
	}
	k.parsed[key.Key] = s
	return s, nil
}

func (k *keyring) create(ctx context.Context, alg string) error {
	var s crypto.Signer
	var err error
	switch alg {
	case "ES256":
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		s, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return fault.Field("alg", "must be ES256 or RS256")
	}
	if err != nil {
		return err
	}
	private, err1 := x509.MarshalPKCS8PrivateKey(s)
	public, err2 := x509.MarshalPKIXPublicKey(s.Public())
	id, err3 := oidc.KeyID(s.Public())
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	_, err = decide.Run(ctx, k.core.Runner, instance.CreatingSigningKey, bySystem("oidc"),
		instance.CreateSigningKey{Instance: k.core.Sealer.Instance.ID, Key: id, Algorithm: alg, Public: public, Private: private})
	return err
}

// PublicKeys implements oidc.Keys. The key that signs access tokens is made here
// if it is not there yet: whoever keeps the answer has it for a while.
func (k *keyring) PublicKeys(ctx context.Context) ([]oidc.PublicKey, error) {
	if _, err := k.SigningKey(ctx, oidc.ES256); err != nil {
		return nil, err
	}
	st, err := k.core.ReadInstance(ctx)
	if err != nil {
		return nil, err
	}
	var out []oidc.PublicKey
	for _, key := range st.Keys {
		public, err := x509.ParsePKIXPublicKey(key.Public)
		if err != nil {
			return nil, fault.Wrap("parse a public key", err)
		}
		out = append(out, oidc.PublicKey{ID: key.Key, Alg: key.Algorithm, Key: public})
	}
	return out, nil
}
