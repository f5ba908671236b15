package console

import (
	"net/http"
	"unicode/utf8"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/oidc"
	"muniment.dev/page"
)

// accountPage is the data of account.html.
type accountPage struct {
	User     *munimentv1.User
	Org      string
	Grants   []grantRow
	Members  []memberRow
	Sessions []*munimentv1.Session
	Here     string // id of this session
	Apps     []appRow
	Events   []*munimentv1.Event
	Form     personForm
	Curl     same
}

// appRow is one application that holds something of the person, with what it
// may do in words.
type appRow struct {
	*munimentv1.UserApplication
	May []string
}

// endApplication ends what an application holds of the person who is signed in.
func (v *visit) endApplication() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	if _, err := v.c.API.Me.EndMyApplication(v.ctx, &munimentv1.EndMyApplicationRequest{ApplicationId: id, CommandId: v.command()}); err != nil {
		return v.refused("/account", err)
	}
	return v.done("/account", "The application holds nothing of yours any more. It may ask you again.")
}

// account is the page of the person who is signed in.
func (v *visit) account() error {
	u := v.me.GetUser()
	return v.showAccount(http.StatusOK, personForm{Given: u.GetGivenName().GetValue(), Family: u.GetFamilyName().GetValue(), Show: u.GetDisplayName().GetValue()})
}

func (v *visit) showAccount(status int, f personForm) error {
	u := v.me.GetUser()
	p := accountPage{User: u, Org: v.orgName(u.GetOrganizationId()), Grants: v.grantRows(v.me.GetGrants()), Here: v.me.GetSessionId(), Form: f, Curl: v.same("me get", "/v1/me")}
	for _, m := range v.memberRows(v.me.GetMemberships()) {
		m.User = u
		p.Members = append(p.Members, m)
	}
	sessions, err := v.c.API.Session.ListSessions(v.ctx, &munimentv1.ListSessionsRequest{UserId: u.GetId(), PageSize: 100})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Sessions = sessions.GetSessions()
	apps, err := v.c.API.Me.ListMyApplications(v.ctx, &munimentv1.ListMyApplicationsRequest{})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	for _, a := range apps.GetApplications() {
		p.Apps = append(p.Apps, appRow{a, oidc.ScopeTexts(append(a.GetConsentedScopes(), a.GetScopes()...))})
	}
	events, err := v.c.API.Me.ListMyEvents(v.ctx, &munimentv1.ListMyEventsRequest{PageSize: 8})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	p.Events = events.GetEvents()
	return v.showAs(status, "account", page.View{Nav: "account", Title: "My account", Data: p})
}

// changeAccount changes the names of the person who is signed in.
func (v *visit) changeAccount() error {
	f := personForm{Given: v.form("given"), Family: v.form("family"), Show: v.form("show"), Command: v.command()}
	req := profileChange(v.me.GetUser(), f)
	if req == nil {
		v.c.Site.Say(v.w, v.r, page.Note{Text: "Nothing was different, so nothing was changed."})
		http.Redirect(v.w, v.r, "/account", http.StatusSeeOther)
		return nil
	}
	req.CommandId = f.Command
	if _, err := v.c.API.User.ChangeProfile(v.ctx, req); err != nil {
		err = v.c.AsFault(err)
		status, ok := formStatus(err)
		if !ok {
			return err
		}
		f.NameProblem = page.Sentence(fault.Public(err))
		return v.showAccount(status, f)
	}
	return v.done("/account", "Your name is changed. Applications see it with the next token.")
}

// passwordPage is the data of password.html.
type passwordPage struct {
	Email                         string
	OldError, NewError, SameError string
	Problem                       string
}

func (v *visit) askPassword() error { return v.passwordForm(http.StatusOK, passwordPage{}) }

func (v *visit) passwordForm(status int, p passwordPage) error {
	p.Email = v.me.GetUser().GetEmail().GetValue()
	return v.showAs(status, "password", page.View{Nav: "account", Title: "Change my password", Script: "password.js", Data: p})
}

// changePassword changes the password of the person who is signed in. What was
// typed is not trimmed: spaces are part of a password.
func (v *visit) changePassword() error {
	old, next, same := v.r.PostForm.Get("old"), v.r.PostForm.Get("new"), v.r.PostForm.Get("same")
	var p passwordPage
	switch {
	case old == "":
		p.OldError = "Enter your present password."
	case utf8.RuneCountInString(next) < 8:
		p.NewError = "A password has at least 8 characters."
	case len(next) > 256:
		p.NewError = "A password has at most 256 characters here."
	case next != same:
		p.SameError = "This is not the same as above."
	}
	if p != (passwordPage{}) {
		return v.passwordForm(http.StatusUnprocessableEntity, p)
	}
	_, err := v.c.API.User.ChangePassword(v.ctx, &munimentv1.ChangePasswordRequest{OldPassword: old, NewPassword: next, CommandId: v.command()})
	if err == nil {
		return v.done("/account", "Your password is changed.")
	}
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	msg := page.Sentence(fault.Public(err))
	switch {
	case !ok:
		return err
	case faultField(err) == "old_password" || fault.Is(err, fault.Denied):
		p.OldError = msg
	case faultField(err) == "new_password":
		p.NewError = msg
	default:
		p.Problem = msg
	}
	return v.passwordForm(status, p)
}

// myEventsPage is the data of myevents.html.
type myEventsPage struct {
	Days  []eventDay
	Next  string
	Paged bool
	Curl  same
}

// myEvents are the events about the person who is signed in.
func (v *visit) myEvents() error {
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Me.ListMyEvents(v.ctx, &munimentv1.ListMyEventsRequest{PageSize: pageSize, PageToken: token})
	if err != nil {
		return v.c.AsFault(err)
	}
	var p eventsPage
	v.fillEvents(&p, &munimentv1.ListEventsResponse{Events: got.GetEvents()})
	return v.show("myevents", "activity", "My events", myEventsPage{Days: p.Days, Next: got.GetNextPageToken(), Paged: token != "", Curl: v.same("me list-events", "/v1/me/events")})
}
