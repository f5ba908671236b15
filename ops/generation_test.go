package ops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
)

// lose restores a backup that lacks the newest records, and returns the folder,
// the last checkpoint that was published, and how long the backup is.
func (w *world) lose(t *testing.T) (dir string, last ledger.Checkpoint, size event.Position) {
	t.Helper()
	size = w.log.Mark().Size
	log, keys := w.backed(t)
	for i := range 5 {
		w.register(t, 4000+i)
	}
	last = w.publish(t)
	w.close(t)
	dir, out := w.restored(t, log, keys)
	if !strings.Contains(out, "muniment generation begin "+dir) {
		t.Errorf("not told of generations: %s", out)
	}
	return dir, last, size
}

// reopen opens a world again where it was restored.
func (w *world) reopen(t *testing.T, dir string) {
	t.Helper()
	register := w.l.Register
	w.l = DefaultLayout(dir)
	w.l.Register = register
	store, err := pebblelog.Open(w.l.Log, pebblelog.Options{})
	must(t, err)
	w.log, err = ledger.OpenLog(t.Context(), store, w.sealer.Log, w.reg, eventlog.Options{})
	must(t, err)
	w.store, w.sealer.Assigned, w.closed = store, w.log, false
	w.openKeys(t)
	w.signer, err = w.signer.For(w.log.Generation())
	must(t, err)
}

// A log that was restored and lacks records goes on in a new generation: after
// it was said what is missing, and with --force. The same tree and positions,
// old receipts and checkpoints hold, and whoever holds one of a lost record is
// told so. The key of either generation verifies both.
func TestGenerationBegin(t *testing.T) {
	w := onDisk(t, 40)
	old := w.signer
	dir, last, n := w.lose(t)
	file := filepath.Join(t.TempDir(), "last")
	must(t, os.WriteFile(file, last.Note, 0o600))

	code, out, errs := w.run(t, "generation", "begin", dir, "--register", w.l.Register)
	missing := "10 records were acknowledged to somebody and missing here"
	if code != ExitFound || !strings.Contains(out, missing) || !strings.Contains(out, "Nothing was changed") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs = w.run(t, "generation", "begin", dir, "--register", w.l.Register, "--force"); code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs := w.run(t, "generation", "begin", dir, "--register", w.l.Register, "--force"); code != ExitUnchecked || !strings.Contains(errs, "nothing that a new generation would have to admit") {
		t.Errorf("begun twice: exit code %d, %s", code, errs)
	}
	if kept, err := filepath.Glob(w.l.Register + ".*-*"); err != nil || len(kept) != 1 {
		t.Errorf("what the register said before was kept in %v", kept)
	}
	w.reopen(t, dir)
	for i := range 3 {
		w.register(t, 5000+i)
	}
	next := w.publish(t)
	if next.Log == last.Log || next.Size != w.log.Mark().Size {
		t.Errorf("published %+v", next)
	}
	for _, key := range []string{old.VerifierKey(), w.signer.VerifierKey()} {
		r := w.verify(t, VerifyOptions{Key: key, Register: w.reg, Keys: w.keys})
		if r.Verdict != verify.Verified || r.Signed != uint64(next.Size) || len(r.Generations) != 2 || r.Generations[1].First != uint64(n)+1 || r.Generations[1].Lost != uint64(last.Size-n) {
			t.Fatalf("%s", text(r))
		}
	}
	// Receipts of both, of a record before and one behind, against the newest.
	for _, at := range []event.Position{2, n + 2} {
		receipt, err := ledger.NewProver(w.store, w.sealer.Log).Receipt(t.Context(), at, next)
		must(t, err)
		if r, err := VerifyReceipt(receipt, old.VerifierKey()); err != nil || r.Verdict != verify.Verified || (len(r.Generations) == 1) != (at <= n) {
			t.Errorf("receipt of %d: %+v, %v", at, r, err)
		}
		if receipt, err = Receipt(t.Context(), w.store, w.sealer.Log, at, w.keys, "/email"); err != nil {
			t.Errorf("receipt of %d: %v", at, err)
		} else if _, err := VerifyReceipt(receipt, w.signer.VerifierKey()); err != nil {
			t.Errorf("receipt of %d: %v", at, err)
		}
	}
	w.close(t)
	code, out, _ = run(t, "verify", dir, "--register", w.l.Register, "--key", old.VerifierKey(), "--checkpoint", file, "--quiet")
	if code != ExitFound || !strings.Contains(out, "were lost, as record ") {
		t.Errorf("whoever holds a lost checkpoint is told: exit code %d\n%s", code, out)
	}
	if code, out, _ := w.run(t, "generation", "show", dir, "--register", w.l.Register); code != ExitOK || !strings.Contains(out, w.signer.Log().String()) {
		t.Errorf("show: exit code %d\n%s", code, out)
	}
}

// Restoring can begin the generation at once. Without a register nobody knows
// what is missing, but for a checkpoint that somebody kept.
func TestRestoreNewGeneration(t *testing.T) {
	w := onDisk(t, 20)
	log, keys := w.backed(t)
	n := w.log.Mark().Size
	w.register(t, 4000)
	last := w.publish(t)
	w.close(t)
	file := filepath.Join(t.TempDir(), "last")
	must(t, os.WriteFile(file, last.Note, 0o600))
	for name, more := range map[string][]string{
		"a checkpoint": {"--checkpoint", file},
		"nothing":      nil,
		"the register": {"--register", w.l.Register},
	} {
		dir := filepath.Join(t.TempDir(), "restored")
		args := append([]string{"restore", log, "--to", dir, "--keys-from", keys, "--root-key", w.l.Root, "--quiet", "--new-generation"}, more...)
		if code, out, errs := w.run(t, args...); code != ExitFound || !strings.Contains(out, "Nothing was changed") {
			t.Fatalf("%s, without --force: exit code %d\n%s%s", name, code, out, errs)
		}
		must(t, os.RemoveAll(dir))
		if code, out, errs := w.run(t, append(args, "--force")...); code != ExitOK {
			t.Fatalf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		store, err := pebblelog.OpenReadOnly(filepath.Join(dir, "log"), pebblelog.Options{})
		must(t, err)
		r, err := Verify(t.Context(), store, VerifyOptions{Key: w.signer.VerifierKey()})
		must(t, err)
		must(t, store.Close())
		lost := uint64(last.Size - n)
		if name == "nothing" {
			lost = 0
		}
		if r.Verdict != verify.Verified || len(r.Generations) != 2 || r.Generations[1].Lost != lost {
			t.Errorf("%s: %s", name, text(r))
		}
		if _, ok := WasRestored(DefaultLayout(dir)); ok {
			t.Errorf("%s: still noted as restored", name)
		}
	}
}
