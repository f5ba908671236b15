package signin

import (
	"context"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/policy"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// Choose checks and hashes a password that a user is to get: against what holds
// for all, the policy of the organization, and the user's former ones. Personal
// is what it must not hold beside what is known of the user. The decider checks
// again what may have changed meanwhile.
func (s *Service) Choose(ctx context.Context, uid, organization event.ID, plain string, personal ...string) (user.Chosen, error) {
	if err := password.Check(plain); err != nil {
		return user.Chosen{}, err
	}
	facts := append(user.Facts(uid), policy.Facts(organization, policy.OfPasswords)...)
	u, err := decide.Read(ctx, s.runner, "user with password policy", facts, user.Start(uid), user.Evolve)
	if err != nil {
		return user.Chosen{}, err
	}
	p, _ := u.Policies().Password()
	if err := p.Check(plain, append(u.Personal(), personal...)...); err != nil {
		return user.Chosen{}, err
	}
	c := user.Chosen{Plain: user.Plain(plain)}
	for _, former := range u.Recent(p.History) {
		same, err := s.pool.Verify(ctx, former, plain)
		if err != nil {
			return user.Chosen{}, err
		}
		if same {
			return user.Chosen{}, user.ErrReused
		}
		c.Differs = append(c.Differs, former)
	}
	c.Hash, err = s.pool.Hash(ctx, plain)
	return c, err
}

// Replacement is a password that has become too old, and the one after it.
type Replacement struct{ Email, Password, New, Session string }

// Replace gives a person another password who knows the present one, and signs
// them in: what is left to whoever is refused with session.ErrPasswordAge.
// Kinds as for SignIn, and Invalid if the new password is not good enough.
func (s *Service) Replace(ctx context.Context, r Replacement) (Session, error) {
	c, err := s.check(ctx, Attempt{Email: r.Email, Password: r.Password})
	if err != nil {
		return Session{}, err
	}
	u := c.user
	if err := u.Exists(); err != nil || u.Status != user.Active {
		return Session{}, session.ErrMayNotSignIn
	}
	if r.New == r.Password {
		return Session{}, user.ErrReused
	}
	chosen, err := s.Choose(ctx, u.User, u.Organization, r.New)
	if err != nil {
		return Session{}, err
	}
	set := user.SetPassword{User: u.User, Organization: u.Organization, Chosen: chosen, Was: u.Hash.Value}
	if _, err := decide.Run(ctx, s.runner, user.SettingPassword, call.UserEnvelope(ctx, u.User, event.ID{}), set); err != nil {
		if fault.Is(err, fault.Denied) {
			err = session.ErrMayNotSignIn
		}
		return Session{}, err
	}
	s.gate.good(c.pass)
	return s.begin(ctx, u, chosen.Hash, r.Session, c)
}
