package memberapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

type (
	add    = munimentv1.AddMemberRequest
	remove = munimentv1.RemoveMemberRequest
	filter = munimentv1.MemberFilter
)

const (
	owner  = munimentv1.MemberRole_MEMBER_ROLE_OWNER
	admin  = munimentv1.MemberRole_MEMBER_ROLE_ADMIN
	viewer = munimentv1.MemberRole_MEMBER_ROLE_VIEWER
)

// A membership holds from one change to the other, and at once.
func TestMembers(t *testing.T) {
	i := instancetest.New(t)
	ctx, ada, bob := i.AsOwner(), i.Person(i.Org), i.Person(i.Org)
	lock := func(as string) error {
		_, err := i.API.User.ChangeEmail(i.As(as), &munimentv1.ChangeEmailRequest{UserId: bob, Email: i.Name("bob") + "@example.org"})
		return err
	}
	instancetest.Want(t, lock(ada), fault.Denied, "")
	instancetest.Must(i.API.Member.AddMember(ctx, &add{UserId: ada, Scope: instancetest.In(i.Org), Role: admin}))
	if err := lock(ada); err != nil {
		t.Errorf("as an admin: %v", err)
	}
	instancetest.Must(i.API.Member.RemoveMember(ctx, &remove{UserId: ada, Scope: instancetest.In(i.Org), Role: admin}))
	instancetest.Want(t, lock(ada), fault.Denied, "")

	_, err := i.API.Member.RemoveMember(ctx, &remove{UserId: ada, Scope: instancetest.In(i.Org), Role: admin})
	instancetest.Want(t, err, fault.Refused, "")
	instancetest.Must(i.API.Member.AddMember(ctx, &add{UserId: ada, Scope: instancetest.In(i.Org), Role: viewer}))
	_, err = i.API.Member.AddMember(ctx, &add{UserId: ada, Scope: instancetest.In(i.Org), Role: viewer})
	instancetest.Want(t, err, fault.Refused, "")
	_, err = i.API.Member.RemoveMember(ctx, &remove{UserId: i.Owner, Scope: instancetest.In(""), Role: owner})
	if k := instancetest.Kind(t, err); k != fault.Refused && k != fault.Denied {
		t.Errorf("the last owner went: %v", err)
	}
}

// Filters select memberships by user, scope and role; people see their own.
func TestListMembers(t *testing.T) {
	i := instancetest.New(t)
	other := i.Organization()
	ada := i.Member(other, viewer)
	instancetest.Must(i.API.Member.AddMember(i.AsOwner(), &add{UserId: ada, Scope: instancetest.In(""), Role: viewer}))
	plain := i.Person(other)
	bob := i.Member(other, admin)
	for name, c := range map[string]struct {
		as   string
		f    *filter
		want int
	}{
		"all":                    {i.Owner, nil, 4},
		"of the instance":        {i.Owner, &filter{Scope: instancetest.In("")}, 2},
		"of an organization":     {i.Owner, &filter{Scope: instancetest.In(other)}, 2},
		"of a user":              {i.Owner, &filter{UserId: ada}, 2},
		"with a role":            {i.Owner, &filter{Role: owner}, 1},
		"all of these":           {i.Owner, &filter{UserId: ada, Scope: instancetest.In(other), Role: viewer}, 1},
		"as a viewer of all":     {ada, nil, 4},
		"as an admin":            {bob, nil, 2},
		"as an admin, elsewhere": {bob, &filter{Scope: instancetest.In("")}, 0},
		"as nobody's member":     {plain, nil, 0},
	} {
		m := instancetest.Must(i.API.Member.ListMembers(i.As(c.as), &munimentv1.ListMembersRequest{Filter: c.f})).GetMembers()
		if len(m) != c.want {
			t.Errorf("%s: %v, want %d", name, m, c.want)
		}
	}
	m := instancetest.Must(i.API.Member.ListMembers(i.As(bob), &munimentv1.ListMembersRequest{Filter: &filter{UserId: bob}})).GetMembers()
	if len(m) != 1 || m[0].GetRole() != admin || m[0].GetScope().GetOrganizationId() != other || m[0].GetPosition() == 0 || !m[0].GetCreated().IsValid() {
		t.Errorf("%v", m)
	}
}
