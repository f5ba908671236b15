package bench

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/ops"
)

// bareWriter writes finished records with their index keys straight into the
// engine: the same group commit and the same pipelining as the log's sequencer,
// but nothing is decided, sealed, looked up, encoded, chained or hashed. It is
// what the engine and the disk can do.
type bareWriter struct {
	store  eventlog.Store
	head   eventlog.Head
	queue  chan *bareWrite
	landed chan error
	stop   chan struct{}
	gone   chan struct{}
	tile   []byte
}

// bareWrite is one record on its way, with all that is stored along with it.
type bareWrite struct {
	batch eventlog.Batch // of this record alone
	done  chan error
}

// bare opens a copy of the instance's store for bare writes; on PostgreSQL,
// which makes no copies, a store with as many people.
func (b *bench) bare(ctx context.Context, in *instance) (*bareWriter, error) {
	if in.engine.dsn != "" {
		e := b.engine()
		store, err := e.open(ctx, "")
		if err != nil {
			return nil, err
		}
		w, err := newBareWriter(ctx, store, in.log.ID())
		if err != nil {
			return nil, err
		}
		return w, w.preload(ctx, in, b.Preload)
	}
	path := filepath.Join(b.dir, "bare")
	if err := in.store.(ops.Snapshotter).Snapshot(path); err != nil {
		return nil, err
	}
	store, err := pebblelog.Open(path, pebblelog.Options{})
	if err != nil {
		return nil, err
	}
	return newBareWriter(ctx, store, in.log.ID())
}

// preload writes people, many at a time.
func (w *bareWriter) preload(ctx context.Context, in *instance, n int) error {
	for n > 0 {
		ops := make([]operation, min(n, 2048))
		for i := range ops {
			r := in.registration()
			drafts, err := in.seal(ctx, r)
			if err != nil {
				return err
			}
			ops[i] = w.prepare(in.log.ID(), r, drafts[0], []eventlog.KeyUse{freshKey(drafts[0], r.command.User)})
		}
		if _, err := together(ctx, min(256, len(ops)), ops); err != nil {
			return err
		}
		n -= len(ops)
	}
	return nil
}

func newBareWriter(ctx context.Context, store eventlog.Store, log event.LogID) (_ *bareWriter, err error) {
	w := &bareWriter{store: store, queue: make(chan *bareWrite, 4096), landed: make(chan error, 1),
		stop: make(chan struct{}), gone: make(chan struct{}), tile: make([]byte, 8192)}
	rand.Read(w.tile)
	if w.head, err = store.Take(ctx, log, event.NewID(), 0); err != nil {
		store.Close()
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *bareWriter) close() error {
	close(w.stop)
	<-w.gone
	return w.store.Close()
}

// prepare finishes a record. Which position its leaf says does not matter here.
func (w *bareWriter) prepare(log event.LogID, r registration, d *event.Draft, fresh []eventlog.KeyUse) operation {
	at := event.Place{Log: log, Position: w.head.Size + 1, Version: 1, Time: time.Now().UTC(), Prev: w.head.Last}
	leaf := d.AppendLeaf(nil, at)
	x := &bareWrite{done: make(chan error, 1), batch: eventlog.Batch{
		Records: []*event.Record{d.Record(at, leaf)}, Terms: [][]event.Term{d.Terms()}, Hashes: []event.Hash{event.LeafHash(leaf)},
		Outcomes: []eventlog.Outcome{{Actor: r.envelope.Actor, Command: r.envelope.Command, First: at.Position, Last: at.Position}}, Keys: fresh}}
	return func(context.Context) error {
		w.queue <- x
		return <-x.done
	}
}

// run commits what waits, and gathers what comes meanwhile.
func (w *bareWriter) run() {
	defer close(w.gone)
	var flying, next []*bareWrite
	stop := w.stop
	for stop != nil || len(next) > 0 || flying != nil {
		if flying == nil && len(next) > 0 {
			flying, next = next, nil
			b := w.merge(flying)
			go func() { w.landed <- w.store.Commit(context.Background(), b) }()
		}
		queue := w.queue
		if len(next) >= 512 {
			queue = nil
		}
		select {
		case x := <-queue:
			next = append(next, x)
			next = w.gather(next)
		case err := <-w.landed:
			for _, x := range flying {
				x.done <- err
			}
			flying = nil
			next = w.gather(next)
		case <-stop:
			stop = nil
		}
	}
}

// gather takes what waits now, without waiting for more.
func (w *bareWriter) gather(xs []*bareWrite) []*bareWrite {
	for len(xs) < 512 {
		select {
		case x := <-w.queue:
			xs = append(xs, x)
		default:
			return xs
		}
	}
	return xs
}

// merge makes one batch of many, with a tile for each 256th record.
func (w *bareWriter) merge(xs []*bareWrite) *eventlog.Batch {
	b := &eventlog.Batch{Log: xs[0].batch.Records[0].Log, Prev: w.head, Next: w.head}
	for _, x := range xs {
		r := x.batch.Records[0]
		b.Next.Size++
		r.Position = b.Next.Size
		if r.Position%256 == 0 {
			b.Tiles = append(b.Tiles, eventlog.Tile{Index: uint64(r.Position) / 256, Data: w.tile})
		}
		b.Records = append(b.Records, r)
		b.Terms = append(b.Terms, x.batch.Terms[0])
		b.Hashes = append(b.Hashes, x.batch.Hashes[0])
		b.Outcomes = append(b.Outcomes, x.batch.Outcomes[0])
		b.Keys = append(b.Keys, x.batch.Keys...)
	}
	b.Next.Last = b.Hashes[len(b.Hashes)-1]
	w.head = b.Next
	return b
}
