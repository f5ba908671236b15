package server

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/seal"
)

// E05, P13: a type that is not known when the program is compiled is as good as
// a built-in one: sealed, found, shown with its sentence, proved, erased.
func TestTypeRegisteredAtRunTime(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	id, err := w.register(ctx, "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	person := event.MustID(id)
	paid := event.Descriptor{Type: "order.paid", Revision: 1, Sentence: "{customer} paid {amount} to {account}", Fields: []event.Field{
		{Name: "customer", Kind: event.IDRef, Public: true, Tag: "user"},
		{Name: "amount", Kind: event.Int, Public: true},
		{Name: "account", Kind: event.Text, Of: "customer", Blind: "account"},
	}}
	log := w.Core.Log
	if err := w.Core.Sealer.Registry.Add(log.ID(), paid); err != nil {
		t.Fatal(err)
	}
	order := event.New{Stream: event.Stream{Kind: "order", ID: event.NewID()}, Payload: event.Custom{Type: "order.paid", Revision: 1,
		Fields: map[string]any{"customer": person, "amount": int64(1250), "account": "DE02 1203"}}}
	drafts, err := w.Core.Sealer.Seal(t.Context(), event.System, []event.New{order}, seal.Context{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := log.Append(t.Context(), eventlog.Request{Actor: event.System, Command: event.NewID(), Events: drafts})
	if err != nil {
		t.Fatal(err)
	}
	e := must[*munimentv1.GetEventResponse](t)(w.API.Event.GetEvent(ctx, &munimentv1.GetEventRequest{Position: uint64(done.First)}))
	if got := e.GetEvent().GetSentence(); got != "Ada paid 1250 to DE02 1203" {
		t.Errorf("the sentence is %q", got)
	}
	if e.GetProof().GetResult() != munimentv1.ProofResult_PROOF_RESULT_VALID {
		t.Errorf("the proof: %v", e.GetProof())
	}
	term, err := w.Core.Sealer.BlindTerm(t.Context(), "account", "DE02 1203", false)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for r, err := range log.Read(t.Context(), event.OfTerm(term), 0) {
		if err != nil || r.Position != done.First {
			t.Errorf("found %v %v", r, err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("found %d records by the account", found)
	}
	must[*munimentv1.EraseUserResponse](t)(w.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: id}))
	if err := w.Core.Erasure.Wait(t.Context(), event.SubjectID{ID: person}); err != nil {
		t.Fatal(err)
	}
	e = must[*munimentv1.GetEventResponse](t)(w.API.Event.GetEvent(ctx, &munimentv1.GetEventRequest{Position: uint64(done.First)}))
	if got := e.GetEvent().GetSentence(); got != "(erased) paid 1250 to (erased)" {
		t.Errorf("after the erasure the sentence is %q", got)
	}
}
