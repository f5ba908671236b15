package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/user"
)

// LinkLife is how long a set-up link works.
const LinkLife = 72 * time.Hour

// Setup is what a set-up link is for.
type Setup struct {
	Name, Email string
	Expires     time.Time
}

// errNoLink answers for links that do not work, whatever the reason.
var errNoLink = fault.New(fault.NotFound, "this link was used already, has expired, or was replaced by a newer one; ask for a new one")

// NewLink makes the secret of a set-up link for a user, and its SHA-256.
func NewLink(uid event.ID) (secret string, digest [32]byte) {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(append(uid[:], b...)), sha256.Sum256(b)
}

func parseLink(secret string) (uid event.ID, digest [32]byte, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(b) != 48 || len(secret) > 128 {
		return uid, digest, errNoLink
	}
	return event.ID(b[:16]), sha256.Sum256(b[16:]), nil
}

// Setup says what a link is for, without using it up. Kind NotFound if it does
// not work.
func (s *Service) Setup(ctx context.Context, secret string) (Setup, error) {
	u, _, err := s.link(ctx, secret)
	if err != nil {
		return Setup{}, err
	}
	return Setup{Name: u.DisplayName.Value, Email: u.Email.Value, Expires: time.UnixMicro(int64(u.LinkExpires)).UTC()}, nil
}

func (s *Service) link(ctx context.Context, secret string) (user.State, [32]byte, error) {
	uid, digest, err := parseLink(secret)
	if err != nil {
		return user.State{}, digest, err
	}
	facts := append(user.Facts(uid), user.Roles(uid))
	u, err := decide.Read(ctx, s.runner, "user with roles", facts, user.Start(uid), user.Evolve)
	if err != nil {
		return u, digest, err
	}
	if u.LinkValid(digest, instant(s.runner.Log.Now())) != nil {
		return u, digest, errNoLink
	}
	return u, digest, nil
}

// UseSetup sets the password by a link and begins a session; it succeeds once.
func (s *Service) UseSetup(ctx context.Context, secret, pass string) (Session, error) {
	u, digest, err := s.link(ctx, secret)
	if err != nil {
		return Session{}, err
	}
	chosen, err := s.Choose(ctx, u.User, u.Organization, pass)
	if err != nil {
		return Session{}, err
	}
	from := checked{user: u, pass: s.gate.pass(ctx, u.Email.Value), now: s.runner.Log.Now()}
	c := user.UseSetupLink{User: u.User, Organization: u.Organization, Digest: digest, Chosen: chosen, Now: instant(from.now)}
	if _, err := decide.Run(ctx, s.runner, user.UsingSetupLink, call.UserEnvelope(ctx, u.User, event.ID{}), c); err != nil {
		if errors.Is(err, user.ErrLink) {
			err = errNoLink
		}
		return Session{}, err
	}
	return s.begin(ctx, u, chosen.Hash, "", from)
}
