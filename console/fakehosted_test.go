package console

import (
	"context"
	"strings"
	"time"

	"connectrpc.com/connect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

const (
	hostedID = "aa0102030405060708090a0b0c0d0e0f"
	restsID  = "bb0102030405060708090a0b0c0d0e0f"
	goneInID = "cc0102030405060708090a0b0c0d0e0f"
	badInID  = "dd0102030405060708090a0b0c0d0e0f"
)

// hosted are the instances that the backend's hosts.
func hosted() []*munimentv1.HostedInstance {
	in := func(id, name, host string, s munimentv1.HostedInstanceState) *munimentv1.HostedInstance {
		return &munimentv1.HostedInstance{Id: id, Name: name, State: s, Hosts: []string{host}, ExternalUrl: "https://" + host, LogId: logID,
			VerifierKey: host + "/" + logID + "+3bb2a4c1+AZ2aR9mXw0o2b1Jc4q8sT7uVxYzAbCdEfGhIjKlMnOpQ", Created: ago(20 * 24 * time.Hour), Changed: ago(3 * time.Hour), Version: 4, Position: 12}
	}
	acme := in(hostedID, "Difference Works", "works.example", munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE)
	acme.Hosts = append(acme.Hosts, "www.works.example")
	gone := in(goneInID, "Jacquard", "looms.example", munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED)
	gone.FinalSize, gone.FinalRootHash = 1207, []byte(strings.Repeat("\xa5", 32))
	bad := in(badInID, "Menabrea", "turin.example", munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE)
	bad.Trouble = "the stores of this instance are missing; is the disk there? If they are lost, restore them from a backup"
	return []*munimentv1.HostedInstance{acme, in(restsID, "Clement", "clement.example", munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_SUSPENDED), gone, bad}
}

func (b *backend) GetHostedInstance(_ context.Context, r *munimentv1.GetHostedInstanceRequest) (*munimentv1.GetHostedInstanceResponse, error) {
	in, err := find(hosted(), func(i *munimentv1.HostedInstance) bool { return i.GetId() == r.GetInstanceId() })
	return &munimentv1.GetHostedInstanceResponse{Instance: in}, err
}

func (b *backend) ListHostedInstances(_ context.Context, r *munimentv1.ListHostedInstancesRequest) (*munimentv1.ListHostedInstancesResponse, error) {
	page, next := at(hosted(), r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListHostedInstancesResponse{Instances: page, NextPageToken: next}, nil
}

func (b *backend) CreateHostedInstance(ctx context.Context, r *munimentv1.CreateHostedInstanceRequest) (*munimentv1.CreateHostedInstanceResponse, error) {
	if r.GetHost() != strings.ToLower(r.GetHost()) {
		return nil, fault.Field("host", "must be in small letters")
	}
	c, err := b.change(ctx, "CreateHostedInstance", r.GetName(), r.GetHost(), r.GetOwnerEmail())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateHostedInstanceResponse{Change: c, InstanceId: hostedID}
	if !c.GetReplayed() {
		out.SetupLink = &munimentv1.SetupLink{Url: "https://works.example/setup/q3v7Jx0mS1s8oYwT", Expires: ago(-72 * time.Hour)}
	}
	return out, nil
}

func (b *backend) AddHostName(ctx context.Context, r *munimentv1.AddHostNameRequest) (*munimentv1.AddHostNameResponse, error) {
	c, err := b.change(ctx, "AddHostName", r.GetInstanceId(), r.GetHost())
	return &munimentv1.AddHostNameResponse{Change: c}, err
}

func (b *backend) RemoveHostName(ctx context.Context, r *munimentv1.RemoveHostNameRequest) (*munimentv1.RemoveHostNameResponse, error) {
	c, err := b.change(ctx, "RemoveHostName", r.GetInstanceId(), r.GetHost())
	return &munimentv1.RemoveHostNameResponse{Change: c}, err
}

func (b *backend) CreateOwnerLink(ctx context.Context, r *munimentv1.CreateOwnerLinkRequest) (*munimentv1.CreateOwnerLinkResponse, error) {
	c, err := b.change(ctx, "CreateOwnerLink", r.GetInstanceId())
	out := &munimentv1.CreateOwnerLinkResponse{Change: c}
	if err == nil && !c.GetReplayed() {
		out.SetupLink = &munimentv1.SetupLink{Url: "https://works.example/setup/fresh", Expires: ago(-72 * time.Hour)}
	}
	return out, err
}

func (b *backend) SuspendHostedInstance(ctx context.Context, r *munimentv1.SuspendHostedInstanceRequest) (*munimentv1.SuspendHostedInstanceResponse, error) {
	c, err := b.change(ctx, "SuspendHostedInstance", r.GetInstanceId(), r.GetReason())
	return &munimentv1.SuspendHostedInstanceResponse{Change: c}, err
}

func (b *backend) ResumeHostedInstance(ctx context.Context, r *munimentv1.ResumeHostedInstanceRequest) (*munimentv1.ResumeHostedInstanceResponse, error) {
	c, err := b.change(ctx, "ResumeHostedInstance", r.GetInstanceId(), r.GetReason())
	return &munimentv1.ResumeHostedInstanceResponse{Change: c}, err
}

func (b *backend) DeleteHostedInstance(ctx context.Context, r *munimentv1.DeleteHostedInstanceRequest) (*munimentv1.DeleteHostedInstanceResponse, error) {
	c, err := b.change(ctx, "DeleteHostedInstance", r.GetInstanceId(), r.GetName())
	return &munimentv1.DeleteHostedInstanceResponse{Change: c}, err
}

func (b *backend) ExportHostedInstance(ctx context.Context, r *munimentv1.ExportHostedInstanceRequest, s *connect.ServerStream[munimentv1.ExportHostedInstanceResponse]) error {
	if _, err := b.change(ctx, "ExportHostedInstance", r.GetInstanceId()); err != nil {
		return err
	}
	if err := s.Send(&munimentv1.ExportHostedInstanceResponse{Chunk: []byte("first, "), Position: 12}); err != nil {
		return err
	}
	if b.cutShort {
		return fault.New(fault.Conflict, "somebody was erased meanwhile")
	}
	return s.Send(&munimentv1.ExportHostedInstanceResponse{Chunk: []byte("and last"), Position: 12, Complete: true})
}
