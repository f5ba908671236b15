// Package file keeps the root key that wraps the epoch keys in a file of 64
// hexadecimal digits with mode 0600. Whoever can read it and the key database
// can read everything that is sealed; keep it on another disk, or use a key
// management service.
package file

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muniment.dev/fault"
)

// Key is a root key. It implements seal.Wrapper.
type Key struct{ aead cipher.AEAD }

// Open reads the root key at path, making it (durably) if the file does not
// exist. A file that others may read is refused.
func Open(path string) (*Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = create(path); err != nil {
			return nil, &fault.Error{Kind: fault.Unavailable, Op: "make the root key", Msg: "the root key cannot be written; check the disk of " + filepath.Base(path), Err: err}
		}
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "read the root key", Msg: "the root key cannot be read; check " + filepath.Base(path) + " and its permissions", Err: err}
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Refused, "the root key file %s can be read by others; run chmod 600 on it", filepath.Base(path))
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(raw) != 32 {
		return nil, fault.New(fault.Corrupt, "the root key file %s must hold 64 hexadecimal digits", filepath.Base(path))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Key{aead}, err
}

// create makes a key. It gets its name when it is whole and durable: a start
// that is cut short leaves none, and the next one makes another.
func create(path string) ([]byte, error) {
	raw := make([]byte, 32)
	rand.Read(raw)
	text := []byte(hex.EncodeToString(raw) + "\n")
	unfinished := path + ".new"
	f, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return text, errors.Join(dir.Sync(), dir.Close())
}

// Wrap returns nonce ‖ AES-256-GCM output.
func (k *Key) Wrap(_ context.Context, plaintext, aad []byte) ([]byte, error) {
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce)
	return k.aead.Seal(nonce, nonce, plaintext, aad), nil
}

// Unwrap reverses Wrap.
func (k *Key) Unwrap(_ context.Context, ciphertext, aad []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(ciphertext) < n {
		return nil, fault.New(fault.Corrupt, "a wrapped key is too short")
	}
	return k.aead.Open(nil, ciphertext[:n], ciphertext[n:], aad)
}
