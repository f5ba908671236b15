package session_test

import (
	"encoding/hex"
	"testing"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), policy.Events(), user.Events(), project.Events(), app.Events(), session.Events())

	acme    = event.MustID("0a000000000000000000000000000001")
	other   = event.MustID("0a000000000000000000000000000002")
	ada     = event.MustID("0b000000000000000000000000000001")
	eve     = event.MustID("0b000000000000000000000000000003")
	sid     = event.MustID("0c000000000000000000000000000001")
	auth    = event.MustID("0c000000000000000000000000000002")
	jti     = event.MustID("0c000000000000000000000000000003")
	desk    = event.MustID("0d000000000000000000000000000001")
	web     = event.MustID("0e000000000000000000000000000001")
	asAda   = event.Actor{Kind: "user", ID: ada}
	asEve   = event.Actor{Kind: "user", ID: eve}
	visitor = event.Actor{Kind: "visitor", ID: other}
	digest  = [32]byte{1}
	end     = event.Instant(10 + 12*3600e6) // of a session that began at 10

	acmeAdded   = event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	acmeOut     = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
	acmeIn      = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationReactivated{Organization: acme}}
	registered  = about(user.Registered{User: ada, Organization: acme, Email: event.Seal("ada@example.org")})
	passwordSet = about(user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("h")})
	otherPass   = about(user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("h2")})
	locked      = about(user.Locked{User: ada, Organization: acme})
	unlocked    = about(user.Unlocked{User: ada, Organization: acme})
	gone        = about(user.Deactivated{User: ada, Organization: acme})
	erased      = about(user.Erased{User: ada, Organization: acme})

	adaOwns = event.New{Stream: event.Stream{Kind: "member", ID: ada}, Payload: authz.MemberAdded{Member: ada, User: ada, Role: string(authz.Owner)}}

	checked = in(session.PasswordChecked{User: ada, Organization: acme, Session: sid})
	begun   = in(session.Begun{Session: sid, User: ada, Organization: acme, Digest: event.Seal(digest[:]), AuthTime: 10, AMR: []string{"pwd"}, ACR: "1", Expires: end})
	renewed = in(session.Renewed{Session: sid, User: ada, Organization: acme, Digest: event.Seal(digest[:]), AuthTime: 10, Expires: end})

	deskAdded    = event.New{Stream: project.Stream(desk), Payload: project.Added{Project: desk, Organization: acme, Name: "Desk"}}
	deskRemoved  = event.New{Stream: project.Stream(desk), Payload: project.Removed{Project: desk, Organization: acme}}
	webAdded     = event.New{Stream: app.Stream(web), Payload: app.Added{Application: web, Project: desk, Organization: acme, Type: "web", Name: "Web", Redirects: []string{"https://a.example/cb"}, Algorithm: "ES256"}}
	webOut       = event.New{Stream: app.Stream(web), Payload: app.Deactivated{Application: web, Project: desk, Organization: acme}}
	webRemoved   = event.New{Stream: app.Stream(web), Payload: app.Removed{Application: web, Project: desk, Organization: acme}}
	webRestored  = event.New{Stream: app.Stream(web), Payload: app.Restored{Application: web, Project: desk, Organization: acme}}
	deskRestored = event.New{Stream: project.Stream(desk), Payload: project.Restored{Project: desk, Organization: acme}}
)

func about(payload any) event.New { return event.New{Stream: user.Stream(ada), Payload: payload} }
func in(payload any) event.New    { return event.New{Stream: session.Stream(sid), Payload: payload} }
func of(payload any) event.New {
	return event.New{Stream: session.AuthorizationStream(auth), Payload: payload}
}

func ended(reason string) event.New {
	return in(session.Ended{Session: sid, User: ada, Organization: acme, Reason: reason})
}

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func given(events ...event.New) []event.New {
	return append([]event.New{acmeAdded, registered, passwordSet}, events...)
}

