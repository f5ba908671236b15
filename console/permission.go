package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// permissionRow is one permission with what its ids are called.
type permissionRow struct {
	*munimentv1.Permission
	User        *munimentv1.User // nil if the viewer may not see them
	Scope       string           // "Whole instance", or the organization's name
	Org         string           // its id; empty for the instance
	CanWithdraw bool
}

func (v *visit) permissionRows(list []*munimentv1.Permission) []permissionRow {
	rows := make([]permissionRow, 0, len(list))
	for _, p := range list {
		r := permissionRow{Permission: p, User: v.userOf(p.GetUserId()), Scope: "Whole instance", Org: p.GetScope().GetOrganizationId()}
		if r.Org != "" {
			r.Scope = v.orgName(r.Org)
		}
		r.CanWithdraw = v.me.Owns(r.Org)
		rows = append(rows, r)
	}
	return rows
}

// permissionsPage is the data of permissions.html.
type permissionsPage struct {
	Rows        []permissionRow
	Type, Right string
	Rights      any
	Next        string
	Paged       bool
	CanAdd      bool
	Curl        same
}

func (v *visit) permissions() error {
	q := v.r.URL.Query()
	p := permissionsPage{Type: q.Get("type"), Right: q.Get("right"), Rights: eventRights, Paged: q.Get("token") != "", CanAdd: v.me.OwnsAny(), Curl: v.same("permission list", "/v1/permissions")}
	got, err := v.c.API.Permission.ListPermissions(v.ctx, &munimentv1.ListPermissionsRequest{PageSize: pageSize, PageToken: q.Get("token"), Read: v.read,
		Filter: &munimentv1.PermissionFilter{EventType: p.Type, Right: rightOf(p.Right)}})
	if err != nil {
		return v.c.AsFault(err)
	}
	if err := v.travels("list", "permissions"); err != nil {
		return err
	}
	p.Rows, p.Next = v.permissionRows(got.GetPermissions()), got.GetNextPageToken()
	return v.show("permissions", "permissions", "Permissions", p)
}

// permissionForm is the data of permissionform.html.
type permissionForm struct {
	User            *munimentv1.User // for whom; nil: who Who names
	Who             string           // an e-mail address or an id
	Right, Types    string
	Scope           string
	Orgs            []option
	Rights          any
	Known           []*munimentv1.EventType
	Back            string
	Command         string
	Problem         string
	WhoError        string
	EventTypesError string
}

func (v *visit) newPermission() error {
	f := permissionForm{Right: "read", Back: "/console/permissions"}
	if id := v.r.URL.Query().Get("user"); id != "" {
		got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
		if err != nil {
			return v.c.AsFault(err)
		}
		f.forUser(got.GetUser())
		f.Scope = f.User.GetOrganizationId()
	}
	return v.permissionForm(http.StatusOK, f)
}

func (f *permissionForm) forUser(u *munimentv1.User) {
	f.User, f.Back = u, path("console", "people", u.GetId())
}

func (v *visit) permissionForm(status int, f permissionForm) error {
	var err error
	if f.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	types, err := v.c.API.Event.ListEventTypes(v.ctx, &munimentv1.ListEventTypesRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	f.Known, f.Rights = newestRevisions(types.GetTypes()), eventRights
	return v.showAs(status, "permissionform", page.View{Nav: "permissions", Title: "Permit something", Data: f})
}

// grantPermission permits a user something: the one whose page it was asked for
// on, or the one with an e-mail address or an id.
func (v *visit) grantPermission() error {
	f := permissionForm{Who: v.form("who"), Right: v.form("right"), Types: v.form("types"), Scope: v.form("scope"), Back: "/console/permissions", Command: v.command()}
	u, err := v.permitted(&f)
	if err != nil {
		return v.permissionFailed(f, err)
	}
	if u == nil {
		f.WhoError = "Nobody here has this e-mail address or id."
		return v.permissionForm(http.StatusUnprocessableEntity, f)
	}
	if v.form("user") != "" {
		f.forUser(u)
	}
	_, err = v.c.API.Permission.GrantPermission(v.ctx, &munimentv1.GrantPermissionRequest{UserId: u.GetId(), Right: rightOf(f.Right), EventTypes: f.Types,
		Scope: scopeOf(f.Scope), CommandId: f.Command, Reason: v.form("reason")})
	if err != nil {
		return v.permissionFailed(f, err)
	}
	return v.done(f.Back, "Permitted. It holds from now on.")
}

// permitted finds for whom a permission is meant; nil if there is nobody.
func (v *visit) permitted(f *permissionForm) (*munimentv1.User, error) {
	id := v.form("user")
	if id == "" {
		id = f.Who
	}
	if parsed, err := event.ParseID(id); err == nil && !parsed.IsZero() {
		got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: parsed.String()})
		return got.GetUser(), v.unlessDenied(err)
	}
	if f.Who == "" {
		return nil, nil
	}
	found, err := v.c.API.User.ListUsers(v.ctx, &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{Email: f.Who}, PageSize: 1})
	if err != nil || len(found.GetUsers()) == 0 {
		return nil, err
	}
	return found.GetUsers()[0], nil
}

func (v *visit) permissionFailed(f permissionForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	to := &f.Problem
	if faultField(err) == "event_types" {
		to = &f.EventTypesError
	}
	*to = page.Sentence(fault.Public(err))
	return v.permissionForm(status, f)
}

func (v *visit) withdrawPermission() error {
	back := "/console/permissions"
	if u := v.form("back"); u != "" {
		back = path("console", "people", u)
	}
	_, err := v.c.API.Permission.WithdrawPermission(v.ctx, &munimentv1.WithdrawPermissionRequest{UserId: v.form("user"), Right: rightOf(v.form("right")),
		EventTypes: v.form("types"), Scope: scopeOf(v.form("scope")), CommandId: v.command()})
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "Withdrawn. It holds at once.")
}

// eventRights are the rights that permissions give, with what they mean to a
// person who chooses one.
var eventRights = [...]struct {
	Right       munimentv1.EventRight
	Key, Word   string
	Description string
}{
	{munimentv1.EventRight_EVENT_RIGHT_READ, "read", "Read", "see such events; what is sealed in them is withheld"},
	{munimentv1.EventRight_EVENT_RIGHT_UNSEAL, "unseal", "Unseal", "see what is sealed in those that they may read"},
	{munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "publish", "Publish", "record such events; no role gives this"},
}

// rightOf reads a right as the forms write it; an unknown one is unspecified.
func rightOf(key string) munimentv1.EventRight {
	for _, r := range eventRights {
		if r.Key == key {
			return r.Right
		}
	}
	return munimentv1.EventRight_EVENT_RIGHT_UNSPECIFIED
}

func eventRightKey(right munimentv1.EventRight) string {
	for _, r := range eventRights {
		if r.Right == right {
			return r.Key
		}
	}
	return ""
}

func eventRight(right munimentv1.EventRight) string {
	for _, r := range eventRights {
		if r.Right == right {
			return r.Word
		}
	}
	return "Unknown"
}
