package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/mod/sumdb/tlog"
)

// strictMode decodes CBOR with every strictness that package cbor offers.
func strictMode(t testing.TB) cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		IntDec: cbor.IntDecConvertNone, MaxNestedLevels: 64, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return mode
}

// reencode assembles a leaf's bytes from its decoded fields with a general encoder.
func reencode(t testing.TB, l *Leaf) []byte {
	m := map[uint64]any{1: 1, 2: l.LogID[:], 3: l.Position, 4: l.EventID[:], 5: l.Stream, 6: l.StreamVersion, 7: l.Type,
		8: l.Revision, 9: l.Time, 10: []string{l.Actor.Kind, l.Actor.ID.String()}, 11: l.Prev[:], 12: l.StreamPrev[:]}
	for k, raw := range map[uint64][]byte{13: l.Public, 14: l.Context} {
		if raw == nil {
			continue
		}
		var v any
		if err := strictMode(t).Unmarshal(raw, &v); err != nil {
			t.Fatalf("key %d: %v", k, err)
		}
		m[k] = v
	}
	if len(l.Tags) > 0 {
		m[15] = l.Tags
	}
	var blocks []any
	for _, b := range l.Blocks {
		var list []any
		for _, c := range b.Commitments {
			list = append(list, []any{c.Path, c.Sum[:]})
		}
		blocks = append(blocks, []any{b.Subject[:], b.Key[:], 1, b.Digest[:], list})
	}
	if blocks != nil {
		m[16] = blocks
	}
	return encode(m)
}

// Decoding and encoding again with an independent encoder gives the same bytes.
func TestParseLeafRoundTrip(t *testing.T) {
	b, _ := sampleLog()
	for _, e := range b.entries {
		l, err := ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if got := reencode(t, l); !bytes.Equal(got, e.Leaf) {
			t.Errorf("record %d: %x\nwant %x", e.Position, got, e.Leaf)
		}
		if l.LogID != b.id || l.Position != e.Position || !slices.Equal(l.Tags, e.Tags) || len(l.Blocks) != len(e.Ciphertexts) {
			t.Errorf("record %d: %+v", e.Position, l)
		}
	}
}

// goodLeaf is a leaf with every key, as a map to be damaged.
func goodLeaf() map[uint64]any {
	b := newBuilder("leaf")
	b.add(event{Stream: stream("org", "acme"), Type: "org.created"})
	ada, bob := newPerson("ada"), newPerson("bob")
	leaf, _ := b.leafMap(event{Stream: stream("org", "acme"), Type: "org.renamed", Tags: []string{"a:1", "b:2"},
		Public: rawJSON(`{"n":1,"list":[1,{"x":true}]}`), Context: rawJSON(`{"source":"api"}`),
		Seal: []sealed{{ada, map[string]any{"/a": 1, "/b": 2}, nil}, {bob, map[string]any{"/a": 1}, nil}}})
	return leaf
}

