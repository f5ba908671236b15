package console

import (
	"slices"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/oidc"
)

// usedApp is an application that a person signed in to, with what it may do in
// words and in how many of the sessions that are shown.
type usedApp struct {
	appRow
	Sessions int
}

// usedApps are the applications that hold something of a person; none if the
// viewer may not see them.
func (v *visit) usedApps(id string, sessions []*munimentv1.Session) (out []usedApp, err error) {
	got, err := v.c.API.Session.ListUserApplications(v.ctx, &munimentv1.ListUserApplicationsRequest{UserId: id, Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return nil, err
	}
	for _, a := range got.GetApplications() {
		row := usedApp{appRow: appRow{a, oidc.ScopeTexts(slices.Concat(a.GetConsentedScopes(), a.GetScopes()))}}
		for _, s := range sessions {
			if slices.Contains(s.GetApplicationIds(), a.GetApplicationId()) {
				row.Sessions++
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// usedAppQuestion is what is asked before an application loses what it holds of
// a person.
func (v *visit) usedAppQuestion() (q question, user, app string, err error) {
	if user, err = v.id(); err != nil {
		return q, "", "", err
	}
	app = v.r.PathValue("application")
	got, err := v.c.API.Session.ListUserApplications(v.ctx, &munimentv1.ListUserApplicationsRequest{UserId: user})
	if err != nil {
		return q, "", "", v.c.AsFault(err)
	}
	i := slices.IndexFunc(got.GetApplications(), func(a *munimentv1.UserApplication) bool { return a.GetApplicationId() == app })
	if i < 0 {
		return q, "", "", v.nothing()
	}
	name := or(got.GetApplications()[i].GetName(), "this application")
	return question{Nav: "people", Back: path("console", "people", user), Reason: true, Heading: "End what " + name + " holds of " + or(userName(v.userOf(user)), "this person") + "?", Button: "End it",
		Points: []string{"Its tokens are refused at once where the server is asked, and it gets no others without them.", "What the person agreed to is forgotten. It may ask them again, and they may sign in to it again."}}, user, app, nil
}

func (v *visit) askUsedApp() error {
	q, _, _, err := v.usedAppQuestion()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) endUsedApp() error {
	q, user, app, err := v.usedAppQuestion()
	if err != nil {
		return err
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	if _, err := v.c.API.Session.EndUserApplication(v.ctx, &munimentv1.EndUserApplicationRequest{UserId: user, ApplicationId: app, CommandId: v.command(), Reason: v.form("reason")}); err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, "The application holds nothing of theirs any more.")
}
