package verify

// testdata/golden.json is a log of five records with fixed ids, keys and nonces,
// and everything computed on the way. docs/record-format.md describes it. The
// verifier, the writer of these tests and the writer of the product must all agree
// with it byte for byte.

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write testdata/golden.json anew")

const goldenFile = "testdata/golden.json"

// Hex fields are lower-case hexadecimal.
type golden struct {
	Format      string             `json:"format"` // muniment.dev/golden/v1
	LogID       string             `json:"log_id"`
	Origin      string             `json:"origin"`
	SigningSeed string             `json:"signing_seed"` // Ed25519 seed
	VerifierKey string             `json:"verifier_key"`
	BlindKeys   map[string]string  `json:"blind_keys"` // by version
	Subjects    []goldenSubject    `json:"subjects"`
	Records     []goldenRecord     `json:"records"`
	Checkpoints []goldenCheckpoint `json:"checkpoints"`
	Receipts    []json.RawMessage  `json:"receipts"`
}

type goldenSubject struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	KeyID   string `json:"key_id"`
	Secret  string `json:"secret"` // K
	KEnc    string `json:"k_enc"`
	KCom    string `json:"k_com"`
}

type goldenRecord struct {
	Position      uint64          `json:"position"`
	EventID       string          `json:"event_id"`
	Stream        string          `json:"stream"`
	StreamVersion uint64          `json:"stream_version"`
	Type          string          `json:"type"`
	Revision      uint32          `json:"revision"`
	Time          int64           `json:"time"`
	Actor         []string        `json:"actor"`
	Public        json.RawMessage `json:"public,omitempty"`
	PublicCBOR    string          `json:"public_cbor,omitempty"`
	Context       json.RawMessage `json:"context,omitempty"`
	ContextCBOR   string          `json:"context_cbor,omitempty"`
	Tags          []string        `json:"tags,omitempty"`
	Erasure       *goldenErasure  `json:"erasure,omitempty"`
	Blocks        []goldenBlock   `json:"blocks,omitempty"`
	Leaf          string          `json:"leaf"`
	LeafHash      string          `json:"leaf_hash"`
	Root          string          `json:"root"` // of the tree up to this record
}

type goldenErasure struct {
	Subject string   `json:"subject"`
	KeyIDs  []string `json:"key_ids"`
}

type goldenBlock struct {
	Subject    string        `json:"subject"`
	KeyID      string        `json:"key_id"`
	Nonce      string        `json:"nonce"`
	Fields     []goldenField `json:"fields,omitempty"`
	Blind      []goldenBlind `json:"blind,omitempty"`
	Plaintext  string        `json:"plaintext"`
	AAD        string        `json:"aad"`
	Ciphertext string        `json:"ciphertext"` // nonce and AES-256-GCM output
	Digest     string        `json:"digest"`
}

type goldenField struct {
	Path       string          `json:"path"`
	Value      json.RawMessage `json:"value"`
	CBOR       string          `json:"cbor"`
	Salt       string          `json:"salt"`
	Commitment string          `json:"commitment"`
}

type goldenBlind struct {
	Path       string `json:"path"`
	Name       string `json:"name"`
	N          uint32 `json:"n"`
	Version    uint64 `json:"version"`
	Normalized string `json:"normalized"` // what the tag is computed from
	Value      string `json:"value"`
	CBOR       string `json:"cbor"` // [version, value]
	Salt       string `json:"salt"`
	Commitment string `json:"commitment"`
}

type goldenCheckpoint struct {
	Size uint64 `json:"size"`
	Note string `json:"note"`
}

// goldenTag is a blind tag with the text it is computed from.
type goldenTag struct {
	tag        BlindTag
	normalized string
}

