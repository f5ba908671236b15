package session_test

import (
	"encoding/hex"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
	"muniment.dev/user"
)

var (
	jti2    = event.MustID("0c000000000000000000000000000004")
	jti3    = event.MustID("0c000000000000000000000000000005")
	byWeb   = event.Actor{Kind: "application", ID: web}
	offline = []string{"openid", session.OfflineAccess}
	spent   = of(session.CodeRedeemed{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web})
	closed  = of(session.AuthorizationEnded{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web, Reason: "reuse"})
)

// issuedOffline is an authorization that outlives its session.
func issuedOffline() event.New {
	e := issued()
	c := e.Payload.(session.CodeIssued)
	c.Scopes = offline
	e.Payload = c
	return e
}

func tokenOf(id event.ID, scopes []string, now, expires event.Instant) event.New {
	return of(session.TokenIssued{Authorization: auth, Token: id, Session: sid, User: ada, Organization: acme, Application: web, Scopes: scopes,
		Audience: []string{"a"}, Issued: now, Expires: expires})
}

func refreshOf(n int64, with event.ID, d [32]byte, expires event.Instant) event.New {
	return of(session.RefreshTokenIssued{Authorization: auth, Number: n, Token: with, Session: sid, User: ada, Organization: acme, Application: web,
		Refresh: event.Seal(hex.EncodeToString(d[:])), Expires: expires})
}

// refreshable is an authorization with its first refresh token.
func refreshable(events ...event.New) []event.New {
	return append(let(issuedOffline(), spent, tokenOf(jti, offline, 30, 40), refreshOf(1, jti, [32]byte{1}, 500)), events...)
}

// With offline_access a code brings a refresh token, too; an opaque token is
// recorded by its digest.
func TestRedeemingOffline(t *testing.T) {
	digest := [32]byte{9}
	c := session.Redeem{Subject: subject, Access: session.Access{Token: jti, Digest: &digest, Scopes: offline, Audience: []string{"a"}, Expires: 40},
		Refresh: &session.Refreshing{Digest: [32]byte{1}, Expires: 500}, Now: 30}
	opaque := tokenOf(jti, offline, 30, 40).Payload.(session.TokenIssued)
	opaque.Opaque = event.Seal(hex.EncodeToString(digest[:]))
	decidetest.Run(t, registry, session.Redeeming, decidetest.Case[session.Redeem]{Name: "once", As: byWeb, Given: let(issuedOffline()), When: c,
		Then: []any{spent.Payload, opaque, refreshOf(1, jti, [32]byte{1}, 500).Payload}})
}

// A refresh token is used once, by number; its use is the next one's issue. It
// outlives the browser's session if that ends by signing out or by itself, and
// nothing else that ends a session (OpenID Connect Core §11).
func TestRefreshing(t *testing.T) {
	c := session.Refresh{Subject: subject, Number: 1, Access: session.Access{Token: jti2, Scopes: []string{"openid"}, Audience: []string{"a"}, Expires: 210},
		Next: session.Refreshing{Digest: [32]byte{2}, Expires: 700}, Now: 200} // the session's time was over at 100
	then := []any{tokenOf(jti2, []string{"openid"}, 200, 210).Payload, refreshOf(2, jti2, [32]byte{2}, 700).Payload}
	next := []event.New{tokenOf(jti2, offline, 200, 210), refreshOf(2, jti2, [32]byte{2}, 700)}
	late, tried, other := c, c, c
	late.Now = 500
	tried.Unclaimed, other.Unclaimed = []event.ID{jti3, jti2}, []event.ID{jti3}
	tried.Access.Token = jti
	again := []any{tokenOf(jti, []string{"openid"}, 200, 210).Payload, refreshOf(3, jti, [32]byte{2}, 700).Payload}
	no := session.ErrAuthorizationEnded
	type is = decidetest.Case[session.Refresh]
	decidetest.Run(t, registry, session.RefreshingTokens,
		is{Name: "once", As: byWeb, Given: refreshable(), When: c, Then: then},
		is{Name: "again", As: byWeb, Given: refreshable(next...), When: c, Err: session.ErrRefreshSpent},
		is{Name: "again, because nobody received what came of it", As: byWeb, Given: refreshable(next...), When: tried, Then: again},
		is{Name: "again, and what nobody received is another", As: byWeb, Given: refreshable(next...), When: other, Err: session.ErrRefreshSpent},
		is{Name: "none", As: byWeb, Given: let(issuedOffline(), spent), When: c, Err: session.ErrNoRefreshToken},
		is{Name: "absent", As: byWeb, Given: let(), When: c, Err: session.ErrNoRefreshToken},
		is{Name: "too late", As: byWeb, Given: refreshable(), When: late, Err: no},
		is{Name: "ended", As: byWeb, Given: refreshable(closed), When: c, Err: no},
		is{Name: "ended and used again", As: byWeb, Given: refreshable(append(next, closed)...), When: c, Err: no},
		is{Name: "signed out", As: byWeb, Given: refreshable(ended("signed out")), When: c, Then: then},
		is{Name: "the session was ended by its person", As: byWeb, Given: refreshable(ended("ended by its person")), When: c, Err: no},
		is{Name: "the session was ended by an administrator", As: byWeb, Given: refreshable(ended("ended by an administrator")), When: c, Err: no},
		is{Name: "locked", As: byWeb, Given: refreshable(locked), When: c, Err: no},
		is{Name: "locked and unlocked", As: byWeb, Given: refreshable(locked, unlocked), When: c, Err: no},
		is{Name: "out of use", As: byWeb, Given: refreshable(gone), When: c, Err: no},
		is{Name: "another password", As: byWeb, Given: refreshable(otherPass), When: c, Err: no},
		is{Name: "erased", As: byWeb, Given: refreshable(erased), When: c, Err: no},
		is{Name: "organization out of use", As: byWeb, Given: refreshable(acmeOut), When: c, Err: no},
		is{Name: "organization in use again", As: byWeb, Given: refreshable(acmeOut, acmeIn), When: c, Then: then},
		is{Name: "the application was removed", As: byWeb, Given: refreshable(webRemoved), When: c, Err: no},
		is{Name: "the application was removed and restored", As: byWeb, Given: refreshable(webRemoved, webRestored), When: c, Err: no},
		is{Name: "the project ended", As: byWeb, Given: refreshable(deskRemoved), When: c, Err: no},
		is{Name: "the project ended and was restored", As: byWeb, Given: refreshable(deskRemoved, deskRestored), When: c, Err: no},
	)
}

