package userapi_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
	"muniment.dev/session/signin"
)

type (
	create = munimentv1.CreateUserRequest
	get    = munimentv1.GetUserRequest
	list   = munimentv1.ListUsersRequest
	filter = munimentv1.UserFilter
)

// must answers v, or panics.
func must[T any](v T, err error) T { return instancetest.Must(v, err) }

// canSignIn reports whether an address and a password open a session.
func canSignIn(t *testing.T, i *instancetest.Instance, email, password string) bool {
	t.Helper()
	_, err := i.SignIn.SignIn(call.WithFacts(t.Context(), call.Facts{}), signin.Attempt{Email: email, Password: password})
	return err == nil
}

// What a person is registered with is what is read; what is missing is refused
// by name.
func TestCreateUser(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	res := must(i.API.User.CreateUser(ctx, &create{OrganizationId: i.Org, Email: "Ada@Example.org", GivenName: "Ada", FamilyName: "Lovelace", Password: proto.String(instancetest.Password)}))
	if res.GetSetupLink() != nil {
		t.Error("somebody with a password got a link")
	}
	u := must(i.API.User.GetUser(ctx, &get{UserId: res.GetUserId()})).GetUser()
	if u.GetEmail().GetValue() != "Ada@Example.org" || u.GetDisplayName().GetValue() != "Ada Lovelace" || u.GetState() != munimentv1.UserState_USER_STATE_ACTIVE ||
		!u.GetPasswordSet() || u.GetOrganizationId() != i.Org || u.GetVersion() != 2 || u.GetPosition() != res.GetChange().GetPosition() || !u.GetCreated().AsTime().Equal(res.GetChange().GetTime().AsTime()) {
		t.Errorf("%v", u)
	}
	if !canSignIn(t, i, "ada@example.ORG", instancetest.Password) {
		t.Error("the first password does not work")
	}
	alone := must(i.API.User.GetUser(ctx, &get{UserId: must(i.API.User.CreateUser(ctx, &create{OrganizationId: i.Org, Email: "b@example.org", GivenName: "Bob"})).GetUserId()})).GetUser()
	if alone.GetFamilyName() != nil || alone.GetDisplayName().GetValue() != "Bob" || alone.GetPasswordSet() {
		t.Errorf("a name that was not given is there: %v", alone)
	}
	_, err := i.API.User.CreateUser(ctx, &create{OrganizationId: i.Org, Email: "aDa@example.org", GivenName: "Another"})
	instancetest.Want(t, err, fault.Exists, "")
	for field, bad := range map[string]*create{
		"email":        {OrganizationId: i.Org, Email: "no address", GivenName: "A"},
		"given_name":   {OrganizationId: i.Org, Email: "c@example.org"},
		"family_name":  {OrganizationId: i.Org, Email: "c@example.org", GivenName: "A", FamilyName: strings.Repeat("x", 201)},
		"display_name": {OrganizationId: i.Org, Email: "c@example.org", GivenName: "A", DisplayName: "a\x00b"},
		"password":     {OrganizationId: i.Org, Email: "c@example.org", GivenName: "A", Password: proto.String("short")},
	} {
		_, err := i.API.User.CreateUser(ctx, bad)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	shut := i.Organization()
	must(i.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: shut}))
	_, err = i.API.User.CreateUser(ctx, &create{OrganizationId: shut, Email: "d@example.org", GivenName: "D"})
	instancetest.Want(t, err, fault.Refused, "")
}

