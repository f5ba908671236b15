package userapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// After an erasure everything personal reads erased, now and at any position
// before; the address is free; what the person was and had is over (A02, S08).
func TestErasure(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	ada, project := i.Person(i.Org), i.Project(i.Org)
	email := i.Email(ada)
	must(i.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}}))
	must(i.API.Member.AddMember(ctx, &munimentv1.AddMemberRequest{UserId: ada, Scope: instancetest.In(i.Org), Role: munimentv1.MemberRole_MEMBER_ROLE_ADMIN}))
	session := i.SignedIn(ada)
	before := must(i.API.User.GetUser(ctx, &get{UserId: ada})).GetUser().GetPosition()
	if e := must(i.API.User.GetErasure(ctx, &munimentv1.GetErasureRequest{UserId: ada})); e.GetState() != munimentv1.ErasureState_ERASURE_STATE_NEVER || len(e.GetSteps()) > 0 {
		t.Errorf("before: %v", e)
	}

	at := must(i.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: ada})).GetChange().GetPosition()
	check := func() {
		t.Helper()
		users := map[string]*munimentv1.User{
			"get":            must(i.API.User.GetUser(ctx, &get{UserId: ada})).GetUser(),
			"get, as it was": must(i.API.User.GetUser(ctx, &get{UserId: ada, Read: &munimentv1.Read{AtPosition: before}})).GetUser(),
		}
		erased := must(i.API.User.ListUsers(ctx, &list{Filter: &filter{State: munimentv1.UserState_USER_STATE_ERASED}})).GetUsers()
		was := must(i.API.User.ListUsers(ctx, &list{Filter: &filter{OrganizationId: i.Org}, Read: &munimentv1.Read{AtPosition: before}})).GetUsers()
		if len(erased) != 1 || len(was) != 2 {
			t.Fatalf("%d erased, %d before", len(erased), len(was))
		}
		users["list"], users["list, as it was"] = erased[0], was[1]
		for where, u := range users {
			for _, text := range []*munimentv1.Text{u.GetEmail(), u.GetGivenName(), u.GetFamilyName(), u.GetDisplayName()} {
				if !text.GetErased() || text.GetValue() != "" {
					t.Errorf("%s: %v", where, u)
				}
			}
		}
		for _, f := range []*filter{{Email: email}, {Prefix: "person"}} {
			for _, r := range []*munimentv1.Read{nil, {AtPosition: before}} {
				if found := must(i.API.User.ListUsers(ctx, &list{Filter: f, Read: r})).GetUsers(); len(found) > 0 {
					t.Errorf("found by %v at %d: %v", f, r.GetAtPosition(), found)
				}
			}
		}
		for _, s := range must(i.API.Session.ListSessions(ctx, &munimentv1.ListSessionsRequest{UserId: ada, IncludeEnded: true})).GetSessions() {
			if s.GetState() != munimentv1.SessionState_SESSION_STATE_ENDED || s.GetIp().GetValue() != "" {
				t.Errorf("%v", s)
			}
		}
	}
	check()
	i.Erased(ada)
	check()

	e := must(i.API.User.GetErasure(ctx, &munimentv1.GetErasureRequest{UserId: ada}))
	if e.GetState() != munimentv1.ErasureState_ERASURE_STATE_COMPLETE || e.GetPosition()+1 != at || len(e.GetSteps()) == 0 {
		t.Errorf("%v, erased at %d", e, at)
	}
	for _, s := range e.GetSteps() {
		if !s.GetDone() {
			t.Errorf("complete without %q", s.GetName())
		}
	}
	if _, err := i.SignIn.Session(t.Context(), session.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a session of the person: %v", err)
	}
	if m := must(i.API.Member.ListMembers(ctx, &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{UserId: ada}})).GetMembers(); len(m) > 0 {
		t.Errorf("still a member: %v", m)
	}
	if g := must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: ada}})).GetGrants(); len(g) > 0 {
		t.Errorf("still has roles: %v", g)
	}
	_, err := i.API.User.ChangeEmail(ctx, &munimentv1.ChangeEmailRequest{UserId: ada, Email: "x@example.org"})
	instancetest.Want(t, err, fault.Erased, "")
	again := must(i.API.User.CreateUser(ctx, &create{OrganizationId: i.Org, Email: email, GivenName: "Somebody"})).GetUserId()
	if found := must(i.API.User.ListUsers(ctx, &list{Filter: &filter{Email: email}})).GetUsers(); len(found) != 1 || found[0].GetId() != again {
		t.Errorf("the address is %v's", found)
	}
}
