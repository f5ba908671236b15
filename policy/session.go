package policy

import "muniment.dev/event"

// Session is how long people stay signed in.
type Session struct {
	Lifetime int64 // seconds after the password was given last, whatever happens
	Idle     int64 // seconds without any use; 0: no matter
	Password int64 // seconds after which the password is asked again while the session goes on; 0: never
}

// SessionChanged says how long sessions last from now on, in an organization
// or, if that is zero, in all that have nothing of their own. Sessions that
// have begun get shorter by it, never longer.
type SessionChanged struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Lifetime     int64    `event:"lifetime_seconds,public"`
	Idle         int64    `event:"idle_seconds,public"`
	Password     int64    `event:"password_seconds,public"`
}

// SessionReset says that nothing of its own is said about it there any more.
type SessionReset struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

func (e SessionChanged) value() Session { return Session{e.Lifetime, e.Idle, e.Password} }

func (s Session) changed(o event.ID) any { return SessionChanged{o, s.Lifetime, s.Idle, s.Password} }

// DefaultSession is what holds until somebody says otherwise.
func DefaultSession() Session { return Session{Lifetime: 12 * hour} }

func (s Session) check() error {
	return firstOf(
		within("policy.lifetime_seconds", s.Lifetime, 5*minute, 90*day),
		orNone("policy.idle_seconds", s.Idle, 5*minute, s.Lifetime),
		orNone("policy.password_seconds", s.Password, 5*minute, s.Lifetime),
	)
}

func (s Session) risks() (out []Risk) {
	if s.Lifetime > 30*day {
		out = append(out, Risk{"long-sessions", "a browser that is left or stolen stays signed in for more than 30 days"})
	}
	if s.Lifetime < 15*minute || s.Password > 0 && s.Password < 15*minute {
		out = append(out, Risk{"constant-sign-ins", "people have to give their password every few minutes, and tend to leave it where a program types it"})
	}
	return out
}

func (s Session) laxer(than Session) bool {
	longer := func(a, b int64) bool { return b > 0 && (a == 0 || a > b) }
	return s.Lifetime > than.Lifetime || longer(s.Idle, than.Idle) || longer(s.Password, than.Password)
}

// Expires is when a session ends in which the password was given at a time.
func (s Session) Expires(given event.Instant) event.Instant {
	return given + event.Instant(s.Lifetime*second)
}

// Ends is when a session ends of which it was said when it would, in which the
// password was given and which was used at some time.
func (s Session) Ends(said, given, used event.Instant) event.Instant {
	end := min(said, s.Expires(given))
	if s.Idle > 0 {
		end = min(end, used+event.Instant(s.Idle*second))
	}
	return end
}

// Note reports whether a use of a session at a time is to be recorded, if the
// last that was recorded is older. A quarter of the idle time is as precise as
// it gets, and costs four records in it at most.
func (s Session) Note(used, now event.Instant) bool {
	return s.Idle > 0 && now-used >= event.Instant(s.Idle*second/4)
}

// AsksPassword reports whether the password is to be given again, if it was
// given last at a time.
func (s Session) AsksPassword(given, now event.Instant) bool {
	return s.Password > 0 && now-given >= event.Instant(s.Password*second)
}
