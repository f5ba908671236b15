// Package adapter is what the slices' faces in the API share: how ids and
// pages of a request are read, how its command is run, how views are read as
// fresh as was asked and only as far as the caller may see, and how the common
// parts of answers are written.
//
// Who may give a command is the decider's business. Who may see an object is
// settled here, in one place: those who have the right to read the objects of
// its organization, and the person whom it belongs to. What a caller may not
// see does not exist for them.
package adapter

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/view"
)

// Core is what every adapter works with.
type Core struct {
	Runner *decide.Runner
	Views  *view.Set
}

// Run runs the command that a request asks for.
func Run[S, C any](ctx context.Context, c Core, d decide.Decider[S, C], req proto.Message, cmd C) (decide.Result, error) {
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return decide.Result{}, err
	}
	return decide.Run(ctx, c.Runner, d, env, cmd)
}

// RunOn runs a command on the thing that an id of the request names, and
// answers its change.
func RunOn[S, C any](ctx context.Context, c Core, d decide.Decider[S, C], req proto.Message, field, id string, cmd func(event.ID) C) (*munimentv1.Change, error) {
	thing, err := ID(field, id)
	if err != nil {
		return nil, err
	}
	res, err := Run(ctx, c, d, req, cmd(thing))
	if err != nil {
		return nil, err
	}
	return Change(res), nil
}

// Change is what a command did, for its answer.
func Change(r decide.Result) *munimentv1.Change {
	return &munimentv1.Change{LogId: r.Log.String(), Position: uint64(r.Last), Time: timestamppb.New(r.Time), Replayed: r.Replayed}
}

// Text is a personal text for an answer: nil if it was never set.
func Text(s event.Sealed[string]) *munimentv1.Text {
	switch {
	case s.State == event.Erased:
		return &munimentv1.Text{Erased: true}
	case s.State == event.Present && s.Value != "":
		return &munimentv1.Text{Value: s.Value}
	}
	return nil
}
