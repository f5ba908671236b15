package hostingapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// states are the states by their name in the log.
var states = map[hosting.Status]munimentv1.HostedInstanceState{
	hosting.Making:      munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_MAKING,
	hosting.Active:      munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE,
	hosting.IsSuspended: munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_SUSPENDED,
	hosting.IsDeleted:   munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DELETED,
	hosting.IsDestroyed: munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED,
}

// GetHostedInstance answers one hosted instance.
func (s *Service) GetHostedInstance(ctx context.Context, req *munimentv1.GetHostedInstanceRequest) (*munimentv1.GetHostedInstanceResponse, error) {
	id, err := adapter.ID(idField, req.GetInstanceId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, hosting.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(event.ID{}, event.ID{}) {
		return nil, hosting.ErrNotFound
	}
	in, err := s.instance(ctx, r, row, req.GetRead())
	return &munimentv1.GetHostedInstanceResponse{Instance: in}, err
}

// ListHostedInstances answers the hosted instances that match, oldest first.
func (s *Service) ListHostedInstances(ctx context.Context, req *munimentv1.ListHostedInstancesRequest) (*munimentv1.ListHostedInstancesResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	if !r.Sees(event.ID{}, event.ID{}) {
		where = append(where, view.In[event.ID]("id")) // none: they are the whole instance's affair
	}
	rows, next, err := r.Page(ctx, view.Query{Table: hosting.Table, Where: where, OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListHostedInstancesResponse{NextPageToken: next}
	for _, row := range rows {
		in, err := s.instance(ctx, r, row, req.GetRead())
		if err != nil {
			return nil, err
		}
		resp.Instances = append(resp.Instances, in)
	}
	return resp, nil
}

func conditions(f *munimentv1.HostedInstanceFilter) ([]view.Cond, error) {
	var where []view.Cond
	if want := f.GetState(); want != munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_UNSPECIFIED {
		for status, state := range states {
			if state == want {
				where = append(where, view.Eq("status", string(status)))
			}
		}
		if len(where) == 0 {
			return nil, fault.Field("filter.state", "there is no such state")
		}
	}
	if p := f.GetNamePrefix(); p != "" {
		where = append(where, view.Prefix("name", p))
	}
	return where, adapter.Prefix("filter.name_prefix", f.GetNamePrefix())
}

// instance is a row for an answer, with its host names.
func (s *Service) instance(ctx context.Context, r *adapter.Reading, row view.Row, asked *munimentv1.Read) (*munimentv1.HostedInstance, error) {
	e, id := entity.Of(row), row.ID("id")
	hosts, err := r.All(ctx, view.Query{Table: hosting.Hosts, Where: []view.Cond{view.Eq("instance", id)}, OrderBy: []string{entity.Order}})
	if err != nil {
		return nil, err
	}
	in := &munimentv1.HostedInstance{Id: id.String(), Name: row.Text("name"), State: states[hosting.Status(row.Text("status"))],
		ExternalUrl: s.fleet.URL(row.Text("host")), LogId: row.ID("log").String(), VerifierKey: row.Text("checkpoint_key"),
		FinalSize: uint64(row.Int("size")), FinalRootHash: row.Bytes("root"),
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	for _, h := range hosts {
		in.Hosts = append(in.Hosts, h.Text("host"))
	}
	if asked.GetAtPosition() == 0 && asked.GetAtTime() == nil {
		in.Trouble = s.fleet.Trouble(id)
	}
	return in, nil
}
