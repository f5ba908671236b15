package instancetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// furnished is an organization with one of everything.
type furnished struct {
	org, user, project, app, session, subscription, adapter, entity string
}

func (i *Instance) furnish() (f furnished) {
	f.org = i.Organization()
	f.user = i.Person(f.org)
	f.project = i.Project(f.org)
	f.app = i.Application(f.project)
	Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: f.user, ProjectId: f.project, RoleKeys: []string{"editor"}}))
	Must(i.API.Member.AddMember(i.AsOwner(), &munimentv1.AddMemberRequest{UserId: f.user, Scope: In(f.org), Role: munimentv1.MemberRole_MEMBER_ROLE_VIEWER}))
	Must(i.API.Permission.GrantPermission(i.AsOwner(), i.permission(f.user, f.org)))
	f.subscription = i.Subscription(f.org)
	f.entity = i.Entity(f.org)
	f.adapter = i.Adapter(f.org)
	f.session = i.SignedIn(f.user).Begun.Session.String()
	return f
}

// gets are the methods that answer what one id names.
func gets(f furnished) []proto.Message {
	return []proto.Message{
		&munimentv1.GetOrganizationRequest{OrganizationId: f.org},
		&munimentv1.ListDomainsRequest{OrganizationId: f.org},
		&munimentv1.GetUserRequest{UserId: f.user},
		&munimentv1.GetErasureRequest{UserId: f.user},
		&munimentv1.ListSessionsRequest{UserId: f.user},
		&munimentv1.ListUserApplicationsRequest{UserId: f.user},
		&munimentv1.GetProjectRequest{ProjectId: f.project},
		&munimentv1.ListRolesRequest{ProjectId: f.project},
		&munimentv1.GetApplicationRequest{ApplicationId: f.app},
		&munimentv1.GetSubscriptionRequest{SubscriptionId: f.subscription},
		&munimentv1.GetAdapterRequest{AdapterId: f.adapter},
		&munimentv1.ListAdapterFailuresRequest{AdapterId: f.adapter},
		&munimentv1.GetEntityRequest{Type: "house", EntityId: f.entity},
		&munimentv1.ListEntityChangesRequest{Type: "house", EntityId: f.entity},
		&munimentv1.ListRelatedEntitiesRequest{Type: "house", EntityId: f.entity},
	}
}

// lists are the methods that answer what the caller may see.
func lists() []proto.Message {
	return []proto.Message{
		&munimentv1.ListOrganizationsRequest{}, &munimentv1.ListUsersRequest{}, &munimentv1.ListProjectsRequest{},
		&munimentv1.ListApplicationsRequest{}, &munimentv1.ListGrantsRequest{}, &munimentv1.ListMembersRequest{},
		&munimentv1.ListPermissionsRequest{}, &munimentv1.ListSubscriptionsRequest{}, &munimentv1.ListAdaptersRequest{},
		&munimentv1.ListEntitiesRequest{Type: "house"},
	}
}

