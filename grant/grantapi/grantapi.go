// Package grantapi is the face of role grants in the API: it translates
// requests into commands and rows into answers, and decides nothing.
package grantapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/grant"
)

// Service implements munimentv1connect.GrantServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

// GrantRole gives a user roles in a project.
func (s *Service) GrantRole(ctx context.Context, req *munimentv1.GrantRoleRequest) (*munimentv1.GrantRoleResponse, error) {
	user, project, err := subject(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, grant.Granting, req, grant.Grant{Grant: event.NewID(), User: user, Project: project, Roles: req.GetRoleKeys()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.GrantRoleResponse{Change: adapter.Change(res)}, nil
}

// WithdrawRole takes roles in a project from a user.
func (s *Service) WithdrawRole(ctx context.Context, req *munimentv1.WithdrawRoleRequest) (*munimentv1.WithdrawRoleResponse, error) {
	user, project, err := subject(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, grant.Withdrawing, req, grant.Withdraw{User: user, Project: project, Roles: req.GetRoleKeys()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.WithdrawRoleResponse{Change: adapter.Change(res)}, nil
}

// DeactivateGrant takes a user's roles in a project out of use.
func (s *Service) DeactivateGrant(ctx context.Context, req *munimentv1.DeactivateGrantRequest) (*munimentv1.DeactivateGrantResponse, error) {
	user, project, err := subject(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, grant.Deactivating, req, grant.Deactivate{User: user, Project: project})
	if err != nil {
		return nil, err
	}
	return &munimentv1.DeactivateGrantResponse{Change: adapter.Change(res)}, nil
}

// ReactivateGrant takes them into use again.
func (s *Service) ReactivateGrant(ctx context.Context, req *munimentv1.ReactivateGrantRequest) (*munimentv1.ReactivateGrantResponse, error) {
	user, project, err := subject(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, grant.Reactivating, req, grant.Reactivate{User: user, Project: project})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ReactivateGrantResponse{Change: adapter.Change(res)}, nil
}

// subject reads whose roles in which project are meant.
func subject(req interface {
	GetUserId() string
	GetProjectId() string
}) (user, project event.ID, err error) {
	if user, err = adapter.ID("user_id", req.GetUserId()); err != nil {
		return user, project, err
	}
	project, err = adapter.ID("project_id", req.GetProjectId())
	return user, project, err
}
