package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// A commit that fails, and one that was done although it seemed to fail, both
// leave every event applied exactly once. A second application would end ranges
// twice and be seen as a difference.
func TestExactlyOnce(t *testing.T) {
	for _, in := range []view.Backend{passing(t), stored(t)} {
		memory := in == view.File("")
		r := rand.New(rand.NewPCG(3, 4))
		l := newLog(t)
		set := open(t, l, in, view.Options{Batch: 5})
		var lost, kept atomic.Int32
		chance := rand.New(rand.NewPCG(4, 4)) // of the goroutine that commits
		fail := func(commit func() error) error {
			switch chance.IntN(4) {
			case 0:
				lost.Add(1)
				return fault.New(fault.Unavailable, "failed and lost")
			case 1:
				if err := commit(); err != nil {
					return err
				}
				kept.Add(1)
				return fault.New(fault.Unknown, "failed but kept")
			}
			return commit()
		}
		if memory { // its one connection also reads
			fail = func(commit func() error) error { return commit() }
		}
		set.OnCommit(fail)
		record(l, r, history(r, 120))
		deadline := time.Now().Add(20 * time.Second)
		for set.Status().Applied < l.Mark().Size && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		set.OnCommit(nil)
		viewtest.Check(t, set)
		want := dump(t, open(t, l, passing(t), view.Options{}))
		if got := dump(t, set); !slices.Equal(got, want) {
			t.Fatalf("%v\ngot  %q\nwant %q", in, got, want)
		}
		if !memory && (lost.Load() == 0 || kept.Load() == 0) {
			t.Fatalf("%d commits lost, %d kept: nothing was tried", lost.Load(), kept.Load())
		}
	}
}

// An event that cannot be applied stops the set at its place: what came before
// is there, reads are unavailable and say so, and the status tells view, event
// and why.
func TestStop(t *testing.T) {
	for how, why := range map[string]string{
		"panic": "oh no", "table": `no table "nothing"`, "column": `no column "nothing"`, "kind": "does not fit", "clear": "takes sealed values",
		"sealed": "takes sealed values", "locked": "locked", "nobody": "nobody could erase it", "key": "key of table seats", "where": "personal", "taken": "would have the same",
	} {
		t.Run(how, func(t *testing.T) {
			l := newLog(t)
			set := open(t, l, passing(t), view.Options{})
			ada := event.NewID()
			l.Append(of(ada, added{User: ada, Org: ada, Email: event.Seal("a@x")}), of(ada, noise{}),
				of(ada, broken{User: ada, How: how}), of(ada, changed{User: ada, Logins: 5}))
			_, _, err := set.Get(ctx, "people", view.Values{"user": ada}, view.Read{})
			if !fault.Is(err, fault.Unavailable) {
				t.Fatalf("read a view that stopped: %v", err)
			}
			st := set.Status()
			var f *view.Failure
			if !errors.As(st.Stopped, &f) || f.View != "people" || f.Type != "person.broken" || f.Position != 3 || !strings.Contains(f.Error(), why) {
				t.Fatalf("stopped with %v, want %q", st.Stopped, why)
			}
			if strings.Contains(f.Error(), "a@x") {
				t.Fatalf("a personal value in %q", f)
			}
			if st.Applied != 2 {
				t.Fatalf("applied up to %d", st.Applied)
			}
			row, ok, err := set.Get(ctx, "people", view.Values{"user": ada}, view.Read{Stale: true})
			if err != nil || !ok || row.Int("logins") != 0 {
				t.Fatal("what came before the event must be there", ok, err)
			}
			if err := set.Rebuild(ctx, nil); !errors.As(err, &f) {
				t.Fatalf("rebuilt over a bad event: %v", err)
			}
		})
	}
}

