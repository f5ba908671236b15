package verify

// A writer of logs for tests, made from docs/record-format.md with a general CBOR
// encoder. It shares no code with the writer of the product, on purpose: the two
// must agree because both follow the page.

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// encode is the oracle for deterministic CBOR.
func encode(v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// named returns a fixed id for a name.
func named(name string) ID {
	sum := sha256.Sum256([]byte("muniment test " + name))
	return ID(sum[:16])
}

func stream(kind, name string) string { return kind + ":" + named(name).String() }

// person is a subject with its key.
type person struct {
	Subject, Key ID
	Secret       []byte
}

func newPerson(name string) person {
	secret := sha256.Sum256([]byte("secret of " + name))
	return person{named("subject " + name), named("key " + name), secret[:]}
}

// event is what a test wants recorded. The zero values of revision, time and
// actor are filled in.
type event struct {
	Stream, Type    string
	Revision        uint32
	Time            int64
	Actor           []string
	Public, Context any // maps; JSON text is converted
	Tags            []string
	Seal            []sealed
}

// sealed is one block of an event.
type sealed struct {
	person
	Fields map[string]any // by path
	Blind  []BlindTag
}

// builder writes a log into memory.
type builder struct {
	id      ID
	origin  string
	seed    [32]byte
	signer  note.Signer
	vkey    string
	entries []Entry
	hashes  []tlog.Hash
	tree    []tlog.Hash // as stored by package tlog
	heads   map[string]tlog.Hash
	version map[string]uint64
	notes   [][]byte
}

func newBuilder(name string) *builder {
	b := &builder{id: named("log " + name), heads: map[string]tlog.Hash{}, version: map[string]uint64{}}
	b.seed = sha256.Sum256([]byte("signer of " + name))
	b.useKey()
	return b
}

// useKey signs from now on under the present id.
func (b *builder) useKey() {
	b.origin = "log.example/" + b.id.String()
	private := ed25519.NewKeyFromSeed(b.seed[:])
	var err error
	if b.vkey, err = note.NewEd25519VerifierKey(b.origin, private.Public().(ed25519.PublicKey)); err != nil {
		panic(err)
	}
	hash := strings.Split(b.vkey, "+")[1]
	skey := "PRIVATE+KEY+" + b.origin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, b.seed[:]...))
	if b.signer, err = note.NewSigner(skey); err != nil {
		panic(err)
	}
}

// begin begins a generation that names an id as the one before, and a checkpoint.
func (b *builder) begin(name string, previous ID, checkpoint []byte) uint64 {
	payload := map[uint64]any{1: previous[:]}
	if checkpoint != nil {
		payload[2] = string(checkpoint)
	}
	b.id = named("log " + name)
	b.useKey()
	return b.add(event{Stream: stream("instance", "it"), Type: "log.continued", Public: payload})
}

func (b *builder) size() uint64 { return uint64(len(b.entries)) }

// leafMap assembles the leaf of an event, with its ciphertexts and blind tags.
func (b *builder) leafMap(ev event) (leaf map[uint64]any, e Entry) {
	pos := b.size() + 1
	eventID := named(fmt.Sprintf("event %s %d", b.id, pos))
	rev, when, actor := ev.Revision, ev.Time, ev.Actor
	if rev == 0 {
		rev = 1
	}
	if when == 0 {
		when = 1767225600000000 + int64(pos)*1000
	}
	if actor == nil {
		actor = []string{"user", named("actor").String()}
	}
	leaf = map[uint64]any{1: 1, 2: b.id[:], 3: pos, 4: eventID[:], 5: ev.Stream, 6: b.version[ev.Stream] + 1,
		7: ev.Type, 8: rev, 9: when, 10: actor, 11: make([]byte, 32), 12: make([]byte, 32)}
	if pos > 1 {
		leaf[11] = b.hashes[pos-2][:]
	}
	if h, ok := b.heads[ev.Stream]; ok {
		leaf[12] = h[:]
	}
	if ev.Public != nil {
		leaf[13] = fromJSON(ev.Public)
	}
	if ev.Context != nil {
		leaf[14] = fromJSON(ev.Context)
	}
	e = Entry{Position: pos, Tags: slices.Sorted(slices.Values(ev.Tags)), Blind: []BlindTag{}}
	if len(ev.Tags) > 0 {
		leaf[15] = e.Tags
	}
	var blocks []any
	slices.SortFunc(ev.Seal, func(a, b sealed) int { return bytes.Compare(a.Subject[:], b.Subject[:]) })
	for _, s := range ev.Seal {
		w := sealBlock(b.id, eventID, ev.Type, rev, s)
		blocks = append(blocks, w.block)
		e.Ciphertexts = append(e.Ciphertexts, w.ciphertext)
		e.Blind = append(e.Blind, s.Blind...)
	}
	if blocks != nil {
		leaf[16] = blocks
	}
	return leaf, e
}

