package session_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
	"muniment.dev/user"
)

// A machine user gets a token while it, its organization and the secret that it
// showed are in use (RFC 6749 §4.4), and it ends with any of them.
func TestMachineToken(t *testing.T) {
	robot, token, secret := event.MustID("0b000000000000000000000000000009"), event.MustID("0c000000000000000000000000000009"), event.MustID("0f000000000000000000000000000009")
	on := func(p any) event.New { return event.New{Stream: user.Stream(robot), Payload: p} }
	created := on(user.MachineCreated{User: robot, Organization: acme, Name: "Backup"})
	added := on(user.SecretAdded{User: robot, Organization: acme, Secret: secret, Expires: 100})
	removed := on(user.SecretRemoved{User: robot, Organization: acme, Secret: secret})
	locked := on(user.Locked{User: robot, Organization: acme})
	erased := on(user.Erased{User: robot, Organization: acme})
	shut := event.New{Stream: acmeAdded.Stream, Payload: authz.OrganizationDeactivated{Organization: acme}}
	asRobot := event.Actor{Kind: "user", ID: robot}
	c := session.IssueMachineToken{User: robot, Organization: acme, Credential: secret, Access: session.Access{Token: token, Scopes: []string{"s"}, Audience: []string{"a"}, Expires: 50}, Now: 10}
	issued := event.New{Stream: session.TokenStream(token), Payload: session.MachineTokenIssued{Token: token, User: robot, Organization: acme, Credential: secret,
		Scopes: []string{"s"}, Audience: []string{"a"}, Issued: 10, Expires: 50}}
	late := c
	late.Now = 100
	all := []event.New{acmeAdded, created, added}
	type is = decidetest.Case[session.IssueMachineToken]
	decidetest.Run(t, registry, session.IssuingMachineToken,
		is{Name: "once", As: asRobot, Given: all, When: c, Then: []any{issued.Payload}},
		is{Name: "without the secret", As: asRobot, Given: all[:2], When: c, Err: session.ErrMachine},
		is{Name: "the secret was removed", As: asRobot, Given: append(all[:3:3], removed), When: c, Err: session.ErrMachine},
		is{Name: "the secret expired", As: asRobot, Given: all, When: late, Err: session.ErrMachine},
		is{Name: "locked", As: asRobot, Given: append(all[:3:3], locked), When: c, Kind: fault.Denied},
		is{Name: "the organization is out of use", As: asRobot, Given: append(all[:3:3], shut), When: c, Err: session.ErrMachine},
		is{Name: "by somebody else", As: event.Actor{Kind: "user", ID: secret}, Given: all, When: c, Kind: fault.Denied},
	)
	fold := func(events ...event.New) session.MachineToken {
		s := session.StartMachineToken(robot)
		for _, e := range append(all[:3:3], events...) {
			s = session.EvolveMachineToken(s, event.Fact{Record: &event.Record{}, Payload: e.Payload})
		}
		return s
	}
	revoked := event.New{Stream: session.TokenStream(token), Payload: session.MachineTokenRevoked{Token: token, User: robot, Organization: acme}}
	for name, c := range map[string]struct {
		s    session.MachineToken
		now  event.Instant
		live bool
	}{
		"good":           {fold(issued), 20, true},
		"expired":        {fold(issued), 50, false},
		"never issued":   {fold(), 20, false},
		"revoked":        {fold(issued, revoked), 20, false},
		"secret removed": {fold(issued, removed), 20, false},
		"locked":         {fold(issued, locked), 20, false},
		"erased":         {fold(issued, erased), 20, false},
		"shut":           {fold(issued, shut), 20, false},
	} {
		if err := c.s.Live(c.now); (err == nil) != c.live {
			t.Errorf("%s: %v", name, err)
		}
	}
	type ends = decidetest.Case[session.RevokeMachineToken]
	decidetest.Run(t, registry, session.RevokingMachineToken,
		ends{Name: "once", As: asRobot, Given: []event.New{issued}, When: session.RevokeMachineToken{Token: token}, Then: []any{revoked.Payload}},
		ends{Name: "again", As: asRobot, Given: []event.New{issued, revoked}, When: session.RevokeMachineToken{Token: token}},
		ends{Name: "absent", When: session.RevokeMachineToken{Token: token}, Err: session.ErrNoToken},
		ends{Name: "by somebody else", As: event.Actor{Kind: "user", ID: secret}, Given: []event.New{issued}, When: session.RevokeMachineToken{Token: token}, Kind: fault.Denied},
	)
}
