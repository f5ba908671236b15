package seal

import (
	"crypto/sha256"

	"muniment.dev/event"
)

// blockSize is that of SHA-256, and the most that a key may have here.
const blockSize = sha256.BlockSize

// macer makes HMACs under keys that are used once. The standard library makes
// seven objects for each key, and every commitment has a key of its own: in the
// same construction (RFC 2104 §2) over the library's SHA-256, in memory that is
// used again, they cost half. It is of one goroutine.
type macer struct{ buf []byte }

// begin begins a message under a key of at most blockSize bytes. What is to be
// signed is appended to what it returns, and that given to end.
func (m *macer) begin(key []byte) []byte {
	if len(key) > blockSize {
		panic("seal: a key for HMAC that is longer than a block") // ours have 32 bytes
	}
	m.buf = m.buf[:0]
	for i := range blockSize {
		b := byte(0x36) // RFC 2104 §2: ipad
		if i < len(key) {
			b ^= key[i]
		}
		m.buf = append(m.buf, b)
	}
	return m.buf
}

// end returns the HMAC of a message that begin began.
func (m *macer) end(message []byte) event.Hash {
	m.buf = message // it may have grown
	inner := sha256.Sum256(message)
	var outer [blockSize + sha256.Size]byte
	for i, b := range message[:blockSize] {
		outer[i] = b ^ 0x36 ^ 0x5c // RFC 2104 §2: opad
	}
	copy(outer[blockSize:], inner[:])
	return sha256.Sum256(outer[:])
}