// A session begins with the password that the user has now, and only for whom
// nothing stands in the way.
func TestBeginning(t *testing.T) {
	c := session.Begin{Session: sid, User: ada, Organization: acme, Hash: "h", Digest: digest, AMR: []string{"pwd"}, ACR: "1", Now: 10}
	late := c
	late.Now = end
	foreign := c
	foreign.Organization = other
	fresh := []any{checked.Payload, begun.Payload}
	type is = decidetest.Case[session.Begin]
	decidetest.Run(t, registry, session.Beginning,
		is{Name: "once", As: visitor, Given: given(), When: c, Then: fresh, Repeat: true},
		is{Name: "again, in a session that is good", As: asAda, Given: given(checked, begun), When: c, Then: []any{checked.Payload, renewed.Payload}, Repeat: true},
		is{Name: "in a session that ended", Given: given(checked, begun, ended("signed out")), When: c, Err: session.ErrNoSession},
		is{Name: "in a session whose time is over", Given: given(checked, begun), When: late, Err: session.ErrNoSession},
		is{Name: "no user", Given: []event.New{acmeAdded}, When: c, Err: session.ErrPassword},
		is{Name: "no password", Given: []event.New{acmeAdded, registered}, When: c, Err: session.ErrPassword},
		is{Name: "the password was changed meanwhile", Given: given(otherPass), When: c, Err: session.ErrPassword},
		is{Name: "locked", Given: given(locked), When: c, Err: session.ErrMayNotSignIn},
		is{Name: "unlocked", Given: given(locked, unlocked), When: c, Then: fresh, Repeat: true},
		is{Name: "out of use", Given: given(gone), When: c, Err: session.ErrMayNotSignIn},
		is{Name: "erased", Given: given(erased), When: c, Err: session.ErrMayNotSignIn},
		is{Name: "organization out of use", Given: given(acmeOut), When: c, Err: session.ErrMayNotSignIn},
		is{Name: "organization in use again", Given: given(acmeOut, acmeIn), When: c, Then: fresh, Repeat: true},
		is{Name: "another organization's name", Given: given(), When: foreign, Err: session.ErrMayNotSignIn},
	)
}

