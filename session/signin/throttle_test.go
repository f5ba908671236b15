package signin

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"muniment.dev/api/call"
)

func from(ip string) context.Context {
	return call.WithFacts(context.Background(), call.Facts{IP: netip.MustParseAddr(ip)})
}

// tries counts how many of n attempts in one instant get through.
func tries(g *gate, ctx context.Context, email string, n int, now time.Time) (through int) {
	for range n {
		if wait, _ := g.take(g.pass(ctx, email), now); wait == 0 {
			through++
		}
	}
	return through
}

// Attempts are counted by account, however it is written, and by address, of
// which a network of IPv6 is one.
func TestGate(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate()
	if n := tries(g, from("192.0.2.1"), "ada@example.org", 6, now) + tries(g, from("192.0.2.2"), "ADA@example.org", 6, now); n != 10 {
		t.Errorf("%d attempts at one account got through", n)
	}
	if n := tries(g, from("192.0.2.3"), "ada@example.org", 1, now.Add(31*time.Second)); n != 1 {
		t.Errorf("half a minute later: %d", n)
	}
	through := 0
	for i := range 100 {
		through += tries(g, from("2001:db8::"+strconv.Itoa(i+1)), strconv.Itoa(i)+"@example.org", 1, now)
	}
	if through != 50 {
		t.Errorf("%d attempts of one network got through", through)
	}
}

// Whose address is out of attempts takes none of the accounts'; what is told of
// it does not depend on how many accounts it names.
func TestGateBySource(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate()
	tries(g, from("192.0.2.1"), "x@example.org", 10, now)
	told := 0
	for i := range 1000 {
		if _, tell := g.take(g.pass(from("192.0.2.1"), strconv.Itoa(i)+"@example.org"), now); tell {
			told++
		}
	}
	if told > 1 {
		t.Errorf("%d summaries of one address in one minute", told)
	}
	if n := len(g.accounts.buckets); n > 51 {
		t.Errorf("one address fills %d buckets of accounts", n)
	}
	if n := tries(g, from("192.0.2.2"), "999@example.org", 1, now); n != 1 {
		t.Error("an account has no attempt left that nobody made")
	}
}

// Whoever signed in from an address before gets in from there while others guess.
func TestGateKnownAddress(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate()
	g.good(g.pass(from("198.51.100.7"), "ada@example.org"))
	for i := range 100 {
		tries(g, from("192.0.2."+strconv.Itoa(i)), "ada@example.org", 10, now)
	}
	if n := tries(g, from("203.0.113.9"), "ada@example.org", 1, now); n != 0 {
		t.Error("guessing is not limited")
	}
	if n := tries(g, from("198.51.100.7"), "ada@example.org", 11, now); n != 10 {
		t.Errorf("from where Ada signed in before, %d attempts get through", n)
	}
	if n := tries(g, from("198.51.100.7"), "bob@example.org", 11, now); n != 10 {
		t.Errorf("and %d of others there", n)
	}
	for i := range 2 * maxKnown {
		g.good(g.pass(from("198.51.100.7"), strconv.Itoa(i)+"@example.org"))
	}
	if len(g.known) > maxKnown+1 {
		t.Errorf("%d pairs are remembered", len(g.known))
	}
}

// A full table lets those in who are in it, and makes room as buckets fill.
func TestGateIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	tb := newThrottle(2, time.Second)
	for i := range maxBuckets {
		tb.buckets[key{byte(i), byte(i >> 8), byte(i >> 16), 1}] = bucket{left: 0, at: now}
	}
	if tb.take(key{2}, now) == 0 || tb.tell(key{2}, now) || len(tb.buckets) != maxBuckets {
		t.Error("the table grows beyond its bound")
	}
	if tb.take(key{2}, now.Add(10*time.Second)) != 0 || len(tb.buckets) > 2 {
		t.Errorf("no room was made: %d", len(tb.buckets))
	}
}
