// Package stats counts what is in a log: records, by type, by hour and by day.
// It follows the log as a view does, but keeps sums only, in memory and in one
// small file, so that asking costs the same however long the log is.
//
// The file is disposable: one that is missing, damaged or of another log is
// counted anew from the first record, in the background. It holds types, times
// and numbers, and nothing about anybody.
package stats

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Log is what is counted: an *eventlog.Log.
type Log interface {
	ID() event.LogID
	Mark() eventlog.Mark
	Now() time.Time
	ReadTo(ctx context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error]
	Wait(ctx context.Context, after event.Position) error
}

// Period is what happened in an hour or on a day, in UTC.
type Period struct {
	Start  time.Time
	Events uint64
	Types  map[string]uint64
}

// Statistics are what was counted.
type Statistics struct {
	Events  uint64         // in the log
	Counted event.Position // so many of them were counted so far
	Bytes   uint64         // of leaves and ciphertexts
	Streams uint64
	Types   map[string]uint64
	First   time.Time // of the first record
	Last    time.Time
	Minute  uint64   // events in the last minute
	Hours   []Period // with events in them, the last 48 at most, oldest first
	Days    []Period // all
}

// TreeDepth is how many hashes a proof of inclusion has at most (RFC 9162
// §2.1.3): the logarithm of the number of leaves, rounded up.
func (s *Statistics) TreeDepth() int {
	if s.Events == 0 {
		return 0
	}
	return bits.Len64(s.Events - 1)
}

// PerSecond is the average rate since the first record.
func (s *Statistics) PerSecond(now time.Time) float64 {
	d := now.Sub(s.First).Seconds()
	if s.First.IsZero() || d < 1 {
		d = 1
	}
	return float64(s.Counted) / d
}

// format is that of the file. Another one is counted anew.
const format = 1

// kept is the file. Hours and days are numbered since 1970.
type kept struct {
	Format   int                         `json:"format"`
	Log      event.LogID                 `json:"log"`
	Position event.Position              `json:"position"`
	Leaf     event.Hash                  `json:"leaf"`
	Bytes    uint64                      `json:"bytes"`
	Streams  uint64                      `json:"streams"`
	First    time.Time                   `json:"first"`
	Last     time.Time                   `json:"last"`
	Types    map[string]uint64           `json:"types"`
	Hours    map[int64]map[string]uint64 `json:"hours"`
	Days     map[int64]map[string]uint64 `json:"days"`
}

const (
	hour, day = 3600, 24 * 3600 // seconds
	hours     = 48              // that are kept
	chunk     = 4096            // records that are counted under one lock
)

// saveEvery is how often the sums are written down while they change.
const saveEvery = 5 * time.Minute

// Counter follows a log. It is safe for concurrent use.
type Counter struct {
	log    Log
	path   string
	logger *slog.Logger
	cancel context.CancelFunc
	gone   chan struct{}

	mu     sync.Mutex // guards what follows
	sums   kept
	recent [60]uint64 // by second
	second int64      // the last of recent
	moved  chan struct{}
}

// Start begins to follow a log. The sums are kept in the file at path. Close
// must be called, before the log is closed.
func Start(ctx context.Context, log Log, path string, logger *slog.Logger) *Counter {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c := &Counter{log: log, path: path, logger: logger, gone: make(chan struct{}), moved: make(chan struct{})}
	if err := c.load(ctx); err != nil {
		c.sums = empty(log.ID())
		if !errors.Is(err, os.ErrNotExist) {
			logger.Warn("the statistics are counted anew", "because", err)
		}
	}
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.run(ctx)
	return c
}

func empty(log event.LogID) kept {
	return kept{Format: format, Log: log, Types: map[string]uint64{}, Hours: map[int64]map[string]uint64{}, Days: map[int64]map[string]uint64{}}
}

// load reads the file, if it is of this log as it is.
func (c *Counter) load(ctx context.Context) error {
	b, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	k := empty(c.log.ID())
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	if k.Format != format || k.Log != c.log.ID() || k.Position > c.log.Mark().Size || k.Types == nil || k.Hours == nil || k.Days == nil {
		return fault.New(fault.Refused, "the file is of another log, or another version's")
	}
	if k.Position > 0 {
		for r, err := range c.log.ReadTo(ctx, event.Everything(), k.Position-1, k.Position) {
			if err != nil {
				return err
			}
			if r.Hash() != k.Leaf {
				return fault.New(fault.Refused, "the file does not follow this log")
			}
		}
	}
	c.sums = k
	return nil
}

// save writes the file whole or not at all.
func (c *Counter) save() error {
	c.mu.Lock()
	b, err := json.Marshal(&c.sums)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.path)
}

// Close writes the sums down and stops. What cannot be written down is counted
// anew by the next start, and so it is no error.
func (c *Counter) Close() error {
	c.cancel()
	<-c.gone
	c.keep()
	return nil
}

func (c *Counter) keep() {
	if err := c.save(); err != nil {
		c.logger.Warn("the statistics cannot be kept", "error", err)
	}
}

// run counts until the context ends.
func (c *Counter) run(ctx context.Context) {
	defer close(c.gone)
	saved := time.Now()
	for ctx.Err() == nil {
		c.mu.Lock()
		at := c.sums.Position
		c.mu.Unlock()
		if c.log.Wait(ctx, at) != nil {
			return
		}
		if err := c.count(ctx, at, min(c.log.Mark().Size, at+chunk)); err != nil && ctx.Err() == nil {
			c.logger.Warn("the statistics cannot follow the log", "error", err)
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
		}
		if time.Since(saved) > saveEvery {
			c.keep()
			saved = time.Now()
		}
	}
}

// count adds the records of (after, upto].
func (c *Counter) count(ctx context.Context, after, upto event.Position) error {
	batch := make([]*event.Record, 0, upto-after)
	for r, err := range c.log.ReadTo(ctx, event.Everything(), after, upto) {
		if err != nil {
			return err
		}
		batch = append(batch, r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range batch {
		c.add(r)
	}
	if n := len(batch); n > 0 {
		c.sums.Leaf = batch[n-1].Hash()
		c.trim()
	}
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

// add counts one record.
func (c *Counter) add(r *event.Record) {
	k, t := &c.sums, r.Time.Unix()
	if k.Position == 0 {
		k.First = r.Time
	}
	k.Position, k.Last = r.Position, r.Time
	k.Bytes += uint64(len(r.Leaf))
	for _, x := range r.Ciphertexts {
		k.Bytes += uint64(len(x))
	}
	if r.Version == 1 {
		k.Streams++
	}
	k.Types[r.Type]++
	into(k.Hours, t/hour)[r.Type]++
	into(k.Days, t/day)[r.Type]++
	c.tick(t)
	if t > c.second-int64(len(c.recent)) { // not while old records are counted anew
		c.recent[t%60]++
	}
}

func into(m map[int64]map[string]uint64, n int64) map[string]uint64 {
	if m[n] == nil {
		m[n] = map[string]uint64{}
	}
	return m[n]
}

// tick forgets the seconds of recent that are over.
func (c *Counter) tick(now int64) {
	for ; c.second < now; c.second++ {
		if now-c.second >= int64(len(c.recent)) {
			c.recent = [60]uint64{}
			c.second = now
			return
		}
		c.recent[(c.second+1)%60] = 0
	}
}

// trim forgets the hours that are long over.
func (c *Counter) trim() {
	last := c.sums.Last.Unix() / hour
	maps.DeleteFunc(c.sums.Hours, func(n int64, _ map[string]uint64) bool { return n <= last-hours })
}
