package setup_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/session"
	"muniment.dev/setup"
	"muniment.dev/user"
)

// Whoever hosts an instance gets further links for its first owner only as long
// as nobody was ever in.
func TestRenewingLink(t *testing.T) {
	registry := event.NewRegistry(authz.Events(), org.Events(), user.Events(), session.Events())
	id, other, home := event.MustID("0b000000000000000000000000000001"), event.MustID("0b000000000000000000000000000002"), event.MustID("0c000000000000000000000000000001")
	of := func(id event.ID, payload any) event.New { return event.New{Stream: user.Stream(id), Payload: payload} }
	registered := of(id, user.Registered{User: id, Organization: home, Email: event.Seal("a@example.org")})
	second := of(other, user.Registered{User: other, Organization: home, Email: event.Seal("b@example.org")})
	c := setup.RenewLink{Owner: id, Digest: [32]byte{1}, Expires: 9}
	toSecond := c
	toSecond.Owner = other
	made := user.SetupLinkCreated{User: id, Organization: home, Digest: event.Seal(c.Digest[:]), Expires: 9}
	type is = decidetest.Case[setup.RenewLink]
	decidetest.Run(t, registry, setup.RenewingLink,
		is{Name: "nobody was in", Given: []event.New{registered}, When: c, Then: []any{made}, Repeat: true},
		is{Name: "absent", When: c, Err: user.ErrNotFound},
		is{Name: "for somebody else", Given: []event.New{registered, second}, When: toSecond, Err: user.ErrNotFound},
		is{Name: "the owner has a password", Given: []event.New{registered, of(id, user.PasswordSet{User: id, Organization: home, Hash: event.Seal("h")})}, When: c, Err: setup.ErrInhabited},
		is{Name: "somebody signed in", Given: []event.New{registered, second, {Stream: event.Stream{Kind: "session", ID: other}, Payload: session.Begun{Session: other, User: other, Organization: home}}}, When: c, Err: setup.ErrInhabited},
		is{Name: "the owner was erased", Given: []event.New{registered, of(id, user.Erased{User: id, Organization: home})}, When: c, Err: user.ErrErased},
		is{Name: "by the owner", As: event.Actor{Kind: "user", ID: id}, Given: []event.New{registered}, When: c, Kind: fault.Denied},
	)
}
