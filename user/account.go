package user

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Names are what a person is called.
type Names struct{ Given, Family, Display string }

func (n Names) check() error {
	for _, f := range []struct {
		field, value string
		least        int
	}{{"given_name", n.Given, 1}, {"family_name", n.Family, 0}, {"display_name", n.Display, 0}} {
		if err := checkText(f.field, f.value, f.least, 200); err != nil {
			return err
		}
	}
	return nil
}

func checkText(field, v string, least, most int) error {
	if len(v) < least || len(v) > most || !utf8.ValidString(v) || strings.TrimSpace(v) != v ||
		strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fault.Field(field, "must have %d to %d bytes of text, without control characters or space at its ends", least, most)
	}
	return nil
}

// CheckEmail reports whether a text can be an e-mail address to sign in with.
func CheckEmail(v string) error {
	if err := checkText("email", v, 3, 254); err != nil {
		return err
	}
	a, err := mail.ParseAddress(v)
	if err != nil || a.Address != v {
		return fault.Field("email", "must be an e-mail address such as ada@example.org")
	}
	return nil
}

// display is the name to show: the one that was chosen, or made of the others.
func (n Names) display() string {
	if n.Display != "" {
		return n.Display
	}
	return strings.TrimSpace(n.Given + " " + n.Family)
}

// Register gives a person an account.
type Register struct {
	User         event.ID // fresh
	Organization event.ID
	Email        string
	Names        Names
	Chosen       // first password; no hash if none
	// LinkDigest and LinkExpires are of a first set-up link; LinkExpires is 0 if
	// there is none.
	LinkDigest  [32]byte
	LinkExpires event.Instant
}

// Registering decides Register.
var Registering = decide.Decider[State, Register]{
	Name:  "register a user",
	Start: func(c Register) State { return Start(c.User) },
	Query: func(c Register) []decide.Facts {
		facts := append(own(c.User), decide.Facts{Types: org.Types, Stream: org.Stream(c.Organization)})
		return withPolicy(withAddress(facts, c.Email), c.Organization)
	},
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c Register) error {
		return a.Need(authz.ManageUsers, authz.Of(c.Organization))
	},
	Decide: func(s State, c Register) ([]event.New, error) {
		if s.Status != "" {
			return nil, fault.New(fault.Exists, "a user with this id exists already")
		}
		if err := c.Names.check(); err != nil {
			return nil, err
		}
		if err := CheckEmail(c.Email); err != nil {
			return nil, err
		}
		if err := s.org.Usable(); err != nil {
			return nil, err
		}
		if !s.emailFree(c.User, c.Email) {
			return nil, ErrEmailTaken
		}
		if c.Hash != "" {
			if err := s.admits(c.Chosen, c.Email, c.Names.Given, c.Names.Family, c.Names.Display); err != nil {
				return nil, err
			}
		}
		events := one(c.User, Registered{
			User: c.User, Organization: c.Organization, Email: event.Seal(c.Email),
			GivenName: event.Seal(c.Names.Given), FamilyName: event.Seal(c.Names.Family), DisplayName: event.Seal(c.Names.display()),
		})
		if c.Hash != "" {
			events = append(events, one(c.User, PasswordSet{c.User, c.Organization, event.Seal(c.Hash)})...)
		}
		if c.LinkExpires != 0 {
			events = append(events, one(c.User, SetupLinkCreated{c.User, c.Organization, event.Seal(c.LinkDigest[:]), c.LinkExpires})...)
		}
		return events, nil
	},
}

// ChangeProfile changes the names that are not nil.
type ChangeProfile struct {
	User                   event.ID
	Given, Family, Display *string
}

// ChangingProfile decides ChangeProfile. People may change their own names.
var ChangingProfile = decide.Decider[State, ChangeProfile]{
	Name:   "change a profile",
	Start:  func(c ChangeProfile) State { return Start(c.User) },
	Query:  func(c ChangeProfile) []decide.Facts { return managed(c.User) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, s State, c ChangeProfile) error {
		if a.Is(c.User) {
			return nil
		}
		return manager(a, s, c)
	},
	Decide: func(s State, c ChangeProfile) ([]event.New, error) {
		if err := s.Person(); err != nil {
			return nil, err
		}
		names := Names{or(c.Given, s.GivenName.Value), or(c.Family, s.FamilyName.Value), or(c.Display, s.DisplayName.Value)}
		if err := names.check(); err != nil {
			return nil, err
		}
		e := ProfileChanged{User: s.User, Organization: s.Organization, GivenName: changed(s.GivenName, names.Given),
			FamilyName: changed(s.FamilyName, names.Family), DisplayName: changed(s.DisplayName, names.display())}
		if e.GivenName.State == event.Absent && e.FamilyName.State == event.Absent && e.DisplayName.State == event.Absent {
			return nil, nil
		}
		return one(s.User, e), nil
	},
}

func or(v *string, otherwise string) string {
	if v != nil {
		return *v
	}
	return otherwise
}

// changed seals a value that differs from the present one.
func changed(was event.Sealed[string], now string) event.Sealed[string] {
	if was.Value == now {
		return event.Sealed[string]{}
	}
	return event.Seal(now)
}

// ChangeEmail gives a user another e-mail address.
type ChangeEmail struct {
	User  event.ID
	Email string
}

// ChangingEmail decides ChangeEmail.
var ChangingEmail = decide.Decider[State, ChangeEmail]{
	Name:   "change an e-mail address",
	Start:  func(c ChangeEmail) State { return Start(c.User) },
	Query:  func(c ChangeEmail) []decide.Facts { return withAddress(managed(c.User), c.Email) },
	Evolve: Evolve,
	Allow:  manager[ChangeEmail],
	Decide: func(s State, c ChangeEmail) ([]event.New, error) {
		if err := s.Person(); err != nil {
			return nil, err
		}
		if err := CheckEmail(c.Email); err != nil {
			return nil, err
		}
		if s.Email.Value == c.Email {
			return nil, nil
		}
		if !s.emailFree(c.User, c.Email) {
			return nil, ErrEmailTaken
		}
		return one(s.User, EmailChanged{User: s.User, Organization: s.Organization, Email: event.Seal(c.Email), Former: s.Email}), nil
	},
}
