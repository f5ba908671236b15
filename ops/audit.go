package ops

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
)

// audit checks what a store keeps beside its records against them: the index
// both ways, tiles, heads of streams, event ids, keys. It is told each record
// once, in order.
type audit struct {
	store eventlog.Store
	log   event.LogID
	head  eventlog.Head

	found      []verify.Finding
	suppressed uint64
	counts     map[verify.Code]int

	seed    maphash.Seed
	want    map[event.Position]uint64 // by bucket: sum of the hashes of its postings
	ids     map[event.Position]uint64 // the same of its event ids
	terms   uint64                    // postings that the records ask for
	streams map[event.Stream]eventlog.StreamHead
	keys    map[event.SubjectID]eventlog.KeyUse
	erased  map[event.SubjectID]*Erasure
	present map[event.SubjectID]*remains
	edge    [][]byte // by level: hashes of the tile at the right edge
	edges   []uint64 // by level: its index

	next        event.Position // the one that should come
	first, last *event.Record
}

// remains is what is still there of a subject's sealed fields.
type remains struct{ ciphertexts, tags int }

// bucket is how many positions share one sum: those are what is searched again
// when it does not agree.
const bucket = 4096

// perCode is how many findings of a code are kept.
const perCode = 20

func newAudit(store eventlog.Store, log event.LogID, head eventlog.Head) *audit {
	return &audit{store: store, log: log, head: head, counts: map[verify.Code]int{}, seed: maphash.MakeSeed(),
		want: map[event.Position]uint64{}, ids: map[event.Position]uint64{}, streams: map[event.Stream]eventlog.StreamHead{},
		keys: map[event.SubjectID]eventlog.KeyUse{}, erased: map[event.SubjectID]*Erasure{}, present: map[event.SubjectID]*remains{}, next: 1}
}

func (a *audit) add(code verify.Code, p event.Position, format string, args ...any) {
	if a.counts[code]++; a.counts[code] > perCode {
		a.suppressed++
		return
	}
	a.found = append(a.found, finding(code, p, format, args...))
}

// record takes the next record that can be read.
func (a *audit) record(ctx context.Context, r *event.Record) error {
	if a.first == nil {
		a.first = r
	}
	a.last = r
	for _, t := range r.Terms() {
		a.want[r.Position/bucket] += a.sum(t.Digest(), r.Position)
		a.terms++
	}
	a.ids[r.Position/bucket] += a.sum(r.ID, r.Position)
	h := r.Hash()
	a.streams[r.Stream] = eventlog.StreamHead{Version: r.Version, Hash: h}
	a.sealed(r)
	return a.tile(ctx, r.Position, tlog.Hash(h))
}

// sealed notes whose keys a record uses and ends, and what is still there.
func (a *audit) sealed(r *event.Record) {
	for i, b := range r.Blocks {
		if _, known := a.keys[b.Subject]; !known {
			a.keys[b.Subject] = eventlog.KeyUse{Subject: b.Subject, Key: b.Key}
		}
		left := a.left(b.Subject)
		if i < len(r.Ciphertexts) && r.Ciphertexts[i] != nil {
			left.ciphertexts++
		}
	}
	for _, t := range r.Blind {
		a.left(t.Subject).tags++
	}
	if r.Type != "subject.erased" {
		return
	}
	l, err := verify.ParseLeaf(r.Leaf)
	if err != nil || l.Erasure == nil {
		return // the verifier reports it
	}
	s := event.SubjectID{ID: event.ID(l.Erasure.Subject)}
	use := a.keys[s]
	a.keys[s] = eventlog.KeyUse{Subject: s, Key: use.Key, Erased: true}
	if a.erased[s] == nil {
		a.erased[s] = &Erasure{Subject: s, Position: uint64(r.Position), Time: r.Time}
	}
}

func (a *audit) left(s event.SubjectID) *remains {
	if a.present[s] == nil {
		a.present[s] = &remains{}
	}
	return a.present[s]
}

// tile adds a record's hash to the tree's edge and compares each tile that it
// fills with the stored one. After a gap the tiles are not comparable any more.
func (a *audit) tile(ctx context.Context, p event.Position, h tlog.Hash) error {
	if p != a.next {
		return nil
	}
	a.next++
	for level := 0; ; level++ {
		if level == len(a.edge) {
			a.edge, a.edges = append(a.edge, nil), append(a.edges, 0)
		}
		a.edge[level] = append(a.edge[level], h[:]...)
		if len(a.edge[level]) < 256*tlog.HashSize {
			return nil
		}
		if err := a.compareTile(ctx, level, a.edges[level], a.edge[level]); err != nil {
			return err
		}
		h = ledger.TileRoot(a.edge[level])
		a.edge[level] = a.edge[level][:0]
		a.edges[level]++
	}
}

