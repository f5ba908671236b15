// Package sessionapi is the face of sessions in the API: it translates
// requests into commands and rows into answers, and decides nothing.
package sessionapi

import (
	"context"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/session"
)

// Service implements munimentv1connect.SessionServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

// EndSession signs out.
func (s *Service) EndSession(ctx context.Context, req *munimentv1.EndSessionRequest) (*munimentv1.EndSessionResponse, error) {
	id, err := adapter.ID("session_id", req.GetSessionId())
	if err != nil {
		return nil, err
	}
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return nil, err
	}
	whose, err := decide.Read(ctx, s.core.Runner, "whose session it is", []decide.Facts{{Stream: session.Stream(id), Types: []string{"session.begun"}}}, session.Begun{},
		func(b session.Begun, f event.Fact) session.Begun {
			if p, ok := f.Payload.(session.Begun); ok {
				return p
			}
			return b
		})
	if err != nil {
		return nil, err
	}
	// Of a session that there is not, too, the decider says who may know it.
	res, err := adapter.Run(ctx, s.core, session.Ending, req, session.End{Session: id, User: whose.User, Organization: whose.Organization,
		Own: caller.Actor() == event.Actor{Kind: "user", ID: whose.User}})
	if err != nil {
		return nil, err
	}
	return &munimentv1.EndSessionResponse{Change: adapter.Change(res)}, nil
}
