package instanceapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/instance"
)

var keyStatus = map[instance.KeyStatus]munimentv1.SigningKeyStatus{
	instance.Next:    munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_NEXT,
	instance.Current: munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_CURRENT,
	instance.Retired: munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_RETIRED,
}

// instance is what is known of the instance now.
func (s *Service) instance(ctx context.Context) (instance.State, error) {
	id := s.needs.Instance.Instance
	return decide.Read(ctx, s.core.Runner, "instance", instance.Facts(id), instance.State{}, instance.Evolve)
}

// ListSigningKeys answers the keys by which tokens are verified.
func (s *Service) ListSigningKeys(ctx context.Context, _ *munimentv1.ListSigningKeysRequest) (*munimentv1.ListSigningKeysResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	st, err := s.instance(ctx)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListSigningKeysResponse{}
	for _, k := range st.Keys {
		out.Keys = append(out.Keys, &munimentv1.SigningKey{Id: k.Key, Algorithm: k.Algorithm, Status: keyStatus[k.Status],
			Announced: adapter.Time(moment(k.At)), Activated: adapter.Time(moment(k.Activated)), Until: adapter.Time(moment(k.Until))})
	}
	return out, nil
}

// GetSigningKeySchedule answers when signing keys take their steps.
func (s *Service) GetSigningKeySchedule(ctx context.Context, _ *munimentv1.GetSigningKeyScheduleRequest) (*munimentv1.GetSigningKeyScheduleResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	st, err := s.instance(ctx)
	if err != nil {
		return nil, err
	}
	sch := st.KeySchedule()
	return &munimentv1.GetSigningKeyScheduleResponse{EverySeconds: sch.Every, AnnounceSeconds: sch.Announce, RemainSeconds: sch.Remain}, nil
}

// ChangeSigningKeySchedule says when signing keys take their steps.
func (s *Service) ChangeSigningKeySchedule(ctx context.Context, req *munimentv1.ChangeSigningKeyScheduleRequest) (*munimentv1.ChangeSigningKeyScheduleResponse, error) {
	res, err := adapter.Run(ctx, s.core, instance.ChangingKeySchedule, req, instance.ChangeKeySchedule{Instance: s.needs.Instance.Instance, Acknowledge: req.GetAcknowledge(),
		Schedule: instance.Schedule{Every: req.GetEverySeconds(), Announce: req.GetAnnounceSeconds(), Remain: req.GetRemainSeconds()}})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeSigningKeyScheduleResponse{Change: adapter.Change(res)}, nil
}

// moment is an instant as a time; zero stays zero.
func moment(i event.Instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return i.Time()
}

// RotateSigningKeys makes other keys sign from now on.
func (s *Service) RotateSigningKeys(ctx context.Context, req *munimentv1.RotateSigningKeysRequest) (*munimentv1.RotateSigningKeysResponse, error) {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return nil, err
	}
	st, err := s.instance(ctx)
	if err != nil {
		return nil, err
	}
	who, err := s.core.Runner.Authority(ctx, caller.Actor(), s.core.Runner.Log.Mark().Size)
	if err != nil {
		return nil, err
	}
	algs := st.Algorithms()
	if len(algs) == 0 { // no token was ever signed
		algs = []string{"ES256"}
	}
	c := instance.Rotate{Instance: s.needs.Instance.Instance, Algorithms: algs, AtOnce: true, Distrust: req.GetDistrust(),
		Now: event.Instant(s.core.Runner.Log.Now().UnixMicro())}
	// Keys cost something to make: not for those whom the decider refuses.
	for _, alg := range st.Wants(c) {
		if !who.May(authz.ManageInstance, authz.Instance) {
			break
		}
		fresh, err := s.needs.NewKey(alg)
		if err != nil {
			return nil, err
		}
		c.Fresh = append(c.Fresh, fresh)
	}
	res, err := adapter.Run(ctx, s.core, instance.Rotating, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.RotateSigningKeysResponse{Change: adapter.Change(res)}, nil
}
