package hostingapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/ledger"
)

// ErrNotHome refuses to host instances where that is not done.
var ErrNotHome = fault.New(fault.Refused, "this instance hosts no others; ask the home instance of its server")

// none is the fleet of an instance that hosts no others.
type none struct{}

func (none) Site() hosting.Site                                      { return hosting.Site{} }
func (none) URL(string) string                                       { return "" }
func (none) Settled(context.Context, event.ID, event.Position) error { return ErrNotHome }
func (none) SetUp(context.Context, event.ID, Owner) (Link, error)    { return Link{}, ErrNotHome }
func (none) RenewLink(context.Context, event.ID) (Link, error)       { return Link{}, ErrNotHome }
func (none) End(context.Context, event.ID) (ledger.State, error)     { return ledger.State{}, ErrNotHome }
func (none) Export(context.Context, event.ID) (Export, error)        { return nil, ErrNotHome }
func (none) Trouble(event.ID) string                                 { return "" }

// envelope surrounds a command, where there is a fleet to carry it out.
func (s *Service) envelope(ctx context.Context, req proto.Message) (decide.Envelope, error) {
	env, err := call.Envelope(ctx, req)
	if _, not := s.fleet.(none); not && err == nil {
		err = ErrNotHome
	}
	return env, err
}

func run[S, C any](ctx context.Context, s *Service, d decide.Decider[S, C], req proto.Message, c C) (decide.Result, error) {
	env, err := s.envelope(ctx, req)
	if err != nil {
		return decide.Result{}, err
	}
	return decide.Run(ctx, s.core.Runner, d, env, c)
}
