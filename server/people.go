package server

import (
	"context"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/login"
	"muniment.dev/session"
	"muniment.dev/session/signin"
)

// sessionCookieLife is how long a browser keeps a session's token; whether it
// is good is the session's to say.
const sessionCookieLife = 90 * 24 * time.Hour

// people is signin.Service as the sign-in pages and the console want it.
type people struct{ *signin.Service }

func asLogin(s signin.Session) login.Session {
	return login.Session{ID: s.Begun.Session, Token: s.Token, User: s.User, Name: s.Name, Email: s.Email, Expires: s.Expires, AskPassword: s.AskPassword}
}

// SignIn implements login.Sessions.
func (p people) SignIn(ctx context.Context, a login.Attempt) (login.Session, error) {
	s, err := p.Service.SignIn(ctx, signin.Attempt(a))
	return asLogin(s), err
}

// Session implements login.Sessions.
func (p people) Session(ctx context.Context, token string) (login.Session, error) {
	s, err := p.Service.Session(ctx, token)
	return asLogin(s), err
}

// Replace implements login.Sessions.
func (p people) Replace(ctx context.Context, r login.Replacement) (login.Session, error) {
	s, err := p.Service.Replace(ctx, signin.Replacement(r))
	return asLogin(s), err
}

// Setup implements login.SetupLinks.
func (p people) Setup(ctx context.Context, secret string) (login.Setup, error) {
	s, err := p.Service.Setup(ctx, secret)
	return login.Setup(s), err
}

// UseSetup implements login.SetupLinks.
func (p people) UseSetup(ctx context.Context, secret, password string) (login.Session, error) {
	s, err := p.Service.UseSetup(ctx, secret, password)
	return asLogin(s), err
}

// Caller implements console.Sessions.
func (p people) Caller(ctx context.Context, token string) (call.Caller, error) {
	s, err := p.Service.Session(ctx, token)
	if err != nil {
		return call.Caller{}, err
	}
	if s.AskPassword { // the sign-in page asks for it, in the same session
		return call.Caller{}, session.ErrNoSession
	}
	return call.Caller{Kind: "user", ID: s.User, SessionID: s.Begun.Session}, nil
}
