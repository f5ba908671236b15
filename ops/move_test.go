package ops

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger/verify"
)

// contentsOf is every record of a stopped directory, and its root.
func contentsOf(t *testing.T, dir string) []string {
	t.Helper()
	s, err := pebblelog.OpenReadOnly(filepath.Join(dir, "log"), pebblelog.Options{})
	must(t, err)
	defer s.Close()
	out, err := dump(s)
	must(t, err)
	return out
}

// A log that was moved to PostgreSQL and back, with its keys, is the same:
// records, root, receipts; it verifies with the key at each place, and the
// second move of the same changes nothing.
func TestMove(t *testing.T) {
	cluster := postgres.Shared(t)
	w := onDisk(t, 300)
	w.close(t)
	want := contentsOf(t, w.l.Dir)
	db, keys, back := cluster.NewDatabase(t), cluster.NewDatabase(t), filepath.Join(t.TempDir(), "back")
	for range 2 {
		if code, out, errs := run(t, "move", "--from", w.l.Dir, "--to", db, "--keys-to", keys, "--quiet"); code != ExitOK || !strings.Contains(out, "gives the same tree") {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
	}
	s, err := pglog.Open(t.Context(), pglog.Options{DSN: db})
	must(t, err)
	r, err := Verify(t.Context(), s, VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg})
	must(t, err)
	if r.Verdict != verify.Verified {
		t.Error(text(r))
	}
	there, err := Receipt(t.Context(), s, w.signer.Log(), 3, nil)
	must(t, err)
	must(t, s.Close())
	if code, out, errs := run(t, "move", "--from", db, "--to", back, "--keys-from", keys, "--keys-to", filepath.Join(back, "keys.db"), "--quiet"); code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if got := contentsOf(t, back); !slices.Equal(got, want) {
		t.Error("it came back as another log")
	}
	must(t, os.Link(w.l.Root, filepath.Join(back, "root.key")))
	k, err := openKeys(t.Context(), DefaultLayout(back))
	must(t, err)
	p, err := pebblelog.OpenReadOnly(filepath.Join(back, "log"), pebblelog.Options{})
	must(t, err)
	r, err = Verify(t.Context(), p, VerifyOptions{Key: w.signer.VerifierKey(), Keys: k})
	must(t, err)
	here, err := Receipt(t.Context(), p, w.signer.Log(), 3, nil)
	must(t, err)
	if r.Verdict != verify.Verified || r.Opened == 0 || !bytes.Equal(here, there) {
		t.Errorf("%s", text(r))
	}
	must(t, p.Close())
	must(t, k.Close())
	other := onDisk(t, 10)
	other.close(t)
	if code, _, errs := run(t, "move", "--from", other.l.Dir, "--to", db, "--quiet"); code != ExitUnchecked || !strings.Contains(errs, "holds another log") {
		t.Errorf("over another log: exit code %d, %s", code, errs)
	}
}

