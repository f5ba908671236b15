package ops

import (
	"bytes"
	"context"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
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
)

// A log that was rolled back to an older copy is found against the register
// and against a checkpoint that somebody kept; so is one that was grown again
// to the same length or beyond. Without either, it looks sound: that is what
// they are for. And the server does not write to it.
func TestRollBack(t *testing.T) {
	w := onDisk(t, 40)
	key := w.signer.VerifierKey()
	old := filepath.Join(t.TempDir(), "log")
	must(t, w.store.(*pebblelog.Store).Snapshot(old))
	for i := range 10 {
		w.register(t, 2000+i)
	}
	kept := w.publish(t)
	w.close(t)
	for _, grown := range []int{0, 10, 30} {
		dir := t.TempDir()
		copyDir(t, old, filepath.Join(dir, "log"))
		store, err := pebblelog.Open(filepath.Join(dir, "log"), pebblelog.Options{Cache: 8 << 20})
		must(t, err)
		if _, err := ledger.Admit(t.Context(), store, w.signer.Log(), w.reg); grown == 0 && !fault.Is(err, fault.Refused) {
			t.Errorf("the rolled back log is admitted: %v", err)
		}
		regrow(t, w, dir, store, grown)
		if _, err := ledger.Admit(t.Context(), store, w.signer.Log(), w.reg); !fault.Is(err, fault.Refused) {
			t.Errorf("grown by %d: admitted: %v", grown, err)
		}
		if r, err := Verify(t.Context(), store, VerifyOptions{Key: key}); err != nil || r.Verdict != verify.Verified {
			t.Fatalf("grown by %d, held against nothing: %v\n%s", grown, err, text(r))
		}
		for name, o := range map[string]VerifyOptions{"register": {Key: key, Register: w.reg}, "checkpoint": {Key: key, Checkpoint: kept.Note}} {
			r, err := Verify(t.Context(), store, o)
			if err != nil || r.Verdict != verify.Failed || !has(r, verify.Rollback) && !has(r, verify.Fork) {
				t.Errorf("grown by %d, held against the %s: %v\n%s", grown, name, err, text(r))
			}
		}
		must(t, store.Close())
	}
}

