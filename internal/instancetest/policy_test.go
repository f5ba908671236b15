package instancetest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org/orgapi"
	"muniment.dev/session"
	"muniment.dev/session/signin"
	"muniment.dev/user"
)

// clock is a clock that a test sets forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func newWithClock(t *testing.T) (*Instance, *clock) {
	c := &clock{}
	return NewAt(t, c.now), c
}

func from(t *testing.T, ip string) context.Context {
	return call.WithFacts(t.Context(), call.Facts{IP: netip.MustParseAddr(ip)})
}

func (i *Instance) tries(t *testing.T, ip, user, pass string) error {
	_, err := i.SignIn.SignIn(from(t, ip), signin.Attempt{Email: i.Email(user), Password: pass})
	return err
}

func (i *Instance) count(t *testing.T, typ string, user string) (n int) {
	t.Helper()
	q := event.Query{{Types: []string{typ}, All: []event.Term{event.TagTerm(event.NewTag("user", user))}}}
	for _, err := range i.Core.Log.Read(t.Context(), q, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func (i *Instance) lockAfter(attempts int64) {
	Must(i.API.Policy.ChangeLockoutPolicy(i.AsOwner(), &munimentv1.ChangeLockoutPolicyRequest{Scope: In(i.Org),
		Policy: &munimentv1.LockoutPolicy{Attempts: attempts, WindowSeconds: 600, DurationSeconds: 1800}}))
}

// After so many wrong passwords the right one is not accepted any more, in the
// same words as for an account that there is not; it ends by itself, or by an
// administrator. From where the person signed in before they still can.
func TestLockout(t *testing.T) {
	i, clock := newWithClock(t)
	i.lockAfter(3)
	ada := i.Person(i.Org)
	if err := i.tries(t, "192.0.2.7", ada, Password); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := i.tries(t, "192.0.2.1", ada, "wrong"); !errors.Is(err, session.ErrPassword) {
			t.Fatal(err)
		}
	}
	out := i.tries(t, "192.0.2.2", ada, Password)
	_, unknown := i.SignIn.SignIn(from(t, "192.0.2.2"), signin.Attempt{Email: "nobody@example.org", Password: Password})
	if !errors.Is(out, session.ErrPassword) || !errors.Is(unknown, session.ErrPassword) || fault.Public(out) != fault.Public(unknown) {
		t.Errorf("locked out: %v; unknown: %v", out, unknown)
	}
	if err := i.tries(t, "192.0.2.7", ada, Password); err != nil {
		t.Errorf("from where they signed in before: %v", err)
	}
	got := func() *munimentv1.User {
		return Must(i.API.User.GetUser(i.AsOwner(), &munimentv1.GetUserRequest{UserId: ada})).GetUser()
	}
	if u := got(); u.GetLockedOutUntil() == nil || u.GetState() != munimentv1.UserState_USER_STATE_ACTIVE {
		t.Errorf("%v", u)
	}
	clock.forward(31 * time.Minute)
	if err := i.tries(t, "192.0.2.2", ada, Password); err != nil || got().GetLockedOutUntil() != nil {
		t.Errorf("half an hour later: %v, %v", err, got())
	}
	for range 3 {
		i.tries(t, "192.0.2.3", ada, "wrong")
	}
	if err := i.tries(t, "192.0.2.3", ada, Password); err == nil {
		t.Error("not locked out again")
	}
	Must(i.API.User.EndLockout(i.AsOwner(), &munimentv1.EndLockoutRequest{UserId: ada}))
	if err := i.tries(t, "192.0.2.3", ada, Password); err != nil {
		t.Errorf("an administrator ended it: %v", err)
	}
}

// Of wrong passwords that come at once each counts once, and the last that is
// allowed locks out, once.
func TestWrongPasswordsAtOnce(t *testing.T) {
	i := New(t)
	i.lockAfter(8)
	ada := i.Person(i.Org)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { i.tries(t, "192.0.2.1", ada, "wrong") })
	}
	all.Wait()
	if failed, out := i.count(t, "signin.failed", ada), i.count(t, "user.lockout.begun", ada); failed != 8 || out != 1 {
		t.Errorf("%d failed, %d lockouts", failed, out)
	}
	if err := i.tries(t, "192.0.2.1", ada, Password); !errors.Is(err, session.ErrPassword) {
		t.Error(err)
	}
}

