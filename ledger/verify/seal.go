package verify

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Labels that separate the uses of a subject's key.
const (
	labelSeal  = "muniment/seal/v1"
	labelEnc   = "muniment/enc/v1"
	labelCom   = "muniment/com/v1"
	labelSalt  = "muniment/salt/v1"
	labelField = "muniment/field/v1"
)

// KeyState is what a key store knows of a key. The zero value is not a state.
type KeyState int

// The three states of a key; a missing key is never taken for an erased one.
const (
	KeyNever  KeyState = iota + 1 // the store has not seen it
	KeyActive                     // the store holds it
	KeyErased                     // the store destroyed it
)

// Opener hands out subjects' keys. Key returns the 32-byte K for [KeyActive].
// log is the id of the log's first generation, under which keys are kept. An
// error stops the verification: it is neither a good nor a bad result.
type Opener interface {
	Key(ctx context.Context, log, subject, key ID) (secret []byte, state KeyState, err error)
}

// sealKeys are the two keys derived from a subject's K.
type sealKeys struct {
	aead cipher.AEAD
	com  []byte
}

// deriveKeys derives K_enc and K_com: HKDF-SHA256 (RFC 5869), salt = log id.
func deriveKeys(secret []byte, log ID) (*sealKeys, error) {
	if len(secret) != 32 {
		return nil, fmt.Errorf("subject key of %d bytes, want 32", len(secret))
	}
	enc, err := hkdf.Key(sha256.New, secret, log[:], labelEnc, 32)
	if err != nil {
		return nil, err
	}
	com, err := hkdf.Key(sha256.New, secret, log[:], labelCom, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(enc)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealKeys{aead, com}, err
}

// appendLP appends LP(x) = uint32 big-endian length ‖ x.
func appendLP[T string | []byte](dst []byte, x T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(x)))
	return append(dst, x...)
}

// sealAAD is the additional data of a block's encryption.
func sealAAD(l *Leaf, b *Block) []byte {
	aad := appendLP(nil, labelSeal)
	aad = append(aad, l.LogID[:]...)
	aad = append(aad, l.EventID[:]...)
	aad = append(aad, b.Subject[:]...)
	aad = append(aad, b.Key[:]...)
	aad = appendLP(aad, l.Type)
	return binary.BigEndian.AppendUint32(aad, l.Revision)
}

// unseal decrypts a block and returns its values as deterministic CBOR, by path.
func (k *sealKeys) unseal(l *Leaf, b *Block, ciphertext []byte) (map[string]string, error) {
	n := k.aead.NonceSize()
	if len(ciphertext) < n+k.aead.Overhead() {
		return nil, &Error{SealOpen, "the ciphertext is too short"}
	}
	plain, err := k.aead.Open(nil, ciphertext[:n], ciphertext[n:], sealAAD(l, b))
	if err != nil {
		return nil, &Error{SealOpen, "the ciphertext does not decrypt under its key"}
	}
	fields := make(map[string]string)
	c := scanner{s: string(plain)}
	c.textMap(func(path, value string) {
		if !isFieldPath(path) {
			c.fail("path %q is neither an RFC 6901 pointer nor #context/name", path)
		}
		fields[path] = value
	})
	c.end()
	if c.err != nil {
		return nil, &Error{SealPlaintext, c.err.(*Error).Msg}
	}
	return fields, nil
}

// salt derives the salt of one path of one event.
func (k *sealKeys) salt(event ID, path string) []byte {
	msg := appendLP(nil, labelSalt)
	msg = append(msg, event[:]...)
	return mac(k.com, appendLP(msg, path))
}

// commitment computes the commitment to a value (deterministic CBOR) at a path.
func commitment(salt []byte, path, value string) tlog.Hash {
	msg := appendLP(nil, labelField)
	msg = appendLP(msg, path)
	return tlog.Hash(mac(salt, appendLP(msg, value)))
}

func mac(key, msg []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(msg)
	return h.Sum(nil)
}

// checkBlock compares every commitment of a block with the opened fields and,
// if given, with the blind tags that the index holds for this subject.
// It returns how many commitments it recomputed.
func (k *sealKeys) checkBlock(event ID, b *Block, fields map[string]string, blind map[string]string) (int, error) {
	checked, named := 0, 0
	for _, c := range b.Commitments {
		value, ok := fields[c.Path]
		if strings.HasPrefix(c.Path, tagPath) {
			if value, ok = blind[c.Path]; !ok {
				continue // whether the index must hold it is checked without keys
			}
		} else if named++; !ok {
			return checked, &Error{CommitmentDiffer, fmt.Sprintf("path %q is committed to but not in the plaintext", c.Path)}
		}
		if got := commitment(k.salt(event, c.Path), c.Path, value); got != c.Sum {
			return checked, &Error{CommitmentDiffer, fmt.Sprintf("path %q: the leaf commits to another value", c.Path)}
		}
		checked++
	}
	if named != len(fields) {
		return checked, &Error{CommitmentDiffer, "the plaintext holds a path that is not committed to"}
	}
	return checked, nil
}

// A BlindTag is a keyed digest of a sealed value, as the index holds it.
type BlindTag struct {
	Subject ID
	Name    string
	N       uint32 // tells several of one name apart
	Version uint64 // of the key that made it
	Value   [32]byte
}

// path returns the path of the tag's commitment.
func (t *BlindTag) path() string { return fmt.Sprintf("%s%s/%d", tagPath, t.Name, t.N) }

// value returns what the commitment binds: the CBOR array [version, value].
func (t *BlindTag) value() string {
	b := appendUint([]byte{0x82}, t.Version)
	b = append(b, 0x58, 32)
	return string(append(b, t.Value[:]...))
}

// appendUint appends a CBOR unsigned integer in its shortest form.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, byte(n))
	case n <= 0xff:
		return append(dst, 0x18, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 0x19), uint16(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(dst, 0x1a), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0x1b), n)
}
