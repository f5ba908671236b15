package field_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
)

var (
	registry = event.NewRegistry(authz.Events(), custom.Events(), field.Events(), []event.Descriptor{{Type: "delete-individual", Revision: 1, Sentence: "{actor} deleted {entity}", Fields: []event.Field{{Name: "entity", Kind: event.IDRef, Public: true, Tag: "entity"}}}})
	kept     = event.MustID("0000000000000000000000000000000a")
	ada      = event.MustID("0000000000000000000000000000000b")
	grace    = event.MustID("0000000000000000000000000000000c")
	stranger = event.Actor{Kind: "user", ID: event.MustID("0000000000000000000000000000000d")}
)

func keeping(reason string) field.EventKept {
	return field.EventKept{Event: kept, Entity: ada, Kind: "individual", Type: "update-individual", Revision: 1, Reason: reason, Replica: "r", Base: 3, Data: event.Seal(`{}`)}
}

func onStream(payload any) event.New { return event.New{Stream: field.Stream(kept), Payload: payload} }

func TestKeeping(t *testing.T) {
	decidetest.Run(t, registry, field.Keeping,
		decidetest.Case[field.Keep]{Name: "kept", When: field.Keep{EventKept: keeping("ask")}, Then: []any{keeping("ask")}},
		decidetest.Case[field.Keep]{Name: "again", Given: []event.New{onStream(keeping("ask"))}, When: field.Keep{EventKept: keeping("ask")}},
		decidetest.Case[field.Keep]{Name: "by who may not publish", As: stranger, When: field.Keep{EventKept: keeping("ask")}, Kind: fault.Denied})
}

func TestSettling(t *testing.T) {
	settle := field.Settle{Event: kept, Entity: event.Stream{Kind: "individual", ID: ada}, Type: "update-individual"}
	dismissed := field.ConflictDecided{Event: kept, Entity: ada}
	asked := onStream(keeping(field.ReasonAsk))
	applied := settle
	applied.Applied = true
	decidetest.Run(t, registry, field.Settling,
		decidetest.Case[field.Settle]{Name: "left", Given: []event.New{asked}, When: settle, Then: []any{dismissed}},
		decidetest.Case[field.Settle]{Name: "left again", Given: []event.New{asked, onStream(dismissed)}, When: settle},
		decidetest.Case[field.Settle]{Name: "otherwise", Given: []event.New{asked, onStream(dismissed)}, When: applied, Err: field.ErrDecided},
		decidetest.Case[field.Settle]{Name: "applied, but not recorded", Given: []event.New{asked}, When: applied, Err: field.ErrApplied},
		decidetest.Case[field.Settle]{Name: "nothing kept", When: settle, Err: field.ErrNotKept},
		decidetest.Case[field.Settle]{Name: "refused by policy", Given: []event.New{onStream(keeping(field.ReasonRefuse))}, When: settle, Err: field.ErrNoAsk},
		decidetest.Case[field.Settle]{Name: "by who may not publish", As: stranger, Given: []event.New{asked}, When: settle, Kind: fault.Denied})
}

func saidAt(r field.DuplicateResolved, p int64) field.DuplicateResolved {
	r.Said = p
	return r
}

