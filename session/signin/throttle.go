package signin

import (
	"context"
	"sync"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/session"
)

// throttle is a token bucket for each key: burst attempts at once, then one
// per interval. It forgets keys whose buckets are full again.
type throttle struct {
	burst    float64
	interval time.Duration

	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
	told int64 // the minute in which a summary was last recorded
}

// maxBuckets bounds memory; past it full buckets are dropped, and if there are
// none, everybody waits.
const maxBuckets = 1 << 18

func newThrottle(burst float64, interval time.Duration) *throttle {
	return &throttle{burst: burst, interval: interval, buckets: map[string]bucket{}}
}

// take takes one attempt and returns how long to wait if there is none.
func (t *throttle) take(key string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[key]
	if !ok {
		if len(t.buckets) >= maxBuckets && !t.sweep(now) {
			return t.interval
		}
		b = bucket{left: t.burst, at: now}
	}
	b.left = min(t.burst, b.left+float64(now.Sub(b.at))/float64(t.interval))
	b.at = now
	defer func() { t.buckets[key] = b }()
	if b.left < 1 {
		return time.Duration((1 - b.left) * float64(t.interval))
	}
	b.left--
	return 0
}

func (t *throttle) sweep(now time.Time) bool {
	for k, b := range t.buckets {
		if b.left+float64(now.Sub(b.at))/float64(t.interval) >= t.burst {
			delete(t.buckets, k)
		}
	}
	return len(t.buckets) < maxBuckets
}

// forgive fills a bucket again, after a success.
func (t *throttle) forgive(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.buckets, key)
}

// tell reports whether a throttled attempt of a key is to be recorded: once a
// minute.
func (t *throttle) tell(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, minute := t.buckets[key], now.Unix()/60
	if b.told == minute {
		return false
	}
	b.told = minute
	t.buckets[key] = b
	return true
}

func accountKey(email string) string { return seal.Normalize(email, true) }

func sourceKey(ctx context.Context) string {
	f, _ := call.FactsOf(ctx)
	if f.IP.Is6() && !f.IP.Is4In6() {
		p, _ := f.IP.Prefix(64) // one customer's addresses
		return p.String()
	}
	return f.IP.String()
}

// throttled takes an attempt of the account and of the address.
func (s *Service) throttled(ctx context.Context, email string, now time.Time) time.Duration {
	return max(s.accounts.take(accountKey(email), now), s.sources.take(sourceKey(ctx), now))
}

// tooMany is the refusal of a throttle. RetryAfter tells how long to wait.
type tooMany struct {
	why  error
	wait time.Duration
}

// Error is the fault's.
func (t tooMany) Error() string { return t.why.Error() }

// Unwrap gives the fault.
func (t tooMany) Unwrap() error { return t.why }

// RetryAfter is how long a client should wait, at least a second.
func (t tooMany) RetryAfter() time.Duration { return max(t.wait, time.Second) }

// refuseThrottled refuses without checking the password, and records one
// summary for each account and minute.
func (s *Service) refuseThrottled(ctx context.Context, a Attempt, now time.Time, wait time.Duration) error {
	if s.accounts.tell(accountKey(a.Email), now) {
		if u, err := s.account(ctx, a.Email); err == nil {
			s.fail(ctx, a.Email, u, session.Throttled, now)
		}
	}
	return tooMany{fault.New(fault.Exhausted, "too many attempts; wait a moment before you try again"), wait}
}
