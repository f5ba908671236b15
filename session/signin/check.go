package signin

import (
	"context"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
)

// ErrOldPassword refuses a change by somebody who does not know the present
// password.
var ErrOldPassword = fault.New(fault.Denied, "the present password is not right")

// CheckPassword checks the present password of a person who is signed in, and
// returns the hash that it was checked against. It is throttled as sign-ins
// are, and failures are recorded as such.
func (s *Service) CheckPassword(ctx context.Context, uid event.ID, password string) (hash string, err error) {
	now := s.runner.Log.Now()
	u, err := s.user(ctx, uid)
	if err != nil {
		return "", err
	}
	if err := u.Exists(); err != nil {
		return "", err
	}
	a := Attempt{Email: u.Email.Value, Password: password}
	p := s.gate.pass(ctx, a.Email)
	if err := s.admit(ctx, p, a, now); err != nil {
		return "", err
	}
	ok, err := s.pool.Verify(ctx, u.Hash.Value, password)
	if err != nil {
		return "", err
	}
	if !ok {
		s.fail(ctx, a.Email, u, session.WrongPassword, now)
		return "", ErrOldPassword
	}
	s.gate.good(p)
	return u.Hash.Value, nil
}
