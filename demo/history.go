package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/sample"
	"muniment.dev/server"
	"muniment.dev/session/signin"
)

// Password is what all people of the demo chose.
const Password = "correct horse battery"

// person is somebody who lives in the demo.
type person struct {
	given, family string
	ip            string
	days          int  // signs in about every so many days
	away          bool // does not sign in at the moment
	id            event.ID
}

func (p *person) email() string { return strings.ToLower(p.given) + "@acme.example" }

// story replays a month through the real commands with a clock of its own.
type story struct {
	srv    *server.Server
	clock  *clock
	rand   *rand.Rand
	start  time.Time
	owner  *person
	people []*person
	org    string
	desk   string // the project
	app    sample.Config
}

const agent = "Mozilla/5.0 (X11; Linux x86_64) Demo/1.0"

// facts is the context of somebody's doing, now.
func (s *story) facts(ctx context.Context, p *person) context.Context {
	ip, _ := netip.ParseAddr(p.ip)
	return call.WithFacts(ctx, call.Facts{RequestID: event.NewID(), Source: "demo", IP: ip, UserAgent: agent})
}

// as is the context of a signed-in person who calls the API.
func (s *story) as(ctx context.Context, p *person) context.Context {
	return call.WithCaller(s.facts(ctx, p), call.Caller{Kind: "user", ID: p.id})
}

// at moves the clock to an hour of a day of the month.
func (s *story) at(day int, hour float64) {
	s.clock.set(s.start.AddDate(0, 0, day).Add(time.Duration(hour * float64(time.Hour))))
}

// tick moves the clock on by some seconds.
func (s *story) tick(seconds int) {
	s.clock.set(s.clock.Now().Add(time.Duration(seconds) * time.Second))
}

// tell replays the month.
func (s *story) tell(ctx context.Context) error {
	s.at(0, 9)
	for _, chapter := range []func(context.Context) error{s.found, s.hire, s.openDesk, s.live} {
		if err := chapter(ctx); err != nil {
			return fault.Wrap("replay the demo's history", err)
		}
	}
	return nil
}

// found sets the instance up; the owner uses the one-time link.
func (s *story) found(ctx context.Context) error {
	secret, id, err := s.srv.Core.SetUp(ctx, server.Owner{Organization: "Acme Travel", Email: s.owner.email(), Names: s.owner.names()})
	if err != nil {
		return err
	}
	s.owner.id = id
	s.tick(240)
	if _, err := s.srv.SignIn.UseSetup(s.facts(ctx, s.owner), secret, Password); err != nil {
		return err
	}
	orgs, err := s.srv.API.Organization.ListOrganizations(s.as(ctx, s.owner), &munimentv1.ListOrganizationsRequest{})
	if err != nil {
		return err
	}
	s.org = orgs.GetOrganizations()[0].GetId()
	return nil
}

// hire registers the people, each with a password of their own.
func (s *story) hire(ctx context.Context) error {
	password := Password
	for _, p := range s.people {
		s.tick(90 + s.rand.IntN(600))
		n := p.names()
		res, err := s.srv.API.User.CreateUser(s.as(ctx, s.owner), &munimentv1.CreateUserRequest{
			Email: p.email(), GivenName: n.Given, FamilyName: n.Family, Password: &password, OrganizationId: s.org})
		if err != nil {
			return err
		}
		if p.id, err = event.ParseID(res.GetUserId()); err != nil {
			return err
		}
	}
	_, err := s.srv.API.Organization.CreateOrganization(s.as(ctx, s.owner), &munimentv1.CreateOrganizationRequest{Name: "Globex"})
	return err
}

// openDesk adds the sample application, its roles, and who has them.
func (s *story) openDesk(ctx context.Context) error {
	s.at(1, 10)
	owner := s.as(ctx, s.owner)
	pr, err := s.srv.API.Project.CreateProject(owner, &munimentv1.CreateProjectRequest{OrganizationId: s.org, Name: "Travel desk"})
	if err != nil {
		return err
	}
	s.desk = pr.GetProjectId()
	for key, name := range map[string]string{"traveller": "May ask for trips", "approver": "May approve trips"} {
		s.tick(30)
		if _, err := s.srv.API.Project.AddRole(owner, &munimentv1.AddRoleRequest{ProjectId: s.desk, Key: key, Name: name}); err != nil {
			return err
		}
	}
	s.tick(60)
	app, err := s.srv.API.Application.CreateWebApplication(owner, &munimentv1.CreateWebApplicationRequest{
		ProjectId: s.desk, Name: "Travel desk", RedirectUris: []string{s.app.URL + sample.RedirectPath}, PostLogoutRedirectUris: []string{s.app.URL + sample.SignedOutPath}})
	if err != nil {
		return err
	}
	s.app.ClientID, s.app.ClientSecret, s.app.Project = app.GetClientId(), app.GetClientSecret(), s.desk
	for _, p := range s.people {
		s.tick(20)
		if err := s.grant(ctx, p, "traveller"); err != nil {
			return err
		}
	}
	return s.appoint(ctx)
}