// A type that no view consumes may be unknown; one that is consumed must be
// decoded, and a key that is not available now is waited for.
func TestDecode(t *testing.T) {
	l := newLog(t)
	var refuse atomic.Pointer[fault.Error]
	decode := func(ctx context.Context, r *event.Record) (event.Fact, error) {
		if r.Type == "person.noticed" {
			t.Error("decoded what nobody consumes")
		}
		if err := refuse.Load(); err != nil {
			return event.Fact{}, err
		}
		return l.Decode(ctx, r)
	}
	refuse.Store(fault.New(fault.Unavailable, "no key today"))
	set, err := view.Open(ctx, passing(t), l, decode, []view.View{people()}, view.Options{Patience: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ada := event.NewID()
	l.Append(of(ada, noise{}), of(ada, added{User: ada, Org: ada}))
	if _, _, err := set.Count(ctx, view.Query{Table: "people"}); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	if st := set.Status(); st.Stopped != nil || st.Retrying == nil || st.Applied != 1 {
		t.Fatalf("%+v", st)
	}
	refuse.Store(nil)
	caughtUp(t, set, 2)
	refuse.Store(fault.New(fault.Corrupt, "malformed"))
	l.Append(of(ada, removed{User: ada}))
	if err := set.Fresh(ctx, 3); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	var f *view.Failure
	if err := set.Status().Stopped; !errors.As(err, &f) || f.Position != 3 || f.View != "people" {
		t.Fatal(err)
	}
	refuse.Store(nil)
	if err := set.Rebuild(ctx, nil); err != nil { // the remedy
		t.Fatal(err)
	}
	if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	l.Append(of(ada, added{User: ada, Org: ada})) // and it goes on
	if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// Unique values: two present rows never share one; rows may exchange them
// within an event, take them over when they are free, and erased ones do not
// count.
func TestUnique(t *testing.T) {
	l := newLog(t)
	set := open(t, l, passing(t), view.Options{Batch: 1000})
	a, b, c := event.NewID(), event.NewID(), event.NewID()
	l.Append(
		of(a, added{User: a, Org: a, Email: event.Seal("one")}),
		of(a, changed{User: a, Email: event.Seal("two")}),
		of(b, added{User: b, Org: a, Email: event.Seal("one")}), // free since the event before
		of(b, removed{User: b}),
		of(c, added{User: c, Org: a, Email: event.Seal("one")}),
	)
	said := l.SayErased(event.SubjectID{ID: a})
	// Only the log has said it: the key is still there, and so may the value be
	// when the next event is applied. It is free all the same.
	l.Append(of(c, changed{User: c, Email: event.Seal("two")}))
	if err := set.Fresh(ctx, said+1); err != nil {
		t.Fatal(err)
	}
	l.Destroy(event.SubjectID{ID: a})
	viewtest.Check(t, set)
	l.Append(of(b, added{User: b, Org: a, Email: event.Seal("two")}))
	err := set.Fresh(ctx, l.Mark().Size)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(set.Status().Stopped), "user "+c.String()) {
		t.Fatalf("two rows share a value: %v, %v", err, set.Status().Stopped)
	}
}

// Rows exchange unique values within one event.
func TestUniqueExchange(t *testing.T) {
	l := newLog(t)
	a, b := event.NewID(), event.NewID()
	v := people()
	v.Apply = func(f event.Fact) []view.Change {
		if _, ok := f.Payload.(closed); !ok {
			return applyPeople(f)
		}
		return []view.Change{
			view.Put("people", view.Values{"user": a}, view.Values{"email": event.Seal("b")}),
			view.Put("people", view.Values{"user": b}, view.Values{"email": event.Seal("a")}),
		}
	}
	set := l.Open(v)
	l.Append(of(a, added{User: a, Org: a, Email: event.Seal("a")}), of(b, added{User: b, Org: a, Email: event.Seal("b")}), of(a, closed{Org: a}))
	rows, _, _, err := set.Select(ctx, view.Query{Table: "people", Where: []view.Cond{view.Eq("email", "a")}})
	if err != nil || len(rows) != 1 || rows[0].ID("user") != b {
		t.Fatal(rows, err)
	}
}

// Views that follow another log, or a log that was changed, are refused.
func TestOtherLog(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	ada := event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada}), of(ada, noise{}))
	set := open(t, l, in, view.Options{})
	if err := set.Fresh(ctx, 2); err != nil {
		t.Fatal(err)
	}
	set.Close()
	refused := func(l *viewtest.Log) {
		t.Helper()
		set, err := view.Open(ctx, in, l, l.Decode, []view.View{people()}, view.Options{Patience: 100 * time.Millisecond})
		if err == nil {
			set.Close()
		}
		if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "rebuild") {
			t.Fatalf("opened a file of another log: %v", err)
		}
	}
	other := newLog(t)
	other.Append(of(ada, added{User: ada, Org: ada}), of(ada, noise{}))
	refused(other)

	set = open(t, l, in, view.Options{})
	if err := set.Tamper(`UPDATE "_state" SET "leaf" = zeroblob(32)`); err != nil {
		t.Fatal(err)
	}
	set.Close()
	refused(l)
	set = open(t, l, in, view.Options{Rebuild: true})
	if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := set.Tamper(`UPDATE "_state" SET "position" = 7`); err != nil {
		t.Fatal(err)
	}
	set.Close()
	refused(l)
}

// A file that is damaged, or none of ours, is made again.
func TestDamagedFile(t *testing.T) {
	in := stored(t)
	l := newLog(t)
	ada := event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada}), of(ada, noise{}))
	path := string(in.(view.File))
	for _, content := range []string{"", "this is no database, whatever it says", strings.Repeat("SQLite format 3\x00", 300)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		set := open(t, l, in, view.Options{})
		if n, _, err := set.Count(ctx, view.Query{Table: "people"}); n != 1 || err != nil {
			t.Fatalf("%.10q: %d %v", content, n, err)
		}
		set.Close()
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
}

// A log whose records do not follow from the last one applied stops the set.
func TestChainIsChecked(t *testing.T) {
	l := newLog(t)
	set := open(t, l, stored(t), view.Options{})
	ada := event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada}))
	if err := set.Fresh(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := set.TamperPlace(); err != nil {
		t.Fatal(err)
	}
	l.Append(of(ada, noise{}))
	if err := set.Fresh(ctx, 2); !fault.Is(err, fault.Unavailable) || !fault.Is(set.Status().Stopped, fault.Refused) {
		t.Fatal(err, set.Status())
	}
}
