package logtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var orderTests = []test{
	{"positions are contiguous and batches whole", contiguous},
	{"logs of one store are separate", separate},
	{"a refused append does not disturb its batch", companions},
	{"bad events are refused", badEvents},
	{"time never runs back", clock},
	{"a full queue refuses", overflow},
	{"a withdrawn append leaves nothing", withdrawn},
	{"closing finishes or refuses what waits", closing},
}

// Requirement E02: one gapless order; the events of one append stand together.
func contiguous(f *fixture) {
	f.open(eventlog.Options{Batch: 7})
	const writers, each = 8, 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	owner := map[event.Position]int{}
	for w := range writers {
		wg.Go(func() {
			stream := NewStream("user")
			for i := range each {
				var events []*event.Draft
				for range 1 + i%3 {
					events = append(events, New(stream, "user.noted"))
				}
				a, err := f.log.Append(f.ctx, Request(events...))
				if err != nil || int(a.Last-a.First)+1 != len(events) {
					f.Errorf("append: %v, %+v", err, a)
					return
				}
				mu.Lock()
				for p := a.First; p <= a.Last; p++ {
					if _, taken := owner[p]; taken {
						f.Errorf("position %d was given twice", p)
					}
					owner[p] = w
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if size := f.log.Mark().Size; int(size) != len(owner) {
		f.Fatalf("the mark is %d after %d events", size, len(owner))
	}
	f.check()
}

func separate(f *fixture) {
	f.open(eventlog.Options{})
	stream := NewStream("user")
	d := New(stream, "user.noted", Tags("a:b"))
	r := Request(d)
	f.append(r)
	first, other := f.id, event.LogID{ID: event.NewID()}
	if _, err := f.store.Head(f.ctx, other); !fault.Is(err, fault.NotFound) {
		f.Fatalf("the head of a log that does not exist: %v", err)
	}
	f.id = other
	f.open(eventlog.Options{})
	again := *d
	r.Events = []*event.Draft{&again, New(stream, "user.noted")}
	if a := f.append(r); a.First != 1 || a.Last != 2 || a.Replayed {
		f.Fatalf("the other log answered %+v", a)
	}
	logs, err := f.store.Logs(f.ctx)
	if err != nil || len(logs) != 2 {
		f.Fatalf("logs: %v, %v", logs, err)
	}
	for _, id := range []event.LogID{first, other} {
		if err := Check(f.ctx, f.store, id); err != nil {
			f.Fatal(err)
		}
	}
}

// gated opens the log over a gate and starts an append that the gate holds, so
// that what is appended next shares a batch.
func (f *fixture) gated(opts eventlog.Options) (release func()) {
	f.Helper()
	g := &gate{Store: f.store}
	f.openOn(g, opts)
	hold := make(chan struct{})
	g.set(hold, nil)
	done := make(chan error, 1)
	go func() {
		_, err := f.log.Append(f.ctx, Request(New(NewStream("user"), "user.first")))
		done <- err
	}()
	f.soon("the first commit is held", func() bool { return g.waiting() == 1 })
	var once sync.Once
	release = func() {
		once.Do(func() {
			g.set(nil, nil)
			close(hold)
			if err := <-done; err != nil {
				f.Errorf("the append that was held: %v", err)
			}
		})
	}
	f.Cleanup(release)
	return release
}

// together appends requests at once, so that they share a batch behind one
// that is held, and returns their errors.
func (f *fixture) together(opts eventlog.Options, requests ...eventlog.Request) ([]eventlog.Appended, []error) {
	release := f.gated(opts)
	as, errs := make([]eventlog.Appended, len(requests)), make([]error, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() { as[i], errs[i] = f.log.Append(f.ctx, r) })
	}
	time.Sleep(20 * time.Millisecond) // so that they all wait; the result does not depend on it
	release()
	wg.Wait()
	return as, errs
}

func companions(f *fixture) {
	big := New(NewStream("user"), "user.noted", Public(map[string]any{"x": make([]byte, event.MaxLeaf)}))
	good := []eventlog.Request{Request(New(NewStream("user"), "user.noted")), Request(New(NewStream("user"), "user.noted"))}
	stale := If(event.Condition{Streams: map[event.Stream]uint64{NewStream("user"): 3}}, New(NewStream("user"), "user.noted"))
	_, errs := f.together(eventlog.Options{}, good[0], Request(big), stale, good[1])
	if errs[0] != nil || errs[3] != nil {
		f.Fatalf("good appends failed: %v, %v", errs[0], errs[3])
	}
	if !fault.Is(errs[1], fault.Exhausted) || !fault.Is(errs[2], fault.Conflict) {
		f.Fatalf("too large: %v; stale: %v", errs[1], errs[2])
	}
	if size := f.log.Mark().Size; size != 3 {
		f.Fatalf("the log has %d records, want 3", size)
	}
	f.check()
}

// What could not be read back must not be stored.
func badEvents(f *fixture) {
	f.open(eventlog.Options{})
	s, k := NewSubject(), NewKey()
	for name, spoil := range map[string]func(*event.Draft){
		"no id":               func(d *event.Draft) { d.ID = event.ID{} },
		"stream kind":         func(d *event.Draft) { d.Stream.Kind = "A b" },
		"type":                func(d *event.Draft) { d.Type = "" },
		"revision":            func(d *event.Draft) { d.Revision = 0 },
		"actor":               func(d *event.Draft) { d.Actor.Kind = "" },
		"payload, no map":     func(d *event.Draft) { d.Public = []byte{0x01} },
		"payload, cut":        func(d *event.Draft) { d.Public = []byte{0xa1, 0x01} },
		"context, two values": func(d *event.Draft) { d.Context = []byte{0xa0, 0xa0} },
		"tags, order":         func(d *event.Draft) { d.Tags = []event.Tag{"b:1", "a:1"} },
		"tags, twice":         func(d *event.Draft) { d.Tags = []event.Tag{"a:1", "a:1"} },
		"tags, text":          func(d *event.Draft) { d.Tags = []event.Tag{"a:\xff"} },
		"ciphertext missing":  func(d *event.Draft) { d.Ciphertexts = nil },
		"ciphertext empty":    func(d *event.Draft) { d.Ciphertexts[0] = nil },
		"key":                 func(d *event.Draft) { d.Blocks[0].Key = event.KeyID{} },
		"blocks, twice": func(d *event.Draft) {
			d.Blocks = append(d.Blocks, d.Blocks[0])
			d.Ciphertexts = append(d.Ciphertexts, d.Ciphertexts[0])
		},
		"paths, order":        func(d *event.Draft) { d.Blocks[0].Fields = []event.Commitment{{Path: "/b"}, {Path: "/a"}} },
		"blind tag of nobody": func(d *event.Draft) { d.Blind = []event.BlindTag{{Subject: NewSubject(), Name: "x"}} },
		"erasure of nothing":  func(d *event.Draft) { d.Type = "subject.erased" },
	} {
		d := New(NewStream("user"), "user.noted", Sealed(s, k, "/a"))
		spoil(d)
		if _, err := f.log.Append(f.ctx, Request(d)); !fault.Is(err, fault.Invalid) {
			f.Errorf("%s: got %v, want a fault of kind %q", name, err, fault.Invalid)
		}
	}
	if size := f.log.Mark().Size; size != 0 {
		f.Fatalf("%d bad events were stored", size)
	}
}

// Time is max(clock, last); a clock that is far behind refuses to write.
func clock(f *fixture) {
	var now atomic.Int64
	now.Store(1_700_000_000_000_000)
	f.open(eventlog.Options{MaxSkew: time.Second, Clock: func() time.Time { return time.UnixMicro(now.Load()) }})
	note := func() eventlog.Request { return Request(New(NewStream("user"), "user.noted")) }
	first := f.append(note())
	now.Add(-500_000)
	if a := f.append(note()); !a.Time.Equal(first.Time) {
		f.Fatalf("with the clock a little behind: %v after %v", a.Time, first.Time)
	}
	now.Add(-1_000_000)
	f.refused(note(), fault.Unavailable)
	now.Add(2_000_000)
	if a := f.append(note()); !a.Time.After(first.Time) || a.Last != 3 {
		f.Fatalf("with the clock right again: %+v", a)
	}
	f.check()
}

func overflow(f *fixture) {
	release := f.gated(eventlog.Options{Queue: 2, Batch: 1})
	var wg sync.WaitGroup
	var ok, full atomic.Int32
	for range 12 {
		wg.Go(func() {
			switch _, err := f.log.Append(f.ctx, Request(New(NewStream("user"), "user.noted"))); {
			case err == nil:
				ok.Add(1)
			case fault.Is(err, fault.Exhausted):
				full.Add(1)
			default:
				f.Errorf("append: %v", err)
			}
		})
	}
	// One can be in the batch that is built and two in the queue.
	f.soon("nine appends are refused", func() bool { return full.Load() >= 9 })
	release()
	wg.Wait()
	if size := f.log.Mark().Size; int32(size) != ok.Load()+1 {
		f.Fatalf("%d were acknowledged, %d are stored", ok.Load()+1, size)
	}
	f.check()
}

func withdrawn(f *fixture) {
	release := f.gated(eventlog.Options{Batch: 1})
	late, cancelLate := contextWithCancel(f)
	filler := make(chan error, 1)
	go func() { // takes the one place in the next batch
		_, err := f.log.Append(late, Request(New(NewStream("user"), "user.late")))
		filler <- err
	}()
	time.Sleep(10 * time.Millisecond)
	ctx, cancel := contextWithCancel(f)
	gone := make(chan error, 1)
	lost := Request(New(NewStream("user"), "user.lost"))
	go func() {
		_, err := f.log.Append(ctx, lost)
		gone <- err
	}()
	time.Sleep(10 * time.Millisecond)
	cancel()
	if err := <-gone; !fault.Is(err, fault.Unavailable) {
		f.Fatalf("withdrawn while waiting: %v", err)
	}
	cancelLate()
	if err := <-filler; !fault.Is(err, fault.Unknown) {
		f.Fatalf("withdrawn while being recorded: %v", err)
	}
	release()
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.equal(f.read(event.OfTerm(event.TypeTerm("user.lost")), 0), nil)
	f.equal(f.read(event.OfTerm(event.TypeTerm("user.late")), 0), []event.Position{2})
	f.check()
}

func closing(f *fixture) {
	release := f.gated(eventlog.Options{Batch: 2})
	var wg sync.WaitGroup
	var ok atomic.Int32
	for range 20 {
		wg.Go(func() {
			_, err := f.log.Append(f.ctx, Request(New(NewStream("user"), "user.noted")))
			if err == nil {
				ok.Add(1)
			} else if !fault.Is(err, fault.Unavailable) {
				f.Errorf("append: %v", err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	closed := make(chan struct{})
	log := f.log
	go func() { log.Close(); close(closed) }()
	release()
	<-closed
	wg.Wait()
	if _, err := log.Append(f.ctx, Request(New(NewStream("user"), "user.noted"))); !fault.Is(err, fault.Unavailable) {
		f.Fatalf("append after close: %v", err)
	}
	if err := log.Wait(f.ctx, 1000); err == nil || errors.Is(err, f.ctx.Err()) && f.ctx.Err() != nil {
		f.Fatalf("wait after close: %v", err)
	}
	h, err := f.store.Head(f.ctx, f.id)
	if err != nil || int32(h.Size) != ok.Load()+1 {
		f.Fatalf("%d were acknowledged, %d are stored (%v)", ok.Load()+1, h.Size, err)
	}
	f.check()
}
