package view_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// together gives nodes one schema. Each applies while its switch is on.
func together(t testing.TB) func(applies *atomic.Bool) view.Backend {
	dsn := newDatabase(t)
	return func(applies *atomic.Bool) view.Backend {
		p := view.Postgres{DSN: dsn, TakeOver: 300 * time.Millisecond}
		if applies != nil {
			p.Applies = applies.Load
		}
		return p
	}
}

// in a loop until the test ends.
func forever(t testing.TB, f func()) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				f()
			}
		}
	})
	return sync.OnceFunc(func() { close(done); running.Wait() })
}

// Nodes that all apply do each other's work again and no harm: every event is
// applied once, whoever was first.
func TestNodesAllApply(t *testing.T) {
	in := together(t)(nil)
	l := viewtest.New(t, events())
	r := rand.New(rand.NewPCG(1, 1))
	var sets []*view.Set
	for range 3 {
		sets = append(sets, open(t, l, in, view.Options{Batch: 1 + r.IntN(5)}))
	}
	record(l, r, history(r, 200))
	want := dump(t, open(t, l, view.File(""), view.Options{}))
	for i, set := range sets {
		if got := dump(t, set); !slices.Equal(got, want) {
			t.Fatalf("node %d\ngot  %q\nwant %q", i, got, want)
		}
		if st := set.Status(); st.Stopped != nil || st.Retrying != nil {
			t.Fatalf("%+v", st)
		}
	}
	viewtest.Check(t, sets[1])
}

// One node applies and the others watch; what was appended can be read on each
// of them at once. When the one is gone, another goes on.
func TestNodesWatch(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	var first, second atomic.Bool
	first.Store(true)
	a, b := open(t, l, place(&first), view.Options{}), open(t, l, place(&second), view.Options{})
	seen := func(set *view.Set) {
		t.Helper()
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id}))
		if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for range 20 {
		seen(b)
		seen(a)
	}
	first.Store(false) // nobody is to; each steps in where they stand still
	seen(b)
	second.Store(true)
	seen(a)
	a.Close() // as if it had been killed while it was to
	second.Store(false)
	for range 3 {
		seen(b)
	}
	viewtest.Check(t, b)
}

// While one node rebuilds, forgets and checks, others read without an error and
// without missing anything.
func TestNodesRebuildBesideReaders(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	var first, second atomic.Bool
	first.Store(true)
	a, b := open(t, l, place(&first), view.Options{}), open(t, l, place(&second), view.Options{})
	crowd(l, rand.New(rand.NewPCG(1, 1)), 100)
	n, _, err := b.Count(ctx, view.Query{Table: "people"})
	if err != nil || n != 100 {
		t.Fatal(n, err)
	}
	reads := 0
	stop := forever(t, func() {
		if n, _, err := b.Count(ctx, view.Query{Table: "people"}); err != nil || n != 100 {
			t.Error(n, err)
		}
		reads++
	})
	defer stop()
	for i := range 4 {
		set := []*view.Set{a, b}[i%2]
		if err := set.Rebuild(ctx, nil); err != nil {
			t.Fatal(err)
		}
		s := event.SubjectID{ID: event.NewID()}
		l.Erase(s)
		if err := set.Forget(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if reads < 4 {
		t.Fatalf("%d reads", reads)
	}
	viewtest.Check(t, a)
	viewtest.Check(t, b)
}

// A node of a later version builds its views and puts them in place. One of the
// version before reads what did not change, says of the rest that it is too
// old, and writes nothing, not even if it is the one that is to. When the later
// one is gone, it makes its own again.
func TestNodesOfTwoVersions(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	var yes atomic.Bool
	yes.Store(true)
	crowd(l, rand.New(rand.NewPCG(1, 1)), 20)
	old := open(t, l, place(&yes), view.Options{}, people(), counts(1))
	if rows := selectAll(t, old, "marks", 0); len(rows) != 20 || rows[0].Int("revision") != 1 {
		t.Fatal(rows)
	}
	later := open(t, l, place(&yes), view.Options{}, people(), counts(2))
	until(t, func() bool { return len(later.Status().Missing) == 0 })
	crowd(l, rand.New(rand.NewPCG(2, 2)), 20)
	if rows := selectAll(t, later, "marks", 0); len(rows) != 40 || rows[0].Int("revision") != 2 {
		t.Fatal(rows)
	}
	if n, _, err := old.Count(ctx, view.Query{Table: "people"}); n != 40 || err != nil {
		t.Fatal("a view that is the same in both versions:", n, err)
	}
	if _, _, err := old.Count(ctx, view.Query{Table: "marks"}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "later version") {
		t.Fatal("read a view of a later version:", err)
	}
	viewtest.Check(t, later)
	later.Close()
	crowd(l, rand.New(rand.NewPCG(3, 3)), 20)
	until(t, func() bool { return len(old.Status().Missing) == 0 })
	if rows := selectAll(t, old, "marks", 0); len(rows) != 60 || rows[0].Int("revision") != 1 {
		t.Fatal(rows)
	}
	viewtest.Check(t, old)
}

func until(t testing.TB, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be")
		}
	}
}

