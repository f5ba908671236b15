package node

import (
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

// draft is an event.Draft.
type draft struct {
	ID          event.ID      `cbor:"1,keyasint"`
	Stream      actor         `cbor:"2,keyasint"`
	Type        string        `cbor:"3,keyasint"`
	Revision    uint32        `cbor:"4,keyasint"`
	Actor       actor         `cbor:"5,keyasint"`
	Public      []byte        `cbor:"6,keyasint,omitempty"`
	Context     []byte        `cbor:"7,keyasint,omitempty"`
	Tags        []event.Tag   `cbor:"8,keyasint,omitempty"`
	Blocks      []event.Block `cbor:"9,keyasint,omitempty"`
	Ciphertexts [][]byte      `cbor:"10,keyasint,omitempty"`
	Blind       []blind       `cbor:"11,keyasint,omitempty"`
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
		return &fault.Error{Kind: fault.Unavailable, Msg: "another node's message is not understood; do all nodes run versions that know each other? Nothing was changed", Err: err}
	}
	return nil
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
		w := draft{ID: d.ID, Stream: actor{Kind: d.Stream.Kind, ID: d.Stream.ID}, Type: d.Type, Revision: d.Revision, Actor: actor{Kind: d.Actor.Kind, ID: d.Actor.ID},
			Public: d.Public, Context: d.Context, Tags: d.Tags, Blocks: d.Blocks, Ciphertexts: d.Ciphertexts}
		for _, b := range d.Blind {
			w.Blind = append(w.Blind, blind{Subject: b.Subject, Name: b.Name, N: b.N, Version: b.Version, Value: b.Value})
		}
		a.Events = append(a.Events, w)
	}
	return a
}

// request is what travelled as the log takes it, which checks the drafts
// itself.
func (a *asked) request() eventlog.Request {
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
	for _, w := range a.Events {
		d := &event.Draft{ID: w.ID, Stream: event.Stream{Kind: w.Stream.Kind, ID: w.Stream.ID}, Type: w.Type, Revision: w.Revision, Actor: event.Actor{Kind: w.Actor.Kind, ID: w.Actor.ID},
			Public: some(w.Public), Context: some(w.Context), Tags: w.Tags, Blocks: w.Blocks, Ciphertexts: w.Ciphertexts}
		for _, b := range w.Blind {
			d.Blind = append(d.Blind, event.BlindTag{Subject: b.Subject, Name: b.Name, N: b.N, Version: b.Version, Value: b.Value})
		}
		r.Events = append(r.Events, d)
	}
	return r
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
