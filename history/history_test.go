package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// told writes differences in short: list, kind, fields.
func told(ds []*munimentv1.Difference) (out []string) {
	for _, d := range ds {
		s := d.GetList() + " " + strings.ToLower(strings.TrimPrefix(d.GetKind().String(), "DIFFERENCE_KIND_"))
		for _, f := range d.GetFields() {
			show := func(v *munimentv1.FieldValue) string {
				switch {
				case v.GetErased():
					return "erased"
				case v == nil:
					return "-"
				}
				return fmt.Sprint(v.GetValue().AsInterface())
			}
			if !strings.HasSuffix(f.GetPath(), "id") {
				s += fmt.Sprintf(" %s:%s>%s", f.GetPath()[1:], show(f.GetBefore()), show(f.GetAfter()))
			}
		}
		out = append(out, s)
	}
	return out
}

func types(d *munimentv1.Difference) (out []string) {
	for _, e := range d.GetEvents() {
		out = append(out, e.GetType())
	}
	return out
}

// What became of a person between two points is told by field, with the events
// that did it; after an erasure nothing of it can be read at either point.
func TestComparePerson(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	ada := i.Person(i.Org)
	project := i.Project(i.Org)
	at := func() uint64 { return uint64(i.Core.Log.Mark().Size) }
	from := at()
	name := "Augusta"
	instancetest.Must(i.API.User.ChangeProfile(ctx, &munimentv1.ChangeProfileRequest{UserId: ada, GivenName: &name}))
	instancetest.Must(i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: ada}))
	instancetest.Must(i.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}}))
	to := at()
	instancetest.Must(i.API.User.UnlockUser(ctx, &munimentv1.UnlockUserRequest{UserId: ada}))
	ask := func(from, to uint64) []*munimentv1.Difference {
		return instancetest.Must(i.API.History.Compare(ctx, &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: "user:" + ada}, FromPosition: from, ToPosition: to})).GetDifferences()
	}
	got := ask(from, to)
	if s := told(got); len(s) != 2 || !strings.Contains(s[0], "users changed") || !strings.Contains(s[0], ">Augusta") || !strings.Contains(s[0], "locked:false>true") || !strings.HasPrefix(s[1], "grants added") {
		t.Errorf("%q", s)
	}
	if !slices.Equal(types(got[0]), []string{"user.profile.changed", "user.locked"}) || !slices.Equal(types(got[1]), []string{"grant.roles.granted"}) {
		t.Errorf("%v %v", types(got[0]), types(got[1]))
	}
	if s := told(ask(from, 0)); len(s) != 2 || strings.Contains(s[0], "locked") {
		t.Errorf("a lock that was taken back: %q", s)
	}
	if s := told(ask(to, to)); len(s) != 0 {
		t.Errorf("a point and itself differ: %q", s)
	}
	if s := told(ask(0, from)); len(s) != 1 || !strings.HasPrefix(s[0], "users added") {
		t.Errorf("from the beginning: %q", s)
	}
	instancetest.Must(i.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: ada}))
	i.Erased(ada)
	if s := strings.Join(told(ask(from, to)), " "); strings.Contains(s, "Augusta") || !strings.Contains(s, "locked:false>true") {
		t.Errorf("after the erasure: %q", s)
	}
	for field, req := range map[string]*munimentv1.CompareRequest{
		"filter.object": {Filter: &munimentv1.Comparison{Object: "grant:" + ada}},
		"filter.list":   {Filter: &munimentv1.Comparison{List: "keys"}},
		"to_position":   {Filter: &munimentv1.Comparison{List: "users"}, FromPosition: to, ToPosition: from},
		"from_position": {Filter: &munimentv1.Comparison{List: "users"}, FromPosition: at() + 1000},
		"page_token":    {Filter: &munimentv1.Comparison{List: "users"}, PageToken: "AAAA"},
	} {
		_, err := i.API.History.Compare(ctx, req)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	for _, both := range []*munimentv1.Comparison{{}, {Object: "user:" + ada, List: "users"}} {
		_, err := i.API.History.Compare(ctx, &munimentv1.CompareRequest{Filter: both})
		instancetest.Want(t, err, fault.Invalid, "filter.object")
	}
}

