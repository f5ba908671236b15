// Package memberapi is the face of memberships and permissions in the API: it
// translates requests into commands and rows into answers, and decides nothing.
package memberapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Service implements munimentv1connect.MemberServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

// AddMember makes a user a member with a role.
func (s *Service) AddMember(ctx context.Context, req *munimentv1.AddMemberRequest) (*munimentv1.AddMemberResponse, error) {
	m, err := named(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, member.Adding, req,
		member.Add{Member: event.NewID(), User: m.user, Organization: m.organization, Role: m.role})
	if err != nil {
		return nil, err
	}
	return &munimentv1.AddMemberResponse{Change: adapter.Change(res)}, nil
}

// RemoveMember takes a role from a member.
func (s *Service) RemoveMember(ctx context.Context, req *munimentv1.RemoveMemberRequest) (*munimentv1.RemoveMemberResponse, error) {
	m, err := named(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, member.Removing, req,
		member.Remove{User: m.user, Organization: m.organization, Role: m.role})
	if err != nil {
		return nil, err
	}
	return &munimentv1.RemoveMemberResponse{Change: adapter.Change(res)}, nil
}

// ChangeMemberRole gives a member another role in the place of one.
func (s *Service) ChangeMemberRole(ctx context.Context, req *munimentv1.ChangeMemberRoleRequest) (*munimentv1.ChangeMemberRoleResponse, error) {
	user, err := adapter.ID("user_id", req.GetUserId())
	if err != nil {
		return nil, err
	}
	o, err := adapter.Scope("scope", req.GetScope())
	if err != nil {
		return nil, err
	}
	from, err := role("from", req.GetFrom())
	if err != nil {
		return nil, err
	}
	to, err := role("to", req.GetTo())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, member.ChangingRole, req, member.ChangeRole{Member: event.NewID(), User: user, Organization: o, From: from, To: to})
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeMemberRoleResponse{Change: adapter.Change(res)}, nil
}

// ListMembers answers the memberships that match, oldest first.
func (s *Service) ListMembers(ctx context.Context, req *munimentv1.ListMembersRequest) (*munimentv1.ListMembersResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: member.Table, Where: append(where, r.Visible("organization", "user")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListMembersResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Members = append(resp.Members, answer(row))
	}
	return resp, nil
}

// membership is what a request to change one names.
type membership struct {
	user, organization event.ID
	role               authz.Role
}

func named(req interface {
	GetUserId() string
	GetScope() *munimentv1.Scope
	GetRole() munimentv1.MemberRole
}) (m membership, err error) {
	if m.user, err = adapter.ID("user_id", req.GetUserId()); err != nil {
		return m, err
	}
	if m.organization, err = adapter.Scope("scope", req.GetScope()); err != nil {
		return m, err
	}
	m.role, err = role("role", req.GetRole())
	return m, err
}

func conditions(f *munimentv1.MemberFilter) ([]view.Cond, error) {
	where, err := adapter.Equal("user", "filter.user_id", f.GetUserId())
	if err != nil {
		return nil, err
	}
	if f.GetScope() != nil {
		o, err := adapter.Scope("filter.scope", f.GetScope())
		if err != nil {
			return nil, err
		}
		where = append(where, view.Eq("organization", o))
	}
	if f.GetRole() != munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED {
		r, err := role("filter.role", f.GetRole())
		if err != nil {
			return nil, err
		}
		where = append(where, view.Eq("role", r))
	}
	return where, nil
}

var roles = map[munimentv1.MemberRole]authz.Role{
	munimentv1.MemberRole_MEMBER_ROLE_OWNER:   authz.Owner,
	munimentv1.MemberRole_MEMBER_ROLE_ADMIN:   authz.Admin,
	munimentv1.MemberRole_MEMBER_ROLE_VIEWER:  authz.Viewer,
	munimentv1.MemberRole_MEMBER_ROLE_AUDITOR: authz.Auditor,
}

func role(field string, r munimentv1.MemberRole) (authz.Role, error) {
	if v, ok := roles[r]; ok {
		return v, nil
	}
	return "", fault.Field(field, "must be owner, admin, viewer or auditor")
}

func answer(row view.Row) *munimentv1.Member {
	e := entity.Of(row)
	m := &munimentv1.Member{UserId: row.ID("user").String(), Created: adapter.Time(e.Created), Position: uint64(e.Position), Scope: scopeOf(row)}
	for wire, r := range roles {
		if string(r) == row.Text("role") {
			m.Role = wire
		}
	}
	return m
}

func scopeOf(row view.Row) *munimentv1.Scope {
	if o := row.ID("organization"); !o.IsZero() {
		return &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: o.String()}}
	}
	return &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
}
