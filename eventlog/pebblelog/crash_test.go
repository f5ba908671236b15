package pebblelog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("MUNIMENT_CRASH_DIR"); dir != "" {
		appendUntilKilled(dir, event.LogID{ID: event.MustID(os.Getenv("MUNIMENT_CRASH_LOG"))})
	}
	os.Exit(m.Run())
}

// commandContext is the context of the events that the killed process appends:
// which command they belong to and how many it has.
type commandContext struct {
	Command event.ID `cbor:"command"`
	Events  int      `cbor:"events"`
}

// appendUntilKilled appends from 16 goroutines and prints a line for each
// append after it was acknowledged. It never returns.
func appendUntilKilled(dir string, id event.LogID) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, err := Open(dir, Options{Reserve: -1, memTable: 512 << 10})
	if err != nil {
		fail(err)
	}
	l, err := eventlog.Open(context.Background(), s, id, eventlog.Options{})
	if err != nil {
		fail(err)
	}
	var out sync.Mutex
	for i := range 16 {
		go func() {
			stream, subject, key := logtest.NewStream("user"), logtest.NewSubject(), logtest.NewKey()
			for n := 1; ; n = 1 + n%3 {
				r := logtest.Request()
				for range n {
					parts := []logtest.Part{logtest.Context(commandContext{r.Command, n}), logtest.Tags("worker:" + event.Tag(strconv.Itoa(i)))}
					if n > 1 {
						parts = append(parts, logtest.Sealed(subject, key, "/a", "/b"), logtest.Blind(subject, "a", logtest.RandomHash()))
					}
					r.Events = append(r.Events, logtest.New(stream, "user.noted", parts...))
				}
				a, err := l.Append(context.Background(), r)
				if err != nil {
					fail(err)
				}
				out.Lock()
				fmt.Printf("%s %s %d %d\n", r.Command, r.Digest, a.First, a.Last)
				out.Unlock()
			}
		}()
	}
	select {}
}

// acknowledged is what the killed process printed of one append.
type acknowledged struct {
	digest      event.Hash
	first, last event.Position
}

// Requirement E04: what was acknowledged is there after kill -9, once, with
// nothing torn and nothing missing between. MUNIMENT_CRASHES is how many times.
func TestKill(t *testing.T) {
	times := 5
	if v := os.Getenv("MUNIMENT_CRASHES"); v != "" {
		fmt.Sscan(v, &times)
	}
	dir, id := t.TempDir(), event.LogID{ID: event.NewID()}
	all := map[event.ID]acknowledged{}
	for round := range times {
		n := killOnce(t, dir, id, all)
		checkSurvivor(t, dir, id, all)
		t.Logf("round %d: %d acknowledged, %d in all", round, n, len(all))
	}
	if len(all) < times {
		t.Fatalf("only %d appends were acknowledged in %d rounds; the test is blind", len(all), times)
	}
}

func killOnce(t *testing.T, dir string, id event.LogID, all map[event.ID]acknowledged) (n int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MUNIMENT_CRASH_DIR="+dir, "MUNIMENT_CRASH_LOG="+id.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	for in := bufio.NewReader(out); ; n++ {
		line, err := in.ReadString('\n')
		if err == io.EOF { // what was printed in part was not told
			break
		} else if err != nil {
			t.Fatal(err)
		}
		once.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
		})
		parse(t, line, all)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process was to be killed, but ended: %v", err)
	}
	return n
}

func parse(t *testing.T, line string, all map[event.ID]acknowledged) {
	t.Helper()
	var command, digest string
	var a acknowledged
	if _, err := fmt.Sscan(line, &command, &digest, &a.first, &a.last); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if _, err := fmt.Sscanf(digest, "%x", &digest); err != nil {
		t.Fatal(err)
	}
	copy(a.digest[:], digest)
	all[event.MustID(command)] = a
}

func checkSurvivor(t *testing.T, dir string, id event.LogID, all map[event.ID]acknowledged) {
	t.Helper()
	s := mustOpen(t, dir, testOptions(t))
	defer s.Close()
	l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := logtest.Check(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
	stored, wanted := map[event.ID][]event.Position{}, map[event.ID]int{}
	for r, err := range l.Read(t.Context(), event.Everything(), 0) {
		var c commandContext
		if err == nil {
			err = event.Strict.Unmarshal(r.Context, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		stored[c.Command] = append(stored[c.Command], r.Position)
		wanted[c.Command] = c.Events
	}
	for command, at := range stored {
		if len(at) != wanted[command] || int(at[len(at)-1]-at[0])+1 != len(at) {
			t.Fatalf("command %s has %d events, at %v; it appended %d at once", command, len(at), at, wanted[command])
		}
	}
	for command, a := range all {
		at := stored[command]
		if len(at) == 0 || at[0] != a.first || at[len(at)-1] != a.last {
			t.Fatalf("command %s was acknowledged at %d to %d, but stands at %v", command, a.first, a.last, at)
		}
		o, ok, err := l.Outcome(t.Context(), event.System, command, a.digest)
		if err != nil || !ok || o.First != a.first || o.Last != a.last {
			t.Fatalf("the outcome of command %s is %+v, %v, %v", command, o, ok, err)
		}
	}
}
