package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"muniment.dev/event"
)

// random bytes of a seeded source.
func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Our HMAC is the standard library's, for every length of keys that it takes
// and messages around the borders of blocks; one after the other, in the same
// memory.
func TestHMAC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var m macer
	for keys := range blockSize + 1 {
		for _, n := range []int{0, 1, 31, 32, 55, 56, 63, 64, 65, 119, 120, 128, 1000, int(r.Uint32N(5000))} {
			key, message := random(r, keys), random(r, n)
			h := hmac.New(sha256.New, key)
			h.Write(message)
			if got := m.end(append(m.begin(key), message...)); got != event.Hash(h.Sum(nil)) {
				t.Fatalf("a key of %d bytes, a message of %d: %x", keys, n, got)
			}
		}
	}
}

// RFC 4231 §4.2 and §4.3: test cases 1 and 2.
func TestHMACVectors(t *testing.T) {
	var m macer
	for _, x := range []struct{ key, message, want string }{
		{"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	} {
		if got := m.end(append(m.begin([]byte(x.key)), x.message...)); got.String() != x.want {
			t.Errorf("%q: %s, want %s", x.message, got, x.want)
		}
	}
}

// FuzzHMAC compares with the standard library.
func FuzzHMAC(f *testing.F) {
	f.Add([]byte("key"), []byte("message"))
	f.Fuzz(func(t *testing.T, key, message []byte) {
		if len(key) > blockSize {
			return
		}
		var m macer
		h := hmac.New(sha256.New, key)
		h.Write(message)
		if got := m.end(append(m.begin(key), message...)); got != event.Hash(h.Sum(nil)) {
			t.Errorf("%x", got)
		}
	})
}

// A commitment makes no garbage once its memory is there.
func TestCommitmentAllocates(t *testing.T) {
	var k Secret
	c := k.derived(event.LogID{ID: event.NewID()}).committer(event.NewID())
	value := []byte("a value of some length")
	c.commit("/email", value)
	if n := testing.AllocsPerRun(100, func() { c.commit("/email", value) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
