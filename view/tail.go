package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/trace"
)

// Progress is how far some work on the whole log has come, in events.
type Progress struct {
	Done  event.Position `json:"done"`
	Total event.Position `json:"total"`
}

// Status is how a set is doing, for operators.
type Status struct {
	Log        event.LogID
	Applied    event.Position // what the views contain
	Mark       event.Position // what the log contains
	Lag        time.Duration  // for how long the views have been behind
	Stopped    error          // the event that could not be applied; usually a *Failure
	Retrying   error          // a passing error; it is being tried again
	Rebuilding *Progress      // nil if nothing is being rebuilt
	RebuildErr error          // why the last rebuild failed
	Missing    []string       // views that do not serve until they are built
}

// state is what waiting readers and operators look at.
type state struct {
	mu         sync.Mutex
	applied    event.Position
	moved      chan struct{} // closed and replaced when anything here changes
	behind     time.Time     // since when records wait to be applied; zero: none is known
	waiting    int           // how many readers wait for records to be applied
	stopped    error
	retrying   error
	rebuilding *Progress
	rebuildErr error
	idle       func() // wakes a tail that waits for the log; or nil
}

func (s *Set) change(f func(*state)) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	f(&s.state)
	close(s.state.moved)
	s.state.moved = make(chan struct{})
}

// Status returns how the set is doing.
func (s *Set) Status() Status {
	st := Status{Log: s.log.ID(), Mark: s.log.Mark().Size, Lag: s.Lag()}
	s.state.mu.Lock()
	st.Applied, st.Stopped, st.Retrying, st.RebuildErr = s.state.applied, s.state.stopped, s.state.retrying, s.state.rebuildErr
	if p := s.state.rebuilding; p != nil {
		progress := *p
		st.Rebuilding = &progress
	}
	s.state.mu.Unlock()
	live := s.current()
	for _, v := range s.all().views {
		if !slices.ContainsFunc(live.lay.views, func(l *View) bool { return l.Name == v.Name }) {
			st.Missing = append(st.Missing, v.Name)
		}
	}
	return st
}

// Lag is for how long the views have been behind the log; 0 if they are not,
// and also if they have stopped: then it helps nobody to append more slowly,
// and Status tells. It is cheap: who appends may ask each time.
func (s *Set) Lag() time.Duration {
	mark := s.log.Mark().Size
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.applied >= mark || s.state.behind.IsZero() || s.state.stopped != nil {
		return 0
	}
	return time.Since(s.state.behind)
}

// Fresh returns when the views contain everything up to p. It fails with
// fault.Unavailable when the context ends before, or when they have stopped.
func (s *Set) Fresh(ctx context.Context, p event.Position) error {
	defer s.wait()()
	for {
		s.state.mu.Lock()
		applied, moved, stopped := s.state.applied, s.state.moved, s.state.stopped
		s.state.mu.Unlock()
		switch {
		case applied >= p:
			return nil
		case stopped != nil:
			return &fault.Error{Kind: fault.Unavailable, Msg: fmt.Sprintf("the views stopped at position %d and need an operator", applied), Err: stopped}
		}
		select {
		case <-moved:
		case <-s.ctx.Done():
			return errClosing
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Unavailable, Msg: fmt.Sprintf("the views are behind: at position %d, not yet at %d; try again in a moment", applied, p), Err: ctx.Err()}
		}
	}
}

// wait notes that somebody waits for the views until the returned function is
// called, and tells the tail.
func (s *Set) wait() (done func()) {
	count := func(n int) {
		s.state.mu.Lock()
		defer s.state.mu.Unlock()
		s.state.waiting += n
	}
	count(1)
	select {
	case s.wanted <- struct{}{}:
	default: // it is told already
	}
	return func() { count(-1) }
}

// settle is Fresh as far as a read wants it, with the set's patience. It returns
// the position that the read must see.
func (s *Set) settle(ctx context.Context, r Read) (event.Position, error) {
	mark := s.log.Mark().Size
	want := mark
	switch {
	case r.At > mark:
		return 0, fault.Field("at", "position %d lies behind the end of the log, which is at %d", r.At, mark)
	case r.Stale || r.AtLeast > 0:
		want = max(r.At, r.AtLeast)
	}
	s.state.mu.Lock()
	applied := s.state.applied
	s.state.mu.Unlock()
	if applied >= want {
		return want, nil
	}
	ctx, span := trace.Start(ctx, "view wait", trace.Attr{Key: "muniment.position", Value: int64(want)})
	ctx, cancel := context.WithTimeout(ctx, s.opts.Patience)
	defer cancel()
	if err := s.Fresh(ctx, want); err != nil {
		span.End(fault.KindOf(err).String())
		return want, err
	}
	span.End("")
	return want, nil
}