func TestDuplicates(t *testing.T) {
	found := field.DuplicateFound{Entity: ada, Other: grace, Kind: "individual", Fields: []string{"name"}}
	same := field.DuplicateResolved{Entity: ada, Other: grace, Kind: "individual", Same: true}
	flagged := onStream(found)
	turned := found
	turned.Entity, turned.Other = found.Other, found.Entity
	ends := field.Flag{Pair: kept, DuplicateFound: found, Ends: []string{"delete-individual"}}
	closed := field.DuplicateClosed{Entity: ada, Other: grace, Kind: "individual", Gone: grace}
	merged := same
	merged.Kept = ada
	different := same
	different.Same = false
	of := func(id event.ID, payload any) event.New {
		return event.New{Stream: event.Stream{Kind: "individual", ID: id}, Payload: payload}
	}
	deleted := event.Custom{Type: "delete-individual", Revision: 1, Fields: map[string]any{"entity": grace}}
	decidetest.Run(t, registry, field.Flagging,
		decidetest.Case[field.Flag]{Name: "resolved before it was found", Given: []event.New{onStream(different)}, When: field.Flag{Pair: kept, DuplicateFound: found}},
		decidetest.Case[field.Flag]{Name: "resolved as different", Given: []event.New{flagged, onStream(different)}, When: field.Flag{Pair: kept, DuplicateFound: found}},
		decidetest.Case[field.Flag]{Name: "closed", Given: []event.New{flagged, onStream(closed)}, When: field.Flag{Pair: kept, DuplicateFound: found}},
		decidetest.Case[field.Flag]{Name: "one was erased", Given: []event.New{of(ada, custom.EntityErased{Entity: ada})}, When: ends},
		decidetest.Case[field.Flag]{Name: "the other was deleted", Given: []event.New{of(grace, deleted)}, When: ends},
		decidetest.Case[field.Flag]{Name: "found", When: field.Flag{Pair: kept, DuplicateFound: found}, Then: []any{found}},
		decidetest.Case[field.Flag]{Name: "the other way round", Given: []event.New{flagged}, When: field.Flag{Pair: kept, DuplicateFound: turned}},
		decidetest.Case[field.Flag]{Name: "by somebody", As: stranger, When: field.Flag{Pair: kept, DuplicateFound: found}, Kind: fault.Denied})
	decidetest.Run(t, registry, field.Resolving,
		decidetest.Case[field.Resolve]{Name: "the same", Given: []event.New{flagged}, When: field.Resolve{Entity: grace, Other: ada, Same: true}, Then: []any{same}},
		decidetest.Case[field.Resolve]{Name: "again", Given: []event.New{flagged, onStream(same)}, When: field.Resolve{Entity: ada, Other: grace, Same: true}},
		decidetest.Case[field.Resolve]{Name: "the one that is kept", Given: []event.New{flagged, onStream(same)}, When: field.Resolve{Entity: grace, Other: ada, Same: true, Kept: ada}, Then: []any{merged}},
		decidetest.Case[field.Resolve]{Name: "the same, and nobody says which is kept", Given: []event.New{flagged, onStream(merged)}, When: field.Resolve{Entity: grace, Other: ada, Same: true}},
		decidetest.Case[field.Resolve]{Name: "otherwise", Given: []event.New{flagged, onStream(merged)}, When: field.Resolve{Entity: grace, Other: ada}, Then: []any{different}},
		decidetest.Case[field.Resolve]{Name: "a third is kept", Given: []event.New{flagged}, When: field.Resolve{Entity: grace, Other: ada, Same: true, Kept: kept}, Err: field.ErrKept},
		decidetest.Case[field.Resolve]{Name: "kept, and different", Given: []event.New{flagged}, When: field.Resolve{Entity: grace, Other: ada, Kept: ada}, Err: field.ErrKept},
		decidetest.Case[field.Resolve]{Name: "published by a device", When: field.Resolve{Entity: ada, Other: grace, Same: true, Pair: kept, Kind: "individual"}, Then: []any{same}},
		decidetest.Case[field.Resolve]{Name: "published by a device, later than by another", Given: []event.New{onStream(saidAt(different, 3))}, When: field.Resolve{Entity: ada, Other: grace, Same: true, Pair: kept, Kind: "individual", At: 5}, Then: []any{saidAt(same, 5)}},
		decidetest.Case[field.Resolve]{Name: "published by a device, before another", Given: []event.New{onStream(saidAt(different, 7))}, When: field.Resolve{Entity: ada, Other: grace, Same: true, Pair: kept, Kind: "individual", At: 5}},
		decidetest.Case[field.Resolve]{Name: "as if by a device", As: stranger, When: field.Resolve{Entity: ada, Other: grace, Same: true, Pair: kept, Kind: "individual"}, Kind: fault.Denied},
		decidetest.Case[field.Resolve]{Name: "never flagged", When: field.Resolve{Entity: ada, Other: grace}, Err: field.ErrNoPair},
		decidetest.Case[field.Resolve]{Name: "by a stranger", As: stranger, Given: []event.New{flagged}, When: field.Resolve{Entity: ada, Other: grace}, Kind: fault.Denied})
	decidetest.Run(t, registry, field.Closing,
		decidetest.Case[field.Close]{Name: "gone", Given: []event.New{flagged}, When: field.Close{Entity: grace, Other: ada, Gone: grace}, Then: []any{closed}},
		decidetest.Case[field.Close]{Name: "again", Given: []event.New{flagged, onStream(closed)}, When: field.Close{Entity: ada, Other: grace, Gone: ada}},
		decidetest.Case[field.Close]{Name: "resolved", Given: []event.New{flagged, onStream(same)}, When: field.Close{Entity: ada, Other: grace, Gone: ada}},
		decidetest.Case[field.Close]{Name: "never flagged", When: field.Close{Entity: ada, Other: grace, Gone: ada}},
		decidetest.Case[field.Close]{Name: "by somebody", As: stranger, Given: []event.New{flagged}, When: field.Close{Entity: ada, Other: grace, Gone: ada}, Kind: fault.Denied})
}
