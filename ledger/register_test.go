package ledger

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

func state(n int) State {
	s := State{Log: event.LogID{ID: event.MustID("0123456789abcdef0123456789abcdef")}, Term: 1, Tree: Tree{Size: event.Position(n)}}
	s.Root[0] = byte(n)
	return s
}

// Every other byte sequence than the one written is refused, above all each
// single flipped bit.
func TestRegisterFileStrict(t *testing.T) {
	good := formatState(state(7))
	if s, err := parseState(good); err != nil || s != state(7) {
		t.Fatalf("%v %v", s, err)
	}
	for i := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		if s, err := parseState(bad); err == nil && s == state(7) {
			t.Fatalf("bit %d: read as if nothing had happened", i)
		}
	}
	for _, bad := range []string{"", "{}", string(good) + " ", string(good) + string(good), strings.ToUpper(string(good)),
		strings.Replace(string(good), `"size"`, `"size": 7, "size"`, 1), strings.Replace(string(good), "v1", "v2", 1),
		string(good[:len(good)-2]), "null", "[]", strings.Replace(string(good), ": 7", ": 7.0", 1), strings.Replace(string(good), ": 7", ": -7", 1)} {
		if _, err := parseState([]byte(bad)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzRegisterFile(f *testing.F) {
	f.Add(formatState(state(7)))
	f.Add([]byte(`{"format":"muniment.dev/register/v1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseState(b); err == nil && string(formatState(s)) != string(b) {
			t.Fatalf("%q reads as %v, which is written %q", b, s, formatState(s))
		}
	})
}

// memDisk is a disk in memory that forgets what was not synced when it crashes,
// and fails at a chosen step, before or after doing it.
type memDisk struct {
	fs   *vfs.MemFS
	step int  // counts down; the step at which it fails
	kept bool // the failing step is done nevertheless
}

var errDisk = errors.New("injected")

func (d *memDisk) effect(do func() error) error {
	d.step--
	if d.step == 0 && !d.kept {
		return errDisk
	}
	if err := do(); err != nil {
		return err
	}
	if d.step == 0 {
		return errDisk
	}
	return nil
}

func (d *memDisk) Lock(name string) (io.Closer, error) { return d.fs.Lock(name) }

func (d *memDisk) ReadFile(name string) ([]byte, error) {
	f, err := d.fs.Open(name)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fs.ErrNotExist
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (d *memDisk) WriteFile(name string, b []byte) error {
	var f vfs.File
	err := d.effect(func() (err error) { f, err = d.fs.Create(name, vfs.WriteCategoryUnspecified); return err })
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.effect(func() error { _, err := f.Write(b[:len(b)/2]); return err }); err != nil {
		return err
	}
	if err := d.effect(func() error { _, err := f.Write(b[len(b)/2:]); return err }); err != nil {
		return err
	}
	return d.effect(f.Sync)
}

func (d *memDisk) Rename(old, new string) error {
	if err := d.effect(func() error { return d.fs.Rename(old, new) }); err != nil {
		return err
	}
	return d.syncFolder()
}

func (d *memDisk) Remove(name string) error {
	remove := func() error {
		if err := d.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := d.effect(remove); err != nil {
		return err
	}
	return d.syncFolder()
}

func (d *memDisk) syncFolder() error {
	return d.effect(func() error {
		dir, err := d.fs.OpenDir("/")
		if err != nil {
			return err
		}
		defer dir.Close()
		return dir.Sync()
	})
}

// At each step of a swap the disk fails (and the step is done, or not), then
// the machine crashes, losing all or none of what was not synced. What comes
// back is the old state or the new one, readable; the new one for certain if
// the swap had succeeded, the old one for certain if it said that nothing had
// changed. And a second swap settles an unknown outcome.
func TestRegisterCrash(t *testing.T) {
	for _, old := range []State{{}, state(1)} {
		for _, new := range []State{state(2), {}} {
			if old == new {
				continue
			}
			for step := range 10 { // step 0 never fails
				for _, kept := range []bool{false, true} {
					for _, survives := range []int{0, 50, 100} {
						crash(t, old, new, step, kept, survives)
					}
				}
			}
		}
	}
}

func crash(t *testing.T, old, new State, step int, kept bool, survives int) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	d := &memDisk{fs: mem}
	r := &FileRegister{path: "/register.json", disk: d}
	if !old.IsZero() {
		if err := r.CompareAndSwap(t.Context(), State{}, old); err != nil {
			t.Fatal(err)
		}
	}
	d.step, d.kept = step, kept
	err := r.CompareAndSwap(t.Context(), old, new)
	for seed := range uint64(3) {
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: seeded(seed)})
		after := &FileRegister{path: "/register.json", disk: &memDisk{fs: clone}}
		got, loadErr := after.Load(t.Context())
		switch {
		case loadErr != nil:
			t.Fatalf("step %d kept %v: unreadable after the crash: %v", step, kept, loadErr)
		case err == nil && got != new:
			t.Fatalf("step %d kept %v: acknowledged and lost", step, kept)
		case err != nil && !fault.Is(err, fault.Unknown) && got != old:
			t.Fatalf("step %d kept %v: changed although it said not (%v)", step, kept, err)
		case got != old && got != new:
			t.Fatalf("step %d kept %v: neither old nor new: %v", step, kept, got)
		}
		if err := after.CompareAndSwap(t.Context(), got, new); err != nil {
			t.Fatalf("step %d kept %v: not usable after the crash: %v", step, kept, err)
		}
	}
	if now, loadErr := r.Load(t.Context()); fault.Is(err, fault.Unknown) && (loadErr != nil || r.CompareAndSwap(t.Context(), now, new) != nil) {
		t.Fatalf("step %d kept %v: an unknown outcome cannot be settled", step, kept)
	}
}

// Admit refuses whatever does not continue the register, and adopting makes it
// admissible.
func TestAdmit(t *testing.T) {
	l, _ := testLog(t, 300)
	head, _ := l.Store().Head(t.Context(), l.ID())
	at := func(size event.Position) State {
		root, err := NewProver(l.Store(), l.ID()).Root(t.Context(), size, Tree{head.Size, head.Root()})
		if err != nil {
			t.Fatal(err)
		}
		return State{Log: l.ID(), Term: 41, Tree: Tree{size, root}}
	}
	forked, other, longer := at(200), at(200), at(300)
	forked.Root[5] ^= 1
	other.Log.ID[0] ^= 1
	longer.Size++
	cases := []struct {
		name string
		reg  State
		want error
	}{
		{"same", at(300), nil}, {"shorter register", at(1), nil}, {"new register", at(0), nil},
		{"no register", State{}, ErrNoRegister}, {"other log", other, ErrOtherLog},
		{"longer register", longer, ErrRolledBack}, {"forked", forked, ErrForked},
	}
	for _, c := range cases {
		reg := &MemoryRegister{state: c.reg}
		term, err := Admit(t.Context(), l.Store(), l.ID(), reg)
		if !refusedAs(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && term != 42 {
			t.Errorf("%s: term %d", c.name, term)
		}
		if err != nil && !strings.Contains(err.Error(), "muniment register adopt") {
			t.Errorf("%s: does not say what to do: %v", c.name, err)
		}
		old, new, err := Adopt(t.Context(), l.Store(), l.ID(), reg)
		if err != nil || old != c.reg || new.Tree != at(300).Tree || new.Log != l.ID() {
			t.Errorf("%s: adopt: %v", c.name, err)
		}
		if _, err := Admit(t.Context(), l.Store(), l.ID(), reg); err != nil {
			t.Errorf("%s: not admitted after adopting: %v", c.name, err)
		}
	}
}

func refusedAs(err, want error) bool {
	var got, wanted *fault.Error
	if want == nil || err == nil {
		return err == nil && want == nil
	}
	return errors.As(err, &got) && errors.As(want, &wanted) && got.Kind == fault.Refused && got.Msg == wanted.Msg
}

// Opening a log notes its term before the first record, so that a start that
// was interrupted anywhere can be repeated; each opening takes a higher term
// than the store and the register know.
func TestOpenLog(t *testing.T) {
	store, reg, id := memlog.New(), &MemoryRegister{}, event.LogID{ID: event.NewID()}
	for i := range 3 {
		l, err := OpenLog(t.Context(), store, id, reg, eventlog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if reg.state.Log != id || reg.state.Term != l.Mark().Term {
			t.Fatalf("the register holds %+v, the log has term %d", reg.state, l.Mark().Term)
		}
		if i == 1 {
			reg.state.Term += 10 // as if another store's copy had been opened
		}
		grow(t, l, 2) // and the process ends before anything is published
		l.Close()
	}
	if h, _ := store.Head(t.Context(), id); h.Term < 13 || h.Size != 6 {
		t.Fatalf("term %d, size %d", h.Term, h.Size)
	}
	failing := &counting{fail: func(int) (bool, error) { return false, fault.New(fault.Unknown, "injected") }}
	if _, err := OpenLog(t.Context(), memlog.New(), id, failing, eventlog.Options{}); !fault.Is(err, fault.Unknown) {
		t.Fatalf("opened without the register: %v", err)
	}
	reg.state.Size = 100
	if _, err := OpenLog(t.Context(), store, id, reg, eventlog.Options{}); !refusedAs(err, ErrRolledBack) {
		t.Fatalf("%v", err)
	}
	if h, _ := store.Head(t.Context(), id); h.Term > 13 {
		t.Fatalf("a log that was refused was taken: term %d", h.Term)
	}
}

// The first start has neither log nor register; a register without its log
// waits for a person, whose adopting empties it.
func TestAdmitWithoutLog(t *testing.T) {
	store, reg := memlog.New(), &MemoryRegister{}
	id := event.LogID{ID: event.NewID()}
	if term, err := Admit(t.Context(), store, id, reg); err != nil || term != 1 {
		t.Fatalf("first start: term %d, %v", term, err)
	}
	reg.state = state(5)
	if _, err := Admit(t.Context(), store, id, reg); !refusedAs(err, ErrNoLog) {
		t.Fatalf("register without log: %v", err)
	}
	if _, new, err := Adopt(t.Context(), store, id, reg); err != nil || !new.IsZero() || !reg.state.IsZero() {
		t.Fatalf("adopt: %v", err)
	}
	if _, err := Admit(t.Context(), store, id, reg); err != nil {
		t.Fatal(err)
	}
}

// A register that cannot be read admits nothing.
func TestAdmitDamagedRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.json")
	os.WriteFile(path, []byte("{"), 0o600)
	l, _ := testLog(t, 1)
	if _, err := Admit(context.Background(), l.Store(), l.ID(), NewFileRegister(path)); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("%v", err)
	}
}
