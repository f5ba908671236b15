// Package eventlog is the log: the records of one instance in one gapless
// order, to which events are appended durably, atomically and conditionally.
//
// A Log is one log of a Store (the engine). Its sequencer drains waiting
// appends, checks each one's condition in order, gives positions and time,
// hashes, commits once and wakes all; there is no timer. What is promised:
//
//   - Positions are contiguous from 1, in the order of commits.
//   - An append that was acknowledged is durable; one that failed left nothing;
//     one whose outcome is not known fails with fault.Unknown and may be
//     repeated under the same command id.
//   - Reads stop at the mark, the last durable and acknowledged position.
//   - A command id does its work once per actor.
//   - A sealed block uses a key that is alive at its position.
//
// Design: docs/concepts.md, "The log".
package eventlog

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Request is one command's append.
type Request struct {
	Actor   event.Actor
	Command event.ID        // idempotency key within the actor
	Digest  event.Hash      // of what the command asks for; a repeat must bring the same
	Events  []*event.Draft  // at least one; appended together, in order
	If      event.Condition // what must still hold
	// Generation is the log id of the generation that the request begins; its
	// only event is then log.continued. Zero, as nearly always: none.
	Generation event.LogID
}

// Appended is what an append did, now or, if Replayed, when the command came
// first.
type Appended struct {
	Log         event.LogID // in the records' leaves: that of their generation
	First, Last event.Position
	Time        time.Time
	Replayed    bool
}

// Between is the cause of a failed condition: the first record that came
// between the facts and the append.
type Between struct {
	Position event.Position
	Type     string
}

// Error says what came between.
func (b *Between) Error() string {
	return fault.New(fault.Conflict, "%s at position %d came between", b.Type, b.Position).Msg
}

// ErrVersion says that a stream is not at the version that a condition names.
var ErrVersion = fault.New(fault.Conflict, "the object was changed meanwhile")

// ErrCommandReused refuses a command id that stands for another request.
var ErrCommandReused = fault.New(fault.Refused, "this command id was already used for a different request; take a new one")

// ErrKeyTaken asks to seal again: the subject has another live key, or the key
// is another's.
var ErrKeyTaken = fault.New(fault.Conflict, "the subject's key was assigned meanwhile; seal again with the assigned key")

// ErrKeyUnnamed asks to decide an erasure again: the subject has a live key
// that it does not name.
var ErrKeyUnnamed = fault.New(fault.Conflict, "the subject was given a key meanwhile; erase again with that key named")

// ErrSubjectErased refuses to seal anything for a subject that was erased.
var ErrSubjectErased = fault.New(fault.Erased, "the subject was erased; nothing can be recorded about it any more")

// ErrEventExists refuses an event id that is stored already.
var ErrEventExists = fault.New(fault.Exists, "an event with this id is stored already")

// Options of a log. The zero value is usable.
type Options struct {
	Clock   func() time.Time // default time.Now
	Term    uint64           // the least term to take, from the register
	Queue   int              // how many appends may wait; default 4096
	Batch   int              // how many appends share a commit at most; default 512
	Window  int              // how many recent records stay in memory; default 8192
	MaxSkew time.Duration    // how far the clock may run behind the last record; default 5 s
	Holder  event.ID         // default random
	Logger  *slog.Logger
	// Observer is told what the log does; nobody if nil.
	Observer Observer

	// Lease, of a Shared store, makes the log one of several nodes': it is taken
	// only while nobody else has a lease on it, and followed otherwise. 0: it is
	// taken from whoever holds it.
	Lease time.Duration
	// Address is where the others reach this node; empty: they cannot.
	Address string
	// Forward appends through the node that holds the log, by its AppendHere.
	// ErrMoved in the chain, of any kind but fault.Unknown, says that nothing
	// was appended there, and that another may hold the log by now. Nil: nothing is forwarded.
	Forward func(context.Context, Held, Request) (Appended, error)
	// Hear asks the node that holds the log what it published behind a position,
	// by its Hand. Nil: the store is asked.
	Hear func(context.Context, Held, event.Position) (Handed, error)
	// Admit is asked each time that the log was taken, before anything is
	// appended; with an error it is left to others. A term that is returned is
	// the least under which it may be taken. May be nil.
	Admit func(context.Context, Mark) (uint64, error)
}

// DefaultLease is a lease that suits most: so long do writes stop when the node
// that holds the log dies.
const DefaultLease = 5 * time.Second

func (o *Options) defaults() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	if o.Batch == 0 {
		o.Batch = 512
	}
	if o.Window == 0 {
		o.Window = 8192
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = 5 * time.Second
	}
	if o.Holder.IsZero() {
		o.Holder = event.NewID()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
}