// add records an event.
func (b *builder) add(ev event) uint64 {
	leaf, e := b.leafMap(ev)
	e.Leaf = encode(leaf)
	b.append(ev.Stream, e)
	return e.Position
}

// append puts a finished entry into the log, whatever its leaf says.
func (b *builder) append(stream string, e Entry) {
	h := LeafHash(e.Leaf)
	b.hashes = append(b.hashes, h)
	b.entries = append(b.entries, e)
	b.heads[stream] = h
	b.version[stream]++
	more, err := tlog.StoredHashesForRecordHash(int64(e.Position-1), h, b)
	if err != nil {
		panic(err)
	}
	b.tree = append(b.tree, more...)
}

// ReadHashes makes the builder a tlog.HashReader.
func (b *builder) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, b.tree[i])
	}
	return list, nil
}

func (b *builder) root(size uint64) tlog.Hash {
	h, err := tlog.TreeHash(int64(size), b)
	if err != nil {
		panic(err)
	}
	return h
}

// sign returns a signed checkpoint with the given head.
func (b *builder) sign(size uint64, root tlog.Hash) []byte {
	msg, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", b.origin, size, root)}, b.signer)
	if err != nil {
		panic(err)
	}
	return msg
}

// checkpoint signs and stores a checkpoint of the log as it is.
func (b *builder) checkpoint() []byte {
	msg := b.sign(b.size(), b.root(b.size()))
	b.notes = append(b.notes, msg)
	return msg
}

// erase records the erasure of a subject and deletes its ciphertexts and blind tags.
func (b *builder) erase(p person) uint64 {
	pos := b.add(erasureOf(p))
	for i := range b.entries {
		b.forget(i, p.Subject)
	}
	return pos
}

func erasureOf(p person) event {
	return event{Stream: "subject:" + p.Subject.String(), Type: "subject.erased",
		Public: map[uint64]any{1: p.Subject[:], 2: [][]byte{p.Key[:]}}}
}

// forget deletes what entry i holds for a subject.
func (b *builder) forget(i int, subject ID) {
	e := &b.entries[i]
	l, err := ParseLeaf(e.Leaf)
	if err != nil {
		panic(err)
	}
	for k := range l.Blocks {
		if l.Blocks[k].Subject == subject {
			e.Ciphertexts[k] = nil
		}
	}
	e.Blind = slices.DeleteFunc(e.Blind, func(t BlindTag) bool { return t.Subject == subject })
}

