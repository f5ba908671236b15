package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// nodes is what a process keeps if several nodes share its log.
//
// The holder takes erasures through the stores, in order, and keeps in the
// log's store up to where that is done (the cursor). Every node forgets what
// it keeps itself of those, and attends: it says so, for as long as a lease
// lasts. When all who attend have forgotten, the holder reports completion. A
// node that could not say so for that long may hold what others believe to be
// gone, so it forgets before it serves again: see [Process.Present].
type nodes struct {
	mu        sync.Mutex // guards what follows; held while forgetting
	loaded    bool
	forgotten event.Position // by this node

	until atomic.Pointer[time.Time] // this node attends

	done event.Position // up to there the holder knows that all is complete
}

// cursorName is the cursor's name in the log's store.
const cursorName = "erasures"

// cursor is how far the erasures of a log have come. Whoever writes it writes
// what is true: an old value only has work done again.
type cursor struct {
	Deleted  event.Position `json:"deleted"`  // the stores are clear of all up to here
	Complete event.Position `json:"complete"` // and all nodes
}

// errWaiting says that other nodes have not forgotten yet.
var errWaiting = fault.New(fault.Unavailable, "another node has not forgotten yet what was erased; its word is waited for, or the end of its lease")

// Forgetter is a Destroyer that keeps keys in memory, of which another node's
// Destroy says nothing to it.
type Forgetter interface {
	Forget(log event.LogID, ids ...event.KeyID)
}

func (p *Process) forgetKeys(e erasure) {
	if f, ok := p.Keys.(Forgetter); ok && len(e.keys) > 0 {
		f.Forget(p.Log.ID(), e.keys...)
	}
}

func (p *Process) cursor(ctx context.Context) (c cursor, err error) {
	b, err := p.Log.Store().Cursor(ctx, p.Log.ID(), cursorName)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &c)
	}
	return c, fault.Wrap("read how far erasures have come", err)
}

func (p *Process) putCursor(ctx context.Context, c cursor) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = p.Log.Store().PutCursor(ctx, p.Log.ID(), cursorName, b)
	}
	return fault.Wrap("keep how far erasures have come", err)
}

// attendFor is how long a node's word is good.
func (p *Process) attendFor() time.Duration { return 2 * p.Log.Lease() }

func (p *Process) resumeShared(ctx context.Context) error {
	if err := p.forgetHere(ctx); err != nil || !p.Log.Leads() {
		return err
	}
	if _, err := p.destroyAll(ctx); err != nil {
		return err
	}
	return p.lead(ctx)
}

// runShared is Run on one of several nodes.
func (p *Process) runShared(ctx context.Context) error {
	shortest := min(max(p.Log.Lease()/4, 10*time.Millisecond), time.Second)
	pause := shortest
	for {
		err := p.turn(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.logger().Warn("erasures do not go on, trying again", "error", err)
		}
		if pause = min(2*pause, p.attendFor()/3); err == nil {
			pause = shortest
		}
		if err := p.waitAtMost(ctx, pause); err != nil {
			return err
		}
	}
}

// turn does what there is to do: in the stores if this node holds the log, and
// in its own memory.
func (p *Process) turn(ctx context.Context) error {
	var err error
	if p.Log.Leads() {
		err = p.lead(ctx)
	} else {
		err = p.watch(ctx)
	}
	return errors.Join(err, p.forgetHere(ctx))
}

// lead takes the erasures of the log as far as they go, in order.
func (p *Process) lead(ctx context.Context) error {
	at, err := p.cursor(ctx)
	if err != nil {
		return err
	}
	upto := p.Log.Mark().Size
	open, err := p.erasures(ctx, max(at.Complete, p.nodes.done), upto)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		p.nodes.done = upto
		return nil
	}
	// First in the stores, all of them, so that nodes forget many at once.
	reached := cursor{Deleted: upto, Complete: upto}
	var failed []error
	for _, again := range []bool{false, true} {
		reached, failed = cursor{Deleted: upto, Complete: upto}, nil
		for _, e := range open {
			if err := p.carryOut(ctx, e); err != nil && !errors.Is(err, errWaiting) {
				failed = append(failed, err)
			}
			reached.note(p, e)
		}
		if reached != at && reached.Deleted >= at.Deleted {
			if err := p.putCursor(ctx, reached); err != nil {
				return err
			}
			at = reached
		}
		if again || reached.Complete == upto {
			break
		}
		if err := p.forgetHere(ctx); err != nil {
			failed = append(failed, err)
		}
	}
	p.nodes.done = reached.Complete
	return errors.Join(failed...)
}

