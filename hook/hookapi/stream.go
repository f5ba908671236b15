package hookapi

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/hook"
	"muniment.dev/react"
)

// A stream ends when events are out and nothing was sent or settled for so long:
// whoever can only acknowledge by beginning again does so then.
const unanswered = 15 * time.Second

// alive is how often a stream says that it is.
const alive = 10 * time.Second

// StreamEvents hands out events as they come.
func (s *Service) StreamEvents(ctx context.Context, req *munimentv1.StreamEventsRequest, out *connect.ServerStream[munimentv1.StreamEventsResponse]) error {
	p, err := s.puller(ctx, req.GetSubscriptionId())
	if err != nil {
		return err
	}
	after := event.Position(req.GetAfterPosition())
	if err := adapter.Held(s.core.Runner.Log, "log_id", req.GetLogId(), after); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if s.Streams != nil {
		defer context.AfterFunc(s.Streams, func() { end(errStopping) })()
	}
	st := &stream{pull: p, session: event.NewID(), out: out, last: after}
	if err = st.begin(ctx); err == nil {
		err = st.run(ctx)
	}
	switch {
	case errors.Is(context.Cause(ctx), errStopping):
		return errStopping
	case errors.Is(err, errReplaced):
		return nil
	}
	return err
}

// stream is one stream of a subscription.
type stream struct {
	*pull
	session event.ID
	out     *connect.ServerStream[munimentv1.StreamEventsResponse]
	last    event.Position // that was sent
	sent    time.Time      // when something was sent or settled last
	said    time.Time      // when the stream said last that it is alive
	open    int            // events that are out
}

// begin takes the subscription over from another stream: what that one's
// receiver dealt with is settled, the rest comes again.
func (st *stream) begin(ctx context.Context) error {
	_, err := st.change(ctx, func(h hook.State, c *react.Cursor) error {
		c.Session = st.session
		if st.last > 0 {
			c.Resume(st.last, st.core.Runner.Log.Now(), st.retry(h))
		}
		c.Release()
		return idle(h)
	}, nil)
	st.bells.ring(st.id)
	st.sent = time.Now()
	return err
}

// run sends until the stream has to begin again.
func (st *stream) run(ctx context.Context) error {
	for {
		bell, mark := st.bells.wait(st.id), st.core.Runner.Log.Mark().Size
		t, full, err := st.next(ctx)
		if err != nil {
			return err
		}
		for _, d := range t.list {
			e := d.GetEvent()
			if err := st.out.Send(&munimentv1.StreamEventsResponse{Delivery: d, Position: e.GetPosition(), LogId: e.GetLogId()}); err != nil {
				return err
			}
			st.last = event.Position(e.GetPosition())
		}
		if len(t.list) > 0 || t.out < st.open {
			st.sent = time.Now()
		}
		st.open = t.out
		if quiet := time.Since(st.sent); full && quiet > time.Second || t.out > 0 && quiet > unanswered {
			return nil
		}
		if err := st.alive(len(t.list) > 0); err != nil {
			return err
		}
		if len(t.list) == 0 && !t.more {
			st.await(ctx, mark, t.verify, bell, time.Second)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// next hands out what comes next to this stream, and lets it keep what it has.
func (st *stream) next(ctx context.Context) (t taken, full bool, err error) {
	now := st.core.Runner.Log.Now()
	t, err = st.change(ctx, func(h hook.State, c *react.Cursor) error {
		if c.Session != st.session {
			return errReplaced
		}
		c.Prolong(now, deadline)
		return nil
	}, func(hook.State, *react.Cursor) react.Ask {
		return react.Ask{Max: mostAtOnce, Now: now, Until: now.Add(deadline), Several: true}
	})
	if err != nil {
		return t, false, err
	}
	h, err := st.state(ctx)
	return t, t.out >= int(h.Settings.Concurrency), err
}

// alive says that the stream is, at its beginning and from time to time.
func (st *stream) alive(sent bool) error {
	if sent || time.Since(st.said) < alive {
		if sent {
			st.said = time.Now()
		}
		return nil
	}
	st.said = time.Now()
	return st.out.Send(&munimentv1.StreamEventsResponse{Position: uint64(st.last), LogId: st.core.Runner.Log.GenerationAt(st.last).String()})
}
