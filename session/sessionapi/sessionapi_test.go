package sessionapi_test

import (
	"net/netip"
	"testing"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
	"muniment.dev/session/signin"
)

type list = munimentv1.ListSessionsRequest

// from signs a person in from an address.
func from(t *testing.T, i *instancetest.Instance, email, ip string) signin.Session {
	t.Helper()
	ctx := call.WithFacts(t.Context(), call.Facts{IP: netip.MustParseAddr(ip), UserAgent: "Browser/" + ip})
	return instancetest.Must(i.SignIn.SignIn(ctx, signin.Attempt{Email: email, Password: instancetest.Password}))
}

// A person sees where they are signed in and from where, newest first, and ends
// what they do not know; whoever may not read what is sealed sees no address.
func TestSessions(t *testing.T) {
	i := instancetest.New(t)
	ada := i.Person(i.Org)
	first, second := from(t, i, i.Email(ada), "192.0.2.1"), from(t, i, i.Email(ada), "2001:db8::1")
	l := instancetest.Must(i.API.Session.ListSessions(i.As(ada), &list{UserId: ada})).GetSessions()
	if len(l) != 2 || l[0].GetId() != second.Begun.Session.String() || l[1].GetIp().GetValue() != "192.0.2.1" || l[0].GetUserAgent().GetValue() != "Browser/2001:db8::1" ||
		l[0].GetState() != munimentv1.SessionState_SESSION_STATE_ACTIVE || len(l[0].GetMethods()) != 1 || l[0].GetMethods()[0] != "pwd" || l[0].GetEnded() != nil {
		t.Fatalf("%v", l)
	}
	for who, sees := range map[string]bool{i.Owner: true, i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR): true, i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER): false} {
		if l := instancetest.Must(i.API.Session.ListSessions(i.As(who), &list{UserId: ada})).GetSessions(); len(l) != 2 || (l[0].GetIp() != nil) != sees || (l[0].GetUserAgent() != nil) != sees {
			t.Errorf("an address is shown: %v, want %v", l, sees)
		}
	}
	instancetest.Must(i.API.Session.EndSession(i.As(ada), &munimentv1.EndSessionRequest{SessionId: first.Begun.Session.String()}))
	if _, err := i.SignIn.Session(t.Context(), first.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the session that ended: %v", err)
	}
	if _, err := i.SignIn.Session(t.Context(), second.Token); err != nil {
		t.Errorf("the other: %v", err)
	}
	if l := instancetest.Must(i.API.Session.ListSessions(i.As(ada), &list{UserId: ada})).GetSessions(); len(l) != 1 {
		t.Errorf("%v", l)
	}
	l = instancetest.Must(i.API.Session.ListSessions(i.As(ada), &list{UserId: ada, IncludeEnded: true})).GetSessions()
	if len(l) != 2 || l[1].GetState() != munimentv1.SessionState_SESSION_STATE_ENDED || !l[1].GetEnded().IsValid() {
		t.Errorf("%v", l)
	}
	_, err := i.API.Session.EndSession(i.As(ada), &munimentv1.EndSessionRequest{SessionId: first.Begun.Session.String()})
	instancetest.Want(t, err, fault.Refused, "")
	r, err := i.Core.Log.Record(t.Context(), event.Position(l[1].GetPosition()))
	if err != nil || r.Type != "session.ended" {
		t.Errorf("%v %v", r, err)
	}
}

// A lock, another password and an organization out of use leave no session.
func TestSessionsEndWithTheAccount(t *testing.T) {
	i := instancetest.New(t)
	ctx, org := i.AsOwner(), i.Organization()
	ada := i.Person(org)
	active := func() int {
		return len(instancetest.Must(i.API.Session.ListSessions(ctx, &list{UserId: ada})).GetSessions())
	}
	begin := func() {
		t.Helper()
		if from(t, i, i.Email(ada), "192.0.2.1"); active() != 1 {
			t.Fatalf("%d sessions after signing in", active())
		}
	}
	begin()
	instancetest.Must(i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: ada}))
	if active() != 0 {
		t.Error("a lock left a session")
	}
	instancetest.Must(i.API.User.UnlockUser(ctx, &munimentv1.UnlockUserRequest{UserId: ada}))
	begin()
	instancetest.Must(i.API.User.SetPassword(ctx, &munimentv1.SetPasswordRequest{UserId: ada, Password: instancetest.Password}))
	if active() != 0 {
		t.Error("another password left a session")
	}
	begin()
	instancetest.Must(i.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: org}))
	if active() != 0 {
		t.Error("an organization out of use has a session")
	}
	for _, s := range instancetest.Must(i.API.Session.ListSessions(ctx, &list{UserId: ada, IncludeEnded: true})).GetSessions() {
		if s.GetState() != munimentv1.SessionState_SESSION_STATE_ENDED {
			t.Errorf("%v", s)
		}
	}
}
