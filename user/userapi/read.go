package userapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/credential/credentialapi"
	"muniment.dev/fault"
	"muniment.dev/user"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// GetUser answers one user.
func (s *Service) GetUser(ctx context.Context, req *munimentv1.GetUserRequest) (*munimentv1.GetUserResponse, error) {
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, user.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), id) {
		return nil, user.ErrNotFound
	}
	now, err := r.Now(ctx)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.GetUserResponse{User: answer(row, now)}
	if row.Bool("machine") {
		out.Secrets, out.Keys, err = credentialapi.Of(ctx, r, user.Credentials, "user", id)
	}
	return out, err
}

// ListUsers answers the users that match, oldest first.
func (s *Service) ListUsers(ctx context.Context, req *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: user.Table, Where: append(where, r.Visible("organization", "id")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	now, err := r.Now(ctx)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListUsersResponse{NextPageToken: next}
	for _, row := range rows {
		out.Users = append(out.Users, answer(row, now))
	}
	return out, nil
}

// states are the statuses that a filter can ask for.
var states = map[munimentv1.UserState]user.Status{
	munimentv1.UserState_USER_STATE_ACTIVE:      user.Active,
	munimentv1.UserState_USER_STATE_LOCKED:      user.IsLocked,
	munimentv1.UserState_USER_STATE_DEACTIVATED: user.IsDeactivated,
	munimentv1.UserState_USER_STATE_ERASED:      user.IsErased,
}

func conditions(f *munimentv1.UserFilter) ([]view.Cond, error) {
	var where []view.Cond
	switch status, ok := states[f.GetState()]; {
	case ok:
		where = user.WithStatus(status)
	case f.GetState() == munimentv1.UserState_USER_STATE_UNSPECIFIED:
		where = append(where, view.Eq("erased", false))
	default:
		return nil, fault.Field("filter.state", "there is no such state")
	}
	if e := f.GetEmail(); e != "" {
		if err := adapter.Prefix("filter.email", e); err != nil {
			return nil, err
		}
		where = append(where, view.Same("email", e))
	}
	if p := f.GetPrefix(); p != "" {
		if err := adapter.Prefix("filter.prefix", p); err != nil {
			return nil, err
		}
		where = append(where, view.Any(view.Prefix("email", p), view.Prefix("given_name", p), view.Prefix("family_name", p), view.Prefix("display_name", p), view.Prefix("name", p)))
	}
	switch f.GetKind() {
	case munimentv1.UserKind_USER_KIND_UNSPECIFIED:
	case munimentv1.UserKind_USER_KIND_HUMAN, munimentv1.UserKind_USER_KIND_MACHINE:
		where = append(where, view.Eq("machine", f.GetKind() == munimentv1.UserKind_USER_KIND_MACHINE))
	default:
		return nil, fault.Field("filter.kind", "there is no such kind")
	}
	org, err := adapter.Equal("organization", "filter.organization_id", f.GetOrganizationId())
	return append(where, org...), err
}

func answer(row view.Row, now time.Time) *munimentv1.User {
	e := entity.Of(row)
	m := &munimentv1.User{Id: row.ID("id").String(), OrganizationId: row.ID("organization").String(),
		Email: text(row, "email"), GivenName: text(row, "given_name"), FamilyName: text(row, "family_name"), DisplayName: text(row, "display_name"),
		PasswordSet: row.Bool("password_set"), Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	if until := row.Time("locked_out_until"); until.After(now) {
		m.LockedOutUntil = adapter.Time(until)
	}
	m.Kind = munimentv1.UserKind_USER_KIND_HUMAN
	if row.Bool("machine") {
		m.Kind, m.Description = munimentv1.UserKind_USER_KIND_MACHINE, row.Text("description")
		m.DisplayName = &munimentv1.Text{Value: row.Text("name")}
	}
	status := user.StatusOf(row)
	for state, s := range states {
		if s == status {
			m.State = state
		}
	}
	return m
}

func text(row view.Row, column string) *munimentv1.Text {
	return adapter.Text(view.Personal[string](row, column))
}
