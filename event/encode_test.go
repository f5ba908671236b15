package event

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// What is encoded by hand has the bytes that the library gives.
func TestAppendValueIsDeterministicEncoding(t *testing.T) {
	values := []any{"", "a", strings.Repeat("é", 200), strings.Repeat("x", 70_000), []byte(nil), []byte{}, []byte{1, 2},
		NewID(), SubjectID{NewID()}, KeyID{NewID()}, LogID{NewID()}, Instant(-7), Instant(1 << 50), true, false,
		0, -1, 23, 24, -25, math.MaxInt, math.MinInt, int64(math.MinInt64), uint32(math.MaxUint32), uint64(math.MaxUint64),
		cbor.RawMessage{0x18, 0x20}, cbor.RawMessage(nil),
		// left to the library
		[]ID{NewID()}, []string{"a", "b"}, []ID(nil), Hash{1}, nil, map[string]any{"b": 1, "a": "x"}, []any{uint32(1), Hash{}}, Kind("text")}
	for _, v := range values {
		want, err := Deterministic.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendValue([]byte("before"), v)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%T %v: %x, not %x (%v)", v, v, got, want, err)
		}
	}
	if _, err := AppendValue(nil, make(chan int)); err == nil {
		t.Error("encoded a channel")
	}
}

// Maps too, however long their keys are and in whatever order they come.
func TestEncodeMapIsDeterministicEncoding(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		m := map[string]any{}
		for range n {
			m[strings.Repeat(string(rune('a'+rnd.IntN(4))), rnd.IntN(300))] = rnd.Int64()
			m[fmt.Sprint("/", rnd.Uint32())] = fmt.Sprint(rnd.Uint64())
		}
		want, err := Deterministic.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := EncodeMap(m); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d entries: %x, not %x (%v)", len(m), got, want, err)
		}
	}
	raw := map[string]cbor.RawMessage{"/b": {1}, "/a": {0x61, 'x'}, "#tag/email/0": {0x80}}
	want, _ := Deterministic.Marshal(raw)
	if got, err := EncodeMap(raw); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x, not %x (%v)", got, want, err)
	}
	if _, err := EncodeMap(map[string]any{"x": make(chan int)}); err == nil {
		t.Error("encoded a channel")
	}
}

// A public payload's numbered fields come before the named ones, in the bytes
// that the library gives.
func TestEncodePublicIsDeterministicEncoding(t *testing.T) {
	fields := []Field{{Name: "long_name"}, {Name: "b"}, {Name: "x", Key: 300}, {Name: "a"}, {Name: "y", Key: 2}, {Name: "z", Key: 24}}
	var values []publicValue
	want := map[any]any{}
	for i := range fields {
		values = append(values, publicValue{&fields[i], int64(i)})
		if want[fields[i].Name] = int64(i); fields[i].Key != 0 {
			delete(want, fields[i].Name)
			want[fields[i].Key] = int64(i)
		}
	}
	expected, err := Deterministic.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := encodePublic(values); err != nil || !bytes.Equal(got, expected) {
		t.Fatalf("%x, not %x (%v)", got, expected, err)
	}
	if got, err := encodePublic(nil); got != nil || err != nil {
		t.Fatalf("no fields gave %x, %v", got, err)
	}
}
