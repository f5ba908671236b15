package verify

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/mod/sumdb/tlog"
)

const benchRecords = 100_000

// benchLog is made once for all benchmarks of a run: 100,000 records of 20,000
// streams, each with a sealed block of three fields, a checkpoint every 1,000.
var benchLog = sync.OnceValue(func() *builder {
	b := newBuilder("bench")
	const users = 20_000
	for i := range benchRecords {
		user := fmt.Sprint("u", i*7919%users)
		p := newPerson(user)
		b.add(event{Stream: stream("user", user), Type: "user.email.changed", Tags: []string{"user:" + named(user).String(), "org:" + named("acme").String()},
			Public: map[string]any{"verified": true, "method": "link"}, Context: map[string]any{"source": "api", "request": named("r").String()},
			Seal: []sealed{{p, map[string]any{"/email": user + "@example.org", "/previous": "x" + user + "@example.org", "/address": "192.0.2.7"}, nil}}})
		if i%1000 == 999 {
			b.checkpoint()
		}
	}
	return b
})

// BenchmarkLog is the verification of a whole log with its key.
func BenchmarkLog(b *testing.B) {
	src := benchLog()
	b.ResetTimer()
	for b.Loop() {
		r, err := Log(b.Context(), src.source(), Options{Key: src.vkey})
		if err != nil || r.Verdict != Verified {
			b.Fatal(err, r)
		}
	}
	perRecord(b)
}

// BenchmarkHashAndDecode is what one core needs only to hash every leaf and
// ciphertext and to decode every leaf with the verifier's own decoder: the
// measure that BenchmarkLog is held against.
func BenchmarkHashAndDecode(b *testing.B) {
	src := benchLog()
	b.ResetTimer()
	for b.Loop() {
		var l Leaf
		for i := range src.entries {
			e := &src.entries[i]
			if LeafHash(e.Leaf) != src.hashes[i] {
				b.Fatal("hash")
			}
			if err := l.parse(e.Leaf); err != nil {
				b.Fatal(err)
			}
			if sha256.Sum256(e.Ciphertexts[0]) != l.Blocks[0].Digest {
				b.Fatal("digest")
			}
		}
	}
	perRecord(b)
}

// BenchmarkHashAndDecodeGeneral is the same with a general CBOR decoder into a struct.
func BenchmarkHashAndDecodeGeneral(b *testing.B) {
	type record struct {
		Version    int             `cbor:"1,keyasint"`
		Log        []byte          `cbor:"2,keyasint"`
		Position   uint64          `cbor:"3,keyasint"`
		Event      []byte          `cbor:"4,keyasint"`
		Stream     string          `cbor:"5,keyasint"`
		StreamVer  uint64          `cbor:"6,keyasint"`
		Type       string          `cbor:"7,keyasint"`
		Revision   uint32          `cbor:"8,keyasint"`
		Time       int64           `cbor:"9,keyasint"`
		Actor      []string        `cbor:"10,keyasint"`
		Prev       []byte          `cbor:"11,keyasint"`
		StreamPrev []byte          `cbor:"12,keyasint"`
		Public     cbor.RawMessage `cbor:"13,keyasint"`
		Context    cbor.RawMessage `cbor:"14,keyasint"`
		Tags       []string        `cbor:"15,keyasint"`
		Blocks     []struct {
			_           struct{} `cbor:",toarray"`
			Subject     []byte
			Key         []byte
			Algorithm   uint64
			Digest      []byte
			Commitments []struct {
				_    struct{} `cbor:",toarray"`
				Path string
				Sum  []byte
			}
		} `cbor:"16,keyasint"`
	}
	src := benchLog()
	mode := strictMode(b)
	b.ResetTimer()
	for b.Loop() {
		for i := range src.entries {
			e := &src.entries[i]
			var r record
			if err := mode.Unmarshal(e.Leaf, &r); err != nil {
				b.Fatal(err)
			}
			if LeafHash(e.Leaf) != src.hashes[i] || sha256.Sum256(e.Ciphertexts[0]) != tlog.Hash(r.Blocks[0].Digest) {
				b.Fatal("hash")
			}
		}
	}
	perRecord(b)
}

func perRecord(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}
