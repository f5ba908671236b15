package userapi

import (
	"context"
	"errors"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/user"
	"muniment.dev/view"
)

// EraseUser erases a person. What follows from the record is done by the
// erasure process, which reads the log.
func (s *Service) EraseUser(ctx context.Context, req *munimentv1.EraseUserRequest) (*munimentv1.EraseUserResponse, error) {
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	// The log refuses an erasure that does not name the key in use; the key
	// may have been assigned meanwhile.
	for range 3 {
		var keys []event.KeyID
		key, state, err := s.core.Runner.Log.AssignedKey(ctx, event.SubjectID{ID: id})
		if err != nil {
			return nil, err
		}
		if state == event.Present {
			keys = []event.KeyID{key}
		}
		res, err := adapter.Run(ctx, s.core, user.Erasing, req, user.Erase{User: id, Keys: keys})
		if errors.Is(err, eventlog.ErrKeyUnnamed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &munimentv1.EraseUserResponse{Change: adapter.Change(res)}, nil
	}
	return nil, eventlog.ErrKeyUnnamed
}

// GetErasure answers how far the erasure of a user has come.
func (s *Service) GetErasure(ctx context.Context, req *munimentv1.GetErasureRequest) (*munimentv1.GetErasureResponse, error) {
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, nil)
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, user.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), id) {
		return nil, user.ErrNotFound
	}
	return adapter.Erasing{Log: s.core.Runner.Log, Begun: "user.erased", Progress: s.needs.Erasure,
		Records: event.OfStream(user.Stream(id), "user.erased", "user.erasure.completed")}.Erasure(ctx, event.SubjectID{ID: id})
}