// makeGolden builds the golden log with the writer of these tests.
func makeGolden() (*golden, *builder) {
	b := newBuilder("golden")
	seed := sha256.Sum256([]byte("signer of golden"))
	g := &golden{Format: "muniment.dev/golden/v1", LogID: b.id.String(), Origin: b.origin, SigningSeed: hex.EncodeToString(seed[:]),
		VerifierKey: b.vkey, BlindKeys: map[string]string{"1": hex.EncodeToString(blindKey())}}
	ada, visitor := newPerson("ada"), newPerson("visitor")
	for name, p := range map[string]person{"ada": ada, "visitor": visitor} {
		w := sealBlock(b.id, ID{}, "", 1, sealed{p, nil, nil})
		g.Subjects = append(g.Subjects, goldenSubject{name, p.Subject.String(), p.Key.String(), hex.EncodeToString(p.Secret),
			hex.EncodeToString(w.kEnc), hex.EncodeToString(w.kCom)})
	}
	if g.Subjects[0].Name != "ada" {
		g.Subjects[0], g.Subjects[1] = g.Subjects[1], g.Subjects[0]
	}
	admin := []string{"user", named("admin").String()}
	email := goldenTag{blindTag(ada, "email", 0, "ada@example.org"), "ada@example.org"}
	newEmail := goldenTag{blindTag(ada, "email", 0, "countess@example.org"), "countess@example.org"}
	org, user := "org:"+named("acme").String(), "user:"+named("ada").String()

	g.add(b, event{Stream: org, Type: "org.created", Time: 1767225600000000, Actor: admin,
		Public:  rawJSON(`{"name":"Acme","rate":12.5,"seats":25,"budget":1e30,"open":true,"limits":{"day":-7,"hour":[1,2]}}`),
		Context: rawJSON(`{"source":"api","request":"` + named("request 1").String() + `"}`), Tags: []string{org}})
	g.add(b, event{Stream: user, Type: "user.registered", Time: 1767225600000123, Actor: admin, Tags: []string{user, org},
		Public: rawJSON(`{"state":"active"}`),
		Seal: []sealed{{ada, map[string]any{"/email": rawJSON(`"Ada@Example.org"`), "/name/given": rawJSON(`"Ada"`), "/height": rawJSON(`1.65`)}, []BlindTag{email.tag}},
			{visitor, map[string]any{"#context/address": rawJSON(`"192.0.2.7"`)}, nil}}}, email)
	g.add(b, event{Stream: user, Type: "user.email.changed", Revision: 2, Time: 1767225660000000, Actor: []string{"user", named("ada").String()}, Tags: []string{user},
		Seal: []sealed{{ada, map[string]any{"/email": rawJSON(`"countess@example.org"`)}, []BlindTag{newEmail.tag}}}}, newEmail)
	g.checkpoint(b)
	g.Receipts = append(g.Receipts, b.receipt(2, ada, map[string]any{"/email": rawJSON(`"Ada@Example.org"`)}).encode())
	device := goldenTag{blindTag(ada, "device", 0, "phone"), "phone"}
	g.add(b, event{Stream: "session:" + named("session").String(), Type: "session.begun", Time: 1767225660000000, Actor: []string{"visitor", visitor.Subject.String()},
		Seal: []sealed{{ada, nil, []BlindTag{device.tag}}}}, device)
	ev := erasureOf(ada)
	ev.Time, ev.Actor = 1767229200000000, admin
	g.add(b, ev)
	g.Records[4].Erasure = &goldenErasure{ada.Subject.String(), []string{ada.Key.String()}}
	g.checkpoint(b)
	return g, b
}

func (g *golden) checkpoint(b *builder) {
	g.Checkpoints = append(g.Checkpoints, goldenCheckpoint{b.size(), string(b.checkpoint())})
}

