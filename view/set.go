package view

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Log is what a set reads: an *eventlog.Log.
type Log interface {
	ID() event.LogID
	Mark() eventlog.Mark
	// ReadTo yields the records that q selects in (after, upto], in order.
	ReadTo(ctx context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error]
	// Wait returns when the mark is past after; with an error if the context
	// ends or the log is closed.
	Wait(ctx context.Context, after event.Position) error
}

// Decode makes a fact of a record, opening what is sealed. An error of kind
// Unavailable or Unknown means that it may work later; with any other the set
// stops at this record. After a subject was erased it opens nothing of theirs. It
// is called by several goroutines at once.
type Decode func(ctx context.Context, r *event.Record) (event.Fact, error)

// Options of a set. The zero value is usable.
type Options struct {
	// Prepare, if not nil, is told which records will be decoded next: it may
	// read at once what decoding them needs. What it could not, decoding finds out.
	Prepare  func(context.Context, []*event.Record) error
	Readers  int           // connections for queries; default 4
	Batch    int           // records that share a transaction at most; default 1000
	Pace     time.Duration // how long after a batch the next begins, if nobody waits for it; default 25 ms, well below the lag that holds changes back
	Patience time.Duration // how long a read waits for the view to catch up; default 5 s
	Rebuild  bool          // begin with an empty file, whatever is there
	Progress func(Progress)
	Logger   *slog.Logger
	// Verify, for tests, compares the state that a fold gives after each event
	// with what it reads in the row then; another stops the set.
	Verify bool
}

