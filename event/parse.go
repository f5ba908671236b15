package event

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/fault"
)

// ParseLeaf decodes a leaf's bytes into a record without ciphertexts and blind
// tags. It refuses (fault.Corrupt) whatever is not the one encoding of its
// content. The record keeps leaf and does not copy it.
func ParseLeaf(leaf []byte) (*Record, error) {
	if len(leaf) > MaxLeaf {
		return nil, fault.New(fault.Corrupt, "a leaf of %d bytes is longer than %d", len(leaf), MaxLeaf)
	}
	d := leafParser{b: leaf}
	r := &Record{Leaf: leaf}
	format := d.fields(r)
	if format > 1 {
		return nil, fault.New(fault.Corrupt, "leaf format %d is not known to this version", format)
	}
	if len(d.b) > 0 {
		d.fail("ends before its bytes do")
	}
	if d.wrong != "" {
		return nil, &fault.Error{Kind: fault.Corrupt, Msg: "a leaf is not the CBOR map it must be: it " + d.wrong}
	}
	r.Ciphertexts = make([][]byte, len(r.Blocks))
	return r, r.checkForm()
}

// leafParser takes a leaf apart. After the first mistake it gives zeros. It
// takes nothing but the one encoding: keys in their order, lengths and integers
// in their shortest form, nothing empty that could be left out.
type leafParser struct {
	b     []byte
	wrong string // what the leaf does that it must not; "" if nothing yet
}

func (d *leafParser) fail(what string) {
	if d.wrong == "" {
		d.wrong = what
	}
	d.b = nil
}

// fields reads the map with its keys in their order (RFC 8949 §4.2.1) and
// returns the format that it claims.
func (d *leafParser) fields(r *Record) (format uint64) {
	n := d.head(majorMap)
	d.key(1)
	if format = d.head(majorUint); format != 1 {
		d.fail("names no format")
		return format
	}
	d.key(2)
	d.fixed(r.Log.ID[:])
	d.key(3)
	r.Position = Position(d.head(majorUint))
	d.key(4)
	d.fixed(r.ID[:])
	d.key(5)
	r.Stream = d.stream()
	d.key(6)
	r.Version = d.head(majorUint)
	d.key(7)
	r.Type = d.text()
	d.key(8)
	revision := d.head(majorUint)
	if r.Revision = uint32(revision); uint64(r.Revision) != revision {
		d.fail("has a revision that is too large")
	}
	d.key(9)
	r.Time = time.UnixMicro(d.int()).UTC()
	d.key(10)
	r.Actor = d.actor()
	d.key(11)
	d.fixed(r.Prev[:])
	d.key(12)
	d.fixed(r.PrevStream[:])
	d.optional(r, n)
	return format
}

// optional reads the keys 13 to 16, as far as they are there.
func (d *leafParser) optional(r *Record, n uint64) {
	count := uint64(12)
	if d.has(13, &count) {
		r.Public = d.raw()
	}
	if d.has(14, &count) {
		r.Context = d.raw()
	}
	if d.has(15, &count) {
		r.Tags = make([]Tag, d.some(1))
		for i := range r.Tags {
			r.Tags[i] = Tag(d.text())
		}
	}
	if d.has(16, &count) {
		r.Blocks = make([]Block, d.some(70))
		for i := range r.Blocks {
			d.block(&r.Blocks[i])
		}
	}
	if n != count {
		d.fail("has another number of keys than it says")
	}
}

func (d *leafParser) block(b *Block) {
	d.array(5)
	d.fixed(b.Subject.ID[:])
	d.fixed(b.Key.ID[:])
	b.Alg = d.head(majorUint)
	d.fixed(b.Digest[:])
	b.Fields = make([]Commitment, d.count(36))
	for i := range b.Fields {
		d.array(2)
		b.Fields[i].Path = d.text()
		d.fixed(b.Fields[i].Value[:])
	}
}

