package user

import (
	"crypto/subtle"
	"fmt"
	"io"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/policy"
)

// Plain is a password in clear. It is held against the policy when a command is
// decided, and goes nowhere else: it prints as nothing.
type Plain string

// Format never prints a password.
func (Plain) Format(f fmt.State, _ rune) { io.WriteString(f, "(password)") }

// Chosen is a password that is to be set.
type Chosen struct {
	Hash    string
	Plain   Plain
	Differs []string // hashes of former passwords that it was found not to be
}

// Refusals.
var (
	ErrReused    = fault.Field("password", "was used before; choose another")
	ErrUnchecked = fault.New(fault.Conflict, "the passwords before this one changed meanwhile; try again")
)

const maxFormers = policy.MaxHistory

// admits refuses a password that the policy does not, as it stands at the
// decision. Whether one was used before takes hashing, which was done before:
// here it is made sure that it was done with all that count.
func (s State) admits(c Chosen, personal ...string) error {
	p, _ := s.policies.Password()
	if err := p.Check(string(c.Plain), personal...); err != nil {
		return err
	}
	for _, former := range s.Recent(p.History) {
		if !slices.Contains(c.Differs, former) {
			return ErrUnchecked
		}
	}
	return nil
}

// Personal is what a password of the person must not hold.
func (s State) Personal() []string {
	return []string{s.Email.Value, s.GivenName.Value, s.FamilyName.Value, s.DisplayName.Value}
}

// Policies are those that hold for the user, where a query asked for them.
func (s State) Policies() policy.State { return s.policies }

// SetPassword gives a user another password. For the user's own change Was is
// the hash that the present password was checked against.
type SetPassword struct {
	User         event.ID
	Organization event.ID // the user's
	Chosen
	Was string // for the user's own change; else ""
}

// SettingPassword decides SetPassword.
var SettingPassword = decide.Decider[State, SetPassword]{
	Name:   "set a password",
	Start:  func(c SetPassword) State { return Start(c.User) },
	Query:  func(c SetPassword) []decide.Facts { return withPolicy(managed(c.User), c.Organization) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c SetPassword) error {
		switch {
		case !a.Is(c.User):
			return s.Manageable(a)
		case c.Was == "": // a session that was stolen must not become an account that is
			return authz.Denied("change your own password: give the present one")
		}
		return nil
	},
	Decide: func(s State, c SetPassword) ([]event.New, error) {
		if err := s.Person(); err != nil {
			return nil, err
		}
		if c.Was != "" && c.Was != s.Hash.Value {
			return nil, fault.New(fault.Conflict, "the password was changed meanwhile; try again with the new one")
		}
		if err := s.at(c.Organization); err != nil {
			return nil, err
		}
		if err := s.admits(c.Chosen, s.Personal()...); err != nil {
			return nil, err
		}
		return one(s.User, PasswordSet{s.User, s.Organization, event.Seal(c.Hash)}), nil
	},
}

// withPolicy adds the facts of what is demanded of passwords.
func withPolicy(facts []decide.Facts, organization event.ID) []decide.Facts {
	return append(facts, policy.Facts(organization, policy.OfPasswords)...)
}

// at makes sure that the policies are those of the user's own organization.
func (s State) at(organization event.ID) error {
	if s.Organization != organization {
		return fault.New(fault.Internal, "a password was held against the policy of another organization")
	}
	return nil
}

// CreateSetupLink makes a one-time link; Digest is the SHA-256 of its secret.
type CreateSetupLink struct {
	User    event.ID
	Digest  [32]byte
	Expires event.Instant
}

// CreatingSetupLink decides CreateSetupLink.
var CreatingSetupLink = decide.Decider[State, CreateSetupLink]{
	Name:   "create a set-up link",
	Start:  func(c CreateSetupLink) State { return Start(c.User) },
	Query:  func(c CreateSetupLink) []decide.Facts { return managed(c.User) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c CreateSetupLink) error {
		if a.Is(c.User) {
			return authz.Denied("change your own password: give the present one")
		}
		return s.Manageable(a)
	},
	Decide: func(s State, c CreateSetupLink) ([]event.New, error) {
		if err := s.Person(); err != nil {
			return nil, err
		}
		return one(s.User, SetupLinkCreated{s.User, s.Organization, event.Seal(c.Digest[:]), c.Expires}), nil
	},
}

// UseSetupLink sets a password by a link.
type UseSetupLink struct {
	User         event.ID
	Organization event.ID // the user's
	Digest       [32]byte // SHA-256 of the secret that was presented
	Chosen
	Now event.Instant
}

// UsingSetupLink decides UseSetupLink. Holding the link is the authority, but
// for what somebody else than the link's maker let the user administer since.
var UsingSetupLink = decide.Decider[State, UseSetupLink]{
	Name:   "use a set-up link",
	Start:  func(c UseSetupLink) State { return Start(c.User) },
	Query:  func(c UseSetupLink) []decide.Facts { return withPolicy(managed(c.User), c.Organization) },
	Evolve: Evolve,
	Allow:  func(authz.Authority, State, UseSetupLink) error { return nil },
	Decide: func(s State, c UseSetupLink) ([]event.New, error) {
		if err := s.LinkValid(c.Digest, c.Now); err != nil {
			return nil, err
		}
		if err := s.at(c.Organization); err != nil {
			return nil, err
		}
		if err := s.admits(c.Chosen, s.Personal()...); err != nil {
			return nil, err
		}
		return append(one(s.User, SetupLinkUsed{s.User, s.Organization}),
			one(s.User, PasswordSet{s.User, s.Organization, event.Seal(c.Hash)})...), nil
	},
}

// LinkValid returns nil if a set-up link with that digest works now, else
// ErrLink, whatever the reason.
func (s State) LinkValid(digest [32]byte, now event.Instant) error {
	link, ok := s.Link.Get()
	good := subtle.ConstantTimeCompare(link, digest[:]) == 1
	if !ok || !good || now >= s.LinkExpires || s.Exists() != nil || s.Status == IsDeactivated {
		return ErrLink
	}
	return nil
}
