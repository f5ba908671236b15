package signin

import (
	"context"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// ErrOldPassword refuses a change by somebody who does not know the present
// password.
var ErrOldPassword = fault.New(fault.Denied, "the present password is not right")

// CheckPassword checks the present password of a person who is signed in, and
// returns the hash that it was checked against. It is throttled as sign-ins
// are, and failures are recorded as such.
func (s *Service) CheckPassword(ctx context.Context, uid event.ID, password string) (hash string, err error) {
	u, err := s.user(ctx, uid)
	if err != nil {
		return "", err
	}
	if err := u.Exists(); err != nil {
		return "", err
	}
	c, err := s.check(ctx, Attempt{Email: u.Email.Value, Password: password})
	switch {
	case fault.Is(err, fault.Unauthenticated):
		return "", ErrOldPassword
	case err != nil:
		return "", err
	case c.user.User != uid: // the address became another's this moment
		return "", ErrOldPassword
	}
	s.gate.good(c.pass)
	return c.user.Hash.Value, nil
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
