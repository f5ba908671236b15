package seal

import (
	"testing"

	"muniment.dev/event"
)

// later is a log in another generation than its first.
type later struct {
	assigned
	generation event.LogID
}

func (l later) Generation() event.LogID { return l.generation }

// In a new generation a subject keeps its key, what is sealed is bound to the
// id in the leaf, and an address is found by the same tag (ADR 0017).
func TestSealInGenerations(t *testing.T) {
	s, a := sealer(t, onSQLite(t))
	user := event.NewID()
	before := register(t, s, a, user)
	next := event.LogID{ID: event.NewID()}
	s.Assigned = later{a, next}
	drafts, err := s.Seal(t.Context(), event.System, []event.New{{Stream: event.Stream{Kind: "user", ID: user},
		Payload: registered{User: user, Email: event.Seal("ada@example.org"), Name: event.Seal("Ada")}}}, Context{})
	if err != nil {
		t.Fatal(err)
	}
	record := func(log event.LogID) *event.Record {
		at := event.Place{Log: log, Position: 2, Version: 2, Prev: before.Hash(), PrevStream: before.Hash()}
		return drafts[0].Record(at, drafts[0].AppendLeaf(nil, at))
	}
	after := record(next)
	if after.Blocks[0].Key != before.Blocks[0].Key || after.Blind[0].Value != before.Blind[0].Value {
		t.Error("the subject has another key, or its address another tag")
	}
	for _, r := range []*event.Record{before, after} {
		f, err := s.Decode(t.Context(), r)
		if err != nil || f.Payload.(registered).Email.State != event.Present {
			t.Errorf("generation %s: %+v, %v", r.Log, f.Payload, err)
		}
		if wrong, err := s.CheckCommitments(t.Context(), r, 0); err != nil || len(wrong) > 0 {
			t.Errorf("generation %s: commitments that differ %v, %v", r.Log, wrong, err)
		}
		if d, err := Disclose(t.Context(), s.Keys.(*Keys), s.Log, r, "/name"); err != nil || len(d) != 1 {
			t.Errorf("generation %s: disclosing %v, %v", r.Log, d, err)
		}
	}
	if _, err := s.Decode(t.Context(), record(s.Log)); err == nil {
		t.Error("what was sealed for one generation opens in another")
	}
}
