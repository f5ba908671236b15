package eventlog

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// The states of a waiter. Whoever swaps it away from waiting owns the outcome.
const (
	waiting int32 = iota
	taken
	withdrawn
)

// waiter is an append that waits for the sequencer.
type waiter struct {
	req    Request
	events []prepared
	here   bool // not to be forwarded
	begun  bool // it may stand in the log already
	parked time.Time
	state  atomic.Int32
	res    Appended
	err    error
	done   chan struct{}
}

func (w *waiter) finish(res Appended, err error) {
	if w.begun && fault.Is(err, fault.Unavailable) { // which would say that nothing was changed
		err = commitFault(fault.Wrap("look again what became of it", &fault.Error{Kind: fault.Unknown, Err: err}))
	}
	w.res, w.err = res, err
	close(w.done)
}

// left is the answer to one who does not wait any longer: why, if the append
// was still waiting and is now withdrawn, else that nobody knows yet.
func (w *waiter) left(why error) (Appended, error) {
	if w.state.CompareAndSwap(waiting, withdrawn) {
		return Appended{}, why
	}
	select {
	case <-w.done:
		return w.res, w.err
	default:
		return Appended{}, &fault.Error{Kind: fault.Unknown, Msg: "the request ended while its change was being recorded; repeat it with the same command id to learn the outcome", Err: why}
	}
}

// sequencer is the one goroutine that appends to a log. While one batch is on
// its way to the disk it builds the next one behind it. Its memory (head, tree,
// caches) is only as good as the term it was read under: after any commit that
// did not certainly succeed it is thrown away and the log is taken again.
type sequencer struct {
	log    *Log
	ready  bool       // the memory below is valid
	failed *takeFault // the last attempt to take the log, if it failed

	head       Head        // behind all batches that were launched
	generation event.LogID // behind all batches
	tree       *tree
	streams    cache[event.Stream, StreamHead]
	subjects   cache[event.SubjectID, KeyUse]
	lately     lately

	flying *batch     // on its way to the disk
	landed chan error // tells its outcome
	next   *batch     // being built

	peer *peer // what a log takes that several nodes share; else nil
}

// takeFault lets those who wait while the store is away fail at once instead
// of each trying again.
type takeFault struct {
	err   error
	until time.Time
}

// takeAgainAfter is how long a failed attempt to take the log stands.
const takeAgainAfter = 50 * time.Millisecond

func (s *sequencer) run() {
	defer close(s.log.gone)
	stop := s.log.stop
	for {
		s.gather()
		if s.flying == nil {
			s.launch()
		}
		if s.flying == nil && stop == nil && s.peer.idle() {
			s.resigns()
			return
		}
		queue := s.log.queue
		if s.busy() {
			queue = nil
		}
		select {
		case w := <-queue:
			s.admit(w)
		case err := <-s.landed:
			s.land(err)
		case do := <-s.log.nodes.happens():
			do(s)
		case <-stop:
			stop = nil
			s.stops()
		}
	}
}

// busy reports whether those who come now have to wait.
func (s *sequencer) busy() bool { return s.next.full(s.log.opts.Batch) || s.peer.busy() }

// gather admits what waits now, without waiting for more.
func (s *sequencer) gather() {
	for !s.busy() {
		select {
		case w := <-s.log.queue:
			s.admit(w)
		default:
			return
		}
	}
}

func (s *sequencer) admit(w *waiter) {
	if w.state.CompareAndSwap(waiting, taken) {
		s.consider(w)
	}
}

// consider decides what becomes of an append. The answer is given at once if
// all that it rests on is durable, else together with the batch.
func (s *sequencer) consider(w *waiter) {
	ctx := context.Background()
	if err := s.prepare(ctx); err != nil {
		s.turnAway(w, err)
		return
	}
	size := s.next.Next.Size
	res, err := s.add(ctx, &w.req, w.events)
	if err != nil {
		err = s.verdictOn(err)
	}
	if s.flying != nil || len(s.next.Records) > 0 || len(s.peer.unpublished()) > 0 {
		s.next.members = append(s.next.members, member{w: w, res: res, err: err, writes: s.next.Next.Size > size})
		return
	}
	switch held, lost := s.held(ctx); {
	case lost != nil:
		w.finish(Appended{}, unavailable(lost))
	case held:
		w.finish(res, err)
	default:
		others := s.next.members
		s.next = nil
		s.unready()
		s.consider(w)
		for _, m := range others {
			s.consider(m.w)
		}
	}
}

