package pglog

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// filter is a Bloom filter in memory over the ids that a log holds: events,
// commands, streams, subjects, keys, blind tags. Nearly every id that an append brings is
// new, and each question to the database is a round trip. It is split into
// blocks of 256 bits; an id sets one bit in each of the eight words of its
// block. (pebblelog has the same, over its own keys.)
type filter struct {
	seed  maphash.Seed
	words []uint32     // eight to a block
	room  int64        // ids that it is made for
	n     atomic.Int64 // ids added
}

// bitsPerID gives about one false hit in two hundred.
const bitsPerID = 12

func newFilter(ids int64) *filter {
	blocks := ids*bitsPerID/256 + 1
	return &filter{seed: maphash.MakeSeed(), words: make([]uint32, 8*blocks), room: ids}
}

// salts spread a hash over the words of a block; any odd numbers do.
var salts = [8]uint32{0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5, 0xb55a4f09}

// What an id is of: one may serve for several things.
const (
	ofEvent byte = iota
	ofCommand
	ofStream
	ofSubject
	ofKey
	ofBlind // the digest of a blind tag's term
)

func (f *filter) block(kind byte, v [16]byte) ([]uint32, uint32) {
	h := maphash.Bytes(f.seed, append([]byte{kind}, v[:]...))
	i := (h >> 32) * uint64(len(f.words)/8) >> 32
	return f.words[8*i : 8*i+8], uint32(h)
}

// add may be called from several goroutines, and beside has.
func (f *filter) add(kind byte, v [16]byte) {
	words, h := f.block(kind, v)
	for i := range words {
		atomic.OrUint32(&words[i], 1<<(h*salts[i]>>27))
	}
	f.n.Add(1)
}

func (f *filter) has(kind byte, v [16]byte) bool {
	words, h := f.block(kind, v)
	for i := range words {
		if atomic.LoadUint32(&words[i])&(1<<(h*salts[i]>>27)) == 0 {
			return false
		}
	}
	return true
}

// existence is the filter of one log. It answers only while this process has
// the lease on the log: what another appends is not in it. Losing the log for a
// moment, by a restart of the database say, does not make it useless: if nobody
// appended meanwhile, it is as good as before.
type existence struct {
	mu    sync.Mutex
	f     *filter
	full  bool             // everything stored is in f
	until time.Time        // end of the lease
	ends  [2]eventlog.Head // what the log's end is if nobody else appended: before and behind the last commit
	stop  context.CancelFunc
}

// without reports that an id is certainly not stored.
func (x *existence) without(kind byte, v [16]byte) bool {
	x.mu.Lock()
	f := x.f
	ok := x.full && time.Now().Before(x.until)
	x.mu.Unlock()
	return ok && f != nil && !f.has(kind, v)
}

// lose is called when the log may be another's.
func (x *existence) lose() { x.extend(time.Time{}) }

// extend is called when the lease was prolonged.
func (x *existence) extend(until time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.until = until
}

// unleased is how long whoever took a log by force is believed to hold it after
// each commit: there is no lease that says so.
const unleased = 2 * time.Second

// ending is when a lease that was asked for at a time certainly ends. An eighth
// of it allows for clocks that do not run alike.
func ending(asked time.Time, lease time.Duration) time.Time {
	if lease == 0 {
		lease = unleased
	}
	return asked.Add(lease - lease/8)
}

// committing adds what a batch is about to store.
func (x *existence) committing(b *eventlog.Batch) {
	x.mu.Lock()
	f := x.f
	x.ends = [2]eventlog.Head{b.Prev, b.Next}
	x.mu.Unlock()
	if f == nil {
		return
	}
	for i, r := range b.Records {
		f.add(ofEvent, r.ID)
		for _, t := range b.Terms[i] {
			switch {
			case t.IsBlind():
				f.add(ofBlind, t.Digest())
			case t[0] == 's':
				f.add(ofStream, t.Digest())
			}
		}
	}
	for _, o := range b.Outcomes {
		f.add(ofCommand, o.Command)
	}
	for _, u := range b.Keys {
		f.add(ofSubject, u.Subject.ID)
		f.add(ofKey, u.Key.ID)
	}
}

func streamDigest(s event.Stream) [digestLen]byte { return event.StreamTerm(s).Digest() }

// took is called when the log was taken and ends in h. A filter that is not
// known to be complete is made anew, beside the appends.
func (x *existence) took(s *Store, log event.LogID, h eventlog.Head, until time.Time) {
	if s.opts.Filter < 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	same := func(e eventlog.Head) bool { return e.Size == h.Size && e.Last == h.Last }
	x.until = until
	if x.f != nil && x.f.n.Load() <= x.f.room && (same(x.ends[0]) || same(x.ends[1])) {
		x.ends = [2]eventlog.Head{h, h}
		return // also if it is being filled: what is stored is what it will find
	}
	if x.stop != nil {
		x.stop()
	}
	x.ends = [2]eventlog.Head{h, h}
	x.full = h.Size == 0
	x.f = nil
	room := s.opts.room(h.Size)
	if room == 0 {
		return
	}
	x.f = newFilter(room)
	if x.full {
		return
	}
	ctx, stop := context.WithCancel(s.life)
	x.stop = stop
	f := x.f
	s.beside(func() { x.fill(ctx, s, log, f) })
}

// Where the ids stand of which a filter knows: the holder's, and a follower's.
var (
	allIDs = map[byte]string{
		ofEvent:   `SELECT id, stream FROM record WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
		ofCommand: `SELECT command FROM outcome WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
		ofSubject: `SELECT subject FROM subject WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
		ofBlind:   `SELECT term FROM blind WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
		ofKey:     `SELECT key FROM key WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
	}
	followedIDs = map[byte]string{
		ofStream:  `SELECT stream FROM record WHERE log = (SELECT log FROM log_head WHERE id = $1)`,
		ofSubject: allIDs[ofSubject],
		ofBlind:   allIDs[ofBlind],
	}
)

// fill adds what is stored. Commits add theirs meanwhile.
func (x *existence) fill(ctx context.Context, s *Store, log event.LogID, f *filter) {
	if !fill(ctx, s, log, f, allIDs) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.f == f {
		x.full = true
	}
}

// fill adds what is stored in tables, and reports whether that is all.
func fill(ctx context.Context, s *Store, log event.LogID, f *filter, tables map[byte]string) bool {
	for kind, query := range tables {
		if err := addAll(ctx, s, f, kind, query, log); err != nil {
			if ctx.Err() == nil {
				s.opts.Logger.Warn("the filter of a log's ids cannot be made; appends are slower without", "error", err)
			}
			return false
		}
	}
	return true
}

func addAll(ctx context.Context, s *Store, f *filter, kind byte, query string, log event.LogID) error {
	rows, err := s.reads.Query(ctx, query, pgx.QueryResultFormats{pgx.BinaryFormatCode}, id(log.ID))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		for i, v := range rows.RawValues() {
			if len(v) != 16 {
				continue
			}
			if i == 1 {
				f.add(ofStream, [16]byte(v))
				continue
			}
			f.add(kind, [16]byte(v))
		}
	}
	return rows.Err()
}
