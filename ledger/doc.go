// Package ledger makes a log provable: it signs checkpoints of the log's tree,
// keeps the last one's size and root in a register apart from the log, proves
// that a record is in the tree and that one tree continues another, and writes
// receipts that a stranger can check offline.
//
// What is promised:
//
//   - A checkpoint is signed only after the log holds its records durably and
//     the register has taken note of it, and only if its tree continues the one
//     signed before. Equal sizes have equal roots.
//   - A log that is shorter than its register says, or that differs from it, is
//     not written to ([Admit]).
//   - Every proof handed out was checked against the root that it is for.
//
// What is not: that a checkpoint is the latest one, or that nobody else was
// shown another history. See docs/security-model.md.
package ledger

import (
	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
)

// Tree names a tree by its number of leaves and its RFC 6962 §2.1 root.
type Tree struct {
	Size event.Position
	Root event.Hash
}

func (t Tree) tlog() tlog.Tree { return tlog.Tree{N: int64(t.Size), Hash: tlog.Hash(t.Root)} }
