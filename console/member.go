package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// memberRow is one membership with what its ids are called.
type memberRow struct {
	*munimentv1.Member
	User  *munimentv1.User // nil if the viewer may not see them
	Scope string           // "Whole instance", or the organization's name
	Org   string           // its id; empty for the instance
}

func (v *visit) memberRows(members []*munimentv1.Member) []memberRow {
	rows := make([]memberRow, 0, len(members))
	for _, m := range members {
		r := memberRow{Member: m, User: v.userOf(m.GetUserId()), Scope: "Whole instance", Org: m.GetScope().GetOrganizationId()}
		if r.Org != "" {
			r.Scope = v.orgName(r.Org)
		}
		rows = append(rows, r)
	}
	return rows
}

// membersPage is the data of members.html.
type membersPage struct {
	Rows   []memberRow
	Next   string
	Paged  bool
	CanAdd bool
	Roles  any
	Curl   same
}

func (v *visit) members() error {
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Member.ListMembers(v.ctx, &munimentv1.ListMembersRequest{PageSize: pageSize, PageToken: token, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	if err := v.travels("list", "members"); err != nil {
		return err
	}
	return v.show("members", "members", "Members", membersPage{Rows: v.memberRows(got.GetMembers()), Next: got.GetNextPageToken(),
		Paged: token != "", CanAdd: v.me.WritesAny(), Roles: memberRoles, Curl: v.same("member list", "/v1/members")})
}

// memberForm is the data of memberform.html.
type memberForm struct {
	Email, Scope, Role  string
	Orgs                []option
	Roles               any
	Command             string
	Problem, EmailError string
}

func (v *visit) newMember() error {
	f := memberForm{Scope: v.r.URL.Query().Get("org"), Role: "viewer"}
	return v.memberForm(http.StatusOK, f)
}

func (v *visit) memberForm(status int, f memberForm) error {
	var err error
	if f.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	f.Roles = memberRoles
	return v.showAs(status, "memberform", page.View{Nav: "members", Title: "Add a member", Data: f})
}

// addMember makes the person with an e-mail address a member.
func (v *visit) addMember() error {
	f := memberForm{Email: v.form("email"), Scope: v.form("scope"), Role: v.form("role"), Command: v.command()}
	if f.Email == "" {
		f.EmailError = "Enter the e-mail address of somebody who has an account."
		return v.memberForm(http.StatusUnprocessableEntity, f)
	}
	found, err := v.c.API.User.ListUsers(v.ctx, &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{Email: f.Email}, PageSize: 1})
	if err != nil {
		return v.memberFailed(f, err)
	}
	if len(found.GetUsers()) == 0 {
		f.EmailError = "Nobody here has this e-mail address."
		return v.memberForm(http.StatusUnprocessableEntity, f)
	}
	_, err = v.c.API.Member.AddMember(v.ctx, &munimentv1.AddMemberRequest{
		UserId: found.GetUsers()[0].GetId(), Scope: scopeOf(f.Scope), Role: roleOf(f.Role), CommandId: f.Command, Reason: v.form("reason")})
	if err != nil {
		return v.memberFailed(f, err)
	}
	return v.done("/console/members", "Added. It holds from now on.")
}

func (v *visit) memberFailed(f memberForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	f.Problem = page.Sentence(fault.Public(err))
	return v.memberForm(status, f)
}

func (v *visit) removeMember() error {
	back := "/console/members"
	if u := v.form("back"); u != "" {
		back = path("console", "people", u)
	}
	_, err := v.c.API.Member.RemoveMember(v.ctx, &munimentv1.RemoveMemberRequest{
		UserId: v.form("user"), Scope: scopeOf(v.form("scope")), Role: roleOf(v.form("role")), CommandId: v.command()})
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "Removed. It holds at once.")
}

func (v *visit) changeMember() error {
	back := "/console/members"
	_, err := v.c.API.Member.ChangeMemberRole(v.ctx, &munimentv1.ChangeMemberRoleRequest{
		UserId: v.form("user"), Scope: scopeOf(v.form("scope")), From: roleOf(v.form("role")), To: roleOf(v.form("to")), CommandId: v.command()})
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is changed. It holds at once.")
}

// scopeOf is the organization with this id, or the instance for "".
func scopeOf(org string) *munimentv1.Scope {
	if org == "" {
		return &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	}
	return &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: org}}
}

// roleOf reads a role as the forms write it; an unknown one is unspecified, and
// the API refuses it.
func roleOf(key string) munimentv1.MemberRole {
	for _, m := range memberRoles {
		if m.Key == key {
			return m.Role
		}
	}
	return munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED
}
