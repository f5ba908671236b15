package eventlog

import (
	"context"
	"errors"

	"muniment.dev/event"
	"muniment.dev/fault"
)

var errReadOnly = fault.New(fault.Refused, "the log is open for reading only; nothing was changed")

// OpenReadOnly opens a log that exists for reading, as it is now: its mark does
// not move, and appends are refused. The store may be open for reading only.
// Close should be called.
func OpenReadOnly(ctx context.Context, store Store, id event.LogID) (*Log, error) {
	var o Options
	o.defaults()
	l := &Log{store: store, id: id, opts: o, stop: make(chan struct{}), gone: make(chan struct{}), moved: make(chan struct{})}
	l.recent = window{max: o.Window}
	close(l.gone) // there is no sequencer
	h, err := store.Head(ctx, id)
	if err != nil {
		return nil, fault.Wrap("open the log for reading", err)
	}
	if _, err := loadTree(ctx, store, id, h); err != nil && !errors.Is(err, context.Canceled) {
		return nil, fault.Wrap("open the log for reading", err)
	}
	g, err := generations(ctx, store, id, h)
	if err != nil {
		return nil, fault.Wrap("open the log for reading", err)
	}
	l.generations.Store(&g)
	l.setMark(h.mark())
	return l, nil
}
