package view_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// counts is a second view of the same set.
func counts(revision int) view.View {
	return view.View{Name: "marks", Revision: revision, Types: []string{"person.added"},
		Tables: []view.Table{{Name: "marks", Key: []string{"user"}, Columns: []view.Column{{Name: "user", Kind: event.IDRef}, {Name: "revision", Kind: event.Int}}}},
		Apply: func(f event.Fact) []view.Change {
			return []view.Change{view.Put("marks", view.Values{"user": f.Payload.(added).User}, view.Values{"revision": revision})}
		}}
}

// While views are rebuilt the old ones serve, and follow the log; progress is
// shown; afterwards the new ones do.
func TestRebuildWhileServing(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 300)
	set := open(t, l, in, view.Options{})
	if err := set.Fresh(ctx, l.Mark().Size); err != nil {
		t.Fatal(err)
	}
	if err := set.Tamper(`UPDATE now_people SET logins = 77`); err != nil {
		t.Fatal(err)
	}
	var seen []view.Progress
	served := 0
	err := set.Rebuild(ctx, func(p view.Progress) {
		seen = append(seen, p)
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id}))
		rows, _, _, err := set.Select(ctx, view.Query{Table: "people", Where: []view.Cond{view.Eq("logins", 77)}})
		if _, ok, err2 := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); err != nil || err2 != nil || len(rows) == 0 || !ok {
			t.Error("the old views do not serve", len(rows), ok, err, err2)
		}
		served++
		if st := set.Status(); st.Rebuilding == nil {
			t.Error("no progress in the status")
		}
	})
	if err != nil || served < 2 || seen[0].Done != 0 || seen[len(seen)-1].Done == 0 {
		t.Fatal(err, served, seen)
	}
	if n, _, err := set.Count(ctx, view.Query{Table: "people", Where: []view.Cond{view.Eq("logins", 77)}}); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	viewtest.Check(t, set)
	if path, ok := in.(view.File); ok {
		if files, _ := filepath.Glob(string(path) + ".*"); files != nil {
			t.Fatal("left behind:", files)
		}
	}
	// A rebuild that is broken off leaves the old views in place.
	stopping, cancel := context.WithCancel(ctx)
	if err := set.Rebuild(stopping, func(view.Progress) { cancel() }); err == nil {
		t.Fatal("a rebuild that was broken off succeeded")
	}
	viewtest.Check(t, set)
	if set.Status().RebuildErr == nil {
		t.Fatal("the status does not tell of it")
	}
}

// A view whose declaration changed is built anew when the set is opened; the
// others serve meanwhile. A view that is not declared any more leaves no table.
func TestRevision(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 50)
	old := counts(1)
	old.Name, old.Tables = "gone", slices.Clone(old.Tables)
	old.Tables[0].Name = "gone"
	old.Apply = func(f event.Fact) []view.Change {
		return []view.Change{view.Put("gone", view.Values{"user": f.Payload.(added).User}, nil)}
	}
	set := open(t, l, in, view.Options{}, people(), counts(1), old)
	if err := set.Fresh(ctx, l.Mark().Size); err != nil {
		t.Fatal(err)
	}
	set.Close()

	release := make(chan struct{})
	var once sync.Once
	let := func() { once.Do(func() { close(release) }) }
	defer let()
	set = open(t, l, in, view.Options{Patience: 500 * time.Millisecond, Progress: func(view.Progress) { <-release }}, people(), counts(2))
	if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 50 || err != nil {
		t.Fatal("a view that did not change must serve", n, err)
	}
	if _, _, err := set.Count(ctx, view.Query{Table: "marks"}); !fault.Is(err, fault.Unavailable) {
		t.Fatal("read a view that is not built:", err)
	}
	if st := set.Status(); !slices.Equal(st.Missing, []string{"marks"}) || st.Rebuilding == nil {
		t.Fatalf("%+v", st)
	}
	gone := func() {
		t.Helper()
		if err := set.Tamper(`SELECT * FROM now_gone`); err == nil || !strings.Contains(err.Error(), "no such table") && !strings.Contains(err.Error(), "does not exist") {
			t.Fatal("the table of a view that is gone:", err)
		}
	}
	if _, files := in.(view.File); files { // else other nodes may still want it
		gone()
	}
	let()
	deadline := time.Now().Add(10 * time.Second)
	for len(set.Status().Missing) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	rows := selectAll(t, set, "marks", 0)
	if len(rows) != 50 || rows[0].Int("revision") != 2 {
		t.Fatal(rows)
	}
	gone()
	viewtest.Check(t, set)
	set.Close()
	set = open(t, l, in, view.Options{Progress: func(view.Progress) { t.Error("built again though nothing changed") }}, people(), counts(2))
	if n, _, err := set.Count(ctx, view.Query{Table: "marks"}); n != 50 || err != nil {
		t.Fatal(n, err)
	}
}

