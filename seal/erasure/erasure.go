// Package erasure carries out what an erasure in the log says: it has the
// register take note, destroys the subject's key, deletes ciphertexts and blind
// tags from the log's store, clears views and caches, and reports completion.
//
// The event subject.erased decides; this only follows. Every step may be
// repeated, so that a process that was interrupted begins again at the first.
// Resume does so before a server serves anybody; Run follows the log from there.
//
// What is promised when an erasure is complete: the wrapped key, the
// ciphertexts and the blind tags stand, as bytes, in no file of the stores that
// were given. What is not: backups, exports, snapshots of the disk below.
//
// Design: docs/security-model.md, "Erasure".
package erasure

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Step is how far an erasure has come.
type Step string

// The steps, in order. An erasure is pending until it is Completed.
const (
	Recorded   Step = "recorded"      // the log holds the erasure
	Registered Step = "registered"    // the register covers it: no restored state forgets it unnoticed
	Destroyed  Step = "key destroyed" // nobody can decrypt anything any more
	Deleted    Step = "log cleared"   // ciphertexts and blind tags are gone
	Forgotten  Step = "views cleared" // views and caches are clean
	Completed  Step = "complete"      // and the log says so
)

// Status is an erasure and how far it has come.
type Status struct {
	Subject  event.SubjectID
	Position event.Position // of the erasure's record
	Step     Step           // the last one done
	Records  int            // records cleared so far, while the log is being cleared
	Err      error          // why it does not go on at the moment, or nil
	Since    time.Time      // when the erasure was recorded
}

// Destroyer destroys keys so that their wrapped bytes stand in no file.
// Destroying a key twice, or one that it does not have, is harmless.
type Destroyer interface {
	Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error
}

// Forget clears what some store or cache holds of a subject, of all times. It
// may be repeated.
type Forget struct {
	Name string // "views", for messages
	Do   func(context.Context, event.SubjectID) error
}

// Process carries out the erasures of one log. Its fields are set before first
// use and not changed. It is safe for concurrent use; erasures run one by one.
type Process struct {
	Log  *eventlog.Log
	Keys Destroyer
	// Registered returns when the register covers a position.
	Registered func(context.Context, event.Position) error
	List       *List // where erasures are noted apart from the log; may be nil
	Forget     []Forget
	// IsComplete says whether an erasure was reported as complete, and
	// Complete reports it; both by events of the slice that erased.
	IsComplete func(context.Context, event.SubjectID) (bool, error)
	Complete   func(context.Context, event.SubjectID) error
	Logger     *slog.Logger // may be nil
	// Note is where this node keeps up to where it has forgotten, if several
	// nodes share the log and it has views of its own; nil: it has none.
	Note *Note

	nodes nodes
	known known
	run   sync.Mutex // one erasure at a time

	mu     sync.Mutex // guards what follows
	status map[event.SubjectID]*Status
	moved  chan struct{} // closed and replaced when a status changes
}

// Resume carries out all erasures that are not complete, and destroys the keys
// of all that are once more: a key database may have been restored from a
// backup. A server calls it before it serves. It tries every one of them and
// returns what failed.
//
// If several nodes share the log, this one forgets what was erased while it was
// away; if it holds the log it resumes erasures as far as it goes alone.
func (p *Process) Resume(ctx context.Context) error {
	if p.Log.Shared() != nil {
		return fault.Wrap("resume erasures", p.resumeShared(ctx))
	}
	return fault.Wrap("resume erasures", p.resume(ctx))
}

func (p *Process) resume(ctx context.Context) error {
	all, err := p.destroyAll(ctx)
	if err != nil {
		return err
	}
	return p.each(ctx, all)
}

// destroyAll destroys the keys of all erasures once more, and lists them.
func (p *Process) destroyAll(ctx context.Context) ([]erasure, error) {
	upto := p.Log.Mark().Size
	all, err := p.erasures(ctx, 0, upto)
	if err != nil {
		return nil, err
	}
	var keys []event.KeyID
	for _, e := range all {
		keys = append(keys, e.keys...)
	}
	if len(keys) > 0 {
		err = p.Keys.Destroy(ctx, p.Log.ID(), keys...)
	}
	if err == nil {
		p.known.settledTo(upto)
	}
	return all, err
}

