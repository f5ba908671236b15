package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// receiptJSON is a receipt as a writer would hold it.
type receiptJSON struct {
	Format    string           `json:"format"`
	Leaf      []byte           `json:"leaf"`
	Proof     string           `json:"proof"`
	Disclosed []disclosureJSON `json:"disclosed,omitempty"`
}

type disclosureJSON struct {
	Subject string `json:"subject"`
	Path    string `json:"path"`
	Value   []byte `json:"value"`
	Salt    []byte `json:"salt"`
}

// receipt makes a receipt that discloses fields of one person.
func (b *builder) receipt(pos uint64, p person, fields map[string]any) receiptJSON {
	leaf := b.entries[pos-1].Leaf
	l, err := ParseLeaf(leaf)
	if err != nil {
		panic(err)
	}
	r := receiptJSON{Format: "muniment.dev/receipt/v1", Leaf: leaf, Proof: b.proof(pos)}
	w := sealBlock(b.id, l.EventID, l.Type, l.Revision, sealed{p, fields, nil})
	for _, path := range w.paths {
		r.Disclosed = append(r.Disclosed, disclosureJSON{p.Subject.String(), path, w.values[path], w.salts[path]})
	}
	return r
}

func (r receiptJSON) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestReceipt(t *testing.T) {
	b, persons := sampleLog()
	for pos := uint64(1); pos <= b.size(); pos++ {
		file := receiptJSON{Format: "muniment.dev/receipt/v1", Leaf: b.entries[pos-1].Leaf, Proof: b.proof(pos)}.encode()
		r, err := Receipt(file, b.vkey)
		if err != nil || r.Verdict != Verified || r.Position != pos || r.LeafHash != b.hashes[pos-1] || r.Checkpoint.Size != 12 {
			t.Errorf("record %d: %v %+v", pos, err, r)
		}
		if r, err := Receipt(file, ""); err != nil || r.Verdict != Consistent {
			t.Errorf("record %d without key: %v", pos, err)
		}
	}
	// A receipt made before an erasure stays good after it: Ada is erased in the
	// sample, her e-mail of record 2 still checks against the leaf.
	r, err := Receipt(b.receipt(2, persons[0], map[string]any{"/email": "ada@example.org"}).encode(), b.vkey)
	if err != nil || len(r.Disclosed) != 1 || string(r.Disclosed[0].Value) != "\x6fada@example.org" {
		t.Errorf("%v %+v", err, r)
	}
}

// Every bit of a receipt, changed: refused.
func TestReceiptEveryBit(t *testing.T) {
	b, persons := sampleLog()
	full := b.receipt(2, persons[0], map[string]any{"/email": "ada@example.org", "/name": "Ada"})
	compact, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{full.encode(), compact} {
		if _, err := Receipt(file, b.vkey); err != nil {
			t.Fatal(err)
		}
		for k := range len(file) * 8 {
			flip(file, k)
			if _, err := Receipt(file, b.vkey); err == nil {
				t.Fatalf("bit %d of byte %d accepted: %q", k%8, k/8, file[max(0, k/8-20):min(len(file), k/8+20)])
			}
			flip(file, k)
		}
	}
}

