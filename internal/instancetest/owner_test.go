package instancetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/session/signin"
)

// party is an instance of few people in few organizations, where everybody does
// to everybody what they may.
type party struct {
	*Instance
	rng          *rand.Rand
	people, orgs []string
	projects     []string
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// command is a random command that could take an owner away, or one of those
// that happen beside.
func (p *party) command() proto.Message {
	u, o := pick(p.rng, p.people...), pick(p.rng, p.orgs...)
	if p.rng.IntN(4) == 0 {
		return p.beside(u, o)
	}
	scope := In(pick(p.rng, "", "", o))
	role := func() munimentv1.MemberRole { return pick(p.rng, roles()...) }
	return pick[proto.Message](p.rng,
		&munimentv1.LockUserRequest{UserId: u}, &munimentv1.UnlockUserRequest{UserId: u},
		&munimentv1.DeactivateUserRequest{UserId: u}, &munimentv1.ReactivateUserRequest{UserId: u},
		&munimentv1.DeactivateOrganizationRequest{OrganizationId: o}, &munimentv1.ReactivateOrganizationRequest{OrganizationId: o},
		&munimentv1.RemoveOrganizationRequest{OrganizationId: o, Acknowledge: []string{"lock-people-out", "end-projects"}}, &munimentv1.RestoreOrganizationRequest{OrganizationId: o},
		&munimentv1.AddMemberRequest{UserId: u, Scope: scope, Role: role()},
		&munimentv1.RemoveMemberRequest{UserId: u, Scope: scope, Role: role()},
		&munimentv1.RemoveMemberRequest{UserId: u, Scope: In(""), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER},
		&munimentv1.ChangeMemberRoleRequest{UserId: u, Scope: scope, From: role(), To: role()},
		&munimentv1.ChangeMemberRoleRequest{UserId: u, Scope: In(""), From: munimentv1.MemberRole_MEMBER_ROLE_OWNER, To: role()},
		&munimentv1.ChangeLockoutPolicyRequest{Scope: scope, Policy: &munimentv1.LockoutPolicy{Attempts: 1 + p.rng.Int64N(3), WindowSeconds: 60, DurationSeconds: 86400}, Acknowledge: []string{"typing-errors", "strangers-lock-out"}},
		&munimentv1.ChangeSessionPolicyRequest{Scope: scope, Policy: &munimentv1.SessionPolicy{LifetimeSeconds: 300 + p.rng.Int64N(1000)}, Acknowledge: []string{"constant-sign-ins"}},
		&munimentv1.EndLockoutRequest{UserId: u},
	)
}

// beside is a random command about something else: some of them end what an
// owner needs to sign in, or could.
func (p *party) beside(u, o string) proto.Message {
	pr := pick(p.rng, p.projects...)
	scope := In(pick(p.rng, "", o))
	return pick[proto.Message](p.rng,
		&munimentv1.EraseUserRequest{UserId: u},
		&munimentv1.ChangePasswordPolicyRequest{Scope: scope, Policy: &munimentv1.PasswordPolicy{MinLength: 8 + p.rng.Int64N(40), MaxAgeDays: p.rng.Int64N(2) * 30}, Acknowledge: []string{"forced-changes"}},
		&munimentv1.ResetPolicyRequest{Scope: scope, Kind: munimentv1.PolicyKind_POLICY_KIND_PASSWORD},
		&munimentv1.DeactivateProjectRequest{ProjectId: pr}, &munimentv1.ReactivateProjectRequest{ProjectId: pr},
		&munimentv1.RemoveProjectRequest{ProjectId: pr}, &munimentv1.RestoreProjectRequest{ProjectId: pr},
		&munimentv1.GrantRoleRequest{UserId: u, ProjectId: pr, RoleKeys: []string{"editor"}},
		&munimentv1.WithdrawRoleRequest{UserId: u, ProjectId: pr, RoleKeys: []string{"editor"}},
		&munimentv1.DeactivateGrantRequest{UserId: u, ProjectId: pr}, &munimentv1.ReactivateGrantRequest{UserId: u, ProjectId: pr},
		&munimentv1.ChangeDefaultOrganizationRequest{OrganizationId: o},
		&munimentv1.RenameInstanceRequest{Name: p.Name("Instance")},
		&munimentv1.ChangeSigningKeyScheduleRequest{EverySeconds: 86400 * (10 + p.rng.Int64N(50)), AnnounceSeconds: 86400, RemainSeconds: 2 * 86400},
		&munimentv1.RotateSigningKeysRequest{Distrust: p.rng.IntN(2) == 0},
	)
}

func roles() []munimentv1.MemberRole {
	return []munimentv1.MemberRole{munimentv1.MemberRole_MEMBER_ROLE_OWNER, munimentv1.MemberRole_MEMBER_ROLE_OWNER,
		munimentv1.MemberRole_MEMBER_ROLE_ADMIN, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR, munimentv1.MemberRole_MEMBER_ROLE_VIEWER}
}

// able are the people who can sign in: their accounts and their organizations
// are in use.
func (p *party) able(ctx context.Context) map[string]bool {
	home := map[string]bool{}
	for _, o := range Must(p.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{PageSize: 500})).GetOrganizations() {
		home[o.GetId()] = o.GetState() == munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE
	}
	out := map[string]bool{}
	for _, u := range Must(p.API.User.ListUsers(ctx, &munimentv1.ListUsersRequest{PageSize: 500})).GetUsers() {
		out[u.GetId()] = u.GetState() == munimentv1.UserState_USER_STATE_ACTIVE && home[u.GetOrganizationId()] && u.GetPasswordSet()
	}
	return out
}

