// Package session holds how people are signed in: checks of passwords,
// sessions, and the authorizations by which applications get tokens for them.
//
// An authorization begins with a code, which is redeemed once; its tokens are
// good as long as neither it, nor the session, nor the person's account has
// ended. With offline_access it outlives the session, if that ends by signing
// out or by itself, and is carried on by refresh tokens, each of which is good
// once. A session, and whatever was authorized, ends for good when its person is
// locked, deactivated or erased, or gets another password.
package session

import (
	"muniment.dev/event"
)

// SignInFailed says that somebody tried to sign in and did not get in. User is
// set if the account exists. It does not say that the person was there.
//
// What was typed is sealed under the account's user, so that it goes with them;
// if there is no account, under that day's visitors.
type SignInFailed struct {
	Visitor      event.ID             `event:"visitor,public,subject"` // under whose key Login is
	Login        event.Sealed[string] `event:"login"`
	Reason       string               `event:"reason,public"` // a Reason
	User         event.ID             `event:"user,public,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Known        bool                 `event:"known_address,public"` // from where the person signed in before
}

// PasswordChecked says that the right password was given.
type PasswordChecked struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Session      event.ID `event:"session,public,tag=session"`
	Known        bool     `event:"known_address,public"` // from where the person signed in before
}

// Begun says that a browser is signed in from now on.
type Begun struct {
	Session      event.ID             `event:"session,public,tag=session"`
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Digest       event.Sealed[[]byte] `event:"digest,secret"` // SHA-256 of the session's secret
	AuthTime     event.Instant        `event:"auth_time,public"`
	AMR          []string             `event:"amr,public"` // RFC 8176
	ACR          string               `event:"acr,public"`
	Expires      event.Instant        `event:"expires,public"`
}

// Renewed says that the person gave their password again in a session: it
// lasts longer from now on, and its secret is another.
type Renewed struct {
	Session      event.ID             `event:"session,public,tag=session"`
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Digest       event.Sealed[[]byte] `event:"digest,secret"`
	AuthTime     event.Instant        `event:"auth_time,public"`
	Expires      event.Instant        `event:"expires,public"`
}

// Used says that a session was in use. It is recorded only where sessions end
// when they are idle, and then a few times in that span at most: that there is
// none does not say that the session was not used.
type Used struct {
	Session      event.ID      `event:"session,public,tag=session"`
	User         event.ID      `event:"user,public,tag=user"`
	Organization event.ID      `event:"organization,public,tag=org"`
	Time         event.Instant `event:"time,public"`
}

// Ended says that a session is over.
type Ended struct {
	Session      event.ID `event:"session,public,tag=session"`
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Reason       string   `event:"reason,public"` // SignedOut, "ended by its person" or "ended by an administrator"
}

// CodeIssued says that a person let an application in and that it may fetch
// tokens with a code, once.
type CodeIssued struct {
	Authorization event.ID             `event:"authorization,public"`
	Session       event.ID             `event:"session,public,tag=session"`
	User          event.ID             `event:"user,public,subject,tag=user"`
	Organization  event.ID             `event:"organization,public,tag=org"`
	Application   event.ID             `event:"application,public,tag=app"`
	Code          event.Sealed[string] `event:"code,blind=code,only,secret"` // SHA-256 of it, hexadecimal
	RedirectURI   string               `event:"redirect_uri,public"`
	Challenge     event.Sealed[string] `event:"challenge,secret"` // PKCE, S256
	Nonce         event.Sealed[string] `event:"nonce,secret"`
	Scopes        []string             `event:"scopes,public"`
	Resources     []string             `event:"resources,public"` // audiences that its tokens may have; empty: all that the application may address
	AuthTime      event.Instant        `event:"auth_time,public"`
	AMR           []string             `event:"amr,public"`
	ACR           string               `event:"acr,public"`
	Consented     bool                 `event:"consented,public"`
	Expires       event.Instant        `event:"expires,public"`
}

// CodeRedeemed says that the code was exchanged and is spent.
type CodeRedeemed struct {
	Authorization event.ID `event:"authorization,public"`
	Session       event.ID `event:"session,public,tag=session"`
	User          event.ID `event:"user,public,tag=user"`
	Organization  event.ID `event:"organization,public,tag=org"`
	Application   event.ID `event:"application,public,tag=app"`
}

// TokenIssued says that an application got an access token and, with openid,
// an ID token.
type TokenIssued struct {
	Authorization event.ID             `event:"authorization,public"`
	Token         event.ID             `event:"token,public"` // its jti
	Session       event.ID             `event:"session,public,tag=session"`
	User          event.ID             `event:"user,public,subject,tag=user"`
	Organization  event.ID             `event:"organization,public,tag=org"`
	Application   event.ID             `event:"application,public,tag=app"`
	Scopes        []string             `event:"scopes,public"`
	Audience      []string             `event:"audience,public"`
	Opaque        event.Sealed[string] `event:"opaque,blind=access-token,only,secret"` // SHA-256 of it, hexadecimal; absent if it is a JWT
	Issued        event.Instant        `event:"issued,public"`
	Expires       event.Instant        `event:"expires,public"`
}

// RefreshTokenIssued says that an application got a refresh token. It is the
// only good one of its authorization: those with lower numbers are spent.
type RefreshTokenIssued struct {
	Authorization event.ID             `event:"authorization,public"`
	Number        int64                `event:"number,public"` // from 1
	Token         event.ID             `event:"token,public"`  // jti of the access token that was issued with it
	Session       event.ID             `event:"session,public,tag=session"`
	User          event.ID             `event:"user,public,subject,tag=user"`
	Organization  event.ID             `event:"organization,public,tag=org"`
	Application   event.ID             `event:"application,public,tag=app"`
	Refresh       event.Sealed[string] `event:"refresh,blind=refresh-token,only,secret"` // SHA-256 of it, hexadecimal
	Expires       event.Instant        `event:"expires,public"`                          // unless it is used before
}

// TokenRevoked says that one access token is good no more where the server is
// asked. The authorization goes on.
type TokenRevoked struct {
	Authorization event.ID      `event:"authorization,public"`
	Token         event.ID      `event:"token,public"` // its jti
	Session       event.ID      `event:"session,public,tag=session"`
	User          event.ID      `event:"user,public,tag=user"`
	Organization  event.ID      `event:"organization,public,tag=org"`
	Application   event.ID      `event:"application,public,tag=app"`
	Expires       event.Instant `event:"expires,public"` // when it would have been good no more anyway
}

// AuthorizationEnded says that an application's tokens of this authorization
// are good no more.
type AuthorizationEnded struct {
	Authorization event.ID `event:"authorization,public"`
	Session       event.ID `event:"session,public,tag=session"`
	User          event.ID `event:"user,public,tag=user"`
	Organization  event.ID `event:"organization,public,tag=org"`
	Application   event.ID `event:"application,public,tag=app"`
	Reason        string   `event:"reason,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return append([]event.Descriptor{
		event.Describe[SignInFailed]("signin.failed", 1, "somebody failed to sign in: {reason}"),
		event.Describe[PasswordChecked]("user.password.checked", 1, "{user} gave the right password"),
		event.Describe[Begun]("session.begun", 1, "{user} signed in"),
		event.Describe[Renewed]("session.renewed", 1, "{user} signed in again in a session"),
		event.Describe[Used]("session.used", 1, "{user} was using a session"),
		event.Describe[Ended]("session.ended", 1, "a session of {user} ended: {reason}"),
		event.Describe[CodeIssued]("authorization.code.issued", 1, "{user} let {application} in"),
		event.Describe[CodeRedeemed]("authorization.code.redeemed", 1, "{application} redeemed a code for {user}"),
		event.Describe[TokenIssued]("authorization.token.issued", 1, "{application} got a token for {user}"),
		event.Describe[RefreshTokenIssued]("authorization.refresh-token.issued", 1, "{application} got a refresh token for {user}"),
		event.Describe[TokenRevoked]("authorization.token.revoked", 1, "{application} revoked a token for {user}"),
		event.Describe[ConsentGiven]("consent.given", 1, "{user} agreed that {application} may have {scopes}"),
		event.Describe[ConsentWithdrawn]("consent.withdrawn", 1, "{actor} ended what {application} holds of {user}"),
		event.Describe[AuthorizationEnded]("authorization.ended", 1, "the authorization of {application} for {user} ended: {reason}"),
	}, machineEvents()...)
}

// Stream is a session's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "session", ID: id} }

// AuthorizationStream is an authorization's stream.
func AuthorizationStream(id event.ID) event.Stream {
	return event.Stream{Kind: "authorization", ID: id}
}
