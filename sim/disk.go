package sim

import (
	"context"
	"fmt"
	"sync"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// disk is what outlives the nodes. As real engines do, it shows a batch as
// soon as it is written, before it is synced; a batch that is not synced may
// vanish.
type disk struct {
	base    *memlog.Store         // what is synced
	present *present              // the same, for nodes
	durable func(*eventlog.Batch) // told of each batch when it is
	torn    func(error)           // told of a batch that fits nowhere
	noFence bool
	terms   map[uint64]event.ID // who has taken the log
	landed  []*eventlog.Batch   // that were synced, in order

	mu     sync.Mutex
	flying *flight
}

// present is the store as it is now: it may be put back to an older state.
type present struct{ eventlog.Store }

// rollBack puts the disk back to what it was after so many batches.
func (d *disk) rollBack(batches int) error {
	older := memlog.New()
	for i, b := range d.landed[:batches] {
		if i == 0 || b.Prev.Term != d.landed[i-1].Next.Term || b.Prev.Holder != d.landed[i-1].Next.Holder {
			if _, err := older.Take(context.Background(), b.Log, b.Prev.Holder, b.Prev.Term); err != nil {
				return err
			}
		}
		if err := older.Commit(context.Background(), b); err != nil {
			return err
		}
	}
	d.base, d.present.Store = older, older
	return nil
}

// flight is a batch that was written and not synced yet.
type flight struct {
	*eventlog.Batch
	landed, gone bool
}

// write shows a batch, if the log is as it was when the batch was made.
func (d *disk) write(b *eventlog.Batch) (*flight, error) {
	h, err := d.base.Head(context.Background(), b.Log)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fits := d.flying == nil && (d.noFence || h.Term == b.Prev.Term && h.Holder == b.Prev.Holder && h.Size == b.Prev.Size && h.Last == b.Prev.Last)
	if !fits {
		return nil, fault.New(fault.Conflict, "the log is held by another (term %d)", h.Term)
	}
	d.flying = &flight{Batch: b}
	return d.flying, nil
}

// sync makes a batch durable, or lets it vanish. It reports whether it is
// durable; a batch that was settled by a Take meanwhile stays what it is.
func (d *disk) sync(f *flight, keep bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !f.landed && !f.gone {
		d.flying = nil
		f.landed, f.gone = keep, !keep
		if keep {
			if err := d.base.Commit(context.Background(), f.Batch); err != nil {
				d.torn(fmt.Errorf("the store took a batch that does not fit behind the log: %w", err))
				f.landed, f.gone = false, true
				return false
			}
			d.landed = append(d.landed, f.Batch)
			d.durable(f.Batch)
		}
	}
	return f.landed
}

// take is Store.Take: whatever is under way is settled before it.
func (d *disk) take(log event.LogID, holder event.ID, atLeast uint64, keep bool) (eventlog.Head, error) {
	d.mu.Lock()
	f := d.flying
	d.mu.Unlock()
	if f != nil {
		d.sync(f, keep)
	}
	return d.base.Take(context.Background(), log, holder, atLeast)
}

// shown is the batch that is visible and not durable; nil if there is none.
func (d *disk) shown() *flight {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flying
}