// Whatever sequence of commands is accepted from people who can sign in, the
// instance keeps an owner who can: by account, organization and membership, and
// in truth, with their password.
func TestAnOwnerRemains(t *testing.T) {
	for seed := range uint64(3) {
		i := New(t)
		p := &party{Instance: i, rng: rand.New(rand.NewPCG(seed, 1)), orgs: []string{i.Org, i.Organization(), i.Organization()}}
		p.people = []string{i.Owner}
		for _, o := range p.orgs {
			p.people = append(p.people, i.Member(o, munimentv1.MemberRole_MEMBER_ROLE_OWNER), i.Person(o))
		}
		p.people = append(p.people, i.Member("", munimentv1.MemberRole_MEMBER_ROLE_OWNER), i.Member("", munimentv1.MemberRole_MEMBER_ROLE_ADMIN))
		p.projects = []string{i.Project(i.Org), i.Project(p.orgs[1])}
		watcher := i.Owner // an owner at present, by whom to look
		accepted := 0
		for range 250 {
			able := p.able(i.As(watcher))
			var actors []string
			for _, u := range p.people {
				if able[u] {
					actors = append(actors, u)
				}
			}
			req := p.command()
			by := pick(p.rng, actors...)
			if _, err := i.call(i.As(by), req); err != nil {
				continue
			}
			accepted++
			next := ""
			able = p.able(i.As(p.looker(watcher, by)))
			for _, m := range Must(i.API.Member.ListMembers(i.As(p.looker(watcher, by)), &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{Scope: In(""), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER}, PageSize: 500})).GetMembers() {
				if able[m.GetUserId()] {
					next = m.GetUserId()
				}
			}
			if next == "" {
				t.Fatalf("seed %d: after %s by %s (%v) no owner can sign in", seed, req.ProtoReflect().Descriptor().Name(), by, req)
			}
			watcher = next
		}
		if accepted < 15 {
			t.Errorf("seed %d: only %d commands were accepted", seed, accepted)
		}
		if _, err := i.SignIn.SignIn(i.As(watcher), signin.Attempt{Email: Must(i.API.User.GetUser(i.As(watcher), &munimentv1.GetUserRequest{UserId: watcher})).GetUser().GetEmail().GetValue(), Password: Password}); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// looker is who may look at everything still: the one who did, or else who
// changed something last.
func (p *party) looker(watcher, by string) string {
	if _, err := p.API.Member.ListMembers(p.As(watcher), &munimentv1.ListMembersRequest{}); err != nil {
		return by
	}
	for _, m := range Must(p.API.Member.ListMembers(p.As(watcher), &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{UserId: watcher}})).GetMembers() {
		if m.GetScope().GetInstance() {
			return watcher
		}
	}
	return by
}
