package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// restored is a log of 3 records whose register knows of 5, and a signer.
func restored(t *testing.T, reg Register) (eventlog.Store, event.LogID, *Signer) {
	t.Helper()
	store, id := memlog.New(), event.LogID{ID: event.NewID()}
	l, err := OpenLog(t.Context(), store, id, reg, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := reg.Load(t.Context())
	if err == nil {
		err = reg.CompareAndSwap(t.Context(), old, State{Log: id, Term: old.Term + 4, Tree: Tree{5, event.Hash{5}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := GenerateKey("id.example", id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return store, id, s
}

// breaking is a register that fails its next swap.
type breaking struct {
	Register
	broken bool
}

func (b *breaking) CompareAndSwap(ctx context.Context, old, new State) error {
	if b.broken {
		b.broken = false
		return errors.New("injected")
	}
	return b.Register.CompareAndSwap(ctx, old, new)
}

// A generation that was begun by half is not written to, and is finished by
// beginning it again; no second one is begun. The term goes on from where the
// register's was, so that a server that still holds the log signs nothing more.
func TestBeginInterrupted(t *testing.T) {
	file := NewFileRegister(filepath.Join(t.TempDir(), "register.json"))
	store, id, signer := restored(t, file)
	reg := &breaking{file, true}
	lost, err := signer.Sign(Tree{5, event.Hash{5}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(t.Context(), store, id, reg, string(lost.Note), eventlog.Options{}); err == nil {
		t.Fatal("not interrupted")
	}
	if _, err := OpenLog(t.Context(), store, id, reg, eventlog.Options{}); !errors.Is(err, ErrUnfinished) {
		t.Errorf("opened: %v", err)
	}
	g, err := Begin(t.Context(), store, id, reg, "", eventlog.Options{})
	if err != nil || len(g.List) != 2 || g.Log.Size != 4 {
		t.Fatalf("again: %+v, %v", g, err)
	}
	if state, err := reg.Load(t.Context()); err != nil || state.Log != g.List[1].ID || state.Term < 5 || state.Size != 4 {
		t.Errorf("register: %+v, %v", state, err)
	}
	l, err := OpenLog(t.Context(), store, id, reg, eventlog.Options{})
	if err != nil || l.Generation() != g.List[1].ID {
		t.Fatalf("opened: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(t.Context(), store, id, reg, "", eventlog.Options{}); !errors.Is(err, ErrNothingMissing) {
		t.Errorf("a third: %v", err)
	}
}

// No generation mends what is not a loss: another log's register, records that
// were rewritten, a checkpoint that is not of this log or not of its records.
func TestBeginRefused(t *testing.T) {
	for name, c := range map[string]struct {
		state      func(State) State
		checkpoint func(*Signer) string
		want       error
	}{
		"another log": {state: func(s State) State { s.Log = event.LogID{ID: event.NewID()}; return s }, want: ErrOtherLog},
		"rewritten":   {state: func(s State) State { s.Tree = Tree{2, event.Hash{2}}; return s }, want: ErrForked},
		"no note":     {checkpoint: func(*Signer) string { return "x" }, want: fault.New(fault.Invalid, "")},
		"other's note": {checkpoint: func(s *Signer) string {
			o, _ := s.For(event.LogID{ID: event.NewID()})
			c, _ := o.Sign(Tree{5, event.Hash{5}})
			return string(c.Note)
		}, want: fault.New(fault.Invalid, "")},
		"forked note": {checkpoint: func(s *Signer) string { c, _ := s.Sign(Tree{2, event.Hash{2}}); return string(c.Note) }, want: ErrForked},
	} {
		reg := &MemoryRegister{}
		store, id, signer := restored(t, reg)
		if c.state != nil {
			if err := reg.CompareAndSwap(t.Context(), reg.state, c.state(reg.state)); err != nil {
				t.Fatal(err)
			}
		}
		note := ""
		if c.checkpoint != nil {
			note = c.checkpoint(signer)
		}
		before := reg.state
		if _, err := Begin(t.Context(), store, id, reg, note, eventlog.Options{}); fault.KindOf(err) != fault.KindOf(c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if h, err := store.Head(t.Context(), id); err != nil || h.Size != 3 || reg.state != before {
			t.Errorf("%s: something was changed: %+v, %v", name, h, err)
		}
	}
}

// What the register said before is kept beside it.
func TestFileRegisterKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.json")
	r := NewFileRegister(path)
	for range 2 {
		if err := r.Keep(t.Context(), state(7)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path + "." + state(7).Log.String() + "-7")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := parseState(b); err != nil || s != state(7) {
		t.Errorf("%v, %v", s, err)
	}
}