// add records an event and notes down all that went into it.
func (g *golden) add(b *builder, ev event, tags ...goldenTag) {
	pos := b.add(ev)
	e := b.entries[pos-1]
	l, err := ParseLeaf(e.Leaf)
	if err != nil {
		panic(err)
	}
	root := b.root(pos)
	r := goldenRecord{Position: pos, EventID: l.EventID.String(), Stream: l.Stream, StreamVersion: l.StreamVersion, Type: l.Type,
		Revision: l.Revision, Time: l.Time, Actor: []string{l.Actor.Kind, l.Actor.ID.String()}, PublicCBOR: hex.EncodeToString(l.Public),
		ContextCBOR: hex.EncodeToString(l.Context), Tags: e.Tags, Leaf: hex.EncodeToString(e.Leaf),
		LeafHash: hex.EncodeToString(b.hashes[pos-1][:]), Root: hex.EncodeToString(root[:])}
	r.Public, r.Context = asJSON(ev.Public), asJSON(ev.Context)
	for _, s := range ev.Seal {
		w := sealBlock(b.id, l.EventID, l.Type, l.Revision, s)
		blk := goldenBlock{Subject: s.Subject.String(), KeyID: s.Key.String(), Nonce: hex.EncodeToString(w.nonce), Plaintext: hex.EncodeToString(w.plaintext),
			Ciphertext: hex.EncodeToString(w.ciphertext), Digest: hex.EncodeToString(w.digest),
			AAD: hex.EncodeToString(cat(lp([]byte("muniment/seal/v1")), b.id[:], l.EventID[:], s.Subject[:], s.Key[:], lp([]byte(l.Type)), binary.BigEndian.AppendUint32(nil, l.Revision)))}
		for _, path := range w.paths {
			salt, com, value := hex.EncodeToString(w.salts[path]), hex.EncodeToString(w.commitments[path]), hex.EncodeToString(w.values[path])
			if v, ok := s.Fields[path]; ok {
				blk.Fields = append(blk.Fields, goldenField{path, asJSON(v), value, salt, com})
				continue
			}
			for _, t := range tags {
				if t.tag.path() == path {
					blk.Blind = append(blk.Blind, goldenBlind{path, t.tag.Name, t.tag.N, t.tag.Version, t.normalized, hex.EncodeToString(t.tag.Value[:]), value, salt, com})
				}
			}
		}
		r.Blocks = append(r.Blocks, blk)
	}
	g.Records = append(g.Records, r)
}

func asJSON(v any) json.RawMessage {
	text, ok := v.(rawJSON)
	if !ok {
		return nil
	}
	return json.RawMessage(text)
}

func (g *golden) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(g); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func readGolden(t testing.TB) *golden {
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	g := new(golden)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(g); err != nil {
		t.Fatal(err)
	}
	return g
}

