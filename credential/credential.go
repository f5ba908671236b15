// Package credential holds what clients prove themselves with: secrets, of
// which only the SHA-256 is kept, and public keys for private_key_jwt (RFC
// 7523). Applications and machine users have several of each, so that one can
// be replaced while another still works; each may expire.
//
// It has no events of its own but one, that an assertion was used: the slices
// whose clients these are record what is added and removed.
package credential

import (
	"crypto/subtle"
	"slices"
	"strings"
	"unicode/utf8"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Most is how many secrets, and how many keys, a client may have at once.
const Most = 10

// Secret is a secret that a client and the server share.
type Secret struct {
	ID      event.ID
	Name    string // to tell it from others; may be empty
	Expires event.Instant
	Digest  event.Sealed[[]byte] // SHA-256 of it
}

// Key is a public key by which a client's signatures are checked.
type Key struct {
	ID        event.ID
	Name      string
	KeyID     string // "kid" of its JWK; its RFC 7638 thumbprint if it had none
	Algorithm string // JWS "alg", RFC 7518 §3.1: the only one that it is used with
	JWK       string // RFC 7517
	Expires   event.Instant
}

// Set is what one client has. It is a value: the functions that change it
// return another.
type Set struct {
	Secrets []Secret
	Keys    []Key
}

// WithSecret is the set with one more secret.
func (s Set) WithSecret(x Secret) Set {
	s.Secrets = append(slices.Clone(s.Secrets), x)
	return s
}

// WithKey is the set with one more key.
func (s Set) WithKey(k Key) Set {
	s.Keys = append(slices.Clone(s.Keys), k)
	return s
}

// Without is the set without the secret or key of that id.
func (s Set) Without(id event.ID) Set {
	s.Secrets = slices.DeleteFunc(slices.Clone(s.Secrets), func(x Secret) bool { return x.ID == id })
	s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k Key) bool { return k.ID == id })
	return s
}

// Secret is the secret of that id; false if the set has none.
func (s Set) Secret(id event.ID) (Secret, bool) {
	return find(s.Secrets, func(x Secret) bool { return x.ID == id })
}

// Key is the key of that id; false if the set has none.
func (s Set) Key(id event.ID) (Key, bool) {
	return find(s.Keys, func(k Key) bool { return k.ID == id })
}

func find[T any](list []T, is func(T) bool) (x T, ok bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return x, false
}

// Expired reports whether what ends at an instant has ended. The zero instant
// never comes.
func Expired(end, now event.Instant) bool { return end != 0 && now >= end }

// LiveSecrets are those that work at a time.
func (s Set) LiveSecrets(now event.Instant) []Secret {
	return slices.DeleteFunc(slices.Clone(s.Secrets), func(x Secret) bool { return Expired(x.Expires, now) })
}

// LiveKeys are those that work at a time.
func (s Set) LiveKeys(now event.Instant) []Key {
	return slices.DeleteFunc(slices.Clone(s.Keys), func(k Key) bool { return Expired(k.Expires, now) })
}

// Live reports whether the secret or key of that id works at a time.
func (s Set) Live(id event.ID, now event.Instant) bool {
	x, isSecret := s.Secret(id)
	k, isKey := s.Key(id)
	return isSecret && !Expired(x.Expires, now) || isKey && !Expired(k.Expires, now)
}

// Proves reports whether a secret with this SHA-256 is this one.
func (x Secret) Proves(digest [32]byte) bool {
	d, ok := x.Digest.Get()
	return subtle.ConstantTimeCompare(d, digest[:]) == 1 && ok
}

// Refusals.
var (
	ErrNoSecret   = fault.New(fault.NotFound, "there is no such secret")
	ErrNoKey      = fault.New(fault.NotFound, "there is no such key")
	ErrTooMany    = fault.New(fault.Refused, "a client has at most %d secrets and %d keys; remove one that is not used any more", Most, Most)
	ErrExpires    = fault.Field("expires", "must be in the future; left out, it never ends")
	ErrSameKey    = fault.New(fault.Exists, "the client has this key, or one with the same key id, already")
	ErrSameSecret = fault.New(fault.Exists, "a secret with this id exists already")
)

// NewSecret is a secret to be added.
type NewSecret struct {
	ID      event.ID // fresh
	Name    string
	Expires event.Instant // 0: never
	Digest  [32]byte      // SHA-256 of it
}

// Check says why the secret may not be added to a set, or nil.
func (n NewSecret) Check(to Set, now event.Instant) error {
	if _, ok := to.Secret(n.ID); ok {
		return ErrSameSecret
	}
	return check(n.Name, n.Expires, now, len(to.LiveSecrets(now)))
}

// NewKey is a key to be added.
type NewKey struct {
	ID        event.ID // fresh
	Name      string
	Expires   event.Instant // 0: never
	PublicKey string        // as ParseKey reads it
}

// Check says why the key may not be added to a set, or what it is.
func (n NewKey) Check(to Set, now event.Instant) (Key, error) {
	k, err := ParseKey(n.PublicKey)
	if err != nil {
		return Key{}, err
	}
	if slices.ContainsFunc(to.Keys, func(old Key) bool { return old.ID == n.ID || old.KeyID == k.KeyID || old.JWK == k.JWK }) {
		return Key{}, ErrSameKey
	}
	k.ID, k.Name, k.Expires = n.ID, n.Name, n.Expires
	return k, check(n.Name, n.Expires, now, len(to.LiveKeys(now)))
}

func check(name string, expires, now event.Instant, live int) error {
	if len(name) > 200 || !utf8.ValidString(name) || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fault.Field("name", "must have at most 200 bytes of text, without control characters or space at its ends")
	}
	switch {
	case expires < 0 || Expired(expires, now):
		return ErrExpires
	case live >= Most:
		return ErrTooMany
	}
	return nil
}
