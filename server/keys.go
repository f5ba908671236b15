package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"muniment.dev/decide"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/oidc"
)

// keyring gives the OpenID provider the instance's signing keys, which stand
// in the log. It implements oidc.Keys.
type keyring struct {
	core *Core

	mu      sync.Mutex
	private map[string]crypto.Signer // by id
	public  map[string]crypto.PublicKey
}

// SigningKey implements oidc.Keys: the first key of an algorithm is made when it
// is needed.
func (k *keyring) SigningKey(ctx context.Context, alg string) (oidc.SigningKey, error) {
	st, err := k.core.ReadInstance(ctx)
	if err != nil {
		return oidc.SigningKey{}, err
	}
	key, ok := st.Key(alg)
	if !ok {
		if err := k.rotate(ctx, alg); err != nil {
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

func (k *keyring) parse(key instance.SigningKey) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.private[key.Key]; ok {
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
	if k.private == nil {
		k.private = map[string]crypto.Signer{}
	}
	k.private[key.Key] = s
	return s, nil
}

// newKey makes a key.
func newKey(alg string) (instance.NewKey, error) {
	var s crypto.Signer
	var err error
	switch alg {
	case oidc.ES256:
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case oidc.RS256:
		s, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return instance.NewKey{}, fault.Field("alg", "must be ES256 or RS256")
	}
	if err != nil {
		return instance.NewKey{}, err
	}
	private, err1 := x509.MarshalPKCS8PrivateKey(s)
	public, err2 := x509.MarshalPKIXPublicKey(s.Public())
	id, err3 := oidc.KeyID(s.Public())
	return instance.NewKey{Key: id, Algorithm: alg, Public: public, Private: private}, errors.Join(err1, err2, err3)
}

// rotate takes the steps that are due for some algorithms. Of several servers
// or goroutines that do so at once, one does.
func (k *keyring) rotate(ctx context.Context, algs ...string) error {
	st, err := k.core.ReadInstance(ctx)
	if err != nil {
		return err
	}
	c := instance.Rotate{Instance: k.core.Sealer.Instance.ID, Algorithms: algs, Since: k.core.continued, Now: instant(k.core.Log.Now())}
	for _, alg := range st.Wants(c) {
		fresh, err := newKey(alg)
		if err != nil {
			return err
		}
		c.Fresh = append(c.Fresh, fresh)
	}
	_, err = decide.Run(ctx, k.core.Runner, instance.Rotating, bySystem("oidc"), c)
	return err
}

// rotateDue takes the steps that are due for all algorithms in use.
func (k *keyring) rotateDue(ctx context.Context) error {
	st, err := k.core.ReadInstance(ctx)
	if err != nil || len(st.Keys) == 0 {
		return err
	}
	return k.rotate(ctx, st.Algorithms()...)
}

// keyCheck is how often the server looks whether a step of the keys is due.
const keyCheck = 10 * time.Minute

// run rotates keys by their schedule until the context ends.
func (k *keyring) run(ctx context.Context, logger *slog.Logger) {
	for {
		if err := k.rotateDue(ctx); err != nil && ctx.Err() == nil {
			logger.ErrorContext(ctx, "signing keys could not be rotated; it is tried again", "error", err)
		}
		select {
		case <-time.After(keyCheck):
		case <-ctx.Done():
			return
		}
	}
}

// PublicKeys implements oidc.Keys. The key that signs access tokens is made here
// if it is not there yet: whoever keeps the answer has it for a while.
func (k *keyring) PublicKeys(ctx context.Context) ([]oidc.PublicKey, error) {
	st, err := k.core.ReadInstance(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := st.Key(oidc.ES256); !ok {
		if _, err := k.SigningKey(ctx, oidc.ES256); err != nil {
			return nil, err
		}
		if st, err = k.core.ReadInstance(ctx); err != nil {
			return nil, err
		}
	}
	out := make([]oidc.PublicKey, len(st.Keys))
	for i, key := range st.Keys {
		public, err := k.parsePublic(key)
		if err != nil {
			return nil, err
		}
		out[i] = oidc.PublicKey{ID: key.Key, Alg: key.Algorithm, Key: public}
	}
	return out, nil
}

func (k *keyring) parsePublic(key instance.SigningKey) (crypto.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.public[key.Key]; ok {
		return p, nil
	}
	p, err := x509.ParsePKIXPublicKey(key.Public)
	if err != nil {
		return nil, fault.Wrap("parse a public key", err)
	}
	if k.public == nil {
		k.public = map[string]crypto.PublicKey{}
	}
	k.public[key.Key] = p
	return p, nil
}