// Passwords are what the organization demands; one that is too old has to be
// replaced, by who knows it, with one that was not used before.
func TestPasswordPolicy(t *testing.T) {
	i, clock := newWithClock(t)
	ctx := i.AsOwner()
	ada := i.Person(i.Org)
	Must(i.API.Policy.ChangePasswordPolicy(ctx, &munimentv1.ChangePasswordPolicyRequest{Scope: In(i.Org),
		Policy: &munimentv1.PasswordPolicy{MinLength: 12, History: 2, MaxAgeDays: 30}, Acknowledge: []string{"forced-changes"}}))
	_, err := i.API.User.SetPassword(ctx, &munimentv1.SetPasswordRequest{UserId: ada, Password: "too short"})
	Want(t, err, fault.Invalid, "password")
	_, err = i.API.User.SetPassword(ctx, &munimentv1.SetPasswordRequest{UserId: ada, Password: Password})
	Want(t, err, fault.Invalid, "password")
	_, err = i.API.User.ChangePassword(i.As(ada), &munimentv1.ChangePasswordRequest{OldPassword: Password, NewPassword: "too short"})
	Want(t, err, fault.Invalid, "new_password")
	if err := i.tries(t, "192.0.2.1", ada, Password); err != nil {
		t.Errorf("a password that was set before: %v", err)
	}
	clock.forward(31 * 24 * time.Hour)
	if err := i.tries(t, "192.0.2.1", ada, Password); !errors.Is(err, session.ErrPasswordAge) {
		t.Fatalf("a month later: %v", err)
	}
	r := signin.Replacement{Email: i.Email(ada), Password: Password, New: Password}
	if _, err := i.SignIn.Replace(from(t, "192.0.2.1"), r); !errors.Is(err, user.ErrReused) {
		t.Errorf("by itself: %v", err)
	}
	r.New = "an entirely new one"
	if s, err := i.SignIn.Replace(from(t, "192.0.2.1"), r); err != nil || s.User.String() != ada {
		t.Fatal(err)
	}
	wrong := signin.Replacement{Email: i.Email(ada), Password: "wrong", New: "something else again"}
	if _, err := i.SignIn.Replace(from(t, "192.0.2.1"), wrong); !errors.Is(err, session.ErrPassword) {
		t.Errorf("by who does not know it: %v", err)
	}
	if err := i.tries(t, "192.0.2.1", ada, r.New); err != nil {
		t.Error(err)
	}
}

