package ledger

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"muniment.dev/cell"
	"muniment.dev/event"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/internal/etcd"
	"muniment.dev/internal/postgres"
)

// place is where a register is, to be opened any number of times, as by several
// servers.
type place struct {
	where  string
	open   func(testing.TB) Register
	damage func(testing.TB, []byte) // writes over what is stored; nil if nobody can
}

func placeAt(where string) *place {
	return &place{where: where, open: func(t testing.TB) Register {
		t.Helper()
		r, err := OpenRegister(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	}}
}

func keptAt(where string) *place {
	p := placeAt(where)
	p.damage = func(t testing.TB, b []byte) {
		t.Helper()
		s, name, err := cell.Open(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		v, err := s.Get(t.Context(), name+registerName)
		if err == nil {
			v.Bytes = b
			_, err = s.Put(t.Context(), v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// registers runs a test on an empty register of each kind.
func registers(t *testing.T, f func(*testing.T, *place)) {
	kinds := map[string]func(*testing.T) *place{
		"memory": func(*testing.T) *place {
			r := &MemoryRegister{}
			return &place{open: func(testing.TB) Register { return r }}
		},
		"file": func(t *testing.T) *place {
			p := placeAt(filepath.Join(t.TempDir(), "register.json"))
			p.damage = func(t testing.TB, b []byte) {
				if err := os.WriteFile(p.where, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return p
		},
		"PostgreSQL": func(t *testing.T) *place { return keptAt(postgres.Shared(t).NewDatabase(t) + "#a/log") },
		"etcd":       func(t *testing.T) *place { return keptAt("etcd://" + etcd.Start(t).Address + "/a/log") },
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, kind(t)) })
	}
}

// A register swaps, is the same to whoever opens it, and refuses whoever does
// not know its state; emptied, it begins anew.
func TestRegisterSwaps(t *testing.T) {
	registers(t, func(t *testing.T, p *place) {
		r := p.open(t)
		if s, err := r.Load(t.Context()); err != nil || !s.IsZero() {
			t.Fatalf("empty: %v %v", s, err)
		}
		if err := r.CompareAndSwap(t.Context(), state(1), state(2)); !fault.Is(err, fault.Conflict) {
			t.Fatalf("swapped what was not there: %v", err)
		}
		last := State{}
		for _, next := range []State{state(1), state(2), state(2), {}, {}, state(3), state(4)} {
			other := p.open(t)
			if err := r.CompareAndSwap(t.Context(), last, next); err != nil {
				t.Fatalf("%v to %v: %v", last.Size, next.Size, err)
			}
			last = next
			if s, err := other.Load(t.Context()); err != nil || s != last {
				t.Fatalf("%v %v", s, err)
			}
			for _, r := range []Register{r, other} {
				if err := r.CompareAndSwap(t.Context(), state(8), state(9)); !fault.Is(err, fault.Conflict) {
					t.Fatalf("swapped a state that is not the present one: %v", err)
				}
			}
			r = other // which knows the state from what it read
		}
	})
}

// Of several that swap the same state at once, through one register or through
// several, one wins, and the others are told that nothing was changed.
func TestRegisterRace(t *testing.T) {
	registers(t, func(t *testing.T, p *place) {
		shared, last := p.open(t), State{}
		for round := range 3 {
			var wins []State
			var mu sync.Mutex
			var wg sync.WaitGroup
			conflicts := 0
			for i := range 16 {
				r, next := shared, state(100*round+i+1)
				if i%2 == 0 {
					r = p.open(t)
				}
				wg.Go(func() {
					err := r.CompareAndSwap(t.Context(), last, next)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						wins = append(wins, next)
					case fault.Is(err, fault.Conflict):
						conflicts++
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if s, err := p.open(t).Load(t.Context()); len(wins) != 1 || conflicts != 15 || err != nil || s != wins[0] {
				t.Fatalf("%d won, %d were refused; it holds %d: %v", len(wins), conflicts, s.Size, err)
			}
			last = wins[0]
		}
	})
}

// What cannot be read as a state is called damaged, and is not written over.
func TestRegisterDamaged(t *testing.T) {
	registers(t, func(t *testing.T, p *place) {
		if p.damage == nil {
			t.Skip("memory is not damaged")
		}
		r := p.open(t)
		if err := r.CompareAndSwap(t.Context(), State{}, state(1)); err != nil {
			t.Fatal(err)
		}
		p.damage(t, []byte("{"))
		if _, err := r.Load(t.Context()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("read as %v", err)
		}
		for _, r := range []Register{r, p.open(t)} {
			if err := r.CompareAndSwap(t.Context(), state(1), state(2)); !fault.Is(err, fault.Corrupt) {
				t.Errorf("swapped: %v", err)
			}
		}
	})
}

// A register file is its user's only.
func TestFileRegisterMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.json")
	if err := NewFileRegister(path).CompareAndSwap(t.Context(), State{}, state(1)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
}

// While commits wait for a standby that is not there, or were cancelled while
// they waited, the outcome of a swap is unknown; swapping again settles it.
func TestRegisterWithoutStandby(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	r := placeAt(c.NewDatabase(t)).open(t)
	if err := r.CompareAndSwap(t.Context(), State{}, state(1)); err != nil {
		t.Fatal(err)
	}
	c.WithoutStandby(t)
	swap := func(old, new State) <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- r.CompareAndSwap(t.Context(), old, new) }()
		return ended
	}
	ended := swap(state(1), state(2))
	c.CancelCommit(t)
	if err := <-ended; !fault.Is(err, fault.Unknown) {
		t.Fatalf("a commit that was cancelled: %v", err)
	}
	now, err := r.Load(t.Context())
	if err != nil || now != state(2) {
		t.Fatalf("what is visible: %v %v", now, err)
	}
	ended = swap(now, state(2))
	c.CancelCommit(t) // it waits again: it is written, not only found
	if err := <-ended; !fault.Is(err, fault.Unknown) {
		t.Fatalf("a state that was only found: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- r.CompareAndSwap(ctx, state(2), state(3)) }()
	c.Await(t, "", "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
	cancel()
	if err := <-given; !fault.Is(err, fault.Unknown) {
		t.Fatalf("whoever gave up waiting: %v", err)
	}
	c.WithStandby(t)
	if now, err = r.Load(t.Context()); err != nil || now != state(3) {
		t.Fatalf("the commit that was waited for no longer: %v %v", now, err)
	}
	if err := r.CompareAndSwap(t.Context(), now, state(3)); err != nil {
		t.Fatalf("it cannot be settled: %v", err)
	}
}

// A register that went away is unavailable, or leaves the outcome open, and is
// there again afterwards with what it had.
func TestRegisterAway(t *testing.T) {
	t.Parallel()
	e := etcd.Start(t)
	r := placeAt("etcd://" + e.Address + "/x").open(t)
	if err := r.CompareAndSwap(t.Context(), State{}, state(1)); err != nil {
		t.Fatal(err)
	}
	e.Kill()
	if _, err := r.Load(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("load: %v", err)
	}
	if err := r.CompareAndSwap(t.Context(), state(1), state(2)); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
		t.Errorf("swap: %v", err)
	}
	e.Start(t)
	if err := r.CompareAndSwap(t.Context(), state(1), state(2)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The register may not be in the log's cluster.
func TestRegisterApart(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	if err := RegisterApart(t.Context(), c.NewDatabase(t), c.NewDatabase(t)); !fault.Is(err, fault.Refused) {
		t.Errorf("one cluster: %v", err)
	}
	if err := RegisterApart(t.Context(), c.NewDatabase(t), postgres.Start(t, postgres.Options{}).DSN("")); err != nil {
		t.Errorf("two clusters: %v", err)
	}
	if all, err := AdviseRegister(t.Context(), c.NewDatabase(t), c.DSN("")); err != nil || len(all) != 1 || !all[0].Serious {
		t.Errorf("advice: %+v %v", all, err)
	}
	for where, n := range map[string]int{"etcd://127.0.0.1:2379": 0, "etcd://db.example.com:2379/x": 1, "etcds://db.example.com:2379/x": 0, "/var/lib/register.json": 0} {
		if all, err := AdviseRegister(t.Context(), where, c.DSN("")); err != nil || len(all) != n {
			t.Errorf("%s: %+v %v", where, all, err)
		}
	}
	if err := RegisterApart(t.Context(), "/var/lib/register.json", c.DSN("")); err != nil {
		t.Errorf("a file: %v", err)
	}
}

// What a register said before a new generation is kept, once and for good, and
// is not the register.
func TestRegisterKeeps(t *testing.T) {
	registers(t, func(t *testing.T, p *place) {
		r := p.open(t)
		k, ok := r.(Keeper)
		if !ok {
			t.Skip("keeps nothing")
		}
		for range 2 {
			if err := k.Keep(t.Context(), state(7)); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := p.open(t).Load(t.Context()); err != nil || !s.IsZero() {
			t.Errorf("the register says %v, %v", s, err)
		}
	})
}

// Nodes that begin at once agree on one log.
func TestAgree(t *testing.T) {
	registers(t, func(t *testing.T, p *place) {
		agreed := make([]event.LogID, 4)
		var wg sync.WaitGroup
		for i := range agreed {
			r := p.open(t)
			wg.Go(func() {
				var err error
				if agreed[i], err = Agree(t.Context(), r, event.LogID{ID: event.NewID()}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range agreed {
			if id != agreed[0] || id.IsZero() {
				t.Fatalf("they agreed on %v", agreed)
			}
		}
		// The log is admitted though it is not there yet.
		if term, err := Admit(t.Context(), memlog.New(), agreed[0], p.open(t)); err != nil || term != 1 {
			t.Errorf("term %d, %v", term, err)
		}
	})
}
