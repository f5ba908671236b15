package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
)

// Keys move between the two kinds of database and back: every key, every mark
// of a destroyed one, and the epoch, so that the same root key opens them.
func TestKeysMove(t *testing.T) {
	t.Parallel()
	ways := map[string][]*engine{
		"file to server": {onSQLite(t), onPostgres(t, postgres.Shared(t))},
		"server to file": {onPostgres(t, postgres.Shared(t)), onSQLite(t)},
		"file to file":   {onSQLite(t), onSQLite(t)},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) { testKeysMove(t, way[0], way[1]) })
	}
}

func testKeysMove(t *testing.T, from, to *engine) {
	k := from.open(t)
	log := event.LogID{ID: event.NewID()}
	drawn := map[event.KeyID]Secret{}
	for range 600 {
		id, s, err := k.Draw(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		drawn[id] = s
	}
	var gone event.KeyID
	for gone = range drawn {
		break
	}
	if err := k.Destroy(t.Context(), log, gone); err != nil {
		t.Fatal(err)
	}
	c, err := Copy(t.Context(), from.where)
	if err != nil || len(c.Destroyed) != 1 || !c.Destroyed[gone] || c.Keys < 599 {
		t.Fatalf("%d keys, destroyed %v: %v", c.Keys, c.Destroyed, err)
	}
	for i, damaged := range damages(c.Stream) {
		if err := Restore(t.Context(), to.where, bytes.NewReader(damaged)); !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Invalid) {
			t.Fatalf("damage %d: %v", i, err)
		}
	}
	if n, gone, err := Count(t.Context(), to.where); n != 0 || gone != 0 || err != nil {
		t.Fatalf("a copy that was refused left %d keys, %d destroyed: %v", n, gone, err)
	}
	if err := Restore(t.Context(), to.where, bytes.NewReader(c.Stream)); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), to.where, bytes.NewReader(c.Stream)); !fault.Is(err, fault.Exists) {
		t.Fatalf("restored over keys: %v", err)
	}
	again, err := Copy(t.Context(), to.where)
	if err != nil || again.Keys != c.Keys || len(again.Stream) != len(c.Stream) {
		t.Fatalf("%d keys in %d bytes of %d in %d: %v", again.Keys, len(again.Stream), c.Keys, len(c.Stream), err)
	}
	to.root = from.root
	moved := to.open(t)
	for id, want := range drawn {
		got, err := moved.Get(t.Context(), log, id)
		if id == gone && !fault.Is(err, fault.Erased) || id != gone && (err != nil || got != want) {
			t.Fatalf("key %s: %v", id, err)
		}
	}
}

// damages are a stream cut short, with more behind it, and with bits that fell.
func damages(stream []byte) [][]byte {
	out := [][]byte{nil, stream[:len(streamFormat)], stream[:len(stream)/2], stream[:len(stream)-1], append(bytes.Clone(stream), 0)}
	for _, at := range []int{3, len(streamFormat), len(streamFormat) + 9, len(stream) / 2, len(stream) - 40, len(stream) - 1} {
		b := bytes.Clone(stream)
		b[at] ^= 4
		out = append(out, b)
	}
	return out
}

// A key that was destroyed while the copy was being made is not in it.
func TestCopyLeavesOutWhatWasDestroyed(t *testing.T) {
	var s streamWriter
	log, keys := event.LogID{ID: event.NewID()}, []event.KeyID{{ID: event.NewID()}, {ID: event.NewID()}, {ID: event.NewID()}}
	s.put(row{kind: rowEpoch, epoch: epoch{1, []byte("wrapped epoch")}})
	for _, k := range keys {
		s.put(row{kind: rowKey, log: log, key: k, epoch: epoch{1, k.ID[:]}})
	}
	s.put(row{kind: rowDestroyed, log: log, key: keys[1]})
	stream, dropped, err := s.end(map[event.KeyID]bool{keys[1]: true})
	if err != nil || dropped != 1 {
		t.Fatalf("%d dropped: %v", dropped, err)
	}
	var got []event.KeyID
	if err := readStream(bytes.NewReader(stream), func(r row) error {
		if r.kind == rowKey {
			got = append(got, r.key)
		}
		return nil
	}); err != nil || len(got) != 2 || got[0] != keys[0] || got[1] != keys[2] {
		t.Fatalf("%v: %v", got, err)
	}
}

// FuzzStream reads a copy of keys: what is accepted is what would be written.
func FuzzStream(f *testing.F) {
	var s streamWriter
	s.put(row{kind: rowEpoch, epoch: epoch{1, []byte("wrapped")}})
	s.put(row{kind: rowKey, epoch: epoch{1, []byte("wrapped")}})
	s.put(row{kind: rowDestroyed})
	stream, _, _ := s.end(nil)
	f.Add(stream)
	f.Add([]byte(streamFormat))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again streamWriter
		if readStream(bytes.NewReader(b), again.put) != nil {
			return
		}
		if out, _, err := again.end(nil); err != nil || !bytes.Equal(out, b) {
			t.Fatalf("%q reads as %q", b, out)
		}
	})
}

// A file that belongs to something else, or to a later version, is refused by
// name and stays as it is; one of before there were versions is taken.
func TestForeignFile(t *testing.T) {
	e := onSQLite(t)
	k := e.open(t)
	e.exec(t, k, "PRAGMA user_version = 0")
	k.Close()
	k = e.open(t)
	for _, c := range []struct{ name, do, undo string }{
		{"a later version", "PRAGMA user_version = 99", "PRAGMA user_version = 1"},
		{"other tables", "CREATE TABLE shopping (list TEXT)", "DROP TABLE shopping"},
	} {
		e.exec(t, k, c.do)
		before, _ := os.ReadFile(e.where)
		if _, err := OpenKeys(t.Context(), e.where, e.root); !fault.Is(err, fault.Refused) {
			t.Errorf("%s: %v", c.name, err)
		}
		if after, _ := os.ReadFile(e.where); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", c.name)
		}
		e.exec(t, k, c.undo)
	}
	text := filepath.Join(e.dir, "text")
	os.WriteFile(text, []byte("this is no database, however often it is opened as one"), 0o600)
	if _, err := OpenKeys(t.Context(), text, e.root); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a text: %v", err)
	}
	if _, _, err := Count(t.Context(), filepath.Join(e.dir, "none")); !fault.Is(err, fault.NotFound) {
		t.Errorf("no file: %v", err)
	}
}