// A session ends when it is not used for long enough; that it is used is noted
// now and then only. A stricter policy ends it at once.
func TestSessionPolicy(t *testing.T) {
	i, clock := newWithClock(t)
	set := func(p *munimentv1.SessionPolicy) {
		Must(i.API.Policy.ChangeSessionPolicy(i.AsOwner(), &munimentv1.ChangeSessionPolicyRequest{Scope: In(i.Org), Policy: p}))
	}
	set(&munimentv1.SessionPolicy{LifetimeSeconds: 36000, IdleSeconds: 1200, PasswordSeconds: 7200})
	ada := i.Person(i.Org)
	s := i.SignedIn(ada)
	for range 20 {
		clock.forward(2 * time.Minute)
		if _, err := i.SignIn.Session(t.Context(), s.Token); err != nil {
			t.Fatal(err)
		}
	}
	if n := i.count(t, "session.used", ada); n < 2 || n > 8 {
		t.Errorf("%d of 20 uses in 40 minutes are recorded", n)
	}
	for range 9 {
		clock.forward(10 * time.Minute)
		i.SignIn.Session(t.Context(), s.Token)
	}
	if again, err := i.SignIn.Session(t.Context(), s.Token); err != nil || !again.AskPassword {
		t.Errorf("after two hours: %v, asks %v", err, again.AskPassword)
	}
	if again, err := i.SignIn.SignIn(from(t, "192.0.2.1"), signin.Attempt{Email: i.Email(ada), Password: Password, Session: s.Token}); err != nil || again.AskPassword || again.Begun.Session != s.Begun.Session {
		t.Errorf("given again: %v", err)
	} else {
		s = again
	}
	list := func() int {
		return len(Must(i.API.Session.ListSessions(i.AsOwner(), &munimentv1.ListSessionsRequest{UserId: ada})).GetSessions())
	}
	if n := list(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	clock.forward(21 * time.Minute)
	if _, err := i.SignIn.Session(t.Context(), s.Token); !fault.Is(err, fault.Unauthenticated) || list() != 0 {
		t.Errorf("idle: %v, %d listed", err, list())
	}
	set(&munimentv1.SessionPolicy{LifetimeSeconds: 36000})
	s = i.SignedIn(ada)
	clock.forward(20 * time.Minute)
	set(&munimentv1.SessionPolicy{LifetimeSeconds: 900})
	if _, err := i.SignIn.Session(t.Context(), s.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("shortened: %v", err)
	}
}

// What holds is answered with who says so, to whoever is at home there.
func TestGetPolicies(t *testing.T) {
	i := New(t)
	org, other := i.Organization(), i.Organization()
	ada, eve := i.Person(org), i.Person(other)
	Must(i.API.Policy.ChangeTokenPolicy(i.AsOwner(), &munimentv1.ChangeTokenPolicyRequest{Scope: In(""), Policy: &munimentv1.TokenPolicy{AccessSeconds: 600, IdSeconds: 600, RefreshIdleSeconds: 3600, RefreshLifetimeSeconds: 7200}}))
	_, err := i.API.Policy.ChangeTokenPolicy(i.AsOwner(), &munimentv1.ChangeTokenPolicyRequest{Scope: In(""), Policy: &munimentv1.TokenPolicy{AccessSeconds: 7200, IdSeconds: 600, RefreshIdleSeconds: 3600, RefreshLifetimeSeconds: 7200}})
	Want(t, err, fault.Refused, "acknowledge")
	_, err = i.API.Policy.ChangeTokenPolicy(i.AsOwner(), &munimentv1.ChangeTokenPolicyRequest{Scope: In("")})
	Want(t, err, fault.Invalid, "policy")
	Must(i.API.Policy.ChangePasswordPolicy(i.AsOwner(), &munimentv1.ChangePasswordPolicyRequest{Scope: In(org), Policy: &munimentv1.PasswordPolicy{MinLength: 15}}))
	got := Must(i.API.Policy.GetPolicies(i.As(ada), &munimentv1.GetPoliciesRequest{Scope: In(org)}))
	if got.GetPasswordPolicy().GetMinLength() != 15 || got.GetPasswordSource() != munimentv1.PolicySource_POLICY_SOURCE_ORGANIZATION ||
		got.GetTokenPolicy().GetAccessSeconds() != 600 || got.GetTokenSource() != munimentv1.PolicySource_POLICY_SOURCE_INSTANCE ||
		got.GetLockoutPolicy().GetAttempts() != 20 || got.GetLockoutSource() != munimentv1.PolicySource_POLICY_SOURCE_BUILT_IN {
		t.Errorf("%v", got)
	}
	_, err = i.API.Policy.GetPolicies(i.As(eve), &munimentv1.GetPoliciesRequest{Scope: In(org)})
	Want(t, err, fault.NotFound, "")
	_, err = i.API.Policy.GetPolicies(i.As(eve), &munimentv1.GetPoliciesRequest{Scope: &munimentv1.Scope{}})
	Want(t, err, fault.Invalid, "scope")
}

// dns is a resolver that knows what a test says.
type dns map[string][]string

func (d dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	if txt, ok := d[name]; ok {
		return txt, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// A domain is an organization's when its token stands in the DNS.
func TestVerifyDomain(t *testing.T) {
	i := New(t)
	org := i.Organization()
	owner := i.As(i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_OWNER))
	records := dns{}
	s := orgapi.New(adapter.Core{Runner: i.Core.Runner, Views: i.Core.Views}, records)
	d := Must(s.AddDomain(owner, &munimentv1.AddDomainRequest{OrganizationId: org, Domain: "Example.ORG"})).GetDomain()
	verify := &munimentv1.VerifyDomainRequest{OrganizationId: org, Domain: "example.org"}
	if _, err := s.VerifyDomain(owner, verify); !fault.Is(err, fault.Refused) {
		t.Fatalf("before it is published: %v", err)
	}
	records[d.GetChallengeName()+"."] = []string{"v=spf1 -all", d.GetChallengeText()}
	if _, err := s.VerifyDomain(owner, verify); err != nil {
		t.Fatal(err)
	}
	got := Must(i.API.Organization.ListDomains(owner, &munimentv1.ListDomainsRequest{OrganizationId: org})).GetDomains()
	if len(got) != 1 || !got[0].GetVerified() || got[0].GetName() != "example.org" {
		t.Errorf("%v", got)
	}
	other := i.Organization()
	_, err := i.API.Organization.AddDomain(i.AsOwner(), &munimentv1.AddDomainRequest{OrganizationId: other, Domain: "example.org"})
	Want(t, err, fault.Exists, "")
	_, err = i.API.Organization.AddDomain(i.AsOwner(), &munimentv1.AddDomainRequest{OrganizationId: other, Domain: "no domain"})
	Want(t, err, fault.Invalid, "domain")
}

// Nobody signs in to an organization that was removed, nor to its applications;
// restored, all is as it was.
func TestRemovedOrganization(t *testing.T) {
	i := New(t)
	org := i.Organization()
	ada, project := i.Person(org), i.Project(org)
	s := i.SignedIn(ada)
	if err := i.Visit(t.Context(), s, i.Application(project)); err != nil {
		t.Fatal(err)
	}
	_, err := i.API.Organization.RemoveOrganization(i.AsOwner(), &munimentv1.RemoveOrganizationRequest{OrganizationId: org})
	Want(t, err, fault.Refused, "acknowledge")
	Must(i.API.Organization.RemoveOrganization(i.AsOwner(), &munimentv1.RemoveOrganizationRequest{OrganizationId: org, Acknowledge: []string{"lock-people-out", "end-projects"}}))
	if _, err := i.SignIn.Session(t.Context(), s.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a session: %v", err)
	}
	if err := i.tries(t, "192.0.2.1", ada, Password); !errors.Is(err, session.ErrMayNotSignIn) {
		t.Errorf("signing in: %v", err)
	}
	_, err = i.API.User.CreateUser(i.AsOwner(), i.NewPerson(org))
	Want(t, err, fault.Refused, "")
	_, err = i.API.Project.CreateProject(i.AsOwner(), &munimentv1.CreateProjectRequest{OrganizationId: org, Name: "x"})
	Want(t, err, fault.Refused, "")
	for _, o := range Must(i.API.Organization.ListOrganizations(i.AsOwner(), &munimentv1.ListOrganizationsRequest{})).GetOrganizations() {
		if o.GetId() == org {
			t.Error("it is listed")
		}
	}
	Must(i.API.Organization.RestoreOrganization(i.AsOwner(), &munimentv1.RestoreOrganizationRequest{OrganizationId: org}))
	if err := i.tries(t, "192.0.2.1", ada, Password); err != nil {
		t.Error(err)
	}
}

// The applications of a project that is out of use let nobody in, and their
// tokens are not good meanwhile.
func TestDeactivatedProject(t *testing.T) {
	i := New(t)
	project := i.Project(i.Org)
	app := i.Application(project)
	s := i.SignedIn(i.Person(i.Org))
	Must(i.API.Project.DeactivateProject(i.AsOwner(), &munimentv1.DeactivateProjectRequest{ProjectId: project}))
	if err := i.Visit(t.Context(), s, app); err == nil {
		t.Error("somebody was let in")
	}
	Must(i.API.Project.ReactivateProject(i.AsOwner(), &munimentv1.ReactivateProjectRequest{ProjectId: project}))
	if err := i.Visit(t.Context(), s, app); err != nil {
		t.Error(err)
	}
}

// People belong to the default organization if nothing is said, and the name of
// the instance is what it was changed to.
func TestInstanceSettings(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	_, err := i.API.User.CreateUser(ctx, i.NewPerson(""))
	Want(t, err, fault.Invalid, "organization_id")
	org := i.Organization()
	Must(i.API.Instance.ChangeDefaultOrganization(ctx, &munimentv1.ChangeDefaultOrganizationRequest{OrganizationId: org}))
	id := Must(i.API.User.CreateUser(ctx, i.NewPerson(""))).GetUserId()
	if u := Must(i.API.User.GetUser(ctx, &munimentv1.GetUserRequest{UserId: id})).GetUser(); u.GetOrganizationId() != org {
		t.Errorf("%v", u)
	}
	before := i.Core.Log.Mark().Size
	Must(i.API.Instance.RenameInstance(ctx, &munimentv1.RenameInstanceRequest{Name: "Another"}))
	Must(i.API.Instance.ChangeLinks(ctx, &munimentv1.ChangeLinksRequest{TermsUrl: "https://example.org/terms"}))
	if got := Must(i.API.Instance.GetInstance(ctx, &munimentv1.GetInstanceRequest{})).GetInstance(); got.GetName() != "Another" || got.GetTermsUrl() != "https://example.org/terms" || got.GetDefaultOrganizationId() != org {
		t.Errorf("%v", got)
	}
	if got := Must(i.API.Instance.GetInstance(ctx, &munimentv1.GetInstanceRequest{Read: &munimentv1.Read{AtPosition: uint64(before)}})).GetInstance(); got.GetName() != "Test" || got.GetTermsUrl() != "" {
		t.Errorf("as it was: %v", got)
	}
	_, err = i.API.Instance.ChangeLinks(ctx, &munimentv1.ChangeLinksRequest{SupportUrl: "javascript:alert(1)"})
	Want(t, err, fault.Invalid, "support_url")
}