// Run carries out erasures as the log records them, until the context ends.
// What fails is tried again, ever more slowly.
func (p *Process) Run(ctx context.Context) error {
	if p.Log.Shared() != nil {
		return p.runShared(ctx)
	}
	const shortest, longest = 100 * time.Millisecond, time.Minute
	var open []erasure
	after, pause := event.Position(0), shortest
	for {
		upto := p.Log.Mark().Size
		more, err := p.erasures(ctx, after, upto)
		if err == nil {
			open, after = append(open, more...), upto
			err = p.each(ctx, open)
			open = slices.DeleteFunc(open, p.isDone)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			pause = shortest
			err = p.Log.Wait(ctx, after)
		default:
			p.logger().Warn("an erasure does not go on, trying again", "error", err)
			pause, err = min(2*pause, longest), p.waitAtMost(ctx, pause)
		}
		if err != nil {
			return err
		}
	}
}

// waitAtMost waits until the log grows from now on or the time is over.
func (p *Process) waitAtMost(ctx context.Context, d time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := p.Log.Wait(wait, p.Log.Mark().Size)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil
	}
	return err
}

// each carries out several erasures and returns what failed.
func (p *Process) each(ctx context.Context, list []erasure) error {
	var failed []error
	for _, e := range list {
		if p.isDone(e) {
			continue
		}
		if err := p.carryOut(ctx, e); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// carryOut takes one erasure through all the steps.
func (p *Process) carryOut(ctx context.Context, e erasure) error {
	p.run.Lock()
	defer p.run.Unlock()
	if p.isDone(e) {
		return nil
	}
	if !p.deleted(e) {
		p.set(e, func(s *Status) { s.Step, s.Err, s.Records = Recorded, nil, 0 })
	}
	err := p.steps(ctx, e)
	if err != nil {
		err = fault.Wrap("erase subject "+e.subject.String(), err)
		p.set(e, func(s *Status) { s.Err = err })
	}
	return err
}

func (p *Process) steps(ctx context.Context, e erasure) error {
	done, err := p.IsComplete(ctx, e.subject)
	if err != nil {
		return err
	}
	if done {
		p.set(e, func(s *Status) { s.Step = Completed })
		return nil
	}
	if !p.deleted(e) {
		if err := p.delete(ctx, e); err != nil {
			return err
		}
	}
	if p.Log.Shared() != nil {
		return p.finishShared(ctx, e)
	}
	if err := p.forget(ctx, e); err != nil {
		return err
	}
	return p.finish(ctx, e)
}

// deleted reports whether only nodes are waited for any more.
func (p *Process) deleted(e erasure) bool {
	st, ok := p.Status(e.subject)
	return ok && p.Log.Shared() != nil && (st.Step == Deleted || st.Step == Forgotten)
}

// delete takes an erasure through the steps that concern the stores.
func (p *Process) delete(ctx context.Context, e erasure) error {
	if err := p.Registered(ctx, e.position); err != nil {
		return err
	}
	if p.List != nil {
		if err := p.List.Add(ctx, e.position, e.subject, e.keys); err != nil {
			return err
		}
	}
	p.set(e, func(s *Status) { s.Step = Registered })
	if err := p.Keys.Destroy(ctx, p.Log.ID(), e.keys...); err != nil {
		return err
	}
	p.known.settled(e)
	p.set(e, func(s *Status) { s.Step = Destroyed })
	cleared := func(n int) { p.set(e, func(s *Status) { s.Records = n }) }
	if err := p.Log.Erase(ctx, e.subject, cleared); err != nil {
		return err
	}
	p.set(e, func(s *Status) { s.Step = Deleted })
	return nil
}

// forget clears what this process keeps.
func (p *Process) forget(ctx context.Context, e erasure) error {
	for _, f := range p.Forget {
		if err := f.Do(ctx, e.subject); err != nil {
			return fault.Wrap("clear the "+f.Name, err)
		}
	}
	return nil
}

// finish reports that an erasure is complete.
func (p *Process) finish(ctx context.Context, e erasure) error {
	p.set(e, func(s *Status) { s.Step = Forgotten })
	if err := p.Complete(ctx, e.subject); err != nil {
		return err
	}
	p.set(e, func(s *Status) { s.Step = Completed })
	p.logger().Info("an erasure is complete", "subject", e.subject.String(), "position", e.position)
	return nil
}

func (p *Process) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}
