package console

import (
	"context"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

func (b *backend) GetUser(_ context.Context, r *munimentv1.GetUserRequest) (*munimentv1.GetUserResponse, error) {
	b.asked = append(b.asked, r.GetRead())
	u, err := b.user(r.GetUserId())
	out := &munimentv1.GetUserResponse{User: u}
	if u.GetKind() == machineKind {
		out.Secrets, out.Keys = someCredentials()
	}
	return out, err
}

func (b *backend) ListUsers(_ context.Context, r *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
	if err := b.read("ListUsers"); err != nil {
		return nil, err
	}
	f := r.GetFilter()
	list := only(b.users, func(u *munimentv1.User) bool {
		begins := func(s string) bool {
			return strings.HasPrefix(strings.ToLower(s), strings.ToLower(f.GetPrefix()))
		}
		return (f.GetKind() == 0 || f.GetKind() == u.GetKind()) && (f.GetState() == u.GetState() || f.GetState() == 0 && !isErased(u)) &&
			(f.GetOrganizationId() == "" || f.GetOrganizationId() == u.GetOrganizationId()) &&
			(f.GetEmail() == "" || f.GetEmail() == u.GetEmail().GetValue()) &&
			(begins(u.GetEmail().GetValue()) || begins(u.GetGivenName().GetValue()) || begins(u.GetFamilyName().GetValue()))
	})
	page, next := at(list, r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListUsersResponse{Users: page, NextPageToken: next}, nil
}

func isErased(u *munimentv1.User) bool {
	return u.GetState() == munimentv1.UserState_USER_STATE_ERASED
}

func (b *backend) CreateUser(ctx context.Context, r *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
	if !strings.Contains(r.GetEmail(), "@") {
		return nil, fault.Field("email", "an e-mail address has a name, an @ and a host")
	}
	if u, _ := find(b.users, func(u *munimentv1.User) bool { return u.GetEmail().GetValue() == r.GetEmail() }); u != nil {
		return nil, fault.New(fault.Exists, "this e-mail address belongs to somebody")
	}
	c, err := b.change(ctx, "CreateUser", r.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateUserResponse{Change: c, UserId: graceID}
	if !c.GetReplayed() {
		out.SetupLink = &munimentv1.SetupLink{Url: "http://localhost:8080/setup/q3v7Jx0mS1s8oYwT", Expires: ago(-72 * 60 * 60 * 1e9)}
	}
	return out, nil
}

func (b *backend) ChangeProfile(ctx context.Context, r *munimentv1.ChangeProfileRequest) (*munimentv1.ChangeProfileResponse, error) {
	c, err := b.change(ctx, "ChangeProfile", r.GetUserId(), r.GetGivenName(), r.GetFamilyName())
	return &munimentv1.ChangeProfileResponse{Change: c}, err
}

func (b *backend) ChangeEmail(ctx context.Context, r *munimentv1.ChangeEmailRequest) (*munimentv1.ChangeEmailResponse, error) {
	c, err := b.change(ctx, "ChangeEmail", r.GetUserId(), r.GetEmail())
	return &munimentv1.ChangeEmailResponse{Change: c}, err
}

func (b *backend) ChangePassword(ctx context.Context, r *munimentv1.ChangePasswordRequest) (*munimentv1.ChangePasswordResponse, error) {
	if r.GetOldPassword() != "correct horse battery" {
		return nil, fault.Field("old_password", "this is not your present password")
	}
	c, err := b.change(ctx, "ChangePassword")
	return &munimentv1.ChangePasswordResponse{Change: c}, err
}

func (b *backend) CreateSetupLink(ctx context.Context, r *munimentv1.CreateSetupLinkRequest) (*munimentv1.CreateSetupLinkResponse, error) {
	c, err := b.change(ctx, "CreateSetupLink", r.GetUserId())
	out := &munimentv1.CreateSetupLinkResponse{Change: c}
	if err == nil && !c.GetReplayed() {
		out.SetupLink = &munimentv1.SetupLink{Url: "http://localhost:8080/setup/fresh", Expires: ago(-72 * 60 * 60 * 1e9)}
	}
	return out, err
}

// setState changes a user's state, or refuses.
func (b *backend) setState(ctx context.Context, what, id string, from, to munimentv1.UserState, why string) (*munimentv1.Change, error) {
	u, err := b.user(id)
	if err != nil {
		return nil, err
	}
	if from != 0 && u.GetState() != from {
		return nil, fault.New(fault.Refused, "the user is not in the state for this")
	}
	c, err := b.change(ctx, what, id, why)
	if err == nil {
		u.State = to
	}
	return c, err
}

const (
	active      = munimentv1.UserState_USER_STATE_ACTIVE
	locked      = munimentv1.UserState_USER_STATE_LOCKED
	deactivated = munimentv1.UserState_USER_STATE_DEACTIVATED
)

func (b *backend) LockUser(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
	c, err := b.setState(ctx, "LockUser", r.GetUserId(), active, locked, r.GetReason())
	return &munimentv1.LockUserResponse{Change: c}, err
}

func (b *backend) UnlockUser(ctx context.Context, r *munimentv1.UnlockUserRequest) (*munimentv1.UnlockUserResponse, error) {
	c, err := b.setState(ctx, "UnlockUser", r.GetUserId(), locked, active, r.GetReason())
	return &munimentv1.UnlockUserResponse{Change: c}, err
}

func (b *backend) DeactivateUser(ctx context.Context, r *munimentv1.DeactivateUserRequest) (*munimentv1.DeactivateUserResponse, error) {
	c, err := b.setState(ctx, "DeactivateUser", r.GetUserId(), 0, deactivated, r.GetReason())
	return &munimentv1.DeactivateUserResponse{Change: c}, err
}

func (b *backend) EraseUser(ctx context.Context, r *munimentv1.EraseUserRequest) (*munimentv1.EraseUserResponse, error) {
	c, err := b.change(ctx, "EraseUser", r.GetUserId(), r.GetReason())
	return &munimentv1.EraseUserResponse{Change: c}, err
}

func (b *backend) GetErasure(context.Context, *munimentv1.GetErasureRequest) (*munimentv1.GetErasureResponse, error) {
	return b.erasure, nil
}

func (b *backend) GetOrganization(_ context.Context, r *munimentv1.GetOrganizationRequest) (*munimentv1.GetOrganizationResponse, error) {
	o, err := find(b.orgs, func(o *munimentv1.Organization) bool { return o.GetId() == r.GetOrganizationId() })
	return &munimentv1.GetOrganizationResponse{Organization: o}, err
}

func (b *backend) ListOrganizations(_ context.Context, r *munimentv1.ListOrganizationsRequest) (*munimentv1.ListOrganizationsResponse, error) {
	f := r.GetFilter()
	return &munimentv1.ListOrganizationsResponse{Organizations: only(b.orgs, func(o *munimentv1.Organization) bool {
		return (f.GetState() == 0 || f.GetState() == o.GetState()) && strings.HasPrefix(o.GetName(), f.GetNamePrefix())
	})}, nil
}

func (b *backend) CreateOrganization(ctx context.Context, r *munimentv1.CreateOrganizationRequest) (*munimentv1.CreateOrganizationResponse, error) {
	if r.GetName() == "" {
		return nil, fault.Field("name", "a name has 1 to 200 bytes")
	}
	if r.GetName() == b.orgs[0].GetName() {
		return nil, fault.New(fault.Exists, "an organization of this name exists")
	}
	c, err := b.change(ctx, "CreateOrganization", r.GetName())
	return &munimentv1.CreateOrganizationResponse{Change: c, OrganizationId: acmeID}, err
}

func (b *backend) RenameOrganization(ctx context.Context, r *munimentv1.RenameOrganizationRequest) (*munimentv1.RenameOrganizationResponse, error) {
	c, err := b.change(ctx, "RenameOrganization", r.GetName())
	return &munimentv1.RenameOrganizationResponse{Change: c}, err
}

func (b *backend) DeactivateOrganization(ctx context.Context, r *munimentv1.DeactivateOrganizationRequest) (*munimentv1.DeactivateOrganizationResponse, error) {
	c, err := b.change(ctx, "DeactivateOrganization", r.GetOrganizationId())
	return &munimentv1.DeactivateOrganizationResponse{Change: c}, err
}

func (b *backend) GetProject(_ context.Context, r *munimentv1.GetProjectRequest) (*munimentv1.GetProjectResponse, error) {
	p, err := find(b.projects, func(p *munimentv1.Project) bool { return p.GetId() == r.GetProjectId() })
	return &munimentv1.GetProjectResponse{Project: p}, err
}

func (b *backend) ListProjects(context.Context, *munimentv1.ListProjectsRequest) (*munimentv1.ListProjectsResponse, error) {
	return &munimentv1.ListProjectsResponse{Projects: b.projects}, nil
}

func (b *backend) CreateProject(ctx context.Context, r *munimentv1.CreateProjectRequest) (*munimentv1.CreateProjectResponse, error) {
	c, err := b.change(ctx, "CreateProject", r.GetOrganizationId(), r.GetName())
	return &munimentv1.CreateProjectResponse{Change: c, ProjectId: booksID}, err
}

func (b *backend) RemoveProject(ctx context.Context, r *munimentv1.RemoveProjectRequest) (*munimentv1.RemoveProjectResponse, error) {
	c, err := b.change(ctx, "RemoveProject", r.GetProjectId())
	return &munimentv1.RemoveProjectResponse{Change: c}, err
}

func (b *backend) AddRole(ctx context.Context, r *munimentv1.AddRoleRequest) (*munimentv1.AddRoleResponse, error) {
	c, err := b.change(ctx, "AddRole", r.GetKey())
	return &munimentv1.AddRoleResponse{Change: c}, err
}

func (b *backend) RemoveRole(ctx context.Context, r *munimentv1.RemoveRoleRequest) (*munimentv1.RemoveRoleResponse, error) {
	c, err := b.change(ctx, "RemoveRole", r.GetKey())
	return &munimentv1.RemoveRoleResponse{Change: c}, err
}

func (b *backend) ListRoles(context.Context, *munimentv1.ListRolesRequest) (*munimentv1.ListRolesResponse, error) {
	return &munimentv1.ListRolesResponse{Roles: b.roles}, nil
}

func (b *backend) GetApplication(_ context.Context, r *munimentv1.GetApplicationRequest) (*munimentv1.GetApplicationResponse, error) {
	a, err := find(b.apps, func(a *munimentv1.Application) bool { return a.GetId() == r.GetApplicationId() })
	if a.GetId() != appID {
		return &munimentv1.GetApplicationResponse{Application: a}, err
	}
	secrets, keys := someCredentials()
	return &munimentv1.GetApplicationResponse{Application: a, Secrets: secrets, Keys: keys}, err
}

func (b *backend) ListApplications(context.Context, *munimentv1.ListApplicationsRequest) (*munimentv1.ListApplicationsResponse, error) {
	return &munimentv1.ListApplicationsResponse{Applications: b.apps}, nil
}

func (b *backend) CreateWebApplication(ctx context.Context, r *munimentv1.CreateWebApplicationRequest) (*munimentv1.CreateWebApplicationResponse, error) {
	for _, u := range r.GetRedirectUris() {
		if !strings.HasPrefix(u, "https://") {
			return nil, fault.Field("redirect_uris[0]", "an address to return to is https, or http on loopback")
		}
	}
	c, err := b.change(ctx, "CreateWebApplication", r.GetName(), strings.Join(r.GetRedirectUris(), ","), r.GetIdTokenAlg().String())
	out := &munimentv1.CreateWebApplicationResponse{Change: c, ApplicationId: appID, ClientId: "bookkeeping-4f60a1b2"}
	if err == nil && !c.GetReplayed() {
		out.ClientSecret = "Xo9s-7Vn2qLw0RkTz4Jc8HbYpE1mGaUdFi6vKxQ3tSw"
	}
	return out, err
}

func (b *backend) ChangeRedirectUris(ctx context.Context, r *munimentv1.ChangeRedirectUrisRequest) (*munimentv1.ChangeRedirectUrisResponse, error) {
	c, err := b.change(ctx, "ChangeRedirectUris", strings.Join(r.GetRedirectUris(), ","), strings.Join(r.GetPostLogoutRedirectUris(), ","))
	return &munimentv1.ChangeRedirectUrisResponse{Change: c}, err
}

func (b *backend) GrantRole(ctx context.Context, r *munimentv1.GrantRoleRequest) (*munimentv1.GrantRoleResponse, error) {
	c, err := b.change(ctx, "GrantRole", r.GetUserId(), r.GetProjectId(), strings.Join(r.GetRoleKeys(), ","))
	return &munimentv1.GrantRoleResponse{Change: c}, err
}

func (b *backend) WithdrawRole(ctx context.Context, r *munimentv1.WithdrawRoleRequest) (*munimentv1.WithdrawRoleResponse, error) {
	c, err := b.change(ctx, "WithdrawRole", r.GetUserId(), r.GetProjectId(), strings.Join(r.GetRoleKeys(), ","))
	return &munimentv1.WithdrawRoleResponse{Change: c}, err
}

func (b *backend) DeactivateGrant(ctx context.Context, r *munimentv1.DeactivateGrantRequest) (*munimentv1.DeactivateGrantResponse, error) {
	c, err := b.change(ctx, "DeactivateGrant", r.GetUserId(), r.GetProjectId())
	return &munimentv1.DeactivateGrantResponse{Change: c}, err
}

func (b *backend) ReactivateGrant(ctx context.Context, r *munimentv1.ReactivateGrantRequest) (*munimentv1.ReactivateGrantResponse, error) {
	c, err := b.change(ctx, "ReactivateGrant", r.GetUserId(), r.GetProjectId())
	return &munimentv1.ReactivateGrantResponse{Change: c}, err
}

func (b *backend) ListGrants(_ context.Context, r *munimentv1.ListGrantsRequest) (*munimentv1.ListGrantsResponse, error) {
	return &munimentv1.ListGrantsResponse{Grants: only(b.grants, func(g *munimentv1.Grant) bool {
		u, p := r.GetFilter().GetUserId(), r.GetFilter().GetProjectId()
		return (u == "" || u == g.GetUserId()) && (p == "" || p == g.GetProjectId())
	})}, nil
}

func (b *backend) AddMember(ctx context.Context, r *munimentv1.AddMemberRequest) (*munimentv1.AddMemberResponse, error) {
	c, err := b.change(ctx, "AddMember", r.GetUserId(), r.GetScope().GetOrganizationId(), r.GetRole().String())
	return &munimentv1.AddMemberResponse{Change: c}, err
}

func (b *backend) RemoveMember(ctx context.Context, r *munimentv1.RemoveMemberRequest) (*munimentv1.RemoveMemberResponse, error) {
	c, err := b.change(ctx, "RemoveMember", r.GetUserId(), r.GetScope().GetOrganizationId(), r.GetRole().String())
	return &munimentv1.RemoveMemberResponse{Change: c}, err
}

func (b *backend) ListMembers(_ context.Context, r *munimentv1.ListMembersRequest) (*munimentv1.ListMembersResponse, error) {
	return &munimentv1.ListMembersResponse{Members: only(b.members, func(m *munimentv1.Member) bool {
		f := r.GetFilter()
		return (f.GetUserId() == "" || f.GetUserId() == m.GetUserId()) &&
			(f.GetScope() == nil || f.GetScope().GetOrganizationId() == m.GetScope().GetOrganizationId())
	})}, nil
}

func (b *backend) ListSessions(_ context.Context, r *munimentv1.ListSessionsRequest) (*munimentv1.ListSessionsResponse, error) {
	return &munimentv1.ListSessionsResponse{Sessions: only(b.sessions, func(s *munimentv1.Session) bool { return s.GetUserId() == r.GetUserId() })}, nil
}

func (b *backend) EndSession(ctx context.Context, r *munimentv1.EndSessionRequest) (*munimentv1.EndSessionResponse, error) {
	c, err := b.change(ctx, "EndSession", r.GetSessionId())
	return &munimentv1.EndSessionResponse{Change: c}, err
}

func (b *backend) RestoreProject(ctx context.Context, r *munimentv1.RestoreProjectRequest) (*munimentv1.RestoreProjectResponse, error) {
	c, err := b.change(ctx, "RestoreProject", r.GetProjectId())
	return &munimentv1.RestoreProjectResponse{Change: c}, err
}