// Of an authorization that ends at the moment in which its tokens are
// refreshed, the end rests on nothing that the refreshing writes.
func TestEndingIsNotOvertaken(t *testing.T) {
	for _, f := range session.EndingAuthorization.Query(session.EndAuthorization{Authorization: auth}) {
		for _, often := range []string{"authorization.token.issued", "authorization.refresh-token.issued", "authorization.code.redeemed"} {
			for _, typ := range f.Types {
				if typ == often {
					t.Errorf("a new %s would come between", often)
				}
			}
		}
		if len(f.Types) == 0 {
			t.Error("it rests on everything about the authorization")
		}
	}
}

// One access token is revoked; the authorization goes on (RFC 7009 §2.1).
func TestRevoking(t *testing.T) {
	c := session.RevokeToken{Subject: subject, Token: jti, Expires: 40, Now: 35}
	revoked := of(session.TokenRevoked{Authorization: auth, Token: jti, Session: sid, User: ada, Organization: acme, Application: web, Expires: 40})
	late := c
	late.Now = 40
	type is = decidetest.Case[session.RevokeToken]
	decidetest.Run(t, registry, session.RevokingToken,
		is{Name: "once", As: byWeb, Given: refreshable(), When: c, Then: []any{revoked.Payload}},
		is{Name: "again", As: byWeb, Given: refreshable(revoked), When: c},
		is{Name: "expired", As: byWeb, Given: refreshable(), When: late},
		is{Name: "ended", As: byWeb, Given: refreshable(closed), When: c},
		is{Name: "absent", As: byWeb, Given: let(), When: c, Err: session.ErrNoToken},
	)
	type finish = decidetest.Case[session.EndAuthorization]
	decidetest.Run(t, registry, session.EndingAuthorization,
		finish{Name: "by its application", As: byWeb, Given: refreshable(), When: session.EndAuthorization{Authorization: auth, Reason: "reuse"}, Then: []any{closed.Payload}},
		finish{Name: "by another", As: event.Actor{Kind: "application", ID: desk}, Given: refreshable(), When: session.EndAuthorization{Authorization: auth, Reason: "reuse"}, Kind: fault.Denied},
		finish{Name: "by an administrator", As: asEve, Given: refreshable(eveIs(authz.Admin, acme)), When: session.EndAuthorization{Authorization: auth, Reason: "reuse"}, Then: []any{closed.Payload}},
	)
	s := session.StartAuthorization(subject)
	for _, e := range refreshable(revoked) {
		s = session.EvolveAuthorization(s, event.Fact{Record: &event.Record{}, Payload: e.Payload})
	}
	if s.TokenLive(jti, 35) == nil || s.TokenLive(jti2, 35) != nil {
		t.Error("the wrong token was revoked")
	}
	s = session.EvolveAuthorization(s, event.Fact{Record: &event.Record{}, Payload: tokenOf(jti2, offline, 40, 50).Payload})
	if s.TokenLive(jti, 35) != nil {
		t.Error("revoked tokens are kept beyond their time")
	}
	if s = session.EvolveAuthorization(s, event.Fact{Record: &event.Record{}, Payload: user.Locked{User: ada}}); s.TokenLive(jti2, 41) == nil {
		t.Error("a lock leaves a token")
	}
}
