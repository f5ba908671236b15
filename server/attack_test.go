package server

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session/signin"
)

// hire registers a person of the first organization with a role: there, or in
// the whole instance.
func (w *world) hire(email string, role munimentv1.MemberRole, whole bool) event.ID {
	w.t.Helper()
	pass := "four words of one"
	ctx := w.as(w.owner)
	id := must[*munimentv1.CreateUserResponse](w.t)(w.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{Email: email, GivenName: "X", OrganizationId: w.org, Password: &pass})).GetUserId()
	scope := &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: w.org}}
	if whole {
		scope = &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	}
	if role != munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED {
		must[*munimentv1.AddMemberResponse](w.t)(w.API.Member.AddMember(ctx, &munimentv1.AddMemberRequest{UserId: id, Role: role, Scope: scope}))
	}
	return event.MustID(id)
}

func (w *world) refused(kind fault.Kind, what string, err error) {
	w.t.Helper()
	if err == nil || fault.KindOf(api.AsFault(err)) != kind {
		w.t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// Whoever administers one organization, or the instance without owning it, does
// not get at the owner's authority: not through the application by which people
// sign in to the API, not by locking the owner out.
func TestNoWayToTheOwner(t *testing.T) {
	w := newWorld(t)
	cli := w.Core.Instance.CLI.String()
	app := must[*munimentv1.GetApplicationResponse](t)(w.API.Application.GetApplication(w.as(w.owner), &munimentv1.GetApplicationRequest{ApplicationId: cli})).GetApplication()
	live := must[signin.Session](t)(w.SignIn.SignIn(call.WithFacts(t.Context(), call.Facts{}), signin.Attempt{Email: ownerEmail, Password: ownerPassword})).Begun.Session.String()
	for name, by := range map[string]context.Context{
		"the organization's owner": w.as(w.hire("o@example.org", munimentv1.MemberRole_MEMBER_ROLE_OWNER, false)),
		"the instance's admin":     w.as(w.hire("a@example.org", munimentv1.MemberRole_MEMBER_ROLE_ADMIN, true)),
	} {
		_, err := w.API.Application.ChangeRedirectUris(by, &munimentv1.ChangeRedirectUrisRequest{ApplicationId: cli, RedirectUris: []string{"https://evil.example/"}})
		w.refused(fault.Refused, name+" redirects the command line's tokens", err)
		_, err = w.API.Application.RemoveApplication(by, &munimentv1.RemoveApplicationRequest{ApplicationId: cli})
		w.refused(fault.Refused, name+" removes the command line's application", err)
		_, err = w.API.Project.RemoveProject(by, &munimentv1.RemoveProjectRequest{ProjectId: app.GetProjectId()})
		w.refused(fault.Refused, name+" removes the command line's project", err)
		_, err = w.API.Session.EndSession(by, &munimentv1.EndSessionRequest{SessionId: live})
		w.refused(fault.Denied, name+" signs the owner out", err)
		_, err = w.API.Organization.DeactivateOrganization(by, &munimentv1.DeactivateOrganizationRequest{OrganizationId: w.org})
		w.refused(fault.Denied, name+" shuts the owner's organization", err)
	}
	_, err := w.API.Organization.DeactivateOrganization(w.as(w.owner), &munimentv1.DeactivateOrganizationRequest{OrganizationId: w.org})
	w.refused(fault.Denied, "the owner shuts the own organization", err)
}

// An instance has an owner who can sign in, whatever owners do to each other
// and to themselves.
func TestAnOwnerStays(t *testing.T) {
	w := newWorld(t)
	second := w.hire("second@example.org", munimentv1.MemberRole_MEMBER_ROLE_OWNER, true)
	must[*munimentv1.DeactivateUserResponse](t)(w.API.User.DeactivateUser(w.as(w.owner), &munimentv1.DeactivateUserRequest{UserId: second.String()}))
	_, err := w.API.Member.RemoveMember(w.as(w.owner), &munimentv1.RemoveMemberRequest{UserId: w.owner.String(), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER,
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}})
	w.refused(fault.Denied, "the only owner who can sign in lets go", err)
}

// A set-up link that an administrator made is void as soon as somebody with more
// authority makes its person one of theirs; and nobody gets a link to their own
// account.
func TestSetupLinkBeforeARole(t *testing.T) {
	w := newWorld(t)
	admin := w.hire("a@example.org", munimentv1.MemberRole_MEMBER_ROLE_ADMIN, false)
	victim := w.hire("v@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)
	link := must[*munimentv1.CreateSetupLinkResponse](t)(w.API.User.CreateSetupLink(w.as(admin), &munimentv1.CreateSetupLinkRequest{UserId: victim.String()})).GetSetupLink().GetUrl()
	secret := link[len(w.URL()+"/setup/"):]
	if _, err := w.SignIn.Setup(t.Context(), secret); err != nil {
		t.Fatalf("the link does not work at all: %v", err)
	}
	must[*munimentv1.AddMemberResponse](t)(w.API.Member.AddMember(w.as(w.owner), &munimentv1.AddMemberRequest{UserId: victim.String(), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER,
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	if s, err := w.SignIn.UseSetup(t.Context(), secret, "taken over by a link"); err == nil {
		t.Errorf("the administrator is now the owner %s", s.User)
	}
	if _, err := w.SignIn.Setup(t.Context(), secret); err == nil {
		t.Error("the link is still said to work")
	}
	_, err := w.API.User.CreateSetupLink(w.as(admin), &munimentv1.CreateSetupLinkRequest{UserId: admin.String()})
	w.refused(fault.Denied, "a link to one's own account", err)
	_, err = w.API.User.SetPassword(w.as(admin), &munimentv1.SetPasswordRequest{UserId: admin.String(), Password: "without the old one"})
	w.refused(fault.Denied, "one's own password without the present one", err)
}

// from is the context of somebody at an address who is not signed in.
func (w *world) from(ip string) context.Context {
	return call.WithFacts(w.t.Context(), call.Facts{IP: netip.MustParseAddr(ip)})
}

// Beyond the throttle, one address cannot write as much as it likes into a log
// from which nothing is ever deleted.
func TestThrottledAttemptsAreSummed(t *testing.T) {
	w := newWorld(t)
	before := w.Core.Log.Mark().Size
	for i := range 300 {
		_, err := w.SignIn.SignIn(w.from("192.0.2.1"), signin.Attempt{Email: "nobody" + strconv.Itoa(i) + "@example.org", Password: "guess"})
		if err == nil {
			t.Fatal("signed in")
		}
	}
	if n := w.Core.Log.Mark().Size - before; n > 60 {
		t.Errorf("300 attempts from one address left %d records", n)
	}
}

// What was typed in failed sign-ins goes with the person (S08).
func TestErasedFromFailedSignIns(t *testing.T) {
	w := newWorld(t)
	id := w.hire("canary@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)
	if _, err := w.SignIn.SignIn(w.from("192.0.2.1"), signin.Attempt{Email: "Canary@example.org", Password: "wrong"}); err == nil {
		t.Fatal("signed in")
	}
	at := w.Core.Log.Mark().Size
	login := func() *munimentv1.FieldValue {
		e := must[*munimentv1.GetEventResponse](t)(w.API.Event.GetEvent(w.as(w.owner), &munimentv1.GetEventRequest{Position: uint64(at)}))
		for _, f := range e.GetFields() {
			if f.GetPath() == "/login" {
				return f.GetAfter()
			}
		}
		t.Fatalf("%s has no login", e.GetEvent().GetType())
		return nil
	}
	if got := login().GetValue().GetStringValue(); got != "Canary@example.org" {
		t.Fatalf("before: %q", got)
	}
	must[*munimentv1.EraseUserResponse](t)(w.API.User.EraseUser(w.as(w.owner), &munimentv1.EraseUserRequest{UserId: id.String()}))
	if err := w.Core.Erasure.Wait(t.Context(), event.SubjectID{ID: id}); err != nil {
		t.Fatal(err)
	}
	if got := login(); !got.GetErased() {
		t.Errorf("after the erasure an administrator reads %v", got)
	}
}

// What is stored of a request, by which its repetition is recognized, tells
// nothing of the password in it: with all keys in hand, a digest could be
// guessed at a thousand times as fast as argon2id. That it is another password
// is noticed all the same.
func TestDigestsTellNoPasswords(t *testing.T) {
	w := newWorld(t)
	digest := func(req proto.Message, method string) event.Hash {
		ctx := call.WithFacts(w.as(w.owner), call.Facts{Method: method, CommandID: event.NewID()})
		env := must[decide.Envelope](t)(call.Envelope(ctx, req))
		return must[event.Hash](t)(w.Core.Sealer.RequestDigest(ctx, env.Request))
	}
	id := w.hire("ada@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)
	set := func(password string) *munimentv1.SetPasswordRequest {
		return &munimentv1.SetPasswordRequest{UserId: id.String(), Password: password, CommandId: strings.Repeat("a", 32)}
	}
	const method = "muniment.v1.UserService.SetPassword"
	if digest(set("first password"), method) != digest(set("a guess of it"), method) {
		t.Error("the digest of a request depends on the password in it")
	}
	with, without := &munimentv1.CreateUserRequest{Email: "b@example.org", Password: proto.String("first password")}, &munimentv1.CreateUserRequest{Email: "b@example.org"}
	if digest(with, method) == digest(without, method) {
		t.Error("a request with a password looks like one without")
	}
	ctx := w.as(w.owner)
	must[*munimentv1.SetPasswordResponse](t)(w.API.User.SetPassword(ctx, set("first password")))
	if res, err := w.API.User.SetPassword(ctx, set("first password")); err != nil || !res.GetChange().GetReplayed() {
		t.Errorf("repeated: %v %v", res, err)
	}
	_, err := w.API.User.SetPassword(ctx, set("second password"))
	w.refused(fault.Refused, "another password under the same command id", err)

	own := func(password string) *munimentv1.ChangePasswordRequest {
		return &munimentv1.ChangePasswordRequest{OldPassword: "first password", NewPassword: password, CommandId: strings.Repeat("b", 32)}
	}
	must[*munimentv1.ChangePasswordResponse](t)(w.API.User.ChangePassword(w.as(id), own("second password")))
	if res, err := w.API.User.ChangePassword(w.as(id), own("second password")); err != nil || !res.GetChange().GetReplayed() {
		t.Errorf("repeated: %v %v", res, err)
	}
	for range 20 { // a stolen session is no way to guess
		_, err = w.API.User.ChangePassword(w.as(id), own("a guess of it"))
	}
	w.refused(fault.Exhausted, "guessing by repeating", err)
}

// An organization that is out of use takes its applications with it; the command
// line, which stands in the first one, works for the others.
func TestApplicationsOfAnInactiveOrganization(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	other := must[*munimentv1.CreateOrganizationResponse](t)(w.API.Organization.CreateOrganization(ctx, &munimentv1.CreateOrganizationRequest{Name: "Other"})).GetOrganizationId()
	w.project = must[*munimentv1.CreateProjectResponse](t)(w.API.Project.CreateProject(ctx, &munimentv1.CreateProjectRequest{OrganizationId: other, Name: "Other"})).GetProjectId()
	w.client = must[*munimentv1.CreateWebApplicationResponse](t)(w.API.Application.CreateWebApplication(ctx, &munimentv1.CreateWebApplicationRequest{
		ProjectId: w.project, Name: "Other", RedirectUris: []string{redirect}}))
	verifier := strings.Repeat("v", 43)
	c := w.browser()
	_, m := w.redeem(w.authorize(c, challengeOf(verifier)), verifier)
	token, _ := m["access_token"].(string)
	if got := w.userinfo(token); got != http.StatusOK {
		t.Fatalf("userinfo: %d", got)
	}
	must[*munimentv1.DeactivateOrganizationResponse](t)(w.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: other}))
	if got := w.userinfo(token); got != http.StatusUnauthorized {
		t.Errorf("userinfo of its application: %d", got)
	}
	if _, err := w.provider.Client(t.Context(), w.client.GetClientId()); !fault.Is(err, fault.NotFound) {
		t.Errorf("its application: %v", err)
	}
	if _, err := w.provider.Client(t.Context(), CLIClient); err != nil {
		t.Errorf("the command line: %v", err)
	}
}

// Nobody keeps the server busy with streams of events; those of others are not
// counted.
func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t)
	watch := func(id event.ID) error {
		ctx, cancel := context.WithCancel(w.as(id))
		t.Cleanup(cancel)
		s, err := w.API.Event.WatchEvents(ctx, &munimentv1.WatchEventsRequest{OnlyNew: true})
		if err != nil {
			return err
		}
		if s.Receive() {
			return nil
		}
		return s.Err()
	}
	for i := range 16 {
		if err := watch(w.owner); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	w.refused(fault.Exhausted, "one stream more", watch(w.owner))
	if err := watch(w.hire("b@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// The keys are published before the first token is signed: clients keep the
// answer for minutes.
func TestKeysFromTheBeginning(t *testing.T) {
	w := newWorld(t)
	keys, err := (&keyring{core: w.Core}).PublicKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Alg != "ES256" {
		t.Errorf("%v %v", keys, err)
	}
}

// Nobody in another organization shields a person from those of their own, who
// do not get at what the person is there.
func TestMembershipElsewhereIsNoShield(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	admin := w.hire("admin@example.org", munimentv1.MemberRole_MEMBER_ROLE_ADMIN, false)
	person := w.hire("person@example.org", munimentv1.MemberRole_MEMBER_ROLE_UNSPECIFIED, false)
	other := must[*munimentv1.CreateOrganizationResponse](t)(w.API.Organization.CreateOrganization(ctx, &munimentv1.CreateOrganizationRequest{Name: "Other"})).GetOrganizationId()
	must[*munimentv1.AddMemberResponse](t)(w.API.Member.AddMember(ctx, &munimentv1.AddMemberRequest{UserId: person.String(), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER,
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: other}}}))
	_, err := w.API.User.SetPassword(w.as(admin), &munimentv1.SetPasswordRequest{UserId: person.String(), Password: "to own the other"})
	w.refused(fault.Denied, "the account is taken over", err)
	if _, err := w.API.User.LockUser(w.as(admin), &munimentv1.LockUserRequest{UserId: person.String()}); err != nil {
		t.Errorf("locking out: %v", err)
	}
}
