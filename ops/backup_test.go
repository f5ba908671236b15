package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
)

// backed makes a backup of a world in a folder of its own.
func (w *world) backed(t testing.TB) (log, keys string) {
	t.Helper()
	if !exists(w.l.Socket) && !w.closed {
		admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
		must(t, err)
		defer admin.Close()
	}
	dir := t.TempDir()
	log, keys = filepath.Join(dir, "log.tar"), filepath.Join(dir, "keys.tar")
	if code, out, errs := run(t, "backup", w.l.Dir, "--to", log, "--keys-to", keys, "--key", w.signer.VerifierKey(), "--quiet"); code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	return log, keys
}

// restored restores into a new folder, held against a world's register.
func (w *world) restored(t testing.TB, log, keys string, more ...string) (dir, out string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "restored")
	args := append([]string{"restore", log, "--to", dir, "--keys-from", keys, "--root-key", w.l.Root, "--register", w.l.Register, "--key", w.signer.VerifierKey(), "--quiet"}, more...)
	code, out, errs := run(t, args...)
	if code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	return dir, out
}

// A backup taken while people register, in its own folder restored and verified
// with the key, is a prefix of the log, record for record, and every sealed
// field in it opens. The keys are not in the log's file.
func TestBackupUnderLoad(t *testing.T) {
	w := onDisk(t, 60)
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	pub, err := ledger.StartPublisher(t.Context(), w.log, w.signer, w.reg, ledger.PublisherOptions{Every: time.Millisecond})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			w.register(t, 7000+i)
		}
	}()
	type pair struct{ log, keys string }
	var backups []pair
	for range 4 {
		log, keys := w.backed(t)
		backups = append(backups, pair{log, keys})
	}
	stop()
	<-done
	whole, err := dump(w.store)
	must(t, err)
	must(t, pub.Close())
	must(t, admin.Close())
	for _, b := range backups {
		dir, out := w.restored(t, b.log, b.keys)
		if !strings.Contains(out, "The server may be started") && !strings.Contains(out, "the log is shorter than the register says") {
			t.Errorf("restored: %s", out)
		}
		checkRestored(t, w, dir, whole)
		if raw, err := os.ReadFile(b.log); err != nil || bytes.Contains(raw, []byte("SQLite format")) {
			t.Errorf("the log's file holds a database, such as the keys are in: %v", err)
		}
	}
	w.close(t)
}

// checkRestored verifies a restored folder, opening everything, and wants its
// records to be the first of whole.
func checkRestored(t *testing.T, w *world, dir string, whole []string) {
	t.Helper()
	l := DefaultLayout(dir)
	keys, err := openKeys(t.Context(), l)
	must(t, err)
	defer keys.Close()
	store, err := pebblelog.OpenReadOnly(l.Log, pebblelog.Options{})
	must(t, err)
	defer store.Close()
	r, err := Verify(t.Context(), store, VerifyOptions{Key: w.signer.VerifierKey(), Keys: keys})
	if err != nil || r.Verdict != verify.Verified || r.Opened == 0 {
		t.Fatalf("%v\n%s", err, text(r))
	}
	got, err := dump(store)
	must(t, err)
	if len(got) == 0 || len(got) > len(whole) || !slices.Equal(got, whole[:len(got)]) {
		t.Fatalf("%d records are restored; they are not the first of %d", len(got), len(whole))
	}
}

// Somebody is erased while a backup is being made: it begins again, and holds
// nothing of them, neither in the log nor in the keys.
func TestBackupWithdrawn(t *testing.T) {
	w := onDisk(t, 60)
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	ada, taken := w.users[3], 0
	var log, keys bytes.Buffer
	must(t, WithSnapshot(t.Context(), w.l, func(s *Snapshot) error {
		taken++
		log.Reset()
		keys.Reset()
		_, err := s.WriteLog(t.Context(), &log, nil)
		must(t, err)
		if taken == 1 {
			w.erase(t, ada)
			p := w.eraser()
			must(t, p.Keys.Destroy(t.Context(), w.log.ID(), keyOfSubject(t, w, ada))) // the first thing that goes
		}
		_, err = s.WriteKeys(t.Context(), &keys, nil)
		return err
	}))
	if taken != 2 {
		t.Fatalf("%d snapshots were taken, want 2", taken)
	}
	must(t, admin.Close())
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/log.tar", log.Bytes(), 0o600))
	must(t, os.WriteFile(dir+"/keys.tar", keys.Bytes(), 0o600))
	to, _ := w.restored(t, dir+"/log.tar", dir+"/keys.tar")
	whole, err := dump(w.store)
	must(t, err)
	checkRestored(t, w, to, whole)
	w.close(t)
}

