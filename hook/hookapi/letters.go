package hookapi

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/react"
)

// cursor is how far a subscription is, what was said of it worked in.
func (s *Service) cursor(ctx context.Context, id event.ID) (*react.Cursor, error) {
	c, _, err := s.book(id).Load(ctx)
	if err != nil {
		return nil, err
	}
	return c, s.follow(ctx, id, c)
}

// ListDeadLetters answers the events that are not delivered any more.
func (s *Service) ListDeadLetters(ctx context.Context, req *munimentv1.ListDeadLettersRequest) (*munimentv1.ListDeadLettersResponse, error) {
	id, err := adapter.ID(idField, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	a, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	st, err := s.state(ctx, id)
	if err == nil && !a.May(authz.ReadObjects, authz.Of(st.Organization)) {
		err = hook.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	c, err := s.cursor(ctx, id)
	if err != nil {
		return nil, err
	}
	var positions []event.Position
	for _, l := range c.Dead() {
		positions = append(positions, l.Position)
	}
	shown, err := s.Events.Shown(ctx, "dead letters of a subscription", positions)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListDeadLettersResponse{}
	for _, l := range c.Dead() {
		out.DeadLetters = append(out.DeadLetters, &munimentv1.DeadLetter{Position: uint64(l.Position), Stream: l.Stream.String(), Event: shown[l.Position],
			Attempts: int32(l.Attempts), Failure: string(l.Failure.Reason), Status: int32(l.Failure.Status), Since: timestamppb.New(l.Since)})
	}
	return out, nil
}

// RedriveDeadLetters has dead letters delivered anew.
func (s *Service) RedriveDeadLetters(ctx context.Context, req *munimentv1.RedriveDeadLettersRequest) (*munimentv1.RedriveDeadLettersResponse, error) {
	res, err := s.settleLetters(ctx, hook.Redriving, req, req.GetSubscriptionId(), req.GetPositions(), req.GetEveryOne())
	if err != nil {
		return nil, err
	}
	return &munimentv1.RedriveDeadLettersResponse{Change: adapter.Change(res)}, nil
}

// DiscardDeadLetters gives dead letters up.
func (s *Service) DiscardDeadLetters(ctx context.Context, req *munimentv1.DiscardDeadLettersRequest) (*munimentv1.DiscardDeadLettersResponse, error) {
	res, err := s.settleLetters(ctx, hook.Discarding, req, req.GetSubscriptionId(), req.GetPositions(), req.GetEveryOne())
	if err != nil {
		return nil, err
	}
	return &munimentv1.DiscardDeadLettersResponse{Change: adapter.Change(res)}, nil
}

// settleLetters records what becomes of dead letters. Which there are is no fact
// of the log: it is looked up once the caller is known to be allowed.
func (s *Service) settleLetters(ctx context.Context, d decide.Decider[hook.State, hook.Settle], req proto.Message, text string, named []uint64, all bool) (decide.Result, error) {
	id, err := adapter.ID(idField, text)
	if err != nil {
		return decide.Result{}, err
	}
	list, err := positions("positions", named)
	if err == nil && all == (len(list) > 0) {
		err = fault.Field("positions", "name some, or say every one")
	}
	if err != nil {
		return decide.Result{}, err
	}
	env, err := s.envelope(ctx, req)
	if err != nil {
		return decide.Result{}, err
	}
	res, err := decide.RunPrepared(ctx, s.core.Runner, d, env, hook.Settle{Subscription: id, Positions: list}, func(c hook.Settle) (hook.Settle, error) {
		if _, err := s.state(ctx, id); err != nil {
			return c, err
		}
		c.Positions, err = s.letters(ctx, id, list)
		return c, err
	})
	if err != nil { // perhaps the same command, given twice at once, has just done it
		if done, ok, failed := s.core.Runner.Earlier(ctx, env); failed == nil && ok {
			res, err = done, nil
		}
	}
	s.bells.ring(id)
	return res, err
}

// letters are those of the positions that are dead letters; all of them if none
// is named.
func (s *Service) letters(ctx context.Context, id event.ID, named []event.Position) ([]event.Position, error) {
	c, err := s.cursor(ctx, id)
	if err != nil {
		return nil, err
	}
	dead := map[event.Position]bool{}
	var all []event.Position
	for _, l := range c.Dead() {
		dead[l.Position] = true
		all = append(all, l.Position)
	}
	for _, p := range named {
		if !dead[p] {
			return nil, fault.Field("positions", "the event at position %d is no dead letter of this subscription", p)
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case len(all) == 0:
		return nil, fault.New(fault.Refused, "the subscription has no dead letters")
	}
	return all, nil
}
