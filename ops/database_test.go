package ops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
)

// intoDatabase moves a world into databases, and goes on there.
func (w *world) intoDatabase(t *testing.T, c *postgres.Cluster) (db, keys string) {
	t.Helper()
	w.close(t)
	db, keys = c.NewDatabase(t), c.NewDatabase(t)
	if code, out, errs := run(t, "move", "--from", w.l.Dir, "--to", db, "--keys-to", keys, "--quiet"); code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	w.l.Keys = keys
	store, err := pglog.Open(t.Context(), pglog.Options{DSN: db})
	must(t, err)
	w.log, err = ledger.OpenLog(t.Context(), store, w.sealer.Log, w.reg, eventlog.Options{})
	must(t, err)
	w.store, w.sealer.Assigned, w.closed = store, w.log, false
	w.openKeys(t)
	return db, keys
}

// contentsIn is every record of a database, and its root.
func contentsIn(t *testing.T, db string) []string {
	t.Helper()
	s, err := pglog.OpenSnapshot(t.Context(), pglog.Options{DSN: db})
	must(t, err)
	defer s.Close()
	out, err := dump(s)
	must(t, err)
	return out
}

// done runs a command that must not fail.
func done(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := run(t, append(args, "--quiet")...)
	if code != ExitOK {
		t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// The log of a database is backed up beside whoever writes it, whole and then
// what is new, and restored from both into a folder and into databases: the same
// log, with its keys, without whom the second piece erased.
func TestBackupDatabase(t *testing.T) {
	cluster := postgres.Shared(t)
	w := onDisk(t, 40)
	db, keysIn := w.intoDatabase(t, cluster)
	dir, key := t.TempDir(), w.signer.VerifierKey()
	whole, after, keys := filepath.Join(dir, "whole"), filepath.Join(dir, "after"), filepath.Join(dir, "keys")
	backup := func(args ...string) {
		t.Helper()
		out := done(t, append([]string{"backup", db, "--keys-from", keysIn, "--register", w.l.Register, "--key", key}, args...)...)
		if !strings.Contains(out, "yes, with the key") {
			t.Errorf("not verified: %s", out)
		}
	}
	backup("--to", whole)
	w.erase(t, w.users[3])
	must(t, w.eraser().Resume(t.Context()))
	w.register(t, 9000)
	w.publish(t)
	backup("--to", after, "--since", whole, "--keys-to", keys)
	w.close(t)
	want := contentsIn(t, db)

	if out := done(t, "verify", whole, after, "--key", key); !strings.Contains(out, "VERIFIED") {
		t.Errorf("verified as %s", out)
	}
	restored := filepath.Join(dir, "restored")
	args := []string{"restore", whole, after, "--keys-from", keys, "--root-key", w.l.Root, "--register", w.l.Register, "--key", key}
	if out := done(t, append(args, "--to", restored)...); !strings.Contains(out, "The server may be started") {
		t.Errorf("restored: %s", out)
	}
	if !slices.Equal(contentsOf(t, restored), want) {
		t.Error("restored as another log")
	}
	checkRestored(t, w, restored, want)

	to, keysTo := cluster.NewDatabase(t), cluster.NewDatabase(t)
	args = append(args, "--to", to, "--keys-to", keysTo)
	if out := done(t, args...); !strings.Contains(out, "The server may be started") {
		t.Errorf("restored: %s", out)
	}
	if !slices.Equal(contentsIn(t, to), want) {
		t.Error("restored into a database as another log")
	}
	if out := done(t, "verify", to, "--key", key, "--open", "--keys-db", keysTo, "--root-key", w.l.Root, "--register", w.l.Register); !strings.Contains(out, "VERIFIED") {
		t.Errorf("verified as %s", out)
	}
	if code, _, errs := run(t, append(args, "--quiet")...); code != ExitUnchecked || !strings.Contains(errs, "the database is not empty") {
		t.Errorf("over a log: exit code %d, %s", code, errs)
	}
	args[slices.Index(args, to)] = cluster.NewDatabase(t)
	if code, _, errs := run(t, append(args, "--quiet")...); code != ExitUnchecked || !strings.Contains(errs, "it holds keys already") {
		t.Errorf("over keys: exit code %d, %s", code, errs)
	}
}

// A backup of a database behind whose snapshot somebody was erased is begun
// again; records that no node has published are not in it.
func TestBackupDatabaseMeanwhile(t *testing.T) {
	w := onDisk(t, 20)
	db, _ := w.intoDatabase(t, postgres.Shared(t))
	l := Layout{Dir: inDatabase, Log: db}
	write := func(s *Snapshot, name string) (DumpHeader, error) {
		t.Helper()
		f, err := newFile(filepath.Join(t.TempDir(), name))
		must(t, err)
		defer f.drop()
		return s.writePiece(t.Context(), f, &piece{}, nil)
	}
	attempts, size := 0, event.Position(0)
	must(t, WithSnapshot(t.Context(), l, func(s *Snapshot) error {
		if attempts++; attempts == 1 {
			w.erase(t, w.users[3])
			size = w.log.Mark().Size
		}
		h, err := write(s, "dump")
		if err == nil && h.Size != size {
			t.Errorf("%d records, wants %d", h.Size, size)
		}
		return err
	}))
	if attempts != 2 {
		t.Errorf("%d attempts", attempts)
	}
	head, err := w.store.Head(t.Context(), w.sealer.Log)
	must(t, err)
	w.close(t)
	node, by := store(t, db), eventlog.Holder{ID: event.NewID()}
	defer node.Close()
	taken, err := node.TakeFree(t.Context(), w.sealer.Log, by, 0, time.Hour)
	must(t, err)
	root, err := eventlog.FrontierAt(t.Context(), node, w.sealer.Log, head.Size-1)
	must(t, err)
	must(t, node.Publish(t.Context(), w.sealer.Log, by.ID, eventlog.Mark{Size: head.Size - 1, Root: eventlog.NewGrowing(head.Size-1, root).Root(), Term: taken.Term}, time.Hour))
	s, err := TakeSnapshot(t.Context(), l)
	must(t, err)
	defer s.Close()
	if s.Manifest().Size != head.Size-1 {
		t.Errorf("%d records, published were %d", s.Manifest().Size, head.Size-1)
	}
}

// What is refused in a chain of backups is named, whatever it is given to, and
// leaves nothing behind: neither what was to be made nor anything temporary.
func TestChainRefuses(t *testing.T) {
	empty := postgres.Shared(t).NewDatabase(t)
	w, whole, after, backup, keys := pieces(t)
	w.close(t)
	_, foreign, foreignAfter, _, _ := pieces(t)
	cut := func(path string) string {
		b, err := os.ReadFile(path)
		must(t, err)
		to := filepath.Join(t.TempDir(), filepath.Base(path))
		must(t, os.WriteFile(to, b[:len(b)*2/3], 0o600))
		return to
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"the first is missing":           {[]string{after}, "a piece is missing"},
		"a foreign piece":                {[]string{whole, foreignAfter}, "foreign piece"},
		"a foreign piece of a backup":    {[]string{backup, foreignAfter}, "foreign piece"},
		"a foreign first":                {[]string{foreign, after}, "foreign piece"},
		"twice":                          {[]string{whole, after, after}, "does not go on"},
		"a dump cut short":               {[]string{cut(whole)}, "cut short"},
		"a backup cut short":             {[]string{cut(backup), after}, "cut short"},
		"the second cut short":           {[]string{backup, cut(after)}, "cut short"},
		"a backup in the second's place": {[]string{whole, backup}, "no dump"},
		"keys in the first's place":      {[]string{keys}, "a backup of the keys"},
		"no file":                        {[]string{filepath.Join(tmp, "none")}, "none"},
	} {
		folder := filepath.Join(t.TempDir(), "to")
		for _, args := range [][]string{{"verify"}, {"restore", "--to", folder}, {"restore", "--to", empty}} {
			code, out, errs := run(t, append(append(args, "--quiet"), c.files...)...)
			if code != ExitUnchecked || !strings.Contains(errs, c.want) {
				t.Errorf("%s, %v: exit code %d, %s%s", name, args, code, out, errs)
			}
		}
		if exists(folder) {
			t.Errorf("%s: something was made", name)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s, err := pglog.Open(t.Context(), pglog.Options{DSN: empty})
	must(t, err)
	if logs, err := s.Logs(t.Context()); err != nil || len(logs) > 0 {
		t.Errorf("in the database: %v, %v", logs, err)
	}
	must(t, s.Close())
	other := onDisk(t, 10)
	other.close(t)
	if code, out, _ := run(t, "verify", backup, after, "--key", other.signer.VerifierKey(), "--quiet"); code != ExitFound {
		t.Errorf("verified with a foreign key: exit code %d\n%s", code, out)
	}
	if out := done(t, "verify", backup, after, "--key", w.signer.VerifierKey(), "--open", "--keys-db", w.l.Keys, "--root-key", w.l.Root); !strings.Contains(out, "VERIFIED") {
		t.Errorf("verified as %s", out)
	}
}

// A new generation is begun in a database as in a directory, when no node is at
// work on it.
func TestGenerationDatabase(t *testing.T) {
	cluster := postgres.Shared(t)
	w := onDisk(t, 20)
	log, keys := w.backed(t)
	n := w.log.Mark().Size
	for i := range 3 {
		w.register(t, 4000+i)
	}
	last := w.publish(t)
	lost := uint64(last.Size - n)
	w.close(t)
	db, keysIn := cluster.NewDatabase(t), cluster.NewDatabase(t)
	if out := done(t, "restore", log, "--to", db, "--keys-from", keys, "--keys-to", keysIn, "--register", w.l.Register); !strings.Contains(out, "muniment generation begin postgres://...") {
		t.Errorf("not told of generations: %s", out)
	}
	// At once, with a checkpoint that somebody kept and no register.
	kept := filepath.Join(t.TempDir(), "kept")
	must(t, os.WriteFile(kept, last.Note, 0o600))
	other, reg := cluster.NewDatabase(t), filepath.Join(t.TempDir(), "register.json")
	if code, out, errs := w.run(t, "restore", log, "--to", other, "--keys-from", keys, "--keys-to", cluster.NewDatabase(t), "--root-key", w.l.Root, "--register", reg, "--checkpoint", kept, "--new-generation", "--force", "--quiet"); code != ExitOK || !strings.Contains(out, "goes on in a new generation") {
		t.Errorf("at once: exit code %d\n%s%s", code, out, errs)
	}
	generations(t, other, VerifyOptions{Key: w.signer.VerifierKey(), Register: register(reg)}, lost)
	begin := []string{"generation", "begin", db, "--keys-db", keysIn, "--root-key", w.l.Root, "--register", w.l.Register}
	if code, out, errs := w.run(t, begin...); code != ExitFound || !strings.Contains(out, "Nothing was changed") || strings.Contains(out, db) {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	node, by := store(t, db), eventlog.Holder{ID: event.NewID()}
	_, err := node.TakeFree(t.Context(), w.sealer.Log, by, 0, time.Hour)
	must(t, err)
	if code, _, errs := w.run(t, append(begin, "--force")...); code != ExitUnchecked || !strings.Contains(errs, "a node is at work") {
		t.Errorf("beside a node: exit code %d, %s", code, errs)
	}
	must(t, node.Resign(t.Context(), w.sealer.Log, by.ID))
	must(t, node.Close())
	if code, out, errs := w.run(t, append(begin, "--force")...); code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	generations(t, db, VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg}, lost)
	if code, out, errs := w.run(t, "generation", "show", db, "--register", w.l.Register); code != ExitOK || strings.Count(out, "generation ") != 2 {
		t.Errorf("show: exit code %d\n%s%s", code, out, errs)
	}
}

// generations wants a log in a database to verify, and to have a second
// generation that admits how many records were lost.
func generations(t *testing.T, db string, o VerifyOptions, lost uint64) {
	t.Helper()
	s := store(t, db)
	defer s.Close()
	r, err := Verify(t.Context(), s, o)
	must(t, err)
	if r.Verdict != verify.Verified || len(r.Generations) != 2 || r.Generations[1].Lost != lost {
		t.Errorf("%s", text(r))
	}
}

func store(t *testing.T, db string) *pglog.Store {
	t.Helper()
	s, err := pglog.Open(t.Context(), pglog.Options{DSN: db})
	must(t, err)
	return s
}