// key reads one of the leaf's keys.
func (d *leafParser) key(k byte) {
	if len(d.b) == 0 || d.b[0] != k {
		d.fail("lacks a key, or has one that it must not have")
		return
	}
	d.b = d.b[1:]
}

// has reads a key that may be missing, and counts it.
func (d *leafParser) has(k byte, count *uint64) bool {
	if len(d.b) == 0 || d.b[0] != k {
		return false
	}
	d.b = d.b[1:]
	*count++
	return true
}

// head reads an initial byte of the given major type and its argument (RFC
// 8949 §3).
func (d *leafParser) head(major byte) uint64 {
	if len(d.b) == 0 || d.b[0]&0xe0 != major {
		d.fail("has a value of the wrong kind")
		return 0
	}
	info := d.b[0] & 0x1f
	d.b = d.b[1:]
	if info < 24 {
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(d.b) < size {
		d.fail("has a length or number that is cut off or not definite")
		return 0
	}
	var v [8]byte
	copy(v[8-size:], d.b)
	d.b = d.b[size:]
	n := binary.BigEndian.Uint64(v[:])
	if n < 24 || size > 1 && n>>(4*size) == 0 {
		d.fail("has a length or number that is not in its shortest form")
	}
	return n
}

// array reads the beginning of an array of n items.
func (d *leafParser) array(n uint64) {
	if d.head(majorArray) != n {
		d.fail("has a list of the wrong length")
	}
}

// count reads the beginning of a list whose items take at least size bytes.
func (d *leafParser) count(size uint64) uint64 {
	n := d.head(majorArray)
	if n > uint64(len(d.b))/size {
		d.fail("has a list that is longer than it")
		return 0
	}
	return n
}

// some is count for a list that would be left out if it were empty.
func (d *leafParser) some(size uint64) uint64 {
	n := d.count(size)
	if n == 0 {
		d.fail("has an empty list that should be left out")
	}
	return n
}

func (d *leafParser) int() int64 {
	major := byte(majorUint)
	if len(d.b) > 0 && d.b[0]&0xe0 == majorNeg {
		major = majorNeg
	}
	n := d.head(major)
	if n > 1<<63-1 {
		d.fail("has a number that is too large")
	}
	if major == majorNeg {
		return -1 - int64(n)
	}
	return int64(n)
}

// take returns the content of a string of the given major type.
func (d *leafParser) take(major byte) []byte {
	n := d.head(major)
	if n > uint64(len(d.b)) {
		d.fail("has a text or bytes that are cut off")
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// fixed reads a byte string of just the length of dst.
func (d *leafParser) fixed(dst []byte) {
	v := d.take(majorBytes)
	if len(v) != len(dst) {
		d.fail("has an id or hash of the wrong length")
		return
	}
	copy(dst, v)
}

func (d *leafParser) text() string {
	v := d.take(majorText)
	if !utf8.Valid(v) {
		d.fail("has a text that is not UTF-8")
		return ""
	}
	return string(v)
}

func (d *leafParser) stream() Stream {
	kind, id, ok := strings.Cut(d.text(), ":")
	if !ok || !IsName(kind) {
		d.fail("has a malformed stream")
	}
	return Stream{Kind: kind, ID: d.id(id)}
}

func (d *leafParser) actor() Actor {
	d.array(2)
	kind := d.text()
	if !IsName(kind) {
		d.fail("has a malformed actor")
	}
	return Actor{Kind: kind, ID: d.id(d.text())}
}

// id reads an id as text, in the one form that leaves have.
func (d *leafParser) id(text string) ID {
	id, err := ParseID(text)
	if err != nil || len(text) != 2*len(id) {
		d.fail("has a malformed id")
	}
	return id
}

// raw reads one item of any kind and returns its bytes.
func (d *leafParser) raw() []byte {
	var item cbor.RawMessage
	rest, err := nested.UnmarshalFirst(d.b, &item)
	if err != nil {
		d.fail("has a payload or context that is malformed or nested too deep")
		return nil
	}
	n := len(d.b) - len(rest)
	v := d.b[:n:n]
	d.b = rest
	return v
}