// Differences are seen by those who see what differs; a list is the same over
// pages of any size.
func TestCompareShowsWhatMayBeSeen(t *testing.T) {
	i := instancetest.New(t)
	mine, foreign := i.Organization(), i.Organization()
	person, other := i.Person(mine), i.Person(foreign)
	project, theirs := i.Project(mine), i.Project(foreign)
	i.Application(project)
	i.Application(theirs)
	for _, p := range []string{project, theirs} {
		instancetest.Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: other, ProjectId: p, RoleKeys: []string{"editor"}}))
	}
	viewer := i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	auditor := i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR)
	for user, org := range map[string]string{viewer: mine, other: foreign} {
		instancetest.Must(i.API.Permission.GrantPermission(i.AsOwner(), &munimentv1.GrantPermissionRequest{
			UserId: user, Right: munimentv1.EventRight_EVENT_RIGHT_READ, EventTypes: "order-*", Scope: instancetest.In(org)}))
	}
	lists := []string{"users", "organizations", "projects", "roles", "applications", "grants", "members", "permissions"}
	count := func(who, list string, size int32) (n, events int) {
		req := &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{List: list}, PageSize: size}
		for {
			got := instancetest.Must(i.API.History.Compare(i.As(who), req))
			for _, d := range got.GetDifferences() {
				n, events = n+1, events+len(d.GetEvents())
			}
			if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
				return n, events
			}
		}
	}
	for who, want := range map[string][]int{
		i.Owner: {5, 3, 3, 2, 3, 2, 3, 2},
		viewer:  {3, 1, 1, 1, 1, 1, 2, 1},
		auditor: {3, 1, 1, 1, 1, 1, 2, 1},
		other:   {1, 0, 0, 0, 0, 2, 0, 1},
	} {
		for n, list := range lists {
			one, events := count(who, list, 1)
			many, _ := count(who, list, 500)
			if one != want[n] || many != want[n] {
				t.Errorf("%s: %d differences, %d in pages of one, want %d", list, many, one, want[n])
			}
			if who == viewer && list == "projects" && events > 0 {
				t.Errorf("%s: a viewer is shown %d events", list, events)
			}
			if who == auditor && list == "projects" && events == 0 {
				t.Errorf("%s: an auditor is shown no events", list)
			}
		}
	}
	for _, object := range []string{"user:" + other, "project:" + theirs, "organization:" + foreign, "user:" + event.NewID().String()} {
		_, err := i.API.History.Compare(i.As(viewer), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: object}})
		instancetest.Want(t, err, fault.NotFound, "")
	}
	own := instancetest.Must(i.API.History.Compare(i.As(person), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: "user:" + person}}))
	if len(own.GetDifferences()) != 1 {
		t.Errorf("of oneself: %v", told(own.GetDifferences()))
	}
}

