package server

import (
	"log/slog"
	"os"

	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/ops"
)

// layout is where the parts of the data directory are.
func layout(c Config) ops.Layout {
	l := ops.DefaultLayout(c.Data)
	if c.Register != "" {
		l.Register = c.Register
	}
	if c.RootKey != "" {
		l.Root = c.RootKey
	}
	return l
}

// openStore opens the embedded engine in the data directory. fatal is called if
// the store cannot go on: only a new process can open it again.
func openStore(c Config, h *Hosted, fatal func(error), logger *slog.Logger) (*pebblelog.Store, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "open the data directory", Msg: "the data directory cannot be made; check the path and its permissions", Err: err}
	}
	o := pebblelog.Options{Fatal: fatal, Logger: logger}
	if h != nil {
		o.Shared, o.Filter = h.Cache, h.Filter
	}
	return pebblelog.Open(layout(c).Log, o)
}

// Holds reports whether the data directory holds an instance.
func (c *Config) Holds() bool {
	_, err := os.Stat(layout(*c).Log)
	return err == nil
}
