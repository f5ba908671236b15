package logtest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// Part adds something to a draft.
type Part func(*event.Draft)

// NewStream returns a fresh stream of a kind.
func NewStream(kind string) event.Stream { return event.Stream{Kind: kind, ID: event.NewID()} }

// NewSubject returns a fresh subject.
func NewSubject() event.SubjectID { return event.SubjectID{ID: event.NewID()} }

// NewKey returns a fresh key id.
func NewKey() event.KeyID { return event.KeyID{ID: event.NewID()} }

// New returns a draft as the sealing code would make it: with random bytes in
// place of ciphertexts and commitments.
func New(stream event.Stream, typ string, parts ...Part) *event.Draft {
	d := &event.Draft{ID: event.NewID(), Stream: stream, Type: typ, Revision: 1, Actor: event.System}
	for _, p := range parts {
		p(d)
	}
	slices.Sort(d.Tags)
	return d
}

// Public sets the public payload.
func Public(payload any) Part {
	return func(d *event.Draft) { d.Public = must(event.Deterministic.Marshal(payload)) }
}

// Context sets the public context.
func Context(facts any) Part {
	return func(d *event.Draft) { d.Context = must(event.Deterministic.Marshal(facts)) }
}

// Tags adds public tags.
func Tags(tags ...event.Tag) Part {
	return func(d *event.Draft) { d.Tags = append(d.Tags, tags...) }
}

// Sealed adds a block of a subject with a commitment for each path.
func Sealed(s event.SubjectID, k event.KeyID, paths ...string) Part {
	return func(d *event.Draft) {
		ciphertext := random(48 + 24*len(paths))
		b := event.Block{Subject: s, Key: k, Alg: 1, Digest: sha256.Sum256(ciphertext)}
		slices.Sort(paths)
		for _, p := range paths {
			b.Fields = append(b.Fields, event.Commitment{Path: p, Value: event.Hash(random(32))})
		}
		i, _ := slices.BinarySearchFunc(d.Blocks, b, func(a, b event.Block) int {
			return slices.Compare(a.Subject.ID[:], b.Subject.ID[:])
		})
		d.Blocks = slices.Insert(d.Blocks, i, b)
		d.Ciphertexts = slices.Insert(d.Ciphertexts, i, ciphertext)
	}
}

// Blind adds a blind tag of a subject, which must have a block.
func Blind(s event.SubjectID, name string, value event.Hash) Part {
	return func(d *event.Draft) {
		n := 0
		for _, b := range d.Blind {
			if b.Subject == s && b.Name == name {
				n++
			}
		}
		d.Blind = append(d.Blind, event.BlindTag{Subject: s, Name: name, N: n, Version: 1, Value: value})
		for i := range d.Blocks {
			if b := &d.Blocks[i]; b.Subject == s {
				b.Fields = append(b.Fields, event.Commitment{Path: fmt.Sprintf("#tag/%s/%d", name, n), Value: event.Hash(random(32))})
				slices.SortFunc(b.Fields, func(a, b event.Commitment) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
			}
		}
	}
}

// Erasure returns the event that destroys a subject's keys.
func Erasure(s event.SubjectID, keys ...event.KeyID) *event.Draft {
	payload := map[uint64]any{1: s}
	if len(keys) > 0 {
		payload[2] = keys
	}
	return New(event.Stream{Kind: "subject", ID: s.ID}, "subject.erased", Public(payload), Tags(event.NewTag("subject", s.String())))
}

// Request returns an append of the system under a fresh command id.
func Request(events ...*event.Draft) eventlog.Request {
	return eventlog.Request{Actor: event.System, Command: event.NewID(), Digest: event.Hash(random(32)), Events: events}
}

// If returns the request with a condition.
func If(c event.Condition, events ...*event.Draft) eventlog.Request {
	r := Request(events...)
	r.If = c
	return r
}

// RandomHash returns 32 random bytes.
func RandomHash() event.Hash { return event.Hash(random(32)) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func digest(b []byte) event.Hash { return sha256.Sum256(b) }
