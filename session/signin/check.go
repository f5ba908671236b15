package signin

import (
	"context"

	"muniment.dev/api/call"
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

// SamePassword reports whether a password is that of a hash which a user has or
// had. If they ask themselves it is throttled as an attempt to sign in: in a
// session that was stolen, somebody could guess.
func (s *Service) SamePassword(ctx context.Context, uid event.ID, hash, password string) (bool, error) {
	if c, err := call.CallerOf(ctx); err != nil || c.ID == uid {
		u, err := s.user(ctx, uid)
		if err != nil {
			return false, err
		}
		a := Attempt{Email: u.Email.Value}
		if err := s.admit(ctx, s.gate.pass(ctx, a.Email), a, s.runner.Log.Now()); err != nil {
			return false, err
		}
	}
	return s.pool.Verify(ctx, hash, password)
}
