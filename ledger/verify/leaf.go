package verify

import (
	"encoding/hex"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxLeaf is the largest leaf, in bytes: entry bundles of C2SP tlog-tiles carry
// a 16-bit length.
const MaxLeaf = 65535

// MaxPosition bounds positions and sizes (2^53 − 1), so that they survive
// readers of JSON that keep numbers as float64.
const MaxPosition = 1<<53 - 1

// algorithmGCM is AES-256-GCM, the only sealing algorithm of format version 1.
const algorithmGCM = 1

// ID is a random 16-byte identifier: of a log, event, subject or key.
type ID [16]byte

// String returns the id as 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes the id as [ID.String] does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Actor is who did it, as the leaf's key 10 says.
type Actor struct {
	Kind string `json:"kind"`
	ID   ID     `json:"id"`
}

// Leaf is one decoded record. See docs/record-format.md, "Leaf".
type Leaf struct {
	Raw           []byte // the exact bytes; the slice given to ParseLeaf
	LogID         ID
	Position      uint64 // from 1
	EventID       ID
	Stream        string // kind:id
	StreamVersion uint64 // from 1
	Type          string
	Revision      uint32 // from 1
	Time          int64  // microseconds since 1970-01-01 UTC
	Actor         Actor
	Prev          tlog.Hash // leaf hash of the record before; zero at position 1
	StreamPrev    tlog.Hash // the same within the stream; zero at version 1
	Public        []byte    // CBOR map, nil when absent
	Context       []byte    // CBOR map, nil when absent
	Tags          []string  // sorted, name:value
	Blocks        []Block   // sorted by subject
	Erasure       *Erasure  // for type subject.erased
	Continued     *Continued
}

// Block names what is sealed for one subject.
type Block struct {
	Subject     ID
	Key         ID
	Digest      tlog.Hash // plain SHA-256 of the stored ciphertext
	Commitments []Commitment
}

// Commitment binds the value at a path without showing it.
type Commitment struct {
	Path string // RFC 6901 pointer, or #tag/<name>/<n>
	Sum  tlog.Hash
}

// Erasure is the payload of subject.erased: from this record on, the subject's
// keys are gone and its ciphertexts may be missing.
type Erasure struct {
	Subject ID
	Keys    []ID // sorted
}

// Continued is the payload of log.continued, the first record of a log, or of a
// generation of it, that takes over from another.
type Continued struct {
	LogID      ID     `json:"log"`
	Checkpoint string `json:"checkpoint,omitempty"` // signed note, "" if none was known
}

// At returns the record's time.
func (l *Leaf) At() time.Time { return time.UnixMicro(l.Time).UTC() }

// LeafHash returns the RFC 6962 §2.1 hash of a leaf: SHA-256(0x00 ‖ leaf).
func LeafHash(b []byte) tlog.Hash { return tlog.RecordHash(b) }

// ParseLeaf decodes a leaf and refuses, with an [Error], every byte string that
// a conforming writer cannot have produced. The result refers to b, which must
// not change while it is in use.
func ParseLeaf(b []byte) (*Leaf, error) {
	l := new(Leaf)
	if err := l.parse(b); err != nil {
		return nil, err
	}
	return l, nil
}

// parse is ParseLeaf into a leaf whose slices are used again.
func (l *Leaf) parse(b []byte) error {
	if len(b) > MaxLeaf {
		return &Error{LeafMalformed, "longer than 65535 bytes"}
	}
	c := scanner{s: string(b)}
	*l = Leaf{Raw: b, Tags: l.Tags[:0], Blocks: l.Blocks[:0]}
	c.enter()
	n := c.mapping()
	if n < 12 || n > 16 {
		c.fail("%d entries, a leaf has 12 to 16", n)
	}
	for k := uint64(1); k <= 12 && c.err == nil; k++ {
		if key := c.uint(math.MaxUint64); key != k {
			c.fail("key %d where key %d belongs", key, k)
		}
		l.required(&c, k)
	}
	last := uint64(12)
	for i := 12; i < n && c.err == nil; i++ {
		key := c.uint(math.MaxUint64)
		if key <= last || key > 16 {
			c.fail("key %d is unknown, repeated or out of order", key)
		}
		last = key
		l.optional(&c, key)
	}
	c.end()
	l.finish(&c)
	return c.err
}

// required reads the value of one of the keys 1 to 12, which are always there.
func (l *Leaf) required(c *scanner, key uint64) {
	switch key {
	case 1:
		if v := c.uint(math.MaxUint64); v != 1 {
			c.fail("format version %d, this verifier knows 1", v)
		}
	case 2:
		c.fixed(l.LogID[:])
	case 3:
		l.Position = positive(c, MaxPosition, "position")
	case 4:
		c.fixed(l.EventID[:])
	case 5:
		l.Stream = c.text()
		kind, id, _ := strings.Cut(l.Stream, ":")
		if !isName(kind, 64) || !isHexID(id) {
			c.fail("stream %q is not kind:id", l.Stream)
		}
	case 6:
		l.StreamVersion = positive(c, MaxPosition, "stream version")
	case 7:
		if l.Type = c.text(); !isName(l.Type, 128) {
			c.fail("type %q is not a name", l.Type)
		}
	case 8:
		l.Revision = uint32(positive(c, math.MaxUint32, "schema revision"))
	case 9:
		l.Time = c.int()
	case 10:
		l.Actor = actor(c)
	case 11:
		c.fixed(l.Prev[:])
	case 12:
		c.fixed(l.StreamPrev[:])
	}
}

// optional reads the value of one of the keys 13 to 16, which are omitted when empty.
func (l *Leaf) optional(c *scanner, key uint64) {
	from := c.i
	if c.i < len(c.s) && (c.s[c.i] == 0xa0 || c.s[c.i] == 0x80) {
		c.fail("key %d is empty, it must be omitted", key)
		return
	}
	switch key {
	case 13:
		switch l.Type {
		case typeErased:
			l.Erasure = erasure(c)
		case typeContinued:
			l.Continued = continued(c)
		default:
			c.textMap(nil)
		}
		l.Public = l.Raw[from:c.i]
	case 14:
		c.textMap(nil)
		l.Context = l.Raw[from:c.i]
	case 15:
		l.tags(c)
	case 16:
		l.blocks(c)
	}
}

// tags reads key 15: text name:value, sorted bytewise, each once.
func (l *Leaf) tags(c *scanner) {
	for n := c.array(); n > 0 && c.err == nil; n-- {
		tag := c.text()
		name, _, ok := strings.Cut(tag, ":")
		if !ok || !isName(name, 64) {
			c.fail("tag %q is not name:value", tag)
		}
		if i := len(l.Tags); i > 0 && l.Tags[i-1] >= tag {
			c.fail("tag %q is repeated or out of order", tag)
		}
		l.Tags = append(l.Tags, tag)
	}
}

// finish checks what concerns several keys.
func (l *Leaf) finish(c *scanner) {
	if c.err != nil {
		return
	}
	switch {
	case (l.Position == 1) != (l.Prev == tlog.Hash{}):
		c.fail("key 11 is zero at position 1 and nowhere else")
	case (l.StreamVersion == 1) != (l.StreamPrev == tlog.Hash{}):
		c.fail("key 12 is zero at stream version 1 and nowhere else")
	case l.StreamVersion > l.Position:
		c.fail("stream version %d at position %d", l.StreamVersion, l.Position)
	case l.Type == typeErased && (l.Erasure == nil || l.Revision != 1):
		c.fail("%s without its payload of revision 1", l.Type)
	case l.Type == typeContinued && (l.Continued == nil || l.Revision != 1):
		c.fail("%s without its payload of revision 1", l.Type)
	case l.Continued != nil && l.Continued.LogID == l.LogID:
		c.fail("%s names its own log", l.Type)
	}
}

func positive(c *scanner, max uint64, what string) uint64 {
	n := c.uint(max)
	if n == 0 {
		c.fail("%s 0, it counts from 1", what)
	}
	return n
}

func actor(c *scanner) Actor {
	if n := c.array(); n != 2 {
		c.fail("actor of %d elements", n)
	}
	a := Actor{Kind: c.text()}
	id := c.text()
	if !isName(a.Kind, 64) || !isHexID(id) {
		c.fail("actor [%q, %q] is not [kind, id]", a.Kind, id)
		return a
	}
	hex.Decode(a.ID[:], []byte(id)) // cannot fail: isHexID
	return a
}

// isName reports whether s is a name: a letter, then letters, digits, dots,
// underscores and hyphens, at most max bytes.
func isName(s string, max int) bool {
	if s == "" || len(s) > max || !isLetter(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if b := s[i]; !isLetter(b) && !(b >= '0' && b <= '9') && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }

// isHexID reports whether s is an id as 32 lower-case hexadecimal digits.
func isHexID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if b := s[i]; !(b >= '0' && b <= '9') && !(b >= 'a' && b <= 'f') {
			return false
		}
	}
	return true
}
