package verify

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// A checkpoint reads as what was signed.
func TestParseCheckpoint(t *testing.T) {
	b, _ := sampleLog()
	cp, err := ParseCheckpoint(b.notes[1])
	if err != nil {
		t.Fatal(err)
	}
	if cp.Origin != b.origin || cp.LogID != b.id || cp.Size != 5 || cp.Root != b.root(5) {
		t.Errorf("%+v", cp)
	}
}

// A checkpoint has one spelling.
func TestParseCheckpointRefuses(t *testing.T) {
	b, _ := sampleLog()
	good := string(b.notes[1])
	root, id := b.root(5).String(), b.id.String()
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	sig := good[strings.LastIndexByte(strings.TrimSuffix(good, "\n"), '\n')+1:]
	raw := strings.Fields(sig)[2]
	for name, s := range map[string]string{
		"empty":                  "",
		"no signature":           replace(sig, ""),
		"no blank line":          replace("\n\n", "\n"),
		"extension line":         replace("\n\n", "\nextra\n\n"),
		"size with zero":         replace("\n5\n", "\n05\n"),
		"size with plus":         replace("\n5\n", "\n+5\n"),
		"size negative":          replace("\n5\n", "\n-5\n"),
		"size empty":             replace("\n5\n", "\n\n"),
		"size huge":              replace("\n5\n", "\n9007199254740992\n"),
		"root short":             replace(root, root[:40]),
		"root loose bits":        replace(root, loosen(root)),
		"root unpadded":          replace(root, strings.TrimRight(root, "=")),
		"root broken line":       replace(root, root[:8]+"\r"+root[8:]),
		"origin without host":    replace(b.origin, "/"+id),
		"origin without log id":  replace(b.origin, "log.example"),
		"origin upper case":      replace(id, strings.ToUpper(id)),
		"origin with space":      replace("log.example/", "log .example/"),
		"origin with plus":       replace("log.example/", "log+example/"),
		"signature loose bits":   replace(raw, loosen(raw)),
		"signature line break":   replace(raw, raw[:8]+"\r"+raw[8:]),
		"signature twice":        good + sig,
		"signature without name": replace("— "+b.origin+" ", "— "),
		"hyphen for dash":        replace("— ", "- "),
		"no last newline":        strings.TrimSuffix(good, "\n"),
		"blank line after":       good + "\n",
		"too long":               good + strings.Repeat("x", maxNote),
	} {
		if s == good {
			t.Fatalf("%s: not changed", name)
		}
		_, err := ParseCheckpoint([]byte(s))
		var e *Error
		if !errors.As(err, &e) || e.Code != CheckpointMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// loosen sets an unused bit of the last base64 digit, which lax decoders ignore.
func loosen(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := len(strings.TrimRight(s, "=")) - 1
	return s[:i] + string(digits[strings.IndexByte(digits, s[i])|1]) + s[i+1:]
}

// A signature of another key, or over another origin, is not the log's.
func TestOpenCheckpoint(t *testing.T) {
	b, _ := sampleLog()
	key, err := parseKey(b.vkey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.open(b.notes[0]); err != nil {
		t.Error(err)
	}
	// Further signatures, of witnesses, are let be.
	skey, _, _ := note.GenerateKey(nil, "witness.example")
	witness, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(b.notes[0], note.VerifierList(key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := note.Sign(n, witness)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.open(msg); err != nil {
		t.Error(err)
	}
	// The witness alone does not do.
	alone, _ := note.Sign(&note.Note{Text: n.Text}, witness)
	expectCode(t, key, alone, CheckpointSignature)
	// Another key under the same name.
	forger := newBuilder("sample")
	other, _, _ := note.GenerateKey(nil, b.origin)
	if forger.signer, err = note.NewSigner(other); err != nil {
		t.Fatal(err)
	}
	expectCode(t, key, forger.sign(3, b.root(3)), CheckpointSignature)
	// The right key over another log's head.
	moved := newBuilder("elsewhere")
	text := fmt.Sprintf("%s\n3\n%s\n", moved.origin, b.root(3))
	wrong, _ := note.Sign(&note.Note{Text: text}, b.signer)
	expectCode(t, key, wrong, CheckpointOther)
}

func expectCode(t *testing.T, key *verifierKey, msg []byte, want Code) {
	t.Helper()
	_, err := key.open(msg)
	var e *Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzCheckpoint: whatever is accepted has one spelling, and nothing that differs
// from what was signed passes with the key.
func FuzzCheckpoint(f *testing.F) {
	b, _ := sampleLog()
	signed := map[string]bool{}
	for _, n := range b.notes {
		f.Add(n)
		signed[string(n)] = true
	}
	f.Add([]byte("log.example/00000000000000000000000000000000\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— x AAAAAAA=\n"))
	key, err := parseKey(b.vkey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		cp, err := ParseCheckpoint(msg)
		if err != nil {
			return
		}
		text := fmt.Sprintf("%s\n%d\n%s\n\n", cp.Origin, cp.Size, cp.Root)
		if !bytes.HasPrefix(msg, []byte(text)) {
			t.Errorf("reads as %q", text)
		}
		if _, err := key.open(msg); err == nil && !signed[string(msg[:len(text)])+sigOf(msg, b.origin)] {
			t.Errorf("accepted %q", msg)
		}
	})
}

// sigOf returns the signature line of a name.
func sigOf(msg []byte, name string) string {
	for line := range strings.Lines(string(msg)) {
		if strings.HasPrefix(line, "— "+name+" ") {
			return line
		}
	}
	return ""
}
