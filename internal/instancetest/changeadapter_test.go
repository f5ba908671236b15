package instancetest

import (
	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// adapterChanges are the changes of adapters to external systems.
var adapterChanges = []change{
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message { return i.NewAdapter(org) }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeAdapterRequest{AdapterId: i.Adapter(org), IntervalSeconds: proto.Int32(77)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.SetAdapterCredentialRequest{AdapterId: i.Adapter(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.PauseAdapterRequest{AdapterId: i.Adapter(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Adapter(org)
		Must(i.API.Adapter.PauseAdapter(i.AsOwner(), &munimentv1.PauseAdapterRequest{AdapterId: id}))
		return &munimentv1.ResumeAdapterRequest{AdapterId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RunAdapterRequest{AdapterId: i.Adapter(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RewindAdapterRequest{AdapterId: i.Adapter(org), AfterPosition: proto.Uint64(1 << 40)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveAdapterRequest{AdapterId: i.Adapter(org)}
	}},
}
