package react

import (
	"context"
	"errors"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Job is what a Pump is to do at the moment.
type Job struct {
	Selection
	Retry  Retry
	Max    int // events that are out at once
	Window int // streams with something unsettled; 0: MaxLanes
}

// MaxLanes is how many streams may have something unsettled, dead letters aside,
// before no others are begun: what a receiver that is down for long costs is
// bounded by it.
const MaxLanes = 1000

// MaxDead is how many dead letters a subscriber may have. One more and something
// is wrong with all of it: it has to be stopped.
const MaxDead = 1000

// Pump hands events to a function, as long as it runs.
type Pump struct {
	Book
	// Plan says what to do, and works into the cursor what was said of the
	// subscriber since Applied. It is asked whenever the log has grown. With an
	// error the pump ends.
	Plan func(ctx context.Context, c *Cursor) (Job, error)
	// Send takes one event to its receiver. It must end with its context, and
	// may be called for several events at once, never two of one stream. What
	// it returns is nil or, to say more of the failure, a *Refusal.
	Send func(ctx context.Context, d Delivery) error
}

// Refusal is why an event was not taken.
type Refusal struct {
	Failure
	After time.Duration // the receiver asks not to be called before
	Stop  error         // the receiver wants nothing any more: the pump ends with this
}

// Error says it.
func (r *Refusal) Error() string { return string(r.Reason) }

// result is what became of a delivery.
type result struct {
	position event.Position
	err      error
}

// pumping is one run of a pump.
type pumping struct {
	*Pump
	cursor  *Cursor
	was     []byte
	job     Job
	results chan result
	running int
	sending context.Context // of what is running
	recall  context.CancelFunc
	dirty   bool
}

// Run pumps until the context ends, or until it cannot go on; it may be run
// again then. If another moves the cursor meanwhile it ends with
// eventlog.ErrCursorMoved.
func (p *Pump) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, was, err := p.Load(ctx)
	if err != nil {
		return err
	}
	c.Release()
	r := &pumping{Pump: p, cursor: c, was: was, results: make(chan result)}
	r.sending, r.recall = context.WithCancel(ctx)
	grown := p.watch(ctx)
	for err == nil {
		err = r.round(ctx, grown)
	}
	cancel()
	for r.running > 0 {
		r.settle(<-r.results, err) //nolint:errcheck // it ends with the first error
	}
	if !fault.Is(err, fault.Conflict) {
		_, e := p.Save(context.WithoutCancel(ctx), r.cursor, r.was)
		err = errors.Join(err, e)
	}
	return err
}

// watch gives a channel that is signalled when the log has grown.
func (p *Pump) watch(ctx context.Context) <-chan struct{} {
	grown := make(chan struct{}, 1)
	at := p.Log.Mark().Size
	go func() {
		for p.Log.Wait(ctx, at) == nil {
			at = p.Log.Mark().Size
			select {
			case grown <- struct{}{}:
			default:
			}
		}
	}()
	return grown
}

// far is behind how many positions the cursor is kept even if nothing was
// delivered, so that a new start need not look at them again.
const far = 10_000

// round hands out what can be, keeps the cursor, and waits for something to do.
func (r *pumping) round(ctx context.Context, grown <-chan struct{}) (err error) {
	seen, rewinds := r.cursor.Seen, r.cursor.rewinds
	if r.job, err = r.Plan(ctx, r.cursor); err != nil {
		return err
	}
	if r.cursor.rewinds != rewinds {
		r.withdraw(ctx)
	}
	if r.job.Window == 0 {
		r.job.Window = MaxLanes
	}
	now := r.Log.Now()
	list, more, err := r.cursor.Take(ctx, r.Log, r.job.Selection, Ask{Max: max(0, r.job.Max-r.running), Window: r.job.Window, Now: now, Until: now.Add(time.Hour)})
	if err != nil {
		return err
	}
	for _, d := range list {
		r.running++
		go func() { r.results <- result{d.Record.Position, r.Send(r.sending, d)} }()
	}
	if r.dirty || r.cursor.Seen-min(seen, r.cursor.Seen) > far {
		if r.was, err = r.Save(ctx, r.cursor, r.was); err != nil {
			return err
		}
		r.dirty = false
	}
	if more {
		return r.drain(ctx)
	}
	return r.wait(ctx, grown)
}

// withdraw ends what is running when the cursor was rewound: what becomes of it
// says nothing of what is handed out again, maybe to do something else.
func (r *pumping) withdraw(ctx context.Context) {
	r.recall()
	for ; r.running > 0; r.running-- {
		<-r.results
	}
	r.sending, r.recall = context.WithCancel(ctx)
	r.dirty = true
}

// wait waits for a result, for new records, or until something is to be tried
// again.
func (r *pumping) wait(ctx context.Context, grown <-chan struct{}) error {
	var again <-chan time.Time
	if next := r.cursor.Next(); !next.IsZero() && r.running < r.job.Max {
		t := time.NewTimer(max(next.Sub(r.Log.Now()), 10*time.Millisecond))
		defer t.Stop()
		again = t.C
	}
	select {
	case res := <-r.results:
		if err := r.settle(res, ctx.Err()); err != nil {
			return err
		}
		return r.drain(ctx)
	case <-grown:
	case <-again:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// drain takes the results that are there already, so that one write keeps them
// all.
func (r *pumping) drain(ctx context.Context) error {
	for {
		select {
		case res := <-r.results:
			if err := r.settle(res, ctx.Err()); err != nil {
				return err
			}
		default:
			return ctx.Err()
		}
	}
}

// settle notes what became of a delivery. One that was cut off because the pump
// ends did not fail.
func (r *pumping) settle(res result, ending error) error {
	r.running--
	if res.err == nil {
		r.dirty = r.cursor.Done(res.position) || r.dirty
		return nil
	}
	if ending != nil {
		return nil
	}
	why := &Refusal{Failure: Failure{Reason: Unreadable}}
	errors.As(res.err, &why)
	r.dirty = true
	r.cursor.Fail(res.position, why.Failure, r.Log.Now(), why.After, r.job.Retry)
	return why.Stop
}
