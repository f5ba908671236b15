package console

import (
	"context"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

const (
	mayPublish = munimentv1.EventRight_EVENT_RIGHT_PUBLISH
	mayRead    = munimentv1.EventRight_EVENT_RIGHT_READ
)

// permissions are those of the nightly backup, and one of Grace's.
func permissions() []*munimentv1.Permission {
	return []*munimentv1.Permission{
		{PermissionId: booksID, UserId: robotID, Right: mayPublish, EventTypes: "backup-completed", Scope: scopeOf(acmeID), Created: ago(time.Hour), Position: 13},
		{PermissionId: appID, UserId: graceID, Right: mayRead, EventTypes: "backup-*", Scope: scopeOf(""), Created: ago(time.Minute), Position: 14},
	}
}

func (b *backend) GrantPermission(ctx context.Context, r *munimentv1.GrantPermissionRequest) (*munimentv1.GrantPermissionResponse, error) {
	c, err := b.change(ctx, "GrantPermission", r.GetUserId(), r.GetRight().String(), r.GetEventTypes(), r.GetScope().GetOrganizationId())
	return &munimentv1.GrantPermissionResponse{Change: c}, err
}

func (b *backend) WithdrawPermission(ctx context.Context, r *munimentv1.WithdrawPermissionRequest) (*munimentv1.WithdrawPermissionResponse, error) {
	c, err := b.change(ctx, "WithdrawPermission", r.GetUserId(), r.GetRight().String(), r.GetEventTypes(), r.GetScope().GetOrganizationId())
	return &munimentv1.WithdrawPermissionResponse{Change: c}, err
}

func (b *backend) ListPermissions(_ context.Context, r *munimentv1.ListPermissionsRequest) (*munimentv1.ListPermissionsResponse, error) {
	return &munimentv1.ListPermissionsResponse{Permissions: only(permissions(), func(p *munimentv1.Permission) bool {
		f := r.GetFilter()
		return (f.GetUserId() == "" || f.GetUserId() == p.GetUserId()) && (f.GetRight() == 0 || f.GetRight() == p.GetRight()) &&
			(f.GetEventType() == "" || f.GetEventType() == p.GetEventTypes())
	})}, nil
}
