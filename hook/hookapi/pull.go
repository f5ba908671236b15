package hookapi

import (
	"context"
	"errors"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/react"
)

// Bounds of what whoever pulls may ask for.
const (
	mostAtOnce   = 1000
	longestWait  = 20 * time.Second
	deadline     = time.Minute
	longestLease = time.Hour
)

var errPushed = fault.New(fault.Refused, "the events of this subscription are sent to a webhook; nobody can fetch them")

// pull is somebody who pulls from a subscription.
type pull struct {
	*Service
	id  event.ID
	who event.Actor
}

// puller lets in whoever may pull: all that the subscription selects must be
// theirs to read. To others who may not see it, it is not there.
func (s *Service) puller(ctx context.Context, text string) (*pull, error) {
	id, err := adapter.ID(idField, text)
	if err != nil {
		return nil, err
	}
	a, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	p := &pull{s, id, a.Actor}
	_, err = p.state(ctx)
	return p, err
}

// state is how the subscription is, if the caller may still pull from it.
func (p *pull) state(ctx context.Context) (hook.State, error) {
	a, err := p.authority(ctx, p.who)
	if err != nil {
		return hook.State{}, err
	}
	st, err := p.Service.state(ctx, p.id)
	if fault.Is(err, fault.NotFound) || err == nil && st.Settings.MayRead(a, st.Organization) != nil {
		if err == nil && a.May(authz.ReadObjects, authz.Of(st.Organization)) {
			return st, st.Settings.MayRead(a, st.Organization)
		}
		return st, hook.ErrNotFound
	}
	if err == nil && st.Delivery != hook.Pull {
		err = errPushed
	}
	return st, err
}

// taken is what was handed out.
type taken struct {
	list []*munimentv1.Delivery
	more bool // there is more to look at
	out  int  // with receivers now
	// verify says that what no checkpoint covers yet is to come as soon as one does.
	verify bool
}

// change works on the cursor: it follows what was said, does, and hands out as
// asked. Nothing is kept if nothing came of it.
func (p *pull) change(ctx context.Context, do func(hook.State, *react.Cursor) error, ask func(hook.State, *react.Cursor) react.Ask) (taken, error) {
	var st hook.State
	var list []react.Delivery
	var t taken
	err := p.book(p.id).Change(ctx, func(c *react.Cursor) (bool, error) {
		began := c.Seen
		before, err := c.Shape()
		if err != nil {
			return false, err
		}
		if err := p.follow(ctx, p.id, c); err != nil {
			return false, err
		}
		upto := p.core.Runner.Log.Mark().Size // before the rights are asked for: what comes behind their withdrawal is not for these eyes
		if st, err = p.state(ctx); err != nil {
			return false, err
		}
		now := p.core.Runner.Log.Now()
		c.Expire(now, p.retry(st))
		if do != nil {
			if err := do(st, c); err != nil {
				return false, err
			}
		}
		list, t = nil, taken{}
		if ask != nil {
			if err := p.give(ctx, st, upto, c, ask(st, c), &list, &t); err != nil {
				return false, err
			}
		}
		t.verify = st.Settings.Verify
		t.out, _, _ = c.Counts()
		after, err := c.Shape()
		return after != before || c.Seen-min(began, c.Seen) > far, err
	})
	if err != nil {
		return taken{}, err
	}
	t.list, err = p.messages(ctx, st, list)
	return t, err
}

// far is behind how many positions a cursor is kept even if nothing was handed
// out.
const far = 10_000

// give hands out.
func (p *pull) give(ctx context.Context, st hook.State, upto event.Position, c *react.Cursor, a react.Ask, list *[]react.Delivery, t *taken) error {
	if err := idle(st); err != nil {
		return err
	}
	if err := p.mayGoOn(ctx, st, c); err != nil {
		return err
	}
	if st.Settings.Verify {
		upto = min(upto, p.Events.Covered())
	}
	sel, err := p.selection(st, upto)
	if err != nil {
		return err
	}
	out, _, _ := c.Counts()
	a.Max, a.Window = max(0, min(a.Max, int(st.Settings.Concurrency)-out)), react.MaxLanes
	*list, t.more, err = c.Take(ctx, p.core.Runner.Log, sel, a)
	return err
}

// messages are deliveries for an answer. What cannot be made ready failed.
func (p *pull) messages(ctx context.Context, st hook.State, list []react.Delivery) ([]*munimentv1.Delivery, error) {
	if len(list) == 0 {
		return nil, nil
	}
	sight, err := p.sight(ctx, st, p.who)
	if err != nil {
		return nil, err
	}
	var out []*munimentv1.Delivery
	for _, d := range list {
		m := &munimentv1.Delivery{Attempt: int32(d.Attempt), Repeat: d.Repeat}
		m.Event, err = p.Events.Message(ctx, d.Record, sight)
		if err == nil && st.Settings.Verify {
			m.Receipt, err = p.Events.Receipt(ctx, d.Record.Position)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			p.Logger.ErrorContext(ctx, "an event cannot be made ready for delivery", "subscription", st.ID.String(), "position", uint64(d.Record.Position), "error", err)
			if _, err := p.settle(ctx, []event.Position{d.Record.Position}, p.failing(react.Unreadable, 0, false)); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, m)
	}
	return out, nil
}

// settle does something to events that are out, and answers those that nobody
// had.
func (p *pull) settle(ctx context.Context, positions []event.Position, do func(hook.State, *react.Cursor, event.Position) bool) ([]uint64, error) {
	var unknown []uint64
	_, err := p.change(ctx, func(st hook.State, c *react.Cursor) error {
		unknown = nil
		for _, at := range positions {
			if !do(st, c, at) {
				unknown = append(unknown, uint64(at))
			}
		}
		return nil
	}, nil)
	p.bells.ring(p.id)
	return unknown, err
}

