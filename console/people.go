package console

import (
	"net/http"
	"net/url"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// pageSize is how many lines a list shows at once.
const pageSize = 50

// peoplePage is the data of people.html.
type peoplePage struct {
	Query, State, Org string
	Kind              string // human or machine; both if empty
	Orgs              []option
	States            []option
	Rows              []personRow
	Next              string // token of the next page
	Paged             bool   // this is not the first page
	CanAdd            bool
	Filtered          bool
	Ending            int  // secrets and keys that end soon
	MoreEnding        bool // than that
	Curl              same
}

type personRow struct {
	*munimentv1.User
	Org string
}

// userStates are the states to filter by.
var userStates = [...]struct {
	Key   string
	State munimentv1.UserState
}{
	{"active", munimentv1.UserState_USER_STATE_ACTIVE},
	{"locked", munimentv1.UserState_USER_STATE_LOCKED},
	{"deactivated", munimentv1.UserState_USER_STATE_DEACTIVATED},
	{"erased", munimentv1.UserState_USER_STATE_ERASED},
}

// userKinds are the kinds to filter by.
var userKinds = map[string]munimentv1.UserKind{"": 0, "human": munimentv1.UserKind_USER_KIND_HUMAN, "machine": machineKind}

// people lists people by what may stand in an address: state and organization.
func (v *visit) people() error {
	return v.listPeople("", v.r.URL.Query())
}

// searchPeople lists people whose name or e-mail address begins with what was
// typed. That is personal, so it is posted; without it the address says it all.
func (v *visit) searchPeople() error {
	if v.form("q") != "" {
		return v.listPeople(v.form("q"), v.r.PostForm)
	}
	q := url.Values{}
	for _, k := range []string{"kind", "state", "org"} {
		if s := v.form(k); s != "" {
			q.Set(k, s)
		}
	}
	to := "/console/people"
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

func (v *visit) listPeople(prefix string, q url.Values) error {
	p := peoplePage{Query: prefix, State: q.Get("state"), Org: q.Get("org"), CanAdd: v.me.WritesAny(), Paged: q.Get("token") != ""}
	filter := &munimentv1.UserFilter{Prefix: prefix, OrganizationId: p.Org}
	kind, ok := userKinds[q.Get("kind")]
	if p.Kind = q.Get("kind"); !ok {
		return fault.Field("kind", "a kind is human or machine")
	}
	filter.Kind = kind
	for _, s := range userStates {
		p.States = append(p.States, option{s.Key, userState(s.State).Word})
		if p.State == s.Key {
			filter.State = s.State
		}
	}
	if p.State != "" && filter.State == 0 {
		return fault.Field("state", "a state is active, locked, deactivated or erased")
	}
	got, err := v.c.API.User.ListUsers(v.ctx, &munimentv1.ListUsersRequest{Filter: filter, PageSize: pageSize, PageToken: q.Get("token"), Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	for _, u := range got.GetUsers() {
		p.Rows = append(p.Rows, personRow{u, v.orgName(u.GetOrganizationId())})
	}
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	p.Next, p.Filtered = got.GetNextPageToken(), prefix != "" || p.State != "" || p.Org != "" || p.Kind != ""
	if !p.Filtered && !p.Paged {
		if p.Ending, p.MoreEnding, err = v.ending(); err != nil {
			return err
		}
	}
	p.Curl = v.same("user list", "/v1/users", "filter.state", enumParam(filter.State != 0, filter.State.String()), "filter.organization_id", p.Org, "filter.kind", enumParam(kind != 0, kind.String()))
	if err := v.travels("list", "users"); err != nil {
		return err
	}
	return v.show("people", "people", "People", p)
}

func enumParam(set bool, name string) string {
	if !set {
		return ""
	}
	return name
}

// personForm is the data of personform.html.
type personForm struct {
	ID                               string // empty for a new person
	Email, Given, Family, Show, Org  string
	Orgs                             []option
	Command                          string
	Problem, EmailError, NameProblem string
}

func (v *visit) newPerson() error {
	orgs, err := v.orgOptions()
	if err != nil {
		return err
	}
	if len(orgs) == 0 {
		v.c.Site.Say(v.w, v.r, page.Note{Text: "People belong to an organization. Add one first."})
		http.Redirect(v.w, v.r, "/console/organizations/new", http.StatusSeeOther)
		return nil
	}
	f := personForm{Orgs: orgs, Org: v.r.URL.Query().Get("org")}
	return v.show("personform", "people", "Add a person", f)
}

// createPerson registers somebody and shows the set-up link, once.
func (v *visit) createPerson() error {
	f := personForm{Email: v.form("email"), Given: v.form("given"), Family: v.form("family"), Show: v.form("show"), Org: v.form("org"), Command: v.command()}
	got, err := v.c.API.User.CreateUser(v.ctx, &munimentv1.CreateUserRequest{
		Email: f.Email, GivenName: f.Given, FamilyName: f.Family, DisplayName: f.Show, OrganizationId: f.Org, CommandId: f.Command})
	if err != nil {
		return v.personFormFailed(f, "Add a person", err)
	}
	return v.showLink(got.GetUserId(), got.GetSetupLink(), "Added. Hand over this link")
}

// personFormFailed shows the form again with what was wrong.
func (v *visit) personFormFailed(f personForm, title string, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	var orgErr error
	if f.Orgs, orgErr = v.orgOptions(); orgErr != nil {
		return orgErr
	}
	msg := page.Sentence(fault.Public(err))
	switch field := faultField(err); {
	case field == "email" || fault.Is(err, fault.Exists):
		f.EmailError = msg
	case field == "given_name" || field == "family_name" || field == "display_name":
		f.NameProblem = msg
	default:
		f.Problem = msg
	}
	return v.showAs(status, "personform", page.View{Nav: "people", Title: title, Data: f})
}

// linkPage is the data of link.html: a set-up link, shown once.
type linkPage struct {
	User     *munimentv1.User
	Heading  string
	Link     *munimentv1.SetupLink // nil if it was shown before
	PersonAt string
}

func (v *visit) showLink(user string, l *munimentv1.SetupLink, heading string) error {
	return v.show("link", "people", "Set-up link", linkPage{User: v.userOf(user), Heading: heading, Link: l, PersonAt: path("console", "people", user)})
}
