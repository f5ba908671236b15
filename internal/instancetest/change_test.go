package instancetest

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// change is a method that changes state, with a request that the owner may make
// of things that were made for it.
type change struct {
	request func(i *Instance, org string) proto.Message
	// Of those who are members of the organization: who may, too.
	admin, owner bool
	// Of things that there are not, the answer is another than NotFound.
	silent bool
}

// changes are all methods that change state but those by which people change
// what is their own.
var changes = append(adapterChanges, []change{
	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.CreateOrganizationRequest{Name: i.Name("Org")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RenameOrganizationRequest{OrganizationId: org, Name: i.Name("Renamed")}
	}},
	{request: func(_ *Instance, org string) proto.Message {
		return &munimentv1.DeactivateOrganizationRequest{OrganizationId: org}
	}},
	{request: func(i *Instance, org string) proto.Message {
		other := i.Organization()
		Must(i.API.Organization.DeactivateOrganization(i.AsOwner(), &munimentv1.DeactivateOrganizationRequest{OrganizationId: other}))
		return &munimentv1.ReactivateOrganizationRequest{OrganizationId: other}
	}},

	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.RemoveOrganizationRequest{OrganizationId: i.Organization()}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		other := i.Organization()
		Must(i.API.Organization.RemoveOrganization(i.AsOwner(), &munimentv1.RemoveOrganizationRequest{OrganizationId: other}))
		return &munimentv1.RestoreOrganizationRequest{OrganizationId: other}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.AddDomainRequest{OrganizationId: org, Domain: i.Name("d") + ".example"}
	}},
	{request: func(i *Instance, org string) proto.Message {
		return &munimentv1.VerifyDomainRequest{OrganizationId: org, Domain: i.domain(org), Vouch: true}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveDomainRequest{OrganizationId: org, Domain: i.domain(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		d := i.domain(org)
		Must(i.API.Organization.VerifyDomain(i.AsOwner(), &munimentv1.VerifyDomainRequest{OrganizationId: org, Domain: d, Vouch: true}))
		return &munimentv1.SetPrimaryDomainRequest{OrganizationId: org, Domain: d}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.RenameInstanceRequest{Name: i.Name("Instance")}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.ChangeDefaultOrganizationRequest{OrganizationId: i.Organization()}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.ChangeLinksRequest{TermsUrl: "https://example.org/" + i.Name("terms")}
	}},

	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message { return i.NewPerson(org) }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		r := i.NewPerson(org)
		r.Password = nil
		return r
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeProfileRequest{UserId: i.Person(org), GivenName: proto.String("Grace")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeEmailRequest{UserId: i.Person(org), Email: i.Name("new") + "@example.org"}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.SetPasswordRequest{UserId: i.Person(org), Password: "another long one"}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateSetupLinkRequest{UserId: i.Person(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message { return &munimentv1.LockUserRequest{UserId: i.Person(org)} }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Person(org)
		Must(i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: id}))
		return &munimentv1.UnlockUserRequest{UserId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.EndLockoutRequest{UserId: i.LockedOut(org)}
	}},
	{admin: true, owner: true, request: func(_ *Instance, org string) proto.Message {
		return &munimentv1.ChangePasswordPolicyRequest{Scope: In(org), Policy: &munimentv1.PasswordPolicy{MinLength: 9}}
	}},
	{admin: true, owner: true, request: func(_ *Instance, org string) proto.Message {
		return &munimentv1.ChangeLockoutPolicyRequest{Scope: In(org), Policy: &munimentv1.LockoutPolicy{Attempts: 5, WindowSeconds: 3600, DurationSeconds: 3600}}
	}},
	{admin: true, owner: true, request: func(_ *Instance, org string) proto.Message {
		return &munimentv1.ChangeSessionPolicyRequest{Scope: In(org), Policy: &munimentv1.SessionPolicy{LifetimeSeconds: 3600}}
	}},
	{admin: true, owner: true, request: func(_ *Instance, org string) proto.Message {
		return &munimentv1.ChangeTokenPolicyRequest{Scope: In(org), Policy: &munimentv1.TokenPolicy{AccessSeconds: 200, IdSeconds: 200, RefreshIdleSeconds: 3600, RefreshLifetimeSeconds: 7200}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		Must(i.API.Policy.ChangeSessionPolicy(i.AsOwner(), &munimentv1.ChangeSessionPolicyRequest{Scope: In(org), Policy: &munimentv1.SessionPolicy{LifetimeSeconds: 7200 + i.n.Add(1)}}))
		return &munimentv1.ResetPolicyRequest{Scope: In(org), Kind: munimentv1.PolicyKind_POLICY_KIND_SESSION}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.DeactivateUserRequest{UserId: i.Person(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Person(org)
		Must(i.API.User.DeactivateUser(i.AsOwner(), &munimentv1.DeactivateUserRequest{UserId: id}))
		return &munimentv1.ReactivateUserRequest{UserId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.EraseUserRequest{UserId: i.Person(org)}
	}},

	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateMachineUserRequest{OrganizationId: org, Name: i.Name("robot")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeMachineUserRequest{UserId: i.Machine(org), Description: proto.String("every night")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateUserSecretRequest{UserId: i.Machine(org), Name: "production"}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Machine(org)
		secret := Must(i.API.User.CreateUserSecret(i.AsOwner(), &munimentv1.CreateUserSecretRequest{UserId: id})).GetSecretId()
		return &munimentv1.RemoveUserSecretRequest{UserId: id, SecretId: secret}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.AddUserKeyRequest{UserId: i.Machine(org), PublicKey: PublicKey}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Machine(org)
		key := Must(i.API.User.AddUserKey(i.AsOwner(), &munimentv1.AddUserKeyRequest{UserId: id, PublicKey: PublicKey})).GetKeyId()
		return &munimentv1.RemoveUserKeyRequest{UserId: id, KeyId: key}
	}},

	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateProjectRequest{OrganizationId: org, Name: i.Name("Project")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RenameProjectRequest{ProjectId: i.Project(org), Name: i.Name("Renamed")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.DeactivateProjectRequest{ProjectId: i.Project(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Project(org)
		Must(i.API.Project.DeactivateProject(i.AsOwner(), &munimentv1.DeactivateProjectRequest{ProjectId: id}))
		return &munimentv1.ReactivateProjectRequest{ProjectId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RenameRoleRequest{ProjectId: i.Project(org), Key: "editor", Name: i.Name("Editor")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveProjectRequest{ProjectId: i.Project(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Project(org)
		Must(i.API.Project.RemoveProject(i.AsOwner(), &munimentv1.RemoveProjectRequest{ProjectId: id}))
		return &munimentv1.RestoreProjectRequest{ProjectId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.AddRoleRequest{ProjectId: i.Project(org), Key: "reader"}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveRoleRequest{ProjectId: i.Project(org), Key: "editor"}
	}},

	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message { return i.NewApplication(i.Project(org)) }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeRedirectUrisRequest{ApplicationId: i.Application(i.Project(org)), RedirectUris: []string{"https://app.example.org/other"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateSinglePageApplicationRequest{ProjectId: i.Project(org), Name: i.Name("App"), RedirectUris: []string{"https://spa.example.org/"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateNativeApplicationRequest{ProjectId: i.Project(org), Name: i.Name("App"), RedirectUris: []string{"org.example.app:/callback"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateApiApplicationRequest{ProjectId: i.Project(org), Name: i.Name("App")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RenameApplicationRequest{ApplicationId: i.Application(i.Project(org)), Name: i.Name("Renamed")}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeAllowedOriginsRequest{ApplicationId: i.SinglePage(i.Project(org)), AllowedOrigins: []string{"https://other.example.org"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeApplicationSettingsRequest{ApplicationId: i.Application(i.Project(org)), AskConsent: proto.Bool(true)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateApplicationSecretRequest{ApplicationId: i.Application(i.Project(org)), Name: "next"}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Application(i.Project(org))
		secret := Must(i.API.Application.CreateApplicationSecret(i.AsOwner(), &munimentv1.CreateApplicationSecretRequest{ApplicationId: id})).GetSecretId()
		return &munimentv1.RemoveApplicationSecretRequest{ApplicationId: id, SecretId: secret}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.AddApplicationKeyRequest{ApplicationId: i.Application(i.Project(org)), PublicKey: PublicKey}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Application(i.Project(org))
		key := Must(i.API.Application.AddApplicationKey(i.AsOwner(), &munimentv1.AddApplicationKeyRequest{ApplicationId: id, PublicKey: PublicKey})).GetKeyId()
		return &munimentv1.RemoveApplicationKeyRequest{ApplicationId: id, KeyId: key}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.DeactivateApplicationRequest{ApplicationId: i.Application(i.Project(org))}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Application(i.Project(org))
		Must(i.API.Application.DeactivateApplication(i.AsOwner(), &munimentv1.DeactivateApplicationRequest{ApplicationId: id}))
		return &munimentv1.ReactivateApplicationRequest{ApplicationId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveApplicationRequest{ApplicationId: i.Application(i.Project(org))}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Application(i.Project(org))
		Must(i.API.Application.RemoveApplication(i.AsOwner(), &munimentv1.RemoveApplicationRequest{ApplicationId: id}))
		return &munimentv1.RestoreApplicationRequest{ApplicationId: id}
	}},

	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.GrantRoleRequest{UserId: i.Person(org), ProjectId: i.Project(org), RoleKeys: []string{"editor"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		user, project := i.granted(org)
		return &munimentv1.WithdrawRoleRequest{UserId: user, ProjectId: project, RoleKeys: []string{"editor"}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		user, project := i.granted(org)
		return &munimentv1.DeactivateGrantRequest{UserId: user, ProjectId: project}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		user, project := i.granted(org)
		Must(i.API.Grant.DeactivateGrant(i.AsOwner(), &munimentv1.DeactivateGrantRequest{UserId: user, ProjectId: project}))
		return &munimentv1.ReactivateGrantRequest{UserId: user, ProjectId: project}
	}},
	{owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.AddMemberRequest{UserId: i.Person(org), Scope: In(org), Role: munimentv1.MemberRole_MEMBER_ROLE_VIEWER}
	}},
	{owner: true, silent: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveMemberRequest{UserId: i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER), Scope: In(org), Role: munimentv1.MemberRole_MEMBER_ROLE_VIEWER}
	}},
	{owner: true, request: func(i *Instance, org string) proto.Message {
		return i.permission(i.Machine(org), org)
	}},
	{owner: true, silent: true, request: func(i *Instance, org string) proto.Message {
		p := i.permission(i.Machine(org), org)
		Must(i.API.Permission.GrantPermission(i.AsOwner(), p))
		return &munimentv1.WithdrawPermissionRequest{UserId: p.GetUserId(), Right: p.GetRight(), EventTypes: p.GetEventTypes(), Scope: p.GetScope()}
	}},
	{request: func(i *Instance, _ string) proto.Message { return i.NewHosted() }},
	{request: func(i *Instance, _ string) proto.Message {
		id, _ := i.Hosted()
		return &munimentv1.AddHostNameRequest{InstanceId: id, Host: i.Name("host") + ".example.com"}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		id, _ := i.Hosted()
		host := i.Name("host") + ".example.com"
		Must(i.API.Hosted.AddHostName(i.AsOwner(), &munimentv1.AddHostNameRequest{InstanceId: id, Host: host}))
		return &munimentv1.RemoveHostNameRequest{InstanceId: id, Host: host}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		id, _ := i.Hosted()
		return &munimentv1.CreateOwnerLinkRequest{InstanceId: id}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		id, _ := i.Hosted()
		return &munimentv1.SuspendHostedInstanceRequest{InstanceId: id}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		id, _ := i.Suspended()
		return &munimentv1.ResumeHostedInstanceRequest{InstanceId: id}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		id, name := i.Suspended()
		return &munimentv1.DeleteHostedInstanceRequest{InstanceId: id, Name: name}
	}},

	{owner: true, silent: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeMemberRoleRequest{UserId: i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER), Scope: In(org),
			From: munimentv1.MemberRole_MEMBER_ROLE_VIEWER, To: munimentv1.MemberRole_MEMBER_ROLE_AUDITOR}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.EndSessionRequest{SessionId: i.SignedIn(i.Person(org)).Begun.Session.String()}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		user, app := i.Person(org), i.Application(i.Project(org))
		i.Uses(user, app)
		return &munimentv1.EndUserApplicationRequest{UserId: user, ApplicationId: app}
	}},
	{request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{{File: "house.json", Text: strings.Replace(house[0], "House", i.Name("House"), 1)}, {File: "house-built.json", Text: house[1]}}}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.EraseEntityRequest{Type: "house", EntityId: i.Entity(org)}
	}},
	{silent: true, request: func(*Instance, string) proto.Message { return &munimentv1.RotateSigningKeysRequest{} }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message { return i.NewSubscription(org) }},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.ChangeSubscriptionRequest{SubscriptionId: i.Subscription(org), MaxAttempts: proto.Int32(7)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.PauseSubscriptionRequest{SubscriptionId: i.Subscription(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Subscription(org)
		Must(i.API.Subscription.PauseSubscription(i.AsOwner(), &munimentv1.PauseSubscriptionRequest{SubscriptionId: id}))
		return &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RewindSubscriptionRequest{SubscriptionId: i.Subscription(org), AfterPosition: 1}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.RemoveSubscriptionRequest{SubscriptionId: i.Subscription(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		return &munimentv1.CreateSigningSecretRequest{SubscriptionId: i.Subscription(org)}
	}},
	{admin: true, owner: true, request: func(i *Instance, org string) proto.Message {
		id := i.Subscription(org)
		more := Must(i.API.Subscription.CreateSigningSecret(i.AsOwner(), &munimentv1.CreateSigningSecretRequest{SubscriptionId: id}))
		return &munimentv1.RemoveSigningSecretRequest{SubscriptionId: id, SecretId: more.GetSecretId()}
	}},
	{admin: true, owner: true, silent: true, request: func(i *Instance, org string) proto.Message {
		id, letter := i.deadLetter(org)
		return &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, Positions: []uint64{letter}}
	}},
	{admin: true, owner: true, silent: true, request: func(i *Instance, org string) proto.Message {
		id, letter := i.deadLetter(org)
		return &munimentv1.DiscardDeadLettersRequest{SubscriptionId: id, Positions: []uint64{letter}}
	}},
	{silent: true, request: func(i *Instance, _ string) proto.Message {
		return &munimentv1.ChangeSigningKeyScheduleRequest{EverySeconds: 86400*30 + i.n.Add(1), AnnounceSeconds: 86400, RemainSeconds: 2 * 86400}
	}},
}...)

// ownChanges are the methods by which people change what is their own, those of
// customers' entities, for which definitions must be there, and those for which an
// external system must be there; other tests are about them.
var ownChanges = map[string]bool{"ChangePassword": true, "EndMyApplication": true, "SettleConflict": true, "ResolveDuplicate": true, "InstallFieldPack": true,
	"RedriveAdapterFailures": true, "DiscardAdapterFailures": true}

// granted is a person who is an editor of a project.
func (i *Instance) granted(org string) (user, project string) {
	user, project = i.Person(org), i.Project(org)
	Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: user, ProjectId: project, RoleKeys: []string{"editor"}}))
	return user, project
}

// permission is the permission to publish orders of an organization.
func (i *Instance) permission(user, org string) *munimentv1.GrantPermissionRequest {
	return &munimentv1.GrantPermissionRequest{UserId: user, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "order-*", Scope: In(org)}
}

// deadLetter is a subscription with a dead letter, and its position.
func (i *Instance) deadLetter(org string) (id string, position uint64) {
	ctx := i.AsOwner()
	id = Must(i.API.Subscription.CreateSubscription(ctx, &munimentv1.CreateSubscriptionRequest{Name: i.Name("pull"), Scope: In(org), Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL})).GetSubscriptionId()
	position = Must(i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: i.Person(org)})).GetChange().GetPosition()
	for _, d := range Must(i.API.Subscription.FetchEvents(ctx, &munimentv1.FetchEventsRequest{SubscriptionId: id})).GetDeliveries() {
		position = d.GetEvent().GetPosition()
	}
	Must(i.API.Subscription.RejectEvents(ctx, &munimentv1.RejectEventsRequest{SubscriptionId: id, Positions: []uint64{position}, DeadLetter: true}))
	return id, position
}

// domain claims a domain for an organization.
func (i *Instance) domain(org string) string {
	name := i.Name("d") + ".example"
	Must(i.API.Organization.AddDomain(i.AsOwner(), &munimentv1.AddDomainRequest{OrganizationId: org, Domain: name}))
	return name
}

func (c change) name(i *Instance) string {
	return strings.TrimSuffix(string(c.request(i, i.Org).ProtoReflect().Descriptor().Name()), "Request")
}

// method finds the client's method for a request.
func (i *Instance) method(name string) reflect.Value {
	clients := reflect.ValueOf(i.API).Elem()
	for n := range clients.NumField() {
		if m := clients.Field(n).MethodByName(name); m.IsValid() {
			return m
		}
	}
	return reflect.Value{}
}

// stream is an answer in parts.
type stream interface {
	Receive() bool
	Err() error
	Close() error
}

// call makes a request.
func (i *Instance) call(ctx context.Context, req proto.Message) (proto.Message, error) {
	name := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
	out := i.method(name).Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(proto.Clone(req))})
	err, _ := out[1].Interface().(error)
	if err != nil {
		return nil, err
	}
	if s, ok := out[0].Interface().(stream); ok { // what was wrong comes instead of its first message
		defer s.Close()
		if !s.Receive() {
			return nil, s.Err()
		}
		return out[0].MethodByName("Msg").Call(nil)[0].Interface().(proto.Message), nil
	}
	return out[0].Interface().(proto.Message), nil
}

// eachMethod yields the name and the request of each method of the API.
func (i *Instance) eachMethod(f func(name string, req proto.Message)) {
	clients := reflect.ValueOf(i.API).Elem()
	for n := range clients.NumField() {
		c := clients.Field(n).Type()
		for m := range c.NumMethod() {
			if req, ok := reflect.New(c.Method(m).Type.In(1).Elem()).Interface().(proto.Message); ok {
				f(c.Method(m).Name, req)
			}
		}
	}
}

// Every method that changes state is in the table: a new one is tested from its
// first day.
func TestEveryChangeIsTested(t *testing.T) {
	i := New(t)
	tested := map[string]bool{}
	for _, c := range changes {
		tested[c.name(i)] = true
	}
	all := 0
	i.eachMethod(func(name string, req proto.Message) {
		if req.ProtoReflect().Descriptor().Fields().ByName("command_id") == nil {
			return
		}
		if all++; !tested[name] && !ownChanges[name] {
			t.Errorf("%s is not among the changes that are tested", name)
		}
	})
	if all < 25 {
		t.Errorf("only %d methods change state", all)
	}
}

// field sets a text field of a message and answers the message's copy.
func with(m proto.Message, name, value string) proto.Message {
	c := proto.Clone(m)
	c.ProtoReflect().Set(c.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOfString(value))
	return c
}

// ids lists the fields of a message that name things.
func ids(m proto.Message) (names []string) {
	fields := m.ProtoReflect().Descriptor().Fields()
	for n := range fields.Len() {
		if name := string(fields.Get(n).Name()); strings.HasSuffix(name, "_id") && name != "command_id" && name != "log_id" { // the latter goes with a position, or is left out
			names = append(names, name)
		}
	}
	return names
}
