package console

import (
	"context"
	"fmt"
	"strconv"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

func (b *backend) ListMyApplications(context.Context, *munimentv1.ListMyApplicationsRequest) (*munimentv1.ListMyApplicationsResponse, error) {
	return &munimentv1.ListMyApplicationsResponse{Applications: b.used}, nil
}

func (b *backend) EndMyApplication(ctx context.Context, r *munimentv1.EndMyApplicationRequest) (*munimentv1.EndMyApplicationResponse, error) {
	c, err := b.change(ctx, "EndMyApplication", r.GetApplicationId())
	return &munimentv1.EndMyApplicationResponse{Change: c}, err
}

func (b *backend) ListSigningKeys(context.Context, *munimentv1.ListSigningKeysRequest) (*munimentv1.ListSigningKeysResponse, error) {
	return &munimentv1.ListSigningKeysResponse{Keys: []*munimentv1.SigningKey{
		{Id: "F56BXcStLBdSPkrKmDBFSPqav9YdD4k30IDLjS8kCpg", Algorithm: "ES256", Status: munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_RETIRED, Announced: ago(190 * 24 * time.Hour), Activated: ago(183 * 24 * time.Hour), Until: ago(-24 * time.Hour)},
		{Id: "opS19mqroHnhGr2cDVT4bxmcyxYUk5Qm5CZw2c6IaoM", Algorithm: "ES256", Status: munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_CURRENT, Announced: ago(13 * 24 * time.Hour), Activated: ago(6 * 24 * time.Hour)},
		{Id: "kHnhGr2cDVT4bxmcyxYUk5Qm5CZw2c6IaoMopS19mqr", Algorithm: "RS256", Status: munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_NEXT, Announced: ago(time.Hour)},
	}}, nil
}

func (b *backend) GetSigningKeySchedule(context.Context, *munimentv1.GetSigningKeyScheduleRequest) (*munimentv1.GetSigningKeyScheduleResponse, error) {
	return &munimentv1.GetSigningKeyScheduleResponse{EverySeconds: 90 * 86400, AnnounceSeconds: 7 * 86400, RemainSeconds: 7 * 86400}, nil
}

func (b *backend) RotateSigningKeys(ctx context.Context, r *munimentv1.RotateSigningKeysRequest) (*munimentv1.RotateSigningKeysResponse, error) {
	c, err := b.change(ctx, "RotateSigningKeys", strconv.FormatBool(r.GetDistrust()))
	return &munimentv1.RotateSigningKeysResponse{Change: c}, err
}

func (b *backend) EndUserApplication(ctx context.Context, r *munimentv1.EndUserApplicationRequest) (*munimentv1.EndUserApplicationResponse, error) {
	c, err := b.change(ctx, "EndUserApplication", r.GetUserId(), r.GetApplicationId())
	return &munimentv1.EndUserApplicationResponse{Change: c}, err
}

func (b *backend) ListUserApplications(_ context.Context, r *munimentv1.ListUserApplicationsRequest) (*munimentv1.ListUserApplicationsResponse, error) {
	if r.GetUserId() == robotID {
		return &munimentv1.ListUserApplicationsResponse{}, nil
	}
	return &munimentv1.ListUserApplicationsResponse{Applications: []*munimentv1.UserApplication{
		{ApplicationId: appID, Name: "Bookkeeping", Scopes: []string{"openid", "email"}, ConsentedScopes: []string{"openid", "email", "profile"}, Consented: ago(40 * 24 * time.Hour), Used: ago(3 * time.Hour)},
		{ApplicationId: spaID, Name: "Till", Scopes: []string{"openid"}, Used: ago(9 * 24 * time.Hour)},
	}}, nil
}

func (b *backend) ChangeSigningKeySchedule(ctx context.Context, r *munimentv1.ChangeSigningKeyScheduleRequest) (*munimentv1.ChangeSigningKeyScheduleResponse, error) {
	c, err := b.change(ctx, "ChangeSigningKeySchedule", fmt.Sprint(r.GetEverySeconds(), r.GetAnnounceSeconds(), r.GetRemainSeconds()))
	return &munimentv1.ChangeSigningKeyScheduleResponse{Change: c}, err
}
