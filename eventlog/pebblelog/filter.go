package pebblelog

import (
	"hash/maphash"
	"sync/atomic"

	"muniment.dev/event"
)

// filter is a Bloom filter in memory over the ids that a log holds: events,
// commands, streams, subjects, keys, and blind tags, such as e-mail addresses
// become. Nearly every id that an append brings is new, and most of what Pebble
// costs a lookup is finding that out. The filter
// is made when a log is first appended to in earnest, from what is stored,
// beside the appends; nothing of it is kept on disk that could be wrong.
//
// It is split into blocks of 256 bits; a key sets one bit in each of the eight
// words of its block.
type filter struct {
	seed  maphash.Seed
	words []uint32     // eight to a block
	room  int64        // keys that it is made for
	n     atomic.Int64 // keys added
}

// bitsPerKey gives about one false hit in two hundred.
const bitsPerKey = 12

func newFilter(keys int64) *filter {
	blocks := keys*bitsPerKey/256 + 1
	return &filter{seed: maphash.MakeSeed(), words: make([]uint32, 8*blocks), room: keys}
}

// salts spread a hash over the words of a block; any odd numbers do.
var salts = [8]uint32{0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5, 0xb55a4f09}

func (f *filter) block(k []byte) ([]uint32, uint32) {
	h := maphash.Bytes(f.seed, k)
	i := (h >> 32) * uint64(len(f.words)/8) >> 32
	return f.words[8*i : 8*i+8], uint32(h)
}

// add may be called from several goroutines, and beside has.
func (f *filter) add(k []byte) {
	words, h := f.block(k)
	for i := range words {
		atomic.OrUint32(&words[i], 1<<(h*salts[i]>>27))
	}
	f.n.Add(1)
}

// has reports whether k may have been added; false is certain.
func (f *filter) has(k []byte) bool {
	words, h := f.block(k)
	for i := range words {
		if atomic.LoadUint32(&words[i])&(1<<(h*salts[i]>>27)) == 0 {
			return false
		}
	}
	return true
}

// existence is the filter of one log as it comes and grows.
type existence struct {
	ready   atomic.Pointer[filter] // complete
	growing atomic.Pointer[filter] // being filled; commits add to it too
	busy    atomic.Bool            // a goroutine fills one
	misses  atomic.Int64
}

// filtered are the kinds of keys in the filter. They are never deleted. Of
// postings only those of blind tags are in it, without their positions.
var filtered = [256]bool{kindEvent: true, kindOutcome: true, kindStream: true, kindSubject: true, kindKey: true}

func isFiltered(k []byte) bool {
	return len(k) > 17 && k[0] == spaceLog && (filtered[k[17]] || isBlind(k))
}

// isBlind reports whether a key is what the postings of a blind tag begin with.
func isBlind(k []byte) bool {
	return len(k) == termKeyLen && k[17] == kindPosting && event.IsBlindDigest([16]byte(k[18:]))
}

// add notes a key that a commit is about to store, if it is one to be known. A filter becomes ready
// before it ceases to grow, so looking in the other order misses none.
func (x *existence) add(k []byte) {
	if !isFiltered(k) {
		return
	}
	if f := x.growing.Load(); f != nil {
		f.add(k)
	}
	if f := x.ready.Load(); f != nil {
		f.add(k)
	}
}

// without reports that k is certainly not stored.
func (x *existence) without(k []byte) bool {
	f := x.ready.Load()
	return f != nil && isFiltered(k) && !f.has(k)
}

// wants reports whether a filter should be made now, or a larger one.
func (x *existence) wants(after int64) bool {
	if f := x.ready.Load(); f != nil {
		return f.n.Load() > f.room && !x.busy.Load()
	}
	return x.misses.Load() > after && !x.busy.Load()
}

// grow makes a filter for a log, or a larger one, and fills it. At most one
// goroutine does so for a log; one that finds no room leaves busy set, so that
// nobody tries again.
func (s *Store) grow(log event.LogID, l *logState) {
	x := &l.exists
	if !x.busy.CompareAndSwap(false, true) {
		return
	}
	// No commit is under way while the new filter is put in place: what is
	// committed later is added by the commit, what was before is found below.
	l.mu.Lock()
	keys := s.opts.filterRoom
	if l.head != nil {
		keys += 7 * int64(l.head.Size)
	}
	if f := x.ready.Load(); f != nil {
		keys = max(keys, 2*f.room)
	}
	if keys*bitsPerKey/8 > s.opts.Filter {
		l.mu.Unlock()
		x.ready.Store(nil) // too full to be of use
		return
	}
	f := newFilter(keys)
	x.growing.Store(f)
	l.mu.Unlock()
	if err := s.fillFilter(log, f); err != nil {
		x.growing.Store(nil)
		s.opts.Logger.Warn("the filter of a log's ids cannot be made; appends are slower without", "error", err)
		return
	}
	x.ready.Store(f) // in this order: see add
	x.growing.Store(nil)
	x.busy.Store(false)
}

func (s *Store) fillFilter(log event.LogID, f *filter) error {
	var k key
	for _, kind := range []byte{kindEvent, kindOutcome, kindStream, kindSubject, kindKey} {
		prefix := append([]byte(nil), k.in(log, kind)...)
		for kv, err := range s.scan(prefix, successor(prefix), false) {
			if err != nil {
				return err
			}
			f.add(kv.key)
		}
	}
	low := append(k.in(log, kindPosting), 0x80) // blind tags
	for kv, err := range s.scan(low, successor(low[:18]), false) {
		if err != nil {
			return err
		}
		f.add(kv.key[:termKeyLen])
	}
	return nil
}
