package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// organizationsPage is the data of organizations.html.
type organizationsPage struct {
	Prefix, State string
	Rows          []*munimentv1.Organization
	Next          string
	Paged         bool
	Filtered      bool
	CanAdd        bool
	Curl          same
}

func (v *visit) organizations() error {
	q := v.r.URL.Query()
	p := organizationsPage{Prefix: q.Get("name"), State: q.Get("state"), Paged: q.Get("token") != "", CanAdd: v.me.Writes("")}
	filter := &munimentv1.OrganizationFilter{NamePrefix: p.Prefix}
	switch p.State {
	case "":
	case "active":
		filter.State = munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE
	case "deactivated":
		filter.State = munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED
	case "removed":
		filter.State = munimentv1.OrganizationState_ORGANIZATION_STATE_REMOVED
	default:
		return fault.Field("state", "a state is active, deactivated or removed")
	}
	got, err := v.c.API.Organization.ListOrganizations(v.ctx, &munimentv1.ListOrganizationsRequest{Filter: filter, PageSize: pageSize, PageToken: q.Get("token"), Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	p.Rows, p.Next, p.Filtered = got.GetOrganizations(), got.GetNextPageToken(), p.Prefix != "" || p.State != ""
	p.Curl = v.same("organization list", "/v1/organizations", "filter.name_prefix", p.Prefix, "filter.state", enumParam(filter.State != 0, filter.State.String()))
	if err := v.travels("list", "organizations"); err != nil {
		return err
	}
	return v.show("organizations", "organizations", "Organizations", p)
}

// nameForm is the data of nameform.html: something that is named.
type nameForm struct {
	Heading, Lede, Button, Back string
	Name                        string
	Orgs                        []option // to choose from; none: not asked
	Org                         string
	Command                     string
	Problem, NameError          string
}

func (v *visit) nameForm(status int, nav string, f nameForm) error {
	return v.showAs(status, "nameform", page.View{Nav: nav, Title: f.Heading, Data: f})
}

// nameFailed shows the form again with what was wrong.
func (v *visit) nameFailed(nav string, f nameForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	f.Command = v.command()
	if faultField(err) == "name" || fault.Is(err, fault.Exists) {
		f.NameError = page.Sentence(fault.Public(err))
	} else {
		f.Problem = page.Sentence(fault.Public(err))
	}
	return v.nameForm(status, nav, f)
}

func newOrganizationForm() nameForm {
	return nameForm{Heading: "Add an organization", Lede: "A company, a department or a customer: it has people and projects of its own.", Button: "Add", Back: "/console/organizations"}
}

func (v *visit) newOrganization() error {
	return v.nameForm(http.StatusOK, "organizations", newOrganizationForm())
}

func (v *visit) createOrganization() error {
	f := newOrganizationForm()
	f.Name = v.form("name")
	got, err := v.c.API.Organization.CreateOrganization(v.ctx, &munimentv1.CreateOrganizationRequest{Name: f.Name, CommandId: v.command()})
	if err != nil {
		return v.nameFailed("organizations", f, err)
	}
	return v.done(path("console", "organizations", got.GetOrganizationId()), "The organization is added.")
}

// organizationPage is the data of organization.html.
type organizationPage struct {
	Org        *munimentv1.Organization
	Projects   []*munimentv1.Project
	Domains    []*munimentv1.Domain
	CanVouch   bool // give their word that a domain is the organization's
	Members    []memberRow
	Events     []*munimentv1.Event
	CanWrite   bool
	SeesEvents bool
	Curl       same
}

func (v *visit) getOrganization() (*munimentv1.Organization, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Organization.GetOrganization(v.ctx, &munimentv1.GetOrganizationRequest{OrganizationId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetOrganization(), nil
}

func (v *visit) organization() error {
	o, err := v.getOrganization()
	if err != nil {
		return err
	}
	id := o.GetId()
	p := organizationPage{Org: o, CanWrite: v.me.Writes(id), SeesEvents: v.me.audits()}
	projects, err := v.c.API.Project.ListProjects(v.ctx, &munimentv1.ListProjectsRequest{Filter: &munimentv1.ProjectFilter{OrganizationId: id}, PageSize: 100, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Projects = projects.GetProjects()
	domains, err := v.c.API.Organization.ListDomains(v.ctx, &munimentv1.ListDomainsRequest{OrganizationId: id, PageSize: 100, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Domains, p.CanVouch = domains.GetDomains(), v.me.Writes("")
	members, err := v.c.API.Member.ListMembers(v.ctx, &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{Scope: scopeOf(id)}, PageSize: 100, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Members = v.memberRows(members.GetMembers())
	if p.SeesEvents {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{OrganizationIds: []string{id}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	p.Curl = v.same("organization get "+id, "/v1/organizations/"+id)
	if err := v.travels("object", "organization:"+id); err != nil {
		return err
	}
	return v.show("organization", "organizations", o.GetName(), p)
}

// organizationQuestion is what is asked before an action on an organization.
func organizationQuestion(action string, o *munimentv1.Organization) (q question, ok bool) {
	q = question{Back: path("console", "organizations", o.GetId()), Nav: "organizations", Reason: true}
	switch action {
	case "deactivate":
		q.Heading, q.Button, q.Danger = "Deactivate "+o.GetName()+"?", "Deactivate", true
		q.Points = []string{"Nobody in this organization can sign in.", "Its applications let nobody in.", "It can be taken into use again; nothing is lost."}
		q.Type, q.Typed = o.GetName(), "the organization's name"
	case "remove":
		q.Heading, q.Button, q.Danger = "Remove "+o.GetName()+"?", "Remove", true
		q.Lede = "For an organization that is no more. It can be restored."
		q.Points = []string{"Nobody who is at home in it can sign in, and their sessions and tokens end.", "The applications of its projects let nobody in.", "It is no longer listed. Nothing is deleted: people, projects and domains stay as they are, and stay taken."}
		q.Type, q.Typed = o.GetName(), "the organization's name"
	case "restore":
		q.Heading, q.Button = "Restore "+o.GetName()+"?", "Restore"
		q.Points = []string{"It is as it was before it was removed.", "Its people can sign in again, unless it was deactivated."}
	case "reactivate":
		q.Heading, q.Button = "Reactivate "+o.GetName()+"?", "Reactivate"
		q.Points = []string{"Its people can sign in again, and its applications let them in."}
	default:
		return q, false
	}
	return q, true
}

func (v *visit) renameOrganizationForm(o *munimentv1.Organization) nameForm {
	return nameForm{Heading: "Rename " + o.GetName(), Button: "Rename", Back: path("console", "organizations", o.GetId()), Name: o.GetName()}
}

func (v *visit) askOrganization() error {
	o, err := v.getOrganization()
	if err != nil {
		return err
	}
	if v.r.PathValue("a") == "rename" {
		return v.nameForm(http.StatusOK, "organizations", v.renameOrganizationForm(o))
	}
	q, ok := organizationQuestion(v.r.PathValue("a"), o)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actOrganization() error {
	o, err := v.getOrganization()
	if err != nil {
		return err
	}
	api, action := v.c.API.Organization, v.r.PathValue("a")
	if action == "rename" {
		f := v.renameOrganizationForm(o)
		f.Name = v.form("name")
		if _, err := api.RenameOrganization(v.ctx, &munimentv1.RenameOrganizationRequest{OrganizationId: o.GetId(), Name: f.Name, CommandId: v.command()}); err != nil {
			return v.nameFailed("organizations", f, err)
		}
		return v.done(f.Back, "Renamed.")
	}
	q, ok := organizationQuestion(action, o)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	id, cmd, why := o.GetId(), v.command(), v.form("reason")
	said := "Active again."
	switch action {
	case "deactivate":
		said = "Deactivated."
		_, err = api.DeactivateOrganization(v.ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: id, CommandId: cmd, Reason: why})
	case "remove":
		said = "Removed. It can be restored."
		_, err = api.RemoveOrganization(v.ctx, &munimentv1.RemoveOrganizationRequest{OrganizationId: id, Acknowledge: []string{"lock-people-out", "end-projects"}, CommandId: cmd, Reason: why})
	case "restore":
		said = "Restored."
		_, err = api.RestoreOrganization(v.ctx, &munimentv1.RestoreOrganizationRequest{OrganizationId: id, CommandId: cmd, Reason: why})
	default:
		_, err = api.ReactivateOrganization(v.ctx, &munimentv1.ReactivateOrganizationRequest{OrganizationId: id, CommandId: cmd, Reason: why})
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, said)
}
