package eventlog

import (
	"context"
	"crypto/sha256"
	"math/bits"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// tree grows an RFC 6962 Merkle tree leaf by leaf. It holds the frontier (the
// roots of its perfect subtrees) and, level by level, the hashes of the tile
// at the right edge that is not full yet.
type tree struct {
	size     uint64
	frontier []event.Hash
	edge     [][]event.Hash // edge[L]: nodes of level 8L since the last full tile
}

// add appends a leaf hash and returns the tiles that it filled.
func (t *tree) add(leaf event.Hash) []Tile {
	var full []Tile
	full = t.addEdge(0, leaf, full)
	node, level := leaf, 0
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.frontier) - 1
		node = nodeHash(t.frontier[last], node)
		t.frontier = t.frontier[:last]
		level++
		if level%tileHeight == 0 {
			full = t.addEdge(level/tileHeight, node, full)
		}
	}
	t.frontier = append(t.frontier, node)
	t.size++
	return full
}

func (t *tree) addEdge(level int, h event.Hash, full []Tile) []Tile {
	if level == len(t.edge) {
		t.edge = append(t.edge, nil)
	}
	t.edge[level] = append(t.edge[level], h)
	if len(t.edge[level]) < tileWidth {
		return full
	}
	data := make([]byte, 0, tileWidth*len(h))
	for _, h := range t.edge[level] {
		data = append(data, h[:]...)
	}
	t.edge[level] = t.edge[level][:0]
	index := t.size >> (tileHeight * (level + 1))
	return append(full, Tile{Level: level, Index: index, Data: data})
}

// rootOf is the RFC 6962 §2.1 Merkle tree hash over a frontier.
func rootOf(frontier []event.Hash) event.Hash {
	if len(frontier) == 0 {
		return sha256.Sum256(nil)
	}
	r := frontier[len(frontier)-1]
	for i := len(frontier) - 2; i >= 0; i-- {
		r = nodeHash(frontier[i], r)
	}
	return r
}

// Root is the Merkle tree hash of the log that ends in h.
func (h Head) Root() event.Hash { return rootOf(h.Frontier) }

// nodeHash is SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1).
func nodeHash(left, right event.Hash) event.Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// loadTree restores the tree at a head from the store's tiles and records, and
// checks that they agree with the head.
func loadTree(ctx context.Context, s Store, log event.LogID, h Head) (*tree, error) {
	t := &tree{size: uint64(h.Size)}
	for level := 0; t.size>>(tileHeight*level) > 0; level++ {
		nodes, err := edgeHashes(ctx, s, log, t.size, level)
		if err != nil {
			return nil, fault.Wrap("load the tree's edge", err)
		}
		t.edge = append(t.edge, nodes)
	}
	for level := len(t.edge) - 1; level >= 0; level-- {
		t.frontier = appendFrontier(t.frontier, t.edge[level])
	}
	if !slices.Equal(t.frontier, h.Frontier) {
		return nil, fault.New(fault.Corrupt, "the records and tiles at the end of the log are not those that its head at position %d was made of", h.Size)
	}
	if h.Size == 0 {
		return t, nil
	}
	for r, err := range s.Records(ctx, log, h.Size, h.Size) {
		if err != nil {
			return nil, fault.Wrap("load the last record", err)
		}
		if r.Hash() != h.Last {
			return nil, fault.New(fault.Corrupt, "the record at position %d is not the one that the log's head names", h.Size)
		}
	}
	return t, nil
}

// appendFrontier appends the roots of the perfect subtrees over fewer than 256
// neighbouring nodes, widest first.
func appendFrontier(dst, nodes []event.Hash) []event.Hash {
	for len(nodes) > 0 {
		width := 1 << (bits.Len(uint(len(nodes))) - 1)
		dst = append(dst, perfectRoot(slices.Clone(nodes[:width])))
		nodes = nodes[width:]
	}
	return dst
}

// edgeHashes returns the nodes of level 8*level that stand in no full tile of
// that level yet.
func edgeHashes(ctx context.Context, s Store, log event.LogID, size uint64, level int) ([]event.Hash, error) {
	count := size >> (tileHeight * level)
	first := count - count%tileWidth
	nodes := make([]event.Hash, 0, tileWidth)
	if level == 0 {
		if first == count {
			return nodes, nil
		}
		for r, err := range s.Records(ctx, log, event.Position(first+1), event.Position(count)) {
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, r.Hash())
		}
		return nodes, nil
	}
	for i := first; i < count; i++ {
		data, ok, err := s.Tile(ctx, log, level-1, i)
		if err != nil {
			return nil, err
		}
		if !ok || len(data) != tileWidth*32 {
			return nil, fault.New(fault.Corrupt, "tile %d/%d is missing or short", level-1, i)
		}
		nodes = append(nodes, tileRoot(data))
	}
	return nodes, nil
}

// tileRoot is the root of a full tile's perfect subtree.
func tileRoot(data []byte) event.Hash {
	hashes := make([]event.Hash, len(data)/32)
	for i := range hashes {
		copy(hashes[i][:], data[32*i:])
	}
	return perfectRoot(hashes)
}

// perfectRoot is the root over a power of two of nodes, which it overwrites.
func perfectRoot(nodes []event.Hash) event.Hash {
	for len(nodes) > 1 {
		for i := range len(nodes) / 2 {
			nodes[i] = nodeHash(nodes[2*i], nodes[2*i+1])
		}
		nodes = nodes[:len(nodes)/2]
	}
	return nodes[0]
}

// Growing makes the root of a tree leaf by leaf.
type Growing struct{ t tree }

// NewGrowing goes on from a tree of a size, whose perfect subtrees have these
// roots, widest first.
func NewGrowing(size event.Position, frontier []event.Hash) *Growing {
	return &Growing{tree{size: uint64(size), frontier: slices.Clone(frontier)}}
}

// Add appends a leaf's hash.
func (g *Growing) Add(leaf event.Hash) {
	g.t.edge = nil // no tiles are made
	g.t.add(leaf)
}

// Root is the Merkle tree hash of the leaves so far.
func (g *Growing) Root() event.Hash { return rootOf(g.t.frontier) }

// FrontierAt is the frontier of a log's first size records.
func FrontierAt(ctx context.Context, s Store, log event.LogID, size event.Position) (frontier []event.Hash, err error) {
	var edges [][]event.Hash
	for level := 0; uint64(size)>>(tileHeight*level) > 0; level++ {
		nodes, err := edgeHashes(ctx, s, log, uint64(size), level)
		if err != nil {
			return nil, fault.Wrap("read the tree", err)
		}
		edges = append(edges, nodes)
	}
	for _, nodes := range slices.Backward(edges) {
		frontier = appendFrontier(frontier, nodes)
	}
	return frontier, nil
}
