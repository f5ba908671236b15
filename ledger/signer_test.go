package ledger

import (
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// A key pair belongs together, and the signer knows its public half.
func TestSigner(t *testing.T) {
	log := event.LogID{ID: event.NewID()}
	for range 20 { // the base64 of some keys holds a plus
		secret, verifier, err := GenerateKey("id.example:8443", log)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSigner(secret)
		if err != nil {
			t.Fatal(err)
		}
		if s.VerifierKey() != verifier || s.Log() != log || s.Origin() != "id.example:8443/"+log.String() {
			t.Fatalf("%s %s %s", s.VerifierKey(), verifier, s.Origin())
		}
		c, err := s.Sign(Tree{3, EmptyRoot()})
		if err != nil {
			t.Fatal(err)
		}
		opens(t, s, c)
	}
}

// Malformed keys are refused, and no error repeats what it was given.
func TestSignerRefuses(t *testing.T) {
	secret, verifier, err := GenerateKey("id.example", event.LogID{ID: event.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	seed := secret[strings.LastIndexByte(secret[:len(secret)-44], '+')+1:]
	for _, bad := range []string{"", verifier, secret[:len(secret)-4], secret + "=", strings.Replace(secret, "id.example", "id.other", 1),
		strings.Replace(secret, "PRIVATE", "private", 1)} {
		_, err := NewSigner(bad)
		if !fault.Is(err, fault.Corrupt) || strings.Contains(err.Error(), seed[10:20]) {
			t.Errorf("%v", err)
		}
	}
	for _, host := range []string{"", "a b", "a+b", "a/b", "a\n", "a\u00a0b", "\x00"} {
		if _, _, err := GenerateKey(host, event.LogID{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("host %q: %v", host, err)
		}
	}
}
