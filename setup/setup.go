// Package setup is the first start: the one place that emits events of several
// slices at once, so that an instance is never half there.
package setup

import (
	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/user"
)

// CLIRedirect is where the command line's sign-in ends: a port of its choice
// on loopback (RFC 8252 §7.3).
const CLIRedirect = "http://127.0.0.1/callback"

// SetUp gives a fresh instance its first organization, its owner with a
// one-time set-up link, and the project and application of the command line.
type SetUp struct {
	Organization, Owner, Member, Project, CLI event.ID // fresh; CLI as the instance was created with
	OrganizationName                          string
	Email                                     string // the owner's
	Names                                     user.Names
	LinkDigest                                [32]byte
	LinkExpires                               event.Instant
}

// ErrDone refuses to set an instance up twice.
var ErrDone = fault.New(fault.Exists, "this instance is set up already")

// SettingUp decides SetUp; only Muniment itself gives it.
var SettingUp = decide.Decider[bool, SetUp]{
	Name: "set the instance up",
	Query: func(SetUp) []decide.Facts {
		return []decide.Facts{{Types: []string{"organization.added", "user.registered", "member.added"}}}
	},
	Evolve: func(bool, event.Fact) bool { return true },
	Allow: func(a authz.Authority, _ bool, _ SetUp) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	Decide: func(done bool, c SetUp) ([]event.New, error) {
		if done {
			return nil, ErrDone
		}
		if err := org.CheckName(c.OrganizationName); err != nil {
			return nil, err
		}
		if err := user.CheckEmail(c.Email); err != nil {
			return nil, err
		}
		cli := app.Defaults(app.Native)
		return []event.New{
			{Stream: org.Stream(c.Organization), Payload: org.Added{Organization: c.Organization, Name: c.OrganizationName}},
			{Stream: user.Stream(c.Owner), Payload: user.Registered{User: c.Owner, Organization: c.Organization, Email: event.Seal(c.Email),
				GivenName: event.Seal(c.Names.Given), FamilyName: event.Seal(c.Names.Family), DisplayName: event.Seal(c.Names.Display)}},
			{Stream: member.Stream(c.Member), Payload: authz.MemberAdded{Member: c.Member, User: c.Owner, Role: string(authz.Owner)}},
			{Stream: project.Stream(c.Project), Payload: project.Added{Project: c.Project, Organization: c.Organization, Name: "Muniment"}},
			{Stream: app.Stream(c.CLI), Payload: app.Added{Application: c.CLI, Project: c.Project, Organization: c.Organization,
				Type: string(app.Native), Name: "Muniment command line", Redirects: []string{CLIRedirect}, GrantTypes: cli.GrantTypes,
				AccessTokenType: cli.AccessTokenType, Algorithm: cli.Algorithm, AuthMethod: cli.AuthMethod, APIAccess: true}},
			{Stream: user.Stream(c.Owner), Payload: user.SetupLinkCreated{User: c.Owner, Organization: c.Organization,
				Digest: event.Seal(c.LinkDigest[:]), Expires: c.LinkExpires}},
		}, nil
	},
}
