package userapi

import (
	"context"
	"errors"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/seal/erasure"
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

// steps are those of an erasure, in order, with the names under which they are
// shown.
var steps = []struct {
	step erasure.Step
	name string
}{
	{erasure.Recorded, "recorded in the log"},
	{erasure.Registered, "covered by the register"},
	{erasure.Destroyed, "key destroyed"},
	{erasure.Deleted, "ciphertexts and blind tags deleted"},
	{erasure.Forgotten, "views and caches cleared"},
	{erasure.Completed, "complete"},
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
	return s.erasure(ctx, id)
}

// erasure reads the log for what was recorded and the process for what is
// under way.
func (s *Service) erasure(ctx context.Context, id event.ID) (*munimentv1.GetErasureResponse, error) {
	out := &munimentv1.GetErasureResponse{State: munimentv1.ErasureState_ERASURE_STATE_NEVER}
	last, when := -1, map[int]time.Time{}
	for rec, err := range s.core.Runner.Log.Read(ctx, event.OfStream(user.Stream(id), "user.erased", "user.erasure.completed"), 0) {
		if err != nil {
			return nil, err
		}
		if rec.Type == "user.erased" {
			out.State, out.Position, last = munimentv1.ErasureState_ERASURE_STATE_PENDING, uint64(rec.Position), 0
			when[0] = rec.Time
			continue
		}
		out.State, last = munimentv1.ErasureState_ERASURE_STATE_COMPLETE, len(steps)-1
		when[last] = rec.Time
	}
	if out.State == munimentv1.ErasureState_ERASURE_STATE_NEVER {
		return out, nil
	}
	if st, ok := s.needs.Erasure(event.SubjectID{ID: id}); ok {
		for i, step := range steps {
			if step.step == st.Step {
				last = max(last, i)
			}
		}
	}
	for i, step := range steps {
		out.Steps = append(out.Steps, &munimentv1.ErasureStep{Name: step.name, Done: i <= last, DoneAt: adapter.Time(when[i])})
	}
	return out, nil
}