// note lowers the cursor to what is true in spite of an erasure.
func (c *cursor) note(p *Process, e erasure) {
	st, _ := p.Status(e.subject)
	switch st.Step {
	case Completed:
	case Deleted, Forgotten:
		c.Complete = min(c.Complete, e.position-1)
	default:
		c.Complete = min(c.Complete, e.position-1)
		c.Deleted = min(c.Deleted, e.position-1)
	}
}

// finishShared reports an erasure as complete if all nodes have forgotten.
func (p *Process) finishShared(ctx context.Context, e erasure) error {
	least, there, err := p.Log.Shared().Attending(ctx, p.Log.ID())
	switch {
	case err != nil:
		return fault.Wrap("ask what other nodes have forgotten", err)
	case !there || least < e.position:
		return errWaiting
	}
	return p.finish(ctx, e)
}

// watch learns how far the erasures have come that another node carries out.
func (p *Process) watch(ctx context.Context) error {
	at, err := p.cursor(ctx)
	if err != nil {
		return err
	}
	open, err := p.erasures(ctx, at.Complete, p.Log.Mark().Size)
	if err != nil {
		return err
	}
	for _, s := range p.Pending() {
		if s.Position <= at.Complete {
			open = append(open, erasure{subject: s.Subject, position: s.Position, time: s.Since})
		}
	}
	for _, e := range open {
		if p.isDone(e) {
			continue
		}
		if _, known := p.Status(e.subject); !known { // not to be opened from now on
			p.forgetKeys(e)
		}
		done, err := p.IsComplete(ctx, e.subject)
		if err != nil {
			return err
		}
		p.set(e, func(s *Status) {
			switch s.Err = nil; {
			case done:
				s.Step = Completed
			case e.position <= at.Deleted:
				s.Step = Deleted
			}
		})
	}
	return nil
}

// forgetHere clears what this node keeps of those whose data is gone from the
// stores, and says so to the others.
func (p *Process) forgetHere(ctx context.Context) error {
	n := &p.nodes
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.load(p); err != nil {
		return err
	}
	at, err := p.cursor(ctx)
	if err != nil {
		return err
	}
	if upto := min(at.Deleted, p.Log.Mark().Size); upto > n.forgotten {
		gone, err := p.erasures(ctx, n.forgotten, upto)
		if err != nil {
			return err
		}
		for _, e := range gone {
			p.forgetKeys(e)
			p.Log.Forget(e.subject)
			if err := p.forget(ctx, e); err != nil {
				return err
			}
		}
		if p.Note != nil && len(gone) > 0 {
			if err := p.Note.save(upto); err != nil {
				return err
			}
		}
		n.forgotten = upto
		p.known.settledTo(upto)
	}
	asked := time.Now()
	if err := p.Log.Shared().Attend(ctx, p.Log.ID(), p.Log.Node(), n.forgotten, p.attendFor()); err != nil {
		return fault.Wrap("tell other nodes what was forgotten", err)
	}
	until := asked.Add(p.attendFor() - p.attendFor()/8)
	n.until.Store(&until)
	return nil
}

// load reads what this node has forgotten before it was started.
func (n *nodes) load(p *Process) (err error) {
	if !n.loaded && p.Note != nil {
		if n.forgotten, err = p.Note.load(); err != nil {
			return err
		}
	}
	n.loaded = true
	return nil
}

// Present returns nil if this node may serve what it keeps: others know up to
// where it has forgotten, or it has just told them. A server asks before each
// request; nearly always it costs nothing.
func (p *Process) Present(ctx context.Context) error {
	if p.Log.Shared() == nil {
		return nil
	}
	if until := p.nodes.until.Load(); until != nil && time.Now().Before(*until) {
		return nil
	}
	return p.forgetHere(ctx)
}
