package event

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/fault"
)

// leafFields is the leaf as the library decodes it: the measure of ParseLeaf.
type leafFields struct {
	Format     uint64          `cbor:"1,keyasint"`
	Log        LogID           `cbor:"2,keyasint"`
	Position   uint64          `cbor:"3,keyasint"`
	ID         ID              `cbor:"4,keyasint"`
	Stream     string          `cbor:"5,keyasint"`
	Version    uint64          `cbor:"6,keyasint"`
	Type       string          `cbor:"7,keyasint"`
	Revision   uint32          `cbor:"8,keyasint"`
	Time       int64           `cbor:"9,keyasint"`
	Actor      [2]string       `cbor:"10,keyasint"`
	Prev       Hash            `cbor:"11,keyasint"`
	PrevStream Hash            `cbor:"12,keyasint"`
	Public     cbor.RawMessage `cbor:"13,keyasint,omitempty"`
	Context    cbor.RawMessage `cbor:"14,keyasint,omitempty"`
	Tags       []Tag           `cbor:"15,keyasint,omitempty"`
	Blocks     []Block         `cbor:"16,keyasint,omitempty"`
}

func parseByLibrary(leaf []byte) (*Record, error) {
	var f leafFields
	if err := Strict.Unmarshal(leaf, &f); err != nil {
		return nil, err
	}
	stream, err := ParseStream(f.Stream)
	if err != nil {
		return nil, err
	}
	actor, err := ParseActor(f.Actor[0] + ":" + f.Actor[1])
	if err != nil || f.Format != 1 || len(leaf) > MaxLeaf {
		return nil, fault.New(fault.Corrupt, "malformed")
	}
	r := &Record{
		Log: f.Log, Position: Position(f.Position), ID: f.ID, Stream: stream, Version: f.Version,
		Type: f.Type, Revision: f.Revision, Time: time.UnixMicro(f.Time).UTC(), Actor: actor,
		Prev: f.Prev, PrevStream: f.PrevStream, Public: f.Public, Context: f.Context,
		Tags: f.Tags, Blocks: f.Blocks, Leaf: leaf, Ciphertexts: make([][]byte, len(f.Blocks)),
	}
	if !canonical(r) {
		return nil, fault.New(fault.Corrupt, "not canonical")
	}
	return r, r.checkForm()
}

// canonical reports whether a record's leaf is the one encoding of what was
// decoded from it.
func canonical(r *Record) bool {
	d := Draft{ID: r.ID, Stream: r.Stream, Type: r.Type, Revision: r.Revision, Actor: r.Actor,
		Public: r.Public, Context: r.Context, Tags: r.Tags, Blocks: r.Blocks}
	at := Place{Log: r.Log, Position: r.Position, Version: r.Version, Time: r.Time, Prev: r.Prev, PrevStream: r.PrevStream}
	return bytes.Equal(d.AppendLeaf(nil, at), r.Leaf)
}

// agree reports whether ParseLeaf takes a leaf for what the library takes it
// for, or refuses it as the library does.
func agree(t *testing.T, leaf []byte) (accepted bool) {
	t.Helper()
	want, wantErr := parseByLibrary(leaf)
	got, err := ParseLeaf(leaf)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: %v, the library says %v", leaf, err, wantErr)
	}
	if err != nil {
		if !fault.Is(err, fault.Corrupt) {
			t.Fatalf("%x: refused as %v", leaf, fault.KindOf(err))
		}
		return false
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%x: %+v, the library says %+v", leaf, got, want)
	}
	return true
}

// leaves are leaves of all shapes.
func leaves() (all [][]byte) {
	public, _ := EncodeMap(map[string]any{"user": NewID(), "count": 70_000, "names": []string{"a", "b"}})
	for i := range 64 {
		d := &Draft{ID: NewID(), Stream: Stream{"user", NewID()}, Type: "user.noted", Revision: uint32(i*i*i + 1), Actor: Actor{"user", NewID()}}
		if i&1 > 0 {
			d.Public = public
		}
		if i&2 > 0 {
			d.Context = []byte{0xa1, 0x61, 'x', 0xfb, 0, 0, 0, 0, 0, 0, 0, 0}
		}
		if i&4 > 0 {
			d.Tags = []Tag{"org:x", "user:y"}
		}
		for n := range i >> 4 {
			b := Block{Subject: SubjectID{ID{byte(n)}}, Key: KeyID{NewID()}, Alg: 1, Digest: Hash{1}, Fields: []Commitment{}}
			for f := range i & 8 {
				b.Fields = append(b.Fields, Commitment{Path: "/" + strings.Repeat("é", f), Value: Hash{byte(f)}})
			}
			d.Blocks = append(d.Blocks, b)
		}
		at := Place{Log: LogID{NewID()}, Position: Position(uint64(1) << i), Version: uint64(1) << i, Time: time.UnixMicro(int64(i-32) << 40)}
		all = append(all, d.AppendLeaf(nil, at))
	}
	return all
}

// ParseLeaf reads what a general decoder reads, and refuses what that refuses,
// whichever byte is changed.
func TestParseLeafAgreesWithTheLibrary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	changed := 0
	for i, leaf := range leaves() {
		if !agree(t, leaf) {
			t.Fatalf("leaf %d was refused: %x", i, leaf)
		}
		for at := range leaf {
			b := slices.Clone(leaf)
			b[at] ^= byte(1 + rnd.IntN(255))
			if agree(t, b) {
				changed++
			}
		}
		for range 20 {
			at := rnd.IntN(len(leaf))
			agree(t, leaf[:at])
			agree(t, slices.Concat(leaf[:at], leaf[min(at+1+rnd.IntN(4), len(leaf)):]))
			agree(t, slices.Concat(leaf[:at], leaf[at/2:]))
		}
		agree(t, append(slices.Clone(leaf), 0))
	}
	if changed == 0 {
		t.Fatal("no changed leaf was another sound leaf: the test changes nothing that counts")
	}
}

// Depth is bounded wherever it is hidden.
func TestParseLeafDepth(t *testing.T) {
	for _, c := range []struct {
		levels int
		ok     bool
	}{{14, true}, {15, false}, {1000, false}} {
		deep := append([]byte{0xa1, 0x61, 'x'}, append(bytes.Repeat([]byte{0x81}, c.levels), 0)...)
		d := &Draft{ID: NewID(), Stream: Stream{Kind: "user"}, Type: "user.noted", Revision: 1, Actor: System, Context: deep}
		if agree(t, d.AppendLeaf(nil, Place{Position: 1, Version: 1, Time: time.UnixMicro(1)})) != c.ok {
			t.Errorf("%d levels below the context's map", c.levels)
		}
	}
}

// Whatever the bytes, ParseLeaf and the library agree.
func FuzzParseLeafAgrees(f *testing.F) {
	for _, leaf := range leaves() {
		f.Add(leaf)
	}
	f.Fuzz(func(t *testing.T, leaf []byte) { agree(t, leaf) })
}

func BenchmarkParseLeaf(b *testing.B) {
	leaf := leaves()[63]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseLeaf(leaf); err != nil {
			b.Fatal(err)
		}
	}
}
