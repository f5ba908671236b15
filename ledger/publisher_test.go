package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// testLog is a log in memory with some records and a signer for it.
func testLog(t *testing.T, records int) (*eventlog.Log, *Signer) {
	t.Helper()
	return testLogOn(t, memlog.New(), records)
}

func testLogOn(t *testing.T, store eventlog.Store, records int) (*eventlog.Log, *Signer) {
	t.Helper()
	id := event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(t.Context(), store, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	secret, _, err := GenerateKey("id.example", id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	grow(t, l, records)
	return l, s
}

func grow(t *testing.T, l *eventlog.Log, records int) event.Position {
	t.Helper()
	for done := 0; done < records; {
		var events []*event.Draft
		for range min(100, records-done) {
			events = append(events, &event.Draft{ID: event.NewID(), Stream: event.Stream{Kind: "thing", ID: event.NewID()},
				Type: "thing.happened", Revision: 1, Actor: event.System})
		}
		done += len(events)
		if _, err := l.Append(context.Background(), eventlog.Request{Actor: event.System, Command: event.NewID(), Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	return l.Mark().Size
}

func start(t *testing.T, l *eventlog.Log, s *Signer, reg Register) *Publisher {
	t.Helper()
	p, err := StartPublisher(t.Context(), l, s, reg, PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// opens checks a checkpoint's signature with the public key and nothing else.
func opens(t *testing.T, s *Signer, c Checkpoint) {
	t.Helper()
	v, err := note.NewVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(c.Note, note.VerifierList(v)); err != nil {
		t.Fatal(err)
	}
	cp, err := ParseCheckpoint(c.Note)
	if err != nil || cp.Tree != c.Tree || cp.Log != c.Log {
		t.Fatalf("%+v is not %+v (%v)", cp, c, err)
	}
}

// A checkpoint covers what was appended; while nothing is, none is made; and
// bursts share one at most every 200 ms.
func TestPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := testLog(t, 0)
		reg := &counting{}
		p := start(t, l, s, reg)
		if c := p.Latest(); c.Note != nil {
			t.Fatalf("a checkpoint of nothing: %s", c.Note)
		}
		time.Sleep(time.Hour)
		if reg.swaps != 1 {
			t.Fatalf("%d swaps while idle", reg.swaps)
		}
		began := time.Now()
		for range 50 {
			at := grow(t, l, 3)
			time.Sleep(10 * time.Millisecond)
			if at%30 != 0 {
				continue
			}
			c, err := p.WaitFor(t.Context(), at)
			if err != nil || c.Size < at {
				t.Fatalf("%v %v", c.Size, err)
			}
			opens(t, s, c)
		}
		if limit := 2 + int(time.Since(began)/(200*time.Millisecond)); reg.swaps > limit {
			t.Fatalf("%d swaps in %s", reg.swaps, time.Since(began))
		}
		if reg.state.Tree != p.Latest().Tree {
			t.Fatalf("the register holds %v, the checkpoint says %v", reg.state, p.Latest().Tree)
		}
		at := grow(t, l, 1)
		l2 := l.Store()
		if err := p.Close(); err != nil || p.Latest().Size != at {
			t.Fatalf("the last checkpoint has size %d of %d: %v", p.Latest().Size, at, err)
		}
		var sizes []event.Position
		for c, err := range l2.Checkpoints(t.Context(), l.ID(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, c.Size)
		}
		if len(sizes) != reg.swaps-1 || sizes[len(sizes)-1] != at {
			t.Fatalf("stored: %v", sizes)
		}
		if _, err := p.WaitFor(t.Context(), at+1); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("waiting after the end: %v", err)
		}
	})
}

// counting counts swaps, and can fail them.
type counting struct {
	MemoryRegister
	swaps int
	fail  func(n int) (do bool, err error)
	load  error
}

func (c *counting) CompareAndSwap(ctx context.Context, old, new State) error {
	c.swaps++
	if c.fail != nil {
		if do, err := c.fail(c.swaps); err != nil {
			if do {
				c.MemoryRegister.CompareAndSwap(ctx, old, new)
			}
			return err
		}
	}
	return c.MemoryRegister.CompareAndSwap(ctx, old, new)
}

func (c *counting) Load(ctx context.Context) (State, error) {
	if c.load != nil {
		return State{}, c.load
	}
	return c.MemoryRegister.Load(ctx)
}

// After a swap of unknown outcome nothing is signed until the register can be
// read and swapped again, whether the swap had happened or not; then it goes on.
func TestPublisherUnknownOutcome(t *testing.T) {
	for _, did := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l, s := testLog(t, 10)
			reg := &counting{}
			if _, _, err := Adopt(t.Context(), l.Store(), l.ID(), reg); err != nil {
				t.Fatal(err)
			}
			p := start(t, l, s, reg)
			unknown := fault.New(fault.Unknown, "injected")
			first := reg.swaps + 1
			reg.fail = func(n int) (bool, error) {
				if n == first {
					return did, unknown
				}
				return false, nil
			}
			reg.load = fault.New(fault.Unavailable, "injected")
			at := grow(t, l, 5)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := p.WaitFor(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("published on an unknown outcome: %v", err)
			}
			if err := p.Err(); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("state: %v", err)
			}
			reg.load = nil
			c, err := p.WaitFor(t.Context(), at)
			if err != nil || c.Size != at || reg.state.Size != at {
				t.Fatalf("did not go on: %v", err)
			}
			synctest.Wait()
			if reg.swaps != first+1 || p.Err() != nil {
				t.Fatalf("%d swaps after the unknown one, state %v", reg.swaps-first, p.Err())
			}
			p.Close()
		})
	}
}

