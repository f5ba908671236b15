package server

import (
	"context"
	"log/slog"
	"os"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/pgdb"
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
		l.Log = c.Database
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
	if pgdb.Is(c.Keys) {
		if err := apart(ctx, c.Database, c.Keys); err != nil {
			return nil, err
		}
	}
	o := pglog.Options{DSN: c.Database, MigrateDSN: c.DatabaseOwner, EraseDSN: c.DatabaseErase, Logger: logger}
	if c.DatabaseOwner != "" || c.DatabaseErase != "" {
		o.Roles = pglog.DefaultRoles()
	}
	return pglog.Open(ctx, o)
}

// apart refuses keys in the log's own database: whoever has the log, or a
// backup of it, would have the keys.
func apart(ctx context.Context, log, keys string) error {
	a, err := pgdb.IdentityOf(ctx, log, "log's database")
	if err != nil {
		return err
	}
	b, err := pgdb.IdentityOf(ctx, keys, "key database")
	if err != nil {
		return err
	}
	if a == b {
		return fault.Field("keys", "is the database of the log: every backup of the log would hold the keys to it, and nobody could be erased; name another database")
	}
	return nil
}

// Holds reports whether the settings name an instance that exists.
func (c *Config) Holds() bool {
	if c.Database != "" {
		return true // opening it will tell
	}
	_, err := os.Stat(layout(*c).Log)
	return err == nil
}
