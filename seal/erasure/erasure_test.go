package erasure

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
)

type made struct {
	Instance event.ID             `event:"instance,public,subject"`
	Secret   event.Sealed[string] `event:"secret"`
}

type registered struct {
	User  event.ID             `event:"user,public,subject,tag=user"`
	Email event.Sealed[string] `event:"email,blind=email,fold"`
	Name  event.Sealed[string] `event:"name"`
}

type forgotten struct {
	User event.ID `event:"user,public,tag=user"`
}

// world is a log in memory, keys in a file, and an erasure process over both.
type world struct {
	dir    string
	log    *eventlog.Log
	keys   *seal.Keys
	sealer *seal.Sealer
	p      *Process
	trace  []string
	fail   map[string]error // step -> error to give once
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), fail: map[string]error{}}
	var err error
	w.log, err = eventlog.Open(t.Context(), memlog.New(), event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.log.Close() })
	w.openKeys(t)
	w.sealer = &seal.Sealer{Log: w.log.ID(), Instance: event.SubjectID{ID: event.NewID()}, Assigned: w.log, Keys: w.keys,
		Registry: event.NewRegistry([]event.Descriptor{
			event.Describe[made]("instance.made", 1, "made"),
			event.Describe[registered]("user.registered", 1, "{actor} registered {name}"),
			event.Describe[forgotten]("user.forgotten", 1, "{user} is forgotten"),
		})}
	w.append(t, event.New{Stream: event.Stream{Kind: "instance", ID: w.sealer.Instance.ID}, Payload: made{w.sealer.Instance.ID, event.Seal("x")}})
	w.restart()
	return w
}

