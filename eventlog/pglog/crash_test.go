package pglog

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger"
)

// Requirement E16: PostgreSQL is killed in the middle of appends, twenty times.
// Nothing acknowledged is lost, nothing is there twice, there is no gap; and the
// log goes on without being opened again.
func TestKill(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	s := mustOpen(t, testOptions(t, c.NewDatabase(t)))
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	w := startLoad(t, func() *eventlog.Log { return l })
	for range times(20) {
		w.more(100)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		c.Kill()
		c.Start(t)
	}
	w.more(16)
	w.end(s, id)
}

// The published mark is gone after a crash, and after a promotion; it is known
// again when the log is appended to. The lease is gone too.
func TestMarkVanishes(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	dsn := c.NewDatabase(t)
	s := mustOpen(t, testOptions(t, dsn))
	id, holder := event.LogID{ID: event.NewID()}, eventlog.Holder{ID: event.NewID(), Address: "http://one"}
	h, err := s.TakeFree(t.Context(), id, holder, 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	known := func(want bool) {
		t.Helper()
		if st, err := s.Standing(t.Context(), id); err != nil || st.Known != want || (st.Left > 0) != want || st.Holder.ID != holder.ID {
			t.Fatalf("standing: %+v, %v; want known %v", st, err, want)
		}
	}
	known(true)
	c.Restart(t) // an orderly one loses nothing
	awaitReady(t, s)
	known(true)
	c.Kill()
	c.Start(t)
	awaitReady(t, s)
	known(false)
	m := eventlog.Mark{Size: h.Size, Root: h.Root(), Last: h.Last, Time: h.Time, Term: h.Term}
	if err := publishAgain(t, s, id, holder.ID, m); err != nil {
		t.Fatal(err)
	}
	known(true)
	// A mark past the head's end is not taken for true.
	c.Kill()
	c.Start(t)
	awaitReady(t, s)
	m.Size++
	if err := publishAgain(t, s, id, holder.ID, m); !fault.Is(err, fault.Conflict) {
		t.Fatalf("a mark that the database lost: %v", err)
	}
}

// publishAgain publishes after a crash: each connection that writes notices by
// failing once.
func publishAgain(t *testing.T, s *Store, id event.LogID, holder event.ID, m eventlog.Mark) (err error) {
	t.Helper()
	for range s.opts.Writers + 1 {
		if err = s.Publish(t.Context(), id, holder, m, time.Hour); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
			break
		}
	}
	return err
}

func awaitReady(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := s.Ready(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not ready: %v", err)
		}
	}
}

// replicated is a primary with one standby that commits wait for.
func replicated(t *testing.T) (primary, standby *postgres.Cluster) {
	c := postgres.Start(t, postgres.Options{})
	s := c.Standby(t, "s1")
	c.Set(t, "synchronous_standby_names", "'ANY 1 (s1)'")
	c.Await(t, "", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'quorum')")
	return c, s
}

