package session

import (
	"encoding/hex"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Refusals.
var (
	ErrNoRefreshToken = fault.New(fault.NotFound, "there is no such refresh token")
	ErrRefreshSpent   = fault.New(fault.Refused, "the refresh token was used before")
	ErrNoToken        = fault.New(fault.NotFound, "there is no such token")
)

// Refreshing is a refresh token that is to be issued.
type Refreshing struct {
	Digest  [32]byte // SHA-256 of it
	Expires event.Instant
}

// Refresh exchanges a refresh token for other tokens.
type Refresh struct {
	Subject
	Number int64 // of the refresh token that was presented
	// Unclaimed are access tokens of exchanges of this same refresh token that
	// nobody received the tokens of, because it was not known whether they
	// happened: they do not count as its use.
	Unclaimed []event.ID
	Access    Access
	Next      Refreshing
	Now       event.Instant
}

// RefreshingTokens decides Refresh: of any number at once, exactly one. The
// application gives it, having shown the refresh token and proved itself.
var RefreshingTokens = decide.Decider[Authorization, Refresh]{
	Name:   "refresh tokens",
	Start:  func(c Refresh) Authorization { return StartAuthorization(c.Subject) },
	Query:  func(c Refresh) []decide.Facts { return AuthorizationFacts(c.Subject) },
	Evolve: EvolveAuthorization,
	Allow:  func(authz.Authority, Authorization, Refresh) error { return nil },
	Decide: func(s Authorization, c Refresh) ([]event.New, error) {
		if s.Authorization.IsZero() || s.Refresh.Number < c.Number {
			return nil, ErrNoRefreshToken
		}
		if err := s.Live(c.Now); err != nil {
			return nil, err
		}
		switch {
		case s.Refresh.Number != c.Number && !slices.Contains(c.Unclaimed, s.Refresh.Token):
			return nil, ErrRefreshSpent
		case c.Now >= s.Refresh.Expires:
			return nil, ErrAuthorizationEnded
		}
		return s.event(s.Authorization, s.tokens(c.Access, &c.Next, c.Now)...), nil
	},
}

// RevokeToken ends one access token before its time.
type RevokeToken struct {
	Subject
	Token   event.ID
	Expires event.Instant // as the token says
	Now     event.Instant
}

// RevokingToken decides RevokeToken; revoking twice does nothing. The
// application to which the token was issued gives it (RFC 7009).
var RevokingToken = decide.Decider[Authorization, RevokeToken]{
	Name:   "revoke a token",
	Start:  func(c RevokeToken) Authorization { return StartAuthorization(c.Subject) },
	Query:  func(c RevokeToken) []decide.Facts { return AuthorizationFacts(c.Subject) },
	Evolve: EvolveAuthorization,
	Allow:  func(authz.Authority, Authorization, RevokeToken) error { return nil },
	Decide: func(s Authorization, c RevokeToken) ([]event.New, error) {
		switch {
		case s.Authorization.IsZero():
			return nil, ErrNoToken
		case s.TokenLive(c.Token, c.Now) != nil || c.Now >= c.Expires:
			return nil, nil // it is good no more
		}
		i := s.CodeIssued
		return s.event(i.Authorization, TokenRevoked{i.Authorization, c.Token, i.Session, i.User, i.Organization, i.Application, c.Expires}), nil
	},
}

// ByRefreshToken are the facts that find an authorization by the SHA-256 of a
// refresh token.
func ByRefreshToken(hash [32]byte) []decide.Facts {
	return []decide.Facts{{Types: []string{"authorization.refresh-token.issued"}, Blind: &decide.Blind{Name: "refresh-token", Value: hex.EncodeToString(hash[:])}}}
}

// ByAccessToken are the facts that find an access token by the SHA-256 of an
// opaque one.
func ByAccessToken(hash [32]byte) []decide.Facts {
	return []decide.Facts{{Types: []string{"authorization.token.issued"}, Blind: &decide.Blind{Name: "access-token", Value: hex.EncodeToString(hash[:])}}}
}