// appoint makes Barbara the auditor and Katherine an administrator.
func (s *story) appoint(ctx context.Context) error {
	for name, role := range map[string]munimentv1.MemberRole{"Barbara": munimentv1.MemberRole_MEMBER_ROLE_AUDITOR, "Katherine": munimentv1.MemberRole_MEMBER_ROLE_ADMIN} {
		s.tick(40)
		req := &munimentv1.AddMemberRequest{UserId: s.find(name).id.String(), Role: role,
			Scope: &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: s.org}}}
		if _, err := s.srv.API.Member.AddMember(s.as(ctx, s.owner), req); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) find(given string) *person {
	return s.people[slices.IndexFunc(s.people, func(p *person) bool { return p.given == given })]
}

func (s *story) grant(ctx context.Context, p *person, role string) error {
	_, err := s.srv.API.Grant.GrantRole(s.as(ctx, s.owner), &munimentv1.GrantRoleRequest{UserId: p.id.String(), ProjectId: s.desk, RoleKeys: []string{role}})
	return err
}

// live goes through the days: people sign in, and now and then something
// happens.
func (s *story) live(ctx context.Context) error {
	for day := 2; day < 30; day++ {
		order := s.rand.Perm(len(s.people))
		for i, at := range order {
			p := s.people[at]
			if p.away || (day+at)%p.days != 0 {
				continue
			}
			s.at(day, 7.5+float64(i)*0.7+s.rand.Float64()*0.5)
			if err := s.signIn(ctx, p); err != nil {
				return fmt.Errorf("day %d, %s: %w", day, p.given, err)
			}
		}
		if what, ok := s.happenings()[day]; ok {
			s.at(day, 17)
			if err := what(ctx); err != nil {
				return fmt.Errorf("day %d: %w", day, err)
			}
		}
	}
	return nil
}

// signIn signs somebody in, sometimes only at the second try.
func (s *story) signIn(ctx context.Context, p *person) error {
	if s.rand.IntN(12) == 0 {
		s.srv.SignIn.SignIn(s.facts(ctx, p), signin.Attempt{Email: p.email(), Password: "corect horse battery"})
		s.tick(9)
	}
	live, err := s.srv.SignIn.SignIn(s.facts(ctx, p), signin.Attempt{Email: p.email(), Password: Password})
	if err != nil {
		return err
	}
	s.tick(1)
	if s.rand.IntN(3) > 0 {
		return s.srv.Visit(s.facts(ctx, p), live, s.app.ClientID)
	}
	s.tick(1200 + s.rand.IntN(3000))
	return s.srv.SignIn.SignOut(s.facts(ctx, p), live.Token)
}

// happenings are what an administrator would remember of the month.
func (s *story) happenings() map[int]func(context.Context) error {
	alan := s.find("Alan")
	id := func(name string) string { return s.find(name).id.String() }
	owner := s.owner
	return map[int]func(context.Context) error{
		5: func(ctx context.Context) error { return s.grant(ctx, s.find("Ada"), "approver") },
		8: func(ctx context.Context) error { return s.grant(ctx, s.find("Edsger"), "approver") },
		9: func(ctx context.Context) error {
			name := "Ada Lovelace, Countess"
			_, err := s.srv.API.User.ChangeProfile(s.as(ctx, s.find("Ada")), &munimentv1.ChangeProfileRequest{UserId: id("Ada"), DisplayName: &name})
			return err
		},
		13: func(ctx context.Context) error { return s.burst(ctx, alan) },
		14: func(ctx context.Context) error {
			alan.away = false
			_, err := s.srv.API.User.UnlockUser(s.as(ctx, owner), &munimentv1.UnlockUserRequest{UserId: alan.id.String(), Reason: "Alan called; it was not him"})
			return err
		},
		19: func(ctx context.Context) error {
			_, err := s.srv.API.Grant.WithdrawRole(s.as(ctx, owner), &munimentv1.WithdrawRoleRequest{
				UserId: id("Edsger"), ProjectId: s.desk, RoleKeys: []string{"approver"}, Reason: "moved to another team"})
			return err
		},
		22: func(ctx context.Context) error {
			_, err := s.srv.API.User.ChangeEmail(s.as(ctx, owner), &munimentv1.ChangeEmailRequest{UserId: id("Margaret"), Email: "hamilton@acme.example"})
			s.find("Margaret").given = "hamilton" // signs in with it from now on
			return err
		},
		26: func(ctx context.Context) error {
			_, err := s.srv.API.User.DeactivateUser(s.as(ctx, owner), &munimentv1.DeactivateUserRequest{UserId: id("Niklaus"), Reason: "left the company"})
			s.find("Niklaus").away = true
			return err
		},
	}
}

// burst is somebody guessing a password, and the owner locking the account.
func (s *story) burst(ctx context.Context, p *person) error {
	stranger := &person{ip: "203.0.113.66"}
	for i := range 14 {
		s.srv.SignIn.SignIn(s.facts(ctx, stranger), signin.Attempt{Email: p.email(), Password: fmt.Sprintf("password%d", i)})
		s.tick(2)
	}
	s.tick(600)
	p.away = true
	_, err := s.srv.API.User.LockUser(s.as(ctx, s.owner), &munimentv1.LockUserRequest{UserId: p.id.String(), Reason: "somebody guesses the password"})
	return err
}
