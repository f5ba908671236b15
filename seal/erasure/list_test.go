package erasure

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"muniment.dev/event"
	"muniment.dev/internal/etcd"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger"
)

// A list keeps what was noted, of each log apart, beside the register and
// whatever that does, for whoever reads it with no log at hand. Noting again
// changes nothing.
func TestList(t *testing.T) {
	places := map[string]func(*testing.T) string{
		"file":       func(t *testing.T) string { return filepath.Join(t.TempDir(), "register.json") },
		"PostgreSQL": func(t *testing.T) string { return postgres.Shared(t).NewDatabase(t) + "#one" },
		"etcd":       func(t *testing.T) string { return "etcd://" + etcd.Start(t).Address + "/one" },
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) { t.Parallel(); testList(t, place(t)) })
	}
}

func testList(t *testing.T, register string) {
	log, other := event.LogID{ID: event.NewID()}, event.LogID{ID: event.NewID()}
	where := ListPath(register)
	if keys, err := ReadList(t.Context(), where, log); len(keys) != 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("empty: %v %v", keys, err)
	}
	var want []event.KeyID
	for position := range event.Position(12) {
		for _, of := range []event.LogID{log, other, log} { // one of them twice
			l, err := OpenList(t.Context(), where, of)
			if err != nil {
				t.Fatal(err)
			}
			key := event.KeyID{ID: event.ID{byte(position), of.ID[0]}}
			if of == log && !slices.Contains(want, key) {
				want = append(want, key)
			}
			if err := l.Add(t.Context(), position+1, event.SubjectID{ID: event.NewID()}, []event.KeyID{key}); err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
	reg, err := ledger.OpenRegister(t.Context(), register)
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	if s, err := reg.Load(t.Context()); err != nil || !s.IsZero() {
		t.Fatalf("the register beside it: %v %v", s, err)
	}
	if keys, err := ReadList(t.Context(), where, log); err != nil || !slices.Equal(keys, want) {
		t.Fatalf("%v, want %v: %v", keys, want, err)
	}
}