// Deleting the file is harmless, and so is what a crash leaves beside it.
func TestDeleteIsHarmless(t *testing.T) {
	in := stored(t)
	path, files := in.(view.File)
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 50)
	want := dump(t, open(t, l, passing(t), view.Options{}))
	for _, suffix := range []string{"", ".new", ".new-journal", ".check"} {
		set := open(t, l, in, view.Options{})
		if got := dump(t, set); !slices.Equal(got, want) {
			t.Fatalf("%q: got %q", suffix, got)
		}
		set.Close()
		if !files {
			remove(t, in.(view.Postgres))
		} else if suffix == "" {
			if err := os.Remove(string(path)); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(string(path)+suffix, []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := open(t, l, in, view.Options{})
	if err := set.Rebuild(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, set); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

// Check names the rows that are not what the log says, and no values.
func TestCheckFindsDifferences(t *testing.T) {
	l := newLog(t)
	ada, bob, org := event.NewID(), event.NewID(), event.NewID()
	l.Append(of(ada, added{User: ada, Org: org, Name: event.Seal("Ada")}), of(bob, added{User: bob, Org: org}), of(ada, changed{User: ada, Logins: 1}))
	for sql, want := range map[string]string{
		`UPDATE now_people SET logins = 2 WHERE logins = 1`:                  "people: row (user " + ada.String() + ") of table people from position 3: differs in logins",
		`UPDATE now_people SET _prefix_name = 'x'`:                           "differs in name (normal form)",
		`UPDATE now_people SET name = 'x', _gone = 0`:                        "differs in name",
		`DELETE FROM now_people WHERE name IS NULL`:                          "people: row (user " + bob.String() + ") of table people from position 2: missing",
		`UPDATE past_people SET name = 'Eve'`:                                "people: row (user " + ada.String() + ") of table people from position 1: differs in name",
		`DELETE FROM past_people`:                                            "from position 1: missing",
		`UPDATE past_people SET _until = 2`:                                  "missing",
		`INSERT INTO now_seats VALUES (zeroblob(16), zeroblob(16), 1, 0, 9)`: "people: row (org 00000000000000000000000000000000, user 00000000000000000000000000000000) of table seats from position 9: extra",
	} {
		set := open(t, l, passing(t), view.Options{})
		if err := set.Fresh(ctx, 3); err != nil {
			t.Fatal(err)
		}
		viewtest.Check(t, set)
		if err := set.Tamper(sql); err != nil {
			t.Fatal(err)
		}
		var got []string
		if at, err := set.Check(ctx, nil, func(d view.Difference) { got = append(got, d.String()) }); err != nil || at != 3 {
			t.Fatal(at, err)
		}
		text := strings.Join(got, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "Ada") || strings.Contains(text, "Eve") {
			t.Errorf("%s\ngot  %s\nwant %s", sql, text, want)
		}
	}
}

// Declarations that make no sense are refused when the set is opened.
func TestDeclarations(t *testing.T) {
	for name, spoil := range map[string]func(*view.View){
		"name":         func(v *view.View) { v.Name = "People" },
		"revision":     func(v *view.View) { v.Revision = 0 },
		"types":        func(v *view.View) { v.Types = nil },
		"apply":        func(v *view.View) { v.Apply = nil },
		"table name":   func(v *view.View) { v.Tables[0].Name = `x"; DROP TABLE y; --` },
		"column name":  func(v *view.View) { v.Tables[0].Columns[0].Name = "_since" },
		"column twice": func(v *view.View) { v.Tables[0].Columns[1].Name = "user" },
		"kind":         func(v *view.View) { v.Tables[0].Columns[1].Kind = "float" },
		"no key":       func(v *view.View) { v.Tables[0].Key = nil },
		"personal key": func(v *view.View) { v.Tables[0].Key = []string{"name"} },
		"list key":     func(v *view.View) { v.Tables[0].Key = []string{"roles"} },
		"whose":        func(v *view.View) { v.Tables[0].Columns[2].Personal = "logins" },
		"of personal":  func(v *view.View) { v.Tables[0].Columns[2].Personal = "name" },
		"index":        func(v *view.View) { v.Tables[0].Indexes = [][]string{{"nothing"}} },
		"unique":       func(v *view.View) { v.Tables[0].Unique = [][]string{{"nothing"}} },
		"prefix":       func(v *view.View) { v.Tables[0].Prefix = []string{"logins"} },
		"same table":   func(v *view.View) { v.Tables[1].Name = "people" },
	} {
		l := newLog(t)
		v := people()
		spoil(&v)
		set, err := view.Open(ctx, passing(t), l, l.Decode, []view.View{v}, view.Options{})
		if err == nil {
			set.Close()
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Msg == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that cannot be replaced, after the old one was closed for it, is
// opened again: reads and the tail go on as soon as the disk lets them, without
// a restart, and what was to be done can be repeated.
func TestReplaceFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "views.db")
	l := newLog(t)
	crowd(l, rand.New(rand.NewPCG(5, 5)), 30)
	set := open(t, l, view.File(path), view.Options{Patience: 500 * time.Millisecond})
	if err := set.Fresh(ctx, l.Mark().Size); err != nil {
		t.Fatal(err)
	}
	stone := filepath.Join(path+"-journal", "stone") // its folder cannot be removed
	if err := os.MkdirAll(stone, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := set.Rebuild(ctx, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatal("replaced what could not be:", err)
	}
	if _, _, err := set.Count(ctx, view.Query{Table: "people"}); !fault.Is(err, fault.Unavailable) {
		t.Fatal("read a file that is closed:", err)
	}
	if err := set.Rebuild(ctx, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatal("worked on a file that is closed:", err)
	}
	if set.Status().Retrying == nil {
		t.Fatal("the status does not tell of it")
	}
	crowd(l, rand.New(rand.NewPCG(6, 6)), 10)
	if err := os.RemoveAll(path + "-journal"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n, _, err := set.Count(ctx, view.Query{Table: "people"})
		if err == nil && n == 40 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the views do not serve again:", n, err)
		}
	}
	if err := set.Rebuild(ctx, nil); err != nil {
		t.Fatal(err)
	}
	viewtest.Check(t, set)
}
