package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// What tokens that are secrets begin with, so that programs which look for
// secrets in the wrong places find them. It tells one kind from the other, and
// both from a JWT, whose three parts are joined by dots.
const (
	prefixAccess  = "mat_"
	prefixRefresh = "mrt_"
)

// newSecret returns a token of 256 random bits and its SHA-256, by which it is
// found and under which nobody finds it.
func newSecret(prefix string) (string, [32]byte) {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	s := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return s, sha256.Sum256([]byte(s))
}

// secretHash is the SHA-256 of a token that begins with prefix; false if it is
// none that we ever gave out.
func secretHash(raw, prefix string) ([32]byte, bool) {
	rest, ok := strings.CutPrefix(raw, prefix)
	if !ok || len(rest) != 43 {
		return [32]byte{}, false
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(rest); err != nil || len(b) != 32 {
		return [32]byte{}, false
	}
	return sha256.Sum256([]byte(raw)), true
}
