package seal

import (
	"context"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// However many draw at once, nobody gets another's key, and every key that
// was handed out was durable before: a database opened anew knows it.
func TestDrawnKeysAreOnesOwnAndDurable(t *testing.T) { engines(t, testDrawnKeys) }

func testDrawnKeys(t *testing.T, e *engine) {
	k := e.open(t)
	log := event.LogID{ID: event.NewID()}
	var mu sync.Mutex
	drawn := map[event.KeyID]Secret{}
	secrets := map[Secret]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				id, s, err := k.Draw(t.Context(), log)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				drawn[id], secrets[s] = s, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(drawn) != 3200 || len(secrets) != 3200 {
		t.Fatalf("%d ids and %d secrets for 3200 draws", len(drawn), len(secrets))
	}
	k.Close()
	k = e.open(t)
	for id, want := range drawn {
		if got, err := k.Get(t.Context(), log, id); err != nil || got != want {
			t.Fatalf("key %s is not the one that was drawn (%v)", id, err)
		}
	}
	id, _, err := k.Draw(t.Context(), log)
	if _, again := drawn[id]; again || err != nil {
		t.Fatalf("drew %s again (%v)", id, err)
	}
	if _, err := k.Get(t.Context(), event.LogID{ID: event.NewID()}, id); !fault.Is(err, fault.NotFound) {
		t.Fatalf("another log was given the key: %v", err)
	}
}

// Keys that are destroyed among thousands leave no bytes in any file, and the
// others stay.
func TestDestroyAmongMany(t *testing.T) { engines(t, testDestroyAmongMany) }

func testDestroyAmongMany(t *testing.T, e *engine) {
	k := e.open(t)
	log := event.LogID{ID: event.NewID()}
	var gone, stay []event.KeyID
	var wrapped [][]byte
	for i := range 2000 {
		id, _, err := k.Draw(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			stay = append(stay, id)
			continue
		}
		gone, wrapped = append(gone, id), append(wrapped, wrappedOf(t, k, log, id)[12:28])
	}
	e.settle(t, k)
	if holders(t, e.files, wrapped...) == nil {
		t.Fatal("the search finds nothing even before")
	}
	if err := k.Destroy(t.Context(), log, gone...); err != nil {
		t.Fatal(err)
	}
	if found := holders(t, e.files, wrapped...); found != nil {
		t.Fatalf("destroyed keys are still in %v", found)
	}
	if n, gone, err := Count(t.Context(), e.where); err != nil || gone != 667 || n < len(stay) {
		t.Fatalf("%d keys, %d destroyed: %v", n, gone, err)
	}
	for _, id := range gone {
		if _, err := k.Get(t.Context(), log, id); !fault.Is(err, fault.Erased) {
			t.Fatalf("a destroyed key reads as %v", err)
		}
	}
	for _, id := range stay {
		if _, err := k.Get(t.Context(), log, id); err != nil {
			t.Fatal(err)
		}
	}
}

// Who draws is told when keys cannot be made, and does not wait for ever.
func TestDrawFails(t *testing.T) { engines(t, testDrawFails) }

func testDrawFails(t *testing.T, e *engine) {
	k := e.open(t)
	log := event.LogID{ID: event.NewID()}
	e.exec(t, k, "ALTER TABLE subject_key RENAME COLUMN wrapped TO w")
	if id, _, err := k.Draw(t.Context(), log); !fault.Is(err, fault.Unavailable) || !id.IsZero() {
		t.Fatalf("drew %s from a database that takes none (%v)", id, err)
	}
	e.exec(t, k, "ALTER TABLE subject_key RENAME COLUMN w TO wrapped")
	if _, _, err := k.Draw(t.Context(), log); err != nil {
		t.Fatalf("the failure outlasted its cause: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := k.Draw(ctx, event.LogID{ID: event.NewID()}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("who left while waiting was told %v", err)
	}
	k.Close()
	if _, _, err := k.Draw(t.Context(), log); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a closed database answered %v", err)
	}
}