func keyOfSubject(t testing.TB, w *world, s event.SubjectID) event.KeyID {
	t.Helper()
	k, _, err := w.log.AssignedKey(t.Context(), s)
	must(t, err)
	return k
}

// tree lists all files under a folder with their bytes.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

// Any byte of a backup that is another, any cut, and anything put behind it is
// refused, and nothing appears where it was to be restored.
func TestDamagedBackup(t *testing.T) {
	w := onDisk(t, 40)
	log, keys := w.backed(t)
	w.close(t)
	good, err := os.ReadFile(log)
	must(t, err)
	goodKeys, err := os.ReadFile(keys)
	must(t, err)
	dir := t.TempDir()
	refused := func(what string, l, k []byte) {
		t.Helper()
		from, keysFrom, to := filepath.Join(dir, "log.tar"), filepath.Join(dir, "keys.tar"), filepath.Join(dir, "to", "data")
		must(t, os.WriteFile(from, l, 0o600))
		must(t, os.WriteFile(keysFrom, k, 0o600))
		_, err := Restore(t.Context(), RestoreOptions{From: from, KeysFrom: keysFrom, To: to, Register: w.l.Register})
		if !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "to")); len(left) > 0 {
			t.Fatalf("%s: %v is left, %v", what, left, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		for name, file := range map[string][]byte{"log": good, "keys": goodKeys} {
			at := r.IntN(len(file))
			bad := bytes.Clone(file)
			bad[at] ^= 1 << r.IntN(8)
			cut := file[:r.IntN(len(file)-1536)] // what follows is the padding of the archive
			if name == "log" {
				if !bytes.Equal(bytes.TrimRight(bad, "\x00"), bytes.TrimRight(good, "\x00")) && significant(bad, good) {
					refused(fmt.Sprintf("log, byte %d", at), bad, goodKeys)
				}
				refused(fmt.Sprintf("log, cut to %d", len(cut)), cut, goodKeys)
				continue
			}
			if significant(bad, goodKeys) {
				refused(fmt.Sprintf("keys, byte %d", at), good, bad)
			}
			refused(fmt.Sprintf("keys, cut to %d", len(cut)), good, cut)
		}
	}
	refused("the keys for the log", goodKeys, goodKeys)
	refused("the log for the keys", good, good)
	refused("nothing", nil, goodKeys)
}

// significant reports whether two archives differ in what they say: not only in
// padding, which nobody reads.
func significant(a, b []byte) bool {
	say := func(file []byte) string {
		var out strings.Builder
		_, sums, err := readArchive(context.Background(), bytes.NewReader(file), nil, func(_ Manifest, name string, in io.Reader) error {
			body, err := io.ReadAll(in)
			fmt.Fprintf(&out, "%s %x\n", name, body)
			return err
		})
		if err != nil {
			return err.Error()
		}
		return out.String() + string(sums)
	}
	return say(a) != say(b)
}

// A backup is never written over anything, never leaves a file under its name
// that is not whole, and never mixes log and keys; nor does a restore touch a
// folder that is not empty.
func TestBackupRefusals(t *testing.T) {
	w := onDisk(t, 30)
	log, keys := w.backed(t)
	w.close(t)
	other := onDisk(t, 20)
	otherLog, otherKeys := other.backed(t)
	other.close(t)
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/taken", []byte("mine"), 0o600))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"over a file":             errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/taken"})),
		"keys over a file":        errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/new.tar", KeysTo: dir + "/taken"})),
		"one file for both":       errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/new.tar", KeysTo: dir + "/./new.tar"})),
		"into no folder":          errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/none/new.tar"})),
		"another log's key":       errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/new.tar", Verify: true, VerifyOptions: VerifyOptions{Key: other.signer.VerifierKey()}})),
		"stopped":                 errOf(Backup(ended, w.l, BackupOptions{To: dir + "/new.tar"})),
		"no log":                  errOf(Backup(t.Context(), DefaultLayout(dir), BackupOptions{To: dir + "/new.tar"})),
		"into a folder with data": errOf(Restore(t.Context(), RestoreOptions{From: log, To: w.l.Dir})),
		"onto a file":             errOf(Restore(t.Context(), RestoreOptions{From: log, To: dir + "/taken"})),
		"another log's keys":      errOf(Restore(t.Context(), RestoreOptions{From: log, KeysFrom: otherKeys, To: dir + "/new"})),
		"another root key":        errOf(Restore(t.Context(), RestoreOptions{From: log, KeysFrom: keys, RootKey: other.l.Root, To: dir + "/new"})),
		"another log's key, too":  errOf(Restore(t.Context(), RestoreOptions{From: otherLog, To: dir + "/new", VerifyOptions: VerifyOptions{Key: w.signer.VerifierKey()}})),
		"a restore, stopped":      errOf(Restore(ended, RestoreOptions{From: log, KeysFrom: keys, To: dir + "/new"})),
	} {
		if err == nil {
			t.Errorf("%s: not refused", what)
		}
	}
	if got := tree(t, dir); len(got) != 1 || got[dir+"/taken"] != "mine" {
		t.Errorf("what is left: %d files", len(got))
	}
}