// A set-up link works once, and a newer one replaces it.
func TestSetupLinks(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	anonymous := call.WithFacts(t.Context(), call.Facts{})
	res := must(i.API.User.CreateUser(ctx, &create{OrganizationId: i.Org, Email: "ada@example.org", GivenName: "Ada"}))
	first := res.GetSetupLink()
	if !strings.HasPrefix(first.GetUrl(), "https://id.example.org/setup/") || !first.GetExpires().IsValid() {
		t.Fatalf("%v", first)
	}
	second := must(i.API.User.CreateSetupLink(ctx, &munimentv1.CreateSetupLinkRequest{UserId: res.GetUserId()})).GetSetupLink()
	if _, err := i.SignIn.UseSetup(anonymous, instancetest.Secret(first), "first of all words"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a link that was replaced: %v", err)
	}
	if _, err := i.SignIn.UseSetup(anonymous, instancetest.Secret(second), "second of all words"); err != nil {
		t.Errorf("the newer link: %v", err)
	}
	if _, err := i.SignIn.UseSetup(anonymous, instancetest.Secret(second), "third of all words"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a link that was used: %v", err)
	}
	if !canSignIn(t, i, "ada@example.org", "second of all words") || canSignIn(t, i, "ada@example.org", "third of all words") {
		t.Error("the password is not the one that was set")
	}
}

