package session_test

import (
	"testing"
	"time"

	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/policy"
	"muniment.dev/session"
	"muniment.dev/user"
)

func instanceSays(payload any) event.New {
	return event.New{Stream: policy.Stream(event.ID{}), Payload: payload}
}

func acmeSays(payload any) event.New { return event.New{Stream: policy.Stream(acme), Payload: payload} }

// failed is a wrong password that was recorded.
func failed(known bool) event.New {
	return event.New{Stream: event.Stream{Kind: "signin", ID: jti}, Payload: session.SignInFailed{Visitor: ada, Login: event.Seal("ada@example.org"),
		Reason: "wrong password", User: ada, Organization: acme, Known: known}}
}

// Wrong passwords count towards a lockout within the policy's window, of known
// and of unknown addresses apart; a right one, another password and an
// administrator's word let them count anew (P08).
func TestFailing(t *testing.T) {
	three := instanceSays(policy.LockoutChanged{Attempts: 3, Window: 60, Duration: 120})
	never := acmeSays(policy.LockoutChanged{Organization: acme, Window: 60, Duration: 120})
	now := event.Instant(30e6)
	lockout := func(known bool, until event.Instant) event.New {
		return about(user.LockoutBegun{User: ada, Organization: acme, Known: known, Until: until})
	}
	good := in(session.PasswordChecked{User: ada, Organization: acme, Session: sid})
	c := session.Fail{Attempt: sid, Visitor: ada, Login: "ada@example.org", Reason: session.WrongPassword, User: ada, Organization: acme, Now: now}
	known, nobody, slow := c, c, c
	known.Known = true
	nobody.User, nobody.Organization, nobody.Reason = event.ID{}, event.ID{}, session.UnknownAccount
	slow.Reason = session.Throttled
	one := func(c session.Fail) any {
		return session.SignInFailed{Visitor: ada, Login: event.Seal("ada@example.org"), Reason: string(c.Reason), User: c.User, Organization: c.Organization, Known: c.Known}
	}
	refused := c
	refused.Reason = session.LockedOut
	begins := lockout(false, now+120e6).Payload
	type is = decidetest.Case[session.Fail]
	cases := []is{
		{Name: "the first", Given: given(three), When: c, Then: []any{one(c)}},
		{Name: "the third", Given: given(three, failed(false), failed(false)), When: c, Then: []any{one(c), begins}},
		{Name: "the twentieth, where nobody says otherwise", Given: append(given(), repeat(failed(false), 19)...), When: c, Then: []any{one(c), lockout(false, now+900e6).Payload}},
		{Name: "the third, of known addresses", Given: given(three, failed(true), failed(true)), When: known, Then: []any{one(known), lockout(true, now+120e6).Payload}},
		{Name: "the first of known addresses after others", Given: given(three, failed(false), failed(false)), When: known, Then: []any{one(known)}},
		{Name: "where the organization has none", Given: given(three, never, failed(false), failed(false)), When: c, Then: []any{one(c)}},
		{Name: "after a right one", Given: given(three, failed(false), failed(false), good), When: c, Then: []any{one(c)}},
		{Name: "after another password", Given: given(three, failed(false), failed(false), otherPass), When: c, Then: []any{one(c)}},
		{Name: "after an administrator ended it", Given: given(three, failed(false), failed(false), about(user.LockoutEnded{User: ada, Organization: acme})), When: c, Then: []any{one(c)}},
		{Name: "while locked out", Given: given(three, lockout(false, now+1)), When: c, Then: []any{one(refused)}},
		{Name: "when the lockout is over", Given: given(three, failed(false), failed(false), failed(false), lockout(false, now)), When: c, Then: []any{one(c)}},
		{Name: "of an unknown account", When: nobody, Then: []any{one(nobody)}},
		{Name: "that was throttled", Given: given(three, failed(false), failed(false)), When: slow, Then: []any{one(slow)}},
		{Name: "of an erased person", Given: given(three, failed(false), failed(false), erased), When: c, Then: []any{one(c)}},
	}
	for i := range cases {
		cases[i].As, cases[i].Repeat, cases[i].Each = visitor, true, time.Second
	}
	old := is{Name: "long after the others", As: visitor, Repeat: true, Each: 10 * time.Second, Given: given(three, failed(false), failed(false)), When: c, Then: []any{one(c)}}
	old.When.Now = event.Instant(120e6)
	decidetest.Run(t, registry, session.Failing, append(cases, old)...)
}

func repeat(e event.New, n int) (out []event.New) {
	for range n {
		out = append(out, e)
	}
	return out
}

