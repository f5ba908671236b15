package projectapi_test

import (
	"slices"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// A project ends with its applications and grants; its past stays; and all of it
// comes back.
func TestProjectEnds(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	id := i.Project(i.Org)
	app := i.Application(id)
	was := instancetest.Must(i.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: i.Owner, ProjectId: id, RoleKeys: []string{"editor"}})).GetChange().GetPosition()
	instancetest.Must(i.API.Project.RemoveProject(ctx, &munimentv1.RemoveProjectRequest{ProjectId: id}))

	gone := func() {
		t.Helper()
		if s := instancetest.Must(i.API.Project.GetProject(ctx, &munimentv1.GetProjectRequest{ProjectId: id})).GetProject().GetState(); s != munimentv1.ProjectState_PROJECT_STATE_REMOVED {
			t.Errorf("the project is %v", s)
		}
		if s := instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: app})).GetApplication().GetState(); s != munimentv1.ApplicationState_APPLICATION_STATE_REMOVED {
			t.Errorf("its application is %v", s)
		}
	}
	listed := func(s munimentv1.ProjectState) bool {
		return slices.ContainsFunc(instancetest.Must(i.API.Project.ListProjects(ctx, &munimentv1.ListProjectsRequest{Filter: &munimentv1.ProjectFilter{State: s}})).GetProjects(),
			func(p *munimentv1.Project) bool { return p.GetId() == id })
	}
	const removed = munimentv1.ProjectState_PROJECT_STATE_REMOVED
	gone()
	if listed(0) || !listed(removed) {
		t.Error("it is not in the list of what was removed only")
	}
	if g := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{})).GetGrants(); len(g) > 0 {
		t.Errorf("grants are left: %v", g)
	}
	_, err := i.API.Application.CreateWebApplication(ctx, i.NewApplication(id))
	instancetest.Want(t, err, fault.NotFound, "")

	past := &munimentv1.Read{AtPosition: was}
	instancetest.Must(i.API.Project.GetProject(ctx, &munimentv1.GetProjectRequest{ProjectId: id, Read: past}))
	instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: app, Read: past}))
	if g := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Read: past})).GetGrants(); len(g) != 1 {
		t.Errorf("grants then: %v", g)
	}
	// A change to an application that ended with its project brings nothing back.
	i.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: app})
	gone()
	instancetest.Must(i.API.Project.RestoreProject(ctx, &munimentv1.RestoreProjectRequest{ProjectId: id}))
	if !listed(0) || listed(removed) {
		t.Error("restored, it is not in the list")
	}
	if a := instancetest.Must(i.API.Application.ListApplications(ctx, &munimentv1.ListApplicationsRequest{Filter: &munimentv1.ApplicationFilter{ProjectId: id}})).GetApplications(); len(a) != 1 || a[0].GetId() != app {
		t.Errorf("its applications: %v", a)
	}
	if g := instancetest.Must(i.API.Grant.ListGrants(ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{ProjectId: id}})).GetGrants(); len(g) != 1 || g[0].GetRoleKeys()[0] != "editor" {
		t.Errorf("its grants: %v", g)
	}
	held := instancetest.Must(i.API.History.ListRoleHolders(ctx, &munimentv1.ListRoleHoldersRequest{Filter: &munimentv1.HolderFilter{ProjectId: id, IncludeEnded: true}})).GetHoldings()
	if len(held) != 2 || held[0].GetUntilPosition() != 0 || held[1].GetEnded().GetType() != "project.removed" || held[0].GetGranted().GetType() != "project.restored" {
		t.Errorf("who held its role: %v", held)
	}
}

// Roles are listed by key, in pages; each is there once.
func TestRoles(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	id := i.Project(i.Org) // with "editor"
	for _, key := range []string{"Zebra", "a:b", "admin.all"} {
		instancetest.Must(i.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: id, Key: key}))
	}
	var keys []string
	for token := ""; ; {
		page := instancetest.Must(i.API.Project.ListRoles(ctx, &munimentv1.ListRolesRequest{ProjectId: id, PageSize: 3, PageToken: token}))
		for _, r := range page.GetRoles() {
			keys = append(keys, r.GetKey()+"="+r.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if want := []string{"Zebra=Zebra", "a:b=a:b", "admin.all=admin.all", "editor=Editor"}; len(keys) != 4 || keys[0] != want[0] || keys[1] != want[1] || keys[2] != want[2] || keys[3] != want[3] {
		t.Errorf("%v, want %v", keys, want)
	}
	_, err := i.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: id, Key: "editor"})
	instancetest.Want(t, err, fault.Exists, "")
	_, err = i.API.Project.AddRole(ctx, &munimentv1.AddRoleRequest{ProjectId: id, Key: "no spaces"})
	instancetest.Want(t, err, fault.Invalid, "key")
	if p := instancetest.Must(i.API.Project.GetProject(ctx, &munimentv1.GetProjectRequest{ProjectId: id})).GetProject(); p.GetVersion() != 5 || p.GetOrganizationId() != i.Org {
		t.Errorf("%v", p)
	}
}

// Names select projects; an organization that is out of use gets none.
func TestProjects(t *testing.T) {
	i := instancetest.New(t)
	ctx, other := i.AsOwner(), i.Organization()
	instancetest.Must(i.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: other, Name: "Desk"}))
	instancetest.Must(i.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: i.Org, Name: "Desktop"}))
	for _, c := range []struct {
		f    *munimentv1.ProjectFilter
		want int
	}{{&munimentv1.ProjectFilter{NamePrefix: "desk"}, 2}, {&munimentv1.ProjectFilter{NamePrefix: "deskt"}, 1},
		{&munimentv1.ProjectFilter{OrganizationId: other}, 1}, {&munimentv1.ProjectFilter{OrganizationId: other, NamePrefix: "desktop"}, 0}} {
		if p := instancetest.Must(i.API.Project.ListProjects(ctx, &munimentv1.ListProjectsRequest{Filter: c.f})).GetProjects(); len(p) != c.want {
			t.Errorf("%v: %v", c.f, p)
		}
	}
	instancetest.Must(i.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: other}))
	_, err := i.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: other, Name: "Late"})
	instancetest.Want(t, err, fault.Refused, "")
}