func errOf[T any](_ T, err error) error { return err }

// A restored log that is older than the register is not written to; one that is
// all that the register knows is. Without a register nobody adopts a restored
// log by mistake.
func TestRestoreAndRegister(t *testing.T) {
	w := onDisk(t, 40)
	log, keys := w.backed(t)
	if _, out := w.restored(t, log, keys); !strings.Contains(out, "The server may be started") {
		t.Errorf("the newest state: %s", out)
	}
	for i := range 5 {
		w.register(t, 4000+i)
	}
	w.publish(t)
	w.close(t)
	dir, out := w.restored(t, log, keys)
	if !strings.Contains(out, "the log is shorter than the register says") || !strings.Contains(out, "A server will not write to it") {
		t.Errorf("an older state: %s", out)
	}
	store, err := pebblelog.Open(filepath.Join(dir, "log"), pebblelog.Options{})
	must(t, err)
	if _, err := ledger.OpenLog(t.Context(), store, w.signer.Log(), w.reg, eventlog.Options{}); !fault.Is(err, fault.Refused) {
		t.Errorf("opened for writing: %v", err)
	}
	must(t, store.Close())
	alone := filepath.Join(t.TempDir(), "restored")
	if code, out, errs := run(t, "restore", log, "--to", alone, "--quiet"); code != ExitOK || !strings.Contains(out, "no register") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, _ := run(t, "register", "adopt", "--data", alone); code != ExitFound || !strings.Contains(out, "two histories") {
		t.Errorf("adopted without a word: exit code %d, %s", code, out)
	}
	if code, out, _ := run(t, "register", "adopt", "--data", alone, "--force"); code != ExitOK {
		t.Errorf("not adopted: exit code %d, %s", code, out)
	}
	must(t, Admitted(DefaultLayout(alone)))
	must(t, Admitted(DefaultLayout(alone)))
	if _, ok := WasRestored(DefaultLayout(alone)); ok {
		t.Error("the note is there although a server has opened it")
	}
}

// Who was erased after a backup does not come back with it: the list beside the
// register knows. Nor does a backup of the keys that is older than the log's
// pass for a good one.
func TestRestoreErasesAgain(t *testing.T) {
	w := onDisk(t, 40)
	log, keys := w.backed(t)
	ada := w.users[3]
	key := keyOfSubject(t, w, ada)
	w.erase(t, ada)
	p := w.eraser()
	p.List = erasure.NewList(erasure.ListPath(w.l.Register), w.log.ID())
	must(t, p.Resume(t.Context()))
	must(t, p.Resume(t.Context()))
	for i := range 140 {
		w.register(t, 4000+i)
	}
	w.publish(t)
	later, _ := w.backed(t)
	w.close(t)
	dir, out := w.restored(t, log, keys)
	if !strings.Contains(out, "destroyed again") {
		t.Errorf("%s", out)
	}
	restored, err := openKeys(t.Context(), DefaultLayout(dir))
	must(t, err)
	defer restored.Close()
	if _, err := restored.Get(t.Context(), w.log.ID(), key); !fault.Is(err, fault.Erased) {
		t.Errorf("the key of somebody who was erased is back: %v", err)
	}
	if lines, err := os.ReadFile(erasure.ListPath(w.l.Register)); err != nil || bytes.Count(lines, []byte("\n")) != 2 {
		t.Errorf("the list: %v\n%s", err, lines)
	}
	_, err = Restore(t.Context(), RestoreOptions{From: later, KeysFrom: keys, To: filepath.Join(t.TempDir(), "x"), Register: w.l.Register})
	if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "older") {
		t.Errorf("keys that are older than the log: %v", err)
	}
	r, err := Restore(t.Context(), RestoreOptions{From: later, KeysFrom: keys, To: filepath.Join(t.TempDir(), "x"), Register: w.l.Register, OldKeys: true})
	if err != nil || !strings.Contains(r.Keys, "missing") || r.Refused != "" {
		t.Errorf("with --old-keys: %v %+v", err, r)
	}
}

