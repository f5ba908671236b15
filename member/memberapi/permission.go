package memberapi

import (
	"context"
	"strings"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// PermissionService implements munimentv1connect.PermissionServiceHandler.
type PermissionService struct{ core adapter.Core }

// NewPermissions makes the service of permissions.
func NewPermissions(c adapter.Core) *PermissionService { return &PermissionService{c} }

// GrantPermission lets a user do something with events.
func (s *PermissionService) GrantPermission(ctx context.Context, req *munimentv1.GrantPermissionRequest) (*munimentv1.GrantPermissionResponse, error) {
	user, p, err := permission(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, member.Granting, req, member.Grant{ID: event.NewID(), User: user, Permission: p})
	if err != nil {
		return nil, err
	}
	return &munimentv1.GrantPermissionResponse{Change: adapter.Change(res)}, nil
}

// WithdrawPermission takes a permission from a user.
func (s *PermissionService) WithdrawPermission(ctx context.Context, req *munimentv1.WithdrawPermissionRequest) (*munimentv1.WithdrawPermissionResponse, error) {
	user, p, err := permission(req)
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, member.Withdrawing, req, member.Withdraw{User: user, Permission: p})
	if err != nil {
		return nil, err
	}
	return &munimentv1.WithdrawPermissionResponse{Change: adapter.Change(res)}, nil
}

// ListPermissions answers the permissions that match, oldest first.
func (s *PermissionService) ListPermissions(ctx context.Context, req *munimentv1.ListPermissionsRequest) (*munimentv1.ListPermissionsResponse, error) {
	where, err := permitted(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: member.PermissionTable, Where: append(where, r.Visible("organization", "user")...), OrderBy: []string{entity.Order}}
	rows, next, err := r.Page(ctx, q, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.ListPermissionsResponse{NextPageToken: next}
	for _, row := range rows {
		resp.Permissions = append(resp.Permissions, permissionOf(row))
	}
	return resp, nil
}

// permission is what a request to grant or to withdraw one names. Whether the
// event types are any is for the decider to say.
func permission(req interface {
	GetUserId() string
	GetRight() munimentv1.EventRight
	GetEventTypes() string
	GetScope() *munimentv1.Scope
}) (user event.ID, p authz.Permission, err error) {
	if user, err = adapter.ID("user_id", req.GetUserId()); err != nil {
		return user, p, err
	}
	if p.Organization, err = adapter.Scope("scope", req.GetScope()); err != nil {
		return user, p, err
	}
	p.Types = authz.EventTypes(req.GetEventTypes())
	p.Right, err = right("right", req.GetRight())
	return user, p, err
}

func permitted(f *munimentv1.PermissionFilter) ([]view.Cond, error) {
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
	if f.GetRight() != munimentv1.EventRight_EVENT_RIGHT_UNSPECIFIED {
		r, err := right("filter.right", f.GetRight())
		if err != nil {
			return nil, err
		}
		where = append(where, view.Eq("event_right", r))
	}
	if t := f.GetEventType(); t != "" {
		if !authz.EventTypes(t).Valid() || strings.HasSuffix(t, "*") {
			return nil, fault.Field("filter.event_type", "must be the name of an event type, such as order-created")
		}
		where = append(where, view.In("event_types", authz.EventTypes(t).Containing()...))
	}
	return where, nil
}

var rights = map[munimentv1.EventRight]authz.EventRight{
	munimentv1.EventRight_EVENT_RIGHT_PUBLISH: authz.Publish,
	munimentv1.EventRight_EVENT_RIGHT_READ:    authz.Read,
	munimentv1.EventRight_EVENT_RIGHT_UNSEAL:  authz.Unseal,
}

func right(field string, r munimentv1.EventRight) (authz.EventRight, error) {
	if v, ok := rights[r]; ok {
		return v, nil
	}
	return "", fault.Field(field, "must be publish, read or unseal")
}

func permissionOf(row view.Row) *munimentv1.Permission {
	e := entity.Of(row)
	p := &munimentv1.Permission{PermissionId: row.ID("id").String(), UserId: row.ID("user").String(), EventTypes: row.Text("event_types"),
		Created: adapter.Time(e.Created), Position: uint64(e.Position), Scope: scopeOf(row)}
	for wire, r := range rights {
		if string(r) == row.Text("event_right") {
			p.Right = wire
		}
	}
	return p
}
