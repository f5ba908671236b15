package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// personPage is the data of person.html.
type personPage struct {
	User       *munimentv1.User
	Org        string
	Grants     []grantRow
	Members    []memberRow
	Permits    []permissionRow
	Sessions   []*munimentv1.Session
	Apps       []usedApp
	Ended      bool // ended sessions are shown, too
	Events     []*munimentv1.Event
	Erasure    *munimentv1.GetErasureResponse
	CanWrite   bool
	CanErase   bool
	CanPermit  bool
	SeesEvents bool
	Self       bool
	Curl       same
	Here       string // id of the session in which this page is asked for
}

type grantRow struct {
	*munimentv1.Grant
	Project string // name; empty if it may not be seen
}

func (v *visit) person() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	u := got.GetUser()
	p := personPage{User: u, Org: v.orgName(u.GetOrganizationId()), Self: id == v.me.GetUser().GetId(), Here: v.me.GetSessionId(),
		CanWrite: v.me.Writes(u.GetOrganizationId()), CanErase: v.me.Owns(u.GetOrganizationId()), CanPermit: v.me.OwnsAny(), SeesEvents: v.me.audits(),
		Ended: v.r.URL.Query().Get("sessions") == "all"}
	if u.GetState() == munimentv1.UserState_USER_STATE_ERASED {
		p.CanWrite, p.CanErase, p.CanPermit = false, false, false
		if p.Erasure, err = v.c.API.User.GetErasure(v.ctx, &munimentv1.GetErasureRequest{UserId: id}); err != nil {
			return v.c.AsFault(err)
		}
	}
	if err := v.fillPerson(id, &p); err != nil {
		return err
	}
	title := userName(u)
	if title == "" {
		title = "Erased person"
	}
	p.Curl = v.same("user get "+id, "/v1/users/"+id)
	if err := v.travels("object", "user:"+id); err != nil {
		return err
	}
	if u.GetKind() == machineKind && u.GetState() != munimentv1.UserState_USER_STATE_ERASED {
		return v.machine(got, p)
	}
	return v.show("person", "people", title, p)
}

// fillPerson reads what belongs to a person. What the viewer may not see of it
// stays empty.
func (v *visit) fillPerson(id string, p *personPage) error {
	grants, err := v.c.API.Grant.ListGrants(v.ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: id}, PageSize: 500, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Grants = v.grantRows(grants.GetGrants())
	members, err := v.c.API.Member.ListMembers(v.ctx, &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{UserId: id}, PageSize: 500, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Members = v.memberRows(members.GetMembers())
	permits, err := v.c.API.Permission.ListPermissions(v.ctx, &munimentv1.ListPermissionsRequest{Filter: &munimentv1.PermissionFilter{UserId: id}, PageSize: 500, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Permits = v.permissionRows(permits.GetPermissions())
	sessions, err := v.c.API.Session.ListSessions(v.ctx, &munimentv1.ListSessionsRequest{UserId: id, IncludeEnded: p.Ended, PageSize: 100, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Sessions = sessions.GetSessions()
	if p.Apps, err = v.usedApps(id, p.Sessions); err != nil {
		return err
	}
	if !p.SeesEvents {
		return nil
	}
	events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{UserIds: []string{id}}, Descending: true, PageSize: 12, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Events = events.GetEvents()
	return nil
}

// unlessDenied passes an error of the API on, but for one that says that the
// person may not see this part of a page.
func (v *visit) unlessDenied(err error) error {
	if err = v.c.AsFault(err); fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (v *visit) grantRows(grants []*munimentv1.Grant) []grantRow {
	rows := make([]grantRow, 0, len(grants))
	for _, g := range grants {
		rows = append(rows, grantRow{g, v.projectOf(g.GetProjectId()).GetName()})
	}
	return rows
}

func (v *visit) editPerson() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
	if err != nil {
		return v.c.AsFault(err)
	}
	u := got.GetUser()
	if u.GetKind() == machineKind {
		return v.machineForm(http.StatusOK, machineEdit(u))
	}
	return v.show("personform", "people", "Change the profile", personForm{ID: id, Email: u.GetEmail().GetValue(),
		Given: u.GetGivenName().GetValue(), Family: u.GetFamilyName().GetValue(), Show: u.GetDisplayName().GetValue()})
}

// changePerson changes names and e-mail address, each only if it is another one:
// they are different facts.
func (v *visit) changePerson() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
	if err != nil {
		return v.c.AsFault(err)
	}
	u := got.GetUser()
	if u.GetKind() == machineKind {
		return v.changeMachine(u)
	}
	f := personForm{ID: id, Email: v.form("email"), Given: v.form("given"), Family: v.form("family"), Show: v.form("show")}
	changed := false
	if req := profileChange(u, f); req != nil {
		if _, err := v.c.API.User.ChangeProfile(v.ctx, req); err != nil {
			return v.personFormFailed(f, "Change the profile", err)
		}
		changed = true
	}
	if f.Email != u.GetEmail().GetValue() {
		if _, err := v.c.API.User.ChangeEmail(v.ctx, &munimentv1.ChangeEmailRequest{UserId: id, Email: f.Email}); err != nil {
			if changed {
				f.Problem = "The names are changed already."
			}
			return v.personFormFailed(f, "Change the profile", err)
		}
		changed = true
	}
	if !changed {
		v.c.Site.Say(v.w, v.r, page.Note{Text: "Nothing was different, so nothing was changed."})
		http.Redirect(v.w, v.r, path("console", "people", id), http.StatusSeeOther)
		return nil
	}
	return v.done(path("console", "people", id), "The profile is changed.")
}

// profileChange is the request that makes the names those of the form, nil if
// they are already.
func profileChange(u *munimentv1.User, f personForm) *munimentv1.ChangeProfileRequest {
	req := &munimentv1.ChangeProfileRequest{UserId: u.GetId()}
	changed := false
	for _, c := range []struct {
		old, new string
		set      **string
	}{
		{u.GetGivenName().GetValue(), f.Given, &req.GivenName},
		{u.GetFamilyName().GetValue(), f.Family, &req.FamilyName},
		{u.GetDisplayName().GetValue(), f.Show, &req.DisplayName},
	} {
		if c.old != c.new {
			*c.set, changed = &c.new, true
		}
	}
	if !changed {
		return nil
	}
	return req
}

func (v *visit) endSession() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	back := "/account"
	if u := v.form("user"); u != "" {
		back = path("console", "people", u)
	}
	if _, err := v.c.API.Session.EndSession(v.ctx, &munimentv1.EndSessionRequest{SessionId: id, CommandId: v.command()}); err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The session is ended. Its tokens are refused at once where the server is asked.")
}
