package react

import (
	"bytes"
	"context"
	"errors"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Book is where a subscriber's cursor is kept.
type Book struct {
	Log  *eventlog.Log
	Name string // of the subscriber; unique in the log
}

// Load reads the cursor, and what it was read from. A subscriber without one is
// at the beginning. Of a log that lost records by a restore, the cursor is moved
// back to the last that it still has.
func (b Book) Load(ctx context.Context) (*Cursor, []byte, error) {
	was, err := b.Log.Store().Cursor(ctx, b.Log.ID(), b.Name)
	if err != nil {
		return nil, nil, fault.Wrap("read how far a subscriber is", err)
	}
	if was == nil {
		return Begin(b.Log.GenerationAt(0), 0), nil, nil
	}
	c, err := Decode(was)
	if err != nil {
		return nil, nil, err
	}
	if !b.Log.Holds(c.Log, c.Seen) {
		c.cut(b.common(c.Log))
	}
	return c, was, nil
}

// common is the last position of a generation that the log still has; 0 if it
// is none of this log.
func (b Book) common(id event.LogID) event.Position {
	g := b.Log.Generations()
	for i := range g[:len(g)-1] {
		if g[i].ID == id {
			return g[i+1].First - 1
		}
	}
	return 0
}

// Save keeps the cursor in place of what it was read from, and answers what it
// is kept as. eventlog.ErrCursorMoved: another has moved it.
func (b Book) Save(ctx context.Context, c *Cursor, was []byte) ([]byte, error) {
	c.Log = b.Log.GenerationAt(c.Seen)
	now, err := c.Encode()
	if err != nil || bytes.Equal(now, was) {
		return now, err
	}
	if err := b.Log.Store().SwapCursor(ctx, b.Log.ID(), b.Name, was, now); err != nil {
		return nil, fault.Wrap("keep how far a subscriber is", err)
	}
	return now, nil
}

// swaps bounds how often Change begins again.
const swaps = 100

// Change moves the cursor by f, which is called again if another moved it
// meanwhile, and says whether there is anything to keep.
func (b Book) Change(ctx context.Context, f func(*Cursor) (bool, error)) error {
	for range swaps {
		c, was, err := b.Load(ctx)
		if err != nil {
			return err
		}
		if keep, err := f(c); err != nil || !keep {
			return err
		}
		_, err = b.Save(ctx, c, was)
		if !errors.Is(err, eventlog.ErrCursorMoved) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fault.New(fault.Unavailable, "too many work on this subscription at once; try again in a moment")
}
