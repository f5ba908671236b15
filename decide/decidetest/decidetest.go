// Package decidetest states what a decider does: given a history, when a
// command comes, then these events, or this refusal.
//
// The history is filtered by the decider's own query, so that a fact which the
// query forgets fails a case. Each accepted case is decided twice (same
// inputs, same events), its events go through the codec and evolve, and it is
// decided again on the evolved state, which must emit nothing or refuse unless
// the case says that repeating is meant.
package decidetest

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Case is one line of what a decider does.
type Case[C any] struct {
	Name   string
	As     event.Actor // default event.System
	Given  []event.New
	When   C
	Then   []any      // payloads of the events, in order
	Err    error      // compared with errors.Is
	Kind   fault.Kind // instead of Err, if not Internal
	Repeat bool       // repeating emits again, and is meant to
	// Each is how long after the one before each given event was recorded; the
	// first at Each after the beginning of event.Instant. 0: at no time.
	Each time.Duration
}

// Run runs cases against a decider; events are those of the registry's tables.
func Run[S, C any](t *testing.T, reg *event.Registry, d decide.Decider[S, C], cases ...Case[C]) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { run(t, reg, d, c) })
	}
}

func run[S, C any](t *testing.T, reg *event.Registry, d decide.Decider[S, C], c Case[C]) {
	t.Helper()
	if c.As == (event.Actor{}) {
		c.As = event.System
	}
	events, err := given(t, reg, d, c, c.Given)
	if c.Err != nil || c.Kind != fault.Internal {
		if c.Err != nil && !errors.Is(err, c.Err) || c.Err == nil && !fault.Is(err, c.Kind) {
			t.Fatalf("got error %v (%v), want %v %v", err, fault.KindOf(err), c.Err, c.Kind)
		}
		return
	}
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	var got []any
	for _, e := range events {
		got = append(got, e.Payload)
	}
	if !slices.EqualFunc(got, c.Then, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		t.Fatalf("got  %#v\nwant %#v", got, c.Then)
	}
	if again, err := given(t, reg, d, c, c.Given); err != nil || !reflect.DeepEqual(again, events) {
		t.Fatalf("not deterministic: %v, then %v (%v)", events, again, err)
	}
	if len(events) == 0 || c.Repeat {
		return
	}
	if again, err := given(t, reg, d, c, append(slices.Clone(c.Given), events...)); err == nil && len(again) > 0 {
		t.Fatalf("repeated on the evolved state it emits %#v", again)
	}
}

// given folds a history as the runner would and decides.
func given[S, C any](t *testing.T, reg *event.Registry, d decide.Decider[S, C], c Case[C], history []event.New) ([]event.New, error) {
	t.Helper()
	var state S
	if d.Start != nil {
		state = d.Start(c.When)
	}
	who := authz.For(c.As)
	for i, e := range history {
		f := fact(t, reg, e, event.Position(i+1))
		if c.Each > 0 {
			f.Time = event.Instant(0).Time().Add(time.Duration(i+1) * c.Each)
		}
		if selects(t, reg, d.Query(c.When), e, f) {
			state = d.Evolve(state, f)
		}
		if authz.Query(c.As).Matches(f.Type, f.Terms()) {
			who = authz.Evolve(who, f)
		}
	}
	if d.Allow == nil {
		return nil, authz.Denied(d.Name)
	}
	if err := d.Allow(who, state, c.When); err != nil {
		return nil, err
	}
	return d.Decide(state, c.When)
}

// fact sends an event through the codec, unsealed.
func fact(t *testing.T, reg *event.Registry, e event.New, p event.Position) event.Fact {
	t.Helper()
	desc, err := reg.Of(event.LogID{}, e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := desc.Split(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	r := &event.Record{Position: p, Stream: e.Stream, Type: desc.Type, Revision: desc.Revision, Public: parts.Public, Tags: parts.Tags}
	var opened []event.Opened
	for subject, fields := range parts.Sealed {
		r.Blocks = append(r.Blocks, event.Block{Subject: subject, Fields: commitments(fields)})
		opened = append(opened, event.Opened{State: event.Present, Fields: fields})
	}
	for _, b := range parts.Blind {
		r.Blind = append(r.Blind, event.BlindTag{Subject: b.Subject, Name: b.Name, N: b.N, Version: 1, Value: blind(b.Name, b.Value, b.Fold)})
	}
	f, err := desc.Decode(r, opened)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// BlindTerm is the term by which a history's records are found that carry a
// blind tag of a value.
func BlindTerm(name, value string, fold bool) event.Term {
	return event.BlindTerm(name, 1, blind(name, value, fold))
}

func blind(name, value string, fold bool) event.Hash {
	return sha256.Sum256([]byte(name + "\x00" + event.Normalize(value, fold)))
}

func commitments(fields map[string]cbor.RawMessage) []event.Commitment {
	var out []event.Commitment
	for path := range fields {
		out = append(out, event.Commitment{Path: path})
	}
	return out
}

// selects reports whether a decider's facts include an event.
func selects(t *testing.T, reg *event.Registry, facts []decide.Facts, e event.New, f event.Fact) bool {
	t.Helper()
	desc, _ := reg.Of(event.LogID{}, e.Payload)
	parts, _ := desc.Split(e.Payload)
	return slices.ContainsFunc(facts, func(q decide.Facts) bool {
		it := event.Item{Types: q.Types}
		if !q.Stream.IsZero() {
			it.All = append(it.All, event.StreamTerm(q.Stream))
		}
		for _, tag := range q.Tags {
			it.All = append(it.All, event.TagTerm(tag))
		}
		if !it.Matches(f.Type, f.Terms()) {
			return false
		}
		return q.Blind == nil || slices.ContainsFunc(parts.Blind, func(b event.BlindField) bool {
			return b.Name == q.Blind.Name && event.Normalize(b.Value, b.Fold) == event.Normalize(q.Blind.Value, q.Blind.Fold)
		})
	})
}
