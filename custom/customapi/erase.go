package customapi

import (
	"context"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/view"
)

// EraseEntity destroys the key of an entity's sealed fields.
func (s EntityService) EraseEntity(ctx context.Context, req *munimentv1.EraseEntityRequest) (*munimentv1.EraseEntityResponse, error) {
	rd, err := s.core.Begin(ctx, nil)
	if err != nil {
		return nil, err
	}
	id, err := adapter.UUID("entity_id", req.GetEntityId())
	if err != nil {
		return nil, err
	}
	row, ok, err := rd.Get(ctx, custom.Table, view.Values{"id": id, "type": req.GetType()})
	if err != nil {
		return nil, err
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	if !ok { // to whoever may not erase everywhere, as if it were somebody else's
		if err := rd.Who.Need(authz.ManageUsers, authz.Instance); err != nil {
			s.core.Runner.Refused(ctx, custom.Erasing.Name, env, err)
			return nil, err
		}
		return nil, ErrUnknown
	}
	res, err := publish.Erase(ctx, s.core.Runner, env, event.Stream{Kind: req.GetType(), ID: id}, row.ID("organization"))
	if err != nil {
		return nil, err
	}
	return &munimentv1.EraseEntityResponse{Change: adapter.Change(res)}, nil
}

// GetEntityErasure answers how far the erasure of an entity has come.
func (s EntityService) GetEntityErasure(ctx context.Context, req *munimentv1.GetEntityErasureRequest) (*munimentv1.GetEntityErasureResponse, error) {
	rd, sight, err := s.reading(ctx, nil, req.GetType())
	if err != nil {
		return nil, err
	}
	e, err := s.get(ctx, rd, sight, req.GetType(), req.GetEntityId())
	if err != nil {
		return nil, err
	}
	// What has the same id, such as an entity of another type, is erased with it.
	subject, user := event.Stream{Kind: "subject", ID: e.ID}, event.Stream{Kind: "user", ID: e.ID}
	got, err := adapter.Erasing{Log: s.core.Runner.Log, Begun: "subject.erased", Progress: s.Erasure,
		Records: event.OfStream(subject, "subject.erased", "entity.erasure.completed").Or(event.OfStream(user, "user.erasure.completed"))}.Erasure(ctx, event.SubjectID{ID: e.ID})
	if err != nil {
		return nil, err
	}
	return &munimentv1.GetEntityErasureResponse{State: got.GetState(), Steps: got.GetSteps(), Position: got.GetPosition()}, nil
}
