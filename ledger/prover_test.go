package ledger

import (
	"context"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// synthetic is a store of records whose leaves are their positions, with tiles
// made by package tlog.
type synthetic struct {
	eventlog.Store
	stored tlog.HashReaderFunc
	hashes []tlog.Hash
	size   int64
	wrong  func(level int, index uint64, tile []byte) []byte
	gone   event.Position
}

func synthesize(t *testing.T, size int) *synthetic {
	t.Helper()
	s := &synthetic{}
	s.stored = func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = s.hashes[x]
		}
		return out, nil
	}
	for i := range int64(size) {
		hs, err := tlog.StoredHashes(i, synthLeaf(event.Position(i+1)), s.stored)
		if err != nil {
			t.Fatal(err)
		}
		s.hashes = append(s.hashes, hs...)
	}
	s.size = int64(size)
	return s
}

func synthLeaf(p event.Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }

func (s *synthetic) tree(t *testing.T, size int) Tree {
	t.Helper()
	h, err := tlog.TreeHash(int64(size), s.stored)
	if err != nil {
		t.Fatal(err)
	}
	return Tree{event.Position(size), event.Hash(h)}
}

func (s *synthetic) Tile(_ context.Context, _ event.LogID, level int, index uint64) ([]byte, bool, error) {
	if (index+1)<<(8*(level+1)) > uint64(s.size) {
		return nil, false, nil
	}
	b, err := tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: int64(index), W: 256}, s.stored)
	if s.wrong != nil {
		b = s.wrong(level, index, b)
	}
	return b, b != nil, err
}

func (s *synthetic) Records(_ context.Context, _ event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for p := from; p <= to; p++ {
			if p != s.gone && !yield(&event.Record{Position: p, Leaf: synthLeaf(p)}, nil) {
				return
			}
		}
	}
}

func raw(hashes []tlog.Hash) [][]byte {
	var out [][]byte
	for _, h := range hashes {
		out = append(out, slices.Clone(h[:]))
	}
	return out
}

// Proofs equal those of golang.org/x/mod/sumdb/tlog for all sizes 1..300, and
// transparency-dev/merkle, written by others, accepts each.
func TestProofs(t *testing.T) {
	s := synthesize(t, 300)
	p := NewProver(s, event.LogID{})
	for size := 1; size <= 300; size++ {
		in := s.tree(t, size)
		for at := 1; at <= size; at++ {
			if size > 40 && at%37 != size%37 && at != 1 && at != size && at%256 > 1 {
				continue
			}
			checkProofs(t, s, p, in, at)
		}
	}
}

// The same for trees of three levels of tiles.
func TestProofsLarge(t *testing.T) {
	s := synthesize(t, 70_000)
	p := NewProver(s, event.LogID{})
	for _, size := range []int{65_535, 65_536, 65_537, 66_000, 69_999, 70_000} {
		in := s.tree(t, size)
		for _, at := range []int{1, 256, 257, 65_535, size - 1, size, 1 + rand.IntN(size)} {
			checkProofs(t, s, p, in, at)
		}
	}
}

func checkProofs(t *testing.T, s *synthetic, p *Prover, in Tree, at int) {
	t.Helper()
	size := int64(in.Size)
	got, leaf, err := p.Inclusion(t.Context(), event.Position(at), in)
	if err != nil {
		t.Fatalf("inclusion of %d in %d: %v", at, size, err)
	}
	want, err := tlog.ProveRecord(size, int64(at-1), s.stored)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("inclusion of %d in %d: got %v, want %v (%v)", at, size, got, want, err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(at-1), uint64(size), leaf[:], raw(got), in.Root[:]); err != nil {
		t.Fatalf("inclusion of %d in %d: %v", at, size, err)
	}
	old := s.tree(t, at)
	steps, err := p.Consistency(t.Context(), old, in)
	if err != nil {
		t.Fatalf("consistency of %d and %d: %v", at, size, err)
	}
	if int64(at) < size {
		if want, err := tlog.ProveTree(size, int64(at), s.stored); err != nil || !slices.Equal(steps, want) {
			t.Fatalf("consistency of %d and %d: got %v, want %v (%v)", at, size, steps, want, err)
		}
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(at), uint64(size), raw(steps), old.Root[:], in.Root[:]); err != nil {
		t.Fatalf("consistency of %d and %d: %v", at, size, err)
	}
	if root, err := p.Root(t.Context(), event.Position(at), in); err != nil || root != old.Root {
		t.Fatalf("root of %d in %d: %v", at, size, err)
	}
}

// A store whose tiles or records are not those of the root proves nothing.
func TestProverTrustsNothing(t *testing.T) {
	s := synthesize(t, 1000)
	in := s.tree(t, 1000)
	fails := func(why string, s *synthetic, kind fault.Kind, at event.Position) {
		t.Helper()
		p := NewProver(s, event.LogID{})
		if _, _, err := p.Inclusion(t.Context(), at, in); !fault.Is(err, kind) {
			t.Errorf("%s: inclusion: %v", why, err)
		}
		if _, err := p.Root(t.Context(), at, in); !fault.Is(err, kind) {
			t.Errorf("%s: root: %v", why, err)
		}
	}
	for _, bit := range []int{0, 77, 8191 * 8} {
		flipped := *s
		flipped.wrong = func(level int, index uint64, b []byte) []byte {
			if level == 0 && index == 1 {
				b[bit/8] ^= 1 << (bit % 8)
			}
			return b
		}
		fails("flipped tile", &flipped, fault.Corrupt, 300)
	}
	missing := *s
	missing.wrong = func(level int, index uint64, b []byte) []byte { return nil }
	fails("missing tiles", &missing, fault.Corrupt, 300)
	short := *s
	short.wrong = func(level int, index uint64, b []byte) []byte { return b[:8000] }
	fails("short tile", &short, fault.Corrupt, 300)
	gap := *s
	gap.gone = 990
	fails("missing record", &gap, fault.Corrupt, 999)
	fails("past the end", s, fault.NotFound, 1001)
}

// Two trees of which one does not continue the other are told apart, at equal
// sizes too; and after a wrong answer the prover finds back.
func TestConsistencyRefuses(t *testing.T) {
	s := synthesize(t, 600)
	p := NewProver(s, event.LogID{})
	in := s.tree(t, 600)
	for _, size := range []int{0, 1, 255, 256, 599, 600} {
		old := s.tree(t, size)
		old.Root[3] ^= 4
		if _, err := p.Consistency(t.Context(), old, in); !fault.Is(err, fault.Conflict) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	wrong := in
	wrong.Root[0] ^= 1
	if _, err := p.Root(t.Context(), 300, wrong); !fault.Is(err, fault.Corrupt) {
		t.Errorf("wrong root: %v", err)
	}
	if _, err := p.Root(t.Context(), 300, in); err != nil {
		t.Errorf("right root afterwards: %v", err)
	}
}
