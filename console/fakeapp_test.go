package console

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

const (
	spaID       = "d1d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	apiID       = "d2d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	oldSecretID = "d3d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	robotID     = "d5d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	keyID       = "d4d1d2d3d4d5d6d7d8d9dadbdcdddedf"
)

func (b *backend) CreateSinglePageApplication(ctx context.Context, r *munimentv1.CreateSinglePageApplicationRequest) (*munimentv1.CreateSinglePageApplicationResponse, error) {
	c, err := b.change(ctx, "CreateSinglePageApplication", r.GetName(), strings.Join(r.GetRedirectUris(), ","), strings.Join(r.GetAllowedOrigins(), ","))
	return &munimentv1.CreateSinglePageApplicationResponse{Change: c, ApplicationId: appID, ClientId: appID}, err
}

func (b *backend) CreateNativeApplication(ctx context.Context, r *munimentv1.CreateNativeApplicationRequest) (*munimentv1.CreateNativeApplicationResponse, error) {
	c, err := b.change(ctx, "CreateNativeApplication", r.GetName(), strings.Join(r.GetRedirectUris(), ","))
	return &munimentv1.CreateNativeApplicationResponse{Change: c, ApplicationId: appID, ClientId: appID}, err
}

func (b *backend) CreateApiApplication(ctx context.Context, r *munimentv1.CreateApiApplicationRequest) (*munimentv1.CreateApiApplicationResponse, error) {
	c, err := b.change(ctx, "CreateApiApplication", r.GetName(), r.GetPublicKey())
	return &munimentv1.CreateApiApplicationResponse{Change: c, ApplicationId: appID, ClientId: appID, ClientSecret: "an-api-secret"}, err
}

func (b *backend) RenameApplication(ctx context.Context, r *munimentv1.RenameApplicationRequest) (*munimentv1.RenameApplicationResponse, error) {
	c, err := b.change(ctx, "RenameApplication", r.GetName())
	return &munimentv1.RenameApplicationResponse{Change: c}, err
}

func (b *backend) ChangeAllowedOrigins(ctx context.Context, r *munimentv1.ChangeAllowedOriginsRequest) (*munimentv1.ChangeAllowedOriginsResponse, error) {
	c, err := b.change(ctx, "ChangeAllowedOrigins", strings.Join(r.GetAllowedOrigins(), ","))
	return &munimentv1.ChangeAllowedOriginsResponse{Change: c}, err
}

func (b *backend) ChangeApplicationSettings(ctx context.Context, r *munimentv1.ChangeApplicationSettingsRequest) (*munimentv1.ChangeApplicationSettingsResponse, error) {
	c, err := b.change(ctx, "ChangeApplicationSettings", fmt.Sprint(r.GetGrantTypes()), r.GetAccessTokenType().String(), r.GetIdTokenAlg().String(), r.GetClientAuthMethod().String(), fmt.Sprint(r.GetAskConsent()), fmt.Sprint(r.GetApiAccess()))
	return &munimentv1.ChangeApplicationSettingsResponse{Change: c}, err
}

func (b *backend) CreateApplicationSecret(ctx context.Context, r *munimentv1.CreateApplicationSecretRequest) (*munimentv1.CreateApplicationSecretResponse, error) {
	c, err := b.change(ctx, "CreateApplicationSecret", r.GetName(), fmt.Sprint(r.GetExpires() != nil))
	return &munimentv1.CreateApplicationSecretResponse{Change: c, SecretId: graceID, ClientSecret: "a-new-secret"}, err
}

func (b *backend) RemoveApplicationSecret(ctx context.Context, r *munimentv1.RemoveApplicationSecretRequest) (*munimentv1.RemoveApplicationSecretResponse, error) {
	c, err := b.change(ctx, "RemoveApplicationSecret", r.GetSecretId())
	return &munimentv1.RemoveApplicationSecretResponse{Change: c}, err
}

func (b *backend) AddApplicationKey(ctx context.Context, r *munimentv1.AddApplicationKeyRequest) (*munimentv1.AddApplicationKeyResponse, error) {
	c, err := b.change(ctx, "AddApplicationKey", r.GetName(), r.GetPublicKey())
	return &munimentv1.AddApplicationKeyResponse{Change: c}, err
}

func (b *backend) RemoveApplicationKey(ctx context.Context, r *munimentv1.RemoveApplicationKeyRequest) (*munimentv1.RemoveApplicationKeyResponse, error) {
	c, err := b.change(ctx, "RemoveApplicationKey", r.GetKeyId())
	return &munimentv1.RemoveApplicationKeyResponse{Change: c}, err
}

func (b *backend) DeactivateApplication(ctx context.Context, r *munimentv1.DeactivateApplicationRequest) (*munimentv1.DeactivateApplicationResponse, error) {
	c, err := b.change(ctx, "DeactivateApplication", r.GetApplicationId())
	return &munimentv1.DeactivateApplicationResponse{Change: c}, err
}

