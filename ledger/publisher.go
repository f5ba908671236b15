package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// PublisherOptions configure a Publisher. The zero value is usable.
type PublisherOptions struct {
	Every  time.Duration // least time between two checkpoints; default 200 ms
	Logger *slog.Logger
}

// Publisher signs checkpoints of a log as it grows. For each, in this order:
// the log is durable up to the mark; the tree at the mark continues the one in
// the register, by proof; the register is swapped; the checkpoint is signed,
// stored and published. While the log does not grow, it does nothing.
//
// It stops signing for good, and says why in [Publisher.Err], when the register
// turns out to be another's or the log not to continue it. When the outcome of
// a swap is not known, nothing is signed until the register was read and
// written again.
//
// Of several nodes that share a log the one that holds it signs; the others
// pass on what was stored.
type Publisher struct {
	log    *eventlog.Log
	signer *Signer
	reg    Register
	prover *Prover
	opts   PublisherOptions

	cancel context.CancelFunc
	closed sync.WaitGroup

	// Of the goroutine that publishes.
	held   State // what the register holds, as far as is known
	target State // what the last swap was to make of it
	unsure bool  // the outcome of that swap is not known

	mu     sync.Mutex // guards what follows
	latest Checkpoint
	when   time.Time // latest was published
	err    error
	done   bool
	moved  chan struct{} // closed and replaced when any of these changes
}

// StartPublisher publishes a checkpoint of the log as it is, unless it is
// empty, and begins to publish those that follow. The log must have been opened
// by [OpenLog]. Close must be called.
func StartPublisher(ctx context.Context, log *eventlog.Log, signer *Signer, reg Register, o PublisherOptions) (*Publisher, error) {
	if o.Every == 0 {
		o.Every = 200 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if signer.Log() != log.Generation() {
		return nil, fault.New(fault.Refused, "the signing key is of log %s, not of log %s", signer.Log(), log.Generation())
	}
	p := &Publisher{log: log, signer: signer, reg: reg, prover: NewProver(log.Store(), log.ID()), opts: o, moved: make(chan struct{})}
	var err error
	if p.held, err = reg.Load(ctx); err != nil {
		return nil, fault.Wrap("read the register", err)
	}
	if err := p.publish(ctx); errors.Is(err, errDeposed) {
		p.err = err // it is tried again
	} else if err != nil {
		return nil, fault.Wrap("publish a checkpoint", err)
	}
	ctx, p.cancel = context.WithCancel(context.Background())
	p.closed.Go(func() { p.run(ctx) })
	return p, nil
}

// Latest returns the newest checkpoint that was published by this process; the
// zero Checkpoint if the log was empty so far.
func (p *Publisher) Latest() Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest
}

// Published returns what Latest does, and when that was published.
func (p *Publisher) Published() (Checkpoint, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest, p.when
}

// Err returns why nothing is being published at the moment, or nil. Of kind
// Refused, it is for good: a person must look. Else it is being retried.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// WaitFor returns the first checkpoint published from now on, or the latest,
// that covers a position. It fails with the context's error, with
// fault.Refused if publishing has stopped for good, and with fault.Unavailable
// after Close.
func (p *Publisher) WaitFor(ctx context.Context, at event.Position) (Checkpoint, error) {
	for {
		p.mu.Lock()
		latest, err, done, moved := p.latest, p.err, p.done, p.moved
		p.mu.Unlock()
		switch {
		case latest.Size >= at:
			return latest, nil
		case fault.Is(err, fault.Refused):
			return Checkpoint{}, err
		case done:
			return Checkpoint{}, fault.New(fault.Unavailable, "the server is stopping; the record is safe, and will be under a checkpoint when it is up again")
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Checkpoint{}, ctx.Err()
		}
	}
}

// Close publishes a last checkpoint if the log has grown and no other node took
// it meanwhile, and stops. Close the
// log first, and the store last.
func (p *Publisher) Close() error {
	p.cancel()
	p.closed.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.Err()
	if !fault.Is(err, fault.Refused) {
		err = p.publish(ctx)
	}
	p.change(func() { p.done = true })
	if errors.Is(err, errDeposed) { // which signs what came last
		err = nil
	}
	return fault.Wrap("publish the last checkpoint", err)
}

