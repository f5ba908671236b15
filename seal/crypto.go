package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Secret is a subject's key K.
type Secret [32]byte

// derive is HKDF-SHA256 (RFC 5869) with the log id as salt. The length fits
// always, so that there is no error to return.
func (k Secret) derive(log event.LogID, info string) []byte {
	b, err := hkdf.Key(sha256.New, k[:], log.ID[:], info, 32)
	if err != nil {
		panic(err)
	}
	return b
}

func mac(key []byte, parts ...[]byte) event.Hash {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return event.Hash(h.Sum(nil))
}

// lp is LP(x) of docs/record-format.md: uint32 big-endian length ‖ x.
func lp[T ~string | ~[]byte](x T) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(x)), uint32(len(x))), x...)
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
	b := lp("muniment/seal/v1")
	b = append(b, p.log.ID[:]...)
	b = append(b, p.event[:]...)
	b = append(b, p.subject.ID[:]...)
	b = append(b, p.key.ID[:]...)
	b = append(b, lp(p.typ)...)
	return binary.BigEndian.AppendUint32(b, p.revision)
}

// encrypt returns nonce ‖ AES-256-GCM output.
func (k Secret) encrypt(p place, plaintext []byte) ([]byte, error) {
	g, err := gcm(k.derive(p.log, "muniment/enc/v1"))
	if err != nil {
		return nil, err
	}
	out := make([]byte, g.NonceSize(), g.NonceSize()+len(plaintext)+g.Overhead())
	rand.Read(out)
	return g.Seal(out, out, plaintext, p.aad()), nil
}

func (k Secret) decrypt(p place, ciphertext []byte) ([]byte, error) {
	g, err := gcm(k.derive(p.log, "muniment/enc/v1"))
	if err != nil {
		return nil, err
	}
	if len(ciphertext) < g.NonceSize() {
		return nil, fault.New(fault.Corrupt, "a ciphertext is too short")
	}
	out, err := g.Open(nil, ciphertext[:g.NonceSize()], ciphertext[g.NonceSize():], p.aad())
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

// committer makes the commitments of one event under one subject's key.
type committer struct {
	com   []byte
	event event.ID
}

func (k Secret) committer(log event.LogID, id event.ID) committer {
	return committer{k.derive(log, "muniment/com/v1"), id}
}

// Salt is what opens one field's commitment and no other.
func (c committer) salt(path string) event.Hash {
	return mac(c.com, lp("muniment/salt/v1"), c.event[:], lp(path))
}

// commit binds a value (deterministic CBOR) to a path.
func (c committer) commit(path string, value []byte) event.Hash {
	salt := c.salt(path)
	return mac(salt[:], lp("muniment/field/v1"), lp(path), lp(value))
}

// blind hashes a value for searching.
func blind(key []byte, name, value string, fold bool) event.Hash {
	return mac(key, lp("muniment/blind/v1"), lp(name), lp(Normalize(value, fold)))
}

// Normalize returns the form of a value under which it is searched: Unicode
// NFKC and, if fold, case folding (full, locale-independent).
func Normalize(value string, fold bool) string {
	value = norm.NFKC.String(value)
	if fold {
		value = norm.NFKC.String(cases.Fold().String(value))
	}
	return value
}
