package event

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Term is one thing that a record can be found by: its stream, type, actor, a
// tag, a subject of its sealed blocks, or a blind tag. A term is opaque text;
// engines index it as bytes.
type Term string

// Digest names the term in an index, in little room: the first 16 bytes of its
// SHA-256, but that the first bit says whether it is a blind tag. IsBlindDigest
// reads that.
func (t Term) Digest() [16]byte {
	var room [128]byte // most terms are short
	sum := sha256.Sum256(append(room[:0], t...))
	sum[0] &= 0x7f
	if t.IsBlind() {
		sum[0] |= 0x80
	}
	return [16]byte(sum[:16])
}

// IsBlindDigest reports whether a digest is that of a blind tag.
func IsBlindDigest(d [16]byte) bool { return d[0] >= 0x80 }

// IsBlind reports whether the term is a blind tag.
func (t Term) IsBlind() bool { return strings.HasPrefix(string(t), "b:") }

// StreamTerm finds the records of a stream.
func StreamTerm(s Stream) Term { return Term("s:" + s.String()) }

// TypeTerm finds the records of an event type, all revisions.
func TypeTerm(t string) Term { return Term("t:" + t) }

// ActorTerm finds what an actor caused.
func ActorTerm(a Actor) Term { return Term("a:" + a.String()) }

// TagTerm finds the records that carry a public tag.
func TagTerm(t Tag) Term { return Term("g:" + string(t)) }

// SubjectTerm finds the records with a block sealed under a subject.
func SubjectTerm(s SubjectID) Term { return Term("u:" + s.String()) }

// BlindTerm finds the records that carry a blind tag.
func BlindTerm(name string, version uint32, value Hash) Term {
	return Term("b:" + name + ":" + strconv.FormatUint(uint64(version), 10) + ":" + hex.EncodeToString(value[:]))
}

// Item selects the records that have every one of All and, if Types is not
// empty, one of Types. The zero Item selects every record.
type Item struct {
	Types []string
	All   []Term
}

// Query selects the records that match any of its items; without items, none.
type Query []Item

// Everything selects all records.
func Everything() Query { return Query{{}} }

// OfStream selects a stream's records, of the given types or of all.
func OfStream(s Stream, types ...string) Query {
	return Query{{Types: types, All: []Term{StreamTerm(s)}}}
}

// OfTerm selects the records with a term, of the given types or of all.
func OfTerm(t Term, types ...string) Query { return Query{{Types: types, All: []Term{t}}} }

// Or returns the query that selects what q or any of others selects.
func (q Query) Or(others ...Query) Query {
	out := slices.Clone(q)
	for _, o := range others {
		out = append(out, o...)
	}
	return out
}

// Matches reports whether a record with these terms (sorted) is selected.
func (q Query) Matches(typ string, terms []Term) bool {
	return slices.ContainsFunc(q, func(it Item) bool { return it.Matches(typ, terms) })
}

// Matches reports whether a record with these terms (sorted) is selected.
func (it Item) Matches(typ string, terms []Term) bool {
	if len(it.Types) > 0 && !slices.Contains(it.Types, typ) {
		return false
	}
	for _, t := range it.All {
		if _, ok := slices.BinarySearch(terms, t); !ok {
			return false
		}
	}
	return true
}

// Condition is what must still hold when events are appended. The zero
// Condition always holds.
type Condition struct {
	// Query and After: no record that Query selects may stand after position
	// After. The facts a decision rests on, and the position they were read at.
	Query Query
	After Position

	// Streams: each stream named must be at exactly this version (0: it has no
	// record yet).
	Streams map[Stream]uint64
}
