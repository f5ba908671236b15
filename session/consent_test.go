package session_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
)

func consentOf(payload any) event.New {
	return event.New{Stream: session.ConsentStream(ada), Payload: payload}
}

func agreed(application event.ID, scopes ...string) event.New {
	return consentOf(session.ConsentGiven{User: ada, Organization: acme, Application: application, Scopes: scopes})
}

var withdrawn = consentOf(session.ConsentWithdrawn{User: ada, Organization: acme, Application: web})

// Consent is recorded with the code that it is given for, once for each scope;
// an application that needs it gets no code without.
func TestAgreeing(t *testing.T) {
	c := session.IssueCode{Subject: subject, RedirectURI: "https://a.example/cb", Challenge: "c", Nonce: "n", Scopes: []string{"openid"},
		AuthTime: 10, AMR: []string{"pwd"}, ACR: "1", Now: 20, Expires: 70, Needs: true}
	yes, free := c, c
	yes.Consented, free.Needs = true, false
	code, asked := issued().Payload.(session.CodeIssued), issued().Payload.(session.CodeIssued)
	asked.Consented = true
	type is = decidetest.Case[session.IssueCode]
	decidetest.Run(t, registry, session.IssuingCode,
		is{Name: "agreed", As: asAda, Given: let(), When: yes, Then: []any{agreed(web, "openid").Payload, asked}, Repeat: true},
		is{Name: "agreed to more", As: asAda, Given: let(agreed(web, "email")), When: yes, Then: []any{agreed(web, "email", "openid").Payload, asked}, Repeat: true},
		is{Name: "agreed before", As: asAda, Given: let(agreed(web, "openid", "email")), When: c, Then: []any{code}, Repeat: true},
		is{Name: "agreed again", As: asAda, Given: let(agreed(web, "openid")), When: yes, Then: []any{asked}, Repeat: true},
		is{Name: "did not agree", As: asAda, Given: let(), When: c, Err: session.ErrConsentNeeded},
		is{Name: "agreed to less", As: asAda, Given: let(agreed(web, "email")), When: c, Err: session.ErrConsentNeeded},
		is{Name: "agreed to another application", As: asAda, Given: let(agreed(desk, "openid")), When: c, Err: session.ErrConsentNeeded},
		is{Name: "withdrew", As: asAda, Given: let(agreed(web, "openid"), withdrawn), When: c, Err: session.ErrConsentNeeded},
		is{Name: "agreed after withdrawing", As: asAda, Given: let(agreed(web, "email"), withdrawn), When: yes, Then: []any{agreed(web, "openid").Payload, asked}, Repeat: true},
		is{Name: "need not agree", As: asAda, Given: let(), When: free, Then: []any{code}, Repeat: true},
	)
}

// Withdrawing ends what the application holds, agreed to or not, and nothing of
// other applications, nor what it gets later.
func TestWithdrawing(t *testing.T) {
	c := session.WithdrawConsent{User: ada, Organization: acme, Application: web}
	then := []any{withdrawn.Payload}
	type is = decidetest.Case[session.WithdrawConsent]
	decidetest.Run(t, registry, session.WithdrawingConsent,
		is{Name: "agreed", As: asAda, Given: let(agreed(web, "openid")), When: c, Then: then},
		is{Name: "never asked", As: asAda, Given: let(issued()), When: c, Then: then},
		is{Name: "again", As: asAda, Given: let(issued(), withdrawn), When: c, Err: session.ErrNoConsent},
		is{Name: "used again", As: asAda, Given: let(issued(), withdrawn, issued()), When: c, Then: then},
		is{Name: "nothing", As: asAda, Given: let(), When: c, Err: session.ErrNoConsent},
		is{Name: "another application's", As: asAda, Given: let(agreed(desk, "openid")), When: c, Err: session.ErrNoConsent},
		is{Name: "by an admin", As: asEve, Given: let(issued(), eveIs(authz.Admin, acme)), When: c, Then: then},
		is{Name: "by another's owner", As: asEve, Given: let(issued(), eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
		is{Name: "of an instance owner, by an admin", As: asEve, Given: let(issued(), eveIs(authz.Admin, acme), adaOwns), When: c, Kind: fault.Denied},
		is{Name: "by somebody", As: asEve, Given: let(issued()), When: c, Kind: fault.Denied},
	)
	r := session.Refresh{Subject: subject, Number: 1, Access: session.Access{Token: jti2, Scopes: offline, Audience: []string{"a"}, Expires: 210},
		Next: session.Refreshing{Digest: [32]byte{2}, Expires: 700}, Now: 200}
	type refresh = decidetest.Case[session.Refresh]
	decidetest.Run(t, registry, session.RefreshingTokens,
		refresh{Name: "withdrawn", As: byWeb, Given: refreshable(withdrawn), When: r, Err: session.ErrAuthorizationEnded},
		refresh{Name: "withdrawn, and agreed again", As: byWeb, Given: refreshable(withdrawn, agreed(web, "openid")), When: r, Err: session.ErrAuthorizationEnded},
		refresh{Name: "another application's", As: byWeb, Given: refreshable(consentOf(session.ConsentWithdrawn{User: ada, Organization: acme, Application: desk})), When: r,
			Then: []any{tokenOf(jti2, offline, 200, 210).Payload, refreshOf(2, jti2, [32]byte{2}, 700).Payload}},
		refresh{Name: "withdrawn before", As: byWeb, Given: append(let(agreed(web, "openid"), withdrawn), refreshable()[len(let()):]...), When: r,
			Then: []any{tokenOf(jti2, offline, 200, 210).Payload, refreshOf(2, jti2, [32]byte{2}, 700).Payload}},
	)
}
