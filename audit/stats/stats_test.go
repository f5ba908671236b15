package stats_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"muniment.dev/audit/stats"
	"muniment.dev/event"
	"muniment.dev/view/viewtest"
)

type happened struct {
	N int64 `event:"n,public"`
}

type failed struct {
	N int64 `event:"n,public"`
}

func newLog(t *testing.T) *viewtest.Log {
	return viewtest.New(t, []event.Descriptor{event.Describe[happened]("thing.happened", 1, "it happened: {n}"), event.Describe[failed]("signin.failed", 1, "it failed: {n}")})
}

func fill(l *viewtest.Log, n int) (last event.Position) {
	stream := event.Stream{Kind: "thing", ID: event.NewID()}
	for i := range n {
		if i%4 == 3 {
			last = l.Append(event.New{Stream: stream, Payload: failed{int64(i)}})
			continue
		}
		last = l.Append(event.New{Stream: stream, Payload: happened{int64(i)}})
	}
	return last
}

// counted starts a counter, waits until it has counted everything, and stops
// it.
func counted(t *testing.T, l *viewtest.Log, path string) *stats.Statistics {
	t.Helper()
	c := stats.Start(t.Context(), l, path, slog.New(slog.DiscardHandler))
	if err := c.Wait(t.Context(), l.Mark().Size); err != nil {
		t.Fatal(err)
	}
	s := c.Statistics()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// O03: what was counted bit by bit, over restarts, is what is counted at once.
func TestCountedAtOnce(t *testing.T) {
	l := newLog(t)
	path := filepath.Join(t.TempDir(), "stats.json")
	for i := range 5 {
		fill(l, 10*i)
		counted(t, l, path)
	}
	got, want := counted(t, l, path), counted(t, l, filepath.Join(t.TempDir(), "anew.json"))
	got.Minute, want.Minute = 0, 0 // is not kept
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bit by bit %+v, at once %+v", got, want)
	}
	if want.Events != 100 || want.Counted != 100 || want.Types["signin.failed"] != 24 || want.Types["thing.happened"] != 76 || want.Streams != 4 || want.TreeDepth() != 7 {
		t.Errorf("%+v", want)
	}
	sum := uint64(0)
	for _, d := range want.Days {
		sum += d.Events
	}
	if sum != 100 || want.Bytes == 0 || want.PerSecond(want.First) != 100 {
		t.Errorf("%d events by day, %d bytes", sum, want.Bytes)
	}
}

// A counter that follows counts what comes, and how much of it came just now.
func TestFollows(t *testing.T) {
	l := newLog(t)
	c := stats.Start(t.Context(), l, filepath.Join(t.TempDir(), "stats.json"), nil)
	defer c.Close()
	if err := c.Wait(t.Context(), fill(l, 12)); err != nil {
		t.Fatal(err)
	}
	if s := c.Statistics(); s.Minute != 12 || s.Counted != 12 {
		t.Errorf("%+v", s)
	}
}

// A file that is damaged, or of another log, is not believed.
func TestCountedAnew(t *testing.T) {
	l, other := newLog(t), newLog(t)
	fill(l, 20)
	fill(other, 40)
	path := filepath.Join(t.TempDir(), "stats.json")
	counted(t, other, path)
	foreign, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	counted(t, l, path)
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"foreign": foreign, "damaged": []byte(`{"format":1`), "empty": {}, "of another version": []byte(`{"format":99}`),
		"of another past": []byte(fmt.Sprintf(`{"format":1,"log":%q,"position":7,"types":{"x":7}}`, l.ID())), "own": own,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := counted(t, l, path); s.Counted != 20 || s.Types["thing.happened"] != 15 || s.Types["x"] != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The depth of a tree is what a proof of inclusion has at most (RFC 9162
// §2.1.3).
func TestTreeDepth(t *testing.T) {
	for n, want := range map[uint64]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 1 << 20: 20, 1<<20 + 1: 21} {
		if got := (&stats.Statistics{Events: n}).TreeDepth(); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
