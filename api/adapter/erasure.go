package adapter

import (
	"context"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/seal/erasure"
)

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

// Erasing is how an erasure is followed: by the records of the log that say
// that it began and that it is complete, and by the process that carries it out.
type Erasing struct {
	Log      *eventlog.Log
	Records  event.Query // of both
	Begun    string      // type of the record that began it
	Progress func(event.SubjectID) (erasure.Status, bool)
}

// Erasure answers how far the erasure of a subject has come.
func (e Erasing) Erasure(ctx context.Context, s event.SubjectID) (*munimentv1.GetErasureResponse, error) {
	out := &munimentv1.GetErasureResponse{State: munimentv1.ErasureState_ERASURE_STATE_NEVER}
	last, when := -1, map[int]time.Time{}
	for rec, err := range e.Log.Read(ctx, e.Records, 0) {
		if err != nil {
			return nil, err
		}
		if rec.Type == e.Begun {
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
	if st, ok := e.Progress(s); ok {
		for i, step := range steps {
			if step.step == st.Step {
				last = max(last, i)
			}
		}
	}
	for i, step := range steps {
		out.Steps = append(out.Steps, &munimentv1.ErasureStep{Name: step.name, Done: i <= last, DoneAt: Time(when[i])})
	}
	return out, nil
}
