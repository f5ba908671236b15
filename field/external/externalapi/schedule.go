package externalapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
	"muniment.dev/react"
)

// usual is when a run that failed is tried again: from five seconds up to an
// hour, or when the external system asked for it.
var usual = react.Retry{First: 5 * time.Second, Most: time.Hour, Jitter: rand.Float64}

// Run runs the adapters until the context ends, whenever this node is the one
// that does.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		turn, end := ctx, context.CancelFunc(func() {})
		if s.Leading != nil {
			turn, end = s.Leading(ctx)
		}
		if turn.Err() == nil {
			(&lead{Service: s, due: map[event.ID]due{}, ended: make(chan event.ID)}).run(turn)
		}
		end()
	}
}

// lead is this node's time of running adapters.
type lead struct {
	*Service
	due   map[event.ID]due
	ended chan event.ID
	work  sync.WaitGroup
}

// due is when an adapter runs next.
type due struct {
	at        time.Time
	requested event.Position // what was requested up to here is in it
	running   bool
}

const (
	settles = 50 * time.Millisecond // many changes of the log are looked at once
	looks   = time.Minute           // at the latest
)

func (l *lead) run(ctx context.Context) {
	defer l.work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil {
		at := l.core.Runner.Log.Mark().Size
		next, err := l.begin(ctx)
		if err != nil && ctx.Err() == nil {
			l.Logger.ErrorContext(ctx, "adapters cannot be run; it is tried again", "error", err)
			next = l.core.Runner.Log.Now().Add(time.Second)
		}
		l.wait(ctx, at, next)
	}
}

// begin begins the runs that are due, and answers when the next one is.
func (l *lead) begin(ctx context.Context) (time.Time, error) {
	now := l.core.Runner.Log.Now()
	next := now.Add(looks)
	all, err := l.all(ctx)
	if err != nil {
		return next, err
	}
	for id, st := range all {
		d, known := l.due[id]
		if d.running || st.Status != external.Active {
			continue
		}
		if !known || st.Requested > d.requested {
			if d, err = l.lookUp(ctx, id, st); err != nil {
				return next, err
			}
		}
		if d.running = !d.at.After(now); d.running {
			l.work.Go(func() { l.turn(ctx, id) })
		} else if d.at.Before(next) {
			next = d.at
		}
		l.due[id] = d
	}
	return next, nil
}

// lookUp is when an adapter runs next, by what is kept.
func (l *lead) lookUp(ctx context.Context, id event.ID, st external.State) (due, error) {
	p, _, err := l.load(ctx, id)
	if err != nil {
		return due{}, err
	}
	d := due{at: instant(p.Next), requested: st.Requested}
	if uint64(st.Requested) > p.Applied {
		d.at = time.Time{}
	}
	return d, nil
}

// wait waits until a run is due or has ended, or until the log has grown.
func (l *lead) wait(ctx context.Context, at event.Position, next time.Time) {
	grown, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan struct{})
	go func() {
		defer close(news)
		l.core.Runner.Log.Wait(grown, at) //nolint:errcheck // either way it is looked again
	}()
	t := time.NewTimer(max(next.Sub(l.core.Runner.Log.Now()), time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case id := <-l.ended:
		delete(l.due, id)
	case <-news:
		pause(ctx, settles)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// turn runs an adapter once.
func (l *lead) turn(ctx context.Context, id event.ID) {
	err := l.once(ctx, id)
	if err != nil && ctx.Err() == nil && !errors.Is(err, eventlog.ErrCursorMoved) { // another node has just had it
		l.Logger.ErrorContext(ctx, "an adapter cannot run; it is tried again", "adapter", id.String(), "error", err)
	}
	if err != nil {
		pause(ctx, time.Second)
	}
	select {
	case l.ended <- id:
	case <-ctx.Done():
	}
}

// once runs an adapter: it pulls first, so that what others have changed is here
// before ours goes out.
func (s *Service) once(ctx context.Context, id event.ID) error {
	p, was, err := s.load(ctx, id)
	if err != nil {
		return err
	}
	if err := s.followRuns(ctx, id, p); err != nil {
		return err
	}
	st, err := s.state(ctx, id)
	if err != nil || st.Status != external.Active {
		return nil //nolint:nilerr // there is nothing to run any more
	}
	r := &running{Service: s, id: id, progress: p, was: was}
	var pulled, pushed *exchange.Failure
	var again time.Time
	if st.Direction.Pulls() {
		pulled, err = r.pull(ctx)
	}
	if err == nil && st.Direction.Pushes() {
		pushed, again, err = r.push(ctx)
	}
	if errors.Is(err, errStopped) {
		return r.keep(ctx)
	}
	if err != nil {
		return r.broken(ctx, err)
	}
	r.conclude(pulled, pushed, again, st.Settings.Interval)
	if f := either(pulled, pushed); f != nil {
		s.Logger.WarnContext(ctx, "an adapter's run failed; it is tried again", "adapter", id.String(), "reason", string(f.Reason), "status", f.Status, "failed_runs", p.Failed, "error", f)
	}
	return r.keep(ctx)
}

func either(a, b *exchange.Failure) *exchange.Failure {
	if a != nil {
		return a
	}
	return b
}

// running is one run of an adapter.
type running struct {
	*Service
	id       event.ID
	progress *progress
	was      []byte
}

// broken notes that a run ended because of something here.
func (r *running) broken(ctx context.Context, why error) error {
	if ctx.Err() == nil && !errors.Is(why, eventlog.ErrCursorMoved) {
		f := &exchange.Failure{Reason: internal}
		r.conclude(f, f, time.Time{}, 0)
		why = errors.Join(why, r.keep(ctx))
	}
	return why
}

// keep keeps how far the run is.
func (r *running) keep(ctx context.Context) (err error) {
	r.was, err = r.save(ctx, r.id, r.progress, r.was)
	return err
}

// conclude notes what became of a run, and when the next one is.
func (r *running) conclude(pulled, pushed *exchange.Failure, again time.Time, interval int64) {
	p, now := r.progress, r.core.Runner.Log.Now()
	p.Last, p.Pull, p.Push = now.UnixMicro(), failedBy(pulled), failedBy(pushed)
	if pulled == nil && pushed == nil {
		p.Succeeded, p.Failed = p.Last, 0
		next := now.Add(spread(time.Duration(interval) * time.Second))
		if !again.IsZero() && again.Before(next) { // an event that was put off
			next = again
		}
		p.Next = next.UnixMicro()
		return
	}
	p.Failed++
	wait := backoff(r.Retry, p.Failed)
	for _, f := range []*exchange.Failure{pulled, pushed} {
		if f != nil {
			wait = max(wait, f.After)
		}
	}
	p.Next = now.Add(wait).UnixMicro()
}

// spread is an interval, up to a tenth shorter: what was set up together does
// not run together for ever.
func spread(d time.Duration) time.Duration { return d - time.Duration(rand.Float64()*float64(d)/10) }

// backoff is how long to wait after so many failures in a row.
func backoff(r react.Retry, failures uint32) time.Duration {
	d := r.First
	for i := uint32(1); i < failures && d < r.Most; i++ {
		d *= 2
	}
	d = min(d, r.Most)
	if r.Jitter != nil {
		d -= time.Duration(r.Jitter() * float64(d) / 2)
	}
	return d
}