func (b *backend) ReactivateApplication(ctx context.Context, r *munimentv1.ReactivateApplicationRequest) (*munimentv1.ReactivateApplicationResponse, error) {
	c, err := b.change(ctx, "ReactivateApplication", r.GetApplicationId())
	return &munimentv1.ReactivateApplicationResponse{Change: c}, err
}

func (b *backend) RemoveApplication(ctx context.Context, r *munimentv1.RemoveApplicationRequest) (*munimentv1.RemoveApplicationResponse, error) {
	c, err := b.change(ctx, "RemoveApplication", r.GetApplicationId())
	return &munimentv1.RemoveApplicationResponse{Change: c}, err
}

func (b *backend) CreateMachineUser(ctx context.Context, r *munimentv1.CreateMachineUserRequest) (*munimentv1.CreateMachineUserResponse, error) {
	c, err := b.change(ctx, "CreateMachineUser", r.GetOrganizationId(), r.GetName(), r.GetDescription())
	return &munimentv1.CreateMachineUserResponse{Change: c, UserId: robotID}, err
}

func (b *backend) ChangeMachineUser(ctx context.Context, r *munimentv1.ChangeMachineUserRequest) (*munimentv1.ChangeMachineUserResponse, error) {
	c, err := b.change(ctx, "ChangeMachineUser", r.GetName(), r.GetDescription())
	return &munimentv1.ChangeMachineUserResponse{Change: c}, err
}

func (b *backend) CreateUserSecret(ctx context.Context, r *munimentv1.CreateUserSecretRequest) (*munimentv1.CreateUserSecretResponse, error) {
	c, err := b.change(ctx, "CreateUserSecret", r.GetName())
	return &munimentv1.CreateUserSecretResponse{Change: c, SecretId: graceID, ClientSecret: "a-robots-secret"}, err
}

func (b *backend) RemoveUserSecret(ctx context.Context, r *munimentv1.RemoveUserSecretRequest) (*munimentv1.RemoveUserSecretResponse, error) {
	c, err := b.change(ctx, "RemoveUserSecret", r.GetSecretId())
	return &munimentv1.RemoveUserSecretResponse{Change: c}, err
}

func (b *backend) AddUserKey(ctx context.Context, r *munimentv1.AddUserKeyRequest) (*munimentv1.AddUserKeyResponse, error) {
	c, err := b.change(ctx, "AddUserKey", r.GetPublicKey())
	return &munimentv1.AddUserKeyResponse{Change: c}, err
}

func (b *backend) RemoveUserKey(ctx context.Context, r *munimentv1.RemoveUserKeyRequest) (*munimentv1.RemoveUserKeyResponse, error) {
	c, err := b.change(ctx, "RemoveUserKey", r.GetKeyId())
	return &munimentv1.RemoveUserKeyResponse{Change: c}, err
}

// someCredentials are those of every client that has any.
func someCredentials() ([]*munimentv1.ClientSecret, []*munimentv1.ClientKey) {
	return []*munimentv1.ClientSecret{{Id: oldSecretID, Name: "production", Created: ago(24 * 24 * time.Hour)}, {Id: goneID, Created: ago(90 * 24 * time.Hour), Expires: ago(time.Hour)}},
		[]*munimentv1.ClientKey{{Id: keyID, Name: "next", Kid: "2026-11", Algorithm: "ES256", PublicKey: "{}", Created: ago(time.Hour), Expires: timestamppb.New(time.Now().Add(365 * 24 * time.Hour))}}
}

func (b *backend) RestoreApplication(ctx context.Context, r *munimentv1.RestoreApplicationRequest) (*munimentv1.RestoreApplicationResponse, error) {
	c, err := b.change(ctx, "RestoreApplication", r.GetApplicationId())
	return &munimentv1.RestoreApplicationResponse{Change: c}, err
}

func (b *backend) ListExpiringCredentials(context.Context, *munimentv1.ListExpiringCredentialsRequest) (*munimentv1.ListExpiringCredentialsResponse, error) {
	return &munimentv1.ListExpiringCredentialsResponse{Credentials: []*munimentv1.ExpiringCredential{
		{ApplicationId: appID, OwnerName: "Bookkeeping", OrganizationId: acmeID, Id: oldSecretID, Name: "production", Kind: munimentv1.CredentialKind_CREDENTIAL_KIND_SECRET, Expires: ago(-50 * time.Hour)},
		{UserId: robotID, OwnerName: "Nightly backup", OrganizationId: acmeID, Id: keyID, Name: "laptop", Kind: munimentv1.CredentialKind_CREDENTIAL_KIND_KEY, Expires: ago(-20 * 24 * time.Hour)},
	}}, nil
}
