package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Secret is a subject's key K.
type Secret [32]byte

func mac(key []byte, message []byte) event.Hash {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return event.Hash(h.Sum(make([]byte, 0, sha256.Size)))
}

// appendLP appends LP(x) of docs/record-format.md: uint32 big-endian length ‖ x.
func appendLP[T ~string | ~[]byte](dst []byte, x T) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(x))), x...)
}

// place is what a sealed block is bound to.
type place struct {
	log      event.LogID
	event    event.ID
	subject  event.SubjectID
	key      event.KeyID
	typ      string
	revision uint32
}

func (p place) aad() []byte {
	b := appendLP(make([]byte, 0, 160), "muniment/seal/v1")
	b = append(b, p.log.ID[:]...)
	b = append(b, p.event[:]...)
	b = append(b, p.subject.ID[:]...)
	b = append(b, p.key.ID[:]...)
	b = appendLP(b, p.typ)
	return binary.BigEndian.AppendUint32(b, p.revision)
}

// encrypt returns nonce ‖ AES-256-GCM output.
func (d *derived) encrypt(p place, plaintext []byte) []byte {
	n := d.aead.NonceSize()
	out := make([]byte, n, n+len(plaintext)+d.aead.Overhead())
	rand.Read(out)
	return d.aead.Seal(out, out, plaintext, p.aad())
}

func (d *derived) decrypt(p place, ciphertext []byte) ([]byte, error) {
	n := d.aead.NonceSize()
	if len(ciphertext) < n {
		return nil, fault.New(fault.Corrupt, "a ciphertext is too short")
	}
	out, err := d.aead.Open(nil, ciphertext[:n], ciphertext[n:], p.aad())
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a sealed block does not open under its key")
	}
	return out, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// committer makes the commitments of one event under one subject's key. It is
// of one goroutine.
type committer struct {
	com   []byte // K_com
	event event.ID
	mac   macer
}

func (d *derived) committer(id event.ID) *committer {
	return &committer{com: d.com, event: id, mac: macer{make([]byte, 0, 384)}}
}

// salt is what opens one field's commitment and no other.
func (c *committer) salt(path string) event.Hash {
	b := appendLP(c.mac.begin(c.com), "muniment/salt/v1")
	return c.mac.end(appendLP(append(b, c.event[:]...), path))
}

// commit binds a value (deterministic CBOR) to a path.
func (c *committer) commit(path string, value []byte) event.Hash {
	salt := c.salt(path)
	b := appendLP(c.mac.begin(salt[:]), "muniment/field/v1")
	return c.mac.end(appendLP(appendLP(b, path), value))
}

// blind hashes a value for searching.
func blind(key []byte, name, value string, fold bool) event.Hash {
	b := appendLP(make([]byte, 0, 128), "muniment/blind/v1")
	return mac(key, appendLP(appendLP(b, name), event.Normalize(value, fold)))
}
