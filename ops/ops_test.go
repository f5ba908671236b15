package ops

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
	"muniment.dev/seal/kms/file"
)

type created struct {
	Instance event.ID             `event:"instance,public,subject"`
	Secret   event.Sealed[string] `event:"secret"`
}

type registered struct {
	User  event.ID             `event:"user,public,subject,tag=user"`
	Email event.Sealed[string] `event:"email,blind=email,fold"`
	Name  event.Sealed[string] `event:"name"`
}

type locked struct {
	User event.ID `event:"user,public,tag=user"`
}

type forgotten struct {
	User event.ID `event:"user,public,tag=user"`
}

// world is a log of a realistic kind in some store, with keys, register and
// checkpoints, in the default layout of a folder.
type world struct {
	l      Layout
	store  eventlog.Store
	log    *eventlog.Log
	keys   *seal.Keys
	sealer *seal.Sealer
	signer *ledger.Signer
	reg    *ledger.FileRegister
	users  []event.SubjectID
	closed bool
}

// newWorld makes a log of n records or a few more: people who register, are
// locked and sign in; a checkpoint after every seventh of them; one erased, and
// one whose erasure is not carried out yet.
func newWorld(t testing.TB, dir string, store eventlog.Store, n int) *world {
	t.Helper()
	w := &world{l: DefaultLayout(dir), store: store}
	id := event.LogID{ID: event.NewID()}
	w.reg = ledger.NewFileRegister(w.l.Register)
	ctx := context.Background()
	var err error
	w.log, err = ledger.OpenLog(ctx, store, id, w.reg, eventlog.Options{})
	must(t, err)
	root, err := file.Open(w.l.Root)
	must(t, err)
	w.keys, err = seal.OpenKeys(ctx, w.l.Keys, root)
	must(t, err)
	secret, _, err := ledger.GenerateKey("id.example", id)
	must(t, err)
	w.signer, err = ledger.NewSigner(secret)
	must(t, err)
	w.sealer = &seal.Sealer{Log: id, Instance: event.SubjectID{ID: event.NewID()}, Assigned: w.log, Keys: w.keys,
		Registry: event.NewRegistry([]event.Descriptor{
			event.Describe[created]("instance.created", 1, "{actor} created the instance"),
			event.Describe[registered]("user.registered", 1, "{actor} registered {name}"),
			event.Describe[locked]("user.locked", 1, "{actor} locked {user}"),
			event.Describe[forgotten]("user.erasure.completed", 1, "the erasure of {user} is complete"),
		})}
	w.record(t, event.New{Stream: event.Stream{Kind: "instance", ID: w.sealer.Instance.ID}, Payload: created{w.sealer.Instance.ID, event.Seal(secret)}})
	w.publish(t)
	for i := 0; w.log.Mark().Size < event.Position(n); i++ {
		w.register(t, i)
		if i%7 == 3 {
			w.publish(t)
		}
		if i == 5 {
			w.erase(t, w.users[1])
			must(t, w.eraser().Resume(ctx))
		}
		if i == 8 {
			w.erase(t, w.users[6])
		}
	}
	w.publish(t)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) record(t testing.TB, events ...event.New) {
	t.Helper()
	must(t, w.tryRecord(context.Background(), events...))
}

func (w *world) tryRecord(ctx context.Context, events ...event.New) error {
	c := seal.Context{Public: map[string]any{"source": "test"}}
	if p, ok := events[0].Payload.(registered); ok {
		c.Subject, c.Sealed = event.SubjectID{ID: p.User}, map[string]string{"ip": "192.0.2.7"}
	}
	drafts, err := w.sealer.Seal(ctx, event.System, events, c)
	if err != nil {
		return err
	}
	_, err = w.log.Append(ctx, eventlog.Request{Actor: event.System, Command: event.NewID(), Events: drafts})
	return err
}

func email(i int) string { return fmt.Sprintf("Person%d@Canary.example", i) }

func (w *world) register(t testing.TB, i int) {
	t.Helper()
	id := event.NewID()
	stream := event.Stream{Kind: "user", ID: id}
	w.users = append(w.users, event.SubjectID{ID: id})
	w.record(t, event.New{Stream: stream, Payload: registered{id, event.Seal(email(i)), event.Seal(fmt.Sprintf("Canary Name %d", i))}})
	w.record(t, event.New{Stream: stream, Payload: locked{id}})
}