// Killed at random moments, a backup leaves no file under its name, or a whole
// one; a restore leaves no folder, or a whole one. The source is as it was.
func TestBackupKilled(t *testing.T) {
	if args := os.Getenv("OPS_TEST_RUN"); args != "" {
		code, _, errs := run(t, strings.Split(args, "\n")...)
		if code != ExitOK {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		return
	}
	w := onDisk(t, 500)
	w.close(t)
	log, keys := w.backed(t) // without a server
	before := tree(t, w.l.Dir)
	r := rand.New(rand.NewPCG(3, 1))
	whole := map[string]int{}
	for i := range 8 {
		dir := t.TempDir()
		limit := time.Duration(r.IntN(200)) * time.Millisecond
		if i%4 == 3 {
			limit = time.Minute // to its end
		}
		killed(t, limit, "backup", w.l.Dir, "--to", dir+"/log.tar", "--keys-to", dir+"/keys.tar", "--quiet", "--no-verify")
		if exists(dir + "/log.tar") {
			whole["backup"]++
			_, err := Restore(t.Context(), RestoreOptions{From: dir + "/log.tar", KeysFrom: dir + "/keys.tar", To: dir + "/whole", Register: w.l.Register})
			must(t, err)
		}
		if err := errOf(Backup(t.Context(), w.l, BackupOptions{To: dir + "/log.tar"})); err != nil && !(fault.Is(err, fault.Exists) && exists(dir+"/log.tar")) {
			t.Errorf("after the kill: %v", err)
		}
		must(t, os.Mkdir(dir+"/to", 0o700))
		killed(t, limit, "restore", log, "--keys-from", keys, "--to", dir+"/to", "--register", w.l.Register, "--quiet")
		if left, err := os.ReadDir(dir + "/to"); err == nil && len(left) > 0 {
			whole["restore"]++
			if len(left) != 3 { // log, keys.db and the note
				t.Errorf("half a folder: %v", left)
			}
			if r, err := VerifyDir(t.Context(), DefaultLayout(dir+"/to"), VerifyOptions{Key: w.signer.VerifierKey()}); err != nil || r.Verdict != verify.Verified {
				t.Errorf("after the kill: %v\n%s", err, text(r))
			}
		} else if _, err := Restore(t.Context(), RestoreOptions{From: log, KeysFrom: keys, To: dir + "/to", Register: w.l.Register}); err != nil {
			t.Errorf("again after the kill: %v", err)
		}
	}
	if whole["backup"] < 2 || whole["restore"] < 2 || whole["backup"] == 8 && whole["restore"] == 8 {
		t.Fatalf("of 8 each came to their end %v: nothing was tried", whole)
	}
	delete(before, filepath.Join(w.l.Log, "LOCK"))
	after := tree(t, w.l.Dir)
	delete(after, filepath.Join(w.l.Log, "LOCK"))
	if len(before) != len(after) {
		t.Errorf("the source has %d files, had %d", len(after), len(before))
	}
	for path, b := range before {
		if after[path] != b {
			t.Errorf("%s was changed", path)
		}
	}
}

// killed runs a command in a process of its own and kills it after a while.
func killed(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestBackupKilled$")
	c.Env = append(os.Environ(), "OPS_TEST_RUN="+strings.Join(args, "\n"))
	out, err := c.CombinedOutput()
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// A key database is copied, counted and searched beside whoever uses it.
func TestKeysBesideServer(t *testing.T) {
	w := inMemory(t, 20)
	c, err := seal.Copy(t.Context(), w.l.Keys)
	must(t, err)
	n, gone, err := seal.Count(t.Context(), w.l.Keys)
	if err != nil || n != c.Keys || n == 0 || gone != len(c.Destroyed) {
		t.Errorf("%d keys, %d destroyed; the copy has %d and %d: %v", n, gone, c.Keys, len(c.Destroyed), err)
	}
	unknown := event.KeyID{ID: event.NewID()}
	missing, err := seal.Missing(t.Context(), w.l.Keys, []event.KeyID{keyOfSubject(t, w, w.users[0]), unknown})
	if err != nil || !slices.Equal(missing, []event.KeyID{unknown}) {
		t.Errorf("missing: %v %v", missing, err)
	}
	if _, err := seal.Copy(t.Context(), filepath.Join(t.TempDir(), "none")); !fault.Is(err, fault.NotFound) {
		t.Errorf("no file: %v", err)
	}
}