// Every rule of the format: a leaf that breaks it is refused, and the message says which.
func TestParseLeafRefuses(t *testing.T) {
	id, zero := named("x"), make([]byte, 32)
	blocks := func(change func(list []any)) func(map[uint64]any) {
		return func(m map[uint64]any) { change(m[16].([]any)) }
	}
	set := func(k uint64, v any) func(map[uint64]any) { return func(m map[uint64]any) { m[k] = v } }
	payload := func(v any) func(map[uint64]any) { return set(13, map[string]any{"v": v}) }
	erased := func(v any) func(map[uint64]any) {
		return func(m map[uint64]any) { m[7], m[13] = "subject.erased", v }
	}
	deep := any(1)
	for range 15 {
		deep = []any{deep}
	}
	for name, tc := range map[string]struct {
		do   func(map[uint64]any)
		want string
	}{
		"version":              {set(1, 2), "format version 2"},
		"log id short":         {set(2, id[:15]), "15 bytes where 16"},
		"log id text":          {set(2, id.String()), "text where byte string"},
		"position 0":           {set(3, 0), "position 0"},
		"position negative":    {set(3, -1), "negative integer where"},
		"position huge":        {set(3, uint64(MaxPosition+1)), "exceeds"},
		"event id long":        {set(4, append(id[:], 1)), "17 bytes"},
		"stream without id":    {set(5, "org"), "not kind:id"},
		"stream id upper":      {set(5, "org:"+strings.ToUpper(named("acme").String())), "not kind:id"},
		"stream kind empty":    {set(5, ":"+id.String()), "not kind:id"},
		"stream kind digit":    {set(5, "1a:"+id.String()), "not kind:id"},
		"stream id short":      {set(5, "org:12"), "not kind:id"},
		"stream id with colon": {set(5, "org:a:"+id.String()[2:]), "not kind:id"},
		"stream version 0":     {set(6, 0), "stream version 0"},
		"stream version ahead": {set(6, 3), "stream version 3 at position 2"},
		"type empty":           {set(7, ""), "not a name"},
		"type with space":      {set(7, "a b"), "not a name"},
		"type long":            {set(7, strings.Repeat("a", 129)), "not a name"},
		"revision 0":           {set(8, 0), "revision 0"},
		"revision huge":        {set(8, uint64(math.MaxUint32+1)), "exceeds"},
		"time beyond int64":    {set(9, uint64(math.MaxInt64+1)), "int64"},
		"time text":            {set(9, "now"), "int64"},
		"actor of one":         {set(10, []string{"user"}), "actor of 1"},
		"actor of three":       {set(10, []string{"user", id.String(), "x"}), "actor of 3"},
		"actor id bytes":       {set(10, []any{"user", id[:]}), "byte string where text"},
		"actor id upper":       {set(10, []string{"user", strings.ToUpper(id.String())}), "actor"},
		"actor kind":           {set(10, []string{"", id.String()}), "actor"},
		"prev zero":            {set(11, zero), "key 11"},
		"stream prev zero":     {set(12, zero), "key 12"},
		"key 12 missing":       {func(m map[uint64]any) { delete(m, 12) }, "key 13 where key 12"},
		"key 1 missing":        {func(m map[uint64]any) { delete(m, 1) }, "key 2 where key 1"},
		"unknown key":          {set(17, 1), "17 entries"},
		"unknown key instead":  {func(m map[uint64]any) { delete(m, 13); m[17] = 1 }, "key 17"},
		"public empty":         {set(13, map[string]any{}), "empty"},
		"context empty":        {set(14, map[string]any{}), "empty"},
		"tags empty":           {set(15, []string{}), "empty"},
		"blocks empty":         {set(16, []any{}), "empty"},
		"public null":          {set(13, nil), "where map"},
		"public array":         {set(13, []int{1}), "array where map"},
		"public integer keys":  {set(13, map[int]int{1: 1}), "unsigned integer where text"},
		"payload float":        {payload(1.5), "floating-point"},
		"payload undefined":    {payload(cbor.SimpleValue(23)), "simple values"},
		"payload simple":       {payload(cbor.SimpleValue(255)), "simple values"},
		"payload date":         {payload(cbor.Tag{Number: 0, Content: "2026-01-01T00:00:00Z"}), "tag 0"},
		"payload bignum":       {payload(cbor.Tag{Number: 2, Content: []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}}), "tag 2"},
		"payload uint64":       {payload(uint64(math.MaxInt64 + 1)), "int64"},
		"decimal zero ending":  {payload(cbor.Tag{Number: 4, Content: []int{-1, 120}}), "ends in 0"},
		"decimal zero":         {payload(cbor.Tag{Number: 4, Content: []int{-1, 0}}), "ends in 0"},
		"decimal integer":      {payload(cbor.Tag{Number: 4, Content: []int{0, 12}}), "integer would do"},
		"decimal integer 1e3":  {payload(cbor.Tag{Number: 4, Content: []int{3, 1}}), "integer would do"},
		"decimal of three":     {payload(cbor.Tag{Number: 4, Content: []int{-1, 1, 1}}), "of 3 elements"},
		"decimal mantissa":     {payload(cbor.Tag{Number: 4, Content: []any{-1, "1"}}), "mantissa"},
		"nested integer keys":  {payload(map[int]int{1: 1}), "where text"},
		"too deep":             {payload(deep), "deeper than 16"},
		"tag without colon":    {set(15, []string{"a"}), "name:value"},
		"tag name":             {set(15, []string{":a"}), "name:value"},
		"tags unsorted":        {set(15, []string{"b:2", "a:1"}), "out of order"},
		"tags repeated":        {set(15, []string{"a:1", "a:1"}), "repeated"},
		"tags by length":       {set(15, []string{"b:1", "a:22"}), "out of order"},
		"block of four":        {blocks(func(l []any) { l[0] = l[0].([]any)[:4] }), "block of 4"},
		"blocks unsorted":      {blocks(func(l []any) { l[0], l[1] = l[1], l[0] }), "out of order"},
		"block twice":          {blocks(func(l []any) { l[1] = l[0] }), "repeated"},
		"algorithm":            {blocks(func(l []any) { l[0].([]any)[2] = 2 }), "algorithm 2"},
		"digest short":         {blocks(func(l []any) { l[0].([]any)[3] = zero[1:] }), "31 bytes"},
		"no commitments":       {blocks(func(l []any) { l[0].([]any)[4] = []any{} }), "without commitments"},
		"commitment of three":  {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"/a", zero, 1}} }), "commitment of 3"},
		"path relative":        {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"a", zero}} }), "RFC 6901"},
		"path whole":           {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"", zero}} }), "RFC 6901"},
		"path tilde":           {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"/a~2", zero}} }), "RFC 6901"},
		"tag path number":      {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"#tag/a/01", zero}} }), "#tag"},
		"tag path name":        {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"#tag//0", zero}} }), "#tag"},
		"context path name":    {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"#context/", zero}} }), "#context"},
		"other hash path":      {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"#other/a", zero}} }), "#context"},
		"paths unsorted":       {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"/b", zero}, []any{"/a", zero}} }), "out of order"},
		"paths by length":      {blocks(func(l []any) { l[0].([]any)[4] = []any{[]any{"/b", zero}, []any{"/aa", zero}} }), "out of order"},
		"erased without":       {func(m map[uint64]any) { m[7] = "subject.erased"; delete(m, 13) }, "without its payload"},
		"erased revision":      {func(m map[uint64]any) { erased(map[uint64]any{1: id[:], 2: [][]byte{}})(m); m[8] = 2 }, "revision 1"},
		"erased text keys":     {erased(map[string]any{"a": 1, "b": 2}), "text where unsigned"},
		"erased one key":       {erased(map[uint64]any{1: id[:]}), "1 entries"},
		"erased key short":     {erased(map[uint64]any{1: id[:], 2: [][]byte{id[1:]}}), "15 bytes"},
		"erased keys repeated": {erased(map[uint64]any{1: id[:], 2: [][]byte{id[:], id[:]}}), "repeated"},
		"erased other key":     {erased(map[uint64]any{1: id[:], 3: [][]byte{id[:]}}), "payload key 3"},
		"continued revision":   {func(m map[uint64]any) { m[7], m[8], m[13] = "log.continued", 2, map[uint64]any{1: id[:]} }, "revision 1"},
	} {
		m := goodLeaf()
		tc.do(m)
		_, err := ParseLeaf(encode(m))
		var e *Error
		if !errors.As(err, &e) || e.Code != LeafMalformed || !strings.Contains(e.Msg, tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, err := ParseLeaf(encode(goodLeaf())); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
}

// Spellings of the same data that no deterministic encoder produces (RFC 8949 §4.2.1).
func TestParseLeafRefusesSpellings(t *testing.T) {
	good := encode(goodLeaf())
	swap := func(old, new string) []byte {
		o, n := unhex(strings.ReplaceAll(old, " ", "")), unhex(strings.ReplaceAll(new, " ", ""))
		if bytes.Count(good, o) != 1 {
			t.Fatalf("%s occurs %d times in %x", old, bytes.Count(good, o), good)
		}
		return bytes.Replace(good, o, n, 1)
	}
	for name, b := range map[string][]byte{
		"empty":               {},
		"truncated":           good[:len(good)-1],
		"trailing byte":       append(bytes.Clone(good), 0),
		"long leaf":           make([]byte, MaxLeaf+1),
		"not a map":           {0x80},
		"long map header":     append([]byte{0xb8, 16}, good[1:]...),
		"indefinite map":      append(append([]byte{0xbf}, good[1:]...), 0xff),
		"long integer":        swap("0302 04", "031802 04"),
		"long key":            swap("0302 04", "18030204"),
		"longer integer":      swap("0302 04", "03190002 04"),
		"even longer integer": swap("0302 04", "031a00000002 04"),
		"longest integer":     swap("0302 04", "031b0000000000000002 04"),
		"long 8-bit integer":  swap("616e01", "616e1900ff"),
		"long 16-bit integer": swap("616e01", "616e1a0000ffff"),
		"long 32-bit integer": swap("616e01", "616e1b00000000ffffffff"),
		"indefinite text":     swap("66736f75726365 63617069", "7f66736f75726365ff 63617069"),
		"long text length":    swap("66736f75726365 63617069", "7806736f75726365 63617069"),
		"invalid UTF-8":       swap("63617069", "6361ff69"),
		"surrogate in UTF-8":  swap("63617069", "63eda080"),
		"map keys unsorted":   swap("616e01 646c6973748201a16178f5", "646c6973748201a16178f5616e01"),
		"map key repeated":    swap("616e01 646c6973748201a16178f5", "616e01616e01"),
		"reserved length":     swap("616e01", "616e1c"),
		"array beyond data":   swap("8201a16178f5", "9b7fffffffffffffff"),
		"string beyond data":  swap("63617069", "7b7fffffffffffffff"),
		"self-described CBOR": append([]byte{0xd9, 0xd9, 0xf7}, good...),
	} {
		if _, err := ParseLeaf(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What a payload may hold, at its edges.
func TestParseLeafValues(t *testing.T) {
	deep := any(1)
	for range 14 {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"min int64":       int64(math.MinInt64),
		"max int64":       int64(math.MaxInt64),
		"empty text":      "",
		"empty array":     []any{},
		"empty map":       map[string]any{},
		"bytes":           []byte{0, 1},
		"booleans":        []bool{true, false},
		"12.5":            number("12.5"),
		"-0.001":          number("-0.001"),
		"1e30":            number("1e30"),
		"2^64 - 1":        cbor.Tag{Number: 4, Content: []any{0, uint64(math.MaxUint64)}},
		"-2^63 - 1":       cbor.Tag{Number: 4, Content: []any{0, cbor.RawMessage(unhex("3b8000000000000000"))}},
		"keys by length":  map[string]any{"b": 1, "aa": 2, "": 3, strings.Repeat("c", 30): 4},
		"text beyond BMP": "é𝄞",
		"16 deep":         deep,
	} {
		m := goodLeaf()
		m[13] = map[string]any{"v": v}
		if _, err := ParseLeaf(encode(m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The first record of a log that continues another one.
func TestParseLeafContinued(t *testing.T) {
	old, _ := sampleLog()
	note := string(old.notes[4])
	b := newBuilder("new")
	b.add(event{Stream: stream("log", "x"), Type: "log.continued", Public: map[uint64]any{1: old.id[:], 2: note}})
	r := verifyLog(t, b.source(), Options{})
	if r.Verdict != Consistent || r.Continues == nil || r.Continues.LogID != old.id || r.Continues.Checkpoint != note {
		t.Error(describe(r))
	}
	for name, payload := range map[string]map[uint64]any{
		"its own log":             {1: b.id[:]},
		"not a checkpoint":        {1: old.id[:], 2: "x"},
		"another log's":           {1: named("y").String(), 2: note},
		"checkpoint of a third":   {1: unhex(named("third").String()), 2: note},
		"three entries":           {1: old.id[:], 2: note, 3: 1},
		"checkpoint without name": {2: note},
	} {
		c := newBuilder("new")
		c.add(event{Stream: stream("log", "x"), Type: "log.continued", Public: payload})
		if _, err := ParseLeaf(c.entries[0].Leaf); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c := newBuilder("new")
	c.add(event{Stream: stream("log", "x"), Type: "log.continued", Public: map[uint64]any{1: old.id[:]}})
	if _, err := ParseLeaf(c.entries[0].Leaf); err != nil {
		t.Errorf("without a checkpoint: %v", err)
	}
}

// An oversized leaf is refused, the largest is not.
func TestParseLeafLargest(t *testing.T) {
	m := goodLeaf()
	m[13] = map[string]any{"v": strings.Repeat("x", 60000)}
	pad := MaxLeaf - len(encode(m))
	m[13] = map[string]any{"v": strings.Repeat("x", 60000+pad)}
	b := encode(m)
	if len(b) != MaxLeaf {
		t.Fatal(len(b))
	}
	if _, err := ParseLeaf(b); err != nil {
		t.Error(err)
	}
	m[13] = map[string]any{"v": strings.Repeat("x", 60001+pad)}
	if _, err := ParseLeaf(encode(m)); err == nil {
		t.Error("65,536 bytes accepted")
	}
}

// The reused leaf of a run holds nothing of the record before.
func TestLeafReuse(t *testing.T) {
	b, _ := sampleLog()
	var reused Leaf
	order := append(slices.Clone(b.entries), b.entries...)
	for _, e := range order {
		if err := reused.parse(e.Leaf); err != nil {
			t.Fatal(err)
		}
		if got := reencode(t, &reused); !bytes.Equal(got, e.Leaf) {
			t.Fatalf("record %d: %x", e.Position, got)
		}
	}
}

func TestLeafHash(t *testing.T) {
	// RFC 6962 §2.1.3 has no vectors; this is the known hash of the empty leaf.
	want := "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
	h := LeafHash(nil)
	if hex.EncodeToString(h[:]) != want {
		t.Errorf("%x", h)
	}
	var fast hasher
	if b := encode(goodLeaf()); fast.sum(leafPrefix, b) != LeafHash(b) || fast.sum(leafPrefix, nil) != LeafHash(nil) {
		t.Error("hasher differs from LeafHash")
	}
}

// FuzzParseLeaf: whatever is accepted has one spelling, by the judgement of an
// independent encoder; and nothing panics.
func FuzzParseLeaf(f *testing.F) {
	b, _ := sampleLog()
	for _, e := range b.entries {
		f.Add(e.Leaf)
	}
	f.Add(encode(goodLeaf()))
	for _, v := range []any{number("12.5"), number("1e30"), []byte{1}, []any{map[string]any{"a": false}}, int64(math.MinInt64)} {
		m := goodLeaf()
		m[13] = map[string]any{"v": v}
		f.Add(encode(m))
	}
	mode := strictMode(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if err != nil {
			return
		}
		if got := reencode(t, l); !bytes.Equal(got, b) {
			t.Errorf("encodes as %x", got)
		}
		var generic map[uint64]cbor.RawMessage
		if err := mode.Unmarshal(b, &generic); err != nil {
			t.Errorf("an independent decoder refuses: %v", err)
		}
		if n := len(slices.Collect(maps.Keys(generic))); n < 12 || n > 16 {
			t.Errorf("%d keys", n)
		}
		if l.Prev == (tlog.Hash{}) != (l.Position == 1) {
			t.Error("chain start")
		}
	})
}