// Who held a role, since when, by whom, and what ended it, at any point.
func TestRoleHolders(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	ada, bob := i.Person(i.Org), i.Person(i.Org)
	admin := i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN)
	project := i.Project(i.Org)
	grant := func(as, user string) uint64 {
		return instancetest.Must(i.API.Grant.GrantRole(i.As(as), &munimentv1.GrantRoleRequest{UserId: user, ProjectId: project, RoleKeys: []string{"editor"}})).GetChange().GetPosition()
	}
	g1 := grant(i.Owner, ada)
	g2 := grant(admin, bob)
	w1 := instancetest.Must(i.API.Grant.WithdrawRole(i.As(admin), &munimentv1.WithdrawRoleRequest{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}})).GetChange().GetPosition()
	g3 := grant(i.Owner, ada)
	end := instancetest.Must(i.API.Project.RemoveRole(ctx, &munimentv1.RemoveRoleRequest{ProjectId: project, Key: "editor"})).GetChange().GetPosition()
	ask := func(at uint64, f *munimentv1.HolderFilter) (out []string) {
		req := &munimentv1.ListRoleHoldersRequest{Filter: f, Read: &munimentv1.Read{AtPosition: at}, PageSize: 1}
		for {
			got := instancetest.Must(i.API.History.ListRoleHolders(ctx, req))
			for _, h := range got.GetHoldings() {
				who := map[string]string{ada: "ada", bob: "bob"}[h.GetUserId()]
				by := func(e *munimentv1.Event) string {
					return map[string]string{i.Owner: "owner", admin: "admin"}[e.GetActor().GetId()]
				}
				s := fmt.Sprintf("%s %s %d by %s", who, h.GetRoleKey(), h.GetSincePosition(), by(h.GetGranted()))
				if h.GetUntil() != nil {
					s += fmt.Sprintf(" until %d by %s", h.GetUntilPosition(), by(h.GetEnded()))
				}
				out = append(out, s)
			}
			if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
				return out
			}
		}
	}
	first := fmt.Sprintf("ada editor %d by owner", g1)
	second := fmt.Sprintf("bob editor %d by admin", g2)
	third := fmt.Sprintf("ada editor %d by owner", g3)
	ended := fmt.Sprintf(" until %d by admin", w1)
	all := fmt.Sprintf(" until %d by owner", end)
	of := &munimentv1.HolderFilter{ProjectId: project}
	for _, c := range []struct {
		at   uint64
		f    *munimentv1.HolderFilter
		want []string
	}{
		{g1 - 1, of, nil},
		{g1, of, []string{first}},
		{g2, of, []string{second, first}},
		{w1, of, []string{second}},
		{w1, &munimentv1.HolderFilter{ProjectId: project, IncludeEnded: true}, []string{second, first + ended}},
		{0, of, nil},
		{0, &munimentv1.HolderFilter{ProjectId: project, IncludeEnded: true}, []string{third + all, second + all, first + ended}},
		{0, &munimentv1.HolderFilter{UserId: bob, IncludeEnded: true}, []string{second + all}},
		{g2, &munimentv1.HolderFilter{ProjectId: project, RoleKey: "auditor"}, nil},
	} {
		if got := ask(c.at, c.f); !slices.Equal(got, c.want) {
			t.Errorf("at %d, %v: %q, want %q", c.at, c.f, got, c.want)
		}
	}
	// A viewer sees who, not by whom: that is in the events.
	viewer := i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	got := instancetest.Must(i.API.History.ListRoleHolders(i.As(viewer), &munimentv1.ListRoleHoldersRequest{Filter: of, Read: &munimentv1.Read{AtPosition: g2}})).GetHoldings()
	if len(got) != 2 || got[0].GetGranted() != nil || got[0].GetSince() == nil {
		t.Errorf("%v", got)
	}
	if got := instancetest.Must(i.API.History.ListRoleHolders(i.As(ada), &munimentv1.ListRoleHoldersRequest{Filter: of, Read: &munimentv1.Read{AtPosition: g2}})).GetHoldings(); len(got) != 1 || got[0].GetUserId() != ada {
		t.Errorf("of oneself: %v", got)
	}
	// Who administered what.
	gone := instancetest.Must(i.API.Member.RemoveMember(ctx, &munimentv1.RemoveMemberRequest{UserId: admin, Scope: instancetest.In(i.Org), Role: munimentv1.MemberRole_MEMBER_ROLE_ADMIN})).GetChange().GetPosition()
	admins := instancetest.Must(i.API.History.ListAdministrators(ctx, &munimentv1.ListAdministratorsRequest{Filter: &munimentv1.AdministratorFilter{UserId: admin, IncludeEnded: true}})).GetHoldings()
	if len(admins) != 1 || admins[0].GetUntilPosition() != gone || admins[0].GetScope().GetOrganizationId() != i.Org || admins[0].GetRole() != munimentv1.MemberRole_MEMBER_ROLE_ADMIN || admins[0].GetGranted().GetType() != "member.added" {
		t.Errorf("%v", admins)
	}
	if now := instancetest.Must(i.API.History.ListAdministrators(ctx, &munimentv1.ListAdministratorsRequest{Filter: &munimentv1.AdministratorFilter{Scope: instancetest.In("")}})).GetHoldings(); len(now) != 1 || now[0].GetUserId() != i.Owner {
		t.Errorf("of the instance: %v", now)
	}
}
