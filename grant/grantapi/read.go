package grantapi

import (
	"context"
	"errors"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/grant"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// ListGrants answers the grants that match, oldest first. Grants without a role
// left are none.
func (s *Service) ListGrants(ctx context.Context, req *munimentv1.ListGrantsRequest) (*munimentv1.ListGrantsResponse, error) {
	f := req.GetFilter()
	where, err1 := adapter.Equal("user", "filter.user_id", f.GetUserId())
	project, err2 := adapter.Equal("project", "filter.project_id", f.GetProjectId())
	state, err3 := inState(f.GetState())
	limit, err4 := adapter.PageSize(req.GetPageSize())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: grant.Table, OrderBy: []string{entity.Order}, After: req.GetPageToken(),
		Where: adapter.Conditions([]view.Cond{view.Eq("project_removed", false)}, where, project, state, r.Visible("organization", "user"))}
	resp := &munimentv1.ListGrantsResponse{}
	for {
		q.Limit = limit - len(resp.Grants)
		rows, next, err := r.Select(ctx, q)
		if err != nil {
			return nil, err
		}
		found, err := grants(ctx, r, rows, f.GetRoleKey())
		if err != nil {
			return nil, err
		}
		resp.Grants, resp.NextPageToken = append(resp.Grants, found...), next
		if next == "" || len(resp.Grants) == limit {
			return resp, nil
		}
		q.After = next
	}
}

func inState(s munimentv1.GrantState) ([]view.Cond, error) {
	switch s {
	case munimentv1.GrantState_GRANT_STATE_UNSPECIFIED:
		return nil, nil
	case munimentv1.GrantState_GRANT_STATE_ACTIVE, munimentv1.GrantState_GRANT_STATE_DEACTIVATED:
		return []view.Cond{view.Eq("deactivated", s == munimentv1.GrantState_GRANT_STATE_DEACTIVATED)}, nil
	}
	return nil, fault.Field("filter.state", "there is no such state")
}

type pair struct{ user, project event.ID }

// grants makes answers of those rows that have roles, and the role wanted among
// them, if one is.
func grants(ctx context.Context, r *adapter.Reading, rows []view.Row, wanted string) ([]*munimentv1.Grant, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	users := make([]event.ID, len(rows))
	projects := make([]event.ID, len(rows))
	for i, row := range rows {
		users[i], projects[i] = row.ID("user"), row.ID("project")
	}
	held, err := r.All(ctx, view.Query{Table: grant.Roles, Where: []view.Cond{view.In("user", users...), view.In("project", projects...)}})
	if err != nil {
		return nil, err
	}
	roles, has := map[pair][]string{}, map[pair]bool{}
	for _, row := range held {
		p, role := pair{row.ID("user"), row.ID("project")}, row.Text("role")
		roles[p] = append(roles[p], role)
		has[p] = has[p] || wanted == "" || role == wanted
	}
	var out []*munimentv1.Grant
	for _, row := range rows {
		if p := (pair{row.ID("user"), row.ID("project")}); has[p] {
			out = append(out, answer(row, roles[p]))
		}
	}
	return out, nil
}

func answer(row view.Row, roles []string) *munimentv1.Grant {
	e, state := entity.Of(row), munimentv1.GrantState_GRANT_STATE_ACTIVE
	if row.Bool("deactivated") {
		state = munimentv1.GrantState_GRANT_STATE_DEACTIVATED
	}
	return &munimentv1.Grant{UserId: row.ID("user").String(), ProjectId: row.ID("project").String(), OrganizationId: row.ID("organization").String(),
		RoleKeys: roles, State: state, Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Position: uint64(e.Position)}
}