// A commit that is cancelled while it waits for a standby is visible, but not
// replicated (docs/adr/0015-postgresql.md). It must be Unknown, nobody may be
// told that it was stored, and nobody may read it, until taking the log has
// made it certain.
func TestCancelledCommit(t *testing.T) {
	t.Parallel()
	primary, standby := replicated(t)
	database := primary.NewDatabase(t)
	o := testOptions(t, database)
	o.Patience = 2 * time.Second
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
		t.Fatal(err)
	}

	standby.Kill() // what was sent to one that only sleeps would arrive later
	d := logtest.New(logtest.NewStream("user"), "user.lost")
	r := logtest.Request(d)
	told := make(chan error, 1)
	go func() { _, err := l.Append(context.Background(), r); told <- err }()
	conn := primary.Connect(t, "")
	var pid int
	for pid == 0 {
		_ = conn.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend' AND query = 'COMMIT' LIMIT 1`).Scan(&pid)
	}
	if _, err := conn.Exec(t.Context(), `SELECT pg_cancel_backend($1)`, pid); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !fault.Is(err, fault.Unknown) {
		t.Fatalf("the cancelled commit: %v, want unknown", err)
	}
	// It is visible: the trap is there.
	if p, ok, err := s.EventPosition(t.Context(), id, d.ID); err != nil || !ok || p != 2 {
		t.Fatalf("the row should be visible: %d, %v, %v; the test is blind", p, ok, err)
	}
	// A retry finds it, and is not told so: taking the log waits for the standby
	// as well.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if a, err := l.Append(ctx, r); err == nil {
		t.Fatalf("the retry was acknowledged: %+v", a)
	}
	if got := l.Mark().Size; got != 1 {
		t.Fatalf("the mark is at %d", got)
	}
	// The primary is lost, the standby takes over: what nobody was told of is gone.
	l.Close()
	s.Close()
	primary.Kill()
	standby.Start(t)
	standby.Promote(t)
	o.DSN = standby.DSN(nameOf(t, database))
	s = mustOpen(t, o)
	l = openTestLog(t, s, id)
	if got := l.Mark().Size; got != 1 {
		t.Fatalf("after the fail-over the log has %d records, want 1", got)
	}
	if a, err := l.Append(t.Context(), r); err != nil || a.Last != 2 || a.Replayed {
		t.Fatalf("repeated after the fail-over: %+v, %v", a, err)
	}
}

// nameOf is the database of a DSN.
func nameOf(t *testing.T, dsn string) string {
	o := Options{DSN: dsn}
	o.defaults()
	c, err := o.config(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

// The primary is killed under load and a standby that every commit waited for
// is promoted: nothing acknowledged is lost.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary, standby := replicated(t)
	dsn := primary.NewDatabase(t)
	o := testOptions(t, dsn)
	id := event.LogID{ID: event.NewID()}
	s := mustOpen(t, o)
	l := openTestLog(t, s, id)
	logs := make(chan *eventlog.Log, 1)
	logs <- l
	w := startLoad(t, func() *eventlog.Log { l := <-logs; logs <- l; return l })
	w.more(300)
	primary.Kill()
	standby.Promote(t)
	o.DSN = standby.DSN(nameOf(t, dsn))
	s2 := mustOpen(t, o)
	l2, err := eventlog.Open(t.Context(), s2, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l2.Close() })
	<-logs
	logs <- l2
	w.more(100)
	w.end(s2, id)
}

// A primary that was restored from an older base backup is refused by the
// register, and nothing is written to it.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	s := mustOpen(t, testOptions(t, c.NewDatabase(t)))
	id, reg := event.LogID{ID: event.NewID()}, &ledger.MemoryRegister{}
	grow := func(n int) {
		t.Helper()
		l, err := ledger.OpenLog(t.Context(), s, id, reg, eventlog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range n {
			if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
				t.Fatal(err)
			}
		}
		old, err := reg.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		now := old
		m := l.Mark()
		now.Tree, now.Term = ledger.Tree{Size: m.Size, Root: m.Root}, m.Term
		if err := reg.CompareAndSwap(t.Context(), old, now); err != nil {
			t.Fatal(err)
		}
	}
	grow(3)
	old := c.Backup(t)
	grow(2)
	c.Kill()
	old.Into(t, c)
	awaitReady(t, s)
	before, err := s.Head(t.Context(), id)
	if err != nil || before.Size != 3 {
		t.Fatalf("the backup has %d records, %v; the test is blind", before.Size, err)
	}
	if _, err := ledger.OpenLog(t.Context(), s, id, reg, eventlog.Options{}); err == nil {
		t.Fatal("a log that was rolled back was opened for writing")
	} else {
		t.Log(err)
	}
	if after, err := s.Head(t.Context(), id); err != nil || after.Term != before.Term {
		t.Fatalf("it was written to: %+v, %v", after, err)
	}
}