// Log is one log. It is safe for concurrent use.
type Log struct {
	store Store
	id    event.LogID
	opts  Options

	queue chan *waiter
	stop  chan struct{} // closed when the log is to stop
	gone  chan struct{} // closed when the sequencer has stopped
	close sync.Once

	mark        atomic.Pointer[Mark]
	lost        atomic.Pointer[fault.Error] // why the store is not the one that was read from; nil: it is
	generations atomic.Pointer[[]Generation]

	mu     sync.RWMutex // guards recent and moved
	recent window
	moved  chan struct{} // closed and replaced when the mark moves
	purged uint64        // how often recent forgot a subject

	nodes *nodes // of a log that several nodes share; else nil
}

// Mark is the end of what is durable and acknowledged.
type Mark struct {
	Size event.Position
	Root event.Hash // Merkle tree hash of the first Size leaves
	Last event.Hash
	Time time.Time
	Term uint64
}

// Open takes a log of the store, making it if it does not exist, and starts
// its sequencer. With a lease it follows the log if another holds it. Close
// must be called.
func Open(ctx context.Context, store Store, id event.LogID, opts Options) (*Log, error) {
	opts.defaults()
	l := &Log{store: store, id: id, opts: opts,
		queue: make(chan *waiter, opts.Queue), stop: make(chan struct{}), gone: make(chan struct{}), moved: make(chan struct{})}
	l.recent = window{max: opts.Window}
	s := &sequencer{log: l, landed: make(chan error, 1)}
	take := s.take
	if shared, ok := store.(Shared); ok && opts.Lease > 0 {
		l.nodes = newNodes(shared, opts.Lease)
		s.peer = &peer{}
		take = s.join
	}
	if err := take(ctx); err != nil {
		l.nodes.end()
		return nil, fault.Wrap("open the log", err)
	}
	go s.run()
	if l.nodes != nil {
		l.nodes.work.Go(l.watch)
		if opts.Hear != nil {
			l.nodes.work.Go(l.hear)
		}
	}
	return l, nil
}

// ID returns the log's id, which is that of its first generation.
func (l *Log) ID() event.LogID { return l.id }

// Store returns the engine below, for what reads tiles and checkpoints.
func (l *Log) Store() Store { return l.store }

// Mark returns the end of what may be read.
func (l *Log) Mark() Mark { return *l.mark.Load() }

// Now returns the log's clock.
func (l *Log) Now() time.Time { return l.opts.Clock().UTC() }

// Close refuses new appends, finishes those that wait, and stops. It does not
// close the store. It may be called again.
func (l *Log) Close() error {
	l.close.Do(func() { close(l.stop) })
	<-l.gone
	l.nodes.end()
	return nil
}

// Append appends the request's events if its condition holds. It returns when
// they are durable. Errors by kind:
//
//   - Conflict: the condition failed (cause *Between), ErrKeyTaken or ErrKeyUnnamed. Decide again.
//   - Refused: ErrCommandReused.
//   - Exists: ErrEventExists. Erased: ErrSubjectErased. Invalid, Exhausted: the events themselves.
//   - Unavailable: nothing was appended; try later.
//   - Unknown: it may have been appended; repeat with the same command id.
func (l *Log) Append(ctx context.Context, r Request) (Appended, error) {
	return l.append(ctx, r, false)
}

// AppendHere is Append for what another node forwards: if this node does not
// hold the log, nothing is appended and the error is ErrMoved.
func (l *Log) AppendHere(ctx context.Context, r Request) (Appended, error) {
	return l.append(ctx, r, true)
}

func (l *Log) append(ctx context.Context, r Request, here bool) (Appended, error) {
	if l.queue == nil {
		return Appended{}, errReadOnly
	}
	events, err := prepare(r.Events)
	if err != nil {
		return Appended{}, err
	}
	w := &waiter{req: r, events: events, here: here, done: make(chan struct{})}
	stopping := errStopping
	if here {
		stopping = ErrMoved
	}
	select {
	case <-l.stop:
		return Appended{}, stopping
	default:
	}
	select {
	case l.queue <- w:
	default:
		return Appended{}, fault.New(fault.Exhausted, "too many changes are waiting to be recorded; try again in a moment")
	}
	select {
	case <-w.done:
		return w.res, w.err
	case <-l.gone:
		return w.left(stopping)
	case <-ctx.Done():
		return w.left(&fault.Error{Kind: fault.Unavailable, Msg: "the request ended before its change was recorded; nothing was changed", Err: ctx.Err()})
	}
}

var errStopping = fault.New(fault.Unavailable, "the server is stopping; try again in a moment")

// Outcome returns what a command did before; false if nothing is known of it.
// A digest that differs gives ErrCommandReused. fault.Unknown: it was done, and
// cannot be read at the moment.
func (l *Log) Outcome(ctx context.Context, actor event.Actor, command event.ID, digest event.Hash) (Appended, bool, error) {
	o, ok, err := l.store.Outcome(ctx, l.id, actor, command)
	if err != nil || !ok || o.Last > l.Mark().Size {
		return Appended{}, false, fault.Wrap("look up the command", err)
	}
	if o.Digest != digest {
		return Appended{}, false, ErrCommandReused
	}
	a, err := l.replayed(ctx, o)
	if fault.Is(err, fault.Unavailable) { // which would say that nothing happened
		err = &fault.Error{Kind: fault.Unknown, Msg: "what this command did cannot be read at the moment; repeat it with the same command id", Err: err}
	}
	return a, err == nil, err
}