// An object is seen by those who may read its organization, by the owner, and,
// if it is theirs, by its person; to everybody else it is as if it did not exist.
func TestGet(t *testing.T) {
	i := New(t)
	mine, foreign := i.furnish(), i.furnish()
	viewer := i.Member(mine.org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	plain := i.Person(mine.org)
	for n, req := range gets(mine) {
		name := string(req.ProtoReflect().Descriptor().Name())
		unknown := req
		for _, field := range ids(req) {
			unknown = with(unknown, field, event.NewID().String())
		}
		for who, ctx := range map[string]context.Context{"the owner": i.AsOwner(), "a viewer": i.As(viewer)} {
			if _, err := i.call(ctx, req); err != nil {
				t.Errorf("%s as %s: %v", name, who, err)
			}
			if _, err := i.call(ctx, unknown); err == nil || Kind(t, err) != fault.NotFound {
				t.Errorf("%s of what there is not, as %s: %v", name, who, err)
			}
		}
		if _, err := i.call(i.As(plain), req); err == nil || Kind(t, err) != fault.NotFound {
			t.Errorf("%s as somebody without rights: %v", name, err)
		}
		same(t, name, i, i.As(viewer), gets(foreign)[n], unknown)
		own := strings.Contains(name, "User") || strings.Contains(name, "Erasure") || strings.Contains(name, "Session")
		if _, err := i.call(i.As(foreign.user), gets(foreign)[n]); own && err != nil {
			t.Errorf("%s of one's own: %v", name, err)
		}
	}
}

// entries are the ids of what a list answered, and its next token.
func entries(m proto.Message) (found []string, next string) {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	next = r.Get(fields.ByName("next_page_token")).String()
	list := r.Get(fields.ByNumber(1)).List()
	for n := range list.Len() {
		found = append(found, list.Get(n).Message().Interface().(interface{ String() string }).String())
	}
	return found, next
}

func (i *Instance) page(t *testing.T, ctx context.Context, req proto.Message, size int32, token string) ([]string, string) {
	t.Helper()
	req = with(req, "page_token", token)
	req.ProtoReflect().Set(req.ProtoReflect().Descriptor().Fields().ByName("page_size"), protoreflect.ValueOfInt32(size))
	m, err := i.call(ctx, req)
	if err != nil {
		t.Fatalf("%s: %v", req.ProtoReflect().Descriptor().Name(), err)
	}
	return entries(m)
}

// Lists hold what the caller may see, and pages of it are full: what they may
// not see leaves no gap.
func TestLists(t *testing.T) {
	i := New(t)
	a := i.furnish()
	for range 3 { // others' things between
		i.furnish()
		p := i.Project(a.org)
		Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: a.user, ProjectId: p, RoleKeys: []string{"editor"}}))
		i.Application(p)
		i.Subscription(a.org)
		i.Adapter(a.org)
		i.Entity(a.org)
		member := i.Member(a.org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
		Must(i.API.Permission.GrantPermission(i.AsOwner(), i.permission(member, a.org)))
	}
	viewer := i.As(i.Member(a.org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER))
	plain := i.Person(a.org)
	for _, req := range lists() {
		name := string(req.ProtoReflect().Descriptor().Name())
		var all []string
		seen := map[string]bool{}
		for token := ""; ; {
			found, next := i.page(t, viewer, req, 2, token)
			if next != "" && len(found) != 2 {
				t.Errorf("%s: a page of %d before the last", name, len(found))
			}
			for _, f := range found {
				if seen[f] || !strings.Contains(f, a.org) {
					t.Errorf("%s: twice, or not of the caller's organization: %s", name, f)
				}
				seen[f] = true
			}
			if all, token = append(all, found...), next; next == "" {
				break
			}
		}
		want := 4
		switch name {
		case "ListOrganizationsRequest":
			want = 1
		case "ListUsersRequest":
			want = 6
		case "ListMembersRequest":
			want = 5
		}
		if len(all) != want {
			t.Errorf("%s: %d entries, want %d", name, len(all), want)
		}
		if everything, _ := i.page(t, i.AsOwner(), req, 500, ""); len(everything) <= len(all) && name != "ListOrganizationsRequest" {
			t.Errorf("%s: the owner sees %d", name, len(everything))
		}
		for _, f := range first(i.page(t, i.As(plain), req, 500, "")) {
			if name != "ListUsersRequest" || !strings.Contains(f, plain) {
				t.Errorf("%s: somebody without rights sees %s", name, f)
			}
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// Sizes and tokens of pages are read strictly.
func TestPages(t *testing.T) {
	i := New(t)
	f := i.furnish()
	i.furnish()
	_, usersNext := i.page(t, i.AsOwner(), &munimentv1.ListUsersRequest{}, 1, "")
	all := append(lists(), &munimentv1.ListSessionsRequest{UserId: f.user}, &munimentv1.ListRolesRequest{ProjectId: f.project})
	for _, req := range all {
		name := string(req.ProtoReflect().Descriptor().Name())
		size := req.ProtoReflect().Descriptor().Fields().ByName("page_size")
		for _, n := range []int32{-1, 501, 1 << 30} {
			bad := proto.Clone(req)
			bad.ProtoReflect().Set(size, protoreflect.ValueOfInt32(n))
			if _, err := i.call(i.AsOwner(), bad); err == nil || Kind(t, err) != fault.Invalid || api.Explain(err).GetField() != "page_size" {
				t.Errorf("%s with %d: %v", name, n, err)
			}
		}
		for _, token := range []string{"x", "AAAA", strings.Repeat("A", 5000), usersNext} {
			if name == "ListUsersRequest" && token == usersNext {
				continue
			}
			_, err := i.call(i.AsOwner(), with(req, "page_token", token))
			if err == nil || Kind(t, err) != fault.Invalid || api.Explain(err).GetField() != "page_token" {
				t.Errorf("%s with token %.20q: %v", name, token, err)
			}
		}
	}
}

// A read is at least as fresh as the last change before it, or as a place that
// the caller names, and can be of the past; what it shows is said in the
// answer's Muniment-Position.
func TestFreshness(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	org := i.Organization()
	was := Must(i.API.Organization.GetOrganization(ctx, &munimentv1.GetOrganizationRequest{OrganizationId: org})).GetOrganization()
	ch := Must(i.API.Organization.RenameOrganization(ctx, &munimentv1.RenameOrganizationRequest{OrganizationId: org, Name: "Later"})).GetChange()
	name := func(ctx context.Context, r *munimentv1.Read) (string, error) {
		m, err := i.API.Organization.GetOrganization(ctx, &munimentv1.GetOrganizationRequest{OrganizationId: org, Read: r})
		return m.GetOrganization().GetName(), err
	}
	if n := Must(name(ctx, nil)); n != "Later" {
		t.Errorf("after the change it is %q", n)
	}
	if n := Must(name(Seen(ctx, ch), &munimentv1.Read{StaleOk: true})); n != "Later" {
		t.Errorf("a stale read behind the change says %q", n)
	}
	if n := Must(name(ctx, &munimentv1.Read{AtPosition: was.GetPosition()})); n != was.GetName() {
		t.Errorf("at %d it was %q, not %q", was.GetPosition(), was.GetName(), n)
	}
	_, err := name(ctx, &munimentv1.Read{AtPosition: was.GetPosition() - 1})
	Want(t, err, fault.NotFound, "")
	_, err = name(ctx, &munimentv1.Read{AtPosition: ch.GetPosition() + 1000})
	Want(t, err, fault.Invalid, "read.at_position")
	_, err = name(Seen(ctx, &munimentv1.Change{LogId: ch.GetLogId(), Position: ch.GetPosition() + 1000}), nil)
	Want(t, err, fault.Invalid, "Muniment-Position")
	_, err = name(Seen(ctx, &munimentv1.Change{LogId: event.NewID().String(), Position: 1}), nil)
	Want(t, err, fault.Invalid, "Muniment-Position")
	for _, r := range []*munimentv1.Read{nil, {AtPosition: was.GetPosition()}} {
		ctx, info := connect.NewClientContext(ctx)
		Must(i.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{Read: r}))
		p, err := call.ParsePlace(info.ResponseHeader().Get(api.PositionHeader))
		if err != nil || p.Log != i.Core.Log.ID() || r == nil && uint64(p.Position) < ch.GetPosition() || r != nil && uint64(p.Position) != was.GetPosition() {
			t.Errorf("the answer to %v says it shows %v, %v", r, p, err)
		}
	}
}

// Every method that answers how things stood takes a position or a time, and
// refuses those of which nothing can be known.
func TestEveryReadHonoursItsPoint(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	f := i.furnish()
	hosted, _ := i.Hosted()
	born := Must(i.API.Event.GetEvent(ctx, &munimentv1.GetEventRequest{Position: 1})).GetEvent().GetTime().AsTime()
	mark := i.Core.Log.Mark()
	known := map[string]proto.Message{}
	for _, req := range append(append(gets(f), lists()...), &munimentv1.GetHostedInstanceRequest{InstanceId: hosted}) {
		known[string(req.ProtoReflect().Descriptor().Name())] = req
	}
	tried := 0
	i.eachMethod(func(name string, req proto.Message) {
		fields := req.ProtoReflect().Descriptor().Fields()
		read := fields.ByName("read")
		if read == nil {
			return
		}
		tried++
		if k := known[string(req.ProtoReflect().Descriptor().Name())]; k != nil {
			req = k
		}
		ask := func(r *munimentv1.Read) (string, error) {
			req := proto.Clone(req)
			req.ProtoReflect().Set(read, protoreflect.ValueOfMessage(r.ProtoReflect()))
			m, err := i.call(ctx, req)
			if err != nil {
				return "", err
			}
			return prototext.MarshalOptions{}.Format(m), nil
		}
		for field, r := range map[string]*munimentv1.Read{
			"read.at_position": {AtPosition: uint64(mark.Size) + 10_000},
			"read.at_time":     {AtPosition: 1, AtTime: timestamppb.New(mark.Time)},
		} {
			_, err := ask(r)
			Want(t, err, fault.Invalid, field)
		}
		for _, at := range []time.Time{born.Add(-time.Microsecond), time.Now().Add(time.Hour)} {
			if _, err := ask(&munimentv1.Read{AtTime: timestamppb.New(at)}); err == nil || Kind(t, err) != fault.Invalid || api.Explain(err).GetField() != "read.at_time" {
				t.Errorf("%s at %v: %v", name, at, err)
			}
		}
		then, err := ask(&munimentv1.Read{AtPosition: uint64(mark.Size)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if by, err := ask(&munimentv1.Read{AtTime: timestamppb.New(mark.Time)}); err != nil || strings.Join(strings.Fields(by), " ") != strings.Join(strings.Fields(then), " ") {
			t.Errorf("%s by time: %v %s\nby position: %s", name, err, by, then)
		}
	})
	if tried < 10 {
		t.Errorf("%d methods were tried", tried)
	}
}

// Filters with what there is not are refused by name.
func TestFilters(t *testing.T) {
	i := New(t)
	long := strings.Repeat("x", 201)
	for field, req := range map[string]proto.Message{
		"filter.state":           &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{State: 77}},
		"filter.prefix":          &munimentv1.ListUsersRequest{Filter: &munimentv1.UserFilter{Prefix: long}},
		"filter.organization_id": &munimentv1.ListProjectsRequest{Filter: &munimentv1.ProjectFilter{OrganizationId: "x"}},
		"filter.name_prefix":     &munimentv1.ListProjectsRequest{Filter: &munimentv1.ProjectFilter{NamePrefix: long}},
		"filter.project_id":      &munimentv1.ListApplicationsRequest{Filter: &munimentv1.ApplicationFilter{ProjectId: "x"}},
		"filter.client_id":       &munimentv1.ListApplicationsRequest{Filter: &munimentv1.ApplicationFilter{ClientId: "x"}},
		"filter.user_id":         &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: "x"}},
		"filter.role":            &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{Role: 77}},
		"filter.right":           &munimentv1.ListPermissionsRequest{Filter: &munimentv1.PermissionFilter{Right: 77}},
		"filter.event_type":      &munimentv1.ListPermissionsRequest{Filter: &munimentv1.PermissionFilter{EventType: "order-*"}},
		"right":                  &munimentv1.GrantPermissionRequest{UserId: i.Owner, Scope: In(""), EventTypes: "*"},
		"event_types":            &munimentv1.GrantPermissionRequest{UserId: i.Owner, Scope: In(""), EventTypes: "order*", Right: 1},
		"filter.scope":           &munimentv1.ListMembersRequest{Filter: &munimentv1.MemberFilter{Scope: &munimentv1.Scope{}}},
		"role":                   &munimentv1.AddMemberRequest{UserId: i.Owner, Scope: In("")},
		"scope":                  &munimentv1.AddMemberRequest{UserId: i.Owner, Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER},
	} {
		_, err := i.call(i.AsOwner(), req)
		Want(t, err, fault.Invalid, field)
	}
	_, err := i.call(i.AsOwner(), &munimentv1.ListOrganizationsRequest{Filter: &munimentv1.OrganizationFilter{State: 77}})
	Want(t, err, fault.Invalid, "filter.state")
	_, err = i.call(i.AsOwner(), &munimentv1.AddMemberRequest{UserId: i.Owner, Role: 1, Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{}}})
	Want(t, err, fault.Invalid, "scope")
}

// The views that were kept up to date are those that are made anew from the log
// (P11, P12).
func TestViewsAreWhatTheLogSays(t *testing.T) {
	i := New(t)
	for _, c := range changes {
		req := c.request(i, i.Organization())
		Must(i.call(i.AsOwner(), req))
		i.Settled(req)
	}
	at, err := i.Core.Views.Check(t.Context(), nil, func(d view.Difference) { t.Error(d) })
	if err != nil || at < 50 {
		t.Errorf("compared up to %d: %v", at, err)
	}
}
