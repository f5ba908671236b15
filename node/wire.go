package node

import (
	"bytes"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Limits of one message.
const (
	maxBody    = 16 << 20
	maxAppends = 512
)

// ask is what one node asks another.
type ask struct {
	Log     event.LogID `cbor:"1,keyasint"`
	Appends []asked     `cbor:"2,keyasint"`
}

// asked is an eventlog.Request, as it travels.
type asked struct {
	Actor   actor       `cbor:"1,keyasint"`
	Command event.ID    `cbor:"2,keyasint"`
	Digest  event.Hash  `cbor:"3,keyasint"`
	Events  []draft     `cbor:"4,keyasint"`
	Query   []item      `cbor:"5,keyasint,omitempty"`
	After   uint64      `cbor:"6,keyasint,omitempty"`
	Streams []versioned `cbor:"7,keyasint,omitempty"`

	Generation event.ID `cbor:"8,keyasint"` // zero, nearly always
}

type actor struct {
	_    struct{} `cbor:",toarray"`
	Kind string
	ID   event.ID
}

type versioned struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	ID      event.ID
	Version uint64
}

type item struct {
	_     struct{} `cbor:",toarray"`
	Types []string
	All   []event.Term
}

// draft is an event.Draft: its leaf, as if it were the first record of a log,
// and what stands beside a leaf. Leaves are read and written much faster than
// whatever encoding is made for all types.
type draft struct {
	_           struct{} `cbor:",toarray"`
	Leaf        []byte
	Ciphertexts [][]byte
	Blind       []blind
}

// first is where a draft travels as standing.
var first = event.Place{Position: 1, Version: 1, Time: time.UnixMicro(0)}

func toDraft(d *event.Draft) draft {
	return draft{Leaf: d.AppendLeaf(nil, first), Ciphertexts: d.Ciphertexts, Blind: toBlind(d.Blind)}
}

func (w *draft) draft() (*event.Draft, error) {
	r, err := event.ParseLeaf(w.Leaf)
	if err != nil {
		return nil, notUnderstood(err)
	}
	// The log keeps drafts in memory; the leaf that travelled need not stay.
	return &event.Draft{ID: r.ID, Stream: r.Stream, Type: r.Type, Revision: r.Revision, Actor: r.Actor, Public: bytes.Clone(r.Public), Context: bytes.Clone(r.Context),
		Tags: r.Tags, Blocks: r.Blocks, Ciphertexts: some(w.Ciphertexts), Blind: fromBlind(w.Blind)}, nil
}

type blind struct {
	_       struct{} `cbor:",toarray"`
	Subject event.SubjectID
	Name    string
	N       int
	Version uint32
	Value   event.Hash
}

// answer is what the holder did, one for each append.
type answer struct {
	Done []done `cbor:"1,keyasint"`
}

type done struct {
	First    uint64   `cbor:"1,keyasint,omitempty"`
	Last     uint64   `cbor:"2,keyasint,omitempty"`
	Time     int64    `cbor:"3,keyasint,omitempty"` // microseconds
	Replayed bool     `cbor:"4,keyasint,omitempty"`
	Fault    *wrong   `cbor:"5,keyasint,omitempty"`
	Log      event.ID `cbor:"6,keyasint"` // that of their generation
}

// wrong is an error. Which one it is comes as a number, for nodes of other
// versions may word it differently.
type wrong struct {
	Kind     uint8  `cbor:"1,keyasint,omitempty"`
	Message  string `cbor:"2,keyasint,omitempty"`
	Field    string `cbor:"3,keyasint,omitempty"`
	Sentinel int    `cbor:"4,keyasint,omitempty"` // of sentinels, from 1
	Position uint64 `cbor:"5,keyasint,omitempty"` // of eventlog.Between
	Type     string `cbor:"6,keyasint,omitempty"`
}

// sentinels are the errors that callers tell apart. The list only grows.
func sentinels() []*fault.Error {
	return []*fault.Error{eventlog.ErrCommandReused, eventlog.ErrKeyTaken, eventlog.ErrKeyUnnamed, eventlog.ErrSubjectErased, eventlog.ErrEventExists, eventlog.ErrMoved, eventlog.ErrVersion}
}

// strict decodes what encode writes, and little else: no duplicate or unknown
// keys, no indefinite lengths, nothing behind the end, and lists of bounded
// length.
var strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8: cbor.UTF8RejectInvalid, MaxNestedLevels: 10, MaxArrayElements: 4096, MaxMapPairs: 64, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func encode(v any) ([]byte, error) { return event.Deterministic.Marshal(v) }

