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
