package verify

import (
	"crypto/sha256"
	"hash"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// frontier is the compact range of a tree's first n leaves: the roots of its
// perfect subtrees, one per bit set in n. It is all that is needed to add leaves
// and to state the root of every prefix in one pass.
type frontier struct {
	n    uint64
	node [64]tlog.Hash // node[i] roots 2^i leaves; meaningful if bit i of n is set
}

// push adds a leaf hash.
func (f *frontier) push(h tlog.Hash) {
	level := bits.TrailingZeros64(^f.n)
	for i := range level {
		h = tlog.NodeHash(f.node[i], h)
	}
	f.node[level] = h
	f.n++
}

// root returns the RFC 6962 §2.1 tree hash of the leaves pushed so far.
func (f *frontier) root() tlog.Hash {
	if f.n == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(f.n)
	h := f.node[level]
	for rest := f.n >> (level + 1) << (level + 1); rest != 0; rest &= rest - 1 {
		h = tlog.NodeHash(f.node[bits.TrailingZeros64(rest)], h)
	}
	return h
}

// rootWith returns the root after pushing more leaves, without pushing them.
func (f *frontier) rootWith(leaves ...tlog.Hash) tlog.Hash {
	g := *f
	for _, h := range leaves {
		g.push(h)
	}
	return g.root()
}

// checkInclusion reports whether proof leads from a leaf hash at a position to
// the root of a tree.
func checkInclusion(proof tlog.RecordProof, size uint64, root tlog.Hash, position uint64, leaf tlog.Hash) error {
	if position == 0 || position > size || size > MaxPosition {
		return &Error{ReceiptProof, "the position lies outside the tree"}
	}
	if err := tlog.CheckRecord(proof, int64(size), root, int64(position-1), leaf); err != nil {
		return &Error{ReceiptProof, "the inclusion proof does not lead from the leaf to the checkpoint's root"}
	}
	return nil
}

// hasher computes hashes without allocating for each.
type hasher struct {
	h   hash.Hash
	out [32]byte
}

var leafPrefix = []byte{0}

// sum returns SHA-256(prefix ‖ b).
func (s *hasher) sum(prefix, b []byte) tlog.Hash {
	if s.h == nil {
		s.h = sha256.New()
	}
	s.h.Reset()
	s.h.Write(prefix)
	s.h.Write(b)
	s.h.Sum(s.out[:0])
	return s.out
}
