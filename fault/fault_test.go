package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"muniment.dev/fault"
)

type soon struct{ error }

func (soon) RetryAfter() time.Duration { return 3 * time.Second }
func (s soon) Unwrap() error           { return s.error }

// Only what passes by itself says when to come again, and a mark keeps what it
// marks recognisable.
func TestRetryAfter(t *testing.T) {
	busy := fault.New(fault.Exhausted, "busy")
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"exhausted":   {busy, time.Second},
		"unavailable": {fault.Wrap("append", fault.New(fault.Unavailable, "no")), time.Second},
		"says so":     {fault.Wrap("sign in", soon{busy}), 3 * time.Second},
		"too large":   {fmt.Errorf("read: %w", fault.Lasting(busy)), 0},
		"refused":     {fault.New(fault.Refused, "no"), 0},
		"foreign":     {errors.New("no"), 0},
		"nothing":     {nil, 0},
	} {
		if got := fault.RetryAfter(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if err := fault.Lasting(busy); !errors.Is(err, busy) || !fault.Is(err, fault.Exhausted) || fault.Public(err) != "busy" {
		t.Errorf("marked, it is %v", err)
	}
}
