package eventlog

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// prepared is a draft with all that can be worked out before it is its turn,
// by the goroutine that appends it.
type prepared struct {
	*event.Draft
	terms []event.Term
	erase *erasure // what the event destroys; nil for nearly all
}

// erasure is the payload of subject.erased (record format, "Erasure").
type erasure struct {
	Subject event.SubjectID `cbor:"1,keyasint"`
	Keys    []event.KeyID   `cbor:"2,keyasint,omitempty"`
}

// maxEvents bounds the events of one append.
const maxEvents = 1024

const typeErased = "subject.erased"

// payloads decodes public payloads and contexts. They stand one level deep in
// a leaf, and a leaf may nest 16 levels.
var payloads = func() cbor.DecMode {
	m, err := cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 15}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// prepare refuses drafts that could not be read back once they were stored.
func prepare(events []*event.Draft) ([]prepared, error) {
	if len(events) == 0 {
		return nil, fault.New(fault.Internal, "an append needs at least one event")
	}
	if len(events) > maxEvents {
		return nil, fault.Lasting(fault.New(fault.Exhausted, "%d events cannot be appended together; the limit is %d", len(events), maxEvents))
	}
	out := make([]prepared, len(events))
	for i, d := range events {
		p := prepared{Draft: d}
		if err := checkDraft(d); err != nil {
			return nil, err
		}
		if d.Type == typeErased {
			p.erase = &erasure{}
			if err := event.Strict.Unmarshal(d.Public, p.erase); err != nil || p.erase.Subject.IsZero() || slices.Contains(p.erase.Keys, event.KeyID{}) || d.Revision != 1 {
				return nil, &fault.Error{Kind: fault.Invalid, Msg: "an erasure must name its subject and keys as the record format says", Err: err}
			}
		}
		p.terms = d.Terms()
		out[i] = p
	}
	return out, nil
}

func checkDraft(d *event.Draft) error {
	switch {
	case d.ID.IsZero():
		return malformed(d, "has no id")
	case !event.IsName(d.Stream.Kind):
		return malformed(d, "has a stream kind that is not a lower-case name")
	case !event.IsTypeName(d.Type):
		return malformed(d, "has a type that is not a name")
	case d.Revision == 0:
		return malformed(d, "has no schema revision")
	case !event.IsName(d.Actor.Kind):
		return malformed(d, "has an actor kind that is not a lower-case name")
	case !isMap(d.Public) || !isMap(d.Context):
		return malformed(d, "has a payload or context that is not a CBOR map")
	case len(d.Ciphertexts) != len(d.Blocks):
		return malformed(d, "has another number of ciphertexts than of sealed blocks")
	}
	for i, t := range d.Tags {
		if !utf8.ValidString(string(t)) || i > 0 && d.Tags[i-1] >= t {
			return malformed(d, "has tags that are not UTF-8, sorted and without repetition")
		}
	}
	for i := range d.Blocks {
		if err := checkBlock(d, i); err != nil {
			return err
		}
	}
	for _, t := range d.Blind {
		if blockOf(d.Blocks, t.Subject) < 0 {
			return malformed(d, "has a blind tag whose subject has no sealed block")
		}
	}
	return nil
}

func checkBlock(d *event.Draft, i int) error {
	b := &d.Blocks[i]
	if b.Subject.IsZero() || b.Key.IsZero() || len(d.Ciphertexts[i]) == 0 {
		return malformed(d, "has a sealed block without subject, key or ciphertext")
	}
	if i > 0 && bytes.Compare(d.Blocks[i-1].Subject.ID[:], b.Subject.ID[:]) >= 0 {
		return malformed(d, "has sealed blocks that are not sorted, or two for one subject")
	}
	for j, f := range b.Fields {
		if !utf8.ValidString(f.Path) || j > 0 && b.Fields[j-1].Path >= f.Path {
			return malformed(d, "has commitments whose paths are not UTF-8, sorted and without repetition")
		}
	}
	return nil
}

// blockOf returns the index of a subject's block, or -1.
func blockOf(blocks []event.Block, s event.SubjectID) int {
	for i := range blocks {
		if blocks[i].Subject == s {
			return i
		}
	}
	return -1
}

// isMap reports whether b is nothing or one well-formed CBOR map.
func isMap(b []byte) bool {
	return b == nil || len(b) > 0 && b[0]>>5 == 5 && payloads.Wellformed(b) == nil
}

func malformed(d *event.Draft, what string) error {
	return fault.New(fault.Invalid, "the event of type %q %s", d.Type, what)
}
