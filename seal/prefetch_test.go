package seal

import (
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Keys that are read many at once are those that Get gives; one that was
// destroyed is not brought back, and one that is not there does no harm.
func TestPrefetch(t *testing.T) { engines(t, testPrefetch) }

func testPrefetch(t *testing.T, e *engine) {
	k := e.open(t)
	log := event.LogID{ID: event.NewID()}
	want, ids := map[event.KeyID]Secret{}, []event.KeyID{{ID: event.NewID()}}
	for range 2*maxPrefetch + 7 {
		id, s, err := k.Draw(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		want[id], ids = s, append(ids, id, id)
	}
	k.Close()
	k = e.open(t)
	gone := ids[1]
	if err := k.Destroy(t.Context(), log, gone); err != nil {
		t.Fatal(err)
	}
	if err := k.Prefetch(t.Context(), log, ids); err != nil {
		t.Fatal(err)
	}
	if n := len(k.open.young); n != len(want)-1 {
		t.Errorf("%d keys are in memory, want %d", n, len(want)-1)
	}
	for id, s := range want {
		switch got, err := k.Get(t.Context(), log, id); {
		case id == gone && !fault.Is(err, fault.Erased):
			t.Errorf("the key that was destroyed: %v", err)
		case id != gone && (err != nil || got != s):
			t.Fatalf("another key: %v", err)
		}
	}
	other := event.LogID{ID: event.NewID()}
	if err := k.Prefetch(t.Context(), other, ids); err != nil || len(k.open.young) != len(want)-1 {
		t.Errorf("keys of another log: %v", err)
	}
}