func (o *Options) defaults() {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.Batch == 0 {
		o.Batch = 1000
	}
	if o.Pace == 0 {
		o.Pace = 25 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Backend is where a set keeps its tables: a File, or Postgres.
type Backend interface {
	open(ctx context.Context, s *Set) (home, error)
	// glance reads where the views stand, and the fingerprint of each.
	glance(ctx context.Context) (place, map[string]string, error)
}

// Set keeps the views of one log. It is safe for concurrent use.
type Set struct {
	log    Log
	decode Decode
	home   home
	opts   Options

	declared atomic.Pointer[layout] // all views, as they are declared now
	changes  changes                // of declarations, under way

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	resume  chan struct{} // wakes the tail after a stop was mended
	wanted  chan struct{} // wakes it when somebody waits for the views
	applied time.Time     // when it last applied a batch; the tail's own

	busy     chan struct{} // holds one value while the file is being rebuilt, checked or rewritten
	erasures atomic.Uint64

	// mu is held for reading while a query uses live, and for writing while
	// live is replaced. It is taken before any database's own lock.
	mu     sync.RWMutex
	live   *database
	shadow *database // what will replace live, or nil

	state state
}

var errOtherLog = fault.New(fault.Refused, "the views do not follow this log: they belong to another log, or this one was changed; rebuild them, or delete them")

// Open opens the views of a log, kept in the backend (made if they do not exist
// there), and begins to follow the log. Views that were declared differently
// when they were made are built anew in the background. Close must be called,
// before the log is closed.
//
// It fails with fault.Refused if the views that are there do not follow this log.
func Open(ctx context.Context, in Backend, log Log, decode Decode, views []View, opts Options) (*Set, error) {
	opts.defaults()
	declared := make([]*View, len(views))
	for i := range views {
		declared[i] = &views[i]
	}
	all, err := newLayout(fileGround, declared)
	if err != nil {
		return nil, err
	}
	s := &Set{log: log, decode: decode, opts: opts,
		resume: make(chan struct{}, 1), wanted: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
	s.declared.Store(all)
	s.state.moved = make(chan struct{})
	if s.home, err = in.open(ctx, s); err != nil {
		return nil, fault.Wrap("open the views", err)
	}
	live, err := s.home.live(ctx)
	if err != nil {
		s.home.close()
		return nil, fault.Wrap("open the views", diskFault(err))
	}
	s.live, s.state.applied = live, live.at.position
	incomplete := len(live.lay.views) < len(s.all().views) && !live.newer
	if incomplete {
		s.state.rebuilding = &Progress{}
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(s.tail)
	if h, ok := s.home.(shared); ok && h.watched() {
		s.running.Go(s.watch)
	}
	if incomplete {
		s.running.Go(s.rebuildInBackground)
	}
	return s, nil
}

// Close stops following the log and closes the backend.
func (s *Set) Close() error {
	s.stop()
	s.running.Wait()
	s.busy <- struct{}{} // what works on the whole file stops by itself
	defer func() { <-s.busy }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if s.live.closed {
		return nil
	}
	defer s.home.close()
	return s.live.close()
}

// follows checks that a place is one of this log.
func (s *Set) follows(ctx context.Context, at place) error {
	if at.log != s.log.ID() || at.position > s.log.Mark().Size {
		return errOtherLog
	}
	if at.position == 0 {
		return nil
	}
	for r, err := range s.log.ReadTo(ctx, event.Everything(), at.position-1, at.position) {
		if err != nil {
			return err
		}
		if r.Hash() == at.leaf {
			return nil
		}
	}
	return errOtherLog
}

func (s *Set) current() *database {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live
}

// occupy waits until no other work on the whole file is going on, and keeps
// others from beginning any until release is called.
func (s *Set) occupy(ctx context.Context) (release func(), err error) {
	select {
	case s.busy <- struct{}{}:
		if s.ctx.Err() != nil {
			<-s.busy
			return nil, errClosing
		}
		if s.lost() {
			<-s.busy
			return nil, errReopening
		}
		done, err := s.home.claim(ctx)
		if err != nil {
			<-s.busy
			return nil, err
		}
		return func() { done(); <-s.busy }, nil
	case <-s.ctx.Done():
		return nil, errClosing
	case <-ctx.Done():
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the views are being rebuilt or checked; try again later", Err: ctx.Err()}
	}
}

var errClosing = fault.New(fault.Unavailable, "the server is stopping; try again in a moment")

// snapshot is one state of a table's database, for one read.
type snapshot struct {
	c  conn
	t  *table
	at event.Position
}

// read waits until the views are as fresh as r asks, and runs f on one state. If
// that state is not what was waited for, since others share the views, it looks
// where they are and begins anew.
func (s *Set) read(ctx context.Context, name string, r Read, f func(context.Context, *snapshot) error) error {
	if s.all().tables[name] == nil {
		return fault.New(fault.Internal, "there is no table %q in the views", name)
	}
	for attempt := 0; ; attempt++ {
		want, err := s.settle(ctx, r)
		if err != nil {
			return err
		}
		err = s.readOnce(ctx, name, want, f)
		if err == nil {
			return nil
		}
		if errors.Is(err, errElsewhere) && attempt < 10 {
			if err = s.look(ctx); err == nil {
				continue
			}
		}
		if errors.Is(err, errClosing) && s.ctx.Err() == nil {
			err = errReopening
		}
		if ctx.Err() != nil || errors.Is(err, errElsewhere) || sqliteCode(err) != 0 && passes(err) {
			return &fault.Error{Kind: fault.Unavailable, Op: "read " + name, Msg: "the read was not finished; try again", Err: err}
		}
		return fault.Wrap("read "+name, err)
	}
}

func (s *Set) readOnce(ctx context.Context, name string, want event.Position, f func(context.Context, *snapshot) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.live.lay.tables[name]
	if t == nil {
		declared := s.all().tables[name]
		if declared == nil {
			return fault.New(fault.Unavailable, "the table %s is gone: its view was declared anew", name)
		}
		view := "the view " + declared.view.Name
		if s.live.newer {
			return fault.New(fault.Unavailable, "%s was made by a later version of this program or from later definitions, which another node has; update this one", view)
		}
		return s.unavailable(view + " is being built")
	}
	return s.live.read(ctx, func(ctx context.Context, sn *snapshot) error {
		if sn.at < want {
			return errElsewhere
		}
		sn.t = t
		return f(ctx, sn)
	})
}

// rows runs a query that gives columns, gone, since, until.
func (sn *snapshot) rows(ctx context.Context, sql string, args []any, each func(Row)) error {
	n := len(sn.t.Columns)
	return query(ctx, sn.c, sql, args, func(vals []any) error {
		row := Row{t: sn.t, vals: append(make([]any, 0, n), vals[:n]...)}
		gone, ok := vals[n].(int64)
		since, ok2 := vals[n+1].(int64)
		until, ok3 := vals[n+2].(int64)
		for i, v := range row.vals {
			ok = ok && fits(sn.t.Columns[i].Kind, v)
		}
		if !ok || !ok2 || !ok3 {
			return fault.New(fault.Corrupt, "a row of table %s is malformed; rebuild the views", sn.t.Name)
		}
		row.gone, row.Since, row.Until = gone, event.Position(since), event.Position(until)
		each(row)
		return nil
	})
}

func (s *Set) unavailable(what string) error {
	st := s.Status()
	if p := st.Rebuilding; p != nil && p.Total > 0 {
		what = fmt.Sprintf("%s (%d of %d events)", what, p.Done, p.Total)
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: what + "; try again later", Err: st.RebuildErr}
}