// pieces are a dump of a world, one of what came after it, in which somebody is
// erased who was in the first, and a backup as old as the first.
func pieces(t *testing.T) (w *world, whole, after, backup, keys string) {
	t.Helper()
	w = onDisk(t, 60)
	backup, keys = w.backed(t)
	dir := t.TempDir()
	whole, after = filepath.Join(dir, "whole.jsonl"), filepath.Join(dir, "after.jsonl")
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	write := func(args ...string) {
		t.Helper()
		if code, out, errs := run(t, append([]string{"dump", w.l.Dir, "--quiet"}, args...)...); code != ExitOK {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
	}
	write("--to", whole)
	w.erase(t, w.users[3])
	must(t, w.eraser().Resume(t.Context()))
	for i := range 20 {
		w.register(t, 9000+i)
	}
	w.publish(t)
	write("--to", after, "--since", whole)
	must(t, admin.Close())
	return w, whole, after, backup, keys
}

// A dump and what came after it give the log again, in which nobody is left who
// was erased in between; so do a backup and that.
func TestDumpAndLoad(t *testing.T) {
	w, whole, after, backup, keys := pieces(t)
	ciphertexts := func(dir string) int {
		t.Helper()
		s, err := pebblelog.OpenReadOnly(filepath.Join(dir, "log"), pebblelog.Options{})
		must(t, err)
		defer s.Close()
		r, err := Verify(t.Context(), s, VerifyOptions{Key: w.signer.VerifierKey()})
		must(t, err)
		if r.Verdict != verify.Verified || uint64(w.log.Mark().Size) != r.Size {
			t.Errorf("%s", text(r))
		}
		for _, e := range r.Erasures {
			if e.Subject == w.users[3] {
				return e.Ciphertexts + e.Tags
			}
		}
		t.Error("the erasure is not there")
		return 0
	}
	w.close(t)
	loaded := filepath.Join(t.TempDir(), "loaded")
	for range 2 {
		if code, out, errs := run(t, "load", whole, after, "--to", loaded, "--quiet"); code != ExitOK {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
	}
	if !slices.Equal(contentsOf(t, loaded), contentsOf(t, w.l.Dir)) || ciphertexts(loaded) != 0 {
		t.Error("loaded as another log")
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if code, out, errs := run(t, "restore", backup, after, "--keys-from", keys, "--old-keys", "--root-key", w.l.Root, "--register", w.l.Register, "--to", restored, "--quiet"); code != ExitOK || !strings.Contains(out, "The server may be started") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if !slices.Equal(contentsOf(t, restored), contentsOf(t, w.l.Dir)) || ciphertexts(restored) != 0 {
		t.Error("restored as another log")
	}
}

// A missing, foreign or damaged piece is named, and nothing is touched.
func TestLoadRefuses(t *testing.T) {
	w, whole, after, backup, _ := pieces(t)
	w.close(t)
	_, foreign, foreignAfter, _, _ := pieces(t)
	b, err := os.ReadFile(after)
	must(t, err)
	lines := bytes.SplitAfter(b, []byte("\n"))
	damaged := filepath.Join(t.TempDir(), "damaged.jsonl")
	for name, c := range map[string]struct {
		files []string
		bytes []byte
		want  string
	}{
		"the first is missing": {files: []string{after}, want: "a piece is missing"},
		"a foreign piece":      {files: []string{whole, foreignAfter}, want: "foreign piece"},
		"the wrong way round":  {files: []string{after, whole}, want: "does not go on"},
		"a foreign first":      {files: []string{foreign, after}, want: "foreign piece"},
		"no dump":              {files: []string{backup}, want: "no dump"},
		"cut short":            {files: []string{whole, damaged}, bytes: b[:len(b)-10], want: "cut short"},
		"a line is missing":    {files: []string{whole, damaged}, bytes: bytes.Join(slices.Delete(slices.Clone(lines), 2, 3), nil), want: "damaged.jsonl"},
		"something behind it":  {files: []string{whole, damaged}, bytes: append(bytes.Clone(b), "{}\n"...), want: "behind the end"},
		"a byte":               {files: []string{whole, damaged}, bytes: bytes.Replace(b, []byte(`"leaf":"r`), []byte(`"leaf":"s`), 1), want: "damaged.jsonl"},
	} {
		if c.bytes != nil {
			must(t, os.WriteFile(damaged, c.bytes, 0o600))
		}
		to := filepath.Join(t.TempDir(), "to")
		code, out, errs := run(t, append(append([]string{"load"}, c.files...), "--to", to, "--quiet")...)
		if code != ExitUnchecked || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d, %s%s", name, code, out, errs)
		}
		if exists(to) {
			t.Errorf("%s: something was made", name)
		}
	}
	if code, _, errs := run(t, "dump", w.l.Dir, "--to", filepath.Join(t.TempDir(), "x"), "--since", foreign, "--quiet"); code != ExitUnchecked || !strings.Contains(errs, "is of log") {
		t.Errorf("since a foreign dump: exit code %d, %s", code, errs)
	}
}

// Whatever a dump is read from, what is accepted is written again the same.
func FuzzDump(f *testing.F) {
	f.Add([]byte(`{"format":"muniment.dev/dump/v1","made":"2026-01-01T00:00:00Z","log":"0123456789abcdef0123456789abcdef","after":0,"after_root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":0,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","last":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","term":1}` + "\n" + `{"cursor":{"name":"a","value":"Nw=="}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := newDumpReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := encodeLine(d.header)
		must(t, err)
		for {
			l, err := d.line()
			if err != nil || l == nil {
				break
			}
			line, err := encodeLine(l)
			must(t, err)
			again = append(again, line...)
			if l.Leaf != nil {
				_, _ = l.record()
			}
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%q was read as %q", b, again)
		}
	})
}

var _ eventlog.Source = dumps(nil)