func (w *world) openKeys(t *testing.T) {
	t.Helper()
	root, err := file.Open(filepath.Join(w.dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if w.keys, err = seal.OpenKeys(t.Context(), filepath.Join(w.dir, "keys.db"), root); err != nil {
		t.Fatal(err)
	}
	keys := w.keys
	t.Cleanup(func() { keys.Close() })
}

// restart makes a process that remembers nothing.
func (w *world) restart() {
	step := func(name string) error {
		w.trace = append(w.trace, name)
		err := w.fail[name]
		delete(w.fail, name)
		return err
	}
	w.p = &Process{Log: w.log, Keys: destroyer{w, step},
		Registered: func(context.Context, event.Position) error { return step("register") },
		Forget: []Forget{
			{"views", func(context.Context, event.SubjectID) error { return step("views") }},
			{"cache", func(context.Context, event.SubjectID) error { return step("cache") }},
		},
		IsComplete: ByEvent(w.log, "user.forgotten", "user"),
		Complete: func(ctx context.Context, s event.SubjectID) error {
			if err := step("complete"); err != nil {
				return err
			}
			return w.record(ctx, event.New{Stream: event.Stream{Kind: "user", ID: s.ID}, Payload: forgotten{s.ID}})
		},
	}
}

type destroyer struct {
	w    *world
	step func(string) error
}

func (d destroyer) Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error {
	if err := d.step("destroy"); err != nil {
		return err
	}
	return d.w.keys.Destroy(ctx, log, ids...)
}

func (w *world) record(ctx context.Context, events ...event.New) error {
	drafts, err := w.sealer.Seal(ctx, event.System, events, seal.Context{})
	if err != nil {
		return err
	}
	_, err = w.log.Append(ctx, eventlog.Request{Actor: event.System, Command: event.NewID(), Events: drafts})
	return err
}

func (w *world) append(t *testing.T, events ...event.New) {
	t.Helper()
	if err := w.record(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) register(t *testing.T, email string) event.SubjectID {
	t.Helper()
	user := event.NewID()
	w.append(t, event.New{Stream: event.Stream{Kind: "user", ID: user}, Payload: registered{user, event.Seal(email), event.Seal("Canary " + email)}})
	return event.SubjectID{ID: user}
}

func (w *world) erase(t *testing.T, s event.SubjectID) event.KeyID {
	t.Helper()
	key, _, err := w.log.AssignedKey(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	w.append(t, event.New{Stream: event.Stream{Kind: "subject", ID: s.ID}, Payload: event.SubjectErased{Subject: s, Keys: []event.KeyID{key}}})
	return key
}

// secrets lists what must stand nowhere after a subject's erasure.
func (w *world) secrets(t *testing.T, s event.SubjectID, email string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"address": []byte(email), "name": []byte("Canary " + email)}
	for r, err := range w.log.Read(t.Context(), event.OfTerm(event.SubjectTerm(s)), 0) {
		if err != nil {
			t.Fatal(err)
		}
		out["ciphertext"] = bytes.Clone(r.Ciphertexts[0])
		out["blind tag"] = bytes.Clone(r.Blind[0].Value[:])
		out["blind tag in hexadecimal"] = []byte(hex.EncodeToString(r.Blind[0].Value[:]))
		out["key"], out["wrapped key"] = w.key(t, r.Blocks[0].Key)
	}
	if len(out) != 7 {
		t.Fatalf("found only %d secrets", len(out))
	}
	return out
}

func (w *world) key(t *testing.T, id event.KeyID) (key, wrapped []byte) {
	t.Helper()
	k, err := w.keys.Get(t.Context(), w.log.ID(), id)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT wrapped FROM subject_key WHERE id = ?", id.ID[:]).Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	return k[:], wrapped
}

// find names the files under dir that hold any of the secrets.
func find(t *testing.T, dir string, secrets map[string][]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, s := range secrets {
			if bytes.Contains(b, s) {
				found = append(found, name+" in "+d.Name())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// An erasure goes through all its steps in order. Afterwards nothing of the
// person stands in any file or in the log, while others' data is untouched,
// and the tree's root is what it was.
func TestErasure(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.register(t, "ada@canary.example"), w.register(t, "bob@canary.example")
	secrets := w.secrets(t, ada, "ada@canary.example")
	if len(find(t, w.dir, secrets)) == 0 {
		t.Fatal("the search finds nothing even before the erasure")
	}
	key := w.erase(t, ada)
	root := w.log.Mark()
	if got := w.p.Pending(); len(got) != 0 {
		t.Fatalf("pending before anything ran: %v", got)
	}
	if err := w.p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The first "destroy" is that of all erased keys at start-up.
	if got := strings.Join(w.trace, " "); got != "destroy register destroy views cache complete" {
		t.Fatalf("steps: %s", got)
	}
	if st, ok := w.p.Status(ada); !ok || st.Step != Completed || st.Position != root.Size || st.Records != 1 {
		t.Fatalf("status: %+v", st)
	}
	if found := find(t, w.dir, secrets); found != nil {
		t.Fatalf("still there: %v", found)
	}
	if _, err := w.keys.Get(t.Context(), w.log.ID(), key); !fault.Is(err, fault.Erased) {
		t.Fatalf("key: %v", err)
	}
	for r, err := range w.log.Read(t.Context(), event.OfTerm(event.TypeTerm("user.registered")), 0) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.sealer.Decode(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		name := f.Payload.(registered).Name
		mine := r.Blocks[0].Subject == ada
		if mine && (name.State != event.Erased || r.Ciphertexts[0] != nil || len(r.Blind) != 0) || !mine && name.Value != "Canary bob@canary.example" {
			t.Fatalf("position %d: %v", r.Position, name)
		}
	}
	if term, err := w.sealer.BlindTerm(t.Context(), "email", "ada@canary.example", true); err != nil {
		t.Fatal(err)
	} else {
		for r := range w.log.Read(t.Context(), event.OfTerm(term), 0) {
			t.Fatalf("found by the erased address at position %d", r.Position)
		}
	}
	_ = bob
}

// Whatever step fails, with whatever had been done before, a new process
// finishes; the completion is reported once.
func TestErasureIsResumed(t *testing.T) {
	for _, step := range []string{"register", "destroy", "views", "cache", "complete"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			ada := w.register(t, "ada@canary.example")
			secrets := w.secrets(t, ada, "ada@canary.example")
			w.erase(t, ada)
			w.fail[step] = errors.New("injected")
			if err := w.p.Resume(t.Context()); err == nil {
				t.Fatal("the failure was swallowed")
			}
			if st, ok := w.p.Status(ada); step != "destroy" && (!ok || st.Step == Completed || st.Err == nil || len(w.p.Pending()) != 1) {
				t.Fatalf("status: %+v", st)
			}
			w.restart()
			if err := w.p.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := w.p.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if found := find(t, w.dir, secrets); found != nil || len(w.p.Pending()) != 0 {
				t.Fatalf("still there: %v", found)
			}
			reports := 0
			for range w.log.Read(t.Context(), event.OfTerm(event.TypeTerm("user.forgotten")), 0) {
				reports++
			}
			if reports != 1 {
				t.Fatalf("%d completions", reports)
			}
		})
	}
}

// A key that a restored key database brings back after its erasure is
// destroyed again at the next start.
func TestRestoredKeysAreDestroyedAgain(t *testing.T) {
	w := newWorld(t)
	ada := w.register(t, "ada@canary.example")
	path := filepath.Join(w.dir, "keys.db")
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := w.erase(t, ada)
	if err := w.p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.keys.Close()
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	w.openKeys(t)
	if _, err := w.keys.Get(t.Context(), w.log.ID(), key); err != nil {
		t.Fatalf("the backup does not bring the key back: %v", err)
	}
	w.restart()
	if err := w.p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Get(t.Context(), w.log.ID(), key); !fault.Is(err, fault.Erased) {
		t.Fatalf("the key is back: %v", err)
	}
	if slices.Contains(w.trace[len(w.trace)-1:], "complete") {
		t.Fatal("completed twice")
	}
}

// Run carries out what is recorded while it runs, and tries again what fails.
func TestRun(t *testing.T) {
	w := newWorld(t)
	users := []event.SubjectID{w.register(t, "a@canary.example"), w.register(t, "b@canary.example"), w.register(t, "c@canary.example")}
	w.fail["views"] = errors.New("injected")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.p.Run(ctx) }()
	for _, u := range users {
		w.erase(t, u)
	}
	for _, u := range users {
		wait, stop := context.WithTimeout(ctx, 10*time.Second)
		if err := w.p.Wait(wait, u); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
