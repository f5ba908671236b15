package pebblelog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
)

// committers are the numbers of clients that each wait for their own append.
var committers = []int{1, 16, 64, 256}

// preloaded is how many records stand in the store before it is measured, so
// that lookups have something to miss.
func preloaded() int {
	n := 20_000
	if v := os.Getenv("MUNIMENT_BENCH_PRELOAD"); v != "" {
		fmt.Sscan(v, &n)
	}
	return n
}

// signIn is an event as a sign-in makes it: three sealed fields, a blind tag,
// tags, a context; a leaf of some 400 bytes and a fresh subject every tenth.
type signIn struct {
	mu       sync.Mutex
	n        int
	stream   event.Stream
	subject  event.SubjectID
	key      event.KeyID
	streamed int
}

func (g *signIn) draft() *event.Draft {
	g.mu.Lock()
	if g.n%10 == 0 {
		g.stream, g.subject, g.key = logtest.NewStream("user"), logtest.NewSubject(), logtest.NewKey()
	}
	g.n++
	stream, subject, key := g.stream, g.subject, g.key
	g.mu.Unlock()
	return logtest.New(stream, "session.began",
		logtest.Public(map[string]any{"user": stream.ID, "method": "password", "acr": 1}),
		logtest.Context(map[string]any{"request": event.NewID(), "command": event.NewID(), "source": "api"}),
		logtest.Tags(event.NewTag("user", stream.ID.String()), event.NewTag("org", "0123456789abcdef0123456789abcdef")),
		logtest.Sealed(subject, key, "/ip", "/agent", "/email"),
		logtest.Blind(subject, "email", logtest.RandomHash()))
}

func benchStore(b *testing.B, preload int) (*Store, event.LogID) {
	s := mustOpen(b, b.TempDir(), testOptions(b))
	b.Cleanup(func() { s.Close() })
	id := event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(b.Context(), s, id, eventlog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	g := &signIn{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range preload / 64 / 8 {
				events := make([]*event.Draft, 8)
				for i := range events {
					events[i] = g.draft()
				}
				if _, err := l.Append(b.Context(), logtest.Request(events...)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	settle(b, s)
	return s, id
}

// settle waits until compactions are done, so that none is measured with what
// comes next.
func settle(b *testing.B, s *Store) {
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for range 100 {
		if s.db.Metrics().Compact.NumInProgress == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cpuTime is what the process has used of all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure lets n clients share b.N operations and reports their rate. Requests
// are made before the clock starts.
func measure(b *testing.B, n int, prepare func() func() error) {
	ops := make([]func() error, b.N)
	for i := range ops {
		ops[i] = prepare()
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	before := cpuTime()
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := ops[i](); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/event")
}

// BenchmarkAppend is a provable append: conditions, keys, leaf, hash, tree,
// index; one event per command.
func BenchmarkAppend(b *testing.B) {
	s, id := benchStore(b, preloaded())
	for _, n := range committers {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, err := eventlog.Open(b.Context(), s, id, eventlog.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			g := &signIn{}
			after := l.Mark().Size
			measure(b, n, func() func() error {
				d := g.draft()
				r := logtest.Request(d)
				r.If = event.Condition{Query: event.Query{{All: []event.Term{event.TagTerm(event.NewTag("command", r.Command.String()))}}}, After: after}
				return func() error { _, err := l.Append(context.Background(), r); return err }
			})
		})
	}
}

// BenchmarkBare writes the same records and index keys with the same group
// commit straight to Pebble: nothing decided, looked up, encoded or hashed.
func BenchmarkBare(b *testing.B) {
	s, id := benchStore(b, preloaded())
	for _, n := range committers {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, err := s.Head(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			w := &bareWriter{store: s, log: id, head: h, queue: make(chan *bareWrite, 4096), stop: make(chan struct{})}
			go w.run()
			defer close(w.stop)
			g := &signIn{}
			measure(b, n, func() func() error {
				x := w.prepare(g.draft())
				return func() error {
					w.queue <- x
					return <-x.done
				}
			})
		})
	}
}

type bareWriter struct {
	store *Store
	log   event.LogID
	head  eventlog.Head
	queue chan *bareWrite
	stop  chan struct{}
	size  event.Position
}

type bareWrite struct {
	batch eventlog.Batch
	done  chan error
}

// prepare makes one record, finished, with what is stored along with it.
func (w *bareWriter) prepare(d *event.Draft) *bareWrite {
	w.size++
	at := event.Place{Log: w.log, Position: w.head.Size + w.size, Version: 1, Time: time.Now()}
	leaf := d.AppendLeaf(nil, at)
	rec := d.Record(at, leaf)
	next := w.head
	next.Size = at.Position
	next.Frontier = make([]event.Hash, 12)
	x := &bareWrite{done: make(chan error, 1), batch: eventlog.Batch{Log: w.log, Next: next,
		Records: []*event.Record{rec}, Terms: [][]event.Term{d.Terms()}, Hashes: []event.Hash{sha256.Sum256(leaf)},
		Outcomes: []eventlog.Outcome{{Actor: event.System, Command: event.NewID()}}}}
	for _, b := range d.Blocks {
		if w.size%10 == 1 {
			x.batch.Keys = append(x.batch.Keys, eventlog.KeyUse{Subject: b.Subject, Key: b.Key})
		}
	}
	if w.size%256 == 0 {
		x.batch.Tiles = append(x.batch.Tiles, eventlog.Tile{Index: uint64(w.size), Data: make([]byte, 8192)})
	}
	return x
}

func (w *bareWriter) run() {
	l := &logState{}
	for {
		var xs []*bareWrite
		select {
		case x := <-w.queue:
			xs = append(xs, x)
		case <-w.stop:
			return
		}
		for more := true; more && len(xs) < 512; {
			select {
			case x := <-w.queue:
				xs = append(xs, x)
			default:
				more = false
			}
		}
		b := w.store.db.NewBatch()
		for _, x := range xs {
			l.fillRecords(b, &x.batch)
		}
		l.fillHead(b, &xs[len(xs)-1].batch)
		err := b.Commit(pebble.Sync)
		b.Close()
		for _, x := range xs {
			x.done <- err
		}
	}
}
