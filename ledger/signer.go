package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

// Checkpoint is a signed statement of a log's size and root (C2SP
// tlog-checkpoint). The zero Checkpoint stands for none.
type Checkpoint struct {
	Log event.LogID
	Tree
	Note []byte // the signed text
}

// Signer signs the checkpoints of one generation of a log with Ed25519 (C2SP signed-note, type
// 0x01). Its name is the log's origin. It is safe for concurrent use.
type Signer struct {
	note     note.Signer
	log      event.LogID
	seed     ed25519.PrivateKey
	verifier string
}

// Origin is the name of a log in its checkpoints: `<host>/<log id>`. The host
// names the installation; it is a name only, and never looked up.
func Origin(host string, log event.LogID) (string, error) {
	if host == "" || strings.ContainsFunc(host, func(r rune) bool {
		return r == '+' || r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}) {
		return "", fault.Field("host", "the name of a log's host must be printable, without spaces, plus and slash")
	}
	return host + "/" + log.String(), nil
}

// GenerateKey makes a log's key pair from the system's random source. secret is
// what [NewSigner] takes and must be kept sealed; verifier is the public key
// that those who verify the log must get from elsewhere than from the log.
func GenerateKey(host string, log event.LogID) (secret, verifier string, err error) {
	origin, err := Origin(host, log)
	if err != nil {
		return "", "", err
	}
	return note.GenerateKey(rand.Reader, origin)
}

// NewSigner returns the signer of a note signer key. The error never quotes the
// key.
func NewSigner(secret string) (*Signer, error) {
	bad := fault.New(fault.Corrupt, "the log's signing key is malformed")
	n, err := note.NewSigner(secret)
	if err != nil {
		return nil, bad
	}
	// PRIVATE+KEY+<name>+<hash>+<base64 of 1 ‖ seed>, which package note checked.
	parts := strings.SplitN(secret, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, bad
	}
	private := ed25519.NewKeyFromSeed(seed[1:])
	verifier, err := note.NewEd25519VerifierKey(n.Name(), private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, bad
	}
	log, err := event.ParseID(n.Name()[strings.LastIndexByte(n.Name(), '/')+1:])
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the log's signing key is not named after a log")
	}
	return &Signer{note: n, log: event.LogID{ID: log}, seed: private, verifier: verifier}, nil
}

// Log returns the log that the signer signs for.
func (s *Signer) Log() event.LogID { return s.log }

// Origin returns the name under which it signs.
func (s *Signer) Origin() string { return s.note.Name() }

// VerifierKey returns the public key, in the form that verify takes.
func (s *Signer) VerifierKey() string { return s.verifier }

// For returns the signer of another generation of the log: the same key pair
// under that generation's origin, so that whoever holds the key of one can verify
// the checkpoints of all.
func (s *Signer) For(log event.LogID) (*Signer, error) {
	if log == s.log {
		return s, nil
	}
	origin := strings.TrimSuffix(s.Origin(), s.log.String()) + log.String()
	verifier, err := note.NewEd25519VerifierKey(origin, s.seed.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	hash := strings.SplitN(verifier, "+", 3)[1]
	return NewSigner("PRIVATE+KEY+" + origin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, s.seed.Seed()...)))
}

// Sign signs a checkpoint of the tree. Whether the tree may be signed is the
// caller's to know: see [Publisher].
func (s *Signer) Sign(t Tree) (Checkpoint, error) {
	// C2SP tlog-checkpoint, "Note text": origin, size, root; no extension lines.
	text := fmt.Sprintf("%s\n%d\n%s\n", s.Origin(), t.Size, tlog.Hash(t.Root))
	msg, err := note.Sign(&note.Note{Text: text}, s.note)
	if err != nil {
		return Checkpoint{}, fault.Wrap("sign a checkpoint", err)
	}
	return Checkpoint{Log: s.log, Tree: t, Note: msg}, nil
}

// own reads a checkpoint that was signed with this key, by whichever node and in
// whichever generation.
func (s *Signer) own(msg []byte) (Checkpoint, error) {
	c, err := ParseCheckpoint(msg)
	if err != nil {
		return c, err
	}
	of, err := s.For(c.Log)
	if err != nil {
		return Checkpoint{}, err
	}
	v, err := note.NewVerifier(of.verifier)
	if err == nil {
		_, err = note.Open(msg, note.VerifierList(v))
	}
	if err != nil {
		return Checkpoint{}, &fault.Error{Kind: fault.Corrupt, Msg: "a stored checkpoint is not signed with the log's key", Err: err}
	}
	return c, nil
}

// ParseCheckpoint reads a signed checkpoint and checks its form, not its
// signature.
func ParseCheckpoint(msg []byte) (Checkpoint, error) {
	cp, err := verify.ParseCheckpoint(msg)
	if err != nil {
		return Checkpoint{}, &fault.Error{Kind: fault.Invalid, Msg: "not a signed checkpoint", Err: err}
	}
	return Checkpoint{
		Log:  event.LogID{ID: event.ID(cp.LogID)},
		Tree: Tree{Size: event.Position(cp.Size), Root: event.Hash(cp.Root)},
		Note: bytes.Clone(msg),
	}, nil
}
