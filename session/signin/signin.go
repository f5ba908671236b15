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
	gate   *gate
}

// New makes a service.
func New(r *decide.Runner, pool *password.Pool) *Service {
	return &Service{runner: r, pool: pool, gate: newGate()}
}

// Session is a live session with its person.
type Session struct {
	session.Begun
	Token        string // only when it was just begun
	Name, Email  string
	AuthTime     time.Time
	Expires      time.Time
	Organization event.ID
	AskPassword  bool // it opens nothing until the password is given again
}

// Attempt is what a person typed; Session is the token of the browser's
// session, if it has one.
type Attempt struct{ Email, Password, Session string }

// checked is an attempt whose password is right.
type checked struct {
	user user.State
	pass pass
	now  time.Time
}

// SignIn checks an attempt and begins a session, or renews the one that the
// browser has. Kinds: Unauthenticated, Refused, Exhausted, Unknown.
func (s *Service) SignIn(ctx context.Context, a Attempt) (Session, error) {
	c, err := s.check(ctx, a)
	if err != nil {
		return Session{}, err
	}
	res, err := s.begin(ctx, c.user, c.user.Hash.Value, a.Session, c)
	switch {
	case errors.Is(err, session.ErrMayNotSignIn):
		s.fail(ctx, a.Email, c.user, session.AccountUnusable, c)
	case errors.Is(err, session.ErrPassword): // locked out this moment, or another password was set
		s.fail(ctx, a.Email, c.user, session.LockedOut, c)
	case err == nil:
		s.gate.good(c.pass)
	}
	return res, err
}

// check checks the password of an attempt. While the account is locked out the
// right one is as wrong as any other, and costs the same.
func (s *Service) check(ctx context.Context, a Attempt) (checked, error) {
	c := checked{pass: s.gate.pass(ctx, a.Email), now: s.runner.Log.Now()}
	if err := s.admit(ctx, c.pass, a, c.now); err != nil {
		return c, err
	}
	var err error
	if c.user, err = s.account(ctx, a.Email); err != nil {
		return c, err
	}
	out := c.user.LockedOut(c.pass.known, instant(c.now))
	ok, err := s.pool.Verify(ctx, c.user.Hash.Value, a.Password)
	switch {
	case err != nil:
		return c, err
	case out:
		if s.gate.accounts.tell(c.pass.account, c.now) { // one summary a minute
			s.fail(ctx, a.Email, c.user, session.LockedOut, c)
		}
	case ok:
		return c, nil
	case c.user.User.IsZero():
		s.fail(ctx, a.Email, c.user, session.UnknownAccount, c)
	default:
		s.fail(ctx, a.Email, c.user, session.WrongPassword, c)
	}
	return c, session.ErrPassword
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

func (s *Service) begin(ctx context.Context, u user.State, hash, present string, from checked) (Session, error) {
	id := event.NewID()
	if old, err := s.Session(ctx, present); err == nil && old.User == u.User {
		id = old.Begun.Session
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	token := base64.RawURLEncoding.EncodeToString(slices.Concat(id[:], u.User[:], secret))
	c := session.Begin{Session: id, User: u.User, Organization: u.Organization, Hash: hash, Digest: sha256.Sum256(secret),
		AMR: []string{"pwd"}, ACR: ACR, Now: instant(from.now), Known: from.pass.known}
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
	now := instant(s.runner.Log.Now())
	if err := st.Live(now); err != nil || st.User != uid {
		return Found{}, session.ErrNoSession
	}
	Use(ctx, s.runner, st, now)
	return Found{state: st, Session: Session{Begun: st.Begun, Name: u.DisplayName.Value, Email: u.Email.Value, Organization: u.Organization,
		AuthTime: time.UnixMicro(int64(st.AuthTime)).UTC(), Expires: time.UnixMicro(int64(st.Ends())).UTC(), AskPassword: st.AsksPassword(now)}}, nil
}

// Use notes that a live session is in use, if that is worth a record now. That
// it could not be recorded changes nothing for the request that is being
// served: the session just ends sooner.
func Use(ctx context.Context, r *decide.Runner, st session.State, now event.Instant) {
	if !st.Notes(now) || st.Live(now) != nil {
		return
	}
	decide.Run(ctx, r, session.Using, call.UserEnvelope(ctx, st.User, st.Session), session.Use{Session: st.Session, User: st.User, Organization: st.Organization, Now: now})
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
func (s *Service) fail(ctx context.Context, login string, u user.State, why session.Reason, from checked) {
	env := call.VisitorEnvelope(ctx, s.runner.Log.ID(), from.now)
	c := session.Fail{Attempt: event.NewID(), Visitor: env.Actor.ID, Login: clip(login), Reason: why, Known: from.pass.known, Now: instant(from.now)}
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