func (l *Log) replayed(ctx context.Context, o Outcome) (Appended, error) {
	a := Appended{Log: l.GenerationAt(o.First), First: o.First, Last: o.Last, Replayed: true}
	for r, err := range l.store.Records(ctx, l.id, o.Last, o.Last) {
		if err != nil {
			return a, Unread(err)
		}
		a.Time = r.Time
	}
	return a, nil
}

// Unread is what to say if a command stands in the log, and what it did cannot be
// read: nobody may take that for a command that was not done.
func Unread(err error) error {
	if fault.Is(err, fault.Corrupt) {
		return fault.Wrap("read the command's records", err)
	}
	return &fault.Error{Kind: fault.Unknown, Op: "read the command's records", Msg: "the command may have been done, and what it did cannot be read at the moment; repeat it with the same command id to learn the outcome", Err: err}
}

// AssignedKey returns the key that a subject's sealed blocks must use: Present
// with the key, Absent if none is assigned yet, or Erased.
func (l *Log) AssignedKey(ctx context.Context, s event.SubjectID) (event.KeyID, event.State, error) {
	if l.absent(event.SubjectTerm(s), l.Mark().Size) {
		return event.KeyID{}, event.Absent, nil
	}
	use, ok, err := l.store.Subject(ctx, l.id, s)
	if err != nil || !ok {
		return event.KeyID{}, event.Absent, fault.Wrap("look up a subject's key", err)
	}
	if use.Erased {
		use.Erased, err = l.erased(ctx, s)
	}
	switch {
	case err != nil:
		return event.KeyID{}, event.Absent, fault.Wrap("look up a subject's key", err)
	case use.Erased:
		return use.Key, event.Erased, nil
	case use.Key.IsZero():
		return use.Key, event.Absent, nil
	}
	return use.Key, event.Present, nil
}

// erased reports whether a subject's erasure stands before the mark. An engine
// may show one that is not durable yet, and nobody must be told of it. Ours
// carry a tag by which they are found; the record format does not ask for it.
func (l *Log) erased(ctx context.Context, s event.SubjectID) (bool, error) {
	for _, t := range []event.Term{event.TagTerm(event.NewTag("subject", s.String())), event.TypeTerm(typeErased)} {
		for r, err := range l.ReadBack(ctx, event.OfTerm(t, typeErased), 0) {
			var e erasure
			if err != nil || event.Strict.Unmarshal(r.Public, &e) == nil && e.Subject == s {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// Started reports whether a stream has a record. That of one past the mark may
// be seen or not.
func (l *Log) Started(ctx context.Context, s event.Stream) (bool, error) {
	if l.absent(event.StreamTerm(s), l.Mark().Size) {
		return false, nil
	}
	_, ok, err := l.store.Stream(ctx, l.id, s)
	return ok, fault.Wrap("look a stream up", err)
}

// Wait returns when the mark is past after, or when the context ends.
func (l *Log) Wait(ctx context.Context, after event.Position) error {
	for {
		l.mu.RLock()
		moved := l.moved
		l.mu.RUnlock()
		if l.Mark().Size > after {
			return nil
		}
		select {
		case <-moved:
		case <-l.stop:
			return errStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Record returns the record at p; fault.NotFound if p is past the mark or 0.
func (l *Log) Record(ctx context.Context, p event.Position) (*event.Record, error) {
	if p == 0 || p > l.Mark().Size {
		return nil, fault.New(fault.NotFound, "there is no record at position %d; the last one is %d", p, l.Mark().Size)
	}
	for r, err := range l.between(ctx, p, p) {
		return r, err
	}
	return nil, fault.New(fault.Corrupt, "the record at position %d is missing", p)
}

// Read yields the records that q selects after a position, up to the mark as
// it is when Read is called, in order. It stops at the first error.
func (l *Log) Read(ctx context.Context, q event.Query, after event.Position) iter.Seq2[*event.Record, error] {
	return l.ReadTo(ctx, q, after, l.Mark().Size)
}

// Erase deletes a subject's ciphertexts and blind tags from the store and from
// memory. It may be repeated. The log must hold the subject's erasure already.
func (l *Log) Erase(ctx context.Context, s event.SubjectID, progress func(done int)) error {
	l.Forget(s)
	return fault.Wrap("erase a subject from the log", l.store.Erase(ctx, l.id, s, progress))
}

// Forget is Erase as far as this process's memory goes: another node erases
// from the store.
func (l *Log) Forget(s event.SubjectID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent.forget(s)
	l.purged++
}
