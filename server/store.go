package server

import (
	"context"
	"log/slog"
	"os"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ops"
	"muniment.dev/seal"
)

// layout is where the parts of an instance are.
func layout(c Config) ops.Layout {
	l := ops.DefaultLayout(c.Data)
	if c.Register != "" {
		l.Register = c.Register
	}
	if c.RootKey != "" {
		l.Root = c.RootKey
	}
	if c.Database != "" {
		l.Log, l.Views = c.Database, c.Database
	}
	if c.Keys != "" {
		l.Keys = c.Keys
	}
	if c.Views != "" {
		l.Views = c.Views
	}
	return l
}

// openStore opens the engine: the embedded one in the data directory, or
// PostgreSQL. fatal is called if the store cannot go on: only a new process can
// open it again. copies is what makes snapshots; nil if the engine has none.
func openStore(ctx context.Context, c Config, x Extra, fatal func(error), logger *slog.Logger) (store eventlog.Store, copies ops.Snapshotter, err error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, nil, &fault.Error{Kind: fault.Unavailable, Op: "open the data directory", Msg: "the data directory cannot be made; check the path and its permissions", Err: err}
	}
	if x.Store != nil {
		return x.Store, nil, nil
	}
	if c.Database != "" {
		s, err := openDatabase(ctx, c, logger)
		return s, nil, err
	}
	o := pebblelog.Options{Fatal: fatal, Logger: logger}
	if h := x.Hosted; h != nil {
		o.Shared, o.Filter = h.Cache, h.Filter
	}
	s, err := pebblelog.Open(layout(c).Log, o)
	return s, s, err
}

// openDatabase opens the engine on PostgreSQL, after a look at whether the keys
// would be where they must not be.
func openDatabase(ctx context.Context, c Config, logger *slog.Logger) (eventlog.Store, error) {
	sameCluster, err := seal.Apart(ctx, c.Keys, c.Database)
	if err != nil {
		return nil, err
	}
	if sameCluster {
		logger.Warn("the key database is on the server of the log's database: a backup of that server holds both, and what was erased comes back with it; put it on another")
	}
	if err := ledger.RegisterApart(ctx, c.Register, c.Database); err != nil {
		return nil, err
	}
	o := c.storeOptions()
	o.Logger = logger
	return pglog.Open(ctx, o)
}

// storeOptions are those of the engine on PostgreSQL.
func (c *Config) storeOptions() pglog.Options {
	return pglog.Options{DSN: c.Database, MigrateDSN: c.DatabaseOwner, EraseDSN: c.DatabaseErase}
}

// Holds reports whether the settings name an instance that exists.
func (c *Config) Holds() bool {
	if c.Database != "" {
		return true // opening it will tell
	}
	_, err := os.Stat(layout(*c).Log)
	return err == nil
}
