package ops

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
)

// dump is all that a log's records say and what stands beside them.
func dump(store eventlog.Store) ([]string, error) {
	ctx := context.Background()
	logs, err := store.Logs(ctx)
	if err != nil || len(logs) != 1 {
		return nil, fmt.Errorf("%d logs: %w", len(logs), err)
	}
	head, err := store.Head(ctx, logs[0])
	if err != nil {
		return nil, err
	}
	var out []string
	for r, err := range store.Records(ctx, logs[0], 1, head.Size) {
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%x %x %v", r.Leaf, r.Ciphertexts, r.Blind))
	}
	return out, nil
}

// copyDir copies a folder without subfolders.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, d.Name()), b, 0o600)
	}))
}

// Whatever bit of whatever file of a store is flipped: verify never calls it
// sound unless all records read back as they were. Some of the records are in
// tables, the newest in the write-ahead log.
func TestFlippedFiles(t *testing.T) {
	w := onDisk(t, 30)
	w.close(t)
	s, err := pebblelog.Open(w.l.Log, pebblelog.Options{}) // a second start, which leaves a log to be replayed
	must(t, err)
	w.log, err = ledger.OpenLog(t.Context(), s, w.signer.Log(), w.reg, eventlog.Options{})
	must(t, err)
	w.store, w.sealer.Assigned = s, w.log
	w.openKeys(t)
	w.register(t, 1000)
	w.publish(t)
	must(t, s.Snapshot(filepath.Join(w.l.Dir, "copy")))
	want, err := dump(s)
	must(t, err)
	w.close(t)

	source := filepath.Join(w.l.Dir, "copy")
	files, err := os.ReadDir(source)
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	outcomes := map[string]int{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(source, f.Name()))
		must(t, err)
		step := stride(max(1, 8*len(b)/30))
		for bit := rng.IntN(max(1, min(step, 8*len(b)))); bit < 8*len(b); bit += step {
			outcomes[flipped(t, w, source, f.Name(), bit, want)]++
		}
	}
	t.Logf("%d files: %v", len(files), outcomes)
	if outcomes["damage found"]+outcomes["not opened"] == 0 {
		t.Fatal("no flip had any effect")
	}
}

func (w *world) openKeys(t testing.TB) {
	t.Helper()
	var err error
	w.keys, err = openKeys(context.Background(), w.l)
	must(t, err)
	w.sealer.Keys = w.keys
}

func flipped(t *testing.T, w *world, source, name string, bit int, want []string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	copyDir(t, source, dir)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	must(t, err)
	b[bit/8] ^= 1 << (bit % 8)
	must(t, os.WriteFile(path, b, 0o600))
	s, err := openSafely(dir)
	if err != nil {
		return "not opened"
	}
	defer s.Close()
	r, err := Verify(t.Context(), s, VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg})
	switch {
	case err != nil:
		return "not checked"
	case r.Verdict == verify.Failed:
		return "damage found"
	}
	if got, err := dump(s); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s, bit %d: called %s, but the records do not read back (%v)", name, bit, r.Verdict, err)
	}
	return "without effect"
}

func openSafely(dir string) (s *pebblelog.Store, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return pebblelog.OpenReadOnly(dir, pebblelog.Options{Cache: 8 << 20})
}

// Whatever value the engine stores, but cursors, outcomes of commands, and the
// holder's name, is held against the records: changed or deleted, it is found.
func TestTamperedValues(t *testing.T) {
	w := onDisk(t, 300)
	w.close(t)
	db := rawOpen(t, w.l.Log)
	byKind := map[byte][][2][]byte{}
	it, err := db.NewIter(nil)
	must(t, err)
	for ok := it.First(); ok; ok = it.Next() {
		k, v := bytes.Clone(it.Key()), bytes.Clone(it.Value())
		switch {
		case k[0] == 'l':
			byKind[k[17]] = append(byKind[k[17]], [2][]byte{k, v})
		case k[0] == 'h':
			byKind['h'] = append(byKind['h'], [2][]byte{k, v})
		}
	}
	must(t, it.Close())
	must(t, db.Close())
	rng := rand.New(rand.NewPCG(3, 4))
	for kind, list := range byKind {
		if kind == 'o' {
			continue
		}
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, kv := range list[:min(len(list), 1+len(list)/stride(100)+2)] {
			if kind != 'c' { // that a checkpoint was stored stands nowhere else
				w.tampered(t, kind, kv[0], nil, "deleted")
			}
			if len(kv[1]) == 0 {
				continue
			}
			from := 0
			if kind == 'h' {
				from = 25 // format, term and holder: not about the records
			}
			v := bytes.Clone(kv[1])
			v[from+rng.IntN(len(v)-from)] ^= 1 << rng.IntN(8)
			w.tampered(t, kind, kv[0], v, "changed")
		}
	}
	extra := append([]byte(nil), byKind['p'][0][0]...)
	extra[20] ^= 1
	w.tampered(t, 'p', extra, []byte{}, "made up")
	beyond := append([]byte(nil), byKind['p'][0][0]...)
	beyond[len(beyond)-4] ^= 1
	w.tampered(t, 'p', beyond, []byte{}, "made up")
}

func rawOpen(t testing.TB, dir string) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	must(t, err)
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// tampered puts a value (nil: none) into the store, verifies, and puts back
// what was there.
func (w *world) tampered(t *testing.T, kind byte, key, value []byte, how string) {
	t.Helper()
	put := func(v []byte) (was []byte) {
		db := rawOpen(t, w.l.Log)
		old, closer, err := db.Get(key)
		if err == nil {
			was = append([]byte{}, old...)
			must(t, closer.Close())
		}
		if v == nil {
			must(t, db.Delete(key, pebble.Sync))
		} else {
			must(t, db.Set(key, v, pebble.Sync))
		}
		must(t, db.Close())
		return was
	}
	was := put(value)
	s, err := pebblelog.OpenReadOnly(w.l.Log, pebblelog.Options{Cache: 8 << 20})
	must(t, err)
	r, err := Verify(t.Context(), s, VerifyOptions{Log: w.signer.Log(), Key: w.signer.VerifierKey(), Register: w.reg})
	must(t, s.Close())
	if err == nil && r.Verdict != verify.Failed {
		t.Errorf("%s a value of kind %c (key %x): %s", how, kind, key, r.Verdict)
	}
	if kind == 'r' && r != nil && len(key) >= 26 {
		if p := event.Position(key[24])<<8 | event.Position(key[25]); !names(r, p) {
			t.Errorf("%s a value of record %d, which is not named:\n%s", how, p, text(r))
		}
	}
	put(was)
}
