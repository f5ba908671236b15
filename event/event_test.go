package event

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

type noted struct {
	User  ID             `event:"user,public,subject,tag"`
	At    Instant        `event:"at,public"`
	Note  Sealed[string] `event:"note,blind=note,fold"`
	Was   Sealed[string] `event:"was,blind=note,fold,only"`
	Count Sealed[int64]  `event:"count"`
}

// A payload survives being taken apart and put together again.
func TestSplitDecode(t *testing.T) {
	reg := NewRegistry([]Descriptor{Describe[noted]("user.noted", 1, "{actor} noted {note}")})
	in := noted{User: NewID(), At: 7, Note: Seal("Hello"), Was: Seal("Old"), Count: Seal(int64(-3))}
	d, err := reg.Of(LogID{}, in)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := d.Split(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts.Blind) != 2 || parts.Blind[1].N != 1 || parts.Blind[1].Value != "Old" {
		t.Fatalf("blind fields: %+v", parts.Blind)
	}
	if want := []Tag{NewTag("user", in.User.String())}; !reflect.DeepEqual(parts.Tags, want) {
		t.Fatalf("tags: %v", parts.Tags)
	}
	s := SubjectID{in.User}
	r := record(t, parts, s)
	got, err := d.Decode(r, []Opened{{State: Present, Fields: parts.Sealed[s]}})
	if err != nil {
		t.Fatal(err)
	}
	want := in
	want.Was = Sealed[string]{}
	if !reflect.DeepEqual(got.Payload, want) {
		t.Fatalf("got %#v", got.Payload)
	}
	got, _ = d.Decode(r, []Opened{{State: Erased}})
	if p := got.Payload.(noted); p.Note.State != Erased || p.Count.State != Erased || p.Was.State != Absent {
		t.Fatalf("an erased field must read as erased: %+v", p)
	}
}

// record makes a stored record of parts through the leaf's bytes.
func record(t *testing.T, parts *Parts, s SubjectID) *Record {
	t.Helper()
	b := Block{Subject: s, Key: KeyID{NewID()}, Alg: 1}
	for _, path := range []string{"#tag/note/0", "/count", "/note"} {
		b.Fields = append(b.Fields, Commitment{Path: path})
	}
	draft := &Draft{ID: NewID(), Stream: Stream{"user", s.ID}, Type: "user.noted", Revision: 1, Actor: System,
		Public: parts.Public, Tags: parts.Tags, Blocks: []Block{b}, Ciphertexts: [][]byte{{1}}}
	leaf := draft.AppendLeaf(nil, Place{Log: LogID{NewID()}, Position: 300, Version: 1, Time: time.UnixMicro(-5).UTC()})
	if len(leaf) > draft.leafSize() {
		t.Fatalf("a leaf of %d bytes was taken to have at most %d", len(leaf), draft.leafSize())
	}
	r, err := ParseLeaf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The hand-written leaf encoding is the deterministic one: decoding to generic
// values and encoding with the library gives the same bytes.
func TestLeafIsDeterministic(t *testing.T) {
	reg := NewRegistry([]Descriptor{Describe[noted]("user.noted", 1, "")})
	in := noted{User: NewID(), At: 1 << 40, Note: Seal("x")}
	d, _ := reg.Of(LogID{}, in)
	parts, err := d.Split(in)
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, parts, SubjectID{in.User})
	var generic map[uint64]any
	if err := cbor.Unmarshal(r.Leaf, &generic); err != nil {
		t.Fatal(err)
	}
	again, err := Deterministic.Marshal(generic)
	if err != nil || string(again) != string(r.Leaf) {
		t.Fatalf("%v\n%x\n%x", err, again, r.Leaf)
	}
}

// Each changed byte of a leaf is refused or gives another record; none panics.
func FuzzParseLeaf(f *testing.F) {
	d := &Draft{ID: MustID(strings.Repeat("ab", 16)), Stream: Stream{Kind: "user"}, Type: "user.noted", Revision: 1, Actor: System,
		Tags: []Tag{"a:b"}, Blocks: []Block{{Alg: 1, Fields: []Commitment{{Path: "/x"}}}}}
	f.Add(d.AppendLeaf(nil, Place{Position: 1, Version: 1, Time: time.UnixMicro(1)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseLeaf(b)
		if err == nil && !canonical(r) {
			t.Fatal("accepted but not canonical")
		}
	})
}

// A field that nobody marked public must be sealed.
func TestFieldsAreSealedUnlessPublic(t *testing.T) {
	type careless struct {
		Email string `event:"email"`
	}
	defer func() {
		if recover() == nil {
			t.Fatal("registered a field in clear that nobody marked public")
		}
	}()
	Describe[careless]("user.careless", 1, "")
}

// An erasure of a subject that never had a key lists none, and says so.
func TestErasureWithoutKeys(t *testing.T) {
	d, err := NewRegistry().Of(LogID{}, SubjectErased{})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := d.Split(SubjectErased{Subject: SubjectID{NewID()}})
	if err != nil || len(parts.Public) != 1+1+17+1+1 || parts.Public[20] != 0x80 {
		t.Fatalf("%x %v", parts.Public, err)
	}
}

// A record is found by its terms, each as the functions that make one write it.
func TestTerms(t *testing.T) {
	stream, actor, subject := Stream{"user", NewID()}, Actor{"visitor", NewID()}, SubjectID{NewID()}
	blind := BlindTag{Subject: subject, Name: "email", Version: 12, Value: Hash{7}}
	d := &Draft{Stream: stream, Type: "user.noted", Actor: actor, Tags: []Tag{"org:x", "user:y"},
		Blocks: []Block{{Subject: subject}, {Subject: subject}}, Blind: []BlindTag{blind, blind}}
	want := []Term{StreamTerm(stream), TypeTerm("user.noted"), ActorTerm(actor), TagTerm("org:x"), TagTerm("user:y"),
		SubjectTerm(subject), BlindTerm("email", 12, blind.Value)}
	slices.Sort(want)
	if got := d.Terms(); !slices.Equal(got, want) {
		t.Fatalf("%q, not %q", got, want)
	}
	if got := (&Draft{Stream: stream, Type: "x", Actor: System}).Terms(); len(got) != 3 {
		t.Fatalf("%q", got)
	}
}