// Everybody ends their own sessions, administrators those of their people.
func TestEnding(t *testing.T) {
	c := session.End{Session: sid, User: ada, Organization: acme}
	out, own := c, c
	out.SignedOut, own.Own = true, true
	by := func(reason string) []any { return []any{ended(reason).Payload} }
	type is = decidetest.Case[session.End]
	decidetest.Run(t, registry, session.Ending,
		is{Name: "signed out", As: asAda, Given: given(begun), When: out, Then: by("signed out")},
		is{Name: "signed out twice", As: asAda, Given: given(begun, ended("signed out")), When: out},
		is{Name: "one's own, from elsewhere", As: asAda, Given: given(begun), When: own, Then: by("ended by its person")},
		is{Name: "by an admin", As: asEve, Given: given(begun, eveIs(authz.Admin, acme)), When: c, Then: by("ended by an administrator")},
		is{Name: "by another's owner", As: asEve, Given: given(begun, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
		is{Name: "by somebody", As: asEve, Given: given(begun), When: c, Kind: fault.Denied},
		is{Name: "of an instance owner, by an admin", As: asEve, Given: given(begun, eveIs(authz.Admin, acme), adaOwns), When: c, Kind: fault.Denied},
		is{Name: "absent", Given: given(), When: c, Err: session.ErrNotSelf},
		is{Name: "ended before", Given: given(begun, ended("signed out")), When: c, Err: session.ErrEnded},
		is{Name: "ended with a lock", Given: given(begun, locked, unlocked), When: c, Err: session.ErrEnded},
		is{Name: "ended with another password", Given: given(begun, otherPass), When: c, Err: session.ErrEnded},
	)
}

// A session is good until it ends, its time is over, or its person may not be
// signed in; what comes back later does not bring it back.
func TestLive(t *testing.T) {
	for name, c := range map[string]struct {
		facts []event.New
		now   event.Instant
		good  bool
	}{
		"begun":                     {[]event.New{begun}, end - 1, true},
		"renewed":                   {[]event.New{begun, renewed}, end - 1, true},
		"over":                      {[]event.New{begun}, end, false},
		"ended":                     {[]event.New{begun, ended("signed out")}, 50, false},
		"locked":                    {[]event.New{begun, locked}, 50, false},
		"unlocked":                  {[]event.New{begun, locked, unlocked}, 50, false},
		"out of use":                {[]event.New{begun, gone}, 50, false},
		"another password":          {[]event.New{begun, otherPass}, 50, false},
		"erased":                    {[]event.New{begun, erased}, 50, false},
		"organization out of use":   {[]event.New{begun, acmeOut}, 50, false},
		"organization in use again": {[]event.New{begun, acmeOut, acmeIn}, 50, true},
		"never begun":               {nil, 50, false},
	} {
		s := session.Start(ada)
		for _, e := range given(c.facts...) {
			s = session.Evolve(s, event.Fact{Record: &event.Record{Stream: e.Stream}, Payload: e.Payload})
		}
		if got := s.Live(c.now) == nil; got != c.good {
			t.Errorf("%s: good %v, want %v", name, got, c.good)
		}
		if s.Proves([32]byte{}) || len(c.facts) > 0 && !s.Proves(digest) {
			t.Errorf("%s: another secret proves it, or its own does not", name)
		}
	}
}

var subject = session.Subject{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web, Project: desk}

func issued() event.New {
	var code [32]byte
	return of(session.CodeIssued{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web,
		Code: event.Seal(hex.EncodeToString(code[:])), RedirectURI: "https://a.example/cb", Challenge: event.Seal("c"), Nonce: event.Seal("n"),
		Scopes: []string{"openid"}, AuthTime: 10, AMR: []string{"pwd"}, ACR: "1", Expires: 70})
}

func let(events ...event.New) []event.New {
	return append(given(begun, deskAdded, webAdded), events...)
}

// Only the person lets an application in, in a session that is good.
func TestIssuingCode(t *testing.T) {
	c := session.IssueCode{Subject: subject, RedirectURI: "https://a.example/cb", Challenge: "c", Nonce: "n", Scopes: []string{"openid"},
		AuthTime: 10, AMR: []string{"pwd"}, ACR: "1", Now: 20, Expires: 70}
	late := c
	late.Now = end
	type is = decidetest.Case[session.IssueCode]
	decidetest.Run(t, registry, session.IssuingCode,
		is{Name: "once", As: asAda, Given: let(), When: c, Then: []any{issued().Payload}, Repeat: true},
		is{Name: "by Muniment itself", Given: let(), When: c, Kind: fault.Denied},
		is{Name: "by an owner", As: asEve, Given: let(eveIs(authz.Owner, event.ID{})), When: c, Kind: fault.Denied},
		is{Name: "without a session", As: asAda, Given: given(deskAdded, webAdded), When: c, Err: session.ErrNoSession},
		is{Name: "too late", As: asAda, Given: let(), When: late, Err: session.ErrNoSession},
		is{Name: "locked", As: asAda, Given: let(locked), When: c, Kind: fault.Denied},
		is{Name: "the application was removed", As: asAda, Given: let(webRemoved), When: c, Err: app.ErrNotFound},
		is{Name: "the application was removed and restored", As: asAda, Given: let(webRemoved, webRestored), When: c, Then: []any{issued().Payload}, Repeat: true},
		is{Name: "the application was deactivated", As: asAda, Given: let(webOut), When: c, Err: app.ErrNotFound},
		is{Name: "the project ended", As: asAda, Given: let(deskRemoved), When: c, Err: app.ErrNotFound},
	)
}

// A code is redeemed once, in time, while everything it rests on holds
// (RFC 6749 §4.1.2).
func TestRedeeming(t *testing.T) {
	redeemed := of(session.CodeRedeemed{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web})
	token := of(session.TokenIssued{Authorization: auth, Token: jti, Session: sid, User: ada, Organization: acme, Application: web,
		Scopes: []string{"openid"}, Audience: []string{"a"}, Issued: 30, Expires: 90})
	over := of(session.AuthorizationEnded{Authorization: auth, Session: sid, User: ada, Organization: acme, Application: web, Reason: "x"})
	c := session.Redeem{Subject: subject, Access: session.Access{Token: jti, Scopes: []string{"openid"}, Audience: []string{"a"}, Expires: 90}, Now: 30}
	late := c
	late.Now = 70
	app1 := event.Actor{Kind: "application", ID: web}
	type is = decidetest.Case[session.Redeem]
	decidetest.Run(t, registry, session.Redeeming,
		is{Name: "once", As: app1, Given: let(issued()), When: c, Then: []any{redeemed.Payload, token.Payload}},
		is{Name: "again", As: app1, Given: let(issued(), redeemed, token), When: c, Err: session.ErrCodeSpent},
		is{Name: "absent", As: app1, Given: let(), When: c, Err: session.ErrNoCode},
		is{Name: "too late", As: app1, Given: let(issued()), When: late, Err: session.ErrAuthorizationEnded},
		is{Name: "ended", As: app1, Given: let(issued(), over), When: c, Err: session.ErrAuthorizationEnded},
		is{Name: "the session ended", As: app1, Given: let(issued(), ended("signed out")), When: c, Err: session.ErrAuthorizationEnded},
		is{Name: "the person was locked", As: app1, Given: let(issued(), locked), When: c, Err: session.ErrAuthorizationEnded},
		is{Name: "the application was deactivated", As: app1, Given: let(issued(), webOut), When: c, Err: session.ErrAuthorizationEnded},
		is{Name: "the application was removed", As: app1, Given: let(issued(), webRemoved), When: c, Err: session.ErrAuthorizationEnded},
		is{Name: "the project ended", As: app1, Given: let(issued(), deskRemoved), When: c, Err: session.ErrAuthorizationEnded},
	)
	end := session.EndAuthorization{Authorization: auth, Reason: "x"}
	type finish = decidetest.Case[session.EndAuthorization]
	decidetest.Run(t, registry, session.EndingAuthorization,
		finish{Name: "once", Given: let(issued()), When: end, Then: []any{over.Payload}},
		finish{Name: "again", Given: let(issued(), over), When: end},
		finish{Name: "absent", When: end, Err: session.ErrNoCode},
		finish{Name: "by the person", As: asAda, Given: let(issued()), When: end, Then: []any{over.Payload}},
		finish{Name: "by somebody", As: asEve, Given: let(issued()), When: end, Kind: fault.Denied},
	)
}
