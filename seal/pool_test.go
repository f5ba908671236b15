package seal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal/kms/file"
)

func openTestKeys(t *testing.T, dir string) *Keys {
	t.Helper()
	root, err := file.Open(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeys(t.Context(), filepath.Join(dir, "keys.db"), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// However many draw at once, nobody gets another's key, and every key that
// was handed out was durable before: a database opened anew knows it.
func TestDrawnKeysAreOnesOwnAndDurable(t *testing.T) {
	dir := t.TempDir()
	k := openTestKeys(t, dir)
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
	k = openTestKeys(t, dir)
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
func TestDestroyAmongMany(t *testing.T) {
	dir := t.TempDir()
	k := openTestKeys(t, dir)
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
		var w []byte
		if err := k.db.QueryRow("SELECT wrapped FROM subject_key WHERE id = ?", id.ID[:]).Scan(&w); err != nil {
			t.Fatal(err)
		}
		gone, wrapped = append(gone, id), append(wrapped, w)
	}
	if err := k.Destroy(t.Context(), log, gone...); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "keys.db*"))
	if len(files) != 1 {
		t.Fatalf("files beside the database: %v", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range gone {
		if _, err := k.Get(t.Context(), log, id); !fault.Is(err, fault.Erased) {
			t.Fatalf("a destroyed key reads as %v", err)
		}
		if bytes.Contains(b, wrapped[i]) || bytes.Contains(b, wrapped[i][12:28]) {
			t.Fatalf("the file still holds destroyed key %d", i)
		}
	}
	for _, id := range stay {
		if _, err := k.Get(t.Context(), log, id); err != nil {
			t.Fatal(err)
		}
	}
}

// Who draws is told when keys cannot be made, and does not wait for ever.
func TestDrawFails(t *testing.T) {
	k := openTestKeys(t, t.TempDir())
	log := event.LogID{ID: event.NewID()}
	if _, err := k.db.Exec("DROP TABLE subject_key"); err != nil {
		t.Fatal(err)
	}
	if id, _, err := k.Draw(t.Context(), log); err == nil || !id.IsZero() {
		t.Fatalf("drew %s from a database that takes none (%v)", id, err)
	}
	if _, err := k.db.Exec(schema); err != nil {
		t.Fatal(err)
	}
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