// held reports whether the log is still this holder's. A commit proves it; an
// answer that waits for none may rest on what another holder is writing.
func (s *sequencer) held(ctx context.Context) (bool, error) {
	h, err := s.log.store.Head(ctx, s.log.id)
	return h.Term == s.head.Term && h.Holder == s.head.Holder, err
}

// unready throws the memory away.
func (s *sequencer) unready() {
	s.ready = false
	if n := s.log.nodes; n != nil {
		n.leads.Store(false)
	}
}

// prepare makes sure that there is a batch to add to.
func (s *sequencer) prepare(ctx context.Context) error {
	if !s.ready {
		if s.peer.follows() {
			return ErrMoved
		}
		if err := s.take(ctx); err != nil {
			return err
		}
	}
	if s.next != nil {
		return nil
	}
	b, err := s.begin()
	s.next = b
	return err
}

// launch sends the batch that was built on its way. Commits take no
// cancellable context: a commit that was cancelled half-way is one whose
// outcome nobody knows.
func (s *sequencer) launch() {
	if s.peer.losing() {
		return
	}
	b := s.next
	s.next = nil
	if b == nil {
		return
	}
	if len(b.Records) == 0 {
		s.answerWith(b)
		return
	}
	b.Next.Frontier = slices.Clone(s.tree.frontier)
	s.head, s.flying, b.launched = b.Next, b, time.Now()
	go func() { s.landed <- s.log.store.Commit(context.Background(), &b.Batch) }()
}

// land deals with the outcome of a commit.
func (s *sequencer) land(err error) {
	b := s.flying
	s.flying = nil
	switch {
	case err != nil:
		s.log.opts.Observer.Failed(fault.KindOf(err))
		s.log.opts.Logger.Error("commit failed", "error", err, "kind", fault.KindOf(err).String())
		s.lose(err, b)
	case s.peer != nil:
		s.durable(b)
	default:
		s.publish(b)
	}
}

// drop throws away what a commit that failed was, and all that was built on it.
func (s *sequencer) drop(err error, b *batch) {
	s.unready()
	again := s.peer.drop(err) // whose answers rested on what may not have come true
	for _, m := range b.all() {
		if m.writes && !s.peer.fenced(err) {
			m.w.finish(Appended{}, commitFault(err))
		} else {
			again = append(again, m.w)
		}
	}
	if s.next != nil {
		for _, m := range s.next.members {
			again = append(again, m.w)
		}
		s.next = nil
	}
	if s.peer != nil || fault.Is(err, fault.Unknown) { // find out, so that readers see what was kept
		_ = s.take(context.Background())
	}
	for _, w := range again {
		s.consider(w)
	}
}

func (b *batch) all() []member {
	if b == nil {
		return nil
	}
	return b.members
}

func (b *batch) answer() {
	for _, m := range b.members {
		m.w.finish(m.res, m.err)
	}
}

// maxBatchBytes bounds the leaves and ciphertexts of a batch, roughly.
const maxBatchBytes = 4 << 20

func (b *batch) full(limit int) bool {
	return b != nil && (len(b.members) >= limit || b.bytes >= maxBatchBytes)
}

// unavailable says that nothing was changed, and why, if the store knows what to
// do about it.
func unavailable(err error) error {
	f := &fault.Error{Kind: fault.Unavailable, Msg: "the log cannot be written to at the moment; nothing was changed", Err: err}
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Refused) {
		f.Msg = "nothing was changed: " + fault.Public(err)
	}
	return f
}

// commitFault tells those who waited what a failed commit means for them. A
// commit refused by fencing stored nothing.
func commitFault(err error) error {
	if fault.Is(err, fault.Unknown) {
		return &fault.Error{Kind: fault.Unknown, Msg: "it is not known whether the change was recorded; repeat it with the same command id to learn the outcome", Err: err}
	}
	return unavailable(err)
}

// take takes the log under a new term and loads the memory afresh.
func (s *sequencer) take(ctx context.Context) error {
	if s.failed != nil && time.Now().Before(s.failed.until) {
		return s.failed.err
	}
	err := s.load(ctx)
	s.failed = nil
	if err != nil && !s.peer.follows() {
		s.failed = &takeFault{err, time.Now().Add(takeAgainAfter)}
		s.log.opts.Logger.Error("cannot take the log", "error", err)
	}
	return err
}

