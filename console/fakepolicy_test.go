package console

import (
	"context"
	"fmt"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

func (b *backend) GetPolicies(_ context.Context, r *munimentv1.GetPoliciesRequest) (*munimentv1.GetPoliciesResponse, error) {
	out := &munimentv1.GetPoliciesResponse{PasswordPolicy: &munimentv1.PasswordPolicy{MinLength: 15, History: 5}, PasswordSource: munimentv1.PolicySource_POLICY_SOURCE_INSTANCE,
		LockoutPolicy: &munimentv1.LockoutPolicy{Attempts: 20, WindowSeconds: 900, DurationSeconds: 900}, LockoutSource: munimentv1.PolicySource_POLICY_SOURCE_BUILT_IN,
		SessionPolicy: &munimentv1.SessionPolicy{LifetimeSeconds: 43200, IdleSeconds: 1800}, SessionSource: munimentv1.PolicySource_POLICY_SOURCE_BUILT_IN,
		TokenPolicy: &munimentv1.TokenPolicy{AccessSeconds: 300, IdSeconds: 600, RefreshIdleSeconds: 1209600, RefreshLifetimeSeconds: 7776000}, TokenSource: munimentv1.PolicySource_POLICY_SOURCE_BUILT_IN}
	if r.GetScope().GetOrganizationId() != "" {
		out.LockoutSource = munimentv1.PolicySource_POLICY_SOURCE_ORGANIZATION
	}
	return out, nil
}

func (b *backend) ChangeSessionPolicy(ctx context.Context, r *munimentv1.ChangeSessionPolicyRequest) (*munimentv1.ChangeSessionPolicyResponse, error) {
	if n := r.GetPolicy().GetLifetimeSeconds(); n < 300 {
		return nil, fault.Field("policy.lifetime_seconds", "must be from 300 to 7776000")
	}
	c, err := b.change(ctx, "ChangeSessionPolicy", r.GetScope().GetOrganizationId(), fmt.Sprint(r.GetPolicy().GetLifetimeSeconds(), " ", r.GetPolicy().GetIdleSeconds()))
	return &munimentv1.ChangeSessionPolicyResponse{Change: c}, err
}

func (b *backend) ChangePasswordPolicy(ctx context.Context, r *munimentv1.ChangePasswordPolicyRequest) (*munimentv1.ChangePasswordPolicyResponse, error) {
	c, err := b.change(ctx, "ChangePasswordPolicy", r.GetScope().GetOrganizationId(), fmt.Sprint(r.GetPolicy().GetMinLength(), " ", r.GetPolicy().GetNeedsDigit()))
	return &munimentv1.ChangePasswordPolicyResponse{Change: c}, err
}

func (b *backend) ChangeLockoutPolicy(ctx context.Context, r *munimentv1.ChangeLockoutPolicyRequest) (*munimentv1.ChangeLockoutPolicyResponse, error) {
	c, err := b.change(ctx, "ChangeLockoutPolicy", r.GetScope().GetOrganizationId(), fmt.Sprint(r.GetPolicy().GetAttempts(), " ", r.GetPolicy().GetWindowSeconds()))
	return &munimentv1.ChangeLockoutPolicyResponse{Change: c}, err
}

func (b *backend) ChangeTokenPolicy(ctx context.Context, r *munimentv1.ChangeTokenPolicyRequest) (*munimentv1.ChangeTokenPolicyResponse, error) {
	if r.GetPolicy().GetAccessSeconds() > 3600 && len(r.GetAcknowledge()) == 0 {
		return nil, &fault.Error{Kind: fault.Refused, Field: "acknowledge", Msg: `tokens outlive locks; if that is meant, acknowledge "long-access-tokens"`}
	}
	c, err := b.change(ctx, "ChangeTokenPolicy", fmt.Sprint(r.GetPolicy().GetAccessSeconds()), strings.Join(r.GetAcknowledge(), ","))
	return &munimentv1.ChangeTokenPolicyResponse{Change: c}, err
}

func (b *backend) ResetPolicy(ctx context.Context, r *munimentv1.ResetPolicyRequest) (*munimentv1.ResetPolicyResponse, error) {
	c, err := b.change(ctx, "ResetPolicy", r.GetScope().GetOrganizationId(), r.GetKind().String())
	return &munimentv1.ResetPolicyResponse{Change: c}, err
}

func (b *backend) EndLockout(ctx context.Context, r *munimentv1.EndLockoutRequest) (*munimentv1.EndLockoutResponse, error) {
	c, err := b.change(ctx, "EndLockout", r.GetUserId(), r.GetReason())
	return &munimentv1.EndLockoutResponse{Change: c}, err
}

func (b *backend) RemoveOrganization(ctx context.Context, r *munimentv1.RemoveOrganizationRequest) (*munimentv1.RemoveOrganizationResponse, error) {
	c, err := b.change(ctx, "RemoveOrganization", r.GetOrganizationId(), strings.Join(r.GetAcknowledge(), ","))
	return &munimentv1.RemoveOrganizationResponse{Change: c}, err
}

func (b *backend) RestoreOrganization(ctx context.Context, r *munimentv1.RestoreOrganizationRequest) (*munimentv1.RestoreOrganizationResponse, error) {
	c, err := b.change(ctx, "RestoreOrganization", r.GetOrganizationId())
	return &munimentv1.RestoreOrganizationResponse{Change: c}, err
}

func (b *backend) AddDomain(ctx context.Context, r *munimentv1.AddDomainRequest) (*munimentv1.AddDomainResponse, error) {
	c, err := b.change(ctx, "AddDomain", r.GetOrganizationId(), r.GetDomain())
	return &munimentv1.AddDomainResponse{Change: c}, err
}

func (b *backend) VerifyDomain(ctx context.Context, r *munimentv1.VerifyDomainRequest) (*munimentv1.VerifyDomainResponse, error) {
	c, err := b.change(ctx, "VerifyDomain", r.GetOrganizationId(), r.GetDomain(), fmt.Sprint(r.GetVouch()))
	return &munimentv1.VerifyDomainResponse{Change: c}, err
}

func (b *backend) SetPrimaryDomain(ctx context.Context, r *munimentv1.SetPrimaryDomainRequest) (*munimentv1.SetPrimaryDomainResponse, error) {
	c, err := b.change(ctx, "SetPrimaryDomain", r.GetOrganizationId(), r.GetDomain())
	return &munimentv1.SetPrimaryDomainResponse{Change: c}, err
}

func (b *backend) RemoveDomain(ctx context.Context, r *munimentv1.RemoveDomainRequest) (*munimentv1.RemoveDomainResponse, error) {
	c, err := b.change(ctx, "RemoveDomain", r.GetOrganizationId(), r.GetDomain())
	return &munimentv1.RemoveDomainResponse{Change: c}, err
}

func (b *backend) DeactivateProject(ctx context.Context, r *munimentv1.DeactivateProjectRequest) (*munimentv1.DeactivateProjectResponse, error) {
	c, err := b.change(ctx, "DeactivateProject", r.GetProjectId())
	return &munimentv1.DeactivateProjectResponse{Change: c}, err
}

func (b *backend) ReactivateProject(ctx context.Context, r *munimentv1.ReactivateProjectRequest) (*munimentv1.ReactivateProjectResponse, error) {
	c, err := b.change(ctx, "ReactivateProject", r.GetProjectId())
	return &munimentv1.ReactivateProjectResponse{Change: c}, err
}

func (b *backend) RenameRole(ctx context.Context, r *munimentv1.RenameRoleRequest) (*munimentv1.RenameRoleResponse, error) {
	c, err := b.change(ctx, "RenameRole", r.GetProjectId(), r.GetKey(), r.GetName())
	return &munimentv1.RenameRoleResponse{Change: c}, err
}

func (b *backend) ChangeMemberRole(ctx context.Context, r *munimentv1.ChangeMemberRoleRequest) (*munimentv1.ChangeMemberRoleResponse, error) {
	c, err := b.change(ctx, "ChangeMemberRole", r.GetUserId(), r.GetScope().GetOrganizationId(), r.GetFrom().String(), r.GetTo().String())
	return &munimentv1.ChangeMemberRoleResponse{Change: c}, err
}

func (b *backend) ChangeLinks(ctx context.Context, r *munimentv1.ChangeLinksRequest) (*munimentv1.ChangeLinksResponse, error) {
	c, err := b.change(ctx, "ChangeLinks", r.GetPrivacyPolicyUrl(), r.GetTermsUrl(), r.GetSupportUrl())
	return &munimentv1.ChangeLinksResponse{Change: c}, err
}

func (b *backend) ListDomains(_ context.Context, r *munimentv1.ListDomainsRequest) (*munimentv1.ListDomainsResponse, error) {
	return &munimentv1.ListDomainsResponse{Domains: []*munimentv1.Domain{
		{OrganizationId: r.GetOrganizationId(), Name: "analytical.example", Verified: true, Primary: true},
		{OrganizationId: r.GetOrganizationId(), Name: "example.net", ChallengeName: "_muniment-challenge.example.net", ChallengeText: "muniment-domain-verification=0123456789abcdef0123456789abcdef"},
	}}, nil
}
