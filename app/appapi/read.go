package appapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/credential/credentialapi"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// GetApplication answers one application.
func (s *Service) GetApplication(ctx context.Context, req *munimentv1.GetApplicationRequest) (*munimentv1.GetApplicationResponse, error) {
	id, err := adapter.ID(idField, req.GetApplicationId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, app.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), event.ID{}) {
		return nil, app.ErrNotFound
	}
	out := &munimentv1.GetApplicationResponse{Application: answer(row)}
	out.Secrets, out.Keys, err = credentialapi.Of(ctx, r, app.Credentials, "application", id)
	return out, err
}

// ListApplications answers the applications that match, oldest first.
func (s *Service) ListApplications(ctx context.Context, req *munimentv1.ListApplicationsRequest) (*munimentv1.ListApplicationsResponse, error) {
	f := req.GetFilter()
	var where []view.Cond
	for _, by := range []struct{ column, field, text string }{
		{"project", "filter.project_id", f.GetProjectId()},
		{"organization", "filter.organization_id", f.GetOrganizationId()},
		{"id", "filter.client_id", f.GetClientId()},
	} {
		cond, err := adapter.Equal(by.column, by.field, by.text)
		if err != nil {
			return nil, err
		}
		where = append(where, cond...)
	}
	state, err := inState(f.GetState())
	if err != nil {
		return nil, err
	}
	where = append(where, state...)
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: app.Table, Where: append(where, r.Visible("organization", "")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListApplicationsResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Applications = append(resp.Applications, answer(row))
	}
	return resp, nil
}

func inState(s munimentv1.ApplicationState) ([]view.Cond, error) {
	where := []view.Cond{view.Eq("project_removed", false), view.Eq("removed", s == munimentv1.ApplicationState_APPLICATION_STATE_REMOVED)}
	switch s {
	case munimentv1.ApplicationState_APPLICATION_STATE_UNSPECIFIED, munimentv1.ApplicationState_APPLICATION_STATE_REMOVED:
		return where, nil
	case munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE, munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED:
		return append(where, view.Eq("inactive", s == munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED)), nil
	}
	return nil, fault.Field("filter.state", "there is no such state")
}

func answer(row view.Row) *munimentv1.Application {
	e, id := entity.Of(row), row.ID("id").String()
	a := &munimentv1.Application{Id: id, ClientId: id, ProjectId: row.ID("project").String(), OrganizationId: row.ID("organization").String(),
		Name: row.Text("name"), Kind: choice(kinds, row.Text("type")), State: munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE,
		RedirectUris: row.Texts("redirect_uris"), PostLogoutRedirectUris: row.Texts("post_logout_redirect_uris"), AllowedOrigins: row.Texts("allowed_origins"),
		IdTokenAlg: choice(algorithms, row.Text("id_token_alg")), AccessTokenType: choice(tokenTypes, row.Text("access_token_type")),
		AskConsent: row.Bool("ask_consent"), ClientAuthMethod: choice(authMethods, row.Text("client_auth_method")), ApiAccess: row.Bool("api_access"),
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	for _, g := range row.Texts("grant_types") {
		a.GrantTypes = append(a.GrantTypes, choice(grantTypes, g))
	}
	switch {
	case row.Bool("removed") || row.Bool("project_removed"):
		a.State = munimentv1.ApplicationState_APPLICATION_STATE_REMOVED
	case row.Bool("inactive"):
		a.State = munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED
	}
	return a
}
