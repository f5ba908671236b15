package ops

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"muniment.dev/event"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
)

type tamperCommand struct {
	Dir      string `arg:"" help:"The data directory. It is only read; a server may run on it." type:"path"`
	Copy     string `arg:"" help:"Where the copy shall be: a directory that does not exist." type:"path"`
	Position uint64 `arg:"" help:"The record to change."`
}

func (c *tamperCommand) run(ctx context.Context, s streams) (int, error) {
	l, err := where{}.layout(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	if exists(c.Copy) {
		return ExitUnchecked, fault.New(fault.Exists, "%s exists already; name a directory that does not", c.Copy)
	}
	to := DefaultLayout(c.Copy)
	log, err := copyLog(ctx, l, to)
	if err != nil {
		return ExitUnchecked, err
	}
	if err := tamper(ctx, to, log, event.Position(c.Position)); err != nil {
		return ExitUnchecked, err
	}
	writer{s.out}.line("%s is a copy of the log in which one bit of record %d is another.", c.Copy, c.Position)
	writer{s.out}.line("See what comes of it: muniment verify %s", c.Copy)
	return ExitOK, nil
}

// copyLog copies the log store and the register to another layout.
func copyLog(ctx context.Context, from, to Layout) (event.LogID, error) {
	o, err := openLog(ctx, from)
	if err != nil {
		return event.LogID{}, err
	}
	defer o.close()
	if o.dir == "" {
		return event.LogID{}, fault.New(fault.Refused, "a database is not copied to be tampered with; dump it, load it into a directory, and tamper with that")
	}
	logs, err := o.Logs(ctx)
	if err != nil || len(logs) != 1 {
		return event.LogID{}, errors.Join(err, fault.New(fault.NotFound, "there is no single log in %s", from.Dir))
	}
	if err := os.MkdirAll(to.Dir, 0o700); err != nil {
		return event.LogID{}, err
	}
	if err := os.CopyFS(to.Log, os.DirFS(o.dir)); err != nil {
		return event.LogID{}, &fault.Error{Kind: fault.Unavailable, Msg: "the log could not be copied; is there room on the disk?", Err: err}
	}
	b, err := os.ReadFile(from.Register)
	if errors.Is(err, fs.ErrNotExist) {
		return logs[0], nil
	}
	if err != nil {
		return event.LogID{}, err
	}
	return logs[0], os.WriteFile(filepath.Clean(to.Register), b, 0o600)
}

func tamper(ctx context.Context, l Layout, log event.LogID, p event.Position) error {
	store, err := pebblelog.Open(l.Log, pebblelog.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Tamper(ctx, log, p)
}
