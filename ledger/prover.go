package ledger

import (
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Prover proves what stands in a log's tree, from the tiles and records of its
// store. It trusts neither: whatever it reads it checks against the root that
// it was asked about. It is safe for concurrent use.
type Prover struct {
	store eventlog.Store
	log   event.LogID
	edge  *edges
}

// NewProver returns the prover of a log.
func NewProver(store eventlog.Store, log event.LogID) *Prover {
	return &Prover{store: store, log: log, edge: &edges{}}
}

// Inclusion proves that the record at p is in the tree and returns the proof
// (RFC 6962 §2.1.1) with the record's leaf hash. A store that does not bear out
// the tree's root gives fault.Corrupt.
func (p *Prover) Inclusion(ctx context.Context, at event.Position, in Tree) (tlog.RecordProof, event.Hash, error) {
	if at == 0 || at > in.Size {
		return nil, event.Hash{}, fault.New(fault.NotFound, "position %d is not among the %d records of the tree", at, in.Size)
	}
	r, index := p.hashes(ctx, in), int64(at-1)
	proof, err := tlog.ProveRecord(int64(in.Size), index, r)
	if err != nil {
		return nil, event.Hash{}, p.unproven("prove that a record is in the tree", err)
	}
	leaf, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err == nil {
		err = tlog.CheckRecord(proof, int64(in.Size), tlog.Hash(in.Root), index, leaf[0])
	}
	if err != nil {
		return nil, event.Hash{}, p.unproven("prove that a record is in the tree", err)
	}
	return proof, event.Hash(leaf[0]), nil
}

// Consistency proves that the tree continues an older one (RFC 6962 §2.1.2).
// An older tree that it does not continue gives fault.Conflict.
func (p *Prover) Consistency(ctx context.Context, old, in Tree) (tlog.TreeProof, error) {
	root, err := p.Root(ctx, old.Size, in)
	if err != nil {
		return nil, err
	}
	if root != old.Root {
		return nil, fault.New(fault.Conflict, "the first %d of %d records have root %s, not %s: these are two histories",
			old.Size, in.Size, tlog.Hash(root), tlog.Hash(old.Root))
	}
	if old.Size == 0 || old.Size == in.Size {
		return nil, nil // RFC 6962 §2.1.2: the empty proof
	}
	proof, err := tlog.ProveTree(int64(in.Size), int64(old.Size), p.hashes(ctx, in))
	if err == nil {
		err = tlog.CheckTree(proof, int64(in.Size), tlog.Hash(in.Root), int64(old.Size), tlog.Hash(old.Root))
	}
	if err != nil {
		return nil, p.unproven("prove that a tree continues another", err)
	}
	return proof, nil
}

// Root returns the root of the first size records of the tree.
func (p *Prover) Root(ctx context.Context, size event.Position, in Tree) (event.Hash, error) {
	switch {
	case size > in.Size:
		return event.Hash{}, fault.New(fault.NotFound, "the tree has %d records, not %d", in.Size, size)
	case size == in.Size:
		return in.Root, nil
	case size == 0:
		return EmptyRoot(), nil
	}
	root, err := tlog.TreeHash(int64(size), p.hashes(ctx, in))
	return event.Hash(root), p.unproven("compute an older root", err)
}

// EmptyRoot is the root of a tree without leaves (RFC 6962 §2.1).
func EmptyRoot() event.Hash { return sha256.Sum256(nil) }

// hashes reads node hashes of the tree, each checked against its root.
func (p *Prover) hashes(ctx context.Context, in Tree) tlog.HashReader {
	return tlog.TileHashReader(in.tlog(), tiles{p, ctx})
}

// unproven says that the store does not support the root. Faults of the store
// itself keep their kind.
func (p *Prover) unproven(op string, err error) error {
	if err == nil {
		return nil
	}
	p.edge.forget() // it may be what does not fit
	if fault.KindOf(err) != fault.Internal || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(op, err)
	}
	return &fault.Error{Kind: fault.Corrupt, Op: op, Err: err,
		Msg: "the stored tree does not lead to the root that it should have; run verify"}
}
