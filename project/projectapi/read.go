package projectapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/project"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// GetProject answers one project.
func (s *Service) GetProject(ctx context.Context, req *munimentv1.GetProjectRequest) (*munimentv1.GetProjectResponse, error) {
	row, _, err := s.find(ctx, req.GetProjectId(), req.GetRead())
	if err != nil {
		return nil, err
	}
	return &munimentv1.GetProjectResponse{Project: answer(row)}, nil
}

// find finds a project that the caller may see.
func (s *Service) find(ctx context.Context, text string, asked *munimentv1.Read) (view.Row, *adapter.Reading, error) {
	id, err := adapter.ID(idField, text)
	if err != nil {
		return view.Row{}, nil, err
	}
	r, err := s.core.Begin(ctx, asked)
	if err != nil {
		return view.Row{}, nil, err
	}
	row, ok, err := r.Get(ctx, project.Table, view.Values{"id": id})
	if err != nil {
		return view.Row{}, nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), event.ID{}) {
		return view.Row{}, nil, project.ErrNotFound
	}
	return row, r, nil
}

// ListProjects answers the projects that match, oldest first.
func (s *Service) ListProjects(ctx context.Context, req *munimentv1.ListProjectsRequest) (*munimentv1.ListProjectsResponse, error) {
	f := req.GetFilter()
	where, err := adapter.Equal("organization", "filter.organization_id", f.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	if err := adapter.Prefix("filter.name_prefix", f.GetNamePrefix()); err != nil {
		return nil, err
	}
	state, err := inState(f.GetState())
	if err != nil {
		return nil, err
	}
	where = append(where, state...)
	if p := f.GetNamePrefix(); p != "" {
		where = append(where, view.Prefix("name", p))
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: project.Table, Where: append(where, r.Visible("organization", "")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListProjectsResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Projects = append(resp.Projects, answer(row))
	}
	return resp, nil
}

func inState(s munimentv1.ProjectState) ([]view.Cond, error) {
	switch s {
	case munimentv1.ProjectState_PROJECT_STATE_UNSPECIFIED:
		return []view.Cond{view.Eq("removed", false)}, nil
	case munimentv1.ProjectState_PROJECT_STATE_ACTIVE, munimentv1.ProjectState_PROJECT_STATE_DEACTIVATED:
		return []view.Cond{view.Eq("removed", false), view.Eq("deactivated", s == munimentv1.ProjectState_PROJECT_STATE_DEACTIVATED)}, nil
	case munimentv1.ProjectState_PROJECT_STATE_REMOVED:
		return []view.Cond{view.Eq("removed", true)}, nil
	}
	return nil, fault.Field("filter.state", "there is no such state")
}

// ListRoles answers the roles of a project by key.
func (s *Service) ListRoles(ctx context.Context, req *munimentv1.ListRolesRequest) (*munimentv1.ListRolesResponse, error) {
	row, r, err := s.find(ctx, req.GetProjectId(), req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: project.Roles, Where: []view.Cond{view.Eq("project", row.ID("id"))}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListRolesResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Roles = append(resp.Roles, &munimentv1.Role{ProjectId: row.ID("project").String(), Key: row.Text("role"), Name: row.Text("name")})
	}
	return resp, nil
}

func answer(row view.Row) *munimentv1.Project {
	e := entity.Of(row)
	state := munimentv1.ProjectState_PROJECT_STATE_ACTIVE
	switch {
	case row.Bool("removed"):
		state = munimentv1.ProjectState_PROJECT_STATE_REMOVED
	case row.Bool("deactivated"):
		state = munimentv1.ProjectState_PROJECT_STATE_DEACTIVATED
	}
	return &munimentv1.Project{Id: row.ID("id").String(), OrganizationId: row.ID("organization").String(), Name: row.Text("name"), State: state,
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
}