// What a forger of receipts may try.
func TestReceiptRefuses(t *testing.T) {
	b, persons := sampleLog()
	ada, bob := persons[0], persons[1]
	good := func() receiptJSON { return b.receipt(2, ada, map[string]any{"/email": "ada@example.org"}) }
	text := func(old, new string) func(receiptJSON) []byte {
		return func(r receiptJSON) []byte {
			s := string(r.encode())
			if !strings.Contains(s, old) {
				t.Fatalf("%q does not occur", old)
			}
			return []byte(strings.Replace(s, old, new, 1))
		}
	}
	change := func(f func(*receiptJSON)) func(receiptJSON) []byte {
		return func(r receiptJSON) []byte { f(&r); return r.encode() }
	}
	for name, tc := range map[string]struct {
		do   func(receiptJSON) []byte
		code Code
	}{
		"empty file":              {func(receiptJSON) []byte { return nil }, ReceiptMalformed},
		"trailing data":           {func(r receiptJSON) []byte { return append(r.encode(), "{}"...) }, ReceiptMalformed},
		"two receipts":            {func(r receiptJSON) []byte { return bytes.Repeat(r.encode(), 2) }, ReceiptMalformed},
		"a list":                  {func(r receiptJSON) []byte { return []byte("[" + string(r.encode()) + "]") }, ReceiptMalformed},
		"null":                    {func(receiptJSON) []byte { return []byte("null") }, ReceiptMalformed},
		"unknown field":           {text(`"format"`, `"x": 1, "format"`), ReceiptMalformed},
		"field in other case":     {text(`"leaf"`, `"Leaf"`), ReceiptMalformed},
		"field twice":             {text(`"proof"`, `"format": "muniment.dev/receipt/v1", "proof"`), ReceiptMalformed},
		"leaf null":               {change(func(r *receiptJSON) { r.Leaf = nil }), ReceiptMalformed},
		"no leaf":                 {text(`"leaf"`, `"disclosed": [], "x"`), ReceiptMalformed},
		"leaf number":             {text(`"leaf": "`, `"leaf": 1, "x": "`), ReceiptMalformed},
		"format 2":                {text("receipt/v1", "receipt/v2"), ReceiptMalformed},
		"invalid UTF-8":           {text("muniment.dev", "muniment\xff.dev"), ReceiptMalformed},
		"leaf in URL base64":      {change2(func(s string) string { return "-" + s[1:] }), ReceiptMalformed},
		"line break in leaf":      {change2(func(s string) string { return s[:4] + `\n` + s[4:] }), ReceiptMalformed},
		"disclosed object":        {text(`"disclosed": [`, `"disclosed": {"x": [`), ReceiptMalformed},
		"subject upper case":      {change(func(r *receiptJSON) { r.Disclosed[0].Subject = strings.ToUpper(r.Disclosed[0].Subject) }), ReceiptMalformed},
		"short salt":              {change(func(r *receiptJSON) { r.Disclosed[0].Salt = r.Disclosed[0].Salt[1:] }), ReceiptMalformed},
		"salt missing":            {text(`"salt"`, `"salt"`), ReceiptMalformed},
		"value spelled otherwise": {change(func(r *receiptJSON) { r.Disclosed[0].Value = append([]byte{0x78}, r.Disclosed[0].Value...) }), ReceiptMalformed},
		"value with more":         {change(func(r *receiptJSON) { r.Disclosed[0].Value = append(r.Disclosed[0].Value, 0) }), ReceiptMalformed},
		"disclosed twice":         {change(func(r *receiptJSON) { r.Disclosed = append(r.Disclosed, r.Disclosed[0]) }), ReceiptMalformed},
		"blind tag disclosed":     {change(func(r *receiptJSON) { r.Disclosed[0].Path = "#tag/email/0" }), ReceiptMalformed},
		"another value":           {change(func(r *receiptJSON) { r.Disclosed[0].Value = encode("eve@example.org") }), CommitmentDiffer},
		"another path":            {change(func(r *receiptJSON) { r.Disclosed[0].Path = "/name" }), CommitmentDiffer},
		"no such path":            {change(func(r *receiptJSON) { r.Disclosed[0].Path = "/nothing" }), CommitmentDiffer},
		"another subject":         {change(func(r *receiptJSON) { r.Disclosed[0].Subject = bob.Subject.String() }), CommitmentDiffer},
		"another record's leaf":   {change(func(r *receiptJSON) { r.Leaf = b.entries[2].Leaf }), ReceiptProof},
		"another record's proof":  {change(func(r *receiptJSON) { r.Proof = b.proof(3) }), ReceiptProof},
		"another index":           {text("index 1", "index 2"), ReceiptProof},
		"index with zero":         {text("index 1", "index 01"), ReceiptMalformed},
		"no index":                {text(`index 1\n`, ``), ReceiptMalformed},
		"extra line":              {text(`index 1\n`, `extra AAAA\nindex 1\n`), ReceiptMalformed},
		"proof version":           {text("tlog-proof@v1", "tlog-proof@v2"), ReceiptMalformed},
		"malformed leaf":          {change(func(r *receiptJSON) { r.Leaf = append(bytes.Clone(r.Leaf), 0) }), LeafMalformed},
		"a tall proof":            {text(`index 1\n`, `index 1\n`+strings.Repeat(b.hashes[0].String()+`\n`, 64)), ReceiptMalformed},
		"a longer proof":          {text(`index 1\n`, `index 1\n`+b.hashes[0].String()+`\n`), ReceiptProof},
		"another root": {change(func(r *receiptJSON) {
			r.Proof = strings.Split(r.Proof, "\n\n")[0] + "\n\n" + string(b.sign(12, b.root(11)))
		}), ReceiptProof},
		"another size": {change(func(r *receiptJSON) {
			r.Proof = strings.Split(r.Proof, "\n\n")[0] + "\n\n" + string(b.sign(3, b.root(12)))
		}), ReceiptProof},
		"a tree of no records": {change(func(r *receiptJSON) {
			r.Proof = strings.Split(r.Proof, "\n\n")[0] + "\n\n" + string(b.sign(0, b.root(12)))
		}), ReceiptProof},
		"unsigned checkpoint": {change(func(r *receiptJSON) { r.Proof = r.Proof[:strings.LastIndex(r.Proof, "— ")] }), CheckpointMalformed},
		"another log's checkpoint": {change(func(r *receiptJSON) {
			r.Proof = strings.Split(r.Proof, "\n\n")[0] + "\n\n" + string(newBuilder("other").sign(12, b.root(12)))
		}), CheckpointOther},
		"too long": {func(r receiptJSON) []byte { return append(r.encode(), bytes.Repeat([]byte{' '}, maxReceipt)...) }, ReceiptMalformed},
	} {
		if name == "salt missing" {
			r := good()
			tc.do = func(receiptJSON) []byte {
				i := bytes.Index(r.encode(), []byte(",\n      \"salt\""))
				j := bytes.IndexByte(r.encode()[i+2:], '\n') + i + 2
				return append(r.encode()[:i:i], r.encode()[j:]...)
			}
		}
		_, err := Receipt(tc.do(good()), b.vkey)
		var e *Error
		if !errors.As(err, &e) || e.Code != tc.code {
			t.Errorf("%s: got %v, want %s", name, err, tc.code)
		}
	}
	// Without a key, a receipt whose checkpoint is of another log is still refused.
	r := good()
	r.Proof = strings.Split(r.Proof, "\n\n")[0] + "\n\n" + string(newBuilder("other").sign(12, b.root(12)))
	var e *Error
	if _, err := Receipt(r.encode(), ""); !errors.As(err, &e) || e.Code != LogOther {
		t.Error(err)
	}
	if _, err := Receipt(good().encode(), newBuilder("other").vkey); !errors.As(err, &e) || e.Code != CheckpointOther {
		t.Error(err)
	}
	if _, err := Receipt(good().encode(), "nonsense"); !errors.As(err, &e) || e.Code != KeyMalformed {
		t.Error(err)
	}
}

