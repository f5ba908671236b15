package sim

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// kept are the seeds that ever found something (seeds.txt).
func kept(t *testing.T) (list []uint64) {
	file, err := os.ReadFile("seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if word, _, _ := strings.Cut(line, "#"); strings.TrimSpace(word) != "" {
			list = append(list, number(t, strings.TrimSpace(word)))
		}
	}
	return list
}

// seeds yields what to run: MUNIMENT_SIM_SEED alone; else those kept, and
// MUNIMENT_SIM_SEEDS (default plainSeeds) from MUNIMENT_SIM_FROM (default 1) on.
func seeds(t *testing.T) iter.Seq[uint64] {
	env := func(name string, otherwise uint64) uint64 {
		if s := os.Getenv(name); s != "" {
			return number(t, s)
		}
		return otherwise
	}
	if s := os.Getenv("MUNIMENT_SIM_SEED"); s != "" {
		return slices.Values([]uint64{number(t, s)})
	}
	first, n, old := env("MUNIMENT_SIM_FROM", 1), env("MUNIMENT_SIM_SEEDS", plainSeeds), kept(t)
	return func(yield func(uint64) bool) {
		for _, seed := range old {
			if (seed < first || seed >= first+n) && !yield(seed) {
				return
			}
		}
		for seed := first; seed < first+n && yield(seed); seed++ {
		}
	}
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%q is not the number of a seed or of seeds", s)
	}
	return n
}

// enough failures end a test: the rest would say the same.
const enough = 5

// TestSim: in every world, everything that package sim says holds.
func TestSim(t *testing.T) {
	next, stop := iter.Pull(seeds(t))
	t.Cleanup(stop)
	var mu sync.Mutex
	failures := 0
	take := func(failed bool) (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed {
			failures++
		}
		if failures == enough {
			return 0, false
		}
		return next()
	}
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker", i), func(t *testing.T) {
			t.Parallel()
			for seed, ok := take(false); ok; {
				good := t.Run(fmt.Sprint(seed), func(t *testing.T) { one(t, seed) })
				seed, ok = take(!good)
			}
		})
	}
}

func one(t *testing.T, seed uint64) {
	r := inBubble(t, seed, Bugs{})
	if r.Err != nil {
		tell(t, r)
	} else if testing.Verbose() && os.Getenv("MUNIMENT_SIM_SEED") != "" {
		t.Logf("%s\n\nseed %d: nothing found; the trace's hash is %x", strings.Join(r.Trace, "\n"), seed, r.Hash)
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
//
// BUG: about one pair of runs in a thousand differs, and of several nodes one in
// three hundred, where a node stops while clients append: two of its goroutines end
// in either order. Such a pair is run
// again, once; a run that depends on chance would differ again.
func TestSimReproducible(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			first := differs(t, seed)
			if first == "" {
				return
			}
			t.Logf("run again: %s", first)
			if again := differs(t, seed); again != "" {
				t.Fatal(again)
			}
		})
	}
}