func (w *world) erase(t testing.TB, s event.SubjectID) {
	t.Helper()
	key, _, err := w.log.AssignedKey(context.Background(), s)
	must(t, err)
	w.record(t, event.New{Stream: event.Stream{Kind: "subject", ID: s.ID}, Payload: event.SubjectErased{Subject: s, Keys: []event.KeyID{key}}})
}

func (w *world) eraser() *erasure.Process {
	return &erasure.Process{Log: w.log, Keys: w.keys,
		Registered: func(context.Context, event.Position) error { return nil },
		IsComplete: erasure.ByEvent(w.log, "user.erasure.completed", "user"),
		Complete: func(ctx context.Context, s event.SubjectID) error {
			return w.tryRecord(ctx, event.New{Stream: event.Stream{Kind: "user", ID: s.ID}, Payload: forgotten{s.ID}})
		}}
}

// publish has one checkpoint signed, of the log as it is.
func (w *world) publish(t testing.TB) ledger.Checkpoint {
	t.Helper()
	p, err := ledger.StartPublisher(context.Background(), w.log, w.signer, w.reg, ledger.PublisherOptions{})
	must(t, err)
	must(t, p.Close())
	return p.Latest()
}

// close stops everything but a store in memory.
func (w *world) close(t testing.TB) {
	t.Helper()
	must(t, w.log.Close())
	must(t, w.keys.Close())
	must(t, w.store.Close())
	w.closed = true
}

func (w *world) verify(t testing.TB, o VerifyOptions) *Report {
	t.Helper()
	r, err := Verify(context.Background(), w.store, o)
	must(t, err)
	return r
}

func inMemory(t testing.TB, n int) *world { return newWorld(t, t.TempDir(), memlog.New(), n) }

func onDisk(t testing.TB, n int) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := pebblelog.Open(filepath.Join(dir, "log"), pebblelog.Options{Cache: 8 << 20})
	must(t, err)
	return newWorld(t, dir, store, n)
}

// run runs a command as the command line would.
func run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	for _, c := range append(Commands(), ProgramCommands(Program{})...) {
		if c.Name == args[0] {
			code = c.Run(context.Background(), args[1:], &out, &errs)
			return code, out.String(), errs.String()
		}
	}
	t.Fatalf("no command %q", args[0])
	return 0, "", ""
}

func text(r *Report) string {
	var b strings.Builder
	r.WriteText(&b)
	return b.String()
}

// A sound log is verified with the key, and only with it; each kind of thing
// in it was looked at.
func TestVerifySound(t *testing.T) {
	for name, w := range map[string]*world{"memory": inMemory(t, 100), "disk": onDisk(t, 700)} {
		t.Run(name, func(t *testing.T) {
			defer w.close(t)
			full := VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg, Keys: w.keys}
			r := w.verify(t, full)
			if r.Verdict != verify.Verified || r.Signed != r.Size || r.Size < 100 || r.Opened == 0 || r.Commitments == 0 || r.Postings == 0 || r.Checkpoints < 3 {
				t.Fatalf("%s", text(r))
			}
			if len(r.Erasures) != 2 || r.Erasures[0].Pending() || !r.Erasures[1].Pending() || r.Erased == 0 || r.Pending == 0 {
				t.Fatalf("a pending erasure is not told from a complete one:\n%s", text(r))
			}
			if s := text(r); !strings.HasPrefix(s, "VERIFIED: ") || !strings.Contains(s, "1 complete, 1 pending") {
				t.Fatalf("%s", s)
			}
			r = w.verify(t, VerifyOptions{})
			if r.Verdict != verify.Consistent || strings.Contains(text(r), "VERIFIED") {
				t.Fatalf("%s", text(r))
			}
			must(t, w.eraser().Resume(t.Context()))
			if r := w.verify(t, full); r.Verdict != verify.Verified || r.Pending != 0 || r.Erasures[1].Pending() {
				t.Fatalf("after carrying out the erasure:\n%s", text(r))
			}
		})
	}
}

