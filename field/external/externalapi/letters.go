package externalapi

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom/customapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/react"
)

// dead are the events that the external system refused.
func (s *Service) dead(ctx context.Context, id event.ID) ([]react.Letter, error) {
	c, _, err := s.book(id).Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.followPush(ctx, id, c); err != nil {
		return nil, err
	}
	return c.Dead(), nil
}

// refused are the events of the external system that were not recorded, as they
// came.
func refused(st external.State) []external.Refusal {
	var list []external.Refusal
	for _, r := range st.Refused {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b external.Refusal) int { return cmp.Compare(a.At, b.At) })
	return list
}

// ListAdapterFailures answers the events that did not come over.
func (s *Service) ListAdapterFailures(ctx context.Context, req *munimentv1.ListAdapterFailuresRequest) (*munimentv1.ListAdapterFailuresResponse, error) {
	id, err := adapter.ID(idField, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	a, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	st, err := s.state(ctx, id)
	if err == nil && !a.May(authz.ReadObjects, authz.Of(st.Organization)) {
		err = external.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	letters, err := s.dead(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListAdapterFailuresResponse{}
	for _, l := range letters {
		out.Failures = append(out.Failures, &munimentv1.AdapterFailure{Position: uint64(l.Position), Stream: l.Stream.Kind + ":" + customapi.UUID(l.Stream.ID), Failure: string(l.Failure.Reason), Status: int32(l.Failure.Status),
			Attempts: int32(l.Attempts), Since: timestamppb.New(l.Since)})
	}
	for _, r := range refused(st) {
		f := &munimentv1.AdapterFailure{EventId: customapi.UUID(r.Event), Failure: r.Reason, Field: r.Field, Since: adapter.Time(r.Time.Time())}
		if !r.Entity.IsZero() {
			f.EntityId = customapi.UUID(r.Entity)
		}
		out.Failures = append(out.Failures, f)
	}
	return out, nil
}

// naming is what requests say of events that did not come over.
type naming interface {
	proto.Message
	GetAdapterId() string
	GetPositions() []uint64
	GetEventIds() []string
	GetEveryOne() bool
}

// RedriveAdapterFailures has events tried anew.
func (s *Service) RedriveAdapterFailures(ctx context.Context, req *munimentv1.RedriveAdapterFailuresRequest) (*munimentv1.RedriveAdapterFailuresResponse, error) {
	res, err := s.settleLetters(ctx, external.Redriving, req)
	if err != nil {
		return nil, err
	}
	return &munimentv1.RedriveAdapterFailuresResponse{Change: adapter.Change(res)}, nil
}

// DiscardAdapterFailures gives events up.
func (s *Service) DiscardAdapterFailures(ctx context.Context, req *munimentv1.DiscardAdapterFailuresRequest) (*munimentv1.DiscardAdapterFailuresResponse, error) {
	res, err := s.settleLetters(ctx, external.Discarding, req)
	if err != nil {
		return nil, err
	}
	return &munimentv1.DiscardAdapterFailuresResponse{Change: adapter.Change(res)}, nil
}

// settleLetters records what becomes of events that did not come over. Which
// there are is no fact of the log: it is looked up once the caller is known to be
// allowed.
func (s *Service) settleLetters(ctx context.Context, d decide.Decider[external.State, external.Settle], req naming) (decide.Result, error) {
	who, _, err := s.directed(ctx, req.GetAdapterId())
	if err != nil {
		return decide.Result{}, err
	}
	c := external.Settle{Directed: who}
	if len(req.GetPositions())+len(req.GetEventIds()) > external.MostAtOnce {
		return decide.Result{}, fault.Field("positions", "at most %d at once", external.MostAtOnce)
	}
	for _, p := range req.GetPositions() {
		c.Positions = append(c.Positions, event.Position(p))
	}
	for _, text := range req.GetEventIds() {
		id, err := adapter.UUID("event_ids", text)
		if err != nil {
			return decide.Result{}, err
		}
		c.Events = append(c.Events, id)
	}
	if named := len(c.Positions)+len(c.Events) > 0; named == req.GetEveryOne() {
		return decide.Result{}, fault.Field("positions", "name some, or say every one")
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return decide.Result{}, err
	}
	res, err := decide.RunPrepared(ctx, s.core.Runner, d, env, c, func(c external.Settle) (external.Settle, error) { return s.letters(ctx, c) })
	if err != nil { // perhaps the same command, given twice at once, has just done it
		if done, ok, failed := s.core.Runner.Earlier(ctx, env); failed == nil && ok {
			res, err = done, nil
		}
	}
	return res, err
}

// letters are those that are named, or all of them if none is.
func (s *Service) letters(ctx context.Context, c external.Settle) (external.Settle, error) {
	st, err := s.state(ctx, c.Adapter)
	if err != nil {
		return c, err
	}
	letters, err := s.dead(ctx, c.Adapter)
	if err != nil {
		return c, err
	}
	dead := map[event.Position]bool{}
	for _, l := range letters {
		dead[l.Position] = true
	}
	for _, p := range c.Positions {
		if !dead[p] {
			return c, fault.Field("positions", "the event at position %d is none that the external system refused", p)
		}
	}
	if len(c.Positions)+len(c.Events) > 0 {
		return c, nil
	}
	for _, l := range letters {
		c.Positions = append(c.Positions, l.Position)
	}
	for _, r := range refused(st) {
		c.Events = append(c.Events, r.Event)
	}
	if c.Positions = c.Positions[:min(len(c.Positions), external.MostAtOnce-len(c.Events))]; len(c.Positions)+len(c.Events) == 0 {
		return c, fault.New(fault.Refused, "all events of this adapter have come over")
	}
	return c, nil
}
