package auditapi

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

var errStopping = fault.New(fault.Unavailable, "the server stops; watch on from the last position when it is back")

// WatchEvents implements the EventService.
func (s *Service) WatchEvents(ctx context.Context, req *munimentv1.WatchEventsRequest, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if s.Streams != nil {
		defer context.AfterFunc(s.Streams, func() { end(errStopping) })()
	}
	err := s.watch(ctx, req, stream)
	if errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

func (s *Service) watch(ctx context.Context, req *munimentv1.WatchEventsRequest, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	leave, err := s.watchers.enter(c.Actor())
	if err != nil {
		return err
	}
	defer leave()
	f, err := s.filter(req.GetFilter())
	if err != nil {
		return err
	}
	if req.GetOnlyNew() {
		f.After = s.Runner.Log.Mark().Size
	}
	sight, err := s.sightFor(ctx, f)
	if err != nil {
		return err
	}
	if err := s.record(ctx, sight, audit.Read{Filter: "live: " + f.String(), From: int64(f.After) + 1}); err != nil {
		return err
	}
	want := details{fields: req.GetWithFields(), leaf: req.GetWithLeaf()}
	for {
		done, next, err := s.forward(ctx, f, want, stream)
		if err != nil || done {
			return err
		}
		f.After = next
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		err = s.Runner.Log.Wait(wait, next)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}

// forward sends what has happened after f.After, and a sign of life. What the
// caller may see is asked anew each time: a right that was withdrawn counts.
func (s *Service) forward(ctx context.Context, f audit.Filter, want details, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) (done bool, next event.Position, err error) {
	l := s.Runner.Log
	mark := l.Mark()
	sight, err := s.sightFor(ctx, f)
	if err != nil {
		return false, 0, err
	}
	q, err := s.query(f, sight)
	if err != nil {
		return false, 0, err
	}
	after, upto, err := audit.Span(ctx, l, f)
	if err != nil {
		return false, 0, err
	}
	upto = min(upto, mark.Size) // behind it may be what the sight does not know of
	for r, err := range s.matching(ctx, l.ReadTo(ctx, q, after, upto), f, sight) {
		if err != nil {
			return false, 0, err
		}
		m, err := s.detailed(ctx, r, sight, want)
		if err != nil {
			return false, 0, err
		}
		if err := stream.Send(&munimentv1.WatchEventsResponse{Event: m, Position: uint64(r.Position), LogId: r.Log.String()}); err != nil {
			return false, 0, err
		}
	}
	if err := stream.Send(&munimentv1.WatchEventsResponse{Position: uint64(mark.Size), LogId: l.GenerationAt(mark.Size).String()}); err != nil {
		return false, 0, err
	}
	ended := f.Before > 0 && mark.Size+1 >= f.Before || !f.To.IsZero() && !mark.Time.Before(f.To)
	return ended, mark.Size, nil
}
