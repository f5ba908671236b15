package ledger

import (
	"context"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// tiles reads a log's tiles for package tlog, which checks them. Full tiles are
// stored; those at the right edge are made of what lies below them.
type tiles struct {
	p   *Prover
	ctx context.Context
}

// Height implements tlog.TileReader.
func (t tiles) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader. There is nothing to save.
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(want))
	for i, tile := range want {
		b, err := t.read(tile)
		if err != nil {
			return nil, err
		}
		data[i] = b
	}
	return data, nil
}

func (t tiles) read(tile tlog.Tile) ([]byte, error) {
	b, ok, err := t.p.store.Tile(t.ctx, t.p.log, tile.L, uint64(tile.N))
	switch {
	case err != nil:
		return nil, fault.Wrap("read a tile", err)
	case ok && len(b) != tileWidth*tlog.HashSize:
		return nil, fault.New(fault.Corrupt, "tile %d/%d has %d bytes, not %d", tile.L, tile.N, len(b), tileWidth*tlog.HashSize)
	case ok:
		return b[:tile.W*tlog.HashSize], nil
	case tile.W == tileWidth:
		return nil, fault.New(fault.Corrupt, "tile %d/%d is missing", tile.L, tile.N)
	}
	return t.p.edge.read(t, tile)
}

// edges remembers, per level, the hashes of the tile that is not full yet. A
// node is final once its leaves are there, so that they only grow.
type edges struct {
	mu    sync.Mutex
	level map[int]*edge
}

type edge struct {
	index int64 // of the tile
	nodes []byte
}

// read returns the first tile.W hashes of an edge tile.
func (e *edges) read(t tiles, tile tlog.Tile) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	have := e.level[tile.L]
	if have == nil || have.index != tile.N {
		have = &edge{index: tile.N}
	}
	nodes, err := t.extend(have.nodes, tile)
	if err != nil {
		return nil, err
	}
	if e.level == nil {
		e.level = map[int]*edge{}
	}
	e.level[tile.L] = &edge{tile.N, nodes}
	return nodes[:tile.W*tlog.HashSize], nil
}

// forget drops what is remembered, after it turned out not to fit a root.
func (e *edges) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.level = nil
}

// extend appends to nodes the hashes of the tile that it lacks. nodes is not
// changed in place: readers may hold it.
func (t tiles) extend(nodes []byte, tile tlog.Tile) ([]byte, error) {
	from := int64(len(nodes) / tlog.HashSize)
	if from >= int64(tile.W) {
		return nodes, nil
	}
	first, last := tile.N*tileWidth+from, tile.N*tileWidth+int64(tile.W) // of nodes: first ≤ i < last
	nodes = append(make([]byte, 0, tile.W*tlog.HashSize), nodes...)
	if tile.L > 0 {
		for i := first; i < last; i++ {
			below, err := t.read(tlog.Tile{H: tileHeight, L: tile.L - 1, N: i, W: tileWidth})
			if err != nil {
				return nil, err
			}
			root := TileRoot(below)
			nodes = append(nodes, root[:]...)
		}
		return nodes, nil
	}
	next := event.Position(first + 1)
	for r, err := range t.p.store.Records(t.ctx, t.p.log, next, event.Position(last)) {
		if err != nil {
			return nil, fault.Wrap("read leaf hashes", err)
		}
		if r.Position != next {
			break
		}
		h := r.Hash()
		nodes = append(nodes, h[:]...)
		next++
	}
	if next != event.Position(last+1) {
		return nil, fault.New(fault.Corrupt, "the record at position %d is missing", next)
	}
	return nodes, nil
}

// TileRoot is the root of the perfect tree over the hashes of a full tile, whose
// number must be a power of two.
func TileRoot(tile []byte) tlog.Hash {
	hashes := make([]tlog.Hash, len(tile)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], tile[i*tlog.HashSize:])
	}
	for len(hashes) > 1 {
		for i := range len(hashes) / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = hashes[:len(hashes)/2]
	}
	return hashes[0]
}
