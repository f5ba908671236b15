package console

import (
	"cmp"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// holdersPage is the data of holders.html: who held which role, and when.
type holdersPage struct {
	Heading, Lede string
	Back          string // own path
	Rows          []holdingRow
	Ended         bool // those that have ended are shown, too
	Toggle        string
	Next          string
	First         string // address of the first page; empty on it
	Curl          same
}

// holdingRow is a holding with what its ids are called.
type holdingRow struct {
	*munimentv1.Holding
	User *munimentv1.User // nil if the viewer may not see them
	What string           // role and project, or role and scope
}

// holders shows who held which role: in a project, of a person, or as members.
func (v *visit) holders() error {
	q := v.r.URL.Query()
	project, user := q.Get("project"), q.Get("user")
	p := holdersPage{Ended: q.Get("ended") != ""}
	var err error
	if project == "" && user == "" {
		err = v.administrators(&p)
	} else {
		err = v.roleHolders(&p, project, user)
	}
	if err != nil {
		return err
	}
	if p.Ended {
		q.Del("ended")
	} else {
		q.Set("ended", "1")
	}
	token := q.Get("token")
	q.Del("token")
	p.Toggle = "/console/holders?" + q.Encode()
	q = v.r.URL.Query()
	if p.Next != "" {
		q.Set("token", p.Next)
		p.Next = "/console/holders?" + q.Encode()
	}
	if q.Del("token"); token != "" {
		p.First = "/console/holders?" + q.Encode()
	}
	if err := v.travels(); err != nil {
		return err
	}
	nav := "projects"
	if project == "" {
		nav = map[bool]string{true: "members", false: "people"}[user == ""]
	}
	return v.show("holders", nav, p.Heading, p)
}

func (v *visit) roleHolders(p *holdersPage, project, user string) error {
	got, err := v.c.API.History.ListRoleHolders(v.ctx, &munimentv1.ListRoleHoldersRequest{PageSize: pageSize, PageToken: v.r.URL.Query().Get("token"), Read: v.read,
		Filter: &munimentv1.HolderFilter{ProjectId: project, UserId: user, IncludeEnded: p.Ended}})
	if err != nil {
		return v.c.AsFault(err)
	}
	p.Heading, p.Lede, p.Next = "Who held which role", "Since when, by whom, and what ended it.", got.GetNextPageToken()
	if p.Back = path("console", "projects", project); project == "" {
		p.Back = path("console", "people", user)
	}
	for _, h := range got.GetHoldings() {
		in := cmp.Or(v.projectOf(h.GetProjectId()).GetName(), "a project that has ended")
		p.Rows = append(p.Rows, holdingRow{h, v.userOf(h.GetUserId()), h.GetRoleKey() + " in " + in})
	}
	p.Curl = v.same("history list-role-holders", "/v1/role-holders", "filter.project_id", project, "filter.user_id", user, "filter.include_ended", enumParam(p.Ended, "true"))
	return nil
}

func (v *visit) administrators(p *holdersPage) error {
	got, err := v.c.API.History.ListAdministrators(v.ctx, &munimentv1.ListAdministratorsRequest{PageSize: pageSize, PageToken: v.r.URL.Query().Get("token"), Read: v.read,
		Filter: &munimentv1.AdministratorFilter{IncludeEnded: p.Ended}})
	if err != nil {
		return v.c.AsFault(err)
	}
	p.Heading, p.Lede, p.Back, p.Next = "Who administered what", "Since when, by whom, and what ended it.", "/console/members", got.GetNextPageToken()
	for _, h := range got.GetHoldings() {
		of := "the whole instance"
		if id := h.GetScope().GetOrganizationId(); id != "" {
			of = cmp.Or(v.orgName(id), "an organization")
		}
		p.Rows = append(p.Rows, holdingRow{h, v.userOf(h.GetUserId()), memberRole(h.GetRole()) + " of " + of})
	}
	p.Curl = v.same("history list-administrators", "/v1/administrators", "filter.include_ended", enumParam(p.Ended, "true"))
	return nil
}

func sentence(err error) string { return page.Sentence(fault.Public(err)) }

func or(a, b string) string { return cmp.Or(a, b) }

// cutStream separates kind and id.
func cutStream(s string) (kind, id string, ok bool) { return strings.Cut(s, ":") }
