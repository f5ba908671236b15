package logtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// Check reads a whole log from its store, below the sequencer, and returns
// what is wrong with it: positions, leaf chains, stream chains, times, event
// ids, digests of ciphertexts, the index, the tiles, the head. The tree is
// built by golang.org/x/mod/sumdb/tlog, not by our code.
func Check(ctx context.Context, s eventlog.Store, id event.LogID) error {
	h, err := s.Head(ctx, id)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	c := &checker{ctx: ctx, store: s, id: id, leaf: id, streams: map[event.Stream]eventlog.StreamHead{}, found: map[event.Term][]event.Position{},
		positions: map[event.ID]event.Position{}, first: map[event.Stream][]byte{}}
	if h.Size > 0 {
		for r, err := range s.Records(ctx, id, 1, h.Size) {
			if err != nil {
				return fmt.Errorf("check: after %d: %w", c.last.Size, err)
			}
			if err := c.record(r); err != nil {
				return fmt.Errorf("check: position %d: %w", c.last.Size+1, err)
			}
		}
	}
	if err := c.end(h); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

type checker struct {
	ctx     context.Context
	store   eventlog.Store
	id      event.LogID
	leaf    event.LogID // that the leaves carry
	last    eventlog.Head
	streams map[event.Stream]eventlog.StreamHead
	found   map[event.Term][]event.Position
	hashes  hashes

	positions map[event.ID]event.Position
	first     map[event.Stream][]byte // leaves
}

// hashes is the storage of the reference tree.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

func (h *hashes) add(n int64, leaf []byte) error {
	more, err := tlog.StoredHashes(n, leaf, *h)
	*h = append(*h, more...)
	return err
}

func (c *checker) record(r *event.Record) error {
	at := c.streams[r.Stream]
	if r.Type == "log.continued" {
		c.leaf = r.Log
	}
	switch {
	case r.Log != c.leaf || r.Position != c.last.Size+1:
		return fmt.Errorf("holds the record of position %d of log %s", r.Position, r.Log)
	case r.Prev != c.last.Last:
		return fmt.Errorf("names %s as the record before, which is %s", r.Prev, c.last.Last)
	case r.Version != at.Version+1 || r.PrevStream != at.Hash:
		return fmt.Errorf("is version %d of its stream after %d, or does not name the one before", r.Version, at.Version)
	case r.Time.Before(c.last.Time):
		return fmt.Errorf("is older than the record before")
	}
	if _, err := event.ParseLeaf(r.Leaf); err != nil {
		return err
	}
	for i, b := range r.Blocks {
		if d := r.Ciphertexts[i]; d != nil && b.Digest != digest(d) {
			return fmt.Errorf("block %d is not the ciphertext that the leaf names", i)
		}
	}
	c.positions[r.ID] = r.Position
	if c.first[r.Stream] == nil {
		c.first[r.Stream] = r.Leaf
	}
	if p, ok, err := c.store.EventPosition(c.ctx, c.id, r.ID); err != nil || !ok || p != r.Position {
		return fmt.Errorf("its event id stands at %d (%v, %v)", p, ok, err)
	}
	for _, t := range r.Terms() {
		c.found[t] = append(c.found[t], r.Position)
	}
	hash := r.Hash()
	c.streams[r.Stream] = eventlog.StreamHead{Version: r.Version, Hash: hash}
	c.last.Size, c.last.Last, c.last.Time = r.Position, hash, r.Time
	return c.hashes.add(int64(r.Position-1), r.Leaf)
}

// many asks for everything at once, and for what is not there.
func (c *checker) many() error {
	s, ok := c.store.(eventlog.Many)
	if !ok {
		return nil
	}
	stranger := event.NewID()
	positions, err := s.FindEvents(c.ctx, c.id, append(slices.Collect(maps.Keys(c.positions)), stranger))
	if err != nil || !maps.Equal(positions, c.positions) {
		return fmt.Errorf("of %d event ids %d are found together, or elsewhere: %v", len(c.positions), len(positions), err)
	}
	streams, err := s.FindStreams(c.ctx, c.id, append(slices.Collect(maps.Keys(c.streams)), event.Stream{Kind: "nobody", ID: stranger}))
	if err != nil || len(streams) != len(c.streams) {
		return fmt.Errorf("of %d streams %d are found together: %v", len(c.streams), len(streams), err)
	}
	for stream, want := range c.streams {
		if got := streams[stream]; got.Head != want || !bytes.Equal(got.First, c.first[stream]) {
			return fmt.Errorf("stream %s is found at version %d among others, or with another first record", stream, got.Head.Version)
		}
	}
	return nil
}

func (c *checker) end(h eventlog.Head) error {
	if h.Size != c.last.Size || h.Last != c.last.Last || !h.Time.Equal(c.last.Time) {
		return fmt.Errorf("the head says size %d, last %s; the records say %d, %s", h.Size, h.Last, c.last.Size, c.last.Last)
	}
	root, err := tlog.TreeHash(int64(h.Size), c.hashes)
	if err != nil || event.Hash(root) != h.Root() {
		return fmt.Errorf("the head's root is %s, the records' is %s (%v)", h.Root(), event.Hash(root), err)
	}
	for s, want := range c.streams {
		if got, ok, err := c.store.Stream(c.ctx, c.id, s); err != nil || !ok || got != want {
			return fmt.Errorf("stream %s is at version %d (%v, %v), its records say %d", s, got.Version, ok, err, want.Version)
		}
	}
	if err := c.many(); err != nil {
		return err
	}
	for t, want := range c.found {
		var got []event.Position
		for p, err := range c.store.Postings(c.ctx, c.id, t, 0, h.Size, false) {
			if err != nil {
				return err
			}
			got = append(got, p)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the index finds %v for a term of %v", got, want)
		}
	}
	return c.tiles(h.Size)
}

func (c *checker) tiles(size event.Position) error {
	for level, n := 0, uint64(size)>>8; n > 0; level, n = level+1, n>>8 {
		for i := range n + 1 {
			got, ok, err := c.store.Tile(c.ctx, c.id, level, i)
			if err != nil || ok != (i < n) {
				return fmt.Errorf("tile %d/%d: stored %v, want %v (%v)", level, i, ok, i < n, err)
			}
			if !ok {
				continue
			}
			want, err := tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: int64(i), W: 256}, c.hashes)
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("tile %d/%d is not what the records give (%v)", level, i, err)
			}
		}
	}
	return nil
}
