// Package password hashes what people choose, with argon2id (RFC 9106), in a
// bounded pool: a flood of sign-ins queues, and is refused early when the
// queue is full, instead of taking the machine's memory.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"muniment.dev/fault"
)

// Params are those of argon2id; the defaults are OWASP's least recommendation.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32
	Threads uint8
}

var defaults = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

const (
	saltSize = 16
	keySize  = 32
	// MinLength and MaxLength bound a password, in bytes (NIST SP 800-63B §3.1.1).
	MinLength = 8
	MaxLength = 256
)

// Pool hashes at most so many passwords at a time.
type Pool struct {
	params Params
	slots  chan struct{} // those at work
	queue  chan struct{} // those at work or waiting
	decoy  string
}

// NewPool makes a pool of workers slots, with at most queue waiting. Zeros
// mean one slot per CPU and 32 waiting for each.
func NewPool(p Params, workers, queue int) *Pool {
	if p == (Params{}) {
		p = defaults
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if queue == 0 {
		queue = 32 * workers
	}
	pool := &Pool{params: p, slots: make(chan struct{}, workers), queue: make(chan struct{}, workers+queue)}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	pool.decoy = encode(p, salt, make([]byte, keySize))
	return pool
}

// busy is the refusal of a full queue. RetryAfter tells how long to wait.
type busy struct{ why error }

// Error is the fault's.
func (b busy) Error() string { return b.why.Error() }

// Unwrap gives the fault.
func (b busy) Unwrap() error { return b.why }

// RetryAfter is how long a client should wait.
func (busy) RetryAfter() time.Duration { return 2 * time.Second }

func (p *Pool) enter(ctx context.Context) (leave func(), err error) {
	select {
	case p.queue <- struct{}{}:
	default:
		return nil, busy{fault.New(fault.Exhausted, "too many people are signing in at this moment; try again in a few seconds")}
	}
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots; <-p.queue }, nil
	case <-ctx.Done():
		<-p.queue
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the request ended while it waited", Err: ctx.Err()}
	}
}

// Load is how many passwords are being hashed at the moment, and how many wait
// for that.
func (p *Pool) Load() (working, waiting int) {
	working = len(p.slots)
	return working, max(0, len(p.queue)-working)
}

// Check refuses passwords that nobody should choose.
func Check(password string) error {
	if len(password) < MinLength || len(password) > MaxLength || !utf8.ValidString(password) {
		return fault.Field("password", "must have %d to %d bytes", MinLength, MaxLength)
	}
	if strings.Count(password, password[:1]) == len(password) {
		return fault.Field("password", "must not repeat one character")
	}
	return nil
}

// Hash checks a password and returns its hash in PHC string format.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	if err := Check(password); err != nil {
		return "", err
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return encode(p.params, salt, argon2.IDKey([]byte(password), salt, p.params.Time, p.params.Memory, p.params.Threads, keySize)), nil
}

// Verify reports whether a password matches a hash. An empty hash (there is no
// such account, or it has no password) costs the same and never matches.
func (p *Pool) Verify(ctx context.Context, hash, password string) (bool, error) {
	real := hash != ""
	if !real {
		hash = p.decoy
	}
	params, salt, key, err := decode(hash)
	if err != nil {
		return false, err
	}
	if len(password) > MaxLength {
		password, real = password[:MaxLength], false
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	got := argon2.IDKey([]byte(password), salt, params.Time, params.Memory, params.Threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1 && real, nil
}

func encode(p Params, salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, b.EncodeToString(salt), b.EncodeToString(key))
}

// limits on the parameters of stored hashes, so that one cannot exhaust memory.
const (
	maxMemory = 1 << 20 // KiB
	maxTime   = 64
)

func decode(phc string) (Params, []byte, []byte, error) {
	var p Params
	var version int
	parts := strings.Split(phc, "$")
	bad := fault.New(fault.Corrupt, "a stored password hash is malformed")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); err != nil {
		return p, nil, nil, bad
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) < 16 || p.Memory > maxMemory || p.Time == 0 || p.Time > maxTime || p.Threads == 0 {
		return p, nil, nil, bad
	}
	return p, salt, key, nil
}