func done(_ hook.State, c *react.Cursor, at event.Position) bool { return c.Done(at) }

// failing fails an event; for good if that is said.
func (p *pull) failing(why react.Reason, after time.Duration, forGood bool) func(hook.State, *react.Cursor, event.Position) bool {
	return func(st hook.State, c *react.Cursor, at event.Position) bool {
		r := p.retry(st)
		r.Most = max(r.Most, after)
		if forGood {
			r.Attempts = 1
		}
		return c.Fail(at, react.Failure{Reason: why}, p.core.Runner.Log.Now(), after, r)
	}
}

// positions reads the positions of a request.
func positions(field string, list []uint64) ([]event.Position, error) {
	if len(list) > mostAtOnce {
		return nil, fault.Field(field, "at most %d at once", mostAtOnce)
	}
	var out []event.Position
	for _, p := range list {
		out = append(out, event.Position(p))
	}
	return out, nil
}

// seconds reads a span of a request.
func seconds(field string, n int32, none, most time.Duration) (time.Duration, error) {
	d := time.Duration(n) * time.Second
	switch {
	case n < 0 || d > most:
		return 0, fault.Field(field, "must be at most %d", int(most.Seconds()))
	case n == 0:
		return none, nil
	}
	return d, nil
}

// FetchEvents hands out the next events.
func (s *Service) FetchEvents(ctx context.Context, req *munimentv1.FetchEventsRequest) (*munimentv1.FetchEventsResponse, error) {
	p, err := s.puller(ctx, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	acks, err := positions("acknowledge", req.GetAcknowledge())
	if err != nil {
		return nil, err
	}
	wait, err := seconds("wait_seconds", req.GetWaitSeconds(), 0, longestWait)
	if err != nil {
		return nil, err
	}
	lease, err := seconds("deadline_seconds", req.GetDeadlineSeconds(), deadline, longestLease)
	if err != nil {
		return nil, err
	}
	most := int(req.GetMaxEvents())
	if most < 0 || most > mostAtOnce {
		return nil, fault.Field("max_events", "must be 1 to %d", mostAtOnce)
	}
	if most == 0 {
		most = 100
	}
	out := &munimentv1.FetchEventsResponse{}
	if len(acks) > 0 {
		if _, err = p.settle(ctx, acks, done); err != nil {
			return nil, err
		}
	}
	out.Deliveries, err = p.fetch(ctx, most, lease, wait)
	return out, err
}

// fetch hands out events, and waits for some if there are none.
func (p *pull) fetch(ctx context.Context, most int, lease, wait time.Duration) ([]*munimentv1.Delivery, error) {
	end := time.Now().Add(wait)
	for {
		bell, mark := p.bells.wait(p.id), p.core.Runner.Log.Mark().Size
		t, err := p.change(ctx, nil, func(hook.State, *react.Cursor) react.Ask {
			now := p.core.Runner.Log.Now()
			return react.Ask{Max: most, Now: now, Until: now.Add(lease)}
		})
		if err != nil || len(t.list) > 0 {
			return t.list, err
		}
		left := time.Until(end)
		if t.more {
			continue
		}
		if left <= 0 || p.Streams != nil && p.Streams.Err() != nil {
			return nil, nil
		}
		if p.await(ctx, mark, t.verify, bell, min(left, time.Second)); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// breath is how long whoever waits lets the log grow before looking again: a log
// that grows all the time would have them read their cursor all the time.
const breath = 2 * time.Millisecond

// await returns when the log has grown past a position, or a checkpoint, if the
// subscription waits for one, when something was settled, or after a while.
func (p *pull) await(ctx context.Context, mark event.Position, verify bool, bell <-chan struct{}, d time.Duration) {
	defer pause(ctx, breath)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if p.Streams != nil {
		defer context.AfterFunc(p.Streams, cancel)()
	}
	go func() {
		select {
		case <-bell:
			cancel()
		case <-ctx.Done():
		}
	}()
	if verify && p.Events.Covered() < mark {
		p.Events.Checkpoints.WaitFor(ctx, mark) //nolint:errcheck // either way it is looked again
		return
	}
	p.core.Runner.Log.Wait(ctx, mark) //nolint:errcheck // either way it is looked again
}

// AcknowledgeEvents settles events.
func (s *Service) AcknowledgeEvents(ctx context.Context, req *munimentv1.AcknowledgeEventsRequest) (*munimentv1.AcknowledgeEventsResponse, error) {
	p, err := s.puller(ctx, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	list, err := positions("positions", req.GetPositions())
	if err != nil {
		return nil, err
	}
	unknown, err := p.settle(ctx, list, done)
	return &munimentv1.AcknowledgeEventsResponse{Unknown: unknown}, err
}

// RejectEvents takes events back.
func (s *Service) RejectEvents(ctx context.Context, req *munimentv1.RejectEventsRequest) (*munimentv1.RejectEventsResponse, error) {
	p, err := s.puller(ctx, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	list, err := positions("positions", req.GetPositions())
	if err != nil {
		return nil, err
	}
	after, err := seconds("retry_after_seconds", req.GetRetryAfterSeconds(), 0, longestLease)
	if err != nil {
		return nil, err
	}
	unknown, err := p.settle(ctx, list, p.failing(react.Rejected, after, req.GetDeadLetter()))
	return &munimentv1.RejectEventsResponse{Unknown: unknown}, err
}

// ended is why a stream ends that the server ends.
var (
	errStopping = fault.New(fault.Unavailable, "the server stops; begin again behind the last event when it is back")
	errReplaced = errors.New("another stream of the subscription has begun")
)
