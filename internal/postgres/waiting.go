package postgres

import (
	"context"
	"testing"
	"time"
)

// waiting is a backend whose commit waits for a standby.
const waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"

// WithoutStandby lets every commit wait for a standby that is not there, and
// returns when that is so: the setting takes effect in its own time.
func (c *Cluster) WithoutStandby(t testing.TB) {
	t.Helper()
	c.Set(t, "synchronous_standby_names", "'nobody'")
	conn := c.Connect(t, "")
	for range 1000 {
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Exec(context.Background(), "SELECT pg_logical_emit_message(true, 'test', 'commit')")
			ended <- err
		}()
		for done := false; !done; {
			select {
			case err := <-ended:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			case <-time.After(20 * time.Millisecond):
				if v, err := c.value("", waiting); err == nil && v == "true" {
					c.CancelCommit(t)
					<-ended
					return
				}
			}
		}
	}
	t.Fatal("commits do not wait for a standby")
}

// CancelCommit cancels, as an operator would, the commits that wait for a
// standby; it waits until there is one. PostgreSQL then commits, with a warning.
func (c *Cluster) CancelCommit(t testing.TB) {
	t.Helper()
	c.Await(t, "", waiting)
	c.Exec(t, "", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	c.Await(t, "", "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
}

// WithStandby undoes WithoutStandby, and lets what waits go on.
func (c *Cluster) WithStandby(t testing.TB) {
	t.Helper()
	c.Set(t, "synchronous_standby_names", "''")
	c.Await(t, "", "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
}
