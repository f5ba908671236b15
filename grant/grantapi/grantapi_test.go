package grantapi_test

import (
	"slices"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

type (
	give = munimentv1.GrantRoleRequest
	take = munimentv1.WithdrawRoleRequest
)

// A grant is all the roles that a user has in a project: more are added to it,
// some withdrawn, some end with the role; without any it is none.
func TestGrants(t *testing.T) {
	i := instancetest.New(t)
	ctx, ada, project := i.AsOwner(), i.Person(i.Org), i.Project(i.Org)
	for _, key := range []string{"reader", "author"} {
		instancetest.Must(i.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: project, Key: key}))
	}
	roles := func(f *munimentv1.GrantFilter) []string {
		g := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: f})).GetGrants()
		if len(g) == 0 {
			return nil
		}
		if len(g) > 1 || g[0].GetUserId() != ada || g[0].GetProjectId() != project || g[0].GetOrganizationId() != i.Org {
			t.Errorf("%v", g)
		}
		return g[0].GetRoleKeys()
	}
	want := func(step string, keys ...string) {
		t.Helper()
		if got := roles(&munimentv1.GrantFilter{UserId: ada}); !slices.Equal(got, keys) {
			t.Errorf("%s: %v, want %v", step, got, keys)
		}
	}
	first := instancetest.Must(i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project, RoleKeys: []string{"reader"}})).GetChange()
	instancetest.Must(i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project, RoleKeys: []string{"author", "reader", "editor"}}))
	want("granted", "author", "editor", "reader")
	g := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{})).GetGrants()[0]
	if !g.GetCreated().AsTime().Equal(first.GetTime().AsTime()) || g.GetPosition() <= first.GetPosition() {
		t.Errorf("%v, first granted at %v", g, first)
	}
	if roles(&munimentv1.GrantFilter{RoleKey: "author"}) == nil || roles(&munimentv1.GrantFilter{RoleKey: "king"}) != nil || roles(&munimentv1.GrantFilter{ProjectId: i.Project(i.Org)}) != nil {
		t.Error("filters do not select")
	}
	_, err := i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project, RoleKeys: []string{"reader"}})
	instancetest.Want(t, err, fault.Refused, "")
	_, err = i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project})
	instancetest.Want(t, err, fault.Invalid, "role_keys")
	instancetest.Must(i.API.Grant.WithdrawRole(ctx, &take{UserId: ada, ProjectId: project, RoleKeys: []string{"author"}}))
	want("withdrawn", "editor", "reader")
	instancetest.Must(i.API.Project.RemoveRole(ctx, &munimentv1.RemoveRoleRequest{ProjectId: project, Key: "editor"}))
	want("the role ended", "reader")
	instancetest.Must(i.API.Grant.WithdrawRole(ctx, &take{UserId: ada, ProjectId: project, RoleKeys: []string{"reader"}}))
	want("all withdrawn")
	_, err = i.API.Grant.WithdrawRole(ctx, &take{UserId: ada, ProjectId: project, RoleKeys: []string{"reader"}})
	instancetest.Want(t, err, fault.Refused, "")
}

// Grants without roles leave no gaps in pages.
func TestPagesAreFull(t *testing.T) {
	i := instancetest.New(t)
	ctx, project := i.AsOwner(), i.Project(i.Org)
	for n := range 9 {
		u := i.Person(i.Org)
		instancetest.Must(i.API.Grant.GrantRole(ctx, &give{UserId: u, ProjectId: project, RoleKeys: []string{"editor"}}))
		if n%3 > 0 {
			instancetest.Must(i.API.Grant.WithdrawRole(ctx, &take{UserId: u, ProjectId: project, RoleKeys: []string{"editor"}}))
		}
	}
	var sizes []int
	for token := ""; ; {
		page := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{PageSize: 2, PageToken: token}))
		sizes = append(sizes, len(page.GetGrants()))
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if sizes[0] != 2 || sizes[1] != 1 || len(sizes) != 2 {
		t.Errorf("pages of %v", sizes)
	}
}

// What is deactivated stays in the list, with its state, and is found by it.
func TestDeactivated(t *testing.T) {
	i := instancetest.New(t)
	ctx, ada, project := i.AsOwner(), i.Person(i.Org), i.Project(i.Org)
	list := func(s munimentv1.GrantState) []*munimentv1.Grant {
		return instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: ada, State: s}})).GetGrants()
	}
	const active, off = munimentv1.GrantState_GRANT_STATE_ACTIVE, munimentv1.GrantState_GRANT_STATE_DEACTIVATED
	instancetest.Must(i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}}))
	if g := list(active); len(g) != 1 || g[0].GetState() != active || len(list(off)) != 0 {
		t.Errorf("granted: %v", g)
	}
	instancetest.Must(i.API.Grant.DeactivateGrant(ctx, &munimentv1.DeactivateGrantRequest{UserId: ada, ProjectId: project}))
	if g := list(0); len(g) != 1 || g[0].GetState() != off || !slices.Equal(g[0].GetRoleKeys(), []string{"editor"}) || len(list(active)) != 0 {
		t.Errorf("deactivated: %v", g)
	}
	_, err := i.API.Grant.GrantRole(ctx, &give{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}})
	instancetest.Want(t, err, fault.Refused, "")
	instancetest.Must(i.API.Grant.ReactivateGrant(ctx, &munimentv1.ReactivateGrantRequest{UserId: ada, ProjectId: project}))
	if g := list(active); len(g) != 1 || len(list(off)) != 0 {
		t.Errorf("reactivated: %v", g)
	}
	held := instancetest.Must(i.API.History.ListRoleHolders(ctx, &munimentv1.ListRoleHoldersRequest{Filter: &munimentv1.HolderFilter{UserId: ada, IncludeEnded: true}})).GetHoldings()
	if len(held) != 3 || held[0].GetDeactivated() || !held[1].GetDeactivated() || held[1].GetGranted().GetType() != "grant.deactivated" || held[1].GetUntilPosition() != held[0].GetSincePosition() || held[2].GetDeactivated() {
		t.Errorf("held: %v", held)
	}
	_, err = i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{State: 9}})
	instancetest.Want(t, err, fault.Invalid, "filter.state")
}