func (s *sequencer) load(ctx context.Context) error {
	l := s.log
	if s.peer != nil {
		return s.loadFree(ctx)
	}
	h, err := l.store.Take(ctx, l.id, l.opts.Holder, l.opts.Term)
	if err != nil {
		return err
	}
	if err := l.continues(ctx, h); err != nil {
		return err
	}
	t, err := loadTree(ctx, l.store, l.id, h)
	if err != nil {
		return err
	}
	g, err := generations(ctx, l.store, l.id, h)
	if err != nil {
		return err
	}
	s.begins(h, t, g)
	return nil
}

// continues refuses a log that lacks what was read from it before: its store was
// put back to an older state under this process. Nothing is appended to it: what
// is missing was acknowledged.
func (l *Log) continues(ctx context.Context, h Head) error {
	m := l.mark.Load()
	if m == nil || m.Size == 0 {
		return nil
	}
	if h.Size < m.Size {
		return l.lose(fault.New(fault.Refused, "the log ends at position %d, but %d records were read from it before: its store was put back to an older state; stop the server, and look for a newer copy", h.Size, m.Size))
	}
	for r, err := range l.store.Records(ctx, l.id, m.Size, m.Size) {
		if err != nil {
			return err
		}
		if r.Hash() != m.Last {
			return l.lose(fault.New(fault.Refused, "the record at position %d is not the one that was read before: its store was put back to an older state; stop the server, and look for a newer copy", m.Size))
		}
	}
	l.lost.Store(nil)
	return nil
}

func (l *Log) lose(err *fault.Error) error {
	l.lost.Store(err)
	return err
}

// Lost says that the store lacks what was read from it, and so is not appended
// to; nil if nothing is known of that.
func (l *Log) Lost() error {
	if err := l.lost.Load(); err != nil {
		return err
	}
	return nil
}

// begins makes the sequencer go on behind a head.
func (s *sequencer) begins(h Head, t *tree, g []Generation) {
	l := s.log
	s.head, s.tree, s.generation = h, t, g[len(g)-1].ID
	s.streams, s.subjects = cache[event.Stream, StreamHead]{}, cache[event.SubjectID, KeyUse]{}
	s.lately.forget(h.Size)
	l.mu.Lock()
	l.recent = window{max: l.opts.Window}
	l.generations.Store(&g)
	l.setMark(h.mark())
	l.mu.Unlock()
	s.ready = true
}

func (h Head) mark() Mark {
	return Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term}
}

// setMark lets readers go on; l.mu is held.
func (l *Log) setMark(m Mark) {
	l.mark.Store(&m)
	close(l.moved)
	l.moved = make(chan struct{})
}

// publish makes a committed batch readable and wakes those who waited for it.
func (s *sequencer) publish(b *batch) {
	l := s.log
	l.mu.Lock()
	if b.Next.Size > l.Mark().Size { // else another holder's mark came first
		l.recent.add(b.entries)
		if len(b.began) > 0 {
			g := slices.Concat(l.Generations(), b.began)
			l.generations.Store(&g)
		}
		l.setMark(b.Next.mark())
	}
	l.mu.Unlock()
	b.answer()
	l.opts.Observer.Committed(Commit{Records: b.Records, Appends: len(b.members), Took: time.Since(b.launched)})
	s.streams.sweep()
	s.subjects.sweep()
}

// now is max(clock, last), in microseconds. A clock that runs far behind the
// last record is refused rather than papered over.
func (s *sequencer) now() (time.Time, error) {
	now := s.log.Now().Truncate(time.Microsecond)
	if now.Before(s.head.Time) {
		if behind := s.head.Time.Sub(now); behind > s.log.opts.MaxSkew {
			return now, fault.New(fault.Unavailable, "the clock is %s behind the last record; set the clock right", behind.Round(time.Second))
		}
		now = s.head.Time
	}
	return now, nil
}

// verdict marks an error as being about one append, not about the log.
type verdict struct{ error }

func (v *verdict) Unwrap() error { return v.error }

// verdictOn is what the one who appended is told.
func (s *sequencer) verdictOn(err error) error {
	var v *verdict
	if errors.As(err, &v) {
		s.log.opts.Observer.Refused(fault.KindOf(v.error))
		return v.error
	}
	s.log.opts.Logger.Error("cannot check an append", "error", err)
	return unavailable(err)
}