// How long the tail waits after an error that may pass, at first and at most.
const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// tail follows the log until the set is closed.
func (s *Set) tail() {
	delay := firstRetry
	for s.ctx.Err() == nil {
		applied, err := s.follow()
		switch {
		case errors.Is(err, errLogClosed):
			return
		case errors.Is(err, errReplaced) && s.lost():
			s.pause(firstRetry)
		case err == nil || errors.Is(err, errReplaced) || s.ctx.Err() != nil:
			if applied {
				delay = firstRetry
			}
		case errors.Is(err, errMoved) || errors.Is(err, errElsewhere):
			s.home.(shared).yield()
			if err := s.look(s.ctx); err != nil {
				s.pause(delay)
				delay = min(2*delay, lastRetry)
			}
		case passes(err):
			s.opts.Logger.Warn("the views could not follow the log and try again", slog.Any("err", err))
			s.change(func(st *state) { st.retrying = diskFault(err) })
			s.pause(delay)
			delay = min(2*delay, lastRetry)
		default:
			s.opts.Logger.Error("the views stopped", slog.Any("err", err))
			s.change(func(st *state) { st.stopped, st.retrying = err, nil })
			select {
			case <-s.resume:
			case <-s.ctx.Done():
			}
		}
	}
}

func (s *Set) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

var (
	errLogClosed = errors.New("the log is closed")
	errReplaced  = errors.New("the database was replaced")
)

// follow applies one batch, or waits until there is one.
func (s *Set) follow() (applied bool, err error) {
	s.state.mu.Lock()
	at := s.state.applied
	s.state.mu.Unlock()
	if s.log.Mark().Size <= at {
		if h, ok := s.home.(shared); ok {
			h.rest()
		}
		return false, s.idle(at)
	}
	if h, ok := s.home.(shared); ok {
		if mine, err := s.turn(h); !mine || err != nil {
			return false, err
		}
	}
	s.state.mu.Lock()
	if s.state.behind.IsZero() {
		s.state.behind = time.Now()
	}
	s.state.mu.Unlock()
	if h, ok := s.home.(shared); !ok || !h.watched() { // else who waits elsewhere is not known here
		s.collect(at)
	}
	began, upto := time.Now(), s.log.Mark().Size
	d := s.current()
	reached, err := s.step(s.ctx, d, upto, s.opts.Batch)
	s.applied = time.Now()
	if reached > at {
		s.change(func(st *state) {
			st.applied, st.retrying = reached, nil
			switch {
			case reached >= s.log.Mark().Size:
				st.behind = time.Time{}
			case reached >= upto:
				st.behind = began // what waits now came after
			}
		})
	}
	return reached > at, err
}

// collect lets records come until it is time for the next batch: when some time
// has passed since the last one, a batch is full, or somebody waits for it. A
// transaction costs as much as many rows in it, and rows of many records share
// pages; so a log that grows fast is followed in fewer and larger steps.
func (s *Set) collect(at event.Position) {
	t := time.NewTimer(time.Until(s.applied.Add(s.opts.Pace)))
	defer t.Stop()
	for {
		s.state.mu.Lock()
		waiting := s.state.waiting
		s.state.mu.Unlock()
		if waiting > 0 || s.log.Mark().Size >= at+event.Position(s.opts.Batch) {
			return
		}
		select {
		case <-s.wanted:
		case <-t.C:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// idle waits until the log has grown, or the views have been moved back.
func (s *Set) idle(at event.Position) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.state.mu.Lock()
	s.state.idle = cancel
	applied := s.state.applied
	s.state.mu.Unlock()
	if applied != at {
		return nil
	}
	if err := s.log.Wait(ctx, at); err != nil && ctx.Err() == nil {
		return errLogClosed
	}
	return nil // or the set is closed: the loop looks
}

// step reads records behind d's place, most of them at most and none behind
// upto, and applies them in one transaction. It returns the place that d has
// then reached, which is not behind a record that failed: what comes before it
// is applied.
//
// Reading and opening are under d's lock, so that a value that was opened
// before an erasure is also written before it.
func (s *Set) step(ctx context.Context, d *database, upto event.Position, most int) (event.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, errReplaced
	}
	upto = min(upto, d.at.position+event.Position(most))
	facts, to, stopped := s.gather(ctx, d, upto)
	for to != d.at {
		erasing := slices.ContainsFunc(facts, func(f event.Fact) bool { return f.Type == erasedType })
		err := d.apply(facts, to, s.opts.Verify)
		var bad *Failure
		switch {
		case err == nil:
			if erasing {
				d.erasures.Add(1)
			}
			return to.position, stopped
		case !errors.As(err, &bad):
			return d.at.position, err
		}
		first := facts[bad.index]
		facts, to, stopped = facts[:bad.index], place{d.at.log, first.Position - 1, first.Prev}, bad
	}
	return d.at.position, stopped
}

// undecoded is the error for a record that a view consumes and that cannot be
// decoded.
func undecoded(consumers []*View, r *event.Record, err error) error {
	if passes(err) || errors.Is(err, context.Canceled) {
		return err
	}
	names := []string{"(all)"}
	if len(consumers) > 0 {
		names = names[:0]
	}
	for _, v := range consumers {
		names = append(names, v.Name)
	}
	return failed(strings.Join(names, ", "), event.Fact{Record: r}, 0, fault.Wrap("decode it", err))
}

// Names are the names of all declared views.
func (s *Set) Names() []string {
	names := make([]string, len(s.all().views))
	for i, v := range s.all().views {
		names[i] = v.Name
	}
	return names
}
