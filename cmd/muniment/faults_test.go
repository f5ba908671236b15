//go:build linux && amd64

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muniment.dev/internal/sysfault"
)

// point is a system call of the victim: the n-th of its name on a kind of file.
type point struct {
	call, file string // "fsync", "data/log/#.log"
	n          int
}

func (p point) String() string { return fmt.Sprintf("%s:%s:%d", p.call, p.file, p.n) }

// blow is what happens at a point. "kill" is SIGKILL before the call; the
// others are errors of it.
type blow struct {
	point
	how string
}

func (b blow) String() string { return b.point.String() + ":" + b.how }

var errnos = map[string]syscall.Errno{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC}

func parseBlow(s string) (b blow, err error) {
	f := strings.Split(s, ":")
	if len(f) != 4 || f[3] != "kill" && errnos[f[3]] == 0 {
		return b, fmt.Errorf("%q is not CALL:FILE:N:HOW", s)
	}
	b = blow{point{call: f[0], file: f[1]}, f[3]}
	b.n, err = strconv.Atoi(f[2])
	return b, err
}

var digits = regexp.MustCompile(`[0-9]+`)

// counter counts the calls of one run of the victim and strikes once.
type counter struct {
	base string
	blow blow // none: how is empty

	mu    sync.Mutex
	seen  map[point]int // by call and file
	calls []point       // in order
	met   bool
}

func (c *counter) decide(call sysfault.Call) sysfault.Answer {
	name, ok := strings.CutPrefix(call.Path, c.base+"/")
	if !ok {
		return sysfault.Answer{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := point{call: call.Name, file: digits.ReplaceAllString(name, "#")}
	c.seen[p]++
	p.n = c.seen[point{call: p.call, file: p.file}]
	c.calls = append(c.calls, p)
	if c.blow.how == "" || p != c.blow.point {
		return sysfault.Answer{}
	}
	c.met = true
	return sysfault.Answer{Kill: c.blow.how == "kill", Fail: errnos[c.blow.how]}
}

// supervise starts a command whose calls are decided on.
func supervise(t *testing.T, cmd *exec.Cmd, decide func(sysfault.Call) sysfault.Answer) (finished func()) {
	t.Helper()
	finished, err := sysfault.Start(cmd, decide)
	if errors.Is(err, sysfault.ErrUnsupported) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return finished
}

// suffer runs the victim under a blow and returns what it printed.
func suffer(t *testing.T, base string, b blow) (c *counter, stdout, stderr string, state *os.ProcessState) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(base, "register"), 0o700); err != nil {
		t.Fatal(err)
	}
	c = &counter{base: base, blow: b, seen: map[point]int{}}
	cmd := sysfault.Command("victim", base)
	cmd.Env = append(clean(os.Environ()), "MALLOC_ARENA_MAX=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	finished := supervise(t, cmd, c.decide)
	limit := time.AfterFunc(2*time.Minute, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	_ = cmd.Wait() // its exit code is looked at
	limit.Stop()
	finished()
	return c, out.String(), errs.String(), cmd.ProcessState
}

// TestFaultsOfCalls lets each system call with which the server works on its
// files fail once, with EIO and with ENOSPC, and kills it before each. Whatever
// happens, the server either goes on or ends with a reason, and the next start
// finds all that was acknowledged, once, and nothing else.
//
// Without more, a sample is run. MUNIMENT_FAULTS=all runs them all, a number so
// many of them; MUNIMENT_FAULT=CALL:FILE:N:HOW runs one.
func TestFaultsOfCalls(t *testing.T) {
	if one := os.Getenv("MUNIMENT_FAULT"); one != "" {
		b, err := parseBlow(one)
		if err != nil {
			t.Fatal(err)
		}
		endure(t, b)
		return
	}
	all := blows(t)
	chosen := sampled(t, all)
	t.Logf("%d of %d cases", len(chosen), len(all))
	var mu sync.Mutex
	ran, missed, begun := 0, 0, time.Now()
	t.Run("cases", func(t *testing.T) {
		for _, b := range chosen {
			t.Run(b.String(), func(t *testing.T) {
				t.Parallel()
				met := endure(t, b)
				mu.Lock()
				defer mu.Unlock()
				ran++
				if !met {
					missed++
				}
				if ran%200 == 0 {
					fmt.Printf("progress: %d of %d cases in %d s\n", ran, len(chosen), int(time.Since(begun).Seconds()))
				}
			})
		}
	})
	t.Logf("%d cases, %d of which were not met", ran, missed)
	if missed > len(chosen)/4 {
		t.Errorf("%d of %d cases were not met: the runs differ too much", missed, len(chosen))
	}
}

// blows runs the victim in peace and lists all that can happen to it.
func blows(t *testing.T) (all []blow) {
	base := t.TempDir()
	c, stdout, stderr, _ := suffer(t, base, blow{})
	if !strings.HasSuffix(stdout, "\nfinished\n") {
		t.Fatalf("the victim does not finish in peace:\n%s\n%s", stdout, stderr)
	}
	checkVictim(t, base, stdout)
	for _, p := range c.calls {
		for _, how := range []string{"EIO", "ENOSPC", "kill"} {
			if how == "ENOSPC" && strings.HasPrefix(p.call, "unlink") {
				continue // which needs no room
			}
			all = append(all, blow{p, how})
		}
	}
	if len(all) < 500 {
		t.Fatalf("there are only %d cases; the counting is blind", len(all))
	}
	return all
}

// sampled chooses what is run. Each pair of call and file is in a sample before
// any is in it twice.
func sampled(t *testing.T, all []blow) []blow {
	n := 30
	switch v := os.Getenv("MUNIMENT_FAULTS"); {
	case v == "all":
		return all
	case v != "":
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatalf("MUNIMENT_FAULTS is %q, want a number or all", v)
		}
	}
	seed := rand.Uint64()
	if v, err := strconv.ParseUint(os.Getenv("MUNIMENT_FAULTS_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("MUNIMENT_FAULTS_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	count, rank := map[point]int{}, map[blow]int{}
	for _, b := range all {
		kind := point{call: b.call, file: b.file}
		count[kind]++
		rank[b] = count[kind]
	}
	slices.SortStableFunc(all, func(a, b blow) int { return rank[a] - rank[b] })
	return all[:min(n, len(all))]
}

// endure runs the victim under a blow and looks at what is left. It reports
// whether the point was met.
func endure(t *testing.T, b blow) (met bool) {
	base := t.TempDir()
	c, stdout, stderr, state := suffer(t, base, b)
	defer func() {
		if t.Failed() {
			t.Logf("again: MUNIMENT_FAULT='%s' go test ./cmd/muniment -run TestFaultsOfCalls -v\n%s\n%s", b, stdout, stderr)
		}
	}()
	ws := state.Sys().(syscall.WaitStatus)
	reason := regexp.MustCompile("(?m)^ended (unavailable|unknown outcome) ").MatchString(stdout)
	switch {
	case b.how == "kill" && c.met:
		if ws.Signal() != syscall.SIGKILL {
			t.Errorf("it was to be killed, and ended by itself: %v", state)
		}
	case ws.Signaled() || strings.Contains(stderr, "goroutine "):
		t.Errorf("it fell: %v", state)
	case ws.ExitStatus() == 0 && strings.HasSuffix(stdout, "\nfinished\n"):
	case ws.ExitStatus() == 1 && reason:
	default:
		t.Errorf("it neither went on nor ended with a reason: %v", state)
	}
	checkVictim(t, base, stdout)
	return c.met
}
