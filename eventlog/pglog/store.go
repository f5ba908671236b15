// Package pglog is the log engine on PostgreSQL 15 or newer, which several
// nodes may share.
//
// A commit is one statement in one transaction and one round trip: it updates
// the log's head if term, holder, size and last leaf are still what the holder
// believes, and inserts selecting from that update. There are no sequences, no
// locks over a commit but that of the head's row, and no reading by snapshots.
//
// What PostgreSQL shows is not always what it keeps: a commit that is cancelled
// while it waits for a standby is visible, but not replicated. So a commit is
// never cancelled from here, and one that comes with a warning, or whose
// connection was lost, is fault.Unknown. Taking the log, which is a commit of
// its own, makes certain of what stands before it.
//
// The mark that nodes read up to is published in a table without a write-ahead
// log: it vanishes with a crash and with a promotion, which is when it might no
// longer be true.
//
// Design: docs/adr/0015-postgresql.md. How to run it: docs/how-to/postgresql.md.
package pglog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

var _ eventlog.Shared = (*Store)(nil)

// Options of a store. DSN alone is enough.
type Options struct {
	// DSN says how the role that serves reaches the database: a URL
	// (postgres://…) or keywords and values. It may hold a password; nothing of
	// it is ever written anywhere.
	DSN string
	// MigrateDSN is that of the role that owns the tables, and EraseDSN that of
	// the role that erases; by default the DSN does all.
	MigrateDSN, EraseDSN string
	// Schema is where everything stands; by default muniment. Nothing else may
	// be in it.
	Schema string
	// Roles are those to whom migrating grants what they need; by default the
	// users of the three DSNs, if they differ.
	Roles Roles
	// Readers and Writers are how many connections a store has at most; by
	// default 12 and 4. Erasing and the doorbell take one more each.
	Readers, Writers int32
	// Patience is how long a commit may take before its outcome is called
	// unknown; by default 30 s. A standby that is slower than that is one that
	// does not answer.
	Patience time.Duration
	// Filter is how many bytes of memory a log may spend on knowing which ids
	// are new; by default 64 MiB. -1 for none.
	Filter int64
	// Progress is told of migrations; nobody if nil.
	Progress func(Progress)
	Logger   *slog.Logger

	readOnly bool // the server refuses to change anything
}

func (o *Options) defaults() {
	if o.Schema == "" {
		o.Schema = "muniment"
	}
	if o.MigrateDSN == "" {
		o.MigrateDSN = o.DSN
	}
	if o.EraseDSN == "" {
		o.EraseDSN = o.DSN
	}
	if o.Readers == 0 {
		o.Readers = 12
	}
	if o.Writers == 0 {
		o.Writers = 4
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Filter == 0 {
		o.Filter = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Store is a schema with logs. Make it with Open.
type Store struct {
	opts    Options
	reads   querier
	writes  *pgxpool.Pool
	bell    *bell       // nil in a snapshot
	cramped atomic.Bool // the last commit found no room

	mu   sync.Mutex                // guards logs
	logs map[event.LogID]*logState // those that were taken or asked for ids
	done context.CancelFunc        // ends what runs beside
	life context.Context
	work sync.WaitGroup
}

// Open opens the store in a database, and migrates its schema if it is older
// than this version. A server that does not answer, one that is too old, a
// schema of something else or of a newer version, a role without privileges:
// each is refused by name, and nothing is changed.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.defaults()
	if err := Migrate(ctx, o); err != nil {
		return nil, err
	}
	s := newStore(o)
	reads, err := o.pool(ctx, o.DSN, o.Readers, false)
	if err == nil {
		s.reads = reads
		s.writes, err = o.pool(ctx, o.DSN, o.Writers, true)
	}
	if err == nil {
		err = s.Ready(ctx)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	s.bell = newBell(s)
	return s, nil
}

func newStore(o Options) *Store {
	s := &Store{opts: o, logs: map[event.LogID]*logState{}}
	s.life, s.done = context.WithCancel(context.Background())
	return s
}

// Close implements eventlog.Store.
func (s *Store) Close() error {
	s.done()
	s.work.Wait()
	if s.reads != nil {
		s.reads.Close()
	}
	if s.writes != nil {
		s.writes.Close()
	}
	return nil
}

// state is what the store remembers of a log.
func (s *Store) state(log event.LogID) *logState {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	if l == nil {
		l = &logState{}
		s.logs[log] = l
	}
	return l
}
