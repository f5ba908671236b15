package oidc

import (
	"crypto"
	"crypto/sha256"
	"sync"
)

// signatures remembers tokens whose signature was found good, so that one that is
// sent again and again is not verified each time: that costs more than all the
// rest of a request. It says nothing of whether a token is still good, and a
// key that is published no longer verifies nothing any more, remembered or not.
// It is safe for concurrent use; the zero value is empty.
type signatures struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]verifiedToken
}

// verifiedToken is what the header of a token said, the key that verified it,
// its payload, and what that says if it is an access token's. None of it is
// ever changed.
type verifiedToken struct {
	typ, keyID, alg string
	key             crypto.PublicKey
	payload         []byte
	access          func() (AccessToken, error)
}

// maxVerified bounds one generation.
const maxVerified = 1 << 12

func (s *signatures) get(raw string) (verifiedToken, bool) {
	name := sha256.Sum256([]byte(raw))
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.young[name]
	if !ok {
		if t, ok = s.old[name]; ok {
			s.keep(name, t)
		}
	}
	return t, ok
}

func (s *signatures) put(raw string, t verifiedToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(sha256.Sum256([]byte(raw)), t)
}

func (s *signatures) keep(name [sha256.Size]byte, t verifiedToken) {
	if s.young == nil || len(s.young) >= maxVerified {
		s.young, s.old = map[[sha256.Size]byte]verifiedToken{}, s.young
	}
	s.young[name] = t
}

// by reports whether it is the key that verified the token.
func (t verifiedToken) by(k PublicKey) bool {
	same, ok := t.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == t.keyID && k.Alg == t.alg && same.Equal(k.Key)
}
