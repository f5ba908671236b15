package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"muniment.dev/fault"
)

// MaxLeaf is the greatest length of a leaf in bytes (C2SP tlog-tiles entry
// bundles hold lengths in 16 bits).
const MaxLeaf = 65535

// Draft is an event that is ready to be appended: described, sealed and
// encoded, lacking only what the log gives (position, version, time, chains).
type Draft struct {
	ID       ID
	Stream   Stream
	Type     string
	Revision uint32
	Actor    Actor
	Public   []byte // deterministic CBOR map; nil if empty
	Context  []byte // deterministic CBOR map; nil if empty
	Tags     []Tag  // sorted, without repetition
	Blocks   []Block

	Ciphertexts [][]byte // parallel to Blocks
	Blind       []BlindTag
}

// Terms lists all that the record will be found by, sorted.
func (d *Draft) Terms() []Term {
	return terms(d.Stream, d.Type, d.Actor, d.Tags, d.Blocks, d.Blind)
}

// Place is what the log gives to a draft.
type Place struct {
	Log        LogID
	Position   Position
	Version    uint64
	Time       time.Time
	Prev       Hash
	PrevStream Hash
}

// AppendLeaf appends the draft's leaf at the given place to dst. The bytes are
// those of docs/record-format.md, "Leaf": a deterministic CBOR map with the
// integer keys 1 to 16, where 13 to 16 are left out when empty.
func (d *Draft) AppendLeaf(dst []byte, at Place) []byte {
	n := uint64(12)
	for _, present := range []bool{d.Public != nil, d.Context != nil, len(d.Tags) > 0, len(d.Blocks) > 0} {
		if present {
			n++
		}
	}
	dst = head(slices.Grow(dst, d.leafSize()), majorMap, n)
	dst = append(dst, 1, 1)
	dst = appendBytes(append(dst, 2), at.Log.ID[:])
	dst = head(append(dst, 3), majorUint, uint64(at.Position))
	dst = appendBytes(append(dst, 4), d.ID[:])
	dst = head(append(dst, 5), majorText, uint64(len(d.Stream.Kind)+1+2*len(d.Stream.ID)))
	dst = hex.AppendEncode(append(append(dst, d.Stream.Kind...), ':'), d.Stream.ID[:])
	dst = head(append(dst, 6), majorUint, at.Version)
	dst = appendText(append(dst, 7), d.Type)
	dst = head(append(dst, 8), majorUint, uint64(d.Revision))
	dst = appendInt(append(dst, 9), at.Time.UnixMicro())
	dst = head(append(dst, 10), majorArray, 2)
	dst = appendText(dst, d.Actor.Kind)
	dst = hex.AppendEncode(head(dst, majorText, uint64(2*len(d.Actor.ID))), d.Actor.ID[:])
	dst = appendBytes(append(dst, 11), at.Prev[:])
	dst = appendBytes(append(dst, 12), at.PrevStream[:])
	if d.Public != nil {
		dst = append(append(dst, 13), d.Public...)
	}
	if d.Context != nil {
		dst = append(append(dst, 14), d.Context...)
	}
	if len(d.Tags) > 0 {
		dst = head(append(dst, 15), majorArray, uint64(len(d.Tags)))
		for _, t := range d.Tags {
			dst = appendText(dst, string(t))
		}
	}
	if len(d.Blocks) > 0 {
		dst = head(append(dst, 16), majorArray, uint64(len(d.Blocks)))
		for i := range d.Blocks {
			dst = appendBlock(dst, &d.Blocks[i])
		}
	}
	return dst
}

// leafSize is at least the length of the draft's leaf in bytes.
func (d *Draft) leafSize() int {
	n := 320 + len(d.Stream.Kind) + len(d.Type) + len(d.Actor.Kind) + len(d.Public) + len(d.Context)
	for _, t := range d.Tags {
		n += 5 + len(t)
	}
	for i := range d.Blocks {
		n += 96
		for _, f := range d.Blocks[i].Fields {
			n += 40 + len(f.Path)
		}
	}
	return n
}

func appendBlock(dst []byte, b *Block) []byte {
	dst = head(dst, majorArray, 5)
	dst = appendBytes(dst, b.Subject.ID[:])
	dst = appendBytes(dst, b.Key.ID[:])
	dst = head(dst, majorUint, b.Alg)
	dst = appendBytes(dst, b.Digest[:])
	dst = head(dst, majorArray, uint64(len(b.Fields)))
	for _, f := range b.Fields {
		dst = head(dst, majorArray, 2)
		dst = appendText(dst, f.Path)
		dst = appendBytes(dst, f.Value[:])
	}
	return dst
}

// Record is the record that the draft becomes at the given place, with leaf as
// its bytes.
func (d *Draft) Record(at Place, leaf []byte) *Record {
	return &Record{
		Log: at.Log, Position: at.Position, ID: d.ID, Stream: d.Stream, Version: at.Version,
		Type: d.Type, Revision: d.Revision, Time: at.Time, Actor: d.Actor,
		Prev: at.Prev, PrevStream: at.PrevStream, Public: d.Public, Context: d.Context,
		Tags: d.Tags, Blocks: d.Blocks, Leaf: leaf, Ciphertexts: d.Ciphertexts, Blind: d.Blind,
	}
}

// LeafHash is the RFC 6962 §2.1 hash of a leaf: SHA-256(0x00 ‖ leaf).
func LeafHash(leaf []byte) Hash {
	var buf [1536]byte // enough for most leaves to stay off the heap
	return sha256.Sum256(append(append(buf[:0], 0), leaf...))
}

// Hash is the record's leaf hash.
func (r *Record) Hash() Hash { return LeafHash(r.Leaf) }

// checkForm refuses numbers and orders that no leaf has.
func (r *Record) checkForm() error {
	if r.Position == 0 || r.Version == 0 || r.Revision == 0 {
		return fault.New(fault.Corrupt, "a leaf's position, version and revision start at 1")
	}
	for i := 1; i < len(r.Tags); i++ {
		if r.Tags[i-1] >= r.Tags[i] {
			return fault.New(fault.Corrupt, "the tags at position %d are not sorted", r.Position)
		}
	}
	if !slices.IsSortedFunc(r.Blocks, compareBlocks) {
		return fault.New(fault.Corrupt, "the sealed blocks at position %d are not sorted", r.Position)
	}
	return nil
}

// CBOR major types (RFC 8949 §3.1), in their place in the initial byte.
const (
	majorUint  = 0 << 5
	majorNeg   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
)

// head appends an initial byte and argument in the shortest form (RFC 8949 §4.2.1).
func head(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= 0xff:
		return append(dst, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return head(dst, majorNeg, uint64(-1-v))
	}
	return head(dst, majorUint, uint64(v))
}

func appendBytes(dst, b []byte) []byte { return append(head(dst, majorBytes, uint64(len(b))), b...) }

func appendText(dst []byte, s string) []byte {
	return append(head(dst, majorText, uint64(len(s))), s...)
}
