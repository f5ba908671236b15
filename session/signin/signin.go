// Package signin is where people prove who they are: it checks passwords in a
// bounded pool, throttles, begins and ends sessions, and serves set-up links.
// What it finds goes through the deciders of packages session and user; it
// keeps nothing of its own but the throttles, in memory.
//
// An unknown account and a wrong password look the same from outside: the same
// message after the same single argon2id, the same events but for the reason.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// ACR is the level of authentication that a password reaches.
const ACR = "urn:muniment:acr:password"

// Service signs people in. Make it with New.
type Service struct {
	runner *decide.Runner
	pool   *password.Pool
	life   time.Duration
	gate   *gate
}

// New makes a service; sessions last for life (default 12 hours).
func New(r *decide.Runner, pool *password.Pool, life time.Duration) *Service {
	if life == 0 {
		life = 12 * time.Hour
	}
	return &Service{runner: r, pool: pool, life: life, gate: newGate()}
}

// Session is a live session with its person.
type Session struct {
	session.Begun
	Token        string // only when it was just begun
	Name, Email  string
	AuthTime     time.Time
	Expires      time.Time
	Organization event.ID
}

// Attempt is what a person typed; Session is the token of the browser's
// session, if it has one.
type Attempt struct{ Email, Password, Session string }

// SignIn checks an attempt and begins a session, or renews the one that the
// browser has. Kinds: Unauthenticated, Refused, Exhausted, Unknown.
func (s *Service) SignIn(ctx context.Context, a Attempt) (Session, error) {
	now := s.runner.Log.Now()
	p := s.gate.pass(ctx, a.Email)
	if err := s.admit(ctx, p, a, now); err != nil {
		return Session{}, err
	}
	u, err := s.account(ctx, a.Email)
	if err != nil {
		return Session{}, err
	}
	hash := u.Hash.Value
	ok, err := s.pool.Verify(ctx, hash, a.Password)
	if err != nil {
		return Session{}, err
	}
	if !ok {
		reason := session.WrongPassword
		if u.User.IsZero() {
			reason = session.UnknownAccount
		}
		s.fail(ctx, a.Email, u, reason, now)
		return Session{}, session.ErrPassword
	}
	res, err := s.begin(ctx, u, hash, a.Session, now)
	if errors.Is(err, session.ErrMayNotSignIn) {
		s.fail(ctx, a.Email, u, session.AccountUnusable, now)
	}
	if err == nil {
		s.gate.good(p)
	}
	return res, err
}

// account finds who has an e-mail address; the zero state if nobody.
func (s *Service) account(ctx context.Context, email string) (user.State, error) {
	owners, err := decide.Read(ctx, s.runner, "owner of an address", user.ByEmail(email), user.Owners{}, user.EvolveOwners)
	if err != nil {
		return user.State{}, err
	}
	id, ok := owners.Of(email)
	if !ok {
		return user.State{}, nil
	}
	return s.user(ctx, id)
}

func (s *Service) user(ctx context.Context, id event.ID) (user.State, error) {
	return decide.Read(ctx, s.runner, "user", user.Facts(id), user.Start(id), user.Evolve)
}

func (s *Service) begin(ctx context.Context, u user.State, hash, present string, now time.Time) (Session, error) {
	id := event.NewID()
	if old, err := s.Session(ctx, present); err == nil && old.User == u.User {
		id = old.Begun.Session
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	token := base64.RawURLEncoding.EncodeToString(slices.Concat(id[:], u.User[:], secret))
	c := session.Begin{Session: id, User: u.User, Organization: u.Organization, Hash: hash, Digest: sha256.Sum256(secret),
		AMR: []string{"pwd"}, ACR: ACR, Now: instant(now), Expires: instant(now.Add(s.life))}
	if _, err := decide.Run(ctx, s.runner, session.Beginning, call.UserEnvelope(ctx, u.User, id), c); err != nil {
		return Session{}, err
	}
	live, err := s.Session(ctx, token)
	live.Token = token
	return live, err
}

// Session finds the live session of a token. Kind Unauthenticated if there is
// none.
func (s *Service) Session(ctx context.Context, token string) (Session, error) {
	id, uid, digest, ok := parseToken(token)
	if !ok {
		return Session{}, session.ErrNoSession
	}
	st, err := s.Live(ctx, id, uid)
	if err != nil {
		return Session{}, err
	}
	if !st.Proves(digest) {
		return Session{}, session.ErrNoSession
	}
	return st.Session, nil
}

// Found is a live session and the power to check its secret.
type Found struct {
	Session
	state session.State
}

// Proves reports whether a secret with this SHA-256 is the session's.
func (f Found) Proves(digest [32]byte) bool { return f.state.Proves(digest) }

// Live finds a session of a user that is good now.
func (s *Service) Live(ctx context.Context, id, uid event.ID) (Found, error) {
	u, err := s.user(ctx, uid)
	if err != nil {
		return Found{}, err
	}
	st, err := decide.Read(ctx, s.runner, "session", session.Facts(id, uid, u.Organization), session.Start(uid), session.Evolve)
	if err != nil {
		return Found{}, err
	}
	if err := st.Live(instant(s.runner.Log.Now())); err != nil || st.User != uid {
		return Found{}, session.ErrNoSession
	}
	return Found{state: st, Session: Session{Begun: st.Begun, Name: u.DisplayName.Value, Email: u.Email.Value, Organization: u.Organization,
		AuthTime: time.UnixMicro(int64(st.AuthTime)).UTC(), Expires: time.UnixMicro(int64(st.Expires)).UTC()}}, nil
}

// SignOut ends the session of a token; one that is over is no error.
func (s *Service) SignOut(ctx context.Context, token string) error {
	live, err := s.Session(ctx, token)
	if fault.Is(err, fault.Unauthenticated) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = decide.Run(ctx, s.runner, session.Ending, call.UserEnvelope(ctx, live.User, live.Begun.Session),
		session.End{Session: live.Begun.Session, User: live.User, Organization: live.Organization, SignedOut: true})
	return err
}

// parseToken takes a session's token apart: session, user, secret.
func parseToken(token string) (id, uid event.ID, digest [32]byte, ok bool) {
	if len(token) > 128 {
		return id, uid, digest, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != 64 {
		return id, uid, digest, false
	}
	return event.ID(b[:16]), event.ID(b[16:32]), sha256.Sum256(b[32:]), true
}

// fail records a failed sign-in. That it could not be recorded must not tell
// the person anything; it is in the operator's log through the sequencer.
func (s *Service) fail(ctx context.Context, login string, u user.State, why session.Reason, now time.Time) {
	env := call.VisitorEnvelope(ctx, s.runner.Log.ID(), now)
	c := session.Fail{Attempt: event.NewID(), Visitor: env.Actor.ID, Login: clip(login), Reason: why}
	if u.Exists() == nil { // then what was typed is the person's, and goes with them
		c.Visitor, c.User, c.Organization = u.User, u.User, u.Organization
	}
	decide.Run(ctx, s.runner, session.Failing, env, c)
}

func clip(s string) string {
	if len(s) > 254 {
		s = strings.ToValidUTF8(s[:254], "")
	}
	return s
}

func instant(t time.Time) event.Instant { return event.Instant(t.UnixMicro()) }
