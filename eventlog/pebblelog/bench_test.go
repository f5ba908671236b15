package pebblelog

import (
	"context"
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
	mu      sync.Mutex
	n       int
	stream  event.Stream
	subject event.SubjectID
	key     event.KeyID
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

// share lets n clients share the operations and returns how long they took.
func share(b *testing.B, n int, ops []func() error) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range n {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ops)); i = next.Add(1) - 1 {
				if err := ops[i](); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// measure is share with the clock and the processor time reported. Requests
// are made before the clock starts.
func measure(b *testing.B, n int, prepare func() func() error) {
	ops := make([]func() error, b.N)
	for i := range ops {
		ops[i] = prepare()
	}
	b.ReportAllocs()
	before := cpuTime()
	b.ResetTimer()
	share(b, n, ops)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/event")
}

// provable returns how to make appends as they are in earnest: a condition,
// keys, a leaf, hashes, the tree, the index; one event per command.
func provable(l *eventlog.Log) func() func() error {
	g := &signIn{}
	after := l.Mark().Size
	return func() func() error {
		r := logtest.Request(g.draft())
		r.If = event.Condition{Query: event.OfTerm(event.TagTerm(event.NewTag("command", r.Command.String()))), After: after}
		return func() error { _, err := l.Append(context.Background(), r); return err }
	}
}

func BenchmarkAppend(b *testing.B) {
	s, id := benchStore(b, preloaded())
	for _, n := range committers {
		b.Run(fmt.Sprint(n), func(b *testing.B) { measure(b, n, provable(openBench(b, s, id))) })
	}
}

func openBench(b *testing.B, s *Store, id event.LogID) *eventlog.Log {
	l, err := eventlog.Open(b.Context(), s, id, eventlog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// BenchmarkBare writes the same records and index keys with the same group
// commit straight to Pebble: nothing decided, looked up, encoded or hashed.
func BenchmarkBare(b *testing.B) {
	s, id := benchStore(b, preloaded())
	for _, n := range committers {
		b.Run(fmt.Sprint(n), func(b *testing.B) { measure(b, n, newBareWriter(b, s, id).prepare()) })
	}
}

// BenchmarkRatio runs both in turns, so that what else the machine does hits
// both, and reports provable by bare.
func BenchmarkRatio(b *testing.B) {
	s, id := benchStore(b, preloaded())
	bareStore, bareID := benchStore(b, preloaded())
	for _, n := range committers {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, w := openBench(b, s, id), newBareWriter(b, bareStore, bareID)
			appends, bares := provable(l), w.prepare()
			var tookAppend, tookBare, cpuAppend, cpuBare time.Duration
			const turn = 4000
			for done := 0; done < b.N; done += turn {
				a, w := make([]func() error, min(turn, b.N-done)), make([]func() error, min(turn, b.N-done))
				for i := range a {
					a[i], w[i] = appends(), bares()
				}
				t0 := cpuTime()
				tookAppend += share(b, n, a)
				t1 := cpuTime()
				tookBare += share(b, n, w)
				cpuAppend, cpuBare = cpuAppend+t1-t0, cpuBare+cpuTime()-t1
			}
			b.ReportMetric(float64(b.N)/tookAppend.Seconds(), "provable/s")
			b.ReportMetric(float64(b.N)/tookBare.Seconds(), "bare/s")
			b.ReportMetric(tookBare.Seconds()/tookAppend.Seconds(), "ratio")
			b.ReportMetric(cpuBare.Seconds()/cpuAppend.Seconds(), "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type bareWriter struct {
	store *Store
	log   event.LogID
	head  eventlog.Head
	queue chan *bareWrite
	size  event.Position
}

type bareWrite struct {
	records *pebble.Batch // what one record needs, ready to be written
	head    []byte
	done    chan error
}

func newBareWriter(b *testing.B, s *Store, id event.LogID) *bareWriter {
	h, err := s.Head(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	w := &bareWriter{store: s, log: id, head: h, queue: make(chan *bareWrite, 4096)}
	b.Cleanup(func() { close(w.queue) })
	go w.run()
	return w
}

// prepare returns how to make one record, finished, with what is stored along
// with it.
func (w *bareWriter) prepare() func() func() error {
	g := &signIn{}
	return func() func() error {
		x := w.write(g.draft())
		return func() error {
			w.queue <- x
			return <-x.done
		}
	}
}

func (w *bareWriter) write(d *event.Draft) *bareWrite {
	w.size++
	at := event.Place{Log: w.log, Position: w.head.Size + w.size, Version: 1, Time: time.Now()}
	leaf := d.AppendLeaf(nil, at)
	next := w.head
	next.Size, next.Frontier = at.Position, make([]event.Hash, 12)
	b := eventlog.Batch{Log: w.log, Next: next,
		Records: []*event.Record{d.Record(at, leaf)}, Terms: [][]event.Term{d.Terms()}, Hashes: []event.Hash{{}},
		Outcomes: []eventlog.Outcome{{Actor: event.System, Command: event.NewID()}}}
	if w.size%10 == 1 {
		b.Keys = []eventlog.KeyUse{{Subject: d.Blocks[0].Subject, Key: d.Blocks[0].Key}}
	}
	if w.size%256 == 0 {
		b.Tiles = []eventlog.Tile{{Index: uint64(w.size), Data: make([]byte, 8192)}}
	}
	x := &bareWrite{records: w.store.db.NewBatch(), head: appendHead(nil, next), done: make(chan error, 1)}
	(&logState{}).fillRecords(x.records, &b)
	return x
}

// run is the plainest group commit: whoever waits now shares one sync.
func (w *bareWriter) run() {
	var k key
	for x := range w.queue {
		xs := []*bareWrite{x}
		for len(w.queue) > 0 && len(xs) < 512 {
			xs = append(xs, <-w.queue)
		}
		b := w.store.db.NewBatch()
		for _, x := range xs {
			_ = b.Apply(x.records, nil)
		}
		put(b, k.head(w.log), xs[len(xs)-1].head)
		err := b.Commit(pebble.Sync)
		b.Close()
		for _, x := range xs {
			x.done <- err
		}
	}
}
