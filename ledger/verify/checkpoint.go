package verify

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote bounds a signed checkpoint, in bytes: room for sixteen signatures of
// the largest kind in use.
const maxNote = 128 << 10

// Head is a tree head: what a register keeps apart from the log.
type Head struct {
	LogID ID        `json:"log"`
	Size  uint64    `json:"size"`
	Root  tlog.Hash `json:"root"`
}

// Checkpoint is a tree head as the operator states it (C2SP tlog-checkpoint).
type Checkpoint struct {
	Head
	Origin string `json:"origin"` // <host>/<log id in lower-case hex>
}

// ParseCheckpoint reads a signed checkpoint and checks its form, not its signatures.
// It refuses extension lines, and every spelling but the one a writer uses.
func ParseCheckpoint(msg []byte) (Checkpoint, error) {
	cp, err := parseCheckpoint(string(msg))
	if err != nil {
		return Checkpoint{}, &Error{CheckpointMalformed, err.Error()}
	}
	return cp, nil
}

func parseCheckpoint(msg string) (cp Checkpoint, err error) {
	if len(msg) > maxNote {
		return cp, fmt.Errorf("longer than %d bytes", maxNote)
	}
	text, sigs, ok := strings.Cut(msg, "\n\n")
	if !ok {
		return cp, errors.New("no blank line between text and signatures")
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 3 {
		return cp, fmt.Errorf("%d lines of text, a checkpoint has 3", len(lines))
	}
	cp.Origin = lines[0]
	if cp.LogID, err = originLog(cp.Origin); err != nil {
		return cp, err
	}
	if cp.Size, err = parseSize(lines[1]); err != nil {
		return cp, err
	}
	if cp.Root, err = parseHash(lines[2]); err != nil {
		return cp, fmt.Errorf("root hash: %w", err)
	}
	return cp, checkSignatureLines(sigs)
}

// checkSignatureLines refuses other spellings of the same signatures: package
// note tolerates them, and repeated lines of one key, without looking inside.
func checkSignatureLines(sigs string) error {
	if !strings.HasSuffix(sigs, "\n") {
		return errors.New("the signatures do not end in a newline")
	}
	lines := strings.Split(strings.TrimSuffix(sigs, "\n"), "\n")
	seen := make(map[string]bool, len(lines))
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, "— ")
		name, b64, ok2 := strings.Cut(rest, " ")
		raw, err := decode64(b64)
		if !ok || !ok2 || name == "" || err != nil || len(raw) < 5 {
			return errors.New("malformed signature line")
		}
		key := name + "+" + string(raw[:4])
		if seen[key] {
			return fmt.Errorf("two signatures of one key of %s", name)
		}
		seen[key] = true
	}
	return nil
}

// originLog returns the log id at the end of an origin.
func originLog(origin string) (id ID, err error) {
	i := strings.LastIndexByte(origin, '/')
	if i < 1 || !isHexID(origin[i+1:]) {
		return id, fmt.Errorf("origin %q is not <host>/<log id>", origin)
	}
	for _, r := range origin {
		if r <= ' ' || r == '+' || r == 0x7f {
			return id, fmt.Errorf("origin %q holds a space, plus or control character", origin)
		}
	}
	for k := range id {
		n, _ := strconv.ParseUint(origin[i+1+2*k:i+3+2*k], 16, 8) // cannot fail: isHexID
		id[k] = byte(n)
	}
	return id, nil
}

// parseSize reads a size or index in the one spelling it has.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if !isDecimal(s, 16) || err != nil || n > MaxPosition {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	return n, nil
}

// parseHash reads a hash in base64, in the one spelling it has.
func parseHash(s string) (h tlog.Hash, err error) {
	b, err := decode64(s)
	if err != nil {
		return h, err
	}
	if len(b) != len(h) {
		return h, fmt.Errorf("%d bytes, a hash has 32", len(b))
	}
	return tlog.Hash(b), nil
}

// decode64 decodes standard base64 (RFC 4648 §4). Line breaks and non-zero
// padding bits (§3.5), which the standard library lets pass, are refused.
func decode64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not canonical base64")
	}
	return b, nil
}

// A verifierKey is the log's key, brought from outside. The generations of a log
// sign with the same key pair, each under its own origin: so a key that was
// given for one verifies all of them.
type verifierKey struct {
	note.Verifier
	host   string // origin without the log id
	log    ID     // the generation that it was given for
	public []byte
}

// parseKey reads a note verifier key; its name is the log's origin.
func parseKey(vkey string) (*verifierKey, error) {
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return nil, &Error{KeyMalformed, "not a note verifier key <origin>+<hash>+<key>: " + err.Error()}
	}
	id, err := originLog(v.Name())
	if err != nil {
		return nil, &Error{KeyMalformed, "the key's name is not an origin: " + err.Error()}
	}
	host := v.Name()[:strings.LastIndexByte(v.Name(), '/')]
	// <name>+<hash>+<base64 of 1 ‖ key>, which package note checked.
	parts := strings.SplitN(strings.TrimSpace(vkey), "+", 3)
	public, err := decode64(parts[2])
	if err != nil || len(public) != 1+ed25519.PublicKeySize {
		return nil, &Error{KeyMalformed, "not an Ed25519 key"}
	}
	return &verifierKey{v, host, id, public[1:]}, nil
}

// of returns the verifier of another generation's origin.
func (k *verifierKey) of(origin string) (note.Verifier, error) {
	if origin == k.Name() {
		return k.Verifier, nil
	}
	vkey, err := note.NewEd25519VerifierKey(origin, k.public)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// open parses a checkpoint and checks its signature by k; without k, its form only.
func (k *verifierKey) open(msg []byte) (Checkpoint, error) {
	cp, err := ParseCheckpoint(msg)
	if err != nil || k == nil {
		return cp, err
	}
	other := &Error{CheckpointOther, fmt.Sprintf("origin %s, the key is for %s", cp.Origin, k.Name())}
	if cp.Origin[:strings.LastIndexByte(cp.Origin, '/')] != k.host {
		return cp, other
	}
	v, err := k.of(cp.Origin)
	if err == nil {
		_, err = note.Open(msg, note.VerifierList(v))
	}
	switch {
	case err != nil && cp.LogID != k.log:
		return cp, other
	case err != nil:
		return cp, &Error{CheckpointSignature, err.Error()}
	}
	return cp, nil
}
