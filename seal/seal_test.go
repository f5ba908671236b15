package seal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal/kms/file"
)

type registered struct {
	User  event.ID             `event:"user,public,subject,tag=user"`
	Email event.Sealed[string] `event:"email,blind=email,fold"`
	Name  event.Sealed[string] `event:"name"`
}

// assigned stands in for the log's knowledge of keys.
type assigned map[event.SubjectID]event.KeyID

func (a assigned) AssignedKey(_ context.Context, s event.SubjectID) (event.KeyID, event.State, error) {
	if k, ok := a[s]; ok {
		return k, event.Present, nil
	}
	return event.KeyID{}, event.Absent, nil
}

// Generation is the log's own id, as long as it has one generation.
func (a assigned) Generation() event.LogID { return theLog }

var theLog = event.LogID{ID: event.NewID()}

func sealer(t *testing.T, e *engine) (*Sealer, assigned) {
	t.Helper()
	keys := e.open(t)
	a := assigned{}
	s := &Sealer{Log: theLog, Instance: event.SubjectID{ID: event.NewID()}, Assigned: a, Keys: keys,
		Registry: event.NewRegistry([]event.Descriptor{event.Describe[registered]("user.registered", 1, "{actor} registered {name}")})}
	id, _, err := keys.Draw(t.Context(), s.Log)
	if err != nil {
		t.Fatal(err)
	}
	a[s.Instance] = id
	return s, a
}

func register(t *testing.T, s *Sealer, a assigned, user event.ID) *event.Record {
	t.Helper()
	payload := registered{User: user, Email: event.Seal("Ada@Example.org"), Name: event.Seal("Ada Lovelace")}
	c := Context{Subject: event.SubjectID{ID: user}, Sealed: map[string]string{"ip": "192.0.2.7"}}
	drafts, err := s.Seal(t.Context(), event.System, []event.New{{Stream: event.Stream{Kind: "user", ID: user}, Payload: payload}}, c)
	if err != nil {
		t.Fatal(err)
	}
	a[event.SubjectID{ID: user}] = drafts[0].Blocks[0].Key
	at := event.Place{Log: s.Log, Position: 1, Version: 1}
	return drafts[0].Record(at, drafts[0].AppendLeaf(nil, at))
}

// What is sealed opens again, is found by its blind term however it is
// written, and agrees with its commitments.
func TestSealOpens(t *testing.T) { engines(t, testSealOpens) }

func testSealOpens(t *testing.T, e *engine) {
	s, a := sealer(t, e)
	r := register(t, s, a, event.NewID())
	f, err := s.Decode(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Payload.(registered); p.Email.Value != "Ada@Example.org" || p.Name.Value != "Ada Lovelace" {
		t.Fatalf("got %q %q", p.Email.Value, p.Name.Value)
	}
	term, err := s.BlindTerm(t.Context(), "email", "ADA@example.ORG", true)
	if err != nil || !event.OfTerm(term).Matches(r.Type, r.Terms()) {
		t.Fatalf("not found by its e-mail address: %v", err)
	}
	if wrong, err := s.CheckCommitments(t.Context(), r, 0); err != nil || wrong != nil {
		t.Fatalf("commitments: %v %v", wrong, err)
	}
	opened, _ := s.Open(t.Context(), r)
	if c := SealedContext(r, opened); len(c) != 1 || c[0].Text != "192.0.2.7" {
		t.Fatalf("context: %+v", c)
	}
	if bytes.Contains(r.Leaf, []byte("Ada")) {
		t.Fatal("the leaf holds a name in clear")
	}
}

// Each bit of a ciphertext that changes keeps it from opening, and a block
// cannot be moved to another event.
func TestTamperedCiphertext(t *testing.T) { engines(t, testTamperedCiphertext) }

func testTamperedCiphertext(t *testing.T, e *engine) {
	s, a := sealer(t, e)
	r := register(t, s, a, event.NewID())
	ct := r.Ciphertexts[0]
	for i := range len(ct) * 8 {
		ct[i/8] ^= 1 << (i % 8)
		if _, err := s.Open(t.Context(), r); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("bit %d: %v", i, err)
		}
		ct[i/8] ^= 1 << (i % 8)
	}
	r.ID = event.NewID()
	if _, err := s.Open(t.Context(), r); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("opened in another event: %v", err)
	}
}

// A destroyed key reads as erased, after a restart too; its wrapped bytes
// stand in no file.
func TestDestroy(t *testing.T) { engines(t, testDestroy) }

func testDestroy(t *testing.T, e *engine) {
	s, a := sealer(t, e)
	user := event.NewID()
	r := register(t, s, a, user)
	key := r.Blocks[0].Key
	wrapped := wrappedOf(t, s.Keys.(*Keys), s.Log, key)
	if err := s.Keys.(*Keys).Destroy(t.Context(), s.Log, key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, err := s.Decode(t.Context(), r)
		if err != nil || f.Payload.(registered).Email.State != event.Erased {
			t.Fatalf("%v %v", f.Payload, err)
		}
		s.Keys.(*Keys).Close()
		s.Keys = e.open(t)
	}
	if found := holders(t, e.files, wrapped); found != nil {
		t.Fatalf("the wrapped key is still in %v", found)
	}
}

// Another root key is refused by name, and a readable one too.
func TestRootKey(t *testing.T) { engines(t, testRootKey) }

func testRootKey(t *testing.T, e *engine) {
	s, _ := sealer(t, e)
	s.Keys.(*Keys).Close()
	if _, err := OpenKeys(t.Context(), e.where, rootKey(t, e.dir, "other.key")); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("opened under another root key: %v", err)
	}
	os.Chmod(filepath.Join(e.dir, "other.key"), 0o644)
	if _, err := file.Open(filepath.Join(e.dir, "other.key")); !fault.Is(err, fault.Refused) {
		t.Fatalf("took a root key that others may read: %v", err)
	}
}

// The key database is the file that was named, whatever the name holds.
func TestOddPath(t *testing.T) {
	for _, name := range []string{"a#b", "a?b", "a%41b", "a b", "a;b&c=d"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := file.Open(filepath.Join(dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		k, err := OpenKeys(t.Context(), filepath.Join(dir, "keys.db"), root)
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		if info, err := os.Stat(filepath.Join(dir, "keys.db")); err != nil || info.Size() == 0 {
			t.Errorf("in %q there is no key database: %v %v", name, info, err)
		}
	}
}

// A root key that was not written to its end is none: the next start makes
// another one.
func TestRootKeyCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path+".new", []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Open(path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) != 65 {
		t.Fatalf("the root key is %d bytes: %v", len(b), err)
	}
}
