package policy

import (
	"muniment.dev/event"
	"muniment.dev/instance"
)

// Token is how long the tokens of applications last, in seconds.
type Token struct {
	Access          int64
	ID              int64
	RefreshIdle     int64 // after it was used last
	RefreshLifetime int64 // after the sign-in, whatever happens
}

// TokenChanged says how long tokens last that are issued from now on, in an
// organization or, if that is zero, in all that have nothing of their own.
type TokenChanged struct {
	Organization    event.ID `event:"organization,public,tag=org"`
	Access          int64    `event:"access_seconds,public"`
	ID              int64    `event:"id_seconds,public"`
	RefreshIdle     int64    `event:"refresh_idle_seconds,public"`
	RefreshLifetime int64    `event:"refresh_lifetime_seconds,public"`
}

// TokenReset says that nothing of its own is said about it there any more.
type TokenReset struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

func (e TokenChanged) value() Token {
	return Token{e.Access, e.ID, e.RefreshIdle, e.RefreshLifetime}
}

func (t Token) changed(o event.ID) any {
	return TokenChanged{o, t.Access, t.ID, t.RefreshIdle, t.RefreshLifetime}
}

// DefaultToken is what holds until somebody says otherwise.
func DefaultToken() Token {
	return Token{Access: 5 * minute, ID: 10 * minute, RefreshIdle: 14 * day, RefreshLifetime: 90 * day}
}

func (t Token) check() error {
	return firstOf(
		within("policy.access_seconds", t.Access, minute, instance.LongestToken),
		within("policy.id_seconds", t.ID, minute, instance.LongestToken),
		within("policy.refresh_idle_seconds", t.RefreshIdle, 10*minute, t.RefreshLifetime),
		within("policy.refresh_lifetime_seconds", t.RefreshLifetime, 10*minute, 365*day),
	)
}

func (t Token) risks() (out []Risk) {
	if t.Access > hour {
		out = append(out, Risk{"long-access-tokens", "an application that checks access tokens by itself lets people in for more than an hour after they were locked or lost a role"})
	}
	if t.Access < 2*minute {
		out = append(out, Risk{"constant-refreshes", "applications have to fetch tokens all the time, and those with a clock that is a little wrong stop working"})
	}
	if t.RefreshLifetime > 90*day || t.RefreshIdle > 30*day {
		out = append(out, Risk{"long-refresh-tokens", "a refresh token that is stolen and not missed is good for months"})
	}
	return out
}

func (t Token) laxer(than Token) bool {
	return t.Access > than.Access || t.ID > than.ID || t.RefreshIdle > than.RefreshIdle || t.RefreshLifetime > than.RefreshLifetime
}