// change2 changes the base64 text of the leaf.
func change2(f func(string) string) func(receiptJSON) []byte {
	return func(r receiptJSON) []byte {
		s := base64.StdEncoding.EncodeToString(r.Leaf)
		return bytes.Replace(r.encode(), []byte(s), []byte(f(s)), 1)
	}
}

// FuzzReceipt: nothing panics, and nothing is accepted that shows another record,
// or another value, than those of the log.
func FuzzReceipt(f *testing.F) {
	b, persons := sampleLog()
	f.Add(b.receipt(2, persons[0], map[string]any{"/email": "ada@example.org"}).encode())
	f.Add(b.receipt(3, persons[1], map[string]any{"/email": "bob@example.org"}).encode())
	f.Add(receiptJSON{Format: "muniment.dev/receipt/v1", Leaf: b.entries[0].Leaf, Proof: b.proof(1)}.encode())
	f.Add([]byte(`{"format":"muniment.dev/receipt/v1","leaf":"","proof":"","disclosed":[]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := Receipt(file, b.vkey)
		if err != nil {
			return
		}
		if r.Position > b.size() || !bytes.Equal(r.Leaf.Raw, b.entries[r.Position-1].Leaf) {
			t.Errorf("accepted another record: %q", file)
		}
		for _, d := range r.Disclosed {
			if !strings.Contains("\x6fada@example.org \x6fbob@example.org", string(d.Value)) {
				t.Errorf("accepted another value: %q", d.Value)
			}
		}
	})
}