// The writer of these tests still produces the golden file, byte for byte.
func TestGoldenWriter(t *testing.T) {
	g, _ := makeGolden()
	if *update {
		if err := os.WriteFile(goldenFile, g.encode(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.encode(), data) {
		t.Error("the golden file differs from what is written now; the format is what the file says")
	}
}

// goldenSource serves the log of the golden file; erased leaves out what the erasure deletes.
func goldenSource(g *golden, erased bool) *memSource {
	src := new(memSource)
	for _, r := range g.Records {
		e := Entry{Position: r.Position, Leaf: unhex(r.Leaf), Tags: append([]string{}, r.Tags...), Blind: []BlindTag{}}
		for _, blk := range r.Blocks {
			if erased && blk.Subject == g.Records[4].Erasure.Subject {
				e.Ciphertexts = append(e.Ciphertexts, nil)
				continue
			}
			e.Ciphertexts = append(e.Ciphertexts, unhex(blk.Ciphertext))
			for _, t := range blk.Blind {
				e.Blind = append(e.Blind, BlindTag{ID(unhex(blk.Subject)), t.Name, t.N, t.Version, [32]byte(unhex(t.Value))})
			}
		}
		src.entries = append(src.entries, e)
	}
	for _, c := range g.Checkpoints {
		src.notes = append(src.notes, []byte(c.Note))
	}
	return src
}

// The verifier finds the golden log sound, before and after the erasure is carried
// out, and its hashes are those of the file.
func TestGoldenVerifies(t *testing.T) {
	g := readGolden(t)
	keys := &people{erased: map[ID]bool{}}
	for _, s := range g.Subjects {
		keys.list = append(keys.list, person{ID(unhex(s.Subject)), ID(unhex(s.KeyID)), unhex(s.Secret)})
	}
	r := verifyLog(t, goldenSource(g, false), Options{Key: g.VerifierKey, Open: keys, Tags: true, Blind: true, EventIDs: true})
	// Three blocks and three blind tags of Ada's, and her key, are still there.
	if r.Verdict != Verified || r.Opened != 4 || r.Commitments != 8 || r.Pending != 7 || r.Erased != 0 || r.Checkpoints != 2 {
		t.Errorf("%+v %s", r, describe(r))
	}
	keys.erased[ID(unhex(g.Records[4].Erasure.Subject))] = true
	r = verifyLog(t, goldenSource(g, true), Options{Key: g.VerifierKey, Open: keys, Tags: true, Blind: true})
	if r.Verdict != Verified || r.Opened != 1 || r.Pending != 0 || r.Erased != 3 {
		t.Errorf("%+v %s", r, describe(r))
	}
	if root := hex.EncodeToString(r.Root[:]); root != g.Records[4].Root || r.LogID.String() != g.LogID {
		t.Errorf("root %s of log %s", root, r.LogID)
	}
	var f frontier
	for _, rec := range g.Records {
		l, err := ParseLeaf(unhex(rec.Leaf))
		if err != nil {
			t.Fatal(err)
		}
		h := LeafHash(l.Raw)
		f.push(h)
		if root := f.root(); hex.EncodeToString(h[:]) != rec.LeafHash || hex.EncodeToString(root[:]) != rec.Root {
			t.Errorf("record %d: leaf hash %x, root %x", rec.Position, h, root)
		}
		if hex.EncodeToString(l.Public) != rec.PublicCBOR || hex.EncodeToString(l.Context) != rec.ContextCBOR ||
			l.Stream != rec.Stream || l.Type != rec.Type || l.Time != rec.Time || l.EventID.String() != rec.EventID {
			t.Errorf("record %d: %+v", rec.Position, l)
		}
	}
}

// The golden receipt verifies, and goes on doing so after the erasure.
func TestGoldenReceipts(t *testing.T) {
	g := readGolden(t)
	for _, file := range g.Receipts {
		r, err := Receipt(file, g.VerifierKey)
		if err != nil || r.Verdict != Verified || len(r.Disclosed) != 1 || string(r.Disclosed[0].Value) != "\x6fAda@Example.org" {
			t.Errorf("%v %+v", err, r)
		}
	}
}

// The specification's examples are those of the golden file: each block marked as
// hex is a run of bytes with remarks, and must occur there.
func TestSpecificationExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/record-format.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 3 {
		t.Fatalf("%d examples in hexadecimal", len(blocks))
	}
	for _, m := range blocks {
		var run strings.Builder
		for line := range strings.Lines(string(m[1])) {
			code, _, _ := strings.Cut(line, "|")
			run.WriteString(strings.Join(strings.Fields(code), ""))
		}
		if _, err := hex.DecodeString(run.String()); err != nil {
			t.Errorf("%v in:\n%s", err, m[1])
		}
		if !bytes.Contains(data, []byte(`"`+run.String()+`"`)) {
			t.Errorf("not in the golden file: %s", run.String())
		}
	}
}

// The two ways in which these tests write decimal fractions agree with RFC 8949 §3.4.4.
func TestNumbers(t *testing.T) {
	for s, want := range map[string]any{
		"12": int64(12), "1.0": int64(1), "-0": int64(0), "1e2": int64(100), "12.50": cbor.Tag{Number: 4, Content: []any{-1, int64(125)}},
		"1e30": cbor.Tag{Number: 4, Content: []any{30, int64(1)}}, "-1e-7": cbor.Tag{Number: 4, Content: []any{-7, int64(-1)}},
	} {
		if got := number(s); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
}