func has(r *Report, code verify.Code) bool {
	for _, f := range r.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// regrow appends to a copy of a world's log, with the operator's own key and a
// register of its own, as a dishonest operator would.
func regrow(t *testing.T, w *world, dir string, store eventlog.Store, n int) {
	t.Helper()
	forger := &world{l: DefaultLayout(dir), store: store, signer: w.signer, reg: ledger.NewFileRegister(filepath.Join(dir, "register.json"))}
	if _, _, err := ledger.Adopt(t.Context(), store, w.signer.Log(), forger.reg); err != nil {
		t.Fatal(err)
	}
	var err error
	forger.log, err = ledger.OpenLog(t.Context(), store, w.signer.Log(), forger.reg, eventlog.Options{})
	must(t, err)
	forger.l.Keys, forger.l.Root = w.l.Keys, w.l.Root
	forger.sealer = &seal.Sealer{Log: w.sealer.Log, Instance: w.sealer.Instance, Assigned: forger.log, Keys: w.sealer.Keys, Registry: w.sealer.Registry}
	forger.openKeys(t)
	for i := range n {
		forger.register(t, 3000+i)
	}
	forger.publish(t)
	must(t, forger.log.Close())
	must(t, forger.keys.Close())
}

// Receipts hold for ever: after the log has grown, and after the person was
// erased, with what they disclosed.
func TestReceiptsLast(t *testing.T) {
	w := inMemory(t, 20)
	key := w.signer.VerifierKey()
	var receipts [][]byte
	for p := event.Position(1); p <= w.log.Mark().Size; p++ {
		b, err := Receipt(t.Context(), w.store, event.LogID{}, p, nil)
		must(t, err)
		receipts = append(receipts, b)
	}
	disclosing, err := Receipt(t.Context(), w.store, event.LogID{}, 2, w.keys, "/email", "/name")
	must(t, err)
	root := w.log.Mark()
	for i := range 300 {
		w.register(t, 100+i)
	}
	w.erase(t, w.users[0])
	must(t, w.eraser().Resume(t.Context()))
	w.publish(t)
	for i, b := range receipts {
		if r, err := VerifyReceipt(b, key); err != nil || r.Verdict != verify.Verified || r.Position != uint64(i+1) {
			t.Fatalf("receipt %d: %v", i+1, err)
		}
	}
	r, err := VerifyReceipt(disclosing, key)
	if err != nil || len(r.Disclosed) != 2 || !strings.Contains(string(r.Disclosed[0].Value), email(0)) {
		t.Fatalf("disclosing receipt: %+v %v", r, err)
	}
	if _, err := Receipt(t.Context(), w.store, event.LogID{}, 2, w.keys, "/email"); !fault.Is(err, fault.Erased) {
		t.Fatalf("disclosed after the erasure: %v", err)
	}
	again, err := Receipt(t.Context(), w.store, event.LogID{}, 2, nil)
	if err != nil || !bytes.Equal(again, receipts[1]) {
		t.Fatalf("the receipt without disclosures has changed: %v", err)
	}
	old, err := ledger.NewProver(w.store, w.log.ID()).Root(t.Context(), root.Size, ledger.Tree{Size: w.log.Mark().Size, Root: w.log.Mark().Root})
	if err != nil || old != root.Root {
		t.Fatalf("the erasure changed the tree: %v", err)
	}
}

// A disclosed value that was exchanged, or a salt, is refused.
func TestForgedDisclosure(t *testing.T) {
	w := inMemory(t, 20)
	b, err := Receipt(t.Context(), w.store, event.LogID{}, 2, w.keys, "/email")
	must(t, err)
	i := bytes.Index(b, []byte(`"disclosed"`))
	for _, field := range []string{`"value": "`, `"salt": "`, `"path": "`, `"subject": "`} {
		at := i + bytes.Index(b[i:], []byte(field)) + len(field) + 3
		forged := bytes.Clone(b)
		if forged[at]++; forged[at] == '"' {
			forged[at]++
		}
		if r, err := VerifyReceipt(forged, w.signer.VerifierKey()); err == nil {
			t.Errorf("another %s passes: %+v", field, r.Disclosed)
		}
	}
}

// A record that is under no checkpoint yet has no receipt; that is said.
func TestReceiptTooEarly(t *testing.T) {
	w := inMemory(t, 20)
	w.register(t, 99)
	at := w.log.Mark().Size
	if _, err := Receipt(t.Context(), w.store, event.LogID{}, at, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("%v", err)
	}
	w.publish(t)
	_, err := Receipt(t.Context(), w.store, event.LogID{}, at, nil)
	must(t, err)
}

// After an erasure nothing of the person stands, as bytes, in any file of the
// folder: not the values, the key, its wrapping, the ciphertexts or the blind
// tags. Verify calls what is missing lawful.
func TestErasureLeavesNoBytes(t *testing.T) {
	w := onDisk(t, 60)
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	defer admin.Close()
	dir, release, gone, err := askForSnapshot(t.Context(), w.l) // somebody is verifying
	must(t, err)
	defer release()
	ada := w.users[3]
	secrets := map[string][]byte{"address": []byte(email(3)), "folded address": []byte(strings.ToLower(email(3))), "name": []byte("Canary Name 3")}
	for r, err := range w.log.Read(t.Context(), event.OfTerm(event.SubjectTerm(ada)), 0) {
		must(t, err)
		secrets["ciphertext"] = bytes.Clone(r.Ciphertexts[0])
		secrets["blind tag"] = bytes.Clone(r.Blind[0].Value[:])
		secrets["blind tag in hexadecimal"] = []byte(hex.EncodeToString(r.Blind[0].Value[:]))
		digest := event.BlindTerm(r.Blind[0].Name, r.Blind[0].Version, r.Blind[0].Value).Digest()
		secrets["blind tag in the index"] = digest[:]
		k, err := w.keys.Get(t.Context(), w.log.ID(), r.Blocks[0].Key)
		must(t, err)
		secrets["key"] = k[:]
	}
	if found := find(t, w.l.Dir, secrets); len(found) == 0 {
		t.Fatal("the search finds nothing even before the erasure")
	}
	before := w.log.Mark()
	w.erase(t, ada)
	p := w.eraser()
	p.Forget = append(p.Forget, erasureForget(admin))
	must(t, p.Resume(t.Context()))
	<-gone
	if exists(dir) {
		t.Error("the snapshot outlived the erasure")
	}
	if found := find(t, w.l.Dir, secrets); found != nil {
		t.Fatalf("still there: %v", found)
	}
	w.publish(t)
	r := w.verify(t, VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg, Keys: w.keys})
	if r.Verdict != verify.Verified || r.Erased != 3 || r.Pending != 0 {
		t.Fatalf("%s", text(r))
	}
	root, err := ledger.NewProver(w.store, w.log.ID()).Root(t.Context(), before.Size, ledger.Tree{Size: w.log.Mark().Size, Root: w.log.Mark().Root})
	if err != nil || root != before.Root {
		t.Fatalf("the tree has changed: %v", err)
	}
	w.close(t)
	if found := find(t, w.l.Dir, secrets); found != nil {
		t.Fatalf("there again after closing: %v", found)
	}
}