// Every way of finding people, and none that shows what a filter excludes.
func TestListUsers(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	other := i.Organization()
	add := func(org, email, given, family string) string {
		return must(i.API.User.CreateUser(ctx, &create{OrganizationId: org, Email: email, GivenName: given, FamilyName: family})).GetUserId()
	}
	ada, bob, eve := add(i.Org, "ada@example.org", "Ada", "Smith"), add(other, "bob@example.org", "Bob", "Adams"), add(other, "eve@example.org", "Eve", "Éclair")
	gone := add(other, "zoe@example.org", "Zoe", "Adams")
	must(i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: bob}))
	must(i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: eve}))
	must(i.API.User.DeactivateUser(ctx, &munimentv1.DeactivateUserRequest{UserId: eve}))
	must(i.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: gone}))
	for name, c := range map[string]struct {
		f    *filter
		want []string
	}{
		"all but the erased":      {nil, []string{i.Owner, ada, bob, eve}},
		"address in another case": {&filter{Email: "ADA@example.org"}, []string{ada}},
		"part of an address":      {&filter{Email: "ada@example"}, nil},
		"prefix of any name":      {&filter{Prefix: "ada"}, []string{ada, bob}},
		"prefix with an accent":   {&filter{Prefix: "éc"}, []string{eve}},
		"no pattern":              {&filter{Prefix: "%"}, nil},
		"an organization":         {&filter{OrganizationId: other}, []string{bob, eve}},
		"active":                  {&filter{State: munimentv1.UserState_USER_STATE_ACTIVE}, []string{i.Owner, ada}},
		"locked":                  {&filter{State: munimentv1.UserState_USER_STATE_LOCKED}, []string{bob}},
		"deactivated":             {&filter{State: munimentv1.UserState_USER_STATE_DEACTIVATED}, []string{eve}},
		"erased":                  {&filter{State: munimentv1.UserState_USER_STATE_ERASED}, []string{gone}},
		"all at once":             {&filter{State: munimentv1.UserState_USER_STATE_LOCKED, OrganizationId: other, Prefix: "b", Email: "bob@example.org"}, []string{bob}},
		"an erased address":       {&filter{Email: "zoe@example.org", State: munimentv1.UserState_USER_STATE_ERASED}, nil},
	} {
		var got []string
		for _, u := range must(i.API.User.ListUsers(ctx, &list{Filter: c.f})).GetUsers() {
			got = append(got, u.GetId())
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	must(i.API.User.ReactivateUser(ctx, &munimentv1.ReactivateUserRequest{UserId: eve}))
	if u := must(i.API.User.GetUser(ctx, &get{UserId: eve})).GetUser(); u.GetState() != munimentv1.UserState_USER_STATE_LOCKED {
		t.Errorf("locked before it was out of use, now %v", u.GetState())
	}
}

// A password is changed by whoever knows the present one, and administrators
// set another; sessions end with it.
func TestPasswords(t *testing.T) {
	i := instancetest.New(t)
	ada := i.Person(i.Org)
	ctx, email := i.As(ada), i.Email(ada)
	session := i.SignedIn(ada)
	change := func(old, new string) error {
		_, err := i.API.User.ChangePassword(ctx, &munimentv1.ChangePasswordRequest{OldPassword: old, NewPassword: new})
		return err
	}
	instancetest.Want(t, change("wrong horse", "quite another one"), fault.Denied, "")
	instancetest.Want(t, change(instancetest.Password, "short"), fault.Invalid, "new_password")
	if err := change(instancetest.Password, "quite another one"); err != nil {
		t.Fatal(err)
	}
	if canSignIn(t, i, email, instancetest.Password) || !canSignIn(t, i, email, "quite another one") {
		t.Error("the password is not the new one")
	}
	if _, err := i.SignIn.Session(t.Context(), session.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a session from before the change: %v", err)
	}
	must(i.API.User.SetPassword(i.AsOwner(), &munimentv1.SetPasswordRequest{UserId: ada, Password: "set by the owner"}))
	if !canSignIn(t, i, email, "set by the owner") {
		t.Error("the password that was set does not work")
	}
	_, err := i.API.User.SetPassword(i.AsOwner(), &munimentv1.SetPasswordRequest{UserId: ada, Password: "short"})
	instancetest.Want(t, err, fault.Invalid, "password")
	for range 20 {
		if err = change("wrong horse", "quite another one"); instancetest.Kind(t, err) == fault.Exhausted {
			return
		}
	}
	t.Errorf("after 20 wrong ones: %v, want exhausted", err)
}

// A person sees and renames themself, and changes nothing else of theirs.
func TestSelf(t *testing.T) {
	i := instancetest.New(t)
	ada := i.Person(i.Org)
	ctx := i.As(ada)
	must(i.API.User.ChangeProfile(ctx, &munimentv1.ChangeProfileRequest{UserId: ada, DisplayName: proto.String("Countess")}))
	u := must(i.API.User.GetUser(ctx, &get{UserId: ada})).GetUser()
	if u.GetDisplayName().GetValue() != "Countess" || u.GetFamilyName().GetValue() != "Smith" {
		t.Errorf("%v", u)
	}
	must(i.API.User.ChangeProfile(ctx, &munimentv1.ChangeProfileRequest{UserId: ada, DisplayName: proto.String(""), FamilyName: proto.String("")}))
	if u := must(i.API.User.GetUser(ctx, &get{UserId: ada})).GetUser(); u.GetFamilyName() != nil || u.GetDisplayName().GetValue() != u.GetGivenName().GetValue() {
		t.Errorf("%v", u)
	}
	_, err := i.API.User.ChangeEmail(ctx, &munimentv1.ChangeEmailRequest{UserId: ada, Email: "a@example.org"})
	instancetest.Want(t, err, fault.Denied, "")
	_, err = i.API.User.SetPassword(ctx, &munimentv1.SetPasswordRequest{UserId: ada, Password: "without the old one"})
	instancetest.Want(t, err, fault.Denied, "")
	for _, err := range []error{
		func() error {
			_, err := i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: i.Owner})
			return err
		}(),
		func() error {
			_, err := i.API.User.EraseUser(i.AsOwner(), &munimentv1.EraseUserRequest{UserId: i.Owner})
			return err
		}(),
	} {
		instancetest.Want(t, err, fault.Denied, "") // nobody locks themself out
	}
}

// The admin of one organization does not become the owner of the instance.
func TestNoTakeover(t *testing.T) {
	i := instancetest.New(t)
	admin := i.As(i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN)) // the owner is of this organization, too
	_, err := i.API.User.SetPassword(admin, &munimentv1.SetPasswordRequest{UserId: i.Owner, Password: "now I am the owner"})
	instancetest.Want(t, err, fault.Denied, "")
	_, err = i.API.User.CreateSetupLink(admin, &munimentv1.CreateSetupLinkRequest{UserId: i.Owner})
	instancetest.Want(t, err, fault.Denied, "")
	_, err = i.API.User.EraseUser(admin, &munimentv1.EraseUserRequest{UserId: i.Owner})
	instancetest.Want(t, err, fault.Denied, "")
}