// Somebody else's register state, a log that does not continue the register,
// and another holder's term stop the signing for good.
func TestPublisherStops(t *testing.T) {
	spoil := map[string]func(*State){
		"other log":   func(s *State) { s.Log.ID[3] ^= 1 },
		"higher term": func(s *State) { s.Term++ },
		"other root":  func(s *State) { s.Root[3] ^= 1 },
		"longer":      func(s *State) { s.Size++ },
	}
	for name, f := range spoil {
		synctest.Test(t, func(t *testing.T) {
			l, s := testLog(t, 10)
			reg := &counting{}
			Adopt(t.Context(), l.Store(), l.ID(), reg)
			good := reg.state
			f(&reg.state)
			if _, err := StartPublisher(t.Context(), l, s, reg, PublisherOptions{}); !fault.Is(err, fault.Refused) {
				t.Errorf("%s at the start: %v", name, err)
			}
			reg.state = good
			p := start(t, l, s, reg)
			f(&reg.state)
			changed := reg.state
			at := grow(t, l, 1)
			if _, err := p.WaitFor(t.Context(), at); !fault.Is(err, fault.Refused) {
				t.Errorf("%s later: %v", name, err)
			}
			if reg.state != changed || p.Latest().Size != good.Size {
				t.Errorf("%s: signed, or wrote the register", name)
			}
			p.Close()
			for c := range l.Store().Checkpoints(t.Context(), l.ID(), good.Size+1) {
				t.Errorf("%s: stored a checkpoint of size %d", name, c.Size)
			}
		})
	}
}

// A tree whose stored hashes do not continue what was signed is not signed,
// even if the sequencer says so.
func TestPublisherProvesBeforeSigning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &tampering{Store: memlog.New()}
		l, s := testLogOn(t, store, 600)
		reg := &counting{}
		Adopt(t.Context(), l.Store(), l.ID(), reg)
		p := start(t, l, s, reg)
		store.mu.Lock()
		store.flip = true
		store.mu.Unlock()
		at := grow(t, l, 500)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if c, err := p.WaitFor(ctx, at); err == nil {
			t.Fatalf("signed size %d over altered tiles", c.Size)
		}
		if err := p.Err(); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("state: %v", err)
		}
		p.Close()
	})
}

type tampering struct {
	eventlog.Store
	mu   sync.Mutex
	flip bool
}

func (s *tampering) Tile(ctx context.Context, log event.LogID, level int, index uint64) ([]byte, bool, error) {
	b, ok, err := s.Store.Tile(ctx, log, level, index)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok && s.flip {
		b = append([]byte(nil), b...)
		b[100] ^= 1
	}
	return b, ok, err
}

// A receipt convinces the code that strangers run, with the key; not with
// another key, and not when a bit of it was changed.
func TestReceipt(t *testing.T) {
	l, s := testLog(t, 300)
	reg := &MemoryRegister{}
	Adopt(t.Context(), l.Store(), l.ID(), reg)
	p := start(t, l, s, reg)
	defer p.Close()
	pr := NewProver(l.Store(), l.ID())
	old, err := pr.Receipt(t.Context(), 7, p.Latest())
	if err != nil {
		t.Fatal(err)
	}
	at := grow(t, l, 700)
	c, err := p.WaitFor(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, pos := range []event.Position{1, 7, 256, 257, at} {
		file, err := pr.Receipt(t.Context(), pos, c)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := verify.Receipt(file, s.VerifierKey()); err != nil || r.Verdict != verify.Verified || r.Position != uint64(pos) {
			t.Fatalf("position %d: %+v %v", pos, r, err)
		}
	}
	_, other := testLog(t, 0)
	if _, err := verify.Receipt(old, other.VerifierKey()); err == nil {
		t.Fatal("verified with another log's key")
	}
	if r, err := verify.Receipt(old, ""); err != nil || r.Verdict != verify.Consistent {
		t.Fatalf("without a key: %+v %v", r, err)
	}
	for i := range len(old) * 8 {
		bad := append([]byte(nil), old...)
		bad[i/8] ^= 1 << (i % 8)
		if r, err := verify.Receipt(bad, s.VerifierKey()); err == nil && string(bad) != string(old) && r.LeafHash != leafOf(t, l, 7) {
			t.Fatalf("bit %d: still verifies, as another record", i)
		}
	}
	if _, err := pr.Receipt(t.Context(), at+1, c); !fault.Is(err, fault.NotFound) {
		t.Fatalf("past the checkpoint: %v", err)
	}
}

func leafOf(t *testing.T, l *eventlog.Log, p event.Position) [32]byte {
	t.Helper()
	r, err := l.Record(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r.Hash()
}
