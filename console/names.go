package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// names remembers, for one request, what ids are called.
type names struct {
	orgs     map[string]string
	projects map[string]*munimentv1.Project
	users    map[string]*munimentv1.User
}

// orgName returns the name of an organization, "" if the person may not see it.
func (v *visit) orgName(id string) string {
	if id == "" {
		return ""
	}
	if n, ok := v.orgs[id]; ok {
		return n
	}
	if v.orgs == nil {
		v.orgs = map[string]string{}
	}
	got, err := v.c.API.Organization.GetOrganization(v.ctx, &munimentv1.GetOrganizationRequest{OrganizationId: id, Read: v.read})
	if err == nil {
		v.orgs[id] = got.GetOrganization().GetName()
	}
	return v.orgs[id]
}

// projectOf returns a project, nil if the person may not see it.
func (v *visit) projectOf(id string) *munimentv1.Project {
	if p, ok := v.projectsByID()[id]; ok {
		return p
	}
	got, err := v.c.API.Project.GetProject(v.ctx, &munimentv1.GetProjectRequest{ProjectId: id, Read: v.read})
	if err != nil {
		v.names.projects[id] = nil
		return nil
	}
	v.names.projects[id] = got.GetProject()
	return got.GetProject()
}

func (v *visit) projectsByID() map[string]*munimentv1.Project {
	if v.names.projects == nil {
		v.names.projects = map[string]*munimentv1.Project{}
	}
	return v.names.projects
}

// userOf returns a user, nil if the person may not see them.
func (v *visit) userOf(id string) *munimentv1.User {
	if u, ok := v.users[id]; ok {
		return u
	}
	if v.users == nil {
		v.users = map[string]*munimentv1.User{}
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id, Read: v.read})
	v.users[id] = nil
	if err == nil {
		v.users[id] = got.GetUser()
	}
	return v.users[id]
}

// option is a choice in a form.
type option struct{ Value, Label string }

// orgOptions are the organizations that the person may choose from, at most 500.
func (v *visit) orgOptions() ([]option, error) {
	got, err := v.c.API.Organization.ListOrganizations(v.ctx, &munimentv1.ListOrganizationsRequest{
		Filter: &munimentv1.OrganizationFilter{State: munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE}, PageSize: 500})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	out := make([]option, 0, len(got.GetOrganizations()))
	for _, o := range got.GetOrganizations() {
		out = append(out, option{o.GetId(), o.GetName()})
	}
	return out, nil
}
