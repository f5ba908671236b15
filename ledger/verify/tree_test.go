package verify

import (
	"crypto/sha256"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// hashTree stores the hashes of a tree for package tlog.
type hashTree struct {
	stored []tlog.Hash
	leaves []tlog.Hash
}

func (h *hashTree) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, h.stored[i])
	}
	return list, nil
}

func newHashTree(t testing.TB, n int) *hashTree {
	h := new(hashTree)
	for i := range n {
		leaf := LeafHash([]byte{byte(i), byte(i >> 8)})
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf, h)
		if err != nil {
			t.Fatal(err)
		}
		h.leaves, h.stored = append(h.leaves, leaf), append(h.stored, more...)
	}
	return h
}

// Roots of the compact range equal those of x/mod/sumdb/tlog and of
// transparency-dev/merkle for all sizes 0 to 300.
func TestFrontierRoots(t *testing.T) {
	h := newHashTree(t, 300)
	var f frontier
	oracle := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	if f.root() != tlog.Hash(rfc6962.DefaultHasher.EmptyRoot()) || f.root() != sha256.Sum256(nil) {
		t.Error("empty root")
	}
	for n := 1; n <= 300; n++ {
		if got := f.rootWith(h.leaves[n-1]); n > 1 && got == f.root() {
			t.Errorf("size %d: rootWith changed nothing", n)
		}
		f.push(h.leaves[n-1])
		want, err := tlog.TreeHash(int64(n), h)
		if err != nil {
			t.Fatal(err)
		}
		if err := oracle.Append(h.leaves[n-1][:], nil); err != nil {
			t.Fatal(err)
		}
		other, err := oracle.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.root() != want || want != tlog.Hash(other) {
			t.Errorf("size %d: %v, tlog %v, merkle %x", n, f.root(), want, other)
		}
	}
}

// Inclusion proofs made by tlog are accepted here and by transparency-dev/merkle
// for every record of every tree of 1 to 300; damaged ones by neither.
func TestInclusionProofs(t *testing.T) {
	h := newHashTree(t, 300)
	for size := 1; size <= 300; size++ {
		root, err := tlog.TreeHash(int64(size), h)
		if err != nil {
			t.Fatal(err)
		}
		for i := range size {
			p, err := tlog.ProveRecord(int64(size), int64(i), h)
			if err != nil {
				t.Fatal(err)
			}
			ours := func(size, pos int, p tlog.RecordProof, leaf tlog.Hash) bool {
				return checkInclusion(p, uint64(size), root, uint64(pos), leaf) == nil
			}
			theirs := func(size, pos int, p tlog.RecordProof, leaf tlog.Hash) bool {
				list := make([][]byte, len(p))
				for k := range p {
					list[k] = p[k][:]
				}
				return pos > 0 && proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(pos-1), uint64(size), leaf[:], list, root[:]) == nil
			}
			for name, check := range map[string]func(int, int, tlog.RecordProof, tlog.Hash) bool{"ours": ours, "merkle": theirs} {
				if !check(size, i+1, p, h.leaves[i]) {
					t.Fatalf("%s: size %d index %d: refused", name, size, i)
				}
				if size > 40 && (size+i)%17 != 0 {
					continue // the damaged ones, for a sample of the larger trees
				}
				if check(size, i+1, append(p[:len(p):len(p)], root), h.leaves[i]) || check(size, i, p, h.leaves[i]) || check(size, i+2, p, h.leaves[i]) ||
					check(size, i+1, p, root) && size > 1 || len(p) > 0 && check(size, i+1, p[1:], h.leaves[i]) {
					t.Fatalf("%s: size %d index %d: damaged proof accepted", name, size, i)
				}
				for k := range p {
					bit := (size + i + k) % 256
					flip(p[k][:], bit)
					if check(size, i+1, p, h.leaves[i]) {
						t.Fatalf("%s: size %d index %d: bit %d of hash %d", name, size, i, bit, k)
					}
					flip(p[k][:], bit)
				}
			}
		}
	}
}
