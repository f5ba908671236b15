package sessionapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/view"
)

// ListUserApplications answers the applications that hold something of a user.
func (s *Service) ListUserApplications(ctx context.Context, req *munimentv1.ListUserApplicationsRequest) (*munimentv1.ListUserApplicationsResponse, error) {
	id, err := adapter.ID("user_id", req.GetUserId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	if _, err := s.person(ctx, r, id); err != nil {
		return nil, err
	}
	rows, err := r.All(ctx, view.Query{Table: session.UserApplications, Where: []view.Cond{view.Eq("user", id)}})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListUserApplicationsResponse{}
	for _, row := range rows {
		a := &munimentv1.UserApplication{ApplicationId: row.ID("application").String(), ConsentedScopes: row.Texts("consented"), Consented: adapter.Time(row.Time("agreed")),
			Scopes: row.Texts("scopes"), Used: adapter.Time(row.Time("used"))}
		// Whoever used it knows its name, whatever else they may see.
		known, ok, err := r.Get(ctx, app.Table, view.Values{"id": row.ID("application")})
		if err != nil {
			return nil, err
		}
		if ok {
			a.Name = known.Text("name")
		}
		out.Applications = append(out.Applications, a)
	}
	return out, nil
}

// EndUserApplication ends all that an application holds of a user.
func (s *Service) EndUserApplication(ctx context.Context, req *munimentv1.EndUserApplicationRequest) (*munimentv1.EndUserApplicationResponse, error) {
	id, err := adapter.ID("user_id", req.GetUserId())
	if err != nil {
		return nil, err
	}
	application, err := adapter.ID("application_id", req.GetApplicationId())
	if err != nil {
		return nil, err
	}
	whose, err := decide.Read(ctx, s.core.Runner, "user", user.Facts(id), user.Start(id), user.Evolve)
	if err != nil {
		return nil, err
	}
	// Of a user that there is not, too, the decider says who may know it.
	res, err := adapter.Run(ctx, s.core, session.WithdrawingConsent, req, session.WithdrawConsent{User: id, Organization: whose.Organization, Application: event.ID(application)})
	if err != nil {
		return nil, err
	}
	return &munimentv1.EndUserApplicationResponse{Change: adapter.Change(res)}, nil
}
