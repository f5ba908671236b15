package policy_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/policy"
)

var (
	registry = event.NewRegistry(authz.Events(), org.Events(), policy.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	eve   = event.MustID("0b000000000000000000000000000003")
	asEve = event.Actor{Kind: "user", ID: eve}

	added    = event.New{Stream: org.Stream(acme), Payload: org.Added{Organization: acme, Name: "Acme"}}
	inactive = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationDeactivated{Organization: acme}}
)

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func says(o event.ID, payload any) event.New {
	return event.New{Stream: policy.Stream(o), Payload: payload}
}

// Whoever manages the instance sets any policy; an organization's own
// administrators one that demands more than the instance's (P08).
func TestChanging(t *testing.T) {
	whole := event.ID{}
	c := policy.Change[policy.Password]{Policy: policy.Password{MinLength: 12}}
	here, less := c, c
	here.Organization = acme
	less.Organization, less.Policy.MinLength = acme, 9
	changed := policy.PasswordChanged{MinLength: 12}
	ofAcme := policy.PasswordChanged{Organization: acme, MinLength: 12}
	ofLess := policy.PasswordChanged{Organization: acme, MinLength: 9}
	type is = decidetest.Case[policy.Change[policy.Password]]
	decidetest.Run(t, registry, policy.ChangingPassword,
		is{Name: "the instance's", When: c, Then: []any{changed}},
		is{Name: "as it is", Given: []event.New{says(whole, changed)}, When: c},
		is{Name: "as it is, by the instance", Given: []event.New{added, says(whole, changed)}, When: here, Then: []any{ofAcme}},
		is{Name: "of no organization", When: here, Err: org.ErrNotFound},
		is{Name: "of one out of use", Given: []event.New{added, inactive}, When: here, Err: org.ErrInactive},
		is{Name: "by an owner", As: asEve, Given: []event.New{eveIs(authz.Owner, whole)}, When: c, Then: []any{changed}},
		is{Name: "by an auditor", As: asEve, Given: []event.New{eveIs(authz.Auditor, whole)}, When: c, Kind: fault.Denied},
		is{Name: "the instance's, by an organization's owner", As: asEve, Given: []event.New{added, eveIs(authz.Owner, acme)}, When: c, Kind: fault.Denied},
		is{Name: "more, by its owner", As: asEve, Given: []event.New{added, eveIs(authz.Owner, acme)}, When: here, Then: []any{ofAcme}},
		is{Name: "less, by its owner", As: asEve, Given: []event.New{added, says(whole, changed), eveIs(authz.Owner, acme)}, When: less, Kind: fault.Denied},
		is{Name: "less than its own, by its owner", As: asEve, Given: []event.New{added, says(acme, ofAcme), eveIs(authz.Owner, acme)}, When: less, Then: []any{ofLess}},
		is{Name: "less, by the instance's admin", As: asEve, Given: []event.New{added, says(whole, changed), eveIs(authz.Admin, whole)}, When: less, Then: []any{ofLess}},
	)
}

