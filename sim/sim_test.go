package sim

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// plainSeeds is how many seeds a plain test run makes.
const plainSeeds = 200

// inBubble makes one run in a bubble of its own.
func inBubble(t *testing.T, seed uint64, bugs Bugs) (r *Report) {
	synctest.Test(t, func(*testing.T) { r = Run(seed, bugs) })
	return r
}

// seeds are those that ever failed (seeds.txt), then 1 to MUNIMENT_SIM_SEEDS
// (default plainSeeds), or MUNIMENT_SIM_SEED alone.
func seeds(t *testing.T) []uint64 {
	if s := os.Getenv("MUNIMENT_SIM_SEED"); s != "" {
		return []uint64{number(t, s)}
	}
	file, err := os.ReadFile("seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []uint64
	for line := range strings.Lines(string(file)) {
		if word, _, _ := strings.Cut(line, "#"); strings.TrimSpace(word) != "" {
			list = append(list, number(t, strings.TrimSpace(word)))
		}
	}
	n := uint64(plainSeeds)
	if s := os.Getenv("MUNIMENT_SIM_SEEDS"); s != "" {
		n = number(t, s)
	}
	for seed := uint64(1); seed <= n; seed++ {
		list = append(list, seed)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%q is not the number of a seed or of seeds", s)
	}
	return n
}

// TestSim: in every world, everything that package sim says holds.
func TestSim(t *testing.T) {
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := inBubble(t, seed, Bugs{})
			if r.Err != nil {
				tell(t, r)
			} else if testing.Verbose() && os.Getenv("MUNIMENT_SIM_SEED") != "" {
				t.Log(strings.Join(r.Trace, "\n"))
			}
		})
	}
}

// tell fails the test with a trace that can be read, and says how to run it again.
func tell(t *testing.T, r *Report) {
	t.Helper()
	const last = 150
	trace := r.Trace
	if len(trace) > last && os.Getenv("MUNIMENT_SIM_SEED") == "" {
		trace = append([]string{trace[0], fmt.Sprintf("… %d lines; all of them: run it again …", len(trace)-last-1)}, trace[len(trace)-last:]...)
	}
	t.Errorf("%s\n\nseed %d: %v\nrun it again: MUNIMENT_SIM_SEED=%d go test ./sim -run 'TestSim$' -v\nand keep it in sim/seeds.txt", strings.Join(trace, "\n"), r.Seed, r.Err, r.Seed)
}

// TestSimReproducible: one seed is one run.
func TestSimReproducible(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			a, b := inBubble(t, seed, Bugs{}), inBubble(t, seed, Bugs{})
			if a.Hash == b.Hash {
				return
			}
			for i := range min(len(a.Trace), len(b.Trace)) {
				if a.Trace[i] != b.Trace[i] {
					t.Fatalf("line %d: %q, then %q; before that:\n%s", i, a.Trace[i], b.Trace[i], strings.Join(a.Trace[max(0, i-20):i], "\n"))
				}
			}
			t.Fatalf("%d lines, then %d", len(a.Trace), len(b.Trace))
		})
	}
}

// TestSimReaches: the runs are about something: every effect happens, fails
// and is kept, records abound, people are erased.
func TestSimReaches(t *testing.T) {
	counts, events := map[string]int{}, 0
	for seed := range uint64(30) {
		r := inBubble(t, seed, Bugs{})
		events += r.Events
		for k, n := range r.Counts {
			counts[k] += n
		}
	}
	for _, effect := range []string{"append", "take", "write", "sync", "erase", "destroy keys", "checkpoint", "swap the register"} {
		if counts[effect] == 0 {
			t.Errorf("no %s happened", effect)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[k], k)
	}
	t.Logf("%6d records", events)
}

// TestSimCatches: a run with a bug in it is found out within the seeds that
// every test run makes, and for the right reason.
func TestSimCatches(t *testing.T) {
	for name, c := range map[string]struct {
		bugs Bugs
		says string
	}{
		"condition dropped":      {Bugs{NoCondition: true}, "has this address already"},
		"query too narrow":       {Bugs{NarrowQuery: true}, "has this address already"},
		"idempotence dropped":    {Bugs{NoIdempotence: true}, "did its work twice"},
		"erasure fence dropped":  {Bugs{NoErasureFence: true}, "who was erased at"},
		"read past the mark":     {Bugs{PastMark: true}, "the views have read to"},
		"acknowledged too early": {Bugs{EarlyAck: true}, "was acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			others := 0
			for seed := uint64(1); seed <= plainSeeds; seed++ {
				r := inBubble(t, seed, c.bugs)
				switch {
				case r.Err == nil:
				case strings.Contains(r.Err.Error(), c.says):
					t.Logf("seed %d, after %d that failed otherwise: %v", seed, others, r.Err)
					return
				default:
					others++
				}
			}
			t.Fatalf("not found in %d seeds; %d failed otherwise", plainSeeds, others)
		})
	}
}
