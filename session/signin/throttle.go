package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/session"
)

// throttle is a token bucket for each key: burst attempts at once, then one
// per interval. It forgets keys whose buckets are full again.
type throttle struct {
	burst    float64
	interval time.Duration

	mu      sync.Mutex
	buckets map[key]bucket
	swept   time.Time
}

// key stands for an account or an address: keyed, so that no memory of ours
// holds who tried to sign in, and of one size, whatever was typed.
type key [16]byte

type bucket struct {
	left float64
	at   time.Time
	told int64 // the minute in which a summary was last recorded
}

// maxBuckets bounds memory; past it full buckets are dropped, and if there are
// none, everybody who has none waits.
const maxBuckets = 1 << 18

func newThrottle(burst float64, interval time.Duration) *throttle {
	return &throttle{burst: burst, interval: interval, buckets: map[key]bucket{}}
}

// take takes one attempt and returns how long to wait if there is none.
func (t *throttle) take(k key, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[k]
	if !ok {
		if len(t.buckets) >= maxBuckets && !t.sweep(now) {
			return t.interval
		}
		b = bucket{left: t.burst, at: now}
	}
	b.left = min(t.burst, b.left+float64(now.Sub(b.at))/float64(t.interval))
	b.at = now
	defer func() { t.buckets[k] = b }()
	if b.left < 1 {
		return time.Duration((1 - b.left) * float64(t.interval))
	}
	b.left--
	return 0
}

// sweep makes room, once a second at most: it looks at every bucket.
func (t *throttle) sweep(now time.Time) bool {
	if now.Sub(t.swept) < time.Second && !now.Before(t.swept) {
		return false
	}
	t.swept = now
	for k, b := range t.buckets {
		if b.left+float64(now.Sub(b.at))/float64(t.interval) >= t.burst {
			delete(t.buckets, k)
		}
	}
	return len(t.buckets) < maxBuckets
}

// forgive fills a bucket again, after a success.
func (t *throttle) forgive(k key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.buckets, k)
}

// tell reports whether a throttled attempt of a key is to be recorded: once a
// minute.
func (t *throttle) tell(k key, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[k]
	minute := now.Unix() / 60
	if !ok || b.told == minute {
		return false
	}
	b.told = minute
	t.buckets[k] = b
	return true
}

// gate lets attempts through: so many of each address, and so many of each
// account. An address from which a person has signed in before has attempts of
// its own for that account: or whoever keeps guessing would keep them out.
type gate struct {
	secret   [32]byte
	accounts *throttle
	sources  *throttle

	mu    sync.Mutex
	known map[key]bool // pairs of account and address, by whether they are to go next
}

// maxKnown bounds the pairs that are remembered: past it, those go that were of
// no use since it was reached last.
const maxKnown = 1 << 16

func newGate() *gate {
	g := &gate{accounts: newThrottle(10, 30*time.Second), sources: newThrottle(50, 2*time.Second), known: map[key]bool{}}
	rand.Read(g.secret[:])
	return g
}

func (g *gate) key(what string, parts ...string) key {
	h := hmac.New(sha256.New, g.secret[:])
	h.Write([]byte(what))
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		h.Write(sum[:])
	}
	return key(h.Sum(nil)[:16])
}

// pass is an attempt and the buckets that it counts in.
type pass struct {
	account, source, pair key
	known                 bool
}

func (g *gate) pass(ctx context.Context, email string) pass {
	account, source := event.Normalize(email, true), sourceOf(ctx)
	p := pass{account: g.key("account", account), source: g.key("source", source), pair: g.key("pair", account, source)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, p.known = g.known[p.pair]; p.known {
		p.account = p.pair
	}
	return p
}

// take takes an attempt. If there is none it returns how long to wait, and
// whether to record it. Whose address is out of attempts takes none of an
// account's.
func (g *gate) take(p pass, now time.Time) (wait time.Duration, tell bool) {
	if wait := g.sources.take(p.source, now); wait > 0 {
		return wait, g.sources.tell(p.source, now)
	}
	if wait := g.accounts.take(p.account, now); wait > 0 {
		return wait, g.accounts.tell(p.account, now)
	}
	return 0, false
}

// good notes that the attempt was right.
func (g *gate) good(p pass) {
	g.accounts.forgive(p.account)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= maxKnown {
		for k, old := range g.known {
			if old {
				delete(g.known, k)
				continue
			}
			g.known[k] = true
		}
	}
	g.known[p.pair] = false
}

func sourceOf(ctx context.Context) string {
	f, _ := call.FactsOf(ctx)
	if f.IP.Is6() && !f.IP.Is4In6() {
		p, _ := f.IP.Prefix(64) // one customer's addresses
		return p.String()
	}
	return f.IP.String()
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

// admit takes an attempt, or refuses without checking the password. Refusals
// are recorded as one summary for each account or address and minute.
func (s *Service) admit(ctx context.Context, p pass, a Attempt, now time.Time) error {
	wait, tell := s.gate.take(p, now)
	if wait == 0 {
		return nil
	}
	if tell {
		if u, err := s.account(ctx, a.Email); err == nil {
			s.fail(ctx, a.Email, u, session.Throttled, checked{user: u, pass: p, now: now})
		}
	}
	return tooMany{fault.New(fault.Exhausted, "too many attempts; wait a moment before you try again"), wait}
}
