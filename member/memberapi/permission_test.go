package memberapi_test

import (
	"slices"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

type (
	grant    = munimentv1.GrantPermissionRequest
	withdraw = munimentv1.WithdrawPermissionRequest
	which    = munimentv1.PermissionFilter
)

const (
	publish = munimentv1.EventRight_EVENT_RIGHT_PUBLISH
	read    = munimentv1.EventRight_EVENT_RIGHT_READ
	unseal  = munimentv1.EventRight_EVENT_RIGHT_UNSEAL
)

// Permissions are listed by user, scope, right and type, as they are and as
// they were; people see their own.
func TestListPermissions(t *testing.T) {
	i := instancetest.New(t)
	ctx, other := i.AsOwner(), i.Organization()
	shop, bi := i.Machine(other), i.Machine(i.Org)
	for _, g := range []*grant{
		{UserId: shop, Right: publish, EventTypes: "order-created", Scope: instancetest.In(other)},
		{UserId: shop, Right: read, EventTypes: "order-*", Scope: instancetest.In(other)},
		{UserId: bi, Right: read, EventTypes: "*", Scope: instancetest.In("")},
		{UserId: bi, Right: unseal, EventTypes: "order.*", Scope: instancetest.In(i.Org)},
	} {
		instancetest.Must(i.API.Permission.GrantPermission(ctx, g))
	}
	before := instancetest.Must(i.API.Permission.ListPermissions(ctx, &munimentv1.ListPermissionsRequest{})).GetPermissions()
	list := func(as string, f *which, r *munimentv1.Read) (types []string) {
		for _, p := range instancetest.Must(i.API.Permission.ListPermissions(i.As(as), &munimentv1.ListPermissionsRequest{Filter: f, Read: r})).GetPermissions() {
			types = append(types, p.GetEventTypes())
		}
		return types
	}
	viewerThere, plain := i.Member(other, viewer), i.Person(other)
	for name, c := range map[string]struct {
		as   string
		f    *which
		want []string
	}{
		"all":                      {i.Owner, nil, []string{"order-created", "order-*", "*", "order.*"}},
		"of a user":                {i.Owner, &which{UserId: shop}, []string{"order-created", "order-*"}},
		"of the instance":          {i.Owner, &which{Scope: instancetest.In("")}, []string{"*"}},
		"of an organization":       {i.Owner, &which{Scope: instancetest.In(i.Org)}, []string{"order.*"}},
		"of a right":               {i.Owner, &which{Right: read}, []string{"order-*", "*"}},
		"over a type":              {i.Owner, &which{EventType: "order-created"}, []string{"order-created", "order-*", "*"}},
		"over another type":        {i.Owner, &which{EventType: "order.x.y"}, []string{"*", "order.*"}},
		"who may publish a type":   {i.Owner, &which{EventType: "order-paid", Right: publish}, nil},
		"as a viewer there":        {viewerThere, nil, []string{"order-created", "order-*"}},
		"as somebody":              {plain, nil, nil},
		"as whoever holds them":    {bi, nil, []string{"*", "order.*"}},
		"of another, as whoever":   {bi, &which{UserId: shop}, nil},
		"as whoever, with its own": {shop, &which{UserId: shop}, []string{"order-created", "order-*"}},
	} {
		if got := list(c.as, c.f, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	got := before[3]
	if got.GetUserId() != bi || got.GetRight() != unseal || got.GetScope().GetOrganizationId() != i.Org || got.GetPosition() == 0 || !got.GetCreated().IsValid() || got.GetPermissionId() == "" {
		t.Errorf("%v", got)
	}
	me := instancetest.Must(i.API.Me.GetMe(i.As(shop), &munimentv1.GetMeRequest{}))
	if len(me.GetPermissions()) != 2 {
		t.Errorf("a user has %v itself", me.GetPermissions())
	}

	at := &munimentv1.Read{AtPosition: got.GetPosition()}
	instancetest.Must(i.API.Permission.WithdrawPermission(ctx, &withdraw{UserId: bi, Right: read, EventTypes: "*", Scope: instancetest.In("")}))
	instancetest.Must(i.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: shop}))
	if now, then := list(i.Owner, nil, nil), list(i.Owner, nil, at); len(now) != 1 || len(then) != 4 {
		t.Errorf("now %v, then %v", now, then)
	}
	_, err := i.API.Permission.WithdrawPermission(ctx, &withdraw{UserId: bi, Right: read, EventTypes: "*", Scope: instancetest.In("")})
	instancetest.Want(t, err, fault.Refused, "")
}
