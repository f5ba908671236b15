package view_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// openStored opens a log that outlives the process, and views of it.
func openStored(dir string, log event.LogID, opts view.Options) (*eventlog.Log, *view.Set, func(), error) {
	store, err := pebblelog.Open(filepath.Join(dir, "log"), pebblelog.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := eventlog.Open(ctx, store, log, eventlog.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	reg := event.NewRegistry(events())
	decode := func(_ context.Context, r *event.Record) (event.Fact, error) {
		d, err := reg.Lookup(r.Log, r.Type, r.Revision)
		if err != nil {
			return event.Fact{}, err
		}
		return d.Decode(r, nil)
	}
	set, err := view.Open(ctx, view.File(filepath.Join(dir, "views.db")), l, decode, []view.View{people()}, opts)
	if err != nil {
		return nil, nil, nil, err
	}
	return l, set, func() { set.Close(); l.Close(); store.Close() }, nil
}

// A process that follows the log, and rebuilds, is killed again and again.
// What it leaves is always a place in the log with exactly what belongs there.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("VIEW_TEST_FOLLOW"); dir != "" {
		followUntilKilled(t, dir)
		return
	}
	dir, log := t.TempDir(), event.LogID{ID: event.MustID(strings.Repeat("5a", 16))}
	l, set, shut, err := openStored(dir, log, view.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	reg := event.NewRegistry(events())
	var people []event.ID
	for range 30 {
		req := eventlog.Request{Actor: event.System, Command: event.NewID()}
		for range 100 {
			id := event.NewID()
			var payload any = added{User: id, Org: id}
			if len(people) > 50 {
				payload = changed{User: people[r.IntN(len(people))], Logins: 1 + r.Int64N(9)}
			}
			people = append(people, id)
			d, err := reg.Of(log, payload)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := d.Split(payload)
			if err != nil {
				t.Fatal(err)
			}
			req.Events = append(req.Events, &event.Draft{ID: event.NewID(), Stream: event.Stream{Kind: "person", ID: id},
				Type: d.Type, Revision: d.Revision, Actor: event.System, Public: parts.Public, Tags: parts.Tags})
		}
		if _, err := l.Append(ctx, req); err != nil {
			t.Fatal(err)
		}
	}
	want := dump(t, set)
	shut()
	if err := os.Remove(filepath.Join(dir, "views.db")); err != nil {
		t.Fatal(err)
	}
	places := map[string]bool{}
	for i := range 12 {
		place := killOne(t, dir, time.Duration(r.IntN(100))*time.Millisecond)
		places[place] = true
		l, set, shut, err := openStored(dir, log, view.Options{Batch: 10})
		if err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		got := dump(t, set)
		viewtest.Check(t, set)
		if !slices.Equal(got, want) || set.Status().Applied != l.Mark().Size {
			t.Fatalf("after kill %d: %d lines, want %d", i, len(got), len(want))
		}
		shut()
		if i%3 > 0 { // else the next one only rebuilds and replaces
			if err := os.Remove(filepath.Join(dir, "views.db")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(places) < 3 {
		t.Fatalf("killed at %v only: nothing was tried", places)
	}
}

// killOne starts a process that follows the log in dir, kills it some time
// after it began, and returns the last place that it told.
func killOne(t *testing.T, dir string, after time.Duration) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), "VIEW_TEST_FOLLOW="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, last := bufio.NewScanner(out), ""
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			if last == "" {
				time.AfterFunc(after, func() { c.Process.Kill() })
			}
			last = text
		} else if strings.Contains(text, "FAIL") || strings.Contains(lines.Text(), "FAIL") {
			t.Fatalf("the process failed: %s", lines.Text())
		}
	}
	c.Wait()
	return last
}

func followUntilKilled(t *testing.T, dir string) {
	log := event.LogID{ID: event.MustID(strings.Repeat("5a", 16))}
	_, set, shut, err := openStored(dir, log, view.Options{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer shut()
	go func() {
		for {
			fmt.Printf("at %d\n", set.Status().Applied)
			time.Sleep(time.Millisecond)
		}
	}()
	for {
		if err := set.Rebuild(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
}