func (a *audit) compareTile(ctx context.Context, level int, index uint64, want []byte) error {
	got, ok, err := a.store.Tile(ctx, a.log, level, index)
	switch {
	case err != nil && !isDamage(err):
		return err
	case err != nil:
		a.add(StoreDamaged, 0, "tile %d/%d cannot be read: %v", level, index, err)
	case !ok:
		a.add(StoreTile, 0, "tile %d/%d is missing", level, index)
	case string(got) == string(want):
	case len(got) != len(want):
		a.add(StoreTile, 0, "tile %d/%d has %d bytes, not %d", level, index, len(got), len(want))
	default:
		i := 0
		for got[i] == want[i] {
			i++
		}
		p := event.Position(0)
		if level == 0 {
			p = event.Position(index*256) + event.Position(i/tlog.HashSize) + 1
		}
		f := finding(StoreTile, p, "tile %d/%d differs from the records in its hash %d", level, index, i/tlog.HashSize)
		n := i / tlog.HashSize * tlog.HashSize
		f.Evidence = []verify.Evidence{{Name: "hash in the tile", Value: tlog.Hash(got[n : n+32]).String()}, {Name: "hash of the records", Value: tlog.Hash(want[n : n+32]).String()}}
		a.keep(f)
	}
	return nil
}

func (a *audit) keep(f verify.Finding) {
	if a.counts[f.Code]++; a.counts[f.Code] > perCode {
		a.suppressed++
		return
	}
	a.found = append(a.found, f)
}

// sum is the share of a posting, or of an event id, in the sum of its bucket.
// The seed is fresh, so that nobody can make some whose sums cancel out.
func (a *audit) sum(what [16]byte, p event.Position) uint64 {
	var b [24]byte
	copy(b[:], what[:])
	binary.BigEndian.PutUint64(b[16:], uint64(p))
	return maphash.Bytes(a.seed, b[:])
}

// finish checks what only the end can tell.
func (a *audit) finish(ctx context.Context) error {
	l, ok := a.store.(lister)
	if !ok {
		return fault.New(fault.Internal, "this store cannot list what it keeps beside its records")
	}
	if err := a.checkHead(ctx); err != nil {
		return fault.Wrap("check the log's head", err)
	}
	for _, check := range []func(context.Context, lister) error{a.checkStreams, a.checkKeys, a.checkEvents, a.checkIndex} {
		if err := check(ctx, l); err != nil {
			return fault.Wrap("check the index", err)
		}
	}
	return nil
}

func (a *audit) checkHead(ctx context.Context) error {
	if a.last == nil {
		if a.head.Size != 0 || a.head.Root() != ledger.EmptyRoot() {
			a.add(StoreHead, 0, "the log's head says %d records, there is none", a.head.Size)
		}
		return nil
	}
	if a.head.Last != a.last.Hash() || !a.head.Time.Equal(a.last.Time) {
		a.add(StoreHead, a.last.Position, "the log's head names another last record or time than record %d", a.last.Position)
	}
	if a.next == a.head.Size+1 && a.head.Root() != event.Hash(a.root()) {
		a.add(StoreHead, 0, "the log's head has another root than its records")
	}
	for _, err := range a.store.Records(ctx, a.log, a.head.Size+1, a.head.Size+1) {
		if err == nil {
			a.add(StoreHead, a.head.Size+1, "there is a record behind the last one, %d", a.head.Size)
		} else if !isDamage(err) {
			return err
		}
	}
	return nil
}

// root is that of the records read, from the hashes at the tree's edge.
func (a *audit) root() tlog.Hash {
	var parts []tlog.Hash // perfect subtrees, widest first
	for level := len(a.edge) - 1; level >= 0; level-- {
		for nodes := a.edge[level]; len(nodes) > 0; {
			width := 1
			for 2*width*tlog.HashSize <= len(nodes) {
				width *= 2
			}
			parts = append(parts, ledger.TileRoot(nodes[:width*tlog.HashSize]))
			nodes = nodes[width*tlog.HashSize:]
		}
	}
	if len(parts) == 0 {
		return tlog.Hash(ledger.EmptyRoot())
	}
	r := parts[len(parts)-1]
	for _, left := range slices.Backward(parts[:len(parts)-1]) {
		r = tlog.NodeHash(left, r)
	}
	return r
}