// find names the files under dir that hold any of the secrets.
func find(t *testing.T, dir string, secrets map[string][]byte) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, s := range secrets {
			if bytes.Contains(b, s) {
				found = append(found, name+" in "+d.Name())
			}
		}
		return err
	}))
	return found
}

// While a server runs, verify and receipt work on snapshots of its store, with
// appends and checkpoints going on; the snapshots go away with whoever asked.
func TestBesideRunningServer(t *testing.T) {
	w := onDisk(t, 60)
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	if info, err := os.Stat(w.l.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if _, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a second server on the same folder: %v", err)
	}
	pub, err := ledger.StartPublisher(t.Context(), w.log, w.signer, w.reg, ledger.PublisherOptions{})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			w.register(t, 5000+i)
		}
	}()
	for range 5 {
		code, out, errs := run(t, "verify", w.l.Dir, "--key", w.signer.VerifierKey(), "--open", "--quiet")
		if code != ExitOK || !strings.HasPrefix(out, "VERIFIED: ") {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
		code, out, errs = run(t, "receipt", "7", "--data", w.l.Dir)
		if r, err := VerifyReceipt([]byte(out), w.signer.VerifierKey()); code != ExitOK || err != nil || r.Position != 7 {
			t.Fatalf("exit code %d: %v\n%s", code, err, errs)
		}
	}
	stop()
	<-done
	left, err := os.ReadDir(w.l.Snapshots)
	for i := 0; len(left) > 0 && i < 500; i++ {
		time.Sleep(10 * time.Millisecond)
		left, err = os.ReadDir(w.l.Snapshots)
	}
	if len(left) != 0 {
		t.Errorf("%d snapshots are left: %v", len(left), err)
	}
	must(t, pub.Close())
	must(t, admin.Close())
	if code, out, errs := run(t, "verify", w.l.Dir); code != ExitUnchecked || !strings.Contains(errs, "another process has this data directory open") {
		t.Fatalf("with a server that answers nobody: exit code %d\n%s%s", code, out, errs)
	}
	w.close(t)
}

// What the admin socket does not understand gets an answer and no snapshot.
func TestAdminRefuses(t *testing.T) {
	l := DefaultLayout(t.TempDir())
	s := &failing{}
	admin, err := ListenAdmin(l, s, nil)
	must(t, err)
	defer admin.Close()
	for _, bad := range []string{"", "\n", "snapshot/2\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 1000)} {
		if got := speak(t, l.Socket, bad); strings.Contains(got, `"dir"`) {
			t.Errorf("%q: %s", bad, got)
		}
	}
	if _, _, _, err := askForSnapshot(t.Context(), l); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("%v", err)
	}
	if s.calls != 1 {
		t.Fatalf("%d snapshots were made", s.calls)
	}
}

type failing struct{ calls int }

func (f *failing) Snapshot(string) error {
	f.calls++
	return fault.New(fault.Unavailable, "the disk is full")
}

// Adopting needs a word more when it gives up records that were registered.
func TestRegisterAdopt(t *testing.T) {
	w := onDisk(t, 40)
	w.close(t)
	longer, err := w.reg.Load(t.Context())
	must(t, err)
	now := longer
	longer.Size += 10
	must(t, w.reg.CompareAndSwap(t.Context(), now, longer))
	expect := func(want int, say string, args ...string) {
		t.Helper()
		if code, out, errs := run(t, args...); code != want || !strings.Contains(out+errs, say) {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	expect(1, "will not write", "register", "show", "--data", w.l.Dir)
	expect(1, "Nothing was changed", "register", "adopt", "--data", w.l.Dir)
	expect(0, "Keep what it said before", "register", "adopt", "--data", w.l.Dir, "--force")
	expect(0, "continues", "register", "show", "--data", w.l.Dir)
	must(t, os.Remove(w.l.Register))
	expect(1, "no register", "register", "show", "--data", w.l.Dir)
	expect(0, "before       none", "register", "adopt", "--data", w.l.Dir)
	expect(0, "nothing was changed", "register", "adopt", "--data", w.l.Dir)
	must(t, os.RemoveAll(w.l.Log))
	expect(1, "not the log", "register", "show", "--data", w.l.Dir)
	expect(0, "now          none", "register", "adopt", "--data", w.l.Dir, "--force")
	must(t, os.WriteFile(w.l.Register, []byte("{}"), 0o600))
	expect(2, "damaged", "register", "adopt", "--data", w.l.Dir, "--force")
}
