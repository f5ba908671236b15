// Package meapi answers what callers may know of themselves. It asks the
// services of the slices as the caller, and decides nothing.
package meapi

import (
	"context"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/fault"
)

// Service implements munimentv1connect.MeServiceHandler.
type Service struct {
	Users    connectv1.UserServiceHandler
	Sessions connectv1.SessionServiceHandler
	Members  connectv1.MemberServiceHandler
	Permits  connectv1.PermissionServiceHandler
	Grants   connectv1.GrantServiceHandler
	Events   connectv1.EventServiceHandler
}

// most is how many memberships, permissions and grants of one person are shown.
const most = 500

// self is the user who is calling.
func self(ctx context.Context) (call.Caller, error) {
	c, err := call.CallerOf(ctx)
	if err == nil && c.Kind != "user" {
		err = fault.New(fault.Refused, "only a user can ask this about themself")
	}
	return c, err
}

// GetMe answers who is calling.
func (s *Service) GetMe(ctx context.Context, req *munimentv1.GetMeRequest) (*munimentv1.GetMeResponse, error) {
	c, err := self(ctx)
	if err != nil {
		return nil, err
	}
	u, err := s.Users.GetUser(ctx, &munimentv1.GetUserRequest{UserId: c.ID.String(), Read: req.GetRead()})
	if err != nil {
		return nil, err
	}
	members, err := s.Members.ListMembers(ctx, &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{UserId: c.ID.String()}, PageSize: most, Read: req.GetRead()})
	if err != nil {
		return nil, err
	}
	grants, err := s.Grants.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: c.ID.String()}, PageSize: most, Read: req.GetRead()})
	if err != nil {
		return nil, err
	}
	permits, err := s.Permits.ListPermissions(ctx, &munimentv1.ListPermissionsRequest{Filter: &munimentv1.PermissionFilter{UserId: c.ID.String()}, PageSize: most, Read: req.GetRead()})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.GetMeResponse{User: u.GetUser(), Memberships: members.GetMembers(), Grants: grants.GetGrants(), Permissions: permits.GetPermissions()}
	if !c.SessionID.IsZero() {
		out.SessionId = c.SessionID.String()
	}
	return out, nil
}

// ListMyEvents answers the events about the caller, newest first.
func (s *Service) ListMyEvents(ctx context.Context, req *munimentv1.ListMyEventsRequest) (*munimentv1.ListMyEventsResponse, error) {
	c, err := self(ctx)
	if err != nil {
		return nil, err
	}
	res, err := s.Events.ListEvents(ctx, &munimentv1.ListEventsRequest{
		Filter:     &munimentv1.EventFilter{Types: req.GetTypes(), UserIds: []string{c.ID.String()}, From: req.GetFrom(), To: req.GetTo()},
		Descending: true, PageSize: req.GetPageSize(), PageToken: req.GetPageToken(), Read: req.GetRead(),
	})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ListMyEventsResponse{Events: res.GetEvents(), NextPageToken: res.GetNextPageToken()}, nil
}

// ListMyApplications answers the applications that hold something of the caller.
func (s *Service) ListMyApplications(ctx context.Context, req *munimentv1.ListMyApplicationsRequest) (*munimentv1.ListMyApplicationsResponse, error) {
	c, err := self(ctx)
	if err != nil {
		return nil, err
	}
	got, err := s.Sessions.ListUserApplications(ctx, &munimentv1.ListUserApplicationsRequest{UserId: c.ID.String(), Read: req.GetRead()})
	return &munimentv1.ListMyApplicationsResponse{Applications: got.GetApplications()}, err
}

// EndMyApplication ends all that an application holds of the caller.
func (s *Service) EndMyApplication(ctx context.Context, req *munimentv1.EndMyApplicationRequest) (*munimentv1.EndMyApplicationResponse, error) {
	c, err := self(ctx)
	if err != nil {
		return nil, err
	}
	done, err := s.Sessions.EndUserApplication(ctx, &munimentv1.EndUserApplicationRequest{UserId: c.ID.String(), ApplicationId: req.GetApplicationId(),
		CommandId: req.GetCommandId(), Reason: req.GetReason()})
	return &munimentv1.EndMyApplicationResponse{Change: done.GetChange()}, err
}