// differs runs a seed twice and says where the runs part; "" if they do not.
func differs(t *testing.T, seed uint64) string {
	a, b := inBubble(t, seed, Bugs{}), inBubble(t, seed, Bugs{})
	if a.Hash == b.Hash {
		return ""
	}
	for i := range min(len(a.Trace), len(b.Trace)) {
		if a.Trace[i] != b.Trace[i] {
			return fmt.Sprintf("line %d: %q, then %q; before that:\n%s", i, a.Trace[i], b.Trace[i], strings.Join(a.Trace[max(0, i-20):i], "\n"))
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(a.Trace), len(b.Trace))
}

// TestSimReaches: the runs are about something: every effect happens, fails
// and is kept, records abound, people are erased.
func TestSimReaches(t *testing.T) {
	counts, events := map[string]int{}, 0
	for seed := range uint64(100) {
		r := inBubble(t, seed, Bugs{})
		events += r.Events
		for k, n := range r.Counts {
			counts[k] += n
		}
	}
	for _, effect := range []string{"append", "take", "write", "sync", "erase", "destroy keys", "checkpoint", "load the register", "swap the register"} {
		for _, v := range []verdict{proceed, lose, keep} {
			if counts[effect+v.String()] == 0 {
				t.Errorf("it never happened: %s%s", effect, v)
			}
		}
	}
	for _, what := range []string{"send fails", "send fails but is kept", "write late", "forward", "forward fails", "forward fails but is kept", "forward late", "hear fails", "publish fails", "look fails", "resign"} {
		if counts[what] == 0 {
			t.Errorf("it never happened: %s", what)
		}
	}
	for _, effect := range []string{"deliver", "swap the cursor"} {
		for _, v := range []verdict{proceed, lose, keep} {
			if counts[effect+v.String()] == 0 {
				t.Errorf("it never happened: %s%s", effect, v)
			}
		}
	}
	for _, record := range []string{"bus-bought", "bus-renamed", "bus-scrapped", "bus-stopped", "schema.applied", "entity.erased", "entity.erasure.completed", "authorization.refresh-token.issued", "authorization.ended", "consent.given", "consent.withdrawn", "instance.signing-key.retired", "instance.signing-key.removed",
		"user.lockout.begun", "user.lockout.ended", "organization.restored", "project.restored", "application.restored"} {
		if counts["record "+record] < 2 {
			t.Errorf("recorded %d times only: %s", counts["record "+record], record)
		}
	}
	if counts["refresh token reused"] < 2 {
		t.Errorf("refresh tokens were used twice %d times only", counts["refresh token reused"])
	}
	if events < 100*40 {
		t.Errorf("100 runs made only %d records", events)
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[k], k)
	}
	t.Logf("%6d records", events)
}

// TestSimCatches: a run with a bug in it is found out within as many seeds of
// its kind as a plain test run makes seeds, and for the right reason.
func TestSimCatches(t *testing.T) {
	for name, c := range map[string]struct {
		bugs Bugs
		says string
		kind kind
	}{
		"condition dropped":             {Bugs{NoCondition: true}, "has this address already", plain},
		"condition of events dropped":   {Bugs{NoCondition: true}, "has this plate already", plain},
		"query too narrow":              {Bugs{NarrowQuery: true}, "has this address already", plain},
		"idempotence dropped":           {Bugs{NoIdempotence: true}, "did its work twice", plain},
		"erasure fence dropped":         {Bugs{NoErasureFence: true}, "who was erased at", plain},
		"read past the mark":            {Bugs{PastMark: true}, "the views have read to", plain},
		"acknowledged too early":        {Bugs{EarlyAck: true}, "was acknowledged", plain},
		"fence dropped":                 {Bugs{NoFence: true}, "does not fit behind the log", plain},
		"any clock is good":             {Bugs{AnyClock: true}, "ahead of what the clock has said", plain},
		"register beside the log":       {Bugs{RegisterBeside: true}, "serves a log that was put back", plain},
		"family outlives a reuse":       {Bugs{KeepsFamily: true}, "was used twice, and it is good", plain},
		"acknowledged before published": {Bugs{AckFirst: true}, "is stale", many},
		"follower past the mark":        {Bugs{MarkShown: true}, "records are durable", many},
		"lost answer, nothing done":     {Bugs{NothingDone: true}, "was said not to have happened", many},
		"fenced holder goes on":         {Bugs{GoesOn: true}, "is stale", many},
		"fence between nodes dropped":   {Bugs{NoFence: true}, "does not fit behind the log", many},
		"key kept in memory":            {Bugs{KeepsKeys: true}, "still has the key of", many},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			others := 0
			for seed := uint64(1); seed <= plainSeeds*kinds; seed++ {
				if kindOf(seed) != c.kind {
					continue
				}
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
			t.Fatalf("not found in %d seeds; %d failed otherwise", plainSeeds*kinds, others)
		})
	}
}