// What no policy may say is refused with its field; what weakens security or
// gets in people's way, until it is named.
func TestBounds(t *testing.T) {
	const hour, day = 3600, 24 * 3600
	ok, no := "", func(field string) string { return field }
	for _, c := range []struct {
		p    policy.Password
		want string
	}{
		{policy.Password{MinLength: 8}, ok}, {policy.Password{MinLength: 128, History: 24}, ok},
		{policy.Password{MinLength: 7}, no("policy.min_length")}, {policy.Password{MinLength: 129}, no("policy.min_length")}, {policy.Password{}, no("policy.min_length")},
		{policy.Password{MinLength: 8, History: 25}, no("policy.history")}, {policy.Password{MinLength: 8, History: -1}, no("policy.history")},
		{policy.Password{MinLength: 8, MaxAge: 3651}, no("policy.max_age_days")}, {policy.Password{MinLength: 8, MaxAge: -1}, no("policy.max_age_days")},
		{policy.Password{MinLength: 8, MaxAge: 90}, no("forced-changes")}, {policy.Password{MinLength: 8, Personal: true}, no("personal-passwords")},
		{policy.Password{MinLength: 8, Upper: true}, no("predictable-passwords")}, {policy.Password{MinLength: 8, Symbol: true}, no("predictable-passwords")},
	} {
		bounds(t, policy.ChangingPassword, c.p, c.want)
	}
	for _, c := range []struct {
		p    policy.Lockout
		want string
	}{
		{policy.Lockout{Attempts: 3, Window: 60, Duration: 60}, ok}, {policy.Lockout{Attempts: 100, Window: day, Duration: hour}, ok},
		{policy.Lockout{Attempts: 101, Window: 60, Duration: 60}, no("policy.attempts")}, {policy.Lockout{Attempts: -1, Window: 60, Duration: 60}, no("policy.attempts")},
		{policy.Lockout{Attempts: 3, Window: 59, Duration: 60}, no("policy.window_seconds")}, {policy.Lockout{Attempts: 3, Window: 60, Duration: day + 1}, no("policy.duration_seconds")},
		{policy.Lockout{Attempts: 1, Window: 60, Duration: 60}, no("typing-errors")}, {policy.Lockout{Window: 60, Duration: 60}, no("no-lockout")},
		{policy.Lockout{Attempts: 3, Window: 60, Duration: hour + 1}, no("strangers-lock-out")},
	} {
		bounds(t, policy.ChangingLockout, c.p, c.want)
	}
	for _, c := range []struct {
		p    policy.Session
		want string
	}{
		{policy.Session{Lifetime: 30 * day, Idle: hour, Password: day}, ok}, {policy.Session{Lifetime: 900}, ok},
		{policy.Session{Lifetime: 299}, no("policy.lifetime_seconds")}, {policy.Session{Lifetime: 91 * day}, no("policy.lifetime_seconds")},
		{policy.Session{Lifetime: hour, Idle: 299}, no("policy.idle_seconds")}, {policy.Session{Lifetime: hour, Idle: hour + 1}, no("policy.idle_seconds")},
		{policy.Session{Lifetime: hour, Password: 60}, no("policy.password_seconds")}, {policy.Session{Lifetime: hour, Password: -1}, no("policy.password_seconds")},
		{policy.Session{Lifetime: 31 * day}, no("long-sessions")}, {policy.Session{Lifetime: 300}, no("constant-sign-ins")},
		{policy.Session{Lifetime: hour, Password: 300}, no("constant-sign-ins")},
	} {
		bounds(t, policy.ChangingSession, c.p, c.want)
	}
	token := policy.Token{Access: 299, ID: 600, RefreshIdle: day, RefreshLifetime: 2 * day}
	with := func(change func(*policy.Token)) policy.Token { p := token; change(&p); return p }
	for _, c := range []struct {
		p    policy.Token
		want string
	}{
		{token, ok}, {with(func(p *policy.Token) { p.Access = hour }), ok},
		{with(func(p *policy.Token) { p.Access = 59 }), no("policy.access_seconds")}, {with(func(p *policy.Token) { p.ID = day + 1 }), no("policy.id_seconds")},
		{with(func(p *policy.Token) { p.RefreshIdle = 3 * day }), no("policy.refresh_idle_seconds")},
		{with(func(p *policy.Token) { p.RefreshLifetime = 366 * day }), no("policy.refresh_lifetime_seconds")},
		{with(func(p *policy.Token) { p.Access = hour + 1 }), no("long-access-tokens")}, {with(func(p *policy.Token) { p.Access = 60 }), no("constant-refreshes")},
		{with(func(p *policy.Token) { p.RefreshLifetime = 91 * day }), no("long-refresh-tokens")},
	} {
		bounds(t, policy.ChangingToken, c.p, c.want)
	}
}

// What is taken back gives way to the instance's, or to what Muniment comes
// with.
func TestResetting(t *testing.T) {
	set := map[policy.Kind]func(event.ID) (changed, reset any){
		policy.OfPasswords: func(o event.ID) (any, any) {
			return policy.PasswordChanged{Organization: o, MinLength: 9}, policy.PasswordReset{Organization: o}
		},
		policy.OfLockout: func(o event.ID) (any, any) {
			return policy.LockoutChanged{Organization: o}, policy.LockoutReset{Organization: o}
		},
		policy.OfSessions: func(o event.ID) (any, any) {
			return policy.SessionChanged{Organization: o}, policy.SessionReset{Organization: o}
		},
		policy.OfTokens: func(o event.ID) (any, any) {
			return policy.TokenChanged{Organization: o}, policy.TokenReset{Organization: o}
		},
	}
	type is = decidetest.Case[policy.Reset]
	for _, k := range policy.Kinds() {
		own, back := set[k](acme)
		instances, all := set[k](event.ID{})
		c, whole := policy.Reset{Organization: acme, Kind: k}, policy.Reset{Kind: k}
		decidetest.Run(t, registry, policy.Resetting,
			is{Name: string(k), Given: []event.New{added, says(acme, own)}, When: c, Then: []any{back}},
			is{Name: string(k) + " of the instance", Given: []event.New{says(event.ID{}, instances)}, When: whole, Then: []any{all}},
			is{Name: string(k) + ", set by the instance only", Given: []event.New{added, says(event.ID{}, instances)}, When: c, Err: policy.ErrNotSet},
			is{Name: string(k) + ", set nowhere", When: whole, Err: policy.ErrNotSet},
			is{Name: string(k) + ", by its owner", As: asEve, Given: []event.New{added, says(acme, own), eveIs(authz.Owner, acme)}, When: c, Then: []any{back}},
			is{Name: string(k) + ", by a viewer", As: asEve, Given: []event.New{added, says(acme, own), eveIs(authz.Viewer, acme)}, When: c, Kind: fault.Denied},
			is{Name: string(k) + " of no organization", When: c, Err: org.ErrNotFound},
		)
	}
	decidetest.Run(t, registry, policy.Resetting, is{Name: "of no kind", When: policy.Reset{Kind: "x"}, Kind: fault.Invalid})
}
