// Package projectapi is the face of projects and their roles in the API: it
// translates requests into commands and rows into answers, and decides nothing.
package projectapi

import (
	"cmp"
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/project"
)

// Service implements munimentv1connect.ProjectServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

const idField = "project_id"

// CreateProject adds a project to an organization.
func (s *Service) CreateProject(ctx context.Context, req *munimentv1.CreateProjectRequest) (*munimentv1.CreateProjectResponse, error) {
	organization, err := adapter.ID("organization_id", req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, project.Adding, req, project.Add{Project: event.NewID(), Organization: organization, Name: req.GetName()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.CreateProjectResponse{Change: adapter.Change(res), ProjectId: res.Stream.ID.String()}, nil
}

// RenameProject gives a project another name.
func (s *Service) RenameProject(ctx context.Context, req *munimentv1.RenameProjectRequest) (*munimentv1.RenameProjectResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.Renaming, req, idField, req.GetProjectId(),
		func(id event.ID) project.Rename { return project.Rename{Project: id, Name: req.GetName()} })
	return &munimentv1.RenameProjectResponse{Change: ch}, err
}

// RemoveProject ends a project.
func (s *Service) RemoveProject(ctx context.Context, req *munimentv1.RemoveProjectRequest) (*munimentv1.RemoveProjectResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.Removing, req, idField, req.GetProjectId(),
		func(id event.ID) project.Remove { return project.Remove{Project: id} })
	return &munimentv1.RemoveProjectResponse{Change: ch}, err
}

// RestoreProject brings a removed project back.
func (s *Service) RestoreProject(ctx context.Context, req *munimentv1.RestoreProjectRequest) (*munimentv1.RestoreProjectResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.Restoring, req, idField, req.GetProjectId(),
		func(id event.ID) project.Restore { return project.Restore{Project: id} })
	return &munimentv1.RestoreProjectResponse{Change: ch}, err
}

// AddRole defines a role in a project.
func (s *Service) AddRole(ctx context.Context, req *munimentv1.AddRoleRequest) (*munimentv1.AddRoleResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.AddingRole, req, idField, req.GetProjectId(),
		func(id event.ID) project.AddRole {
			return project.AddRole{Project: id, Key: req.GetKey(), Name: cmp.Or(req.GetName(), req.GetKey())}
		})
	return &munimentv1.AddRoleResponse{Change: ch}, err
}

// RemoveRole ends a role.
func (s *Service) RemoveRole(ctx context.Context, req *munimentv1.RemoveRoleRequest) (*munimentv1.RemoveRoleResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.RemovingRole, req, idField, req.GetProjectId(),
		func(id event.ID) project.RemoveRole { return project.RemoveRole{Project: id, Key: req.GetKey()} })
	return &munimentv1.RemoveRoleResponse{Change: ch}, err
}

// DeactivateProject takes a project out of use.
func (s *Service) DeactivateProject(ctx context.Context, req *munimentv1.DeactivateProjectRequest) (*munimentv1.DeactivateProjectResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.Deactivating, req, idField, req.GetProjectId(),
		func(id event.ID) project.Deactivate { return project.Deactivate{Project: id} })
	return &munimentv1.DeactivateProjectResponse{Change: ch}, err
}

// ReactivateProject takes it into use again.
func (s *Service) ReactivateProject(ctx context.Context, req *munimentv1.ReactivateProjectRequest) (*munimentv1.ReactivateProjectResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.Reactivating, req, idField, req.GetProjectId(),
		func(id event.ID) project.Reactivate { return project.Reactivate{Project: id} })
	return &munimentv1.ReactivateProjectResponse{Change: ch}, err
}

// RenameRole gives a role another name to show.
func (s *Service) RenameRole(ctx context.Context, req *munimentv1.RenameRoleRequest) (*munimentv1.RenameRoleResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, project.RenamingRole, req, idField, req.GetProjectId(),
		func(id event.ID) project.RenameRole {
			return project.RenameRole{Project: id, Key: req.GetKey(), Name: req.GetName()}
		})
	return &munimentv1.RenameRoleResponse{Change: ch}, err
}
