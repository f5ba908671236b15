package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// projectsPage is the data of projects.html.
type projectsPage struct {
	Prefix, Org string
	State       string
	Orgs        []option
	Rows        []projectRow
	Next        string
	Paged       bool
	Filtered    bool
	CanAdd      bool
	Curl        same
}

type projectRow struct {
	*munimentv1.Project
	Org string
}

func (v *visit) projects() error {
	q := v.r.URL.Query()
	p := projectsPage{Prefix: q.Get("name"), Org: q.Get("org"), State: q.Get("state"), Paged: q.Get("token") != "", CanAdd: v.me.WritesAny()}
	state, err := projectStateNamed(p.State)
	if err != nil {
		return err
	}
	got, err := v.c.API.Project.ListProjects(v.ctx, &munimentv1.ListProjectsRequest{
		Filter: &munimentv1.ProjectFilter{OrganizationId: p.Org, NamePrefix: p.Prefix, State: state}, PageSize: pageSize, PageToken: q.Get("token"), Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	for _, pr := range got.GetProjects() {
		p.Rows = append(p.Rows, projectRow{pr, v.orgName(pr.GetOrganizationId())})
	}
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	p.Next, p.Filtered = got.GetNextPageToken(), p.Prefix != "" || p.Org != "" || p.State != ""
	p.Curl = v.same("project list", "/v1/projects", "filter.organization_id", p.Org, "filter.name_prefix", p.Prefix, "filter.state", enumParam(state != 0, state.String()))
	if err := v.travels("list", "projects"); err != nil {
		return err
	}
	return v.show("projects", "projects", "Projects", p)
}

// projectStateNamed is the state that a filter's choice names.
func projectStateNamed(name string) (munimentv1.ProjectState, error) {
	switch name {
	case "":
		return munimentv1.ProjectState_PROJECT_STATE_UNSPECIFIED, nil
	case "active":
		return munimentv1.ProjectState_PROJECT_STATE_ACTIVE, nil
	case "deactivated":
		return munimentv1.ProjectState_PROJECT_STATE_DEACTIVATED, nil
	case "removed":
		return munimentv1.ProjectState_PROJECT_STATE_REMOVED, nil
	}
	return 0, fault.Field("state", "a state is active, deactivated or removed")
}

func (v *visit) newProjectForm() (nameForm, error) {
	f := nameForm{Heading: "Add a project", Lede: "Applications that belong together and share roles.", Button: "Add", Back: "/console/projects"}
	var err error
	f.Orgs, err = v.orgOptions()
	return f, err
}

func (v *visit) newProject() error {
	f, err := v.newProjectForm()
	if err != nil {
		return err
	}
	if len(f.Orgs) == 0 {
		v.c.Site.Say(v.w, v.r, page.Note{Text: "Projects belong to an organization. Add one first."})
		http.Redirect(v.w, v.r, "/console/organizations/new", http.StatusSeeOther)
		return nil
	}
	f.Org = v.r.URL.Query().Get("org")
	return v.nameForm(http.StatusOK, "projects", f)
}

func (v *visit) createProject() error {
	f, err := v.newProjectForm()
	if err != nil {
		return err
	}
	f.Name, f.Org = v.form("name"), v.form("org")
	got, err := v.c.API.Project.CreateProject(v.ctx, &munimentv1.CreateProjectRequest{OrganizationId: f.Org, Name: f.Name, CommandId: v.command()})
	if err != nil {
		return v.nameFailed("projects", f, err)
	}
	return v.done(path("console", "projects", got.GetProjectId()), "The project is added. Give it roles, then applications.")
}

// projectPage is the data of project.html.
type projectPage struct {
	Project  *munimentv1.Project
	Org      string
	Roles    []*munimentv1.Role
	Apps     []*munimentv1.Application
	Grants   []holder
	More     bool // there are more grants than shown
	Events   []*munimentv1.Event
	CanWrite bool
	CanBack  bool // it was removed, and may be restored
	Removed  bool // removed applications are shown, too
	Curl     same
}

// holder is a person with roles in the project.
type holder struct {
	*munimentv1.Grant
	User *munimentv1.User
}

func (v *visit) getProject() (*munimentv1.Project, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Project.GetProject(v.ctx, &munimentv1.GetProjectRequest{ProjectId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetProject(), nil
}

func (v *visit) project() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	id := pr.GetId()
	p := projectPage{Project: pr, Org: v.orgName(pr.GetOrganizationId()), CanWrite: v.me.Writes(pr.GetOrganizationId()), Removed: v.r.URL.Query().Get("applications") == "all"}
	if pr.GetState() == munimentv1.ProjectState_PROJECT_STATE_REMOVED {
		p.CanWrite, p.CanBack = false, p.CanWrite
	}
	roles, err := v.c.API.Project.ListRoles(v.ctx, &munimentv1.ListRolesRequest{ProjectId: id, PageSize: 500, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Roles = roles.GetRoles()
	if p.Apps, err = v.appsOf(id, p.Removed); err != nil {
		return err
	}
	grants, err := v.c.API.Grant.ListGrants(v.ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{ProjectId: id}, PageSize: 50, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	for _, g := range grants.GetGrants() {
		p.Grants = append(p.Grants, holder{g, v.userOf(g.GetUserId())})
	}
	p.More = grants.GetNextPageToken() != ""
	if v.me.audits() {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{"project:" + id}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	p.Curl = v.same("project get "+id, "/v1/projects/"+id)
	if err := v.travels("object", "project:"+id); err != nil {
		return err
	}
	return v.show("project", "projects", pr.GetName(), p)
}

// appsOf are the applications of a project; those that were removed come last.
func (v *visit) appsOf(project string, removed bool) (all []*munimentv1.Application, err error) {
	states := []munimentv1.ApplicationState{munimentv1.ApplicationState_APPLICATION_STATE_UNSPECIFIED, munimentv1.ApplicationState_APPLICATION_STATE_REMOVED}
	if !removed {
		states = states[:1]
	}
	for _, s := range states {
		got, err := v.c.API.Application.ListApplications(v.ctx, &munimentv1.ListApplicationsRequest{
			Filter: &munimentv1.ApplicationFilter{ProjectId: project, State: s}, PageSize: 100, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return nil, err
		}
		all = append(all, got.GetApplications()...)
	}
	return all, nil
}

func (v *visit) addRole() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	back := path("console", "projects", pr.GetId())
	if _, err := v.c.API.Project.AddRole(v.ctx, &munimentv1.AddRoleRequest{ProjectId: pr.GetId(), Key: v.form("key"), Name: v.form("name"), CommandId: v.command()}); err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is added. Give it to people on their pages.")
}

func (v *visit) removeRole() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	back := path("console", "projects", pr.GetId())
	if _, err := v.c.API.Project.RemoveRole(v.ctx, &munimentv1.RemoveRoleRequest{ProjectId: pr.GetId(), Key: v.form("key"), CommandId: v.command()}); err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is removed. Nobody has it any more.")
}

func projectRename(pr *munimentv1.Project) nameForm {
	return nameForm{Heading: "Rename " + pr.GetName(), Button: "Rename", Back: path("console", "projects", pr.GetId()), Name: pr.GetName()}
}

func projectRemoval(pr *munimentv1.Project) question {
	return question{Heading: "Remove " + pr.GetName() + "?", Button: "Remove", Danger: true, Nav: "projects", Back: path("console", "projects", pr.GetId()), Reason: true,
		Points: []string{"Its applications let nobody in, and their secrets stop working.", "Its roles stand in no token any more.", "It can be restored, with its applications, roles and grants; people then sign in anew. Its history stays in the log."},
		Type:   pr.GetName(), Typed: "the project's name"}
}

// projectQuestion is what is asked before an action on a project.
func projectQuestion(action string, pr *munimentv1.Project) (q question, ok bool) {
	q = question{Nav: "projects", Back: path("console", "projects", pr.GetId()), Reason: true}
	switch action {
	case "remove":
		return projectRemoval(pr), true
	case "deactivate":
		q.Heading, q.Button, q.Danger = "Deactivate "+pr.GetName()+"?", "Deactivate", true
		q.Points = []string{"Its applications let nobody in, and their tokens are refused where the server is asked.", "Roles and applications stay as they are; it can be taken into use again."}
	case "restore":
		q.Heading, q.Button = "Restore "+pr.GetName()+"?", "Restore"
		q.Points = []string{"Its applications let people in again, who sign in anew.", "Those of its applications' secrets and keys that have not expired work again. Remove those that leaked.", "People have the roles that they had."}
	case "reactivate":
		q.Heading, q.Button = "Reactivate "+pr.GetName()+"?", "Reactivate"
		q.Points = []string{"Its applications let people in again, with the roles that they had."}
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askProject() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	if v.r.PathValue("a") == "rename" {
		return v.nameForm(http.StatusOK, "projects", projectRename(pr))
	}
	q, ok := projectQuestion(v.r.PathValue("a"), pr)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actProject() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	api, id, cmd, action := v.c.API.Project, pr.GetId(), v.command(), v.r.PathValue("a")
	if action == "rename" {
		f := projectRename(pr)
		f.Name = v.form("name")
		if _, err := api.RenameProject(v.ctx, &munimentv1.RenameProjectRequest{ProjectId: id, Name: f.Name, CommandId: cmd}); err != nil {
			return v.nameFailed("projects", f, err)
		}
		return v.done(f.Back, "Renamed.")
	}
	q, ok := projectQuestion(action, pr)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	said, to := "Active again.", q.Back
	switch action {
	case "remove":
		said, to = "The project is removed. It can be restored.", "/console/projects"
		_, err = api.RemoveProject(v.ctx, &munimentv1.RemoveProjectRequest{ProjectId: id, CommandId: cmd, Reason: v.form("reason")})
	case "restore":
		said = "Restored."
		_, err = api.RestoreProject(v.ctx, &munimentv1.RestoreProjectRequest{ProjectId: id, CommandId: cmd, Reason: v.form("reason")})
	case "deactivate":
		said = "Deactivated."
		_, err = api.DeactivateProject(v.ctx, &munimentv1.DeactivateProjectRequest{ProjectId: id, CommandId: cmd, Reason: v.form("reason")})
	default:
		_, err = api.ReactivateProject(v.ctx, &munimentv1.ReactivateProjectRequest{ProjectId: id, CommandId: cmd, Reason: v.form("reason")})
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(to, said)
}

func (v *visit) renameRole() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	back := path("console", "projects", pr.GetId())
	if _, err := v.c.API.Project.RenameRole(v.ctx, &munimentv1.RenameRoleRequest{ProjectId: pr.GetId(), Key: v.form("key"), Name: v.form("name"), CommandId: v.command()}); err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is renamed. Its key stays.")
}