// proof returns the C2SP tlog-proof of a record in the log as it is.
func (b *builder) proof(pos uint64) string {
	p, err := tlog.ProveRecord(int64(b.size()), int64(pos-1), b)
	if err != nil {
		panic(err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "c2sp.org/tlog-proof@v1\nindex %d\n", pos-1)
	for _, h := range p {
		fmt.Fprintln(&s, h)
	}
	fmt.Fprintf(&s, "\n%s", b.sign(b.size(), b.root(b.size())))
	return s.String()
}

// written is a sealed block with everything that went into it.
type written struct {
	block                         []any
	kEnc, kCom, nonce             []byte
	plaintext, ciphertext, digest []byte
	paths                         []string
	salts, values, commitments    map[string][]byte
}

func lp(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func hmac256(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(cat(parts...))
	return h.Sum(nil)
}

// sealBlock seals fields and commits to them and to the blind tags.
func sealBlock(log, eventID ID, typ string, rev uint32, s sealed) *written {
	w := &written{salts: map[string][]byte{}, values: map[string][]byte{}, commitments: map[string][]byte{}}
	w.kEnc, _ = hkdf.Key(sha256.New, s.Secret, log[:], "muniment/enc/v1", 32)
	w.kCom, _ = hkdf.Key(sha256.New, s.Secret, log[:], "muniment/com/v1", 32)
	fields := map[string]any{}
	for path, v := range s.Fields {
		fields[path] = fromJSON(v)
		w.values[path] = encode(fields[path])
	}
	for _, t := range s.Blind {
		w.values[fmt.Sprintf("#tag/%s/%d", t.Name, t.N)] = encode([]any{t.Version, t.Value[:]})
	}
	w.plaintext = encode(fields)

	nonce := sha256.Sum256(cat([]byte("nonce"), eventID[:], s.Subject[:]))
	w.nonce = nonce[:12]
	block, err := aes.NewCipher(w.kEnc)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	aad := cat(lp([]byte("muniment/seal/v1")), log[:], eventID[:], s.Subject[:], s.Key[:], lp([]byte(typ)), binary.BigEndian.AppendUint32(nil, rev))
	w.ciphertext = gcm.Seal(bytes.Clone(w.nonce), w.nonce, w.plaintext, aad)
	digest := sha256.Sum256(w.ciphertext)
	w.digest = digest[:]

	var commitments []any
	for path := range w.values {
		w.paths = append(w.paths, path)
	}
	slices.Sort(w.paths)
	for _, path := range w.paths {
		salt := hmac256(w.kCom, lp([]byte("muniment/salt/v1")), eventID[:], lp([]byte(path)))
		com := hmac256(salt, lp([]byte("muniment/field/v1")), lp([]byte(path)), lp(w.values[path]))
		w.salts[path], w.commitments[path] = salt, com
		commitments = append(commitments, []any{path, com})
	}
	w.block = []any{s.Subject[:], s.Key[:], 1, w.digest, commitments}
	return w
}

// blindTag computes a blind tag of a normalized value under version 1 of a test key.
func blindTag(p person, name string, n uint32, normalized string) BlindTag {
	v := hmac256(blindKey(), lp([]byte("muniment/blind/v1")), lp([]byte(name)), lp([]byte(normalized)))
	return BlindTag{p.Subject, name, n, 1, [32]byte(v)}
}

func blindKey() []byte { sum := sha256.Sum256([]byte("blind key 1")); return sum[:] }

// rawJSON is a value given as JSON text.
type rawJSON string

// fromJSON turns JSON text into what the format says; other values pass.
func fromJSON(v any) any {
	text, ok := v.(rawJSON)
	if !ok {
		return v
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		panic(err)
	}
	return convert(x)
}

func convert(x any) any {
	switch x := x.(type) {
	case map[string]any:
		for k := range x {
			x[k] = convert(x[k])
		}
	case []any:
		for i := range x {
			x[i] = convert(x[i])
		}
	case json.Number:
		return number(string(x))
	}
	return x
}

// number converts a JSON number: an integer within int64, else a decimal fraction.
func number(s string) any {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	if r.IsInt() && r.Num().IsInt64() {
		return r.Num().Int64()
	}
	exp, ten := 0, big.NewRat(10, 1)
	for ; !r.IsInt(); exp-- {
		r.Mul(r, ten)
	}
	m := new(big.Int).Set(r.Num())
	for q, rem := new(big.Int), new(big.Int); ; exp++ {
		if q.QuoRem(m, big.NewInt(10), rem); rem.Sign() != 0 {
			break
		}
		m.Set(q)
	}
	return cbor.Tag{Number: 4, Content: []any{exp, m.Int64()}}
}

// memSource serves entries and checkpoints from memory.
type memSource struct {
	entries []Entry
	notes   [][]byte
}

func (b *builder) source() *memSource { return &memSource{b.entries, b.notes} }

func (m *memSource) Entries(_ context.Context, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range m.entries {
			if e.Position >= from && !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memSource) Checkpoints(context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, n := range m.notes {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// clone copies the source deeply, so that a test may damage it.
func (m *memSource) clone() *memSource {
	c := &memSource{}
	for _, e := range m.entries {
		e.Leaf = bytes.Clone(e.Leaf)
		e.Tags = slices.Clone(e.Tags)
		e.Blind = slices.Clone(e.Blind)
		e.Ciphertexts = slices.Clone(e.Ciphertexts)
		for i := range e.Ciphertexts {
			e.Ciphertexts[i] = bytes.Clone(e.Ciphertexts[i])
		}
		c.entries = append(c.entries, e)
	}
	for _, n := range m.notes {
		c.notes = append(c.notes, bytes.Clone(n))
	}
	return c
}

// verifyLog runs Log and fails the test on an error.
func verifyLog(t testing.TB, src Source, opt Options) *Report {
	t.Helper()
	r, err := Log(t.Context(), src, opt)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	return r
}

// describe lists findings for failure messages.
func describe(r *Report) string {
	var s strings.Builder
	fmt.Fprintln(&s, r.Summary())
	for i := range r.Findings {
		fmt.Fprintln(&s, "  ", r.Findings[i].String())
	}
	return s.String()
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
