package pglog

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/pgdb"
)

// twoNodes are two nodes of a log over one DSN, which forward to each other.
type twoNodes struct {
	stores [2]*Store
	logs   [2]atomic.Pointer[eventlog.Log]
}

func openTwoNodes(t *testing.T, o Options, id event.LogID, lease time.Duration) *twoNodes {
	t.Helper()
	names := [2]string{"one", "two"}
	n := &twoNodes{}
	forward := func(ctx context.Context, held eventlog.Held, r eventlog.Request) (eventlog.Appended, error) {
		for i, name := range names {
			if l := n.logs[i].Load(); l != nil && name == held.Holder.Address {
				return l.AppendHere(ctx, r)
			}
		}
		return eventlog.Appended{}, eventlog.ErrMoved
	}
	for i, name := range names {
		n.stores[i] = mustOpen(t, o)
		l, err := eventlog.Open(t.Context(), n.stores[i], id, eventlog.Options{Lease: lease, Address: name, Forward: forward})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		n.logs[i].Store(l)
	}
	return n
}

// Of three servers with quorum-synchronous replication the primary is killed
// under load, the standby that has most is promoted, the other follows it, and
// the killed one comes back as a standby: again and again. Two nodes append all
// the while, by a DSN that names the three, and are never opened again. Nothing
// acknowledged is lost, nothing is there twice, no position is left out.
// MUNIMENT_KILLS sets how often; twenty for a release.
func TestQuorumFailOver(t *testing.T) {
	t.Parallel()
	q := postgres.NewQuorum(t, 2, postgres.Options{})
	o := testOptions(t, q.DSN(nameOf(t, q.Primary.NewDatabase(t))))
	o.Patience = 10 * time.Second
	id := event.LogID{ID: event.NewID()}
	n := openTwoNodes(t, o, id, time.Second)
	var turn atomic.Int64
	w := startLoad(t, func() *eventlog.Log { return n.logs[turn.Add(1)%2].Load() })
	w.more(100)
	rounds := times(2)
	for range rounds {
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		q.Lose()
		dead := q.Promote(t)
		q.Follow(t)
		w.more(50) // one standby is enough
		q.Rejoin(t, dead)
		w.more(50)
	}
	w.end(n.stores[0], id)
	t.Logf("killed the primary %d times: %d acknowledged, %s", rounds, w.count(), w.outcome(n.stores[0], id))
}

// After a promotion no mark is known, and nobody reads what the new primary has
// but nobody was told of, until the log was taken there; which waits for a
// standby as well.
func TestMarkAfterPromotion(t *testing.T) {
	t.Parallel()
	q := postgres.NewQuorum(t, 2, postgres.Options{})
	database := nameOf(t, q.Primary.NewDatabase(t))
	o := testOptions(t, q.DSN(database))
	o.Patience = 2 * time.Second
	id := event.LogID{ID: event.NewID()}
	n := openTwoNodes(t, o, id, time.Second)
	first := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))
	if _, err := n.logs[0].Load().Append(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := n.logs[1].Load().CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Both standbys have to have the next one, and one is gone: the other has it,
	// and nobody is told.
	gone, has := q.Standbys[1], q.Standbys[0]
	q.Primary.Set(t, "synchronous_standby_names", "'ANY 2 (n1, n2)'")
	q.Primary.Await(t, "", "SELECT bool_and(sync_state = 'quorum') AND current_setting('synchronous_standby_names') LIKE 'ANY 2%' FROM pg_stat_replication")
	gone.Kill()
	r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))
	if _, err := n.logs[0].Load().Append(t.Context(), r); !fault.Is(err, fault.Unknown) {
		t.Fatalf("an append that one of two standbys has: %v, want unknown", err)
	}
	q.Lose()
	q.Standbys = []*postgres.Cluster{has}
	dead := q.Promote(t)
	if got := q.Primary.Value(t, database, "SELECT (SELECT size FROM muniment.log_head) || ', known ' || (SELECT count(*) FROM muniment.standing WHERE known)"); got != "2, known 0" {
		t.Fatalf("on the new primary: size %s; want 2, known 0", got)
	}
	for i := range n.logs {
		l := n.logs[i].Load()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := l.CatchUp(ctx)
		cancel()
		if !fault.Is(err, fault.Unavailable) || l.Mark().Size != 1 {
			t.Errorf("node %d, with no standby: %v, mark %d; want unavailable, 1", i, err, l.Mark().Size)
		}
		for x, err := range l.Read(t.Context(), event.Query{{}}, 0) {
			if err != nil || x.Position > 1 {
				t.Errorf("node %d reads position %d, %v", i, x.Position, err)
			}
		}
	}
	q.Rejoin(t, dead)
	w := &load{t: t, log: func() *eventlog.Log { return n.logs[1].Load() }, acked: map[event.ID]event.Position{}}
	w.insist(r, r.Events[0].ID)
	if got := w.acked[r.Events[0].ID]; got != 2 {
		t.Errorf("repeated, it stands at %d; want 2", got)
	}
}

// While no standby answers, appends wait, then their outcome is unknown, and
// Ready says why. It passes by itself.
func TestStandbyGone(t *testing.T) {
	t.Parallel()
	primary, standby := replicated(t)
	o := testOptions(t, primary.NewDatabase(t))
	o.Patience = 2 * time.Second
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	w := &load{t: t, log: func() *eventlog.Log { return l }, acked: map[event.ID]event.Position{}}
	for _, x := range []struct{ away, back func() }{
		{standby.Hold, standby.Release}, // slow
		{standby.Kill, func() { standby.Start(t) }},
	} {
		if err := s.Ready(t.Context()); err != nil {
			t.Fatalf("before: %v", err)
		}
		x.away()
		d := logtest.New(logtest.NewStream("user"), "user.noted")
		r := logtest.Request(d)
		if _, err := l.Append(t.Context(), r); !fault.Is(err, fault.Unknown) {
			t.Errorf("without a standby: %v, want unknown", err)
		}
		awaitCause(t, s, errWaits)
		x.back()
		awaitReady(t, s)
		w.insist(r, d.ID)
	}
	w.stop = func() {}
	w.end(s, id)
}

// awaitCause waits until Ready gives a cause.
func awaitCause(t *testing.T, s *Store, want *pgdb.Cause) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := s.Ready(t.Context())
		if err != nil && fault.Public(err) == want.Says(postgreSQL) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("ready: %v; want %q", err, want.Says(postgreSQL))
		}
	}
}