// While an account is locked out the right password is as wrong as any, but
// for who comes from where they signed in before; and one that is too old has
// to be replaced first.
func TestBeginningByPolicy(t *testing.T) {
	c := session.Begin{Session: sid, User: ada, Organization: acme, Hash: "h", Digest: digest, AMR: []string{"pwd"}, ACR: "1", Now: 10}
	known := c
	known.Known = true
	out := about(user.LockoutBegun{User: ada, Organization: acme, Until: 11})
	over := about(user.LockoutBegun{User: ada, Organization: acme, Until: 10})
	knownChecked := in(session.PasswordChecked{User: ada, Organization: acme, Session: sid, Known: true}).Payload
	hour := begun.Payload.(session.Begun)
	hour.Expires = 10 + 3600e6
	aged := c
	aged.Now = event.Instant(24*3600e6 + 3e6)
	young := aged
	young.Now--
	later := begun.Payload.(session.Begun)
	later.AuthTime, later.Expires = young.Now, young.Now+12*3600e6
	daily := acmeSays(policy.PasswordChanged{Organization: acme, MinLength: 8, MaxAge: 1})
	type is = decidetest.Case[session.Begin]
	decidetest.Run(t, registry, session.Beginning,
		is{Name: "locked out", Given: given(out), When: c, Err: session.ErrPassword},
		is{Name: "locked out, from where they signed in before", Given: given(out), When: known, Then: []any{knownChecked, begun.Payload}, Repeat: true},
		is{Name: "the lockout is over", Given: given(over), When: c, Then: []any{checked.Payload, begun.Payload}, Repeat: true},
		is{Name: "another password ends it", Given: given(out, passwordSet), When: c, Then: []any{checked.Payload, begun.Payload}, Repeat: true},
		is{Name: "for an hour", Given: given(acmeSays(policy.SessionChanged{Organization: acme, Lifetime: 3600})), When: c, Then: []any{checked.Payload, hour}, Repeat: true},
		is{Name: "for an hour, by the instance", Given: given(instanceSays(policy.SessionChanged{Lifetime: 3600})), When: c, Then: []any{checked.Payload, hour}, Repeat: true},
		is{Name: "too old a password", Given: given(daily), When: aged, Each: time.Second, Err: session.ErrPasswordAge},
		is{Name: "almost too old", Given: given(daily), When: young, Each: time.Second, Then: []any{checked.Payload, later}, Repeat: true},
	)
}

// A session ends when it was not used, as far as that is recorded, or as soon as
// a stricter policy says; a laxer one does not bring it back.
func TestLiveByPolicy(t *testing.T) {
	const minute = event.Instant(60e6)
	idle := acmeSays(policy.SessionChanged{Organization: acme, Lifetime: 12 * 3600, Idle: 600})
	used := in(session.Used{Session: sid, User: ada, Organization: acme, Time: 10 + 5*minute})
	for name, c := range map[string]struct {
		facts []event.New
		now   event.Instant
		good  bool
	}{
		"idle almost too long":    {[]event.New{idle, begun}, 10 + 10*minute - 1, true},
		"idle too long":           {[]event.New{idle, begun}, 10 + 10*minute, false},
		"used since":              {[]event.New{idle, begun, used}, 10 + 15*minute - 1, true},
		"used since, idle again":  {[]event.New{idle, begun, used}, 10 + 15*minute, false},
		"shortened":               {[]event.New{begun, acmeSays(policy.SessionChanged{Organization: acme, Lifetime: 600})}, 10 + 10*minute, false},
		"lengthened":              {[]event.New{begun, acmeSays(policy.SessionChanged{Organization: acme, Lifetime: 24 * 3600})}, end, false},
		"of another organization": {[]event.New{begun, instanceSays(policy.SessionChanged{Lifetime: 600}), idle, used}, 10 + 11*minute, true},
		"taken back":              {[]event.New{begun, idle, acmeSays(policy.SessionReset{Organization: acme})}, 10 + 10*minute, true},
		"shortened for everybody": {[]event.New{begun, instanceSays(policy.SessionChanged{Lifetime: 600})}, 10 + 10*minute, false},
	} {
		s := session.Start(ada)
		for _, e := range given(c.facts...) {
			s = session.Evolve(s, event.Fact{Record: &event.Record{Stream: e.Stream}, Payload: e.Payload})
		}
		if got := s.Live(c.now) == nil; got != c.good {
			t.Errorf("%s: good %v, want %v", name, got, c.good)
		}
	}
}

// Of the uses of a session one in a quarter of the idle time is recorded, and
// none where idleness does not matter.
func TestUsing(t *testing.T) {
	idle := acmeSays(policy.SessionChanged{Organization: acme, Lifetime: 12 * 3600, Idle: 600})
	use := func(now event.Instant) session.Use {
		return session.Use{Session: sid, User: ada, Organization: acme, Now: now}
	}
	used := session.Used{Session: sid, User: ada, Organization: acme, Time: 10 + 150e6}
	type is = decidetest.Case[session.Use]
	decidetest.Run(t, registry, session.Using,
		is{Name: "at once", As: asAda, Given: given(idle, begun), When: use(10 + 149e6)},
		is{Name: "after a quarter", As: asAda, Given: given(idle, begun), When: use(10 + 150e6), Then: []any{used}},
		is{Name: "again", As: asAda, Given: given(idle, begun, in(used)), When: use(10 + 299e6)},
		is{Name: "without an idle time", As: asAda, Given: given(begun), When: use(10 + 3600e6)},
		is{Name: "too late", As: asAda, Given: given(idle, begun), When: use(10 + 600e6), Err: session.ErrNoSession},
		is{Name: "somebody else's", As: asEve, Given: given(idle, begun), When: use(10 + 150e6), Kind: fault.Denied},
	)
}
