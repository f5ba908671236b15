// Package event is the vocabulary of the log: ids, streams, tags, queries and
// conditions; records and the bytes of their leaves; and descriptors, which
// say of each event type what its fields are, which of them are public, whose
// the others are and by what a record can be found.
//
// It knows nothing of storage, keys or the network. The bytes of a leaf are
// specified in docs/record-format.md.
package event

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"muniment.dev/fault"
)

// Position is a record's place in its log, from 1. It is gapless: the record
// after p is p+1, always.
type Position uint64

// Stream is the name of one aggregate's records.
type Stream struct {
	Kind string // lower-case word: "user", "project"
	ID   ID     // random
}

// String returns `kind:id`.
func (s Stream) String() string { return s.Kind + ":" + s.ID.String() }

// IsZero reports whether the stream was never set.
func (s Stream) IsZero() bool { return s == Stream{} }

// ParseStream reads `kind:id`.
func ParseStream(text string) (Stream, error) {
	kind, id, ok := strings.Cut(text, ":")
	if !ok || !IsName(kind) {
		return Stream{}, fault.New(fault.Invalid, "a stream is written kind:id, for example user:0123456789abcdef0123456789abcdef")
	}
	v, err := ParseID(id)
	return Stream{Kind: kind, ID: v}, err
}

// Actor is who caused an event. Kind is "user", "visitor" (not authenticated;
// ID is that day's visitor subject) or "system" (Muniment itself; ID zero).
type Actor struct {
	Kind string
	ID   ID
}

// System is the actor of what Muniment does by itself.
var System = Actor{Kind: "system"}

// String returns `kind:id`.
func (a Actor) String() string { return a.Kind + ":" + a.ID.String() }

// ParseActor reads `kind:id`.
func ParseActor(text string) (Actor, error) {
	s, err := ParseStream(text)
	if err != nil {
		return Actor{}, fault.New(fault.Invalid, "an actor is written kind:id, for example user:0123456789abcdef0123456789abcdef")
	}
	return Actor(s), nil
}

// Tag says what a record is about, for selecting it: `name:value`. Tags stand
// in the leaf in clear, so their values are never personal.
type Tag string

// NewTag returns name:value.
func NewTag(name, value string) Tag { return Tag(name + ":" + value) }

// BlindTag is a tag whose value is a keyed hash, so that a record can be found
// by a personal value (an e-mail address) without the log holding it. It is
// committed in the leaf under its subject and kept only in the index, which
// forgets it when the subject is erased.
type BlindTag struct {
	Subject SubjectID
	Name    string
	N       int    // which of the record's blind tags of that name and subject, from 0
	Version uint32 // of the key that hashed it
	Value   Hash
}

// Commitment binds one field of a sealed block without showing it.
type Commitment struct {
	_     struct{} `cbor:",toarray"`
	Path  string
	Value Hash
}

// Block is what a leaf says of one sealed block: whose it is, the key, the
// digest of the ciphertext that is stored beside the leaf, and a commitment
// for each field and blind tag.
type Block struct {
	_       struct{} `cbor:",toarray"`
	Subject SubjectID
	Key     KeyID
	Alg     uint64 // 1: AES-256-GCM
	Digest  Hash
	Fields  []Commitment
}

// Record is an event as stored. Leaf holds its exact bytes; the other leaf
// fields are decoded from them. A record is never changed.
type Record struct {
	Log        LogID
	Position   Position
	ID         ID
	Stream     Stream
	Version    uint64
	Type       string
	Revision   uint32
	Time       time.Time // UTC, microseconds
	Actor      Actor
	Prev       Hash   // leaf hash of the record before
	PrevStream Hash   // the same within the stream
	Public     []byte // CBOR map of the public payload; nil if empty
	Context    []byte // CBOR map of the public context; nil if empty
	Tags       []Tag
	Blocks     []Block

	Leaf        []byte     // the bytes that are hashed
	Ciphertexts [][]byte   // parallel to Blocks; nil where erased
	Blind       []BlindTag // values of blind tags that the index still holds
}

// Subjects lists the subjects of the record's sealed blocks, in their order.
func (r *Record) Subjects() []SubjectID {
	out := make([]SubjectID, 0, len(r.Blocks))
	for _, b := range r.Blocks {
		if len(out) == 0 || out[len(out)-1] != b.Subject {
			out = append(out, b.Subject)
		}
	}
	return out
}

// Terms lists all that the record can be found by, sorted, without repetition.
func (r *Record) Terms() []Term {
	return terms(r.Stream, r.Type, r.Actor, r.Tags, r.Blocks, r.Blind)
}

func terms(s Stream, typ string, a Actor, tags []Tag, blocks []Block, blind []BlindTag) []Term {
	w := termWriter{buf: make([]byte, 0, 512), ends: make([]int, 0, 16)}
	w.add("s:", s.Kind, ":", s.ID[:])
	w.add("t:", typ, "", nil)
	w.add("a:", a.Kind, ":", a.ID[:])
	for _, t := range tags {
		w.add("g:", string(t), "", nil)
	}
	for _, b := range blocks {
		w.add("u:", "", "", b.Subject.ID[:])
	}
	for _, b := range blind {
		w.buf = append(append(append(w.buf, "b:"...), b.Name...), ':')
		w.buf = strconv.AppendUint(w.buf, uint64(b.Version), 10)
		w.add(":", "", "", b.Value[:])
	}
	return w.terms()
}

// termWriter writes terms one behind the other, so that they share one string.
type termWriter struct {
	buf  []byte
	ends []int
}

// add ends a term with prefix, name, separator and id, in hexadecimal digits.
func (w *termWriter) add(prefix, name, separator string, id []byte) {
	w.buf = append(append(append(w.buf, prefix...), name...), separator...)
	w.buf = hex.AppendEncode(w.buf, id)
	w.ends = append(w.ends, len(w.buf))
}

// terms returns what was written, sorted, without repetition.
func (w *termWriter) terms() []Term {
	text := string(w.buf)
	out := make([]Term, len(w.ends))
	start := 0
	for i, end := range w.ends {
		out[i] = Term(text[start:end])
		start = end
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// IsName reports whether s is a lower-case word of letters, digits, dots,
// dashes and underscores that starts with a letter, at most 64 bytes long.
func IsName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// IsTypeName reports whether s can be the name of an event type: as IsName, but
// customers' names may hold capitals, such as OrderCreated.
func IsTypeName(s string) bool { return IsName(strings.ToLower(s)) && len(s) <= 64 && isASCII(s) }

func compareBlocks(a, b Block) int {
	return cmp.Or(slices.Compare(a.Subject.ID[:], b.Subject.ID[:]), slices.Compare(a.Key.ID[:], b.Key.ID[:]))
}
