package orgapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// GetOrganization answers one organization.
func (s *Service) GetOrganization(ctx context.Context, req *munimentv1.GetOrganizationRequest) (*munimentv1.GetOrganizationResponse, error) {
	id, err := adapter.ID(idField, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, org.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(id, event.ID{}) {
		return nil, org.ErrNotFound
	}
	return &munimentv1.GetOrganizationResponse{Organization: organization(row)}, nil
}

// ListOrganizations answers the organizations that match, oldest first.
func (s *Service) ListOrganizations(ctx context.Context, req *munimentv1.ListOrganizationsRequest) (*munimentv1.ListOrganizationsResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: org.Table, Where: append(where, r.Visible("id", "")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListOrganizationsResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Organizations = append(resp.Organizations, organization(row))
	}
	return resp, nil
}

func conditions(f *munimentv1.OrganizationFilter) ([]view.Cond, error) {
	var where []view.Cond
	switch f.GetState() {
	case munimentv1.OrganizationState_ORGANIZATION_STATE_UNSPECIFIED:
		where = append(where, view.Eq("removed", false))
	case munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE:
		where = append(where, view.Eq("removed", false), view.Eq("deactivated", false))
	case munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED:
		where = append(where, view.Eq("removed", false), view.Eq("deactivated", true))
	case munimentv1.OrganizationState_ORGANIZATION_STATE_REMOVED:
		where = append(where, view.Eq("removed", true))
	default:
		return nil, fault.Field("filter.state", "there is no such state")
	}
	if p := f.GetNamePrefix(); p != "" {
		where = append(where, view.Prefix("name", p))
	}
	return where, adapter.Prefix("filter.name_prefix", f.GetNamePrefix())
}

func organization(row view.Row) *munimentv1.Organization {
	e := entity.Of(row)
	o := &munimentv1.Organization{Id: row.ID("id").String(), Name: row.Text("name"), State: munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE, PrimaryDomain: primary(row),
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	switch {
	case row.Bool("removed"):
		o.State = munimentv1.OrganizationState_ORGANIZATION_STATE_REMOVED
	case row.Bool("deactivated"):
		o.State = munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED
	}
	return o
}

func primary(row view.Row) string {
	if !row.Has("primary_domain") {
		return ""
	}
	return row.Text("primary_domain")
}