// The keys of another log, another log's checkpoint and register, and things
// that are none of these, verify nothing.
func TestVerifyAgainstOthers(t *testing.T) {
	w, other := inMemory(t, 30), inMemory(t, 10)
	if r := w.verify(t, VerifyOptions{Key: other.signer.VerifierKey()}); r.Verdict != verify.Failed {
		t.Errorf("key of another log: %s", text(r))
	}
	if r := w.verify(t, VerifyOptions{Register: other.reg}); r.Verdict != verify.Failed {
		t.Errorf("register of another log: %s", text(r))
	}
	if r := w.verify(t, VerifyOptions{Checkpoint: other.publish(t).Note}); r.Verdict != verify.Failed {
		t.Errorf("checkpoint of another log: %s", text(r))
	}
	twin, _, _ := ledger.GenerateKey("id.example", w.log.ID())
	impostor, _ := ledger.NewSigner(twin)
	if r := w.verify(t, VerifyOptions{Key: impostor.VerifierKey()}); r.Verdict != verify.Failed {
		t.Errorf("another key under the same name: %s", text(r))
	}
	for _, bad := range []VerifyOptions{{Key: "nonsense"}, {Key: w.signer.VerifierKey() + "x"}, {Checkpoint: []byte("nonsense")}} {
		if r, err := Verify(t.Context(), w.store, bad); err == nil {
			t.Errorf("%+v: %s", bad, text(r))
		}
	}
}

// The commands say what they did in words and exit codes: 0 sound, 1 found
// something, 2 could not look.
func TestCommands(t *testing.T) {
	w := onDisk(t, 40)
	w.close(t)
	dir, key := w.l.Dir, w.signer.VerifierKey()
	expect := func(want int, say string, args ...string) string {
		t.Helper()
		code, out, errs := run(t, args...)
		if code != want || !strings.Contains(out+errs, say) {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	expect(0, "VERIFIED: ", "verify", dir, "--key", key, "--open")
	expect(0, "not verified", "verify", dir)
	expect(0, `"verdict": "verified"`, "verify", dir, "--key", key, "--json", "--quiet")
	keyFile := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(keyFile, []byte(key+"\n"), 0o600))
	expect(0, "VERIFIED: ", "verify", "--key", keyFile, dir)
	expect(2, "neither a public key", "verify", dir, "--key", "nosuchfile")
	expect(2, "there is no data directory", "verify", dir+"x")
	expect(2, "unknown flag", "verify", dir, "--ke", key)
	expect(2, "there is no log store", "verify", t.TempDir())
	receipt := filepath.Join(t.TempDir(), "receipt.json")
	expect(0, "", "receipt", "2", "--data", dir, "--out", receipt, "--disclose", "/email", "--disclose", "#context/ip")
	out := expect(0, "VERIFIED: ", "verify-receipt", receipt, "--key", key)
	if !strings.Contains(out, email(0)) || !strings.Contains(out, "192.0.2.7") || strings.Contains(out, "Canary Name") {
		t.Fatalf("%s", out)
	}
	expect(0, "not verified", "verify-receipt", receipt)
	expect(2, "must not exist", "receipt", "2", "--data", dir, "--out", receipt)
	expect(2, "there is no record 4000", "receipt", "4000", "--data", dir)
	expect(2, "there is no record 0", "receipt", "0", "--data", dir)
	expect(2, "no sealed field", "receipt", "2", "--data", dir, "--disclose", "/nothing")
	b, err := os.ReadFile(receipt)
	must(t, err)
	must(t, os.WriteFile(receipt, bytes.Replace(b, []byte("index 1"), []byte("index 2"), 1), 0o600))
	expect(1, "FAILED", "verify-receipt", receipt, "--key", key)
	expect(0, "continues", "register", "show", "--data", dir)
	expect(0, "VERIFIED: ", "verify", dir, "--key", key) // nothing above changed anything
}

// A store without a log cannot be checked; an empty log is sound, and has
// nothing to verify.
func TestVerifyEmpty(t *testing.T) {
	store := memlog.New()
	if _, err := Verify(t.Context(), store, VerifyOptions{}); !fault.Is(err, fault.NotFound) {
		t.Fatalf("no log: %v", err)
	}
	reg := &ledger.MemoryRegister{}
	l, err := ledger.OpenLog(t.Context(), store, event.LogID{ID: event.NewID()}, reg, eventlog.Options{})
	must(t, err)
	defer l.Close()
	r, err := Verify(t.Context(), store, VerifyOptions{Register: reg})
	if err != nil || r.Verdict != verify.Consistent || r.Size != 0 {
		t.Fatalf("empty log: %v\n%s", err, text(r))
	}
}
