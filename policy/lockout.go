package policy

import (
	"time"

	"muniment.dev/event"
)

// Lockout is after how many wrong passwords an account is locked out, and for
// how long. It ends by itself.
type Lockout struct {
	Attempts int64 // wrong ones within Window; 0: accounts are not locked out
	Window   int64 // seconds
	Duration int64 // seconds
}

// LockoutChanged says when accounts are locked out from now on, in an
// organization or, if that is zero, in all that have nothing of their own.
type LockoutChanged struct {
	Organization event.ID `event:"organization,public,tag=org"`
	Attempts     int64    `event:"attempts,public"`
	Window       int64    `event:"window_seconds,public"`
	Duration     int64    `event:"duration_seconds,public"`
}

// LockoutReset says that nothing of its own is said about it there any more.
type LockoutReset struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

func (e LockoutChanged) value() Lockout { return Lockout{e.Attempts, e.Window, e.Duration} }

func (l Lockout) changed(o event.ID) any {
	return LockoutChanged{o, l.Attempts, l.Window, l.Duration}
}

// DefaultLockout is what holds until somebody says otherwise. NIST SP 800-63B
// §3.2.2 allows no more than 100 in a row.
func DefaultLockout() Lockout {
	return Lockout{Attempts: 20, Window: 15 * minute, Duration: 15 * minute}
}

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// MaxAttempts bounds how many wrong passwords are counted.
const MaxAttempts = 100

func (l Lockout) check() error {
	return firstOf(
		within("policy.attempts", l.Attempts, 0, MaxAttempts),
		within("policy.window_seconds", l.Window, minute, day),
		within("policy.duration_seconds", l.Duration, minute, day),
	)
}

func (l Lockout) risks() (out []Risk) {
	if l.Attempts == 0 {
		out = append(out, Risk{"no-lockout", "without a lockout, somebody may go on guessing a password as fast as the throttles let them"})
	}
	if l.Attempts == 1 || l.Attempts == 2 {
		out = append(out, Risk{"typing-errors", "whoever mistypes once or twice is locked out"})
	}
	if l.Attempts > 0 && l.Duration > hour {
		out = append(out, Risk{"strangers-lock-out", "any stranger who knows an address can keep its person out for that long, unless they come from where they signed in before"})
	}
	return out
}

func (l Lockout) laxer(than Lockout) bool {
	if than.Attempts == 0 {
		return false
	}
	return l.Attempts == 0 || l.Attempts > than.Attempts || l.Window < than.Window || l.Duration < than.Duration
}

// WindowOf is Window as a duration.
func (l Lockout) WindowOf() time.Duration { return time.Duration(l.Window) * time.Second }

// Until is when a lockout that begins at a time ends.
func (l Lockout) Until(now event.Instant) event.Instant {
	return now + event.Instant(l.Duration*second)
}

// second is one in microseconds, the unit of event.Instant.
const second = int64(time.Second / time.Microsecond)