// run publishes when the log has grown, at most once in a while.
func (p *Publisher) run(ctx context.Context) {
	pause := p.opts.Every
	for sleep(ctx, pause) {
		if p.Err() == nil && p.log.Wait(ctx, p.Latest().Size) != nil {
			return
		}
		err := p.publish(ctx)
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return
		}
		p.report(err)
		switch {
		case err == nil:
			pause = p.opts.Every
		case fault.Is(err, fault.Refused):
			return
		default:
			pause = min(2*pause, 5*time.Second)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// report keeps the state for Err and tells the operator when it changes.
func (p *Publisher) report(err error) {
	old := p.Err()
	switch {
	case err == nil && old == nil:
		return
	case err == nil:
		p.opts.Logger.Info("publishing checkpoints again")
	case fault.Is(err, fault.Refused):
		p.opts.Logger.Error("publishing checkpoints has stopped; a person must look", "error", err)
	case old == nil:
		p.opts.Logger.Warn("cannot publish a checkpoint, trying again", "error", err)
	}
	p.change(func() { p.err = err })
}

// change changes what is guarded by mu and wakes those who wait.
func (p *Publisher) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.moved)
	p.moved = make(chan struct{})
}

// publish takes the log's mark through all the steps. What it began it
// finishes: a swap that is cut off half-way is one whose outcome nobody knows.
func (p *Publisher) publish(ctx context.Context) error {
	if p.log.Shared() != nil {
		return p.publishShared(ctx)
	}
	return p.sign(ctx)
}

// sign is publish for the one who appends to the log.
func (p *Publisher) sign(ctx context.Context) error {
	m := p.log.Mark() // durable: the log moves its mark after syncing
	next := State{Log: p.log.Generation(), Term: m.Term, Tree: Tree{m.Size, m.Root}}
	if err := p.settle(ctx, m.Term); err != nil {
		return err
	}
	if err := p.mayFollow(ctx, next); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if next != p.held || p.unsure {
		if err := p.swap(ctx, next); err != nil {
			return err
		}
	}
	if m.Size == 0 || m.Size == p.Latest().Size {
		return nil
	}
	c, err := p.signer.Sign(next.Tree)
	if err != nil {
		return err
	}
	if err := p.log.Store().PutCheckpoint(ctx, p.log.ID(), c.Size, c.Note); err != nil {
		return fault.Wrap("store a checkpoint", err)
	}
	p.change(func() { p.latest, p.when = c, p.log.Now() })
	return nil
}

// settle reads the register again after a swap of unknown outcome. What it
// finds may still vanish in a crash, so the next swap is made in any case.
//
// Other nodes write the register too, each under a term of its own.
func (p *Publisher) settle(ctx context.Context, term uint64) error {
	shared := p.log.Shared() != nil
	if !p.unsure && (!shared || p.held.Term == term) {
		return nil
	}
	now, err := p.reg.Load(ctx)
	if err != nil {
		return fault.Wrap("read the register again", err)
	}
	if !shared && now != p.held && now != p.target {
		return fault.New(fault.Refused, "somebody else changed the register: it is about log %s, term %d, %d records; nothing more is signed", now.Log, now.Term, now.Size)
	}
	p.held = now
	return nil
}

// mayFollow refuses to go from what the register holds to next unless next
// continues it.
func (p *Publisher) mayFollow(ctx context.Context, next State) error {
	switch {
	case p.held.IsZero() && next.Size == 0:
		return nil
	case p.held.IsZero():
		return ErrNoRegister
	case p.held.Log != next.Log:
		return ErrOtherLog
	case p.held.Term > next.Term && p.log.Shared() != nil:
		return errDeposed
	case p.held.Term > next.Term:
		return fault.New(fault.Refused, "another server has taken the log (term %d, ours is %d); nothing more is signed here", p.held.Term, next.Term)
	}
	return continues(ctx, p.prover, p.held.Tree, next.Tree)
}

func (p *Publisher) swap(ctx context.Context, next State) error {
	p.target = next
	switch err := p.reg.CompareAndSwap(ctx, p.held, next); {
	case err == nil:
		p.held, p.unsure = next, false
		return nil
	case fault.Is(err, fault.Unknown):
		p.unsure = true
		return fault.Wrap("write the register", err)
	case fault.Is(err, fault.Conflict) && p.log.Shared() != nil:
		p.unsure = true
		return errDeposed
	case fault.Is(err, fault.Conflict):
		return &fault.Error{Kind: fault.Refused, Op: "write the register", Msg: "somebody else changed the register; nothing more is signed", Err: err}
	default:
		return fault.Wrap("write the register", err)
	}
}
