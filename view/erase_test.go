package view_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// leftIn counts, by subject, the canaries that stand in the files of views, or in
// all files of the PostgreSQL database.
func leftIn(t testing.TB, in view.Backend, of int) []int {
	t.Helper()
	counts := make([]int, of)
	folder := ""
	if path, ok := in.(view.File); ok {
		folder = filepath.Dir(string(path))
	} else {
		c := postgres.Connect(t, database)
		var oid uint32
		if err := c.QueryRow(ctx, "SELECT oid FROM pg_database WHERE datname = current_database()").Scan(&oid); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(ctx, "CHECKPOINT"); err != nil {
			t.Fatal(err)
		}
		folder = filepath.Join(postgres.Shared(t).Data(), "base", fmt.Sprint(oid))
	}
	var files []string
	if err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if os.IsNotExist(err) {
			continue // replaced meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range counts {
			counts[i] += bytes.Count(b, []byte(fmt.Sprintf("anary-%02d-", i))) // either case
		}
	}
	return counts
}

// Forget leaves no byte of a subject's values in any file, not in indexes,
// normal forms, past ranges, the write-ahead log, nor in the free space of
// pages; others' stay. Enough rows come, change and go for pages to split and
// merge often, which is when SQLite leaves copies behind.
func TestForgetLeavesNoByte(t *testing.T) {
	const subjects = 10
	r := rand.New(rand.NewPCG(2, 1))
	in := stored(t)
	l := newLog(t)
	set := open(t, l, in, view.Options{})
	managers := make([]event.ID, subjects)
	for i := range managers {
		managers[i] = event.NewID()
	}
	canary := func(i int) event.Sealed[string] {
		return event.Seal(fmt.Sprintf("Canary-%02d-%s", i, strings.Repeat("x", r.IntN(80))))
	}
	// Each manager is a person of their own with many notes about others.
	var people []event.ID
	for range 100 {
		var events []event.New
		for range 50 {
			i := r.IntN(subjects)
			switch id := event.NewID(); {
			case len(people) < 100 || r.IntN(2) == 0:
				people = append(people, id)
				events = append(events, of(id, added{User: id, Org: managers[i]}), of(id, changed{User: id, Manager: managers[i], Note: canary(i)}))
			case r.IntN(4) == 0:
				events = append(events, of(id, removed{User: people[r.IntN(len(people))]}))
			default:
				id = people[r.IntN(len(people))]
				events = append(events, of(id, changed{User: id, Manager: managers[i], Note: canary(i), Logins: 1}))
			}
		}
		l.Append(events...)
	}
	for i, id := range managers {
		l.Append(of(id, added{User: id, Org: id, Name: canary(i), Email: event.Seal(fmt.Sprintf("canary-%02d-@example", i))}))
	}
	if err := set.Fresh(ctx, l.Mark().Size); err != nil {
		t.Fatal(err)
	}
	if before := leftIn(t, in, subjects); slices.Contains(before, 0) {
		t.Fatalf("the test sees nothing: %v", before)
	}
	forgotten := []int{1, 3, 5, 6, 8}
	for _, i := range forgotten {
		s := event.SubjectID{ID: managers[i]}
		l.Erase(s)
		if err := set.Forget(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := set.Forget(ctx, s); err != nil { // again does no harm
			t.Fatal(err)
		}
	}
	for i, n := range leftIn(t, in, subjects) {
		if (n == 0) != slices.Contains(forgotten, i) {
			t.Errorf("subject %d: %d canaries left", i, n)
		}
	}
	for _, at := range []event.Position{0, l.Mark().Size / 2} {
		rows := selectAll(t, set, "people", at)
		seen := map[event.State]int{}
		for _, row := range rows {
			if mine := slices.Contains(managers, row.ID("manager")); mine {
				i := slices.Index(managers, row.ID("manager"))
				want := event.Present
				if slices.Contains(forgotten, i) {
					want = event.Erased
				}
				if got := row.State("note"); got != want && got != event.Absent {
					t.Fatalf("at %d: a note of subject %d is %s", at, i, got)
				}
				seen[row.State("note")]++
			}
		}
		if seen[event.Erased] == 0 || seen[event.Present] == 0 {
			t.Fatalf("at %d: %v", at, seen)
		}
	}
	if rows, _, _, err := set.Select(ctx, view.Query{Table: "people", Where: []view.Cond{view.Prefix("name", "canary-03")}}); err != nil || len(rows) != 0 {
		t.Fatal("an erased person is found by name", rows, err)
	}
	// The address is free for somebody else.
	next := event.NewID()
	l.Append(of(next, added{User: next, Org: next, Email: event.Seal("canary-03-@example")}))
	if _, ok, err := set.Get(ctx, "people", view.Values{"user": next}, view.Read{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	viewtest.Check(t, set)
}

// A set that stopped forgets too, and still says why it stopped.
func TestForgetWhenStopped(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	id := event.NewID()
	s := event.SubjectID{ID: id}
	l.Append(of(id, added{User: id, Org: id, Name: event.Seal("canary-01-")}), of(id, broken{User: id, How: "panic"}))
	set := open(t, l, in, view.Options{})
	if err := set.Fresh(ctx, 2); err == nil || set.Status().Stopped == nil {
		t.Fatal("not stopped")
	}
	if leftIn(t, in, 2)[1] == 0 {
		t.Fatal("the test sees nothing")
	}
	l.Erase(s)
	if err := set.Forget(ctx, s); err != nil {
		t.Fatal(err)
	}
	if n := leftIn(t, in, 2)[1]; n != 0 {
		t.Fatalf("%d canaries left", n)
	}
	row, _, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{Stale: true})
	if err != nil || row.State("name") != event.Erased {
		t.Fatal(row, err)
	}
	if err := set.Fresh(ctx, 2); err == nil || set.Status().Stopped == nil {
		t.Fatal("not stopped any more")
	}
}

// Forget works while others read and write, and while a rebuild runs that has
// read the values already; afterwards nothing of the subject is in any file.
func TestForgetAmidEverything(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	r := rand.New(rand.NewPCG(2, 2))
	crowd(l, r, 500)
	set := open(t, l, in, view.Options{Batch: 50})
	stop := make(chan struct{})
	var others sync.WaitGroup
	defer others.Wait()
	defer close(stop)
	loop := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	w := rand.New(rand.NewPCG(3, 3))
	loop(func() {
		crowd(l, w, 1)
		time.Sleep(time.Millisecond)
		for set.Lag() > 10*time.Millisecond {
			time.Sleep(time.Millisecond)
		}
	})
	loop(func() {
		if _, _, _, err := set.Select(ctx, view.Query{Table: "people", OrderBy: []string{"name"}}); err != nil {
			t.Error(err)
		}
	})
	loop(func() {
		if err := set.Rebuild(ctx, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Millisecond) // Forget waits its turn
	})
	for i := range 6 {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id, Name: event.Seal(fmt.Sprintf("Canary-%02d-", i))}))
		if i%2 == 0 {
			if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		s := event.SubjectID{ID: id}
		l.Erase(s)
		if err := set.Forget(ctx, s); err != nil {
			t.Fatal(err)
		}
		if n := leftIn(t, in, 10)[i]; n != 0 {
			t.Fatalf("%d canaries of subject %d are left", n, i)
		}
	}
}