// PostgreSQL is killed again and again while nodes apply, read and rebuild.
// Readers get answers, or hear that there are none now; afterwards all is there
// once, though commits were not waited for, and nobody restarts anything.
func TestPostgresIsKilled(t *testing.T) {
	server := postgres.Start(t, postgres.Options{})
	in := view.Postgres{DSN: server.NewDatabase(t)}
	l := viewtest.New(t, events())
	a, b := open(t, l, in, view.Options{Batch: 7}), open(t, l, in, view.Options{Batch: 5})
	r := rand.New(rand.NewPCG(1, 1))
	payloads := history(r, 400)
	read := forever(t, func() {
		if _, _, err := b.Count(ctx, view.Query{Table: "people", Read: view.Read{Stale: true}}); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	})
	defer read()
	rebuild := forever(t, func() {
		if err := a.Rebuild(ctx, nil); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	})
	defer rebuild()
	for range 4 {
		record(l, r, payloads[:100])
		payloads = payloads[100:]
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		server.Kill()
		server.Start(t)
	}
	read()
	rebuild()
	for _, set := range []*view.Set{a, b} {
		caughtUp(t, set, l.Mark().Size)
		until(t, func() bool { _, _, err := set.Count(ctx, view.Query{Table: "people"}); return err == nil })
	}
	want := dump(t, open(t, l, view.File(""), view.Options{}))
	for _, set := range []*view.Set{a, b} {
		if got := dump(t, set); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
	viewtest.Check(t, b)
}

// A schema that holds anything of somebody else is refused by name, and left as
// it is. An empty one is taken.
func TestForeignSchema(t *testing.T) {
	dsn := newDatabase(t)
	l := viewtest.New(t, events())
	db := postgres.Connect(t, dsn)
	do := func(sql string) {
		t.Helper()
		if _, err := db.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	try := func(in view.Postgres) error {
		set, err := view.Open(ctx, in, l, l.Decode, []view.View{people()}, view.Options{Patience: 100 * time.Millisecond})
		if err == nil {
			set.Close()
		}
		return err
	}
	do(`CREATE SCHEMA theirs; CREATE TABLE theirs.now_people (x int); CREATE SCHEMA given; CREATE SCHEMA views9`)
	if err := try(view.Postgres{DSN: dsn, Schema: "theirs"}); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "schema theirs") {
		t.Error(err)
	}
	do(`INSERT INTO theirs.now_people VALUES (1)`)
	if err := try(view.Postgres{DSN: dsn, Schema: "given"}); err != nil {
		t.Error("an empty schema:", err)
	}
	if err := try(view.Postgres{DSN: dsn, Schema: "views9"}); err != nil {
		t.Error(err)
	}
	do(`UPDATE views9._muniment SET format = 9`)
	if err := try(view.Postgres{DSN: dsn, Schema: "views9"}); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "format 9") {
		t.Error(err)
	}
	for _, name := range []string{"public", "pg_catalog", `a"b`, "UPPER", strings.Repeat("x", 64)} {
		if err := try(view.Postgres{DSN: dsn, Schema: name}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := try(view.Postgres{DSN: "postgres://:::"}); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), ":::") {
		t.Error(err)
	}
	do(`CREATE ROLE guest LOGIN PASSWORD 'guest'`)
	c := postgres.Shared(t)
	name := dsn[strings.LastIndex(dsn, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	if err := try(view.Postgres{DSN: c.DSNOf("guest", "guest", name)}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "role may not") {
		t.Error(err)
	}
	if err := try(view.Postgres{DSN: c.DSNOf("guest", "wrong", name)}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "user or the password") {
		t.Error(err)
	}
	do(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
	if err := try(view.Postgres{DSN: c.DSN("latin")}); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "UTF8") {
		t.Error(err)
	}
	do(`DROP ROLE guest; DROP TABLE theirs.now_people`)
}

// A schema that somebody drops under running nodes is made again from the log.
func TestDroppedSchema(t *testing.T) {
	place := together(t)
	l := viewtest.New(t, events())
	in := place(nil).(view.Postgres)
	in.Schema = "dropped"
	a, b := open(t, l, in, view.Options{}), open(t, l, in, view.Options{})
	crowd(l, rand.New(rand.NewPCG(1, 1)), 50)
	for range 3 {
		for _, set := range []*view.Set{a, b} {
			var err error
			until(t, func() bool {
				var n int
				n, _, err = set.Count(ctx, view.Query{Table: "people"})
				return n == 50 && err == nil
			})
		}
		remove(t, in)
	}
}

// Inspect tells where views stand without touching them.
func TestInspectPostgres(t *testing.T) {
	in := together(t)(nil)
	l := viewtest.New(t, events())
	if _, err := view.Inspect(ctx, in, []view.View{people()}); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	set := open(t, l, in, view.Options{})
	crowd(l, rand.New(rand.NewPCG(1, 1)), 10)
	caughtUp(t, set, l.Mark().Size)
	st, err := view.Inspect(ctx, in, []view.View{people(), counts(1)})
	if err != nil || st.Log != l.ID() || st.Position != l.Mark().Size || fmt.Sprint(st.Views) != "map[marks:false people:true]" {
		t.Fatal(st, err)
	}
	later := people()
	later.Epoch = 7
	if st, err = view.Inspect(ctx, in, []view.View{later, counts(1)}); err != nil || fmt.Sprint(st.Views, st.Epochs) != "map[marks:false people:false] map[people:0]" {
		t.Fatal(st, err)
	}
}

// Drop leaves nothing of ours, so that views are made again, and touches nothing
// of others.
func TestDropPostgres(t *testing.T) {
	in := together(t)(nil).(view.Postgres)
	l := viewtest.New(t, events())
	set := open(t, l, in, view.Options{})
	crowd(l, rand.New(rand.NewPCG(1, 1)), 10)
	caughtUp(t, set, l.Mark().Size)
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := in.Drop(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := view.Inspect(ctx, in, []view.View{people()}); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	caughtUp(t, open(t, l, in, view.Options{}), l.Mark().Size)
	foreign := postgres.Connect(t, in.DSN)
	if _, err := foreign.Exec(ctx, `CREATE SCHEMA theirs; CREATE TABLE theirs.people (id int)`); err != nil {
		t.Fatal(err)
	}
	if err := (view.Postgres{DSN: in.DSN, Schema: "theirs"}).Drop(ctx); !fault.Is(err, fault.Refused) {
		t.Fatal(err)
	}
	if _, err := foreign.Exec(ctx, `SELECT FROM theirs.people`); err != nil {
		t.Fatal(err)
	}
}