func decode(b []byte, v any) error {
	if err := strict.Unmarshal(b, v); err != nil {
		return notUnderstood(err)
	}
	return nil
}

func notUnderstood(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "another node's message is not understood; do all nodes run versions that know each other? Nothing was changed", Err: err}
}

// toWire makes what travels of a request.
func toWire(r *eventlog.Request) asked {
	a := asked{Actor: actor{Kind: r.Actor.Kind, ID: r.Actor.ID}, Command: r.Command, Digest: r.Digest, After: uint64(r.If.After), Generation: r.Generation.ID}
	for _, it := range r.If.Query {
		a.Query = append(a.Query, item{Types: it.Types, All: it.All})
	}
	for s, v := range r.If.Streams {
		a.Streams = append(a.Streams, versioned{Kind: s.Kind, ID: s.ID, Version: v})
	}
	for _, d := range r.Events {
		a.Events = append(a.Events, toDraft(d))
	}
	return a
}

// request is what travelled as the log takes it, which checks the drafts
// itself.
func (a *asked) request() (eventlog.Request, error) {
	r := eventlog.Request{Actor: event.Actor{Kind: a.Actor.Kind, ID: a.Actor.ID}, Command: a.Command, Digest: a.Digest, If: event.Condition{After: event.Position(a.After)}, Generation: event.LogID{ID: a.Generation}}
	for _, it := range a.Query {
		r.If.Query = append(r.If.Query, event.Item{Types: some(it.Types), All: some(it.All)})
	}
	for _, s := range a.Streams {
		if r.If.Streams == nil {
			r.If.Streams = map[event.Stream]uint64{}
		}
		r.If.Streams[event.Stream{Kind: s.Kind, ID: s.ID}] = s.Version
	}
	for i := range a.Events {
		d, err := a.Events[i].draft()
		if err != nil {
			return r, err
		}
		r.Events = append(r.Events, d)
	}
	return r, nil
}

func toBlind(tags []event.BlindTag) (out []blind) {
	for _, b := range tags {
		out = append(out, blind{Subject: b.Subject, Name: b.Name, N: b.N, Version: b.Version, Value: b.Value})
	}
	return out
}

func fromBlind(tags []blind) (out []event.BlindTag) {
	for _, b := range tags {
		out = append(out, event.BlindTag{Subject: b.Subject, Name: b.Name, N: b.N, Version: b.Version, Value: b.Value})
	}
	return out
}

// some is nil for nothing, as requests have it.
func some[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func toDone(a eventlog.Appended, err error) done {
	if err == nil {
		return done{First: uint64(a.First), Last: uint64(a.Last), Time: a.Time.UnixMicro(), Replayed: a.Replayed, Log: a.Log.ID}
	}
	w := &wrong{Kind: uint8(fault.KindOf(err))}
	var f *fault.Error
	if errors.As(err, &f) {
		w.Message, w.Field = f.Msg, f.Field
	}
	for i, s := range sentinels() {
		if errors.Is(err, s) && !fault.Is(err, fault.Unknown) { // of which it may be the cause
			w.Sentinel = i + 1
		}
	}
	var b *eventlog.Between
	if errors.As(err, &b) {
		w.Position, w.Type = uint64(b.Position), b.Type
	}
	return done{Fault: w}
}

// result is what the holder did, as its log would have said it. A kind that
// this version does not know says nothing about what happened.
func (d *done) result() (eventlog.Appended, error) {
	w := d.Fault
	if w == nil {
		return eventlog.Appended{Log: event.LogID{ID: d.Log}, First: event.Position(d.First), Last: event.Position(d.Last), Time: time.UnixMicro(d.Time).UTC(), Replayed: d.Replayed}, nil
	}
	if list := sentinels(); w.Sentinel > 0 && w.Sentinel <= len(list) {
		return eventlog.Appended{}, list[w.Sentinel-1]
	}
	err := &fault.Error{Kind: fault.Kind(w.Kind), Field: w.Field, Msg: w.Message}
	if err.Kind > fault.Corrupt {
		err.Kind = fault.Unknown
	}
	if w.Position > 0 {
		err.Err = &eventlog.Between{Position: event.Position(w.Position), Type: w.Type}
	}
	return eventlog.Appended{}, err
}
